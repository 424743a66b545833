//! Personal data of nobody.

use std::fmt;

/// Made-up personal data: always the same for a number, in the formats of real data, and nobody's.
///
/// Domains and numbers are those that are reserved for examples, or can't be given out: `example.com` by RFC 2606,
/// telephone numbers 555-0100 to 555-0199, social security numbers from 900 on, card numbers of the test range
/// 4000 00, accounts at the bank `TEST`. Check digits are right. Names hold what breaks careless code: an
/// apostrophe, accents, other scripts.
///
/// ```
/// # use pii_core as pii;
/// let person = pii::testing::Person::numbered(3);
/// assert_eq!(person.email, "person.3@example.com");
/// assert_eq!(person, pii::testing::Person::numbered(3));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Person {
    /// Unlike other ids, this is not personal.
    pub number: u32,
    /// Given name and family name.
    pub name: String,
    /// An e-mail address; each number has another.
    pub email: String,
    /// A telephone number with country code; the same again after 100 numbers.
    pub phone: String,
    /// Street, town and country in one line; each number has another.
    pub address: String,
    /// A date of birth, as in ISO 8601; the same again after 84 numbers.
    pub birthday: String,
    /// A social security number of the United States, from a range that is never given out; each number up to
    /// 9,999 has another.
    pub ssn: String,
    /// A card number with 16 digits; each number has another.
    pub card: String,
    /// A British bank account by IBAN; each number up to 99,999,999 has another.
    pub iban: String,
}

const GIVEN: [&str; 8] = ["Ada", "Žofie", "Seán", "Νίκη", "Zoë", "美咲", "Ngọc", "Jean-Luc"];
const FAMILY: [&str; 7] =
    ["Example", "O'Sample", "Müller-Muster", "de la Prueba", "Пример", "Testová", "Esempio"];

impl Person {
    /// The person of this number.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        let of = |names: &[&'static str]| {
            let index = usize::try_from(number).unwrap_or_default() % names.len().max(1);
            names.get(index).copied().unwrap_or_default()
        };
        let (year, month, day) = (1950 + number % 7 * 8, 1 + number % 12, 1 + number % 28);
        Self {
            number,
            name: format!("{} {}", of(&GIVEN), of(&FAMILY)),
            email: format!("person.{number}@example.com"),
            phone: format!("+1 202 555 01{:02}", number % 100),
            address: format!("{number} Nowhere Lane, Exampleton, Utopia"),
            birthday: format!("{year}-{month:02}-{day:02}"),
            ssn: format!("900-00-{:04}", number % 10_000),
            card: with_luhn_digit(&format!("40000{number:010}")),
            iban: british_iban("TEST", &format!("000000{:08}", number % 100_000_000)),
        }
    }

    /// The people numbered from 1 to `count`.
    #[must_use]
    pub fn several(count: u32) -> Vec<Self> {
        (1..=count).map(Self::numbered).collect()
    }

    /// All that is personal, to look for where it must not be.
    #[must_use]
    pub fn plaintexts(&self) -> [&str; 8] {
        [
            &self.name,
            &self.email,
            &self.phone,
            &self.address,
            &self.birthday,
            &self.ssn,
            &self.card,
            &self.iban,
        ]
    }
}

impl fmt::Debug for Person {
    /// The number only, so that a failing test shows none of the plaintexts that it looks for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({})", self.number)
    }
}

/// Adds the check digit of ISO/IEC 7812-1.
fn with_luhn_digit(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let value = u32::from(digit.wrapping_sub(b'0')) * if index % 2 == 0 { 2 } else { 1 };
            value / 10 + value % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// An IBAN with the check digits of ISO 7064, MOD 97-10.
fn british_iban(bank: &str, account: &str) -> String {
    let remainder = format!("{bank}{account}GB00").chars().fold(0, |remainder, character| {
        let value = character.to_digit(36).unwrap_or_default();
        (remainder * if value > 9 { 100 } else { 10 } + value) % 97
    });
    format!("GB{:02}{bank}{account}", 98 - remainder)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn check_digits_are_right() {
        // published examples: a Visa test number, and the IBAN of the standard's registry
        assert_eq!(with_luhn_digit("411111111111111"), "4111111111111111");
        assert_eq!(british_iban("NWBK", "60161331926819"), "GB29NWBK60161331926819");
        assert_eq!(Person::numbered(7).card.len(), 16);
        assert_eq!(Person::numbered(u32::MAX).card.len(), 16);
    }

    #[test]
    fn people_differ_and_stay_who_they_are() {
        let people = Person::several(300);
        assert_eq!(people, Person::several(300));
        let differ = |text: fn(&Person) -> &str| people.iter().map(text).collect::<HashSet<_>>().len();
        assert_eq!(differ(|person| &person.email), 300);
        assert_eq!(differ(|person| &person.card), 300);
        assert_eq!(differ(|person| &person.iban), 300);
        assert!(people.iter().any(|person| person.name.contains('\'')));
        assert!(people.iter().flat_map(Person::plaintexts).all(|text| text.len() >= 8));
        assert_eq!(format!("{:?}", people[6]), "Person(7)");
    }
}
