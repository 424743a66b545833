//! What a job did, and what it found.

use std::{collections::BTreeMap, fmt};

use pii_core::{Error, StateCounts};

/// So many errors of single rows are kept.
const KEPT_FAILURES: usize = 20;

/// What [`Adoption::seal`](super::Adoption::seal) or [`roll_back`](super::Adoption::roll_back) did up to now.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdoptionReport {
    /// Rows that had something to do and were read. One that was read again because it had changed meanwhile
    /// counts once.
    pub rows_read: u64,
    /// Rows that were written.
    pub rows_written: u64,
    /// Times that a row had to be read again, because someone else wrote to it meanwhile.
    pub retries: u64,
    /// Rows that someone else deleted meanwhile, or moved out of the cryptor's scope.
    pub gone: u64,
    /// Rows that someone else changed again and again; another run finds them.
    pub left: u64,
    /// Rows that could not be worked on.
    pub failed: u64,
    /// Why, of the first of them. Each names the row.
    pub failures: Vec<Error>,
    /// Whether the whole table was walked through: not if the job was told to stop.
    pub is_complete: bool,
}

impl AdoptionReport {
    /// Whether the job went through the whole table and left nothing behind.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_complete && self.left == 0 && self.failed == 0
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.failed += 1;
        if self.failures.len() < KEPT_FAILURES {
            self.failures.push(error);
        }
    }
}

impl fmt::Display for AdoptionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows read, {} written, {} read again, {} gone, {} left, {} failed",
            self.rows_read, self.rows_written, self.retries, self.gone, self.left, self.failed
        )?;
        if self.is_complete { Ok(()) } else { f.write_str("; not at the end yet") }
    }
}

/// In which form a table's values are; made by [`Adoption::verify`](super::Adoption::verify).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdoptionCensus {
    /// Rows of the table, or of the cryptor's scope.
    pub rows: u64,
    /// The values of each field, by its stable name, those of nested structs joined by dots. A field without
    /// values is not there.
    pub fields: BTreeMap<String, StateCounts>,
    /// Rows that could not be read, such as one with NULL where the field is not optional. None of their values is
    /// counted.
    pub failed: u64,
    /// Why, of the first of them. Each names the row.
    pub failures: Vec<Error>,
}

impl AdoptionCensus {
    /// All values together.
    #[must_use]
    pub fn total(&self) -> StateCounts {
        let mut total = StateCounts::default();
        for field in self.fields.values() {
            total.plaintext += field.plaintext;
            total.sealed += field.sealed;
            total.foreign += field.foreign;
            total.malformed += field.malformed;
        }
        total
    }

    /// Whether every value has the form of a sealed one, and every row could be read.
    #[must_use]
    pub fn is_all_sealed(&self) -> bool {
        let total = self.total();
        self.failed == 0 && total.sealed == total.total()
    }

    /// Whether no value is sealed or damaged, and every row could be read.
    #[must_use]
    pub fn is_all_plaintext(&self) -> bool {
        let total = self.total();
        self.failed == 0 && total.plaintext == total.total()
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.failed += 1;
        if self.failures.len() < KEPT_FAILURES {
            self.failures.push(error);
        }
    }
}

impl fmt::Display for AdoptionCensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.rows)?;
        for (field, counts) in &self.fields {
            write!(f, "; {field}: {} plaintext, {} sealed", counts.plaintext, counts.sealed)?;
            if counts.foreign > 0 {
                write!(f, ", {} of another system", counts.foreign)?;
            }
            if counts.malformed > 0 {
                write!(f, ", {} malformed", counts.malformed)?;
            }
        }
        if self.failed > 0 {
            write!(f, "; {} rows can't be read", self.failed)?;
        }
        Ok(())
    }
}
