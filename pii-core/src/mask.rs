//! Masks: what a person may see of a value.

use std::fmt;

use zeroize::Zeroizing;

/// What every full mask shows, whatever the length of the value.
pub(crate) const FULL: &str = "*****";

/// How a value is shown in `Debug` output, logs and support screens.
///
/// ```
/// # use pii_core as pii;
/// use pii::Mask;
///
/// assert_eq!(Mask::Full.apply("ada@example.com"), "*****");
/// assert_eq!(Mask::Last4.apply("123-45-6789"), "*****6789");
/// assert_eq!(Mask::Email.apply("ada@example.com"), "a****@example.com");
/// assert_eq!(Mask::Name.apply("Ada Lovelace"), "A**** L****");
/// ```
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub enum Mask {
    /// Nothing of it, not even its length.
    #[default]
    Full,
    /// The last four characters, if it has at least eight.
    Last4,
    /// The first character, if it has at least three.
    First,
    /// The first character and the domain of an e-mail address.
    Email,
    /// The first letter of each word, if the word has at least two. How many words there are is seen.
    Name,
    /// The last four digits of a card number, if it has at least twelve digits.
    Card,
    /// A function of the user's.
    Custom(fn(&str) -> String),
}

impl Mask {
    /// The value as the mask shows it. What does not have the expected form is masked in full.
    #[must_use]
    pub fn apply(self, text: &str) -> String {
        let full = || FULL.to_owned();
        match self {
            Self::Full => full(),
            Self::Last4 => last(text, 4, 8).map_or_else(full, |shown| format!("{FULL}{shown}")),
            Self::First => first(text, 3).map_or_else(full, |shown| format!("{shown}****")),
            Self::Email => email(text).unwrap_or_else(full),
            Self::Name => name(text).unwrap_or_else(full),
            Self::Card => {
                let digits = only_digits(text);
                last(&digits, 4, 12).map_or_else(full, |shown| format!("**** **** **** {shown}"))
            }
            Self::Custom(mask) => mask(text),
        }
    }

    /// The name, as in `#[pii(mask = "...")]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Last4 => "last4",
            Self::First => "first",
            Self::Email => "email",
            Self::Name => "name",
            Self::Card => "card",
            Self::Custom(_) => "custom",
        }
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({})", self.name())
    }
}

/// The digits, in one block that is wiped and never left for a larger one.
fn only_digits(text: &str) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    digits.extend(text.chars().filter(char::is_ascii_digit));
    digits
}

/// The last `shown` characters of a text that has at least `at_least`.
pub(crate) fn last(text: &str, shown: usize, at_least: usize) -> Option<&str> {
    let length = text.chars().count();
    if length < at_least {
        return None;
    }
    let (start, _) = text.char_indices().nth(length.checked_sub(shown)?)?;
    text.get(start..)
}

fn first(text: &str, at_least: usize) -> Option<char> {
    (text.chars().count() >= at_least).then(|| text.chars().next()).flatten()
}

fn email(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    if local.is_empty() || !domain.contains('.') || domain.contains(char::is_whitespace) {
        return None;
    }
    let shown = first(local, 2).map(String::from).unwrap_or_default();
    Some(format!("{shown}****@{domain}"))
}

fn name(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| first(word, 2).map_or_else(|| "****".to_owned(), |shown| format!("{shown}****")))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_are_masked_in_full() {
        assert_eq!(Mask::Last4.apply("1234567"), FULL);
        assert_eq!(Mask::Card.apply("4111 1111"), FULL);
        assert_eq!(Mask::First.apply("ab"), FULL);
        assert_eq!(Mask::Email.apply("not an address"), FULL);
        assert_eq!(Mask::Email.apply("a@example.com"), "****@example.com");
        assert_eq!(Mask::Name.apply("  "), FULL);
    }

    #[test]
    fn characters_are_not_cut() {
        assert_eq!(Mask::Last4.apply("äöüßéèêë"), "*****éèêë");
        assert_eq!(Mask::Name.apply("Žofie Černá"), "Ž**** Č****");
    }

    #[test]
    fn a_card_shows_its_last_digits() {
        assert_eq!(Mask::Card.apply("4111-1111-1111-1234"), "**** **** **** 1234");
    }
}
