//! Texts that count as the same: what is done to a value before its index is computed.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::{
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
};

/// What is done to a text before a blind index is computed of it, so that texts which people take for
/// the same are found together.
///
/// The name is part of the index's key: another normaliser gives another index, which should have another name
/// too. What a normaliser does must therefore never change; a new way of doing it is a new version.
///
/// ```
/// # use pii_core as pii;
/// use pii::index::Normalizer;
///
/// /// `+49 170 1234567` and `0049170/1234567` are one number.
/// const PHONE: Normalizer = Normalizer::custom("phone", 1, |text| {
///     let digits: String = text.chars().filter(char::is_ascii_digit).collect();
///     digits.trim_start_matches('0').to_owned()
/// });
/// assert_eq!(PHONE.name(), "phone@1");
/// ```
#[derive(Clone, Copy)]
pub struct Normalizer {
    name: &'static str,
    /// 0 for those of this library
    version: u32,
    apply: Apply,
}

#[derive(Clone, Copy)]
enum Apply {
    Trim,
    Lower,
    Email,
    Digits,
    Last4,
    First,
    CaseFold,
    Custom(fn(&str) -> String),
}

impl Normalizer {
    /// `trim`: without white space at both ends (the Unicode property `White_Space`).
    pub const TRIM: Self = Self::own("trim", Apply::Trim);
    /// `lower`: in lower case, by Unicode's default mapping.
    pub const LOWER: Self = Self::own("lower", Apply::Lower);
    /// `email`: without white space at both ends, in lower case. Dots and `+tags` stay: only some providers
    /// ignore them.
    pub const EMAIL: Self = Self::own("email", Apply::Email);
    /// `digits`: the digits 0 to 9 alone, for numbers that people write with spaces, dots or dashes.
    pub const DIGITS: Self = Self::own("digits", Apply::Digits);
    /// `last4`: the last four characters; of a shorter text all.
    pub const LAST4: Self = Self::own("last4", Apply::Last4);
    /// `first`: the first character.
    pub const FIRST: Self = Self::own("first", Apply::First);
    /// `casefold`: without regard to case and to compatibility forms, by Unicode's case folding and NFKC
    /// (definition D146 of the Unicode standard, in NFKC): `Straße` and `STRASSE`, full-width and plain letters.
    pub const CASE_FOLD: Self = Self::own("casefold", Apply::CaseFold);

    /// One of your own. Name and version stand for what `apply` does: when that changes, so must the
    /// version, and then it is for another index, beside the one that rows were written with.
    #[must_use]
    pub const fn custom(name: &'static str, version: u32, apply: fn(&str) -> String) -> Self {
        Self { name, version, apply: Apply::Custom(apply) }
    }

    const fn own(name: &'static str, apply: Apply) -> Self {
        Self { name, version: 0, apply }
    }

    /// The name as it stands in the index's key, such as `email` or `phone@1`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.apply {
            Apply::Custom(_) => format!("{}@{}", self.name, self.version),
            _ => self.name.to_owned(),
        }
    }

    /// What is left of a text.
    fn apply<'t>(&self, text: &'t str) -> Normalized<'t> {
        match self.apply {
            Apply::Trim => Normalized::Part(text.trim()),
            Apply::Lower => lower(text),
            Apply::Email => lower(text.trim()),
            Apply::Digits if text.bytes().all(|byte| byte.is_ascii_digit()) => Normalized::Part(text),
            Apply::Digits => Normalized::of(collected(text.len(), text.chars().filter(char::is_ascii_digit))),
            Apply::Last4 => {
                let start = text.char_indices().rev().nth(3).map_or(0, |(start, _)| start);
                Normalized::Part(text.get(start..).unwrap_or_default())
            }
            Apply::First => {
                let end = text.chars().next().map_or(0, char::len_utf8);
                Normalized::Part(text.get(..end).unwrap_or_default())
            }
            Apply::CaseFold => Normalized::Other(case_folded(text)),
            Apply::Custom(apply) => Normalized::of(apply(text)),
        }
    }
}

/// What is left of a text. Where that is a part of it, there is no copy to wipe.
enum Normalized<'t> {
    Part(&'t str),
    Other(Zeroizing<String>),
}

impl Normalized<'_> {
    fn of(text: String) -> Self {
        Self::Other(Zeroizing::new(text))
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Part(text) => text,
            Self::Other(text) => text,
        }
    }

    /// What another normaliser leaves of it.
    fn then(self, next: &Normalizer) -> Self {
        match self {
            Self::Part(text) => next.apply(text),
            Self::Other(text) => match next.apply(&text) {
                Normalized::Part(part) => Self::of(part.to_owned()),
                Normalized::Other(other) => Self::Other(other),
            },
        }
    }
}

