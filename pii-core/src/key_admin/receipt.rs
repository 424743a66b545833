//! What remains of erased keys: see FORMAT.md, "Receipts and exports".

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    context::EncryptionContext,
    cryptor::CacheLimits,
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeyState},
    wire::KeyId,
};

const FORMAT: &str = "pii-shred-receipt-1";

/// How long others may still hold a data key that was destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The longest [`CacheLimits::max_age`] of all programs that use the key store.
    pub cache_max_age: Duration,
    /// How much longer they may use an expired key while the key service can't be reached.
    pub cache_grace: Duration,
    /// How long backups of the key store are kept.
    pub backups: Duration,
}

impl Default for Retention {
    /// The default of [`CacheLimits::max_age`] twice, for cache and grace; no backups.
    fn default() -> Self {
        let max_age = CacheLimits::default().max_age;
        Self { cache_max_age: max_age, cache_grace: max_age, backups: Duration::ZERO }
    }
}

/// What [`KeyAdmin::shred`](crate::KeyAdmin::shred) destroyed, and when nobody holds it any more.
///
/// It holds the tombstones of the keys, so that it can be
/// [replayed](crate::KeyAdmin::replay) on a key store that was restored from a backup, also for
/// keys that are younger than the backup. Tombstones have no wrapped copies, but the encryption
/// context in clear, as key records do: its JSON names the tenant and the random id of the person.
/// Keep it where the backups of the key store are, and delete it with the last of them. `Debug`
/// and `Display` show ids, times and the names of the context.
#[derive(Clone, PartialEq, Eq)]
pub struct ShredReceipt {
    is_exact: bool,
    names: Vec<String>,
    shredded: SystemTime,
    caches_until: SystemTime,
    backups_until: SystemTime,
    tombstones: Vec<KeyRecord>,
    unreadable: Vec<KeyId>,
}

impl ShredReceipt {
    pub(super) fn new(
        is_exact: bool,
        pairs: &EncryptionContext,
        tombstones: Vec<KeyRecord>,
        unreadable: Vec<KeyId>,
        retention: &Retention,
        now: SystemTime,
    ) -> Self {
        let now = whole_seconds(now);
        let caches = retention.cache_max_age.saturating_add(retention.cache_grace);
        Self {
            is_exact,
            names: pairs.pairs().map(|(name, _)| name.to_owned()).collect(),
            shredded: now,
            caches_until: later(now, caches),
            backups_until: later(now, retention.backups),
            tombstones,
            unreadable,
        }
    }

    /// The ids of the destroyed keys: what stored values name in their headers.
    pub fn key_ids(&self) -> impl ExactSizeIterator<Item = KeyId> + '_ {
        self.tombstones.iter().map(|record| record.key_id)
    }

    /// The names of the pairs that chose the keys.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The pairs that chose the keys, with their values: for what is to be done with the rows of the context,
    /// such as clearing their blind indexes, and again after a [replay](crate::KeyAdmin::replay).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContext`] if no key was found, so that no tombstone tells the values.
    pub fn context(&self) -> Result<EncryptionContext> {
        let unknown = || {
            Error::new(ErrorKind::InvalidContext)
                .message("the receipt has no tombstone of the context, which alone tells its values")
        };
        let context = &self.tombstones.first().ok_or_else(unknown)?.slot.context;
        let pairs = self.names.iter().map(|name| Some((name.as_str(), context.get(name)?)));
        EncryptionContext::new(pairs.collect::<Option<Vec<_>>>().ok_or_else(unknown)?)
    }

    /// Keys whose records could not be read. One of them may belong to the context: repair or
    /// restore them, and shred again.
    #[must_use]
    pub fn unreadable(&self) -> &[KeyId] {
        &self.unreadable
    }

    /// When the last key was destroyed; whole seconds.
    #[must_use]
    pub fn shredded(&self) -> SystemTime {
        self.shredded
    }

    /// When no cache holds the keys any more.
    #[must_use]
    pub fn caches_until(&self) -> SystemTime {
        self.caches_until
    }

    /// When no backup of the key store holds them any more.
    #[must_use]
    pub fn backups_until(&self) -> SystemTime {
        self.backups_until
    }

    /// When the erasure is complete: no cache and no backup holds the keys any more. `None` while
    /// there are [unreadable](ShredReceipt::unreadable) records.
    #[must_use]
    pub fn complete_after(&self) -> Option<SystemTime> {
        self.unreadable.is_empty().then_some(self.caches_until.max(self.backups_until))
    }

    pub(super) fn tombstones(&self) -> &[KeyRecord] {
        &self.tombstones
    }

    /// The receipt as one line of JSON, as FORMAT.md describes it.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if it has no such form; no receipt that was read has none.
    pub fn to_json(&self) -> Result<String> {
        let tombstones = self.tombstones.iter().map(|record| {
            serde_json::from_str(&record.to_json()?).map_err(|_| Error::new(ErrorKind::Malformed))
        });
        let json = ReceiptJson {
            format: FORMAT.to_owned(),
            scope: if self.is_exact { "exactly" } else { "containing" }.to_owned(),
            names: self.names.clone(),
            shredded: text(self.shredded),
            caches_until: text(self.caches_until),
            backups_until: text(self.backups_until),
            unreadable: self.unreadable.iter().map(KeyId::to_string).collect(),
            tombstones: tombstones.collect::<Result<_>>()?,
        };
        serde_json::to_string(&json).map_err(|_| Error::new(ErrorKind::Malformed))
    }

    /// Reads what [`ShredReceipt::to_json`] gave.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if it is no such receipt, or one with a record that is no tombstone.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let parsed = serde_json::from_slice::<ReceiptJson>(json).ok().and_then(ReceiptJson::into_receipt);
        parsed.ok_or_else(|| Error::new(ErrorKind::Malformed).message("this is no receipt of a shred"))
    }
}

