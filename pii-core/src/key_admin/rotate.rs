//! A new data key for a slot.

use std::{fmt, time::SystemTime};

use super::{KeyAdmin, contended};
use crate::{
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState},
    keyring::KeyBinding,
    wire::{KeyId, copies::CopiesBlock},
};

/// What [`KeyAdmin::rotate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The key that new values are sealed under from now on.
    pub key_id: KeyId,
    /// Its generation.
    pub epoch: u32,
    /// The key before it, if it was asked to be retired.
    pub retired: Option<KeyId>,
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "new values are sealed under key {} (epoch {})", self.key_id, self.epoch)?;
        match self.retired {
            Some(retired) => write!(f, "; key {retired} opens only"),
            None => Ok(()),
        }
    }
}

impl KeyAdmin {
    /// Gives a slot a new data key now: one of the next epoch, wrapped by the slot's keyring,
    /// elected and read back. Values that exist stay under their keys and open as before; new ones
    /// get the new key when the old one leaves the caches. With `retire_old` the key before it
    /// becomes decrypt-only. A slot without a key gets its first one.
    ///
    /// If another process makes a key for the same slot at the same moment, one of the two wins,
    /// and that is the result here too.
    ///
    /// # Errors
    /// [`ErrorKind::Erased`] if the slot was shredded: it gets no keys any more.
    /// [`ErrorKind::Configuration`] if the keyring is not known here, or the purpose is one whose
    /// keys are not elected. All key errors.
    pub async fn rotate(&self, slot: &KeySlot, retire_old: bool) -> Result<Rotation> {
        let keyring = self.keyring_of(&slot.keyring)?;
        if !slot.purpose.is_elected() {
            return Err(Error::new(ErrorKind::Configuration).message(format!(
                "each process makes its own data keys of purpose `{}`: there is none to rotate",
                slot.purpose.name()
            )));
        }
        let old = self.store.active(slot).await?;
        let epoch = match &old {
            None => 0,
            Some(old) if old.slot != *slot => {
                return Err(Error::new(ErrorKind::Integrity)
                    .key(old.key_id)
                    .message("the elected data key is one of another slot"));
            }
            Some(old) if old.state == KeyState::Destroyed => return Err(shredded(old.key_id)),
            Some(old) => old.epoch.checked_add(1).ok_or_else(|| {
                Error::new(ErrorKind::Configuration).key(old.key_id).message("this is the last epoch")
            })?,
        };
        let binding = KeyBinding { context: slot.context.clone(), purpose: slot.purpose, epoch };
        let generated = keyring.generate(&binding).await?;
        if CopiesBlock::encode(binding.purpose, epoch, &generated.copies).is_none() {
            return Err(Error::new(ErrorKind::Configuration)
                .message("the keyring gave wrapped copies that cannot be stored"));
        }
        let proposal = KeyRecord {
            key_id: generated.data_key.id(),
            slot: slot.clone(),
            epoch,
            state: KeyState::Active,
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            copies: generated.copies,
        };
        let winner = self.store.elect(&proposal).await?;
        // it may have been retired or shredded since, but it must be there
        let stored = self.store.load(winner.key_id).await?;
        let stored = stored.filter(|stored| winner.check_replacement(stored).is_ok()).ok_or_else(|| {
            Error::new(ErrorKind::KeyUnavailable)
                .key(winner.key_id)
                .message("the key store did not keep the record of a new data key")
        })?;
        if stored.slot != *slot || stored.epoch != epoch {
            return Err(Error::new(ErrorKind::Integrity)
                .key(stored.key_id)
                .message("the elected data key is one of another slot or epoch"));
        }
        if stored.state == KeyState::Destroyed {
            return Err(shredded(stored.key_id));
        }
        let mut retired = None;
        if let Some(old) = old {
            // a shred may have gone by between the first look and the election: it must be final
            let old = self.record(old.key_id).await?;
            if old.state == KeyState::Destroyed {
                self.bury(stored).await?;
                return Err(shredded(old.key_id));
            }
            if retire_old {
                retired = Some(old.key_id);
                self.close(old).await?;
            }
        }
        Ok(Rotation { key_id: stored.key_id, epoch: stored.epoch, retired })
    }

    /// Makes an active record decrypt-only.
    pub(super) async fn close(&self, mut record: KeyRecord) -> Result<()> {
        for _ in 0..super::TRIES {
            match record.state {
                KeyState::DecryptOnly => return Ok(()),
                KeyState::Destroyed => return Err(super::states::gone(record.key_id)),
                KeyState::Active => {}
            }
            let closed = KeyRecord { state: KeyState::DecryptOnly, ..record.clone() };
            if self.store.replace(&record, &closed).await? {
                return Ok(());
            }
            record = self.record(record.key_id).await?;
        }
        Err(contended(record.key_id))
    }
}

fn shredded(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Erased).key(key_id).message("the slot was shredded: it gets no new data keys")
}
