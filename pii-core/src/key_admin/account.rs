//! Whether the data keys that stored values name are there.

use std::{collections::BTreeSet, fmt};

use super::{KeyAdmin, KeyProblem, report::write_lines};
use crate::{error::Result, key_store::KeyState, wire::KeyId};

/// What [`KeyAdmin::account_for`] found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AccountReport {
    /// Different keys that have a record with copies.
    pub present: u64,
    /// Keys without a record: their values don't open.
    pub missing: Vec<KeyId>,
    /// Keys that were destroyed: their values are erased.
    pub destroyed: Vec<KeyId>,
    /// Keys whose records can't be read.
    pub unreadable: Vec<KeyProblem>,
}

impl AccountReport {
    /// Whether every key has a record, be it a tombstone.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unreadable.is_empty()
    }
}

impl fmt::Display for AccountReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} keys have a record, {} were destroyed, {} are missing, {} cannot be read",
            self.present,
            self.destroyed.len(),
            self.missing.len(),
            self.unreadable.len()
        )?;
        write_lines(f, "missing", &self.missing)?;
        write_lines(f, "unreadable", &self.unreadable)
    }
}

impl KeyAdmin {
    /// Looks for the records of the keys that stored values name.
    /// [`Ciphertext::key_id`](crate::Ciphertext::key_id) gives a value's key id; those of
    /// [`Layout::InlineCopies`](crate::Layout::InlineCopies) need no record and should be left out.
    ///
    /// ```
    /// # use pii_core as pii;
    /// use pii::{Ciphertext, Layout};
    ///
    /// # async fn run(admin: pii::KeyAdmin, column: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ids = std::collections::BTreeSet::new();
    /// for text in column {
    ///     let value = Ciphertext::parse(text)?;
    ///     if value.layout() == Layout::KeyStore {
    ///         ids.insert(value.key_id());
    ///     }
    /// }
    /// let report = admin.account_for(ids).await?;
    /// assert!(report.is_complete(), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the key store can't be reached.
    pub async fn account_for(
        &self,
        key_ids: impl IntoIterator<Item = KeyId> + Send,
    ) -> Result<AccountReport> {
        let key_ids: BTreeSet<KeyId> = key_ids.into_iter().collect();
        let mut report = AccountReport::default();
        for key_id in key_ids {
            match self.store.load(key_id).await {
                Ok(None) => report.missing.push(key_id),
                Ok(Some(record)) if record.state == KeyState::Destroyed => report.destroyed.push(key_id),
                Ok(Some(_)) => report.present += 1,
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => report.unreadable.push(KeyProblem { key_id, error }),
            }
        }
        Ok(report)
    }
}
