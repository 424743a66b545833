//! A data key or application key made ready for sealing and opening, with the derived keys it has used lately.

use std::{
    collections::VecDeque,
    fmt, process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    data_key::{DataKey, KeyLabel, expand},
    random::fill_random,
    stack::without_traces,
    xaes::{DerivedKey, HALF_NONCE, XaesKey},
};
use crate::{error::Result, wire::KeyId};

/// A writer keeps the first half of the nonce for at most this many values ...
const LEASE_VALUES: u32 = 1 << 20;
/// ... and this long, in one process. The second half is random for each value: 2^20 values
/// collide in it with a probability under 2^-57.
const LEASE_TIME: Duration = Duration::from_secs(3600);
/// Readers keep this many derived keys per data key.
const READER_KEYS: usize = 32;

/// A data key or application key ready for use. Everything secret in it is wiped when it is dropped.
pub(crate) struct SealingKey {
    id: KeyId,
    xaes: XaesKey,
    writer: Mutex<Option<Writer>>,
    readers: Mutex<VecDeque<([u8; HALF_NONCE], Arc<DerivedKey>)>>,
}

struct Writer {
    lease: Lease,
    values_left: u32,
    since: Instant,
    process: u32,
}

/// The first half of the nonce and the key derived from it.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) first_half: [u8; HALF_NONCE],
    pub(crate) key: Arc<DerivedKey>,
}

impl SealingKey {
    pub(crate) fn new(data_key: &DataKey) -> Arc<Self> {
        without_traces(|| {
            Arc::new(Self {
                id: data_key.id(),
                xaes: XaesKey::new(&expand(data_key.expose_bytes(), KeyLabel::Seal)),
                writer: Mutex::default(),
                readers: Mutex::default(),
            })
        })
    }

    /// An application key: another label for the id, another for the key of the cipher.
    pub(super) fn of_app_key(app_key: &[u8; 32]) -> Arc<Self> {
        Arc::new(Self {
            id: KeyId(*expand(app_key, KeyLabel::AppKeyId)),
            xaes: XaesKey::new(&expand(app_key, KeyLabel::InnerKey)),
            writer: Mutex::default(),
            readers: Mutex::default(),
        })
    }

    fn derive(&self, first_half: &[u8; HALF_NONCE]) -> Arc<DerivedKey> {
        without_traces(|| Arc::new(self.xaes.derive(first_half)))
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// Allows sealing up to `wanted` values (at least one) with one derived key; says how many.
    pub(crate) fn lease(&self, wanted: u32) -> Result<(Lease, u32)> {
        let process = process::id();
        let mut writer = lock(&self.writer);
        if let Some(writer) = writer.as_mut()
            && writer.values_left > 0
            && writer.process == process
            && writer.since.elapsed() < LEASE_TIME
        {
            let granted = wanted.min(writer.values_left);
            writer.values_left -= granted;
            return Ok((writer.lease.clone(), granted));
        }
        let mut first_half = [0; HALF_NONCE];
        fill_random(&mut first_half)?;
        let lease = Lease { first_half, key: self.derive(&first_half) };
        let granted = wanted.min(LEASE_VALUES);
        *writer = Some(Writer {
            lease: lease.clone(),
            values_left: LEASE_VALUES - granted,
            since: Instant::now(),
            process,
        });
        Ok((lease, granted))
    }

    /// The derived key for opening a value; not kept until [`SealingKey::keep`] is called, so that
    /// forged nonces can't push out keys in use.
    pub(crate) fn for_opening(&self, first_half: &[u8; HALF_NONCE]) -> Arc<DerivedKey> {
        let known =
            lock(&self.readers).iter().find(|(half, _)| half == first_half).map(|(_, key)| Arc::clone(key));
        known.unwrap_or_else(|| self.derive(first_half))
    }

    /// Keeps a derived key whose tag has verified.
    pub(crate) fn keep(&self, first_half: &[u8; HALF_NONCE], key: &Arc<DerivedKey>) {
        let mut readers = lock(&self.readers);
        if !readers.iter().any(|(half, _)| half == first_half) {
            if readers.len() >= READER_KEYS {
                readers.pop_front();
            }
            readers.push_back((*first_half, Arc::clone(key)));
        }
    }
}

/// Nothing in these critical sections panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}
