//! Key records as files in a folder: see FORMAT.md, "File key store".

use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{KeyRecord, KeySlot, KeyState, KeyStore};
use crate::{
    context::EncryptionContext,
    durable_file::{self, Access, publish},
    error::{Error, ErrorKind, Result},
    wire::{KeyId, Provider, Purpose, WrappedKey},
};

const FORMAT: &str = "pii-data-key-1";
/// Far more than any record needs: eight copies of at most 64 KiB, in base64.
const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// A key store in a folder: one small file per data key. The copies in it are wrapped, so the
/// folder is no secret; losing it loses every value sealed under its keys. Back it up with the
/// database. It is for the processes of one host.
///
/// ```no_run
/// # use pii_core as pii;
/// use pii::{Cryptor, FileKeyStore, LocalKeyring};
///
/// let cryptor = Cryptor::envelope()
///     .keyring(LocalKeyring::open("pii.key")?)
///     .key_store(FileKeyStore::open("data-keys")?)
///     .build()?;
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Debug)]
pub struct FileKeyStore {
    folder: PathBuf,
}

impl FileKeyStore {
    /// Uses this folder; makes it if it does not exist.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnavailable`] if it can't be made or is no folder.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let store = Self { folder: folder.into() };
        fs::create_dir_all(&store.folder).map_err(|error| store.unavailable(error))?;
        Ok(store)
    }

    fn unavailable(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::KeyUnavailable)
            .message(format!("the key store `{}` cannot be used", self.folder.display()))
            .source(error)
    }

    fn read(&self, key_id: KeyId) -> Result<Option<KeyRecord>> {
        let file = fs::File::open(self.folder.join(format!("{key_id}.json")));
        let bytes = match file.and_then(|mut file| durable_file::read(&mut file, MAX_RECORD_BYTES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| self.unavailable(error))?,
        };
        let record = serde_json::from_slice::<RecordFile>(&bytes).ok().and_then(RecordFile::into_record);
        match record {
            Some(record) if record.key_id == key_id => Ok(Some(record)),
            _ => Err(Error::new(ErrorKind::Malformed)
                .message(format!("the key record in `{}` is damaged", self.folder.display()))
                .key(key_id)
                .help("restore the file from a backup")),
        }
    }

    /// The winner of the highest epoch. Epochs begin at 0 and have no gaps.
    fn winner(&self, slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let digest = slot.digest();
        let mut highest = None;
        for epoch in 0..=u32::MAX {
            match fs::symlink_metadata(self.election(&digest, epoch)) {
                Ok(_) => highest = Some(epoch),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(self.unavailable(error)),
            }
        }
        highest.map(|epoch| self.elected(slot, epoch)).transpose()
    }

    fn election(&self, digest: &str, epoch: u32) -> PathBuf {
        self.folder.join(format!("slot-{digest}-{epoch:08x}"))
    }

    /// The record that won this election; it must be for the slot and the epoch.
    fn elected(&self, slot: &KeySlot, epoch: u32) -> Result<KeyRecord> {
        let election = self.election(&slot.digest(), epoch);
        let wrong = |kind, message: &str| {
            Error::new(kind)
                .message(format!("the election `{}` {message}", election.display()))
                .help("restore the key store from a backup")
        };
        let file = fs::File::open(&election);
        let text = file.and_then(|mut file| durable_file::read(&mut file, MAX_RECORD_BYTES));
        let text = text.map_err(|error| self.unavailable(error))?;
        let key_id = std::str::from_utf8(&text).ok().and_then(KeyId::parse);
        // ours appear whole; another implementation's may be met half-written: worth another try
        let key_id = key_id.ok_or_else(|| wrong(ErrorKind::KeyUnavailable, "does not name a key"))?;
        let record = self.read(key_id)?;
        let record = record
            .ok_or_else(|| wrong(ErrorKind::KeyMissing, "names a key whose record is missing").key(key_id))?;
        if record.slot != *slot || record.epoch != epoch {
            return Err(wrong(ErrorKind::ContextMismatch, "names a key of another slot or epoch").key(key_id));
        }
        Ok(record)
    }

    fn propose(&self, proposal: &KeyRecord) -> Result<KeyRecord> {
        let record = serde_json::to_vec(&RecordFile::from(proposal)).map_err(|_| {
            Error::new(ErrorKind::Malformed).message("the key record cannot be written as JSON")
        })?;
        let own = self.folder.join(format!("{}.json", proposal.key_id));
        publish(&own, &record, Access::Default).map_err(|error| self.unavailable(error))?;
        let election = self.election(&proposal.slot.digest(), proposal.epoch);
        match publish(&election, proposal.key_id.to_string().as_bytes(), Access::Default) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(self.unavailable(error)),
        }
        let winner = self.elected(&proposal.slot, proposal.epoch)?;
        if winner.key_id != proposal.key_id {
            // nothing was sealed under the loser
            let _ = fs::remove_file(&own);
        }
        Ok(winner)
    }
}

impl KeyStore for FileKeyStore {
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move { self.read(key_id) })
    }

    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move { self.winner(slot) })
    }

    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(async move { self.propose(proposal) })
    }
}

#[derive(Serialize, Deserialize)]
struct RecordFile {
    format: String,
    key_id: String,
    keyring: String,
    context: BTreeMap<String, String>,
    purpose: String,
    epoch: u32,
    state: String,
    created: String,
    copies: Vec<CopyFile>,
}

#[derive(Serialize, Deserialize)]
struct CopyFile {
    provider: u8,
    key: String,
    blob: String,
}

impl From<&KeyRecord> for RecordFile {
    fn from(record: &KeyRecord) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let copy = |copy: &WrappedKey| CopyFile {
            provider: copy.provider.0,
            key: copy.key_name.clone(),
            blob: STANDARD.encode(&copy.blob),
        };
        Self {
            format: FORMAT.to_owned(),
            key_id: record.key_id.to_string(),
            keyring: record.slot.keyring.as_ref().to_owned(),
            context: record.slot.context.pairs().map(own).collect(),
            purpose: record.slot.purpose.name().to_owned(),
            epoch: record.epoch,
            state: record.state.name().to_owned(),
            created: record.created.clone(),
            copies: record.copies.iter().map(copy).collect(),
        }
    }
}

impl RecordFile {
    fn into_record(self) -> Option<KeyRecord> {
        if self.format != FORMAT || self.keyring.is_empty() {
            return None;
        }
        let state = KeyState::from_name(&self.state)?;
        let copies: Vec<WrappedKey> =
            self.copies.into_iter().map(CopyFile::into_copy).collect::<Option<_>>()?;
        let fits = match state {
            KeyState::Destroyed => copies.is_empty(),
            KeyState::Active | KeyState::DecryptOnly => (1..=8).contains(&copies.len()),
        };
        fits.then_some(())?;
        Some(KeyRecord {
            key_id: KeyId::parse(&self.key_id)?,
            slot: KeySlot {
                keyring: self.keyring.into(),
                context: Arc::new(EncryptionContext::new(self.context).ok()?),
                purpose: Purpose::from_name(&self.purpose)?,
            },
            epoch: self.epoch,
            state,
            created: self.created,
            copies,
        })
    }
}

impl CopyFile {
    fn into_copy(self) -> Option<WrappedKey> {
        let blob = STANDARD.decode(self.blob).ok()?;
        (self.provider != 0 && !self.key.is_empty() && !blob.is_empty()).then_some(WrappedKey {
            provider: Provider(self.provider),
            key_name: self.key,
            blob,
        })
    }
}
