//! Ways to the nodes of a document, which outlive its borrow.

use serde_json::Value;
use zeroize::Zeroizing;

/// The step to a node from the one that holds it.
#[derive(Clone, Copy)]
pub(super) struct Way<'p> {
    /// the root's is the root
    pub(super) parent: usize,
    pub(super) step: Step<'p>,
}

/// Keys that a path names are borrowed from it. Others stand in a list, by position there.
#[derive(Clone, Copy)]
pub(super) enum Step<'p> {
    Named(&'p str),
    Found(usize),
    Index(usize),
}

/// How to reach nodes in the document in which they were found, or in a copy of it.
pub(crate) struct Ways<'p> {
    list: Vec<Way<'p>>,
    /// keys of the document on the ways that will be gone; they may be personal too
    keys: Vec<Option<Zeroizing<String>>>,
}

impl<'p> Ways<'p> {
    /// For these nodes only.
    pub(super) fn new(list: Vec<Way<'p>>, keys: &[&str], nodes: impl Iterator<Item = usize>) -> Self {
        let mut ways = Self { list, keys: vec![None; keys.len()] };
        if keys.is_empty() {
            return ways;
        }
        for mut id in nodes {
            while let Some(Way { parent, step }) = ways.way(id) {
                id = parent;
                let Step::Found(at) = step else { continue };
                match (ways.keys.get_mut(at), keys.get(at)) {
                    (Some(own @ None), Some(key)) => *own = Some(Zeroizing::new((*key).to_owned())),
                    // what is nearer to the root was taken over with it
                    _ => break,
                }
            }
        }
        ways
    }

    /// The node's value, if the document has the node.
    pub(crate) fn enter<'v>(&self, id: usize, document: &'v mut Value) -> Option<&'v mut Value> {
        let Some(Way { parent, step }) = self.way(id) else { return Some(document) };
        let holder = self.enter(parent, document)?;
        match (step, holder) {
            (Step::Named(key), Value::Object(map)) => map.get_mut(key),
            (Step::Found(at), Value::Object(map)) => map.get_mut(&**self.keys.get(at)?.as_ref()?),
            (Step::Index(index), Value::Array(list)) => list.get_mut(index),
            _ => None,
        }
    }

    /// `None` for the root.
    fn way(&self, id: usize) -> Option<Way<'p>> {
        if id == 0 { None } else { self.list.get(id).copied() }
    }
}
