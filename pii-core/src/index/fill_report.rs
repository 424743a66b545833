//! What a job that fills in codes did.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// So many errors of single rows are kept.
const KEPT_FAILURES: usize = 20;

/// What a job did that fills in the codes of blind indexes. Every row that was read is counted once more:
/// as filled, unchanged, gone, left, erased or failed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct IndexFillReport {
    /// Rows that were read. One that was read again because it had changed meanwhile counts once.
    pub rows_read: u64,
    /// Rows whose codes were written.
    pub filled: u64,
    /// Rows whose codes were right already; also those that have none, because nothing is left of their
    /// value after normalising.
    pub unchanged: u64,
    /// Rows that someone else deleted meanwhile, or moved out of the cryptor's scope.
    pub gone: u64,
    /// Rows that someone else changed again and again; another run finds them.
    pub left: u64,
    /// Rows whose values can't be opened any more, or have no code any more, because a key was destroyed.
    pub erased: u64,
    /// Rows that could not be worked on.
    pub failed: u64,
    /// Why, of the first of them. Each names the row.
    pub failures: Vec<Error>,
    /// Times that a row had to be read again, because someone else wrote to it meanwhile.
    pub retries: u64,
    /// The id of the last row that was read, where the job goes in the order of the ids.
    pub last_id: Option<String>,
    /// Whether the whole table was walked through: not if the job was told to stop.
    pub is_complete: bool,
}

impl IndexFillReport {
    /// Whether the job went through the whole table and left no row behind that a search should find.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_complete && self.left == 0 && self.failed == 0
    }

    /// For adapters: counts a row that could not be worked on.
    #[doc(hidden)]
    pub fn fail(&mut self, error: Error) {
        if error.kind() == ErrorKind::Erased {
            self.erased += 1;
            return;
        }
        self.failed += 1;
        if self.failures.len() < KEPT_FAILURES {
            self.failures.push(error);
        }
    }
}

impl fmt::Display for IndexFillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows read: {} filled, {} unchanged, {} gone, {} left, {} erased, {} failed; {} read again",
            self.rows_read,
            self.filled,
            self.unchanged,
            self.gone,
            self.left,
            self.erased,
            self.failed,
            self.retries
        )?;
        if self.is_complete { Ok(()) } else { f.write_str("; not at the end yet") }
    }
}
