//! Key records from an export.

use std::{
    collections::HashSet,
    fmt,
    io::{BufRead, Read as _},
};

use super::{
    KeyAdmin, KeyProblem, Progress,
    report::write_lines,
    transfer::{END, FORMAT, Header, LinesHash, Trailer},
};
use crate::{
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeyState},
};

/// Far more than any record needs.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// How [`KeyAdmin::import`] works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Destroys keys of the store of which the export has a tombstone. Their values become
    /// unreadable. Without it, they are conflicts and stay.
    pub danger_apply_tombstones: bool,
}

/// What [`KeyAdmin::import`] did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// Records that the store did not have.
    pub inserted: u64,
    /// Keys that the store has already. Their records stay as they are, also where they have other
    /// copies or another state than in the export.
    pub existing: u64,
    /// Keys of which the export has copies, and the store a tombstone. They stay destroyed.
    pub kept_destroyed: u64,
    /// Keys that were destroyed because the export has their tombstone.
    pub tombstones_applied: u64,
    /// Keys on which export and store do not agree; the store's records stay.
    pub conflicts: Vec<KeyProblem>,
}

impl ImportReport {
    /// Whether export and store agree.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.conflicts.is_empty()
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} inserted, {} already there, {} stay destroyed, {} destroyed, {} conflicts",
            self.inserted,
            self.existing,
            self.kept_destroyed,
            self.tombstones_applied,
            self.conflicts.len()
        )?;
        write_lines(f, "conflicts", &self.conflicts)
    }
}

impl KeyAdmin {
    /// Puts the records of an export into the store. The whole file is checked first: from a
    /// damaged or truncated one, nothing is imported. Then each record is inserted that the store
    /// does not have; records that exist stay as they are. Importing twice does no harm.
    ///
    /// Records are not trusted for being in a file: what was altered does not unwrap. A file that
    /// says a destroyed key is alive brings its copies back where the store has no tombstone, so
    /// replay the receipts of shreds that are younger than the export.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] with the number of the line, if the file is damaged;
    /// [`ErrorKind::KeyUnavailable`] if it can't be read; errors of the key store, after which the
    /// call should be repeated.
    pub async fn import(
        &self,
        input: &mut (impl BufRead + Send),
        options: &ImportOptions,
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<ImportReport> {
        let mut records = read(input)?;
        // older epochs first, because elections have no gaps; of several keys of one epoch, one
        // that can seal should win
        records.sort_by_key(|record| (record.epoch, rank(record.state)));
        let mut report = ImportReport::default();
        let mut state = Progress::default();
        for record in &records {
            let before = (report.inserted, report.conflicts.len());
            self.import_one(record, options, &mut report).await?;
            let is_new = report.inserted > before.0;
            state.count(record.key_id, is_new, report.conflicts.len() > before.1);
            // not in the order of ids: nothing to go on from
            state.last = None;
            progress(&state);
        }
        Ok(report)
    }

    async fn import_one(
        &self,
        record: &KeyRecord,
        options: &ImportOptions,
        report: &mut ImportReport,
    ) -> Result<()> {
        let mut conflict = |error: Error| {
            report.conflicts.push(KeyProblem { key_id: record.key_id, error: error.key(record.key_id) });
        };
        let existed = match self.store.load(record.key_id).await {
            Ok(stored) => stored.is_some(),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                conflict(error);
                return Ok(());
            }
        };
        // also where it exists: a lost election is held again
        let stored = self.store.insert(record).await?;
        let is_same_key =
            stored.slot == record.slot && stored.epoch == record.epoch && stored.created == record.created;
        match (record.state, stored.state) {
            _ if !is_same_key => conflict(
                Error::new(ErrorKind::ContextMismatch)
                    .message("the store has another record of this key than the export"),
            ),
            (KeyState::Destroyed, KeyState::Destroyed) if existed => report.existing += 1,
            (KeyState::Destroyed, KeyState::Active | KeyState::DecryptOnly) => {
                if options.danger_apply_tombstones {
                    self.bury(stored).await?;
                    report.tombstones_applied += 1;
                } else {
                    conflict(
                        Error::new(ErrorKind::Erased)
                            .message("the key is destroyed in the export and alive in the store")
                            .help("apply tombstones if it should be destroyed here too"),
                    );
                }
            }
            (KeyState::Active | KeyState::DecryptOnly, KeyState::Destroyed) => report.kept_destroyed += 1,
            _ if existed => report.existing += 1,
            _ => report.inserted += 1,
        }
        Ok(())
    }
}

fn rank(state: KeyState) -> u8 {
    match state {
        KeyState::Active => 0,
        KeyState::DecryptOnly => 1,
        KeyState::Destroyed => 2,
    }
}

/// All records of a file without a flaw.
fn read(input: &mut impl BufRead) -> Result<Vec<KeyRecord>> {
    let mut hash = LinesHash::default();
    let mut records = Vec::new();
    let mut known = HashSet::new();
    let mut number = 1_u64;
    let first = line(input, number)?;
    match serde_json::from_slice::<Header>(&first) {
        Ok(header) if header.format == FORMAT => hash.add(&first),
        _ => return Err(damaged(number, "is not the first line of an export of keys")),
    }
    loop {
        number += 1;
        let next = line(input, number)?;
        if let Ok(trailer) = serde_json::from_slice::<Trailer>(&next)
            && trailer.format == END
        {
            let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
            if trailer.records != count || trailer.sha256 != hash.finish() {
                return Err(damaged(number, "does not fit the lines before it: some are altered or missing"));
            }
            break;
        }
        let record = KeyRecord::from_json(&next).map_err(|_| damaged(number, "is no key record"))?;
        if !known.insert(record.key_id) {
            return Err(damaged(number, "repeats a key").key(record.key_id));
        }
        hash.add(&next);
        records.push(record);
    }
    let mut rest = [0];
    match input.read(&mut rest) {
        Ok(0) => Ok(records),
        Ok(_) => Err(damaged(number + 1, "follows the end of the export")),
        Err(error) => Err(unreadable(error)),
    }
}

/// The next line, without its end.
fn line(input: &mut impl BufRead, number: u64) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(unreadable)?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        Some(_) => Err(damaged(number, "is cut short, or too long")),
        None => Err(damaged(number, "is missing: the file is cut short")),
    }
}

fn damaged(number: u64, what: &str) -> Error {
    Error::new(ErrorKind::Malformed)
        .message(format!("line {number} of the export {what}; nothing was imported"))
        .help("use another copy of the file")
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::KeyUnavailable).message("the export cannot be read").source(error)
}
