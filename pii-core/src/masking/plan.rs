//! Everything that will change in a document, worked out before anything does.

use std::{borrow::Cow, collections::HashMap, mem};

use foldhash::fast::RandomState;
use serde_json::Value;
use zeroize::Zeroize as _;

use super::{
    MaskReport, MissingPath, RuleReport,
    rule::{Origin, Rule},
};
use crate::{
    error::{Error, ErrorKind, Result},
    json::{Nodes, Ways, check_nesting, wipe},
    mask::FULL,
};

/// A larger block is given back, however short the mask.
const KEPT_BYTES: usize = 256;

/// The changes to a document. It borrows nothing of the document.
pub(super) struct Plan<'p> {
    changes: Vec<Change<'p>>,
    ways: Ways<'p>,
    report: MaskReport,
}

struct Change<'p> {
    node: usize,
    shown: Cow<'p, str>,
}

/// A value that will be replaced.
struct Target {
    node: usize,
    rule: usize,
    /// in full, whatever the rule's mask
    full: bool,
}

impl<'p> Plan<'p> {
    /// # Errors
    /// [`ErrorKind::InvalidDocument`] if the document is nested too deeply, and
    /// [`ErrorKind::PathNotFound`] if a path leads to nothing and that is an error.
    pub(super) fn new(rules: &'p [Rule], missing: MissingPath, document: &Value) -> Result<Self> {
        check_nesting(document)?;
        let mut nodes = Nodes::new(document);
        let mut targets = Vec::new();
        let mut report = MaskReport { rules: Vec::with_capacity(rules.len()) };
        for (index, rule) in rules.iter().enumerate() {
            let found = nodes.resolve(&rule.path);
            let is_missing = found.is_empty() && !is_excused(&mut nodes, rule);
            for node in found {
                add_targets(&mut nodes, rule, Target { node, rule: index, full: false }, &mut targets);
            }
            let path = rule.shown_path.clone();
            report.rules.push(RuleReport { path, masked: 0, covered: 0, missing: is_missing });
        }
        complain(&report, missing)?;
        if rules.len() > 1 || rules.iter().any(|rule| rule.path.may_overlap()) {
            targets = without_overlaps(&nodes, rules, targets, &mut report);
        }
        let mut changes = Vec::with_capacity(targets.len());
        for target in targets {
            let (Some(value), Some(rule)) = (nodes.value(target.node), rules.get(target.rule)) else {
                continue;
            };
            changes.push(Change { node: target.node, shown: shown(value, rule, target.full) });
            if let Some(report) = report.rules.get_mut(target.rule) {
                report.masked += 1;
            }
        }
        let ways = nodes.into_ways(changes.iter().map(|change| change.node));
        Ok(Self { changes, ways, report })
    }

    /// Changes the document that the plan was made for, or a copy of it. What is replaced is wiped.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if it is another document.
    pub(super) fn apply(self, document: &mut Value) -> Result<MaskReport> {
        for change in self.changes {
            let Some(place) = self.ways.enter(change.node, document) else {
                return Err(Error::new(ErrorKind::State).message("the document changed while it was masked"));
            };
            replace(place, change.shown);
        }
        Ok(self.report)
    }
}

/// A short text is overwritten where it is, which spares freeing one block and asking for another.
fn replace(place: &mut Value, shown: Cow<'_, str>) {
    match place {
        Value::String(text) if text.capacity() <= KEPT_BYTES => {
            text.zeroize();
            text.push_str(&shown);
        }
        _ => wipe(mem::replace(place, Value::String(shown.into_owned()))),
    }
}

/// What the derived `Debug` of a model masks in full is masked in full here too: all but text.
fn shown<'p>(value: &Value, rule: &'p Rule, full: bool) -> Cow<'p, str> {
    if full || rule.origin != Origin::Path && !value.is_string() {
        return Cow::Borrowed(FULL);
    }
    rule.mask.replacement(value)
}

