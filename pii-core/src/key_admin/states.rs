//! Retiring and destroying single keys, with what stands in the way of mistakes.

use super::{KeyAdmin, TRIES, contended, tombstone_of};
use crate::{
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeyState},
    wire::{KeyId, Purpose},
};

/// What must be said before a key is destroyed.
#[derive(Debug, Clone, Copy)]
pub struct Confirm(());

impl Confirm {
    /// Every value under the keys becomes unreadable, for everybody and for good. No backup of the
    /// data brings it back; only a backup of the key store would, until it has expired.
    #[must_use]
    pub fn i_know_values_become_unreadable() -> Self {
        Self(())
    }
}

impl KeyAdmin {
    /// Makes a key decrypt-only: it opens its values and seals no new ones. A key that is so
    /// already stays so.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for the key that its slot seals under: rotate first.
    /// [`ErrorKind::KeyMissing`] if there is no such key, [`ErrorKind::Erased`] if it was
    /// destroyed, and errors of the key store.
    pub async fn retire(&self, key_id: KeyId) -> Result<()> {
        let record = self.record(key_id).await?;
        if record.state == KeyState::Active {
            self.check_superseded(&record).await?;
        }
        self.close(record).await
    }

    /// Destroys one decrypt-only key: its wrapped copies are gone, and a tombstone stays that
    /// keeps them from coming back. To erase a person or tenant, use [`KeyAdmin::shred`], which
    /// knows all keys of a context.
    ///
    /// Before this, re-encrypt the values under the key, and look for its id in the data:
    /// [`Ciphertext::key_prefix`](crate::Ciphertext::key_prefix) finds them.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for an active key, the newest of its slot, or a branch key,
    /// under which other data keys are wrapped. [`ErrorKind::KeyMissing`] if there is no such key,
    /// and errors of the key store. A key that is destroyed already is no error.
    pub async fn destroy(&self, key_id: KeyId, confirm: Confirm) -> Result<()> {
        let _ = confirm;
        let mut record = self.record(key_id).await?;
        for _ in 0..TRIES {
            match record.state {
                KeyState::Destroyed => return Ok(()),
                KeyState::Active => {
                    return Err(refused(key_id, "an active key is not destroyed", "retire it first"));
                }
                KeyState::DecryptOnly if record.slot.purpose == Purpose::Branch => {
                    return Err(refused(
                        key_id,
                        "a branch key is not destroyed: other data keys are wrapped under it",
                        "leave it decrypt-only",
                    ));
                }
                KeyState::DecryptOnly => self.check_superseded(&record).await?,
            }
            if self.store.replace(&record, &tombstone_of(&record)).await? {
                return Ok(());
            }
            record = self.record(key_id).await?;
        }
        Err(contended(key_id))
    }

    /// Refuses the newest elected key of a slot: without it, the slot could not seal.
    async fn check_superseded(&self, record: &KeyRecord) -> Result<()> {
        if !record.slot.purpose.is_elected() {
            return Ok(());
        }
        let elected = self.store.active(&record.slot).await?;
        if elected.is_some_and(|newer| newer.key_id != record.key_id && newer.epoch >= record.epoch) {
            return Ok(());
        }
        Err(refused(
            record.key_id,
            "new values of its slot are sealed under this key",
            "rotate the slot first",
        ))
    }
}

fn refused(key_id: KeyId, message: &str, help: &str) -> Error {
    Error::new(ErrorKind::Configuration).key(key_id).message(message.to_owned()).help(help.to_owned())
}

pub(super) fn gone(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Erased).key(key_id).message("the key was destroyed")
}