/// In lower case.
fn lower(text: &str) -> Normalized<'_> {
    let is_lower = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    // without a branch for each byte, so that many are looked at together
    match text.bytes().fold(true, |all, byte| all & is_lower(byte)) {
        true => Normalized::Part(text),
        false => Normalized::of(text.to_lowercase()),
    }
}

impl std::fmt::Debug for Normalizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Normalizer({})", self.name())
    }
}

/// What is left of a text after all of them, in their order; `None` if nothing is.
///
/// # Errors
/// [`ErrorKind::Configuration`] where something that is no text is to be normalised.
pub(crate) fn normalize(
    normalizers: &[Normalizer],
    is_text: bool,
    bytes: &[u8],
) -> Result<Option<SecretBytes>> {
    with_normalized(normalizers, is_text, bytes, SecretBytes::copy_from)
}

/// The same, for who needs no block of its own for it.
///
/// # Errors
/// As [`normalize`].
pub(crate) fn with_normalized<T>(
    normalizers: &[Normalizer],
    is_text: bool,
    bytes: &[u8],
    take: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>> {
    if bytes.is_empty() && is_text {
        return Ok(None);
    }
    let Some((first, rest)) = normalizers.split_first() else {
        return Ok(Some(take(bytes)));
    };
    let text = std::str::from_utf8(bytes).ok().filter(|_| is_text).ok_or_else(|| {
        Error::new(ErrorKind::Configuration).message("only text can be normalised before it is indexed")
    })?;
    let normalized = rest.iter().fold(first.apply(text), Normalized::then);
    let left = normalized.as_str();
    Ok((!left.is_empty()).then(|| take(left.as_bytes())))
}

/// NFKC(fold(NFKC(fold(NFD(text))))).
fn case_folded(text: &str) -> Zeroizing<String> {
    let room = text.len().saturating_mul(3);
    let once = Zeroizing::new(collected(room, text.nfd().default_case_fold().nfkc()));
    Zeroizing::new(collected(room, once.chars().default_case_fold().nfkc()))
}

/// In a block that need not grow, so that none is left behind unwiped.
fn collected(room: usize, chars: impl Iterator<Item = char>) -> String {
    let mut text = String::with_capacity(room);
    text.extend(chars);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(normalizers: &[Normalizer], text: &str) -> Option<String> {
        let bytes = normalize(normalizers, true, text.as_bytes()).unwrap()?;
        Some(String::from_utf8(bytes.expose().to_vec()).unwrap())
    }

    #[test]
    fn each_does_what_it_is_named_for() {
        let cases = [
            (Normalizer::TRIM, "\u{a0} Ada\t", "Ada"),
            (Normalizer::LOWER, "ÄDA Σ", "äda σ"),
            (Normalizer::LOWER, "ada_1@[`{z", "ada_1@[`{z"),
            (Normalizer::EMAIL, " Ada@Example.COM\n", "ada@example.com"),
            (Normalizer::EMAIL, "\tada@example.com ", "ada@example.com"),
            (Normalizer::DIGITS, "123-45 6789", "123456789"),
            (Normalizer::DIGITS, "0123456789", "0123456789"),
            (Normalizer::DIGITS, "1\u{0661}2", "12"),
            (Normalizer::LAST4, "123-45-6789", "6789"),
            (Normalizer::LAST4, "né", "né"),
            (Normalizer::FIRST, "Éric", "É"),
            (Normalizer::CASE_FOLD, "Stra\u{df}e", "strasse"),
            (Normalizer::CASE_FOLD, "\u{ff21}\u{ff44}\u{ff41}", "ada"),
            (Normalizer::CASE_FOLD, "E\u{301}", "é"),
        ];
        for (normalizer, text, expected) in cases {
            assert_eq!(normalized(&[normalizer], text).as_deref(), Some(expected), "{normalizer:?}");
        }
    }

    #[test]
    fn they_work_one_after_the_other() {
        let both = [Normalizer::DIGITS, Normalizer::LAST4];
        assert_eq!(normalized(&both, "123-45-67 8 9").as_deref(), Some("6789"));
        assert_eq!(normalized(&both, "123456789").as_deref(), Some("6789"));
        let all = [Normalizer::TRIM, Normalizer::LOWER, Normalizer::FIRST, Normalizer::CASE_FOLD];
        assert_eq!(normalized(&all, " Ada ").as_deref(), Some("a"));
        assert_eq!(normalized(&[], " as it is ").as_deref(), Some(" as it is "));
    }

    #[test]
    fn nothing_is_left_of_nothing() {
        for (normalizers, text) in
            [(&[][..], ""), (&[Normalizer::TRIM], " \t"), (&[Normalizer::DIGITS], "none")]
        {
            assert_eq!(normalized(normalizers, text), None);
        }
    }

    #[test]
    fn what_is_no_text_is_not_normalised() {
        assert!(normalize(&[Normalizer::TRIM], false, &[0; 16]).is_err());
        assert!(normalize(&[], false, &[0; 16]).unwrap().is_some());
    }
}