/// Whether a model's field has no value because what would hold it is null or empty.
///
/// A member that an object lacks is not excused: it may have another name in this document.
fn is_excused<'p>(nodes: &mut Nodes<'p, '_>, rule: &'p Rule) -> bool {
    if rule.origin == Origin::Path {
        return false;
    }
    for segments in (0..rule.path.len()).rev() {
        let found = nodes.resolve_first(&rule.path, segments);
        if !found.is_empty() {
            return found.into_iter().all(|node| match nodes.value(node) {
                Some(Value::Array(list)) => list.is_empty(),
                Some(Value::Object(map)) => map.is_empty(),
                value => value.is_none_or(Value::is_null),
            });
        }
    }
    false
}

fn complain(report: &MaskReport, missing: MissingPath) -> Result<()> {
    let mut paths = report.missing();
    match missing {
        MissingPath::Ignore => Ok(()),
        MissingPath::Warn => {
            for path in paths {
                tracing::warn!(path, "nothing to mask: the path leads to nothing in the document");
            }
            Ok(())
        }
        MissingPath::Error => match (paths.next(), paths.count()) {
            (None, _) => Ok(()),
            (Some(path), more) => {
                let more = if more == 0 { String::new() } else { format!(", and {more} more") };
                Err(Error::new(ErrorKind::PathNotFound).message(format!("`{path}`{more}")).help(
                    "nothing was masked; correct the path, or allow it to be missing with `MissingPath::Ignore`",
                ))
            }
        },
    }
}

/// A list is masked element by element, and an object as one, unless the mask keeps objects.
fn add_targets<'p>(nodes: &mut Nodes<'p, '_>, rule: &Rule, target: Target, out: &mut Vec<Target>) {
    let into = match nodes.value(target.node) {
        Some(Value::Array(_)) => true,
        Some(Value::Object(_)) => rule.mask.keeps_objects(),
        _ => false,
    };
    if !into {
        return out.push(target);
    }
    // the list that a plain field of a model holds is no text, so its mask was not made for it
    let full = target.full || rule.origin == Origin::Field;
    let mut children = Vec::new();
    nodes.children(target.node, &mut children);
    for node in children {
        add_targets(nodes, rule, Target { node, full, ..target }, out);
    }
}

/// Leaves one target for each value, and none inside another. Where rules don't agree what a value is to
/// show, it shows nothing.
fn without_overlaps(
    nodes: &Nodes<'_, '_>,
    rules: &[Rule],
    targets: Vec<Target>,
    report: &mut MaskReport,
) -> Vec<Target> {
    let mut covered = |rule: usize| {
        if let Some(report) = report.rules.get_mut(rule) {
            report.covered += 1;
        }
    };
    let mut kept: Vec<Target> = Vec::with_capacity(targets.len());
    let mut by_address =
        HashMap::<usize, usize, RandomState>::with_capacity_and_hasher(targets.len(), RandomState::default());
    for target in targets {
        let earlier = *by_address.entry(nodes.address(target.node)).or_insert(kept.len());
        match kept.get_mut(earlier) {
            None => kept.push(target),
            Some(earlier) => {
                earlier.full |= target.full || !agree(rules, earlier.rule, target.rule);
                covered(target.rule);
            }
        }
    }
    let is_inside_another = |target: &Target| {
        let parents = std::iter::successors(nodes.parent(target.node), |node| nodes.parent(*node));
        parents.into_iter().any(|parent| by_address.contains_key(&nodes.address(parent)))
    };
    kept.retain(|target| {
        let is_inside = is_inside_another(target);
        if is_inside {
            covered(target.rule);
        }
        !is_inside
    });
    kept
}

fn agree(rules: &[Rule], one: usize, two: usize) -> bool {
    one == two
        || rules
            .get(one)
            .zip(rules.get(two))
            .is_some_and(|(one, two)| one.origin == two.origin && one.mask.same_as(&two.mask))
}
