//! Following a path through a document.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use serde_json::Value;

use super::{
    node::{NodePath, NodeStep},
    path::{JsonPath, Segment, Selector},
    ways::{Step, Way, Ways},
};

/// The values that paths have led to, with the way to each of them. A node's id is its position; the
/// root's is 0.
pub(crate) struct Nodes<'p, 'v> {
    ways: Vec<Way<'p>>,
    values: Vec<&'v Value>,
    /// of the document, which [`Step::Found`] means
    keys: Vec<&'v str>,
}

/// Addresses of values, to meet each only once.
type Seen = HashSet<usize, RandomState>;

impl<'p, 'v> Nodes<'p, 'v> {
    /// Only the root. The document must have passed [`check_nesting`](super::check_nesting).
    pub(crate) fn new(document: &'v Value) -> Self {
        let root = Way { parent: 0, step: Step::Index(0) };
        Self { ways: vec![root], values: vec![document], keys: Vec::new() }
    }

    /// The nodes that a path leads to, each value once.
    pub(crate) fn resolve(&mut self, path: &'p JsonPath) -> Vec<usize> {
        path.segments.iter().fold(vec![0], |from, segment| self.follow(segment, from))
    }

    /// The nodes that the first segments of a path lead to.
    pub(crate) fn resolve_first(&mut self, path: &'p JsonPath, segments: usize) -> Vec<usize> {
        path.segments.iter().take(segments).fold(vec![0], |from, segment| self.follow(segment, from))
    }

