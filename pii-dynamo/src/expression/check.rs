//! What an expression may do with a sealed attribute.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Ciphertext, Error, ErrorKind, FieldSpec, Holds, PlaintextPolicy, Result};

use super::{
    Meanings,
    tokens::tokens,
    uses::{How, in_condition, in_update},
};

/// What is at the end of a path.
enum Target {
    /// a sealed value, or several
    Values(&'static FieldSpec),
    /// a nested struct with sealed fields in it
    Nested(&'static [FieldSpec]),
}

/// Refuses a condition that compares a sealed attribute, except with a sealed text: to change a value only
/// if it is still the one that was read.
pub(crate) fn check_condition(
    fields: &[&'static FieldSpec],
    expression: Option<&str>,
    meanings: Meanings<'_>,
) -> Result<()> {
    let Some(expression) = expression else { return Ok(()) };
    let Some(tokens) = tokens(expression, meanings) else { return Err(unreadable()) };
    for used in in_condition(&tokens) {
        let Some(target) = target(fields, &used.path) else { continue };
        let is_fine = match (&used.how, target) {
            (How::Tested, _) => true,
            (How::EqualTo(value), Target::Values(field)) => {
                value_of(meanings, value).is_some_and(|value| is_text(field, value))
            }
            _ => false,
        };
        if !is_fine {
            return Err(Error::new(ErrorKind::Configuration)
                .message(format!(
                    "a condition compares the attribute `{}`, which is sealed: no sealed value equals another",
                    used.path.join(".")
                ))
                .help("search by a blind index of the field, or by a plain attribute"));
        }
    }
    Ok(())
}

/// Refuses an update that sets a sealed attribute to anything but a sealed text.
pub(crate) fn check_update(
    fields: &[&'static FieldSpec],
    expression: Option<&str>,
    meanings: Meanings<'_>,
) -> Result<()> {
    let Some(expression) = expression else { return Ok(()) };
    let uses = tokens(expression, meanings).and_then(|tokens| in_update(&tokens)).ok_or_else(unreadable)?;
    for used in uses {
        let Some(target) = target(fields, &used.path) else { continue };
        let is_fine = match &used.how {
            How::Removed => true,
            How::Set { values, attributes } => {
                let fits = |value: &String| match (value_of(meanings, value), &target) {
                    (Some(value), Target::Values(field)) => are_texts(field, value),
                    (Some(value), Target::Nested(fields)) => are_nested(value, fields),
                    (None, _) => false,
                };
                !values.is_empty()
                    && values.iter().all(fits)
                    && attributes.iter().all(|path| *path == used.path)
            }
            _ => false,
        };
        if !is_fine {
            return Err(not_sealed(&used.path.join(".")));
        }
    }
    Ok(())
}

/// The sealed fields whose attributes must hold sealed texts: not those whose policy is `prepare`.
pub(crate) fn sealed_fields_of(fields: &'static [FieldSpec]) -> Vec<&'static FieldSpec> {
    fields.iter().filter(|field| field.is_sealed() && field.plaintext() != PlaintextPolicy::Prepare).collect()
}

/// Whether an attribute holds what the field stores: sealed texts, or NULL.
pub(crate) fn is_sealed(field: &FieldSpec, value: &AttributeValue) -> bool {
    match field.holds().nested() {
        Some(fields) => are_nested(value, fields),
        None => match field.holds() {
            Holds::Value(_) => is_text(field, value) || value.is_null(),
            _ => are_texts(field, value),
        },
    }
}

/// That a request carries something else.
pub(crate) fn not_sealed(attribute: &str) -> Error {
    Error::new(ErrorKind::State)
        .message(format!("the request writes the attribute `{attribute}`, and what it writes is not sealed"))
        .help("write the item through `DynamoTable`, or what `Cryptor::sealed` gives")
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Configuration)
        .message("an expression can't be read, and it may name a sealed attribute")
        .help("look for a placeholder that is not defined")
}

/// What is at the end of a path, if that is or holds something sealed.
fn target(fields: &[&'static FieldSpec], path: &[String]) -> Option<Target> {
    let (first, rest) = path.split_first()?;
    let field = fields.iter().find(|field| field.attribute() == first)?;
    match field.holds().nested() {
        None => Some(Target::Values(field)),
        Some(nested) if rest.is_empty() => Some(Target::Nested(nested)),
        Some(nested) => {
            let below = sealed_fields_of(nested);
            // a map of nested structs has a key in between
            target(&below, rest).or_else(|| target(&below, rest.get(1..)?))
        }
    }
}

fn value_of<'a>(meanings: Meanings<'a>, placeholder: &str) -> Option<&'a AttributeValue> {
    meanings.values?.get(placeholder)
}

/// Whether it is a sealed text. That of another system, in a field that says so, has its own form, which only
/// the cryptor knows; it begins alike.
fn is_text(field: &FieldSpec, value: &AttributeValue) -> bool {
    let AttributeValue::S(text) = value else { return false };
    Ciphertext::parse(text).is_ok() || (field.legacy().is_some() && text.starts_with("ENC:"))
}

fn are_texts(field: &FieldSpec, value: &AttributeValue) -> bool {
    match value {
        AttributeValue::L(values) => values.iter().all(|value| are_texts(field, value)),
        AttributeValue::M(values) => values.values().all(|value| are_texts(field, value)),
        AttributeValue::Null(_) => true,
        value => is_text(field, value),
    }
}

/// Whether nested structs, or lists or maps of them, hold sealed texts where they must.
fn are_nested(value: &AttributeValue, fields: &'static [FieldSpec]) -> bool {
    match value {
        AttributeValue::L(values) => values.iter().all(|value| are_nested(value, fields)),
        AttributeValue::M(map) => {
            let sealed = sealed_fields_of(fields);
            if !fields.iter().any(|field| map.contains_key(field.attribute())) {
                // a map of them, or one that has none of the fields
                return map
                    .values()
                    .all(|value| !matches!(value, AttributeValue::S(_)) && are_nested(value, fields));
            }
            sealed
                .into_iter()
                .all(|field| map.get(field.attribute()).is_none_or(|value| is_sealed(field, value)))
        }
        AttributeValue::Null(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use pii_core::TypeCode;

    use super::*;

    const STREET: FieldSpec = FieldSpec::new("street", "street", Holds::Value(TypeCode::UTF8));
    const COUNTRY: FieldSpec = FieldSpec::new("country", "country", Holds::Plain);
    static FIELDS: &[FieldSpec] = &[
        FieldSpec::new("city", "city", Holds::Plain),
        FieldSpec::new("email", "email", Holds::Value(TypeCode::UTF8)),
        FieldSpec::new("phones", "phones", Holds::Values(TypeCode::UTF8)),
        FieldSpec::new("address", "address", Holds::Nested(&[STREET, COUNTRY])),
    ];
    /// well formed, and of no key
    const SEALED: &str =
        "ENC:AgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn meanings() -> (HashMap<String, String>, HashMap<String, AttributeValue>) {
        let text = |text: &str| AttributeValue::S(text.into());
        let address = |street: &str| {
            AttributeValue::M(HashMap::from([
                ("street".into(), text(street)),
                ("country".into(), text("GB")),
            ]))
        };
        (
            HashMap::from([("#e".into(), "email".into()), ("#c".into(), "city".into())]),
            HashMap::from([
                (":plain".into(), text("ada@example.com")),
                (":sealed".into(), text(SEALED)),
                (":list".into(), AttributeValue::L(vec![text(SEALED)])),
                (":mixed".into(), AttributeValue::L(vec![text(SEALED), text("555-0100")])),
                (":address".into(), address(SEALED)),
                (":bare".into(), address("12 St James's Square")),
            ]),
        )
    }

    fn condition(expression: &str) -> Option<ErrorKind> {
        let (names, values) = meanings();
        let meanings = Meanings { names: Some(&names), values: Some(&values) };
        check_condition(&sealed_fields_of(FIELDS), Some(expression), meanings).err().map(|error| error.kind())
    }

    fn update(expression: &str) -> Option<ErrorKind> {
        let (names, values) = meanings();
        let meanings = Meanings { names: Some(&names), values: Some(&values) };
        check_update(&sealed_fields_of(FIELDS), Some(expression), meanings).err().map(|error| error.kind())
    }

    #[test]
    fn the_value_of_the_tests_is_well_formed() {
        Ciphertext::parse(SEALED).unwrap();
    }

    #[test]
    fn conditions_that_can_work_are_accepted() {
        for fine in [
            "city = :plain",
            "#c BETWEEN :plain AND :plain AND NOT contains(city, :plain)",
            "attribute_exists(email) and attribute_not_exists(address.street)",
            "Attribute_Type ( #e , :plain )",
            "email = :sealed",
            ":sealed <> #e",
            "address.country = :plain",
            "size(city) > :plain",
        ] {
            assert_eq!(condition(fine), None, "{fine}");
        }
    }

    #[test]
    fn conditions_on_sealed_attributes_are_refused() {
        for refused in [
            "email = :plain",
            ":plain = email",
            "#e = :plain",
            "city = :plain OR #e <> :plain",
            "email < :sealed",
            "email IN (:sealed)",
            "email BETWEEN :plain AND :plain",
            ":plain BETWEEN email AND city",
            "begins_with(#e, :plain)",
            "contains (phones, :plain)",
            "size(email) > :plain",
            "phones[0] = :plain",
            "address.street = :plain",
            "(NOT (email=:plain))",
            "email = city",
        ] {
            assert_eq!(condition(refused), Some(ErrorKind::Configuration), "{refused}");
        }
        // what can't be read may name anything
        for unreadable in ["#unknown = :plain", "email[x] = :plain", "city ! :plain", &"(".repeat(5000)] {
            assert_eq!(condition(unreadable), Some(ErrorKind::Configuration));
        }
    }

    #[test]
    fn updates_may_write_sealed_texts_alone() {
        for fine in [
            "SET city = :plain",
            "set #e = :sealed, city = :plain REMOVE phones[0] ADD visits :plain",
            "SET #e = if_not_exists(email, :sealed)",
            "SET phones = list_append(phones, :list)",
            "SET phones[1] = :sealed",
            "SET address = :address",
            "SET address.street = :sealed, address.country = :plain",
            "REMOVE email, address",
        ] {
            assert_eq!(update(fine), None, "{fine}");
        }
        for refused in [
            "SET email = :plain",
            "SET city = :plain, #e = :plain",
            "SET #e = if_not_exists(email, :plain)",
            "SET email = city",
            "SET email = :unknown",
            "SET phones = list_append(phones, :mixed)",
            "SET phones[0] = :plain",
            "SET address = :bare",
            "SET address.street = :plain",
            "ADD email :sealed",
            "REMOVE city SET email = :plain",
        ] {
            assert_eq!(update(refused), Some(ErrorKind::State), "{refused}");
        }
        assert_eq!(update("email = :plain"), Some(ErrorKind::Configuration));
    }
}
