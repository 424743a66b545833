//! What stands in place of a value of a document.

use std::{borrow::Cow, fmt, sync::Arc};

use serde_json::Value;
use zeroize::Zeroizing;

#[cfg(feature = "regex")]
use super::regex::{RegexMask, Unmatched};
use crate::{
    mask::{self, FULL, Mask},
    wire::PREFIX,
};

/// How one rule of a [`Masker`](super::Masker) shows what its path leads to.
///
/// Every [`Mask`] is one, and there are more. None tells how long the value was but
/// [`dynamic`](Self::dynamic), which is there for that, and patterns and functions of yours, which show
/// what you let them; `Mask::Name` tells how many words there are.
///
/// What a mask does not fit, a short text or one of another form, is masked in full. So are truth
/// values, null and texts that begin with `ENC:`, which are sealed already. Numbers are masked as they
/// are written. Of a list each element is masked, and an object is replaced as a whole.
///
/// ```
/// # use pii_core as pii;
/// use pii::{FieldMask, Mask};
///
/// assert_eq!(FieldMask::from(Mask::Email).apply("ada@example.com"), "a****@example.com");
/// assert_eq!(FieldMask::fixed("[removed]").apply("ada@example.com"), "[removed]");
/// assert_eq!(FieldMask::last(2).apply("4111111111111111"), "*****11");
/// assert_eq!(FieldMask::first(3).apply("DE89370400440532013000"), "DE8****");
/// assert_eq!(FieldMask::dynamic().apply("900-12-3456"), "***-**-****");
/// ```
#[derive(Clone)]
pub struct FieldMask(Kind);

#[derive(Clone)]
enum Kind {
    Full,
    Fixed(Arc<str>),
    First(usize),
    Last(usize),
    /// one that shows parts by the form of the text
    Shaped(Mask),
    Dynamic,
    Custom(Arc<dyn Fn(&str) -> String + Send + Sync>),
    #[cfg(feature = "regex")]
    Regex(Arc<RegexMask>),
}

impl FieldMask {
    /// `*****`.
    #[must_use]
    pub fn full() -> Self {
        Self(Kind::Full)
    }

    /// Always this text, whatever the value.
    #[must_use]
    pub fn fixed(text: impl Into<String>) -> Self {
        Self(Kind::Fixed(text.into().into()))
    }

    /// `*****` and the last `shown` characters, if there are at least three and twice as many as are shown.
    #[must_use]
    pub fn last(shown: usize) -> Self {
        Self(Kind::Last(shown))
    }

    /// The first `shown` characters and `****`, if there are at least three and twice as many as are shown.
    #[must_use]
    pub fn first(shown: usize) -> Self {
        Self(Kind::First(shown))
    }

    /// A star for each character; hyphens, underscores, dots and blanks stay. An object keeps its keys, and
    /// each value in it is masked.
    ///
    /// **This tells the length and the form of a value**, which is often enough to guess it: `true` is not as
    /// long as `false`. Take it only where a layout depends on the length.
    #[must_use]
    pub fn dynamic() -> Self {
        Self(Kind::Dynamic)
    }