    pub(crate) fn value(&self, id: usize) -> Option<&'v Value> {
        self.values.get(id).copied()
    }

    pub(crate) fn address(&self, id: usize) -> usize {
        self.value(id).map_or(0, address)
    }

    /// The node that holds this one; `None` for the root.
    pub(crate) fn parent(&self, id: usize) -> Option<usize> {
        if id == 0 { None } else { self.ways.get(id).map(|way| way.parent) }
    }

    /// The place of a node.
    pub(crate) fn path(&self, mut id: usize) -> NodePath {
        let mut steps = Vec::new();
        while let Some((parent, way)) = self.parent(id).zip(self.ways.get(id)) {
            steps.push(match way.step {
                Step::Named(key) => NodeStep::Key(key.to_owned()),
                Step::Found(at) => NodeStep::Key(self.keys.get(at).copied().unwrap_or_default().to_owned()),
                Step::Index(index) => NodeStep::Index(index),
            });
            id = parent;
        }
        steps.reverse();
        NodePath::new(steps)
    }

    /// The ways to some of the nodes, without the document.
    pub(crate) fn into_ways(self, nodes: impl Iterator<Item = usize>) -> Ways<'p> {
        Ways::new(self.ways, &self.keys, nodes)
    }

    /// Adds all elements or members of a node.
    pub(crate) fn children(&mut self, id: usize, out: &mut Vec<usize>) {
        match self.value(id) {
            Some(Value::Array(list)) => {
                self.ways.reserve(list.len());
                self.values.reserve(list.len());
                out.reserve(list.len());
                for (index, value) in list.iter().enumerate() {
                    out.push(self.add(id, Step::Index(index), value));
                }
            }
            Some(Value::Object(map)) => {
                for (key, value) in map {
                    out.push(self.add_found(id, key, value));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, parent: usize, step: Step<'p>, value: &'v Value) -> usize {
        self.ways.push(Way { parent, step });
        self.values.push(value);
        self.values.len() - 1
    }

    fn add_found(&mut self, parent: usize, key: &'v str, value: &'v Value) -> usize {
        self.keys.push(key);
        self.add(parent, Step::Found(self.keys.len() - 1), value)
    }

    fn follow(&mut self, segment: &'p Segment, from: Vec<usize>) -> Vec<usize> {
        let mut out = Vec::with_capacity(from.len());
        match segment {
            Segment::Children(selectors) => self.select_from(from, selectors, &mut out),
            Segment::Descendants(selectors) => {
                let mut containers = Vec::new();
                let mut seen = Seen::default();
                for id in from {
                    self.descend(id, &mut seen, &mut containers);
                }
                self.select_from(containers, selectors, &mut out);
            }
            Segment::Parent => {
                out.extend(from.into_iter().filter_map(|id| self.parent(id)));
                self.deduplicate(&mut out);
            }
        }
        out
    }

    /// The node and everything in it that can hold something. A value met before was followed to its
    /// end then, so that `..` behind `..` costs no more than once.
    fn descend(&mut self, id: usize, seen: &mut Seen, out: &mut Vec<usize>) {
        let Some(value @ (Value::Array(_) | Value::Object(_))) = self.value(id) else { return };
        if !seen.insert(address(value)) {
            return;
        }
        out.push(id);
        let holds = |value: &Value| value.is_array() || value.is_object();
        match value {
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate().filter(|(_, value)| holds(value)) {
                    let child = self.add(id, Step::Index(index), value);
                    self.descend(child, seen, out);
                }
            }
            Value::Object(map) => {
                for (key, value) in map.iter().filter(|(_, value)| holds(value)) {
                    let child = self.add_found(id, key, value);
                    self.descend(child, seen, out);
                }
            }
            _ => {}
        }
    }

    fn select_from(&mut self, from: Vec<usize>, selectors: &'p [Selector], out: &mut Vec<usize>) {
        for id in from {
            let start = out.len();
            for selector in selectors {
                self.select(id, selector, out);
            }
            // nodes are distinct, so only selectors of the same node can meet
            if selectors.len() > 1 {
                let mut own = out.split_off(start);
                self.deduplicate(&mut own);
                out.append(&mut own);
            }
        }
    }

    fn select(&mut self, id: usize, selector: &'p Selector, out: &mut Vec<usize>) {
        let Some(value) = self.value(id) else { return };
        match (selector, value) {
            (Selector::Key(key), Value::Object(map)) => {
                if let Some(value) = map.get(&**key) {
                    out.push(self.add(id, Step::Named(key), value));
                }
            }
            (Selector::Wildcard, _) => self.children(id, out),
            (Selector::Index(index), Value::Array(list)) => {
                let position = usize::try_from(*index).ok().or_else(|| from_end(*index, list.len()));
                if let Some((position, value)) = position.and_then(|at| Some((at, list.get(at)?))) {
                    out.push(self.add(id, Step::Index(position), value));
                }
            }
            (Selector::Slice { start, end, step }, Value::Array(list)) => {
                for position in slice(list.len(), *start, *end, *step) {
                    if let Some(value) = list.get(position) {
                        out.push(self.add(id, Step::Index(position), value));
                    }
                }
            }
            (Selector::Filter(filter), Value::Array(_) | Value::Object(_)) => {
                let accepted: Seen = filter.accepts(value).into_iter().collect();
                let start = out.len();
                self.children(id, out);
                let mut children = out.split_off(start);
                children.retain(|child| accepted.contains(&self.address(*child)));
                out.append(&mut children);
            }
            _ => {}
        }
    }

    fn deduplicate(&self, ids: &mut Vec<usize>) {
        let mut seen = Seen::default();
        ids.retain(|id| seen.insert(self.address(*id)));
    }
}

fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

fn from_end(index: i64, length: usize) -> Option<usize> {
    length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
}

/// The positions that a slice selects: RFC 9535, section 2.3.4.2.2.
fn slice(length: usize, start: Option<i64>, end: Option<i64>, step: i64) -> Box<dyn Iterator<Item = usize>> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let normal = |index: i64| if index >= 0 { index } else { length.saturating_add(index) };
    let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX).max(1);
    let positions =
        move |low: i64, high: i64| (low..high).filter_map(|position| usize::try_from(position).ok());
    if step > 0 {
        let low = normal(start.unwrap_or(0)).clamp(0, length);
        let high = normal(end.unwrap_or(length)).clamp(0, length);
        Box::new(positions(low, high).step_by(stride))
    } else {
        let high = start.map_or(length - 1, normal).clamp(-1, length - 1);
        let low = end.map_or(-1, normal).clamp(-1, length - 1);
        Box::new(positions(low + 1, high + 1).rev().step_by(stride))
    }
}
