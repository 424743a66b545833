//! Paths: text, parsed once.

use std::{fmt, str::FromStr};

use serde_json::Value;

use super::{check_nesting, filter::Filter, node::NodePath, parse, resolve::Nodes};
use crate::error::{Error, Result};

/// A path into JSON documents, parsed once and used often.
///
/// It reads RFC 9535 (JSONPath) and the common forms that are older:
///
/// | form | selects |
/// |---|---|
/// | `$` | the whole document |
/// | `$.customer.email`, `customer.email` | a member of a member; the `$.` may be left out |
/// | `$['first name']`, `$["a.b"]`, `'first name'`, `a.'b c'` | keys with other characters than letters, digits, `_`, `-` and `@` |
/// | `cards[0]`, `cards[-1]` | an element, counted from the front or from the end |
/// | `cards[1:3]`, `cards[::2]`, `cards[::-1]` | a slice, as in Python |
/// | `cards[*].number`, `address.*` | all elements, all members |
/// | `$['a','b']`, `cards[0,2]`, `card.number,cvv` | several at once |
/// | `customer..email`, `$..email` | at any depth |
/// | `` a.b.`parent`.c `` | from a member back to what holds it |
/// | `addresses[?(@.postcode > 12000)].street` | elements for which a condition holds: with the feature `json-path-filters` |
///
/// Paths have at most 1,024 bytes, 128 segments, 32 selectors in one pair of brackets and 16 times
/// `..`. Conditions may not nest brackets deeper than 16, use `..` twice, refer to the root of the
/// document (`$`) or have lists of selectors in brackets. Time and memory grow with the size of the
/// document and no faster, whatever the path.
///
/// ```
/// # use pii_core as pii;
/// use pii::JsonPath;
///
/// let path = JsonPath::parse("orders[*].card")?;
/// let document = serde_json::json!({ "orders": [{ "card": "4111" }, {}, { "card": "4000" }] });
/// let found: Vec<String> = path.resolve(&document)?.iter().map(ToString::to_string).collect();
/// assert_eq!(found, ["$['orders'][0]['card']", "$['orders'][2]['card']"]);
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Clone)]
pub struct JsonPath {
    text: Box<str>,
    pub(super) segments: Vec<Segment>,
}

/// One step of a path, from each node that was found so far.
#[derive(Clone)]
pub(super) enum Segment {
    Children(Vec<Selector>),
    /// of the node, and of everything in it
    Descendants(Vec<Selector>),
    Parent,
}

/// What a segment selects among the children of a node.
#[derive(Clone, PartialEq)]
pub(super) enum Selector {
    Key(Box<str>),
    Index(i64),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Wildcard,
    Filter(Filter),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPath`](crate::ErrorKind::InvalidPath) if it is none, is beyond the limits
    /// above, or needs a feature that is off. The message says at which character, and shows the path.
    pub fn parse(text: &str) -> Result<Self> {
        parse::segments(text).map(|segments| Self { text: text.into(), segments })
    }

    /// The whole document.
    pub(crate) fn root() -> Self {
        Self { text: "$".into(), segments: Vec::new() }
    }

    /// The concrete places in a document that the path leads to, each once, in the order in which it
    /// reaches them; none, if it leads nowhere.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDocument`](crate::ErrorKind::InvalidDocument) if lists and objects are nested
    /// more than 127 deep.
    pub fn resolve(&self, document: &Value) -> Result<Vec<NodePath>> {
        check_nesting(document)?;
        let mut nodes = Nodes::new(document);
        let found = nodes.resolve(self);
        Ok(found.into_iter().map(|id| nodes.path(id)).collect())
    }

    /// The text that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether what it leads to can lie inside something else that it leads to, or be reached twice.
    pub(crate) fn may_overlap(&self) -> bool {
        let depth_differs = |segment: &Segment| !matches!(segment, Segment::Children(_));
        self.segments.iter().any(depth_differs)
    }

    /// How many segments it has.
    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }
}

impl FromStr for JsonPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl PartialEq for JsonPath {
    /// Whether the texts are the same.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for JsonPath {}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonPath({})", self.text)
    }
}
