//! What long operations say while they run and at their end. Context values are in none of it.

use std::fmt;

use crate::{error::Error, wire::KeyId};

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Records that it has looked at.
    pub looked_at: u64,
    /// Those of them that it changed, wrote or read as it was asked to.
    pub done: u64,
    /// Those of them that it could not work on.
    pub failed: u64,
    /// The last one of them. Records are visited in the order of their ids: an operation that takes
    /// a key to begin after can go on from here.
    pub last: Option<KeyId>,
}

impl Progress {
    /// Counts a record, and says what became of it.
    pub(super) fn count(&mut self, key_id: KeyId, is_done: bool, has_failed: bool) {
        self.looked_at += 1;
        self.done += u64::from(is_done);
        self.failed += u64::from(has_failed);
        self.last = Some(key_id);
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} looked at, {} done, {} failed", self.looked_at, self.done, self.failed)
    }
}

/// What is wrong with one key.
#[derive(Debug, Clone)]
pub struct KeyProblem {
    /// The key.
    pub key_id: KeyId,
    /// What is wrong.
    pub error: Error,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.error.key_id().is_some() {
            return write!(f, "{}", self.error);
        }
        write!(f, "key {}: {}", self.key_id, self.error)
    }
}

/// A line for each, indented, after the line before.
pub(super) fn write_lines<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    lines: &[T],
) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    write!(f, "\n{title}:")?;
    lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
}
