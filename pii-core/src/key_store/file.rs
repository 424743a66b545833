//! Key records as files in a folder: see FORMAT.md, "File key store".

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{KeyRecord, KeySlot, KeyState, KeyStore};
use crate::{
    context::EncryptionContext,
    error::{Error, ErrorKind, Result},
    wire::{KeyId, Provider, Purpose, WrappedKey},
};

const FORMAT: &str = "pii-data-key-1";

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
        let bytes = match fs::read(self.folder.join(format!("{key_id}.json"))) {
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

    /// The winner of the highest epoch.
    fn winner(&self, slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let prefix = format!("slot-{}-", slot.digest());
        let mut highest: Option<String> = None;
        for entry in fs::read_dir(&self.folder).map_err(|error| self.unavailable(error))? {
            let name = entry.map_err(|error| self.unavailable(error))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_election = name.strip_prefix(&prefix).is_some_and(|epoch| {
                epoch.len() == 8 && epoch.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            });
            if is_election && highest.as_deref().is_none_or(|known| known < name) {
                highest = Some(name.to_owned());
            }
        }
        highest.map(|name| self.elected(&self.folder.join(name))).transpose()
    }

    fn elected(&self, election: &Path) -> Result<KeyRecord> {
        let lost = || {
            Error::new(ErrorKind::KeyMissing)
                .message(format!("the key record that `{}` names is missing or damaged", election.display()))
                .help("restore the key store from a backup")
        };
        // our own elections appear whole; another implementation's may be met half-written
        for _ in 0..20 {
            let text = fs::read_to_string(election).map_err(|error| self.unavailable(error))?;
            if let Some(key_id) = KeyId::parse(&text) {
                return self.read(key_id)?.ok_or_else(|| lost().key(key_id));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(lost())
    }

    fn propose(&self, proposal: &KeyRecord) -> Result<KeyRecord> {
        let record = serde_json::to_vec(&RecordFile::from(proposal)).map_err(|_| {
            Error::new(ErrorKind::Malformed).message("the key record cannot be written as JSON")
        })?;
        let own = self.folder.join(format!("{}.json", proposal.key_id));
        self.publish(&own, &record).map_err(|error| self.unavailable(error))?;
        let election = self.folder.join(format!("slot-{}-{:08x}", proposal.slot.digest(), proposal.epoch));
        match self.publish(&election, proposal.key_id.to_string().as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // nothing was sealed under the loser
                let _ = fs::remove_file(&own);
            }
            Err(error) => return Err(self.unavailable(error)),
        }
        self.elected(&election)
    }

    /// Makes a file appear whole and durable under its name, or fails if the name is taken.
    fn publish(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let draft = self.folder.join(format!("draft-{}-{number}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let written = (|| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::hard_link(&draft, path)
        })();
        let _ = fs::remove_file(&draft);
        written.and_then(|()| crate::keyring::sync_folder_of(path))
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
