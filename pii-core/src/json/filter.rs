//! Conditions in paths, by the crate `serde_json_path`.

use super::cursor::Cursor;
use crate::error::Result;

#[cfg(not(feature = "json-path-filters"))]
pub(super) use off::Filter;
#[cfg(feature = "json-path-filters")]
pub(super) use on::Filter;

const MAX_NESTING: usize = 16;

impl Filter {
    /// Reads what follows the question mark, up to the comma or bracket that ends it.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let end = end_of(cursor)?;
        Self::parse(cursor, end)
    }
}

/// The number of bytes of a condition, which obeys our limits.
///
/// With a list of selectors in brackets, with `..` twice or with paths from the root, its cost could
/// grow faster than the document.
fn end_of(cursor: &Cursor<'_>) -> Result<usize> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut descents = 0;
    let mut characters = cursor.rest().char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if let Some(end) = quote {
            match character {
                '\\' => drop(characters.next()),
                _ if character == end => quote = None,
                _ => {}
            }
            continue;
        }
        match character {
            '\'' | '"' => quote = Some(character),
            '(' | '[' => open.push(character),
            ',' | ']' if open.is_empty() => return Ok(at),
            ',' if open.last() == Some(&'[') => {
                return Err(cursor.error("a condition can't have several selectors in brackets"));
            }
            ')' | ']' => {
                let opens = if character == ')' { '(' } else { '[' };
                if open.pop() != Some(opens) {
                    return Err(cursor.error("the brackets of the condition don't match"));
                }
            }
            '$' => return Err(cursor.error("a condition can't refer to the whole document by `$`")),
            '.' if characters.peek().is_some_and(|(_, next)| *next == '.') => {
                characters.next();
                descents += 1;
            }
            _ => {}
        }
        if descents > 1 {
            return Err(cursor.error("a condition can't have `..` twice"));
        }
        if open.len() > MAX_NESTING {
            return Err(cursor.error(&format!("brackets in a condition nest at most {MAX_NESTING} deep")));
        }
    }
    Err(cursor.error("the condition does not end"))
}

#[cfg(not(feature = "json-path-filters"))]
mod off {
    use std::convert::Infallible;

    use super::{super::cursor::Cursor, Result};

    /// There is none.
    #[derive(Clone, PartialEq)]
    pub(in super::super) struct Filter(Infallible);

    impl Filter {
        pub(super) fn parse(cursor: &Cursor<'_>, _: usize) -> Result<Self> {
            Err(cursor
                .error("conditions in paths are switched off")
                .help("turn on the feature `json-path-filters` of the crate `pii`"))
        }

        pub(in super::super) fn accepts(&self, _: &serde_json::Value) -> Vec<usize> {
            match self.0 {}
        }
    }
}

#[cfg(feature = "json-path-filters")]
mod on {
    use serde_json::Value;
    use serde_json_path::JsonPath as Query;

    use super::{super::cursor::Cursor, Result};

    /// A condition on the elements or members of a node.
    #[derive(Clone)]
    pub(in super::super) struct Filter {
        text: Box<str>,
        /// `$[?...]`, to be asked of the node as if it were a whole document
        query: Query,
    }

    impl Filter {
        pub(super) fn parse(cursor: &mut Cursor<'_>, bytes: usize) -> Result<Self> {
            let text = with_doubled_operators(cursor.rest().get(..bytes).unwrap_or_default());
            // the message of the crate's error says no more, and counts from another beginning
            let Ok(query) = Query::parse(&format!("$[?{text}]")) else {
                return Err(cursor
                    .error("this is no condition")
                    .help("write it as RFC 9535 does: `[?@.postcode > 12000 && @.country == 'DE']`"));
            };
            cursor.take(bytes);
            Ok(Self { text: text.into(), query })
        }

        /// The children for which the condition holds, by address.
        pub(in super::super) fn accepts(&self, parent: &Value) -> Vec<usize> {
            self.query.query(parent).all().into_iter().map(|value| std::ptr::from_ref(value).addr()).collect()
        }
    }

    impl PartialEq for Filter {
        fn eq(&self, other: &Self) -> bool {
            self.text == other.text
        }
    }

    /// `&` and `|`, which older libraries know, are written twice in RFC 9535.
    fn with_doubled_operators(condition: &str) -> String {
        let mut text = String::with_capacity(condition.len() + 8);
        let mut quote = None;
        let mut characters = condition.chars().peekable();
        while let Some(character) = characters.next() {
            text.push(character);
            match (quote, character) {
                (Some(_), '\\') => text.extend(characters.next()),
                (Some(end), _) if end == character => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(character),
                (None, '&' | '|') => {
                    if characters.peek() == Some(&character) {
                        characters.next();
                    }
                    text.push(character);
                }
                (None, _) => {}
            }
        }
        text
    }
}
