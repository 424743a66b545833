//! What a cryptor holds at the moment, for operators.

use std::{fmt, time::Duration};

use crate::wire::{KeyId, Purpose};

/// The data keys that a cryptor holds: names, ages and what is left, no key and no context value.
///
/// ```text
/// 2 of 10000 data keys
/// 592092e2ba6884e56dd913086c6e1d7b  seal  default (app, tenant)  seals  age 12s, 4294967201 values left
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CryptorStatus {
    /// Room for so many keys for sealing, and as many for opening.
    pub capacity: usize,
    /// The keys.
    pub keys: Vec<KeptKey>,
}

/// A data key in the cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeptKey {
    /// Its id.
    pub key_id: KeyId,
    /// The name of its keyring.
    pub keyring: String,
    /// The names of the pairs of its encryption context.
    pub context: Vec<String>,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it is kept for sealing; otherwise it is kept for opening.
    pub seals: bool,
    /// How long it has been here.
    pub age: Duration,
    /// How many more values it may seal, or open.
    pub messages_left: u64,
    /// How many more bytes.
    pub bytes_left: u64,
    /// Whether it is used beyond its age, because the key service can't be asked.
    pub is_in_grace: bool,
}

impl fmt::Display for CryptorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} data keys", self.keys.len(), self.capacity)?;
        self.keys.iter().try_for_each(|key| write!(f, "\n{key}"))
    }
}

impl fmt::Display for KeptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {}  {} ({})  {}  age {}s, {} values left{}",
            self.key_id,
            self.purpose.name(),
            self.keyring,
            self.context.join(", "),
            if self.seals { "seals" } else { "opens" },
            self.age.as_secs(),
            self.messages_left,
            if self.is_in_grace { ", in grace" } else { "" },
        )
    }
}
