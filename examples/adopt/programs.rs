//! The two programs, started and stopped.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use pii::Cryptor;
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::{
    Result,
    client::{Clients, ROWS},
    newer::Newer,
    older,
};

/// So many tasks each program has.
const TASKS: u64 = 2;
/// How long a task rests between two of its transactions.
pub(crate) const REST: Duration = Duration::from_millis(2);

/// What a program has done.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicU64,
    pub(crate) changes: AtomicU64,
    pub(crate) inserts: AtomicU64,
    pub(crate) deletes: AtomicU64,
    /// times that a row was not as the ledger says
    pub(crate) wrong: AtomicU64,
    /// times that someone else was faster
    pub(crate) met: AtomicU64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [reads, changes, inserts, deletes, wrong, met] =
            [&self.reads, &self.changes, &self.inserts, &self.deletes, &self.wrong, &self.met]
                .map(|count| count.load(Relaxed));
        write!(f, "{reads} rows read, {changes} changed, {inserts} inserted, {deletes} deleted; ")?;
        write!(f, "{met} times someone else was faster, {wrong} times a row was not as it should be")
    }
}

/// What a task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Read,
    Change,
    Insert,
    Delete,
}

/// Numbers that look random, others in each run.
pub(crate) struct Numbers(u64);

impl Numbers {
    fn new(task: u64) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs());
        Self(now.wrapping_mul(0x9E37_79B9) ^ task)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    pub(crate) fn deed(&mut self) -> Deed {
        match self.below(20) {
            0..=8 => Deed::Read,
            9..=16 => Deed::Change,
            17..=18 => Deed::Insert,
            _ => Deed::Delete,
        }
    }

    /// The id of a row of the first ones, most of which are still there.
    pub(crate) fn id(&mut self) -> i64 {
        i64::try_from(1 + self.below(ROWS)).unwrap_or(1)
    }
}

/// Tasks with a switch.
#[derive(Default)]
struct Running {
    tasks: Vec<JoinHandle<Result<()>>>,
    is_over: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

impl Running {
    async fn stop(&mut self) -> Result<String> {
        self.is_over.store(true, Relaxed);
        for task in self.tasks.drain(..) {
            task.await??;
        }
        Ok(self.counts.to_string())
    }
}

pub(crate) struct Programs<'a> {
    pool: &'a PgPool,
    cryptor: &'a Cryptor,
    older: Running,
    newer: Running,
}

impl<'a> Programs<'a> {
    pub(crate) fn new(pool: &'a PgPool, cryptor: &'a Cryptor) -> Self {
        Self { pool, cryptor, older: Running::default(), newer: Running::default() }
    }

    pub(crate) fn start_older(&mut self) {
        for task in 1..=TASKS {
            let (pool, is_over) = (self.pool.clone(), Arc::clone(&self.older.is_over));
            let (counts, numbers) = (Arc::clone(&self.older.counts), Numbers::new(task));
            self.older.tasks.push(tokio::spawn(older::run(pool, numbers, is_over, counts)));
        }
    }

    pub(crate) fn start_newer(&mut self) {
        for task in 1..=TASKS {
            let program = Newer {
                pool: self.pool.clone(),
                clients: Clients::new(self.pool, self.cryptor),
                counts: Arc::clone(&self.newer.counts),
            };
            let (is_over, numbers) = (Arc::clone(&self.newer.is_over), Numbers::new(100 + task));
            self.newer.tasks.push(tokio::spawn(program.run(numbers, is_over)));
        }
    }

    pub(crate) async fn stop_older(&mut self) -> Result<String> {
        self.older.stop().await
    }

    pub(crate) async fn stop_newer(&mut self) -> Result<String> {
        self.newer.stop().await
    }

    pub(crate) fn counts(&self) -> [&Counts; 2] {
        [&self.older.counts, &self.newer.counts]
    }
}
