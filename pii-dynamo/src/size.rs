//! The size of items, as DynamoDB counts it: the Developer Guide, "DynamoDB item sizes and formats".

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, ErrorKind, ModelSpec, Result};

use crate::{error::at_attribute, item::Item};

/// The largest item: 400 KB, names of attributes included.
pub(crate) const MAX_ITEM_BYTES: usize = 400 * 1024;

/// The bytes of an item, names of attributes included. Numbers are counted as the guide describes them,
/// about one byte for two digits and one more, so the last few bytes are an estimate.
pub(crate) fn of_item(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + of_value(value)).sum()
}

/// The bytes of a value alone.
pub(crate) fn of_value(value: &AttributeValue) -> usize {
    const FRAME: usize = 3;
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(number) => of_number(number),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Bs(bytes) => bytes.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| of_number(number)).sum(),
        AttributeValue::L(list) => FRAME + list.iter().map(|value| 1 + of_value(value)).sum::<usize>(),
        AttributeValue::M(map) => {
            FRAME + map.iter().map(|(name, value)| 1 + name.len() + of_value(value)).sum::<usize>()
        }
        // a truth value, NULL, or a type that this release does not know
        _ => 1,
    }
}

fn of_number(number: &str) -> usize {
    let is_negative = number.starts_with('-');
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    digits.div_ceil(2) + 1 + usize::from(is_negative)
}

/// Refuses an item that DynamoDB would refuse, before it is sent.
pub(crate) fn check(item: &Item, model: &ModelSpec, table: &str) -> Result<()> {
    let size = of_item(item);
    if size <= MAX_ITEM_BYTES {
        return Ok(());
    }
    let largest = item.iter().max_by_key(|(_, value)| of_value(value)).map_or("", |(name, _)| name);
    let error = Error::new(ErrorKind::TooLarge)
        .message(format!(
            "an item of the table `{table}` has at most {MAX_ITEM_BYTES} bytes; this one has {size}, most of them in \
             the attribute `{largest}`"
        ))
        .help("keep large values in an object store, sealed, and their names in the item");
    Err(at_attribute(error, model, largest))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use pii_core::RowBinding;

    use super::*;

    #[test]
    fn values_are_counted_as_the_guide_says() {
        let n = |number: &str| AttributeValue::N(number.into());
        assert_eq!(of_value(&AttributeValue::S("éa".into())), 3);
        assert_eq!(of_value(&n("7")), 2);
        assert_eq!(of_value(&n("-1234")), 4);
        assert_eq!(of_value(&AttributeValue::Bool(true)), 1);
        assert_eq!(of_value(&AttributeValue::L(vec![n("7"), AttributeValue::Null(true)])), 3 + 3 + 2);
        assert_eq!(of_value(&AttributeValue::M(HashMap::from([("ab".into(), n("7"))]))), 3 + 1 + 2 + 2);
        assert_eq!(of_item(&Item::from([("id".into(), AttributeValue::S("c-1".into()))])), 5);
    }

    #[test]
    fn an_item_may_have_the_whole_size_and_no_byte_more() {
        static MODEL: ModelSpec = ModelSpec::new("note", &[], RowBinding::Field);
        let item = |bytes: usize| Item::from([("text".to_owned(), AttributeValue::S("x".repeat(bytes)))]);
        check(&item(MAX_ITEM_BYTES - 4), &MODEL, "notes").unwrap();
        let error = check(&item(MAX_ITEM_BYTES - 3), &MODEL, "notes").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("`text`"), "{error}");
    }
}
