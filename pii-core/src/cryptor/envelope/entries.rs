//! What the cache keeps: entries with limits, the least recently used first.

use std::{hash::Hash, time::Duration};

use hashlink::LinkedHashMap;

use super::limits::CacheLimits;
use crate::crypto::fill_random;

/// After a fetch that failed in a way that may pass, the next one waits this long, or for a tenth of
/// the age.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Entries<K, V> {
    limits: CacheLimits,
    map: LinkedHashMap<K, Entry<V>>,
    swept: Duration,
    /// pushed out for want of room since `swept`
    pushed_out: usize,
}

struct Entry<V> {
    value: V,
    since: Duration,
    messages: u64,
    bytes: u64,
    /// when to fetch anew, ahead of the end or after a failure
    refresh_at: Duration,
    is_refreshing: bool,
    is_in_grace: bool,
}

impl<V> Entry<V> {
    /// Whether `messages` values of `bytes` in all are more than it may still be used for.
    fn is_spent(&self, messages: u64, bytes: u64, limits: &CacheLimits) -> bool {
        self.messages.saturating_add(messages) > limits.max_messages
            || self.bytes.saturating_add(bytes) > limits.max_bytes
    }
}

/// What there is for a key.
pub(super) enum Found<V> {
    Fresh(V),
    /// Still good, and it is for whoever gets this answer to fetch it anew.
    Due(V),
    /// Too old, and fetching it has failed a moment ago.
    InGrace(V),
    /// Nothing, or only something too old.
    Nothing,
}

/// What an entry tells about itself.
pub(crate) struct Remaining {
    pub(crate) age: Duration,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) is_in_grace: bool,
}

/// What became of room for a new entry.
#[derive(PartialEq, Eq)]
pub(super) enum Room {
    Free,
    PushedOut,
    /// As many were pushed out within one age as there is room for.
    Thrashing,
}

