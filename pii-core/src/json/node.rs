//! Concrete places in a document.

use std::fmt;

use serde_json::Value;

/// The place of one value in a document: the keys and indices that lead to it.
///
/// `Display` writes the normalized path of RFC 9535, section 2.7, which is the same for the same place
/// whatever path led to it, and which [`JsonPath::parse`](super::JsonPath::parse) reads. It shows keys
/// of the document; where those are personal data, don't print it. `Debug` hides them.
///
/// ```
/// # use pii_core as pii;
/// let mut document = serde_json::json!({ "it's": [1, 2] });
/// let found = pii::JsonPath::parse("*[-1]")?.resolve(&document)?;
/// assert_eq!(found[0].to_string(), r"$['it\'s'][1]");
/// assert_eq!(format!("{:?}", found[0]), "NodePath($[*****][1])");
/// *found[0].get_mut(&mut document).expect("it was just found") = "two".into();
/// assert_eq!(document["it's"][1], "two");
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodePath(Vec<NodeStep>);

/// One step of a [`NodePath`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeStep {
    /// To the member of an object.
    Key(String),
    /// To the element of a list, counted from 0.
    Index(usize),
}

impl NodePath {
    pub(super) fn new(steps: Vec<NodeStep>) -> Self {
        Self(steps)
    }

    /// The steps from the root; none for the root itself.
    #[must_use]
    pub fn steps(&self) -> &[NodeStep] {
        &self.0
    }

    /// The value at this place, if the document has the place.
    #[must_use]
    pub fn get<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(document, |value, step| match step {
            NodeStep::Key(key) => value.as_object()?.get(key),
            NodeStep::Index(index) => value.as_array()?.get(*index),
        })
    }

    /// The value at this place, to change it, if the document has the place.
    #[must_use]
    pub fn get_mut<'v>(&self, document: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(document, |value, step| match step {
            NodeStep::Key(key) => value.as_object_mut()?.get_mut(key),
            NodeStep::Index(index) => value.as_array_mut()?.get_mut(*index),
        })
    }

    /// Whether the other place is this one, or lies inside it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|step| match step {
            NodeStep::Key(key) => write_key(key, f),
            NodeStep::Index(index) => write!(f, "[{index}]"),
        })
    }
}

/// The key in brackets and quotes, as normalized paths have it.
pub(crate) fn quoted_key(key: &str) -> String {
    NodePath(vec![NodeStep::Key(key.to_owned())]).to_string().split_off(1)
}

fn write_key(key: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("['")?;
    for character in key.chars() {
        match character {
            '\'' => f.write_str(r"\'")?,
            '\\' => f.write_str(r"\\")?,
            '\u{8}' => f.write_str(r"\b")?,
            '\t' => f.write_str(r"\t")?,
            '\n' => f.write_str(r"\n")?,
            '\u{c}' => f.write_str(r"\f")?,
            '\r' => f.write_str(r"\r")?,
            control if control < ' ' => write!(f, r"\u{:04x}", u32::from(control))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("']")
}

impl fmt::Debug for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodePath($")?;
        self.0.iter().try_for_each(|step| write!(f, "[{step:?}]"))?;
        f.write_str(")")
    }
}

impl fmt::Debug for NodeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_) => f.write_str(crate::mask::FULL),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}
