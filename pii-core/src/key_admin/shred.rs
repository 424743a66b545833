//! Erasure by key: all data keys of a context.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use super::{Confirm, KeyAdmin, Progress, Retention, ShredReceipt, tombstone_of};
use crate::{
    context::EncryptionContext,
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot},
    wire::{KeyId, Purpose},
};

/// After so many passes that each found new keys, somebody makes them faster than they are found.
const PASSES: u32 = 16;

/// Whose data keys [`KeyAdmin::shred`] destroys.
#[derive(Clone, PartialEq, Eq)]
pub enum ShredScope {
    /// Those of exactly this encryption context: a tenant with
    /// `ctx!(app = "billing", tenant = "acme")`, but not the persons within the tenant, whose
    /// contexts have a pair more.
    Exactly(EncryptionContext),
    /// Those of every encryption context that has all of these pairs: `ctx!(tenant = "acme")` for
    /// whatever belongs to the tenant, `ctx!(subject = person_id)` for a person in all models.
    Containing(EncryptionContext),
}

impl ShredScope {
    fn pairs(&self) -> &EncryptionContext {
        match self {
            Self::Exactly(pairs) | Self::Containing(pairs) => pairs,
        }
    }

    /// A branch key wraps data keys of other contexts too: destroying it would erase those.
    fn has(&self, slot: &KeySlot) -> bool {
        slot.purpose != Purpose::Branch
            && match self {
                Self::Exactly(context) => *slot.context == *context,
                Self::Containing(pairs) => slot.context.names_that_differ(pairs).is_empty(),
            }
    }
}

impl fmt::Debug for ShredScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(pairs) => write!(f, "Exactly({})", pairs.names()),
            Self::Containing(pairs) => write!(f, "Containing({})", pairs.names()),
        }
    }
}

impl KeyAdmin {
    /// Destroys every data key of a context, of any keyring, purpose and epoch, and leaves
    /// tombstones. Keys of other contexts are not touched. From then on, opening a value gives
    /// [`ErrorKind::Erased`], and so does sealing a new one: a shredded context stays so. Rows
    /// still load, with their values sealed.
    ///
    /// Processes that hold a key in their cache go on with it for as long as their cache limits
    /// say, and what they seal in that time is erased like the rest. Backups of the key store still
    /// hold it too. The receipt says until when. Keep it, and
    /// [replay](KeyAdmin::replay) it whenever the key store is restored from a backup.
    ///
    /// Values with inline copies, written without a key store, carry their key with them and can't
    /// be shredded; models with `#[pii(subject = ...)]` refuse to write such values.
    ///
    /// Blind indexes are not touched: their codes stand in the rows, and the index of a person's rows is under a key
    /// of the tenant, which lives on. Call `clear_indexes` of each table that has any, with the same pairs:
    /// at once, and again when no cache holds the keys any more.
    ///
    /// An interrupted call is made again: its receipt lists what the first one destroyed too.
    ///
    /// ```no_run
    /// # use pii_core as pii;
    /// # async fn run(admin: pii::KeyAdmin, person: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use pii::{Confirm, Retention, ShredScope, ctx};
    ///
    /// let scope = ShredScope::Containing(ctx!(subject = person)?);
    /// let confirm = Confirm::i_know_values_become_unreadable();
    /// let receipt = admin.shred(&scope, &Retention::default(), confirm, |_| ()).await?;
    /// std::fs::write("receipt.json", receipt.to_json()?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for `Containing` without pairs, which would be everything.
    /// Errors of the key store; then some keys may be destroyed, and the call should be repeated.
    /// Records that can't be read are no error, but stand in the receipt.
    pub async fn shred(
        &self,
        scope: &ShredScope,
        retention: &Retention,
        confirm: Confirm,
        progress: impl FnMut(&Progress) + Send,
    ) -> Result<ShredReceipt> {
        let _ = confirm;
        if matches!(scope, ShredScope::Containing(pairs) if pairs.pairs().len() == 0) {
            return Err(Error::new(ErrorKind::Configuration)
                .message("every context contains no pairs: this would destroy all data keys")
                .help("name at least one pair"));
        }
        let Found { buried, unreadable, .. } = self.bury_all(|slot| scope.has(slot), progress).await?;
        let is_exact = matches!(scope, ShredScope::Exactly(_));
        Ok(ShredReceipt::new(
            is_exact,
            scope.pairs(),
            buried.into_values().collect(),
            unreadable,
            retention,
            SystemTime::now(),
        ))
    }

    /// Buries the records of these slots, and looks again until there is none left: one may have
    /// been elected behind the first look. Whoever elects one after the last look finds the one
    /// before it buried: see [`KeyAdmin::rotate`].
    pub(super) async fn bury_all(
        &self,
        is_meant: impl Fn(&KeySlot) -> bool + Send + Sync,
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<Found> {
        let mut found = Found::default();
        let mut state = Progress::default();
        for _ in 0..PASSES {
            let before = found.newly;
            found.unreadable.clear();
            let mut pages = self.pages(None);
            while let Some(page) = pages.next().await? {
                for (key_id, record) in page {
                    let was = found.newly;
                    match record {
                        Ok(record) if is_meant(&record.slot) => {
                            found.buried.insert(key_id, tombstone_of(&record));
                            found.newly += u64::from(self.bury(record).await?);
                        }
                        Ok(_) => {}
                        Err(_) => found.unreadable.push(key_id),
                    }
                    state.count(key_id, found.newly > was, found.unreadable.last() == Some(&key_id));
                    progress(&state);
                }
            }
            if found.newly == before {
                return Ok(found);
            }
        }
        Err(Error::new(ErrorKind::KeyUnavailable)
            .message("new data keys keep appearing in the context")
            .help("stop the programs that write under it, and try again"))
    }
}

/// What was found and buried.
#[derive(Default)]
pub(super) struct Found {
    /// all tombstones, also those from before
    pub(super) buried: BTreeMap<KeyId, KeyRecord>,
    pub(super) newly: u64,
    pub(super) unreadable: Vec<KeyId>,
}