impl<K: Hash + Eq + Clone, V: Clone> Entries<K, V> {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self { limits, map: LinkedHashMap::new(), swept: Duration::ZERO, pushed_out: 0 }
    }

    /// How long an entry can be of any use.
    fn life(&self) -> Duration {
        self.limits.max_age.saturating_add(self.limits.grace)
    }

    fn pause(&self) -> Duration {
        (self.limits.max_age / 10).min(LONGEST_PAUSE)
    }

    /// What is kept for `messages` values of `bytes` in all, which are charged to it.
    pub(super) fn find(&mut self, key: &K, messages: u64, bytes: u64, now: Duration) -> Found<V> {
        let (life, limits) = (self.life(), &self.limits);
        let Some(entry) = self.map.get_mut(key) else { return Found::Nothing };
        let age = now.saturating_sub(entry.since);
        if entry.is_spent(messages, bytes, limits) || age >= life {
            self.map.remove(key);
            return Found::Nothing;
        }
        let is_old = age >= limits.max_age;
        if is_old && !(entry.is_in_grace && now < entry.refresh_at) {
            return Found::Nothing;
        }
        entry.messages += messages;
        entry.bytes += bytes;
        let value = entry.value.clone();
        let is_due = !is_old && now >= entry.refresh_at && !entry.is_refreshing;
        entry.is_refreshing |= is_due;
        self.map.to_back(key);
        match (is_old, is_due) {
            (true, _) => Found::InGrace(value),
            (false, true) => Found::Due(value),
            (false, false) => Found::Fresh(value),
        }
    }

    /// Whether this is kept and nothing is to be fetched anew: [`Entries::find`] finds it fresh. Changes nothing.
    pub(super) fn is_fresh(&self, key: &K, messages: u64, bytes: u64, now: Duration) -> bool {
        self.map.get(key).is_some_and(|entry| {
            let is_old = now.saturating_sub(entry.since) >= self.limits.max_age;
            let is_due = now >= entry.refresh_at && !entry.is_refreshing;
            !is_old && !is_due && !entry.is_spent(messages, bytes, &self.limits)
        })
    }

    /// A look that charges nothing.
    pub(super) fn peek(&self, key: &K, now: Duration) -> Option<&V> {
        let entry = self.map.get(key)?;
        (now.saturating_sub(entry.since) < self.limits.max_age).then_some(&entry.value)
    }

    pub(super) fn insert(&mut self, key: K, value: V, now: Duration) -> Room {
        if now.saturating_sub(self.swept) >= self.limits.max_age {
            // keys that nobody asks for any more do not stay in memory
            let life = self.life();
            self.map.retain(|_, entry| now.saturating_sub(entry.since) < life);
            (self.swept, self.pushed_out) = (now, 0);
        }
        let mut room = Room::Free;
        if self.map.len() >= self.limits.capacity && !self.map.contains_key(&key) {
            self.map.pop_front();
            self.pushed_out += 1;
            room = if self.pushed_out == self.limits.capacity { Room::Thrashing } else { Room::PushedOut };
        }
        let entry = Entry {
            value,
            since: now,
            messages: 0,
            bytes: 0,
            refresh_at: now.saturating_add(self.refresh_age()),
            is_refreshing: false,
            is_in_grace: false,
        };
        self.map.remove(&key);
        self.map.insert(key, entry);
        room
    }

    /// Between eight and nine tenths of the age, so that processes which started together do not
    /// ask together for ever.
    fn refresh_age(&self) -> Duration {
        let mut random = [0];
        // without a random number it is merely the earliest
        let _ = fill_random(&mut random);
        let earliest = self.limits.max_age / 5 * 4;
        earliest.saturating_add(self.limits.max_age / 10 / 256 * u32::from(random[0]))
    }

    pub(super) fn charge(&mut self, key: &K, messages: u64, bytes: u64) {
        if let Some(entry) = self.map.get_mut(key) {
            entry.messages = entry.messages.saturating_add(messages);
            entry.bytes = entry.bytes.saturating_add(bytes);
        }
    }

    /// Whoever was told to fetch anew has left: it is for the next one.
    pub(super) fn give_up(&mut self, key: &K) {
        if let Some(entry) = self.map.get_mut(key) {
            entry.is_refreshing = false;
        }
    }

    /// Fetching has failed: the next attempt is a little later.
    pub(super) fn postpone(&mut self, key: &K, now: Duration) {
        let pause = self.pause();
        if let Some(entry) = self.map.get_mut(key) {
            entry.refresh_at = now.saturating_add(pause);
            entry.is_refreshing = false;
        }
    }

    /// Fetching has failed in a way that may pass: the old value if its grace lasts, and whether it
    /// is used beyond its age for the first time.
    pub(super) fn grace(&mut self, key: &K, messages: u64, bytes: u64, now: Duration) -> Option<(V, bool)> {
        let (life, pause) = (self.life(), self.pause());
        let entry = self.map.get_mut(key)?;
        if now.saturating_sub(entry.since) >= life {
            self.map.remove(key);
            return None;
        }
        let is_first = !entry.is_in_grace;
        entry.is_in_grace = true;
        entry.is_refreshing = false;
        entry.refresh_at = now.saturating_add(pause);
        entry.messages = entry.messages.saturating_add(messages);
        entry.bytes = entry.bytes.saturating_add(bytes);
        Some((entry.value.clone(), is_first))
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.map.remove(key);
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&K) -> bool) {
        self.map.retain(|key, _| is_kept(key));
    }

    pub(super) fn iter(&self, now: Duration) -> impl Iterator<Item = (&K, &V, Remaining)> {
        let (limits, life) = (&self.limits, self.life());
        let alive = self.map.iter().filter(move |(_, entry)| now.saturating_sub(entry.since) < life);
        alive.map(move |(key, entry)| {
            let age = now.saturating_sub(entry.since);
            let remaining = Remaining {
                age,
                messages: limits.max_messages.saturating_sub(entry.messages),
                bytes: limits.max_bytes.saturating_sub(entry.bytes),
                is_in_grace: entry.is_in_grace,
            };
            (key, &entry.value, remaining)
        })
    }
}
