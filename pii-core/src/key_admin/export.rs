//! All key records as lines of text.

use std::{fmt, io::Write, time::SystemTime};

use super::{
    KeyAdmin, KeyProblem, Progress,
    report::write_lines,
    transfer::{END, FORMAT, Header, LinesHash, Trailer},
};
use crate::error::{Error, ErrorKind, Result};

/// What [`KeyAdmin::export`] wrote.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ExportReport {
    /// Records in the file, tombstones too.
    pub records: u64,
    /// Records that could not be read and are not in the file.
    pub failed: Vec<KeyProblem>,
}

impl ExportReport {
    /// Whether every record is in the file.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records exported, {} could not be read", self.records, self.failed.len())?;
        write_lines(f, "not exported", &self.failed)
    }
}

impl KeyAdmin {
    /// Writes all records, one line of JSON each, between a header and a trailer by which a
    /// truncated or damaged file is noticed: FORMAT.md describes it. It holds wrapped copies only,
    /// and so opens nothing without the keyrings; encryption contexts are in it in clear.
    ///
    /// Records that are made meanwhile may be missing; a record never changes into one that the
    /// export has wrongly. `out` is flushed, but making a file durable is up to the caller.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnavailable`] if `out` can't be written or the key store can't be read. What
    /// is written then has no trailer, and [`KeyAdmin::import`] refuses it.
    pub async fn export(
        &self,
        out: &mut (impl Write + Send),
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<ExportReport> {
        let mut report = ExportReport::default();
        let mut state = Progress::default();
        let mut lines = Lines { out, hash: LinesHash::default() };
        let created = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        lines.write(&json(&Header { format: FORMAT.to_owned(), created })?)?;
        let mut pages = self.pages(None);
        while let Some(page) = pages.next().await? {
            for (key_id, record) in page {
                let written = match record.and_then(|record| record.to_json()) {
                    Ok(line) => Ok(lines.write(&line)?),
                    Err(error) => Err(error),
                };
                state.count(key_id, written.is_ok(), written.is_err());
                match written {
                    Ok(()) => report.records += 1,
                    Err(error) => report.failed.push(KeyProblem { key_id, error }),
                }
                progress(&state);
            }
        }
        lines.finish(report.records)?;
        Ok(report)
    }
}

struct Lines<'a, W> {
    out: &'a mut W,
    hash: LinesHash,
}

impl<W: Write> Lines<'_, W> {
    fn write(&mut self, line: &str) -> Result<()> {
        self.hash.add(line.as_bytes());
        writeln!(self.out, "{line}").map_err(unwritable)
    }

    fn finish(self, records: u64) -> Result<()> {
        let trailer = Trailer { format: END.to_owned(), records, sha256: self.hash.finish() };
        writeln!(self.out, "{}", json(&trailer)?).and_then(|()| self.out.flush()).map_err(unwritable)
    }
}

fn json(line: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(line).map_err(|_| Error::new(ErrorKind::Malformed))
}

fn unwritable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::KeyUnavailable).message("the export cannot be written").source(error)
}
