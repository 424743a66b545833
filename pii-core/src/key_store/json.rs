//! Key records as JSON: see FORMAT.md, "Key records".

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{KeyRecord, KeySlot, KeyState};
use crate::{
    context::EncryptionContext,
    error::{Error, ErrorKind, Result},
    wire::{KeyId, Provider, Purpose, WrappedKey},
};

const FORMAT: &str = "pii-data-key-1";

const CREATED_BYTES: usize = "2026-01-01T00:00:00Z".len();

impl KeyRecord {
    /// The record as one line of JSON, as FORMAT.md describes it. It holds no key in clear.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if it has no such form; no record that was read has none.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(&RecordJson::from(self))
            .map_err(|_| Error::new(ErrorKind::Malformed).message("the key record cannot be written as JSON"))
    }

    /// Reads what [`KeyRecord::to_json`] gave.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if it is no such record.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let record = serde_json::from_slice::<RecordJson>(json).ok().and_then(RecordJson::into_record);
        record.ok_or_else(|| Error::new(ErrorKind::Malformed).message("this is no key record"))
    }
}

#[derive(Serialize, Deserialize)]
struct RecordJson {
    format: String,
    key_id: String,
    keyring: String,
    context: BTreeMap<String, String>,
    purpose: String,
    epoch: u32,
    state: String,
    created: String,
    copies: Vec<CopyJson>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CopyJson {
    provider: u8,
    key: String,
    blob: String,
}

impl From<&KeyRecord> for RecordJson {
    fn from(record: &KeyRecord) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            format: FORMAT.to_owned(),
            key_id: record.key_id.to_string(),
            keyring: record.slot.keyring.as_ref().to_owned(),
            context: record.slot.context.pairs().map(own).collect(),
            purpose: record.slot.purpose.name().to_owned(),
            epoch: record.epoch,
            state: record.state.name().to_owned(),
            created: record.created.clone(),
            copies: record.copies.iter().map(CopyJson::from).collect(),
        }
    }
}

impl RecordJson {
    fn into_record(self) -> Option<KeyRecord> {
        // whole seconds have this length
        let is_time = self.created.len() == CREATED_BYTES && humantime::parse_rfc3339(&self.created).is_ok();
        if self.format != FORMAT || self.keyring.is_empty() || !is_time {
            return None;
        }
        let record = KeyRecord {
            key_id: KeyId::parse(&self.key_id)?,
            slot: KeySlot {
                keyring: self.keyring.into(),
                context: Arc::new(EncryptionContext::new(self.context).ok()?),
                purpose: Purpose::from_name(&self.purpose)?,
            },
            epoch: self.epoch,
            state: KeyState::from_name(&self.state)?,
            created: self.created,
            copies: self.copies.into_iter().map(CopyJson::into_copy).collect::<Option<_>>()?,
        };
        record.has_fitting_copies().then_some(record)
    }
}

impl From<&WrappedKey> for CopyJson {
    fn from(copy: &WrappedKey) -> Self {
        Self { provider: copy.provider.0, key: copy.key_name.clone(), blob: STANDARD.encode(&copy.blob) }
    }
}

impl CopyJson {
    pub(crate) fn into_copy(self) -> Option<WrappedKey> {
        let blob = STANDARD.decode(self.blob).ok()?;
        (self.provider != 0 && !self.key.is_empty() && !blob.is_empty()).then_some(WrappedKey {
            provider: Provider(self.provider),
            key_name: self.key,
            blob,
        })
    }
}