    /// A function of yours. It gets texts, and numbers as they are written.
    #[must_use]
    pub fn custom(mask: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(mask)))
    }

    /// Every match of a pattern replaced by `format`, in which `$1`, `${1}` and `${name}` stand for groups
    /// and `$$` for a dollar. What is not matched **is shown**. A text without a match is masked in full.
    ///
    /// ```
    /// # use pii_core as pii;
    /// use pii::FieldMask;
    ///
    /// let mask = FieldMask::regex(r"(\d{2})\d{3}", "$1***")?;
    /// assert_eq!(mask.apply("DE-10115"), "DE-10***");
    /// assert_eq!(mask.apply("SW1A 1AA"), "*****");
    /// # Ok::<(), pii::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the pattern is no regular expression
    /// of the crate `regex-lite`, is too large, or matches the empty text, which would hide nothing; or if
    /// the format names a group that the pattern does not have.
    #[cfg(feature = "regex")]
    pub fn regex(pattern: &str, format: &str) -> crate::Result<Self> {
        Self::regex_or(pattern, format, Unmatched::Full)
    }

    /// As [`regex`](Self::regex), with a choice of what becomes of a text without a match.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "regex")]
    pub fn regex_or(pattern: &str, format: &str, unmatched: Unmatched) -> crate::Result<Self> {
        RegexMask::new(pattern, format, unmatched).map(|mask| Self(Kind::Regex(Arc::new(mask))))
    }

    /// The text as the mask shows it.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let full = || FULL.to_owned();
        match &self.0 {
            Kind::Full => full(),
            Kind::Fixed(fixed) => fixed.as_ref().to_owned(),
            // a part of a sealed text says nothing to anybody
            _ if text.starts_with(PREFIX) => full(),
            Kind::Last(shown) if *shown > 0 => {
                mask::last(text, *shown, at_least(*shown)).map_or_else(full, |end| format!("{FULL}{end}"))
            }
            Kind::First(shown) if *shown > 0 => {
                first(text, *shown).map_or_else(full, |start| format!("{start}****"))
            }
            Kind::Last(_) | Kind::First(_) => full(),
            Kind::Shaped(mask) => mask.apply(text),
            Kind::Dynamic => {
                text.chars().map(|character| if keeps(character) { character } else { '*' }).collect()
            }
            Kind::Custom(mask) => mask(text),
            #[cfg(feature = "regex")]
            Kind::Regex(mask) => mask.apply(text).unwrap_or_else(full),
        }
    }

    /// What is shown in place of a value that is replaced as one.
    pub(super) fn replacement(&self, value: &Value) -> Cow<'_, str> {
        match (&self.0, value) {
            (Kind::Fixed(fixed), _) => Cow::Borrowed(&**fixed),
            (Kind::Full, _) => Cow::Borrowed(FULL),
            (_, Value::String(text)) => Cow::Owned(self.apply(text)),
            (_, Value::Number(number)) => Cow::Owned(self.apply(&Zeroizing::new(number.to_string()))),
            (Kind::Dynamic, Value::Bool(value)) => {
                Cow::Owned(self.apply(if *value { "true" } else { "false" }))
            }
            _ => Cow::Borrowed(FULL),
        }
    }

    /// Whether an object is kept, and what is in it masked.
    pub(super) fn keeps_objects(&self) -> bool {
        matches!(self.0, Kind::Dynamic)
    }

    /// Whether both show the same of every value, as far as that can be known.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Full, Kind::Full) | (Kind::Dynamic, Kind::Dynamic) => true,
            (Kind::Fixed(one), Kind::Fixed(two)) => one == two,
            (Kind::First(one), Kind::First(two)) | (Kind::Last(one), Kind::Last(two)) => one == two,
            (Kind::Shaped(one), Kind::Shaped(two)) => one.name() == two.name(),
            #[cfg(feature = "regex")]
            (Kind::Regex(one), Kind::Regex(two)) => one == two,
            // functions can't be compared
            _ => false,
        }
    }

    fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Full => "full",
            Kind::Fixed(_) => "fixed",
            Kind::First(_) => "first",
            Kind::Last(_) => "last",
            Kind::Shaped(mask) => mask.name(),
            Kind::Dynamic => "dynamic",
            Kind::Custom(_) => "custom",
            #[cfg(feature = "regex")]
            Kind::Regex(_) => "regex",
        }
    }
}

impl From<Mask> for FieldMask {
    fn from(mask: Mask) -> Self {
        Self(match mask {
            Mask::Full => Kind::Full,
            Mask::Last4 => Kind::Last(4),
            Mask::First => Kind::First(1),
            Mask::Custom(mask) => Kind::Custom(Arc::new(mask)),
            Mask::Email | Mask::Name | Mask::Card => Kind::Shaped(mask),
        })
    }
}

