//! JSON documents: paths into them, and a reader that loses nothing in silence.

mod cursor;
mod filter;
mod node;
mod parse;
mod path;
mod reader;
mod resolve;
#[cfg(test)]
mod tests;
mod ways;
mod wipe;

use serde_json::Value;

pub(crate) use node::quoted_key;
pub use node::{NodePath, NodeStep};
pub use path::JsonPath;
pub(crate) use reader::{read_json, write_json};
pub(crate) use resolve::Nodes;
pub(crate) use ways::Ways;
pub(crate) use wipe::{WipedValue, wipe};

use crate::error::{Error, ErrorKind, Result};

/// How many lists and objects may stand inside one another.
///
/// A value inside the innermost of them is at level 128, where `serde_json` stops too.
pub(crate) const MAX_NESTING: usize = 127;

/// Refuses a document that is nested too deeply for anything that recurses.
///
/// # Errors
/// [`ErrorKind::InvalidDocument`].
pub(crate) fn check_nesting(document: &Value) -> Result<()> {
    if fits(document, MAX_NESTING) { Ok(()) } else { Err(too_deep()) }
}

pub(crate) fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidDocument)
        .message(format!("lists and objects are nested more than {MAX_NESTING} deep"))
        .help("nest the document less, or handle its inner parts one by one")
}

fn fits(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(list) => left > 0 && list.iter().all(|value| fits(value, left - 1)),
        Value::Object(map) => left > 0 && map.values().all(|value| fits(value, left - 1)),
        _ => true,
    }
}
