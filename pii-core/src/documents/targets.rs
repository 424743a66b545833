//! Which nodes of a document the paths choose.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    error::{Error, ErrorKind, Result},
    json::{JsonPath, NodePath},
};

/// A path of the program's, and what follows if nothing is there.
#[derive(Clone)]
pub(super) struct Rule {
    /// as the program wrote it
    pub(super) text: Arc<str>,
    path: JsonPath,
    is_optional: bool,
}

impl Rule {
    pub(super) fn parse(text: &str, is_optional: bool) -> Result<Self> {
        Ok(Self { text: text.into(), path: JsonPath::parse(text)?, is_optional })
    }
}

/// A chosen node.
pub(super) struct Target {
    pub(super) node: NodePath,
    /// the rule that chose it
    pub(super) rule: Arc<str>,
}

/// The nodes that rules choose, each once. None is inside another one.
///
/// # Errors
/// [`ErrorKind::InvalidDocument`] for one that is nested too deep, [`ErrorKind::PathNotFound`] for a rule that
/// must choose something and does not, [`ErrorKind::Configuration`] for a node inside another one.
pub(super) fn targets(model: &str, rules: &[Rule], document: &Value) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for rule in rules {
        let nodes = rule.path.resolve(document).map_err(|error| error.field(model, &rule.text))?;
        if nodes.is_empty() && !rule.is_optional {
            return Err(Error::new(ErrorKind::PathNotFound)
                .field(model, &rule.text)
                .help("name paths that may be missing by `optional_paths`"));
        }
        targets.extend(nodes.into_iter().map(|node| Target { node, rule: Arc::clone(&rule.text) }));
    }
    targets.sort_by(|a, b| a.node.cmp(&b.node));
    targets.dedup_by(|later, first| later.node == first.node);
    // in this order, what is inside a node follows it at once
    for (outer, inner) in targets.iter().zip(targets.iter().skip(1)) {
        if outer.node.contains(&inner.node) {
            return Err(Error::new(ErrorKind::Configuration)
                .message(format!("`{}` chooses a value inside one that `{}` chooses", inner.rule, outer.rule))
                .help("a value is sealed once: leave one of the two paths out"));
        }
    }
    Ok(targets)
}
