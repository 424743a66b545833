//! Items of the table, and key records.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, ErrorKind, KeyId, KeyRecord, Result};

use super::place::{PARTITION, Place, SORT};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The record, as [`KeyRecord::to_json`] writes it.
pub(super) const RECORD: &str = "record";
/// The winner of an election.
pub(super) const KEY_ID: &str = "key_id";

/// DynamoDB's limit for an item, with the names of its attributes.
const MAX_ITEM_BYTES: usize = 400 * 1024;
/// What an item has beside the record: the names of three attributes, and its place.
const REST_BYTES: usize = 64;

/// A record that was read, with the text that a later write compares.
pub(super) struct Stored {
    pub(super) record: KeyRecord,
    pub(super) text: String,
}

impl Stored {
    /// The record of this key in an item.
    pub(super) fn read(item: &Item, key_id: KeyId) -> Result<Self> {
        let text = text(item, RECORD);
        let record = text.and_then(|text| KeyRecord::from_json(text.as_bytes()).ok());
        match (record, text) {
            (Some(record), Some(text)) if record.key_id == key_id => {
                Ok(Self { record, text: text.to_owned() })
            }
            _ => Err(Error::new(ErrorKind::Malformed)
                .key(key_id)
                .message("the record of the data key in the key store is damaged")
                .help("restore its item from a backup")),
        }
    }
}

/// The key whose record this item is, if its place is that of a record.
pub(super) fn key_of_record(item: &Item) -> Option<KeyId> {
    let key_id = KeyId::parse(text(item, SORT)?)?;
    let place = Place::of_record(key_id);
    (text(item, PARTITION)? == place.partition).then_some(key_id)
}

/// The epoch of an election, and the key that has won it.
pub(super) fn winner(item: &Item) -> Option<(u32, KeyId)> {
    let epoch = text(item, SORT)?;
    let number = u32::from_str_radix(epoch, 16).ok()?;
    (epoch == format!("{number:08x}")).then_some((number, KeyId::parse(text(item, KEY_ID)?)?))
}

pub(super) fn record(record: &KeyRecord) -> Result<Item> {
    let mut item = Place::of_record(record.key_id).into_key();
    item.insert(RECORD.to_owned(), AttributeValue::S(text_of(record)?));
    Ok(item)
}

pub(super) fn election(record: &KeyRecord) -> Item {
    let mut item = Place::of_election(&record.slot, record.epoch).into_key();
    item.insert(KEY_ID.to_owned(), AttributeValue::S(record.key_id.to_string()));
    item
}

/// The record as a text, if an item has room for it.
pub(super) fn text_of(record: &KeyRecord) -> Result<String> {
    let text = record.to_json()?;
    if text.len() > MAX_ITEM_BYTES.saturating_sub(REST_BYTES) {
        return Err(Error::new(ErrorKind::Configuration)
            .key(record.key_id)
            .message("the record of the data key is larger than an item of DynamoDB may be (400 KB)")
            .help("wrap data keys by fewer key-encryption keys, or use another key store"));
    }
    Ok(text)
}

fn text<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pii_core::{EncryptionContext, KeySlot, KeyState, Provider, Purpose, WrappedKey};

    use super::*;

    fn sample(blob: usize) -> KeyRecord {
        KeyRecord {
            key_id: KeyId::from_bytes([0xa5; 16]),
            slot: KeySlot {
                keyring: "default".into(),
                context: Arc::new(EncryptionContext::new([("tenant", "acme")]).unwrap()),
                purpose: Purpose::Seal,
            },
            epoch: 10,
            state: KeyState::Active,
            created: "2026-01-01T00:00:00Z".to_owned(),
            copies: vec![WrappedKey {
                provider: Provider::LOCAL,
                key_name: "k".to_owned(),
                blob: vec![7; blob],
            }],
        }
    }

    #[test]
    fn items_give_back_what_they_were_made_of() {
        let kept = sample(60);
        let item = record(&kept).unwrap();
        assert_eq!(key_of_record(&item), Some(kept.key_id));
        assert_eq!(Stored::read(&item, kept.key_id).unwrap().record, kept);
        let other = KeyId::from_bytes([0xa6; 16]);
        let error = Stored::read(&item, other).err().unwrap();
        assert_eq!((error.kind(), error.key_id()), (ErrorKind::Malformed, Some(&*other.to_string())));
        assert_eq!(winner(&election(&kept)), Some((10, kept.key_id)));
    }

    #[test]
    fn other_items_are_none_of_ours() {
        let with = |mut item: Item, attribute: &str, value: AttributeValue| {
            item.insert(attribute.to_owned(), value);
            item
        };
        let s = |text: &str| AttributeValue::S(text.to_owned());
        let kept = sample(60);
        for (attribute, value) in [
            (PARTITION, s("key-b")),
            (PARTITION, s("key-")),
            (SORT, s(&kept.key_id.to_string().to_uppercase())),
            (SORT, s("")),
            (SORT, AttributeValue::N("1".to_owned())),
        ] {
            assert_eq!(key_of_record(&with(record(&kept).unwrap(), attribute, value)), None);
        }
        for (attribute, value) in [
            (SORT, s("a")),
            (SORT, s("0000000A")),
            (SORT, s("+000000a")),
            (SORT, s("00000000a")),
            (KEY_ID, s("a5")),
            (KEY_ID, AttributeValue::Null(true)),
        ] {
            assert_eq!(winner(&with(election(&kept), attribute, value)), None);
        }
    }

    #[test]
    fn a_record_that_no_item_can_hold_is_refused_before_it_is_sent() {
        assert!(record(&sample(306_000)).is_ok());
        assert_eq!(record(&sample(308_000)).unwrap_err().kind(), ErrorKind::Configuration);
    }
}
