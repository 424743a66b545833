//! Reading a path character by character.

use crate::error::{Error, ErrorKind, Result};

/// How much of a path an error shows.
const SHOWN: usize = 80;

/// The rest of a text, and how to complain about it.
pub(super) struct Cursor<'t> {
    whole: &'t str,
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { whole: text, rest: text }
    }

    pub(super) fn rest(&self) -> &'t str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    /// Goes past `expected`, if it comes next.
    pub(super) fn eat(&mut self, expected: &str) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Goes past the longest run of characters that fit.
    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Goes past this many bytes; all of them, if they don't end between characters.
    pub(super) fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|character| matches!(character, ' ' | '\t' | '\n' | '\r'));
    }

    /// An error about what comes next.
    pub(super) fn error(&self, why: &str) -> Error {
        let read = self.whole.len().saturating_sub(self.rest.len());
        let at = self.whole.get(..read).map_or(0, |read| read.chars().count()) + 1;
        Error::new(ErrorKind::InvalidPath).message(format!("{}: {why}, at character {at}", shown(self.whole)))
    }

    /// Goes past `expected`, or says what it is missing for.
    pub(super) fn expect(&mut self, expected: &str, why: &str) -> Result<()> {
        if self.eat(expected) { Ok(()) } else { Err(self.error(why)) }
    }
}

/// A path in an error: on one line, and not longer than a line.
pub(super) fn shown(path: &str) -> String {
    let tame: String = path.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if path.chars().nth(SHOWN).is_some() { format!("`{tame}...`") } else { format!("`{tame}`") }
}
