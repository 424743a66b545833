//! Ways into an item.

/// One step of a document path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// an attribute, or a key of a map
    Name(String),
    /// an element of a list; which one makes no difference to a sealed value
    Element,
}

/// A document path, with its placeholders resolved: `address.lines[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) attribute: String,
    pub(super) steps: Vec<Step>,
}
