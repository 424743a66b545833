//! The life of data keys: what operators do with a key store, apart from sealing and opening.

mod account;
mod export;
mod import;
mod receipt;
mod replay;
mod report;
mod rewrap;
mod rotate;
mod shred;
mod states;
mod transfer;
mod verify;

use std::{collections::BTreeMap, fmt, sync::Arc};

pub use account::AccountReport;
pub use export::ExportReport;
pub use import::{ImportOptions, ImportReport};
pub use receipt::{Retention, ShredReceipt};
pub use replay::ReplayReport;
pub use report::{KeyProblem, Progress};
pub use rewrap::{RewrapOptions, RewrapReport};
pub use rotate::Rotation;
pub use shred::ShredScope;
pub use states::Confirm;
pub use verify::{ElectionProblem, VerifyReport};

use crate::{
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeyState, KeyStore, ListedKey},
    keyring::Keyring,
    wire::KeyId,
};

/// So many records are listed at once.
const PAGE: usize = 256;
/// So many records are unwrapped at once.
const CONCURRENT_KEYS: usize = 8;
/// A record that changes under our hands so many times in a row is an error.
const TRIES: u32 = 32;

/// Rotates, rewraps, retires, destroys, exports and verifies the data keys of a store.
///
/// It needs no [`Cryptor`](crate::Cryptor), and sees no value. Every change of a record is one
/// compare-and-swap, made of a fresh read; whoever loses a race reads again. So each call can be
/// dropped at any point, as by a time limit or a crash, and made again: nothing is half-changed,
/// and what is done already is not done twice. Calls that go through all records report
/// [`Progress`]; nobody needs to stop sealing or opening meanwhile.
///
/// Cryptors notice a change when the key leaves their cache:
/// [`CacheLimits::max_age`](crate::CacheLimits::max_age).
///
/// ```no_run
/// # use pii_core as pii;
/// use std::sync::Arc;
/// use pii::{FileKeyStore, KeyAdmin, LocalKeyring, RewrapOptions};
///
/// # async fn run() -> Result<(), pii::Error> {
/// // a new key-encryption key for all data keys
/// let keyring = LocalKeyring::rotate("pii.key")?;
/// let admin = KeyAdmin::new(Arc::new(FileKeyStore::open("data-keys")?))
///     .keyring("default", Arc::new(keyring));
/// let report = admin.rewrap(&RewrapOptions::default(), |progress| println!("{progress}")).await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyAdmin {
    store: Arc<dyn KeyStore>,
    keyrings: BTreeMap<Arc<str>, Arc<dyn Keyring>>,
}

impl KeyAdmin {
    /// For this key store.
    #[must_use]
    pub fn new(store: Arc<dyn KeyStore>) -> Self {
        Self { store, keyrings: BTreeMap::new() }
    }

    /// Adds a keyring under the name that it has in the cryptor; `default` for the one that has
    /// none there. [`KeyAdmin::rotate`], [`KeyAdmin::rewrap`] and [`KeyAdmin::verify`] need the
    /// keyrings of the records; the other calls need none.
    #[must_use]
    pub fn keyring(mut self, name: impl Into<String>, keyring: Arc<dyn Keyring>) -> Self {
        self.keyrings.insert(name.into().into(), keyring);
        self
    }

    fn keyring_of(&self, name: &str) -> Result<&Arc<dyn Keyring>> {
        self.keyrings.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Configuration)
                .message(format!("there is no keyring `{name}`"))
                .help(format!("add it to the key admin: `.keyring(\"{name}\", ...)`"))
        })
    }

    /// The record of a key that must exist.
    async fn record(&self, key_id: KeyId) -> Result<KeyRecord> {
        self.store.load(key_id).await?.ok_or_else(|| unknown(key_id))
    }

    /// All keys, page by page.
    fn pages(&self, after: Option<KeyId>) -> Pages<'_> {
        Pages { store: &*self.store, after }
    }

    async fn bury(&self, record: KeyRecord) -> Result<bool> {
        bury(&*self.store, record).await
    }
}

impl fmt::Debug for KeyAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAdmin").field("keyrings", &self.keyrings.keys()).finish_non_exhaustive()
    }
}

/// The keys of a store in the order of their ids.
struct Pages<'a> {
    store: &'a dyn KeyStore,
    after: Option<KeyId>,
}

impl Pages<'_> {
    /// The next page; `None` at the end. Only an empty page is the end: a record that vanishes
    /// while it is listed may make a page short.
    async fn next(&mut self) -> Result<Option<Vec<ListedKey>>> {
        let page = self.store.list(self.after, PAGE).await?;
        let Some(&(last, _)) = page.last() else { return Ok(None) };
        if self.after.is_some_and(|after| last <= after) {
            return Err(Error::new(ErrorKind::KeyUnavailable)
                .message("the key store lists the same keys again, in place of those that follow"));
        }
        self.after = Some(last);
        Ok(Some(page))
    }
}

/// The record without its copies, for good.
/// Leaves a tombstone in the place of the record, whatever happens to it meanwhile. Says whether it
/// was not one already.
pub(crate) async fn bury(store: &dyn KeyStore, mut record: KeyRecord) -> Result<bool> {
    for _ in 0..TRIES {
        if record.state == KeyState::Destroyed {
            return Ok(false);
        }
        let tombstone = tombstone_of(&record);
        if store.replace(&record, &tombstone).await? {
            return Ok(true);
        }
        record = match store.load(record.key_id).await? {
            Some(changed) => changed,
            // it disappeared; whoever holds it must not be able to put it back
            None => store.insert(&tombstone).await?,
        };
    }
    Err(contended(record.key_id))
}

fn tombstone_of(record: &KeyRecord) -> KeyRecord {
    KeyRecord { state: KeyState::Destroyed, copies: Vec::new(), ..record.clone() }
}

fn unknown(key_id: KeyId) -> Error {
    Error::new(ErrorKind::KeyMissing)
        .key(key_id)
        .message("the key store has no record of this key")
        .help("check the id, and that this is the store that the programs use")
}

fn contended(key_id: KeyId) -> Error {
    Error::new(ErrorKind::KeyUnavailable)
        .key(key_id)
        .message("the record of this key was changed by others each time it was about to be changed")
        .help("try again when the other operation has ended")
}
