//! Rows of the table and key records.

use pii_core::{Error, ErrorKind, KeyId, KeyRecord, KeySlot, Result};
use serde_json::{Map, Value};

use crate::dialect::Dialect;

/// The one of FORMAT.md, "File key store": a row has the members of that object as its columns.
const FORMAT: &str = "pii-data-key-1";

/// What stands in the unique column of the winner of this slot and epoch.
pub(super) fn election(slot: &KeySlot, epoch: u32) -> String {
    format!("{}-{epoch:08x}", slot.digest())
}

/// A record as the texts of its columns; the election apart.
pub(super) struct Columns {
    pub(super) key_id: String,
    pub(super) keyring: String,
    pub(super) purpose: String,
    pub(super) state: String,
    pub(super) created: String,
    pub(super) context: String,
    pub(super) slot: String,
    pub(super) copies: String,
}

impl Columns {
    pub(super) fn of(record: &KeyRecord) -> Result<Self> {
        let json = record.to_json()?;
        let json: Value = serde_json::from_str(&json).map_err(|_| malformed(record.key_id))?;
        let member = |name: &str| match json.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value) => Ok(value.to_string()),
            None => Err(malformed(record.key_id)),
        };
        Ok(Self {
            key_id: member("key_id")?,
            keyring: member("keyring")?,
            purpose: member("purpose")?,
            state: member("state")?,
            created: member("created")?,
            context: member("context")?,
            slot: record.slot.digest(),
            copies: member("copies")?,
        })
    }
}

/// A record that was read, with what a later statement compares.
pub(super) struct Stored {
    pub(super) record: KeyRecord,
    pub(super) election: Option<String>,
    pub(super) state: String,
    pub(super) copies: String,
}

impl Stored {
    /// The key id that a row has, if it has one.
    pub(super) fn key_id<DB: Dialect>(row: &DB::Row) -> Option<KeyId> {
        KeyId::parse(&DB::text(row, 0).ok()??)
    }

    /// The record in a row of this key. Its parts must fit one another: whoever relabels a row changes
    /// what the slot and the election are made of.
    pub(super) fn read<DB: Dialect>(row: &DB::Row, key_id: KeyId) -> Result<Self> {
        let texts = (0..10).map(|index| DB::text(row, index)).collect::<sqlx::Result<Vec<_>>>();
        let texts = texts.ok().and_then(|texts| <[_; 10]>::try_from(texts).ok());
        let parsed = texts.and_then(|texts| {
            let [
                Some(id),
                Some(keyring),
                Some(purpose),
                Some(epoch),
                state,
                created,
                context,
                slot,
                election,
                copies,
            ] = texts
            else {
                return None;
            };
            let (state, copies, slot) = (state?, copies?, slot?);
            let json = Map::from_iter([
                ("format".to_owned(), FORMAT.into()),
                ("key_id".to_owned(), id.into()),
                ("keyring".to_owned(), keyring.into()),
                ("purpose".to_owned(), purpose.into()),
                ("epoch".to_owned(), epoch.parse::<u32>().ok()?.into()),
                ("state".to_owned(), state.as_str().into()),
                ("created".to_owned(), created?.into()),
                ("context".to_owned(), serde_json::from_str(&context?).ok()?),
                ("copies".to_owned(), serde_json::from_str(&copies).ok()?),
            ]);
            let record = KeyRecord::from_json(Value::Object(json).to_string().as_bytes()).ok()?;
            Some((Self { record, election, state, copies }, slot))
        });
        let (stored, slot) = parsed.ok_or_else(|| malformed(key_id))?;
        let record = &stored.record;
        let is_whole = record.key_id == key_id
            && record.slot.digest() == slot
            && stored.election.as_ref().is_none_or(|text| *text == election(&record.slot, record.epoch));
        if is_whole { Ok(stored) } else { Err(relabelled(key_id)) }
    }
}

fn malformed(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Malformed)
        .key(key_id)
        .message("the record of the data key in the key store is damaged")
        .help("restore its row from a backup")
}

fn relabelled(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Integrity)
        .key(key_id)
        .message(
            "the record of the data key in the key store was altered: its columns do not fit one another",
        )
        .help("restore its row from a backup, and look for who changed it")
}
