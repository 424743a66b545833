//! Masks by regular expression.

use regex_lite::{Regex, RegexBuilder};

use crate::error::{Error, ErrorKind, Result};

/// A pattern needs no more memory than this, in bytes.
const MAX_SIZE: usize = 64 * 1024;

/// What a regular expression without a match does to the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Unmatched {
    /// It is masked in full.
    #[default]
    Full,
    /// **It is shown as it is.** Only for patterns that find a secret within text which is none.
    ShowValue,
}

pub(super) struct RegexMask {
    regex: Regex,
    format: Box<str>,
    unmatched: Unmatched,
}

impl RegexMask {
    pub(super) fn new(pattern: &str, format: &str, unmatched: Unmatched) -> Result<Self> {
        let refused = |message: &str| Error::new(ErrorKind::Configuration).message(message.to_owned());
        let regex = RegexBuilder::new(pattern).size_limit(MAX_SIZE).build().map_err(|error| {
            refused("the pattern of a mask is no regular expression of `regex-lite`, or too large")
                .source(error)
        })?;
        if regex.is_match("") {
            return Err(refused("the pattern of a mask matches the empty text, which hides nothing")
                .help("write `+` in place of `*`"));
        }
        check_format(format, &regex)
            .map_err(refused)
            .map_err(|error| error.help("groups are written `$1`, `${1}` or `${name}`, and a dollar `$$`"))?;
        Ok(Self { regex, format: format.into(), unmatched })
    }

    /// `None` if the text is to be masked in full.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        let hides = self.regex.find_iter(text).any(|found| !found.is_empty());
        match self.unmatched {
            _ if hides => Some(self.regex.replace_all(text, &*self.format).into_owned()),
            Unmatched::Full => None,
            Unmatched::ShowValue => Some(text.to_owned()),
        }
    }
}

impl PartialEq for RegexMask {
    fn eq(&self, other: &Self) -> bool {
        let parts = |mask: &Self| (mask.regex.as_str().to_owned(), mask.format.clone(), mask.unmatched);
        parts(self) == parts(other)
    }
}

/// The crate replaces unknown groups by nothing, and reads `$1x` as a group `1x`: a mistake would show
/// only in what is masked.
fn check_format(format: &str, regex: &Regex) -> Result<(), &'static str> {
    let backreference = |pair: &[u8]| matches!(pair, [b'\\', digit] if digit.is_ascii_digit());
    if format.as_bytes().windows(2).any(backreference) || format.contains("\\g<") {
        return Err("the format of a mask has a group with a backslash");
    }
    let mut rest = format;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
            continue;
        }
        let (name, following) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("the format of a mask has `${` without `}`")?,
            None => {
                let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
                after.split_at(after.find(|character| !is_name(character)).unwrap_or(after.len()))
            }
        };
        let is_known = match name.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|known| known == name),
        };
        if !is_known {
            return Err("the format of a mask names a group that its pattern does not have");
        }
        rest = following;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(pattern: &str, format: &str, text: &str) -> Option<String> {
        RegexMask::new(pattern, format, Unmatched::Full).unwrap().apply(text)
    }

    fn refused(pattern: &str, format: &str) -> String {
        let error = RegexMask::new(pattern, format, Unmatched::Full).err().expect(pattern);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        error.to_string()
    }

    #[test]
    fn matches_are_replaced_and_the_rest_is_shown() {
        assert_eq!(apply(r"\d+", "#", "a1b22").as_deref(), Some("a#b#"));
        assert_eq!(apply(r"(?<first>\w)\w*", "${first}.$$", "Ada Lovelace").as_deref(), Some("A.$ L.$"));
        assert_eq!(apply(r"(\w)\w*", "${1}x", "Ada").as_deref(), Some("Ax"));
    }

    #[test]
    fn without_a_match_nothing_is_shown_unless_asked_for() {
        assert_eq!(apply(r"\d+", "#", "ada"), None);
        let show = RegexMask::new(r"\d+", "#", Unmatched::ShowValue).unwrap();
        assert_eq!(show.apply("ada").as_deref(), Some("ada"));
        assert_eq!(show.apply("ada7").as_deref(), Some("ada#"));
        // a match of nothing hides nothing
        assert_eq!(apply(r"\b", "#", "ada"), None);
    }

    #[test]
    fn what_would_hide_nothing_is_refused() {
        assert!(refused("x*", "#").contains("empty text"));
        assert!(refused("(", "#").contains("no regular expression"));
        assert!(refused("(a{500}){500}", "#").contains("too large"));
        for format in ["$1", "${1}", "$1x", "${name}", "$", "${1", r"\1", r"\g<1>", "$$$x"] {
            assert!(refused("a", format).contains("the format of a mask"), "{format}");
        }
        for format in ["$0", "${0}", "$$1", "a$$", ""] {
            assert!(RegexMask::new("a", format, Unmatched::Full).is_ok(), "{format}");
        }
    }
}