#[derive(Serialize, Deserialize)]
struct ReceiptJson {
    format: String,
    scope: String,
    names: Vec<String>,
    shredded: String,
    caches_until: String,
    backups_until: String,
    unreadable: Vec<String>,
    tombstones: Vec<serde_json::Value>,
}

impl ReceiptJson {
    fn into_receipt(self) -> Option<ShredReceipt> {
        let is_exact = match (self.format.as_str(), self.scope.as_str()) {
            (FORMAT, "exactly") => true,
            (FORMAT, "containing") => false,
            _ => return None,
        };
        let time = |text: &str| humantime::parse_rfc3339(text).ok();
        let tombstone = |json: serde_json::Value| {
            let record = KeyRecord::from_json(json.to_string().as_bytes()).ok();
            record.filter(|record| record.state == KeyState::Destroyed)
        };
        Some(ShredReceipt {
            is_exact,
            names: self.names,
            shredded: time(&self.shredded)?,
            caches_until: time(&self.caches_until)?,
            backups_until: time(&self.backups_until)?,
            unreadable: self.unreadable.iter().map(|id| KeyId::parse(id)).collect::<Option<_>>()?,
            tombstones: self.tombstones.into_iter().map(tombstone).collect::<Option<_>>()?,
        })
    }
}

impl fmt::Display for ShredReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = if self.is_exact { "the context" } else { "contexts with" };
        write!(
            f,
            "{} data keys of {scope} ({}) were destroyed at {}; caches forget them by {}, backups by {}",
            self.tombstones.len(),
            self.names.join(", "),
            text(self.shredded),
            text(self.caches_until),
            text(self.backups_until),
        )?;
        if !self.unreadable.is_empty() {
            write!(
                f,
                "; NOT COMPLETE: {} records could not be read and may belong to it",
                self.unreadable.len()
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for ShredReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShredReceipt({self})")
    }
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    later(SystemTime::UNIX_EPOCH, Duration::from_secs(since.as_secs()))
}

/// The last second of the year 9999: later times have no RFC 3339 form.
const LAST_SECOND: u64 = 253_402_300_799;

/// At a second's end, so that no part of a second is lost; never later than what has a form.
fn later(time: SystemTime, by: Duration) -> SystemTime {
    let by = Duration::from_secs(by.as_secs().saturating_add(u64::from(by.subsec_nanos() > 0)));
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
    time.checked_add(by).map_or(last, |sum| sum.min(last))
}

fn text(time: SystemTime) -> String {
    // every time here lies between 1970 and 9999
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(now: SystemTime, retention: &Retention) -> ShredReceipt {
        let pairs = crate::ctx!(tenant = "acme", subject = "person-7").unwrap();
        ShredReceipt::new(false, &pairs, vec![], vec![], retention, now)
    }

    #[test]
    fn a_receipt_without_keys_does_not_know_its_values() {
        let receipt = receipt(SystemTime::now(), &Retention::default());
        assert_eq!(receipt.names(), ["subject", "tenant"]);
        assert_eq!(receipt.context().unwrap_err().kind(), ErrorKind::InvalidContext);
    }

    #[test]
    fn the_erasure_is_complete_when_caches_and_backups_have_forgotten() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_500);
        let retention = Retention {
            cache_max_age: Duration::from_millis(60_001),
            cache_grace: Duration::from_secs(10),
            backups: Duration::from_secs(86_400),
        };
        let receipt = receipt(now, &retention);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(receipt.shredded(), at(1_000_000));
        assert_eq!(receipt.caches_until(), at(1_000_071), "part of a second counts as a whole one");
        assert_eq!(receipt.complete_after(), Some(at(1_086_400)));
        let again = ShredReceipt::from_json(receipt.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(again, receipt);
    }

    #[test]
    fn absurd_times_still_have_a_form() {
        let endless =
            Retention { cache_max_age: Duration::MAX, backups: Duration::MAX, ..Retention::default() };
        let late = receipt(SystemTime::now(), &endless);
        assert!(late.to_json().unwrap().contains("9999-12-31T23:59:59Z"));
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(10);
        let early = receipt(before_1970, &Retention::default());
        assert!(early.to_string().contains("1970-01-01T00:00:00Z"), "{early}");
    }

    #[test]
    fn what_people_see_has_no_context_values() {
        let receipt = receipt(SystemTime::now(), &Retention::default());
        let shown = format!("{receipt} {receipt:?}");
        assert!(shown.contains("subject, tenant"), "{shown}");
        assert!(!shown.contains("person-7") && !shown.contains("acme"), "{shown}");
    }

    #[test]
    fn damaged_receipts_are_refused() {
        let json = receipt(SystemTime::now(), &Retention::default()).to_json().unwrap();
        for (from, to) in
            [("receipt-1", "receipt-2"), ("containing", "about"), ("\"shredded\":\"2", "\"shredded\":\"x")]
        {
            let damaged = json.replace(from, to);
            assert_ne!(damaged, json);
            assert_eq!(ShredReceipt::from_json(damaged.as_bytes()).unwrap_err().kind(), ErrorKind::Malformed);
        }
        assert!(ShredReceipt::from_json(&json.as_bytes()[..json.len() / 2]).is_err());
    }
}
