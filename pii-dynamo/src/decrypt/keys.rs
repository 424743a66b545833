//! Items that were asked for by their keys: DynamoDB may give no other ones.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::Item;

/// The keys of a request.
#[derive(Clone)]
pub(super) enum Wanted {
    /// One item for each, in the same order.
    InOrder(Vec<Item>),
    /// Items in any order.
    AnyOf(Vec<Item>),
}

impl Wanted {
    /// Whether the item at this place of the answer was asked for.
    pub(super) fn includes(&self, place: usize, item: &Item) -> bool {
        match self {
            Self::InOrder(keys) => keys.get(place).is_some_and(|key| has_key(item, key)),
            Self::AnyOf(keys) => keys.iter().any(|key| has_key(item, key)),
        }
    }
}

fn has_key(item: &Item, key: &Item) -> bool {
    key.iter().all(|(name, wanted)| item.get(name).is_some_and(|found| is_same(found, wanted)))
}

fn is_same(found: &AttributeValue, wanted: &AttributeValue) -> bool {
    match (found, wanted) {
        // DynamoDB gives a number in a form of its own
        (AttributeValue::N(found), AttributeValue::N(wanted)) => {
            match (Decimal::of(found), Decimal::of(wanted)) {
                (Some(found), Some(wanted)) => found == wanted,
                _ => found == wanted,
            }
        }
        _ => found == wanted,
    }
}

/// A number, however it is written.
#[derive(PartialEq, Eq, Debug)]
struct Decimal {
    is_negative: bool,
    /// with neither zeros in front nor at the end; none of zero
    digits: String,
    /// of the last digit
    exponent: i64,
}

impl Decimal {
    /// Nothing for a text that is no number.
    fn of(text: &str) -> Option<Self> {
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((text, exponent)) => (text, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let shown = digits.trim_end_matches('0');
        if shown.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let zeros = i64::try_from(digits.len() - shown.len()).ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
        let digits = shown.trim_start_matches('0').to_owned();
        Some(Self { is_negative: text.starts_with('-'), digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (one, other) in
            [("7", "+007"), ("1.50", "1.5"), ("1e3", "1000"), ("0.012", "1.2E-2"), ("-0", "0"), ("0.0", "0")]
        {
            assert_eq!(Decimal::of(one).unwrap(), Decimal::of(other).unwrap(), "{one} {other}");
        }
        for (one, other) in
            [("7", "-7"), ("1.5", "15"), ("1", "10"), ("9007199254740993", "9007199254740992")]
        {
            assert_ne!(Decimal::of(one).unwrap(), Decimal::of(other).unwrap(), "{one} {other}");
        }
        for text in ["", "-", ".", "e1", "1e", "seven", "1.2.3", "NaN"] {
            assert_eq!(Decimal::of(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let item = |id: &str, city: &str| {
            Item::from([
                ("id".to_owned(), AttributeValue::S(id.into())),
                ("city".to_owned(), AttributeValue::S(city.into())),
            ])
        };
        let key = |id: &str| Item::from([("id".to_owned(), AttributeValue::S(id.into()))]);
        let in_order = Wanted::InOrder(vec![key("1"), key("2")]);
        assert!(in_order.includes(1, &item("2", "London")));
        assert!(!in_order.includes(0, &item("2", "London")) && !in_order.includes(2, &item("2", "London")));
        let any = Wanted::AnyOf(vec![key("1"), key("2")]);
        assert!(any.includes(0, &item("2", "London")) && !any.includes(0, &item("3", "London")));
        assert!(!any.includes(0, &Item::new()));
    }
}
