//! How long, and for how much, data keys are kept and used.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How long, and for how much, a data key stays in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLimits {
    /// How many data keys are kept for sealing, and as many for opening. The least recently used
    /// ones go first. If as many are pushed out within [`max_age`](Self::max_age) as there is room
    /// for, a warning is logged: the cache is too small.
    pub capacity: usize,
    /// How long a data key is used after the key service gave it. It is fetched anew a little
    /// earlier, in the last fifth of this time. A key that the service has disabled, or denies, is
    /// used for no longer than this.
    pub max_age: Duration,
    /// How many values a kept data key may seal, or open.
    pub max_messages: u64,
    /// How many bytes of plaintext a kept data key may seal, or open.
    pub max_bytes: u64,
    /// How much longer than [`max_age`](Self::max_age) a data key may be used while the key service
    /// is throttled or unavailable; after any other answer it is not. Zero for never.
    pub grace: Duration,
    /// How long a refusal that a repetition would not change is remembered, so that a page full of
    /// values under an unknown key does not ask for each. Zero for never.
    pub negative_age: Duration,
}

impl Default for CacheLimits {
    /// 10,000 keys, 5 minutes, 4,294,967,296 values, and as many bytes as fit in 63 bits; 5 minutes
    /// of grace, 1 second for refusals.
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_age: Duration::from_secs(300),
            max_messages: 1 << 32,
            max_bytes: (1 << 63) - 1,
            grace: Duration::from_secs(300),
            negative_age: Duration::from_secs(1),
        }
    }
}

impl CacheLimits {
    pub(crate) fn check(&self) -> Result<()> {
        let zero = [
            ("capacity", self.capacity == 0),
            ("max_age", self.max_age.is_zero()),
            ("max_messages", self.max_messages == 0),
            ("max_bytes", self.max_bytes == 0),
        ];
        match zero.into_iter().find(|(_, is_zero)| *is_zero) {
            None => Ok(()),
            Some((name, _)) => {
                Err(Error::new(ErrorKind::Configuration).message(format!("the cache limit `{name}` is zero")))
            }
        }
    }
}

/// When a context gets a new data key, of the next epoch. Values under older ones open as before.
///
/// It needs a key store. Without one, each process makes a new data key whenever one leaves its cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataKeyRotation {
    /// When the data key is this old, by its record and the system's clock; `None` for never. A
    /// record from the future is not old.
    pub after: Option<Duration>,
    /// When one process has sealed this many values under it; `None` for never.
    pub after_values: Option<u64>,
}

impl DataKeyRotation {
    pub(crate) fn check(&self) -> Result<()> {
        if self.after.is_some_and(|after| after.is_zero()) || self.after_values == Some(0) {
            return Err(Error::new(ErrorKind::Configuration)
                .message("a data key would be rotated before its first value"));
        }
        Ok(())
    }
}