impl fmt::Debug for FieldMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldMask({})", self.name())
    }
}

/// How long a text must be that some characters may be shown of: half of it stays hidden.
fn at_least(shown: usize) -> usize {
    shown.saturating_mul(2).max(3)
}

fn first(text: &str, shown: usize) -> Option<&str> {
    if text.chars().count() < at_least(shown) {
        return None;
    }
    let (end, _) = text.char_indices().nth(shown)?;
    text.get(..end)
}

/// The characters that give a value its form.
fn keeps(character: char) -> bool {
    matches!(character, '-' | '_' | '.' | ' ')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_texts_are_masked_in_full() {
        assert_eq!(FieldMask::last(4).apply("1234567"), FULL);
        assert_eq!(FieldMask::last(4).apply("12345678"), "*****5678");
        assert_eq!(FieldMask::first(3).apply("abcde"), FULL);
        assert_eq!(FieldMask::first(3).apply("abcdef"), "abc****");
        for shown in [0, 3, usize::MAX] {
            assert_eq!(FieldMask::last(shown).apply("ab"), FULL);
            assert_eq!(FieldMask::first(shown).apply("ab"), FULL);
        }
        assert_eq!(FieldMask::last(1).apply("äöü"), "*****ü");
        assert_eq!(FieldMask::first(1).apply("äöü"), "ä****");
    }

    #[test]
    fn masks_of_models_show_the_same_here() {
        let masks = [Mask::Full, Mask::Last4, Mask::First, Mask::Email, Mask::Name, Mask::Card];
        let texts =
            ["", "a", "ab", "abc", "ada@example.com", "Ada Lovelace", "4111-1111-1111-1111", "äöüßéèêë"];
        for (mask, text) in masks.into_iter().flat_map(|mask| texts.map(|text| (mask, text))) {
            assert_eq!(FieldMask::from(mask).apply(text), mask.apply(text), "{mask:?} of {text}");
        }
        assert_eq!(FieldMask::from(Mask::Custom(str::to_uppercase)).apply("ada"), "ADA");
    }

    #[test]
    fn only_dynamic_tells_the_length() {
        let masks = [
            FieldMask::full(),
            FieldMask::fixed("-"),
            FieldMask::last(2),
            FieldMask::first(2),
            Mask::Email.into(),
            Mask::Card.into(),
        ];
        for mask in masks {
            let shown = |length: usize| mask.apply(&"7".repeat(length)).len();
            assert_eq!(shown(16), shown(1000), "{mask:?}");
        }
        assert_eq!(FieldMask::dynamic().apply("Zoë-東京"), "***-**");
    }

    #[test]
    fn what_is_no_text_is_shown_in_part_only_if_it_is_a_number() {
        let shown = |mask: &FieldMask| {
            [json!(1_234_567_890), json!(true), json!(null), json!({})]
                .map(|value| mask.replacement(&value).into_owned())
        };
        assert_eq!(shown(&FieldMask::last(4)), ["*****7890", FULL, FULL, FULL]);
        assert_eq!(shown(&FieldMask::fixed("-")), ["-"; 4]);
        assert_eq!(shown(&FieldMask::custom(str::to_owned)), ["1234567890", FULL, FULL, FULL]);
        assert_eq!(shown(&FieldMask::dynamic()), ["**********", "****", FULL, FULL]);
    }

    #[test]
    fn of_sealed_texts_nothing_is_shown() {
        for mask in [FieldMask::last(4), FieldMask::dynamic(), FieldMask::custom(str::to_owned)] {
            assert_eq!(mask.apply("ENC:AgHrSPL9lB7vtwYz"), FULL);
        }
    }

    #[test]
    fn debug_shows_no_fixed_text() {
        assert_eq!(format!("{:?}", FieldMask::fixed("ada")), "FieldMask(fixed)");
    }
}
