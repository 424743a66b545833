//! The data keys of stored values, and what became of them.

use std::collections::{BTreeMap, HashMap};

use pii_core::{KeyId, KeyState, KeyStore, Layout, Result};

use super::{ColumnValues, Finding, FindingKind as Kind, KeyUse, report::numbered};

const PAGE: usize = 1000;

/// So many key ids stand in a message.
const SHOWN: usize = 3;

/// What a key store has.
pub(super) struct KnownKeys(HashMap<KeyId, Record>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    Readable(KeyState),
    Damaged,
}

impl KnownKeys {
    pub(super) async fn of(store: &dyn KeyStore) -> Result<Self> {
        let (mut known, mut after) = (HashMap::new(), None);
        loop {
            let page = store.list(after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for (key_id, record) in page {
                after = Some(key_id);
                let record = match record {
                    Ok(record) if record.slot.purpose.seals_values() => Record::Readable(record.state),
                    _ => Record::Damaged,
                };
                known.insert(key_id, record);
            }
            if is_last {
                return Ok(Self(known));
            }
        }
    }

    pub(super) fn is_destroyed(&self, key_id: KeyId) -> bool {
        self.record(key_id) == Some(Record::Readable(KeyState::Destroyed))
    }

    fn record(&self, key_id: KeyId) -> Option<Record> {
        self.0.get(&key_id).copied()
    }
}

/// Counts values by their key.
#[derive(Default)]
pub(super) struct KeyCounts(BTreeMap<(KeyId, bool), u64>);

impl KeyCounts {
    pub(super) fn add(&mut self, key_id: KeyId, layout: Layout, values: u64) {
        *self.0.entry((key_id, layout == Layout::InlineCopies)).or_default() += values;
    }

    /// Notes the keys of a column, and tells what is wrong with them.
    pub(super) fn judge(self, column: &mut ColumnValues, known: Option<&KnownKeys>) -> Vec<Finding> {
        let mut troubles: BTreeMap<Trouble, Vec<(KeyId, u64)>> = BTreeMap::new();
        for ((key_id, is_inline), values) in self.0 {
            let record = known.and_then(|known| known.record(key_id));
            let state = match record {
                Some(Record::Readable(state)) => Some(state.name()),
                _ => None,
            };
            column.keys.push(KeyUse { key_id, values, is_inline, state });
            let trouble = match record {
                _ if known.is_none() => continue,
                Some(Record::Readable(KeyState::Active)) => continue,
                Some(Record::Readable(KeyState::DecryptOnly)) => Trouble::Retired,
                Some(Record::Readable(KeyState::Destroyed)) => Trouble::Destroyed,
                // these values have what they need
                Some(Record::Damaged) | None if is_inline => continue,
                Some(Record::Damaged) => Trouble::Unreadable,
                None => Trouble::Unknown,
            };
            troubles.entry(trouble).or_default().push((key_id, values));
        }
        troubles.into_iter().map(|(trouble, keys)| trouble.finding(&keys).column(&column.column)).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Retired,
    Destroyed,
    Unknown,
    Unreadable,
}

impl Trouble {
    fn finding(self, keys: &[(KeyId, u64)]) -> Finding {
        let values: u64 = keys.iter().map(|(_, values)| values).sum();
        let (values_text, keys_text) = (numbered(values, "value"), numbered(keys.len() as u64, "data key"));
        let (finding, what, help) = match self {
            Self::Retired => (
                Finding::note(Kind::RetiredKey),
                "no longer seal: they open, and are re-encrypted when they are changed",
                "re-encrypt them if these keys are to go",
            ),
            Self::Destroyed => (
                Finding::warning(Kind::DestroyedKey),
                "were destroyed: the values are erased",
                "nothing opens them; set them to NULL or delete the rows",
            ),
            Self::Unknown => (
                Finding::error(Kind::UnknownKey),
                "have no record in the key store: the values don't open",
                "look for another key store that these programs used, or import a backup: `KeyAdmin::import`",
            ),
            Self::Unreadable => (
                Finding::error(Kind::UnreadableKey),
                "have a record that can't be read or is for something else: the values don't open",
                "`KeyAdmin::verify` says what is wrong with the records",
            ),
        };
        let mut ids: Vec<String> = keys.iter().take(SHOWN).map(|(key_id, _)| key_id.to_string()).collect();
        if keys.len() > SHOWN {
            ids.push("...".to_owned());
        }
        finding
            .count(values)
            .message(format!("{values_text} under {keys_text} ({}) that {what}", ids.join(", ")))
            .help(help)
    }
}
