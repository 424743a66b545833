//! What a doctor says in the end.

use std::fmt;

use pii_core::KeyId;
use serde::{Serialize, Serializer};

use super::{Finding, FindingKind, Severity};

/// What a [`Doctor`](crate::Doctor) found: for people by `Display`, for programs as data and by serde.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DoctorReport {
    /// What was examined, in the order in which the models were named.
    pub tables: Vec<ExaminedTable>,
    /// What was found: table by table, the worst first.
    pub findings: Vec<Finding>,
}

/// A table that a [`Doctor`](crate::Doctor) looked at.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ExaminedTable {
    /// The stable name of the model.
    pub model: &'static str,
    /// The table.
    pub table: String,
    /// What stands in its sealed columns; nothing, if values were not to be read.
    pub columns: Vec<ColumnValues>,
    /// What stands in the columns of its blind indexes; nothing, if values were not to be read.
    pub indexes: Vec<IndexCodes>,
}

impl ExaminedTable {
    pub(super) fn new(model: &'static str, table: &str) -> Self {
        Self { model, table: table.to_owned(), columns: Vec::new(), indexes: Vec::new() }
    }
}

/// What stands in a column of a blind index, counted by the database.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct IndexCodes {
    /// The column.
    pub column: String,
    /// Rows that have a code.
    pub codes: u64,
    /// Codes that differ.
    pub distinct: u64,
    /// Rows that have a value and no code, and are to be filled in; also those of whose value nothing is left
    /// after normalising.
    pub missing: u64,
    /// Rows that have a value and no code because the key of the value was destroyed: known with a key store
    /// only, and counted as `missing` without.
    pub erased: u64,
    /// Rows that have a code and no value.
    pub left: u64,
    /// Codes of the wrong length, or with something else than lower-case hexadecimal digits.
    pub damaged: u64,
}

/// What stands in a sealed column, counted without opening anything.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ColumnValues {
    /// The column.
    pub column: String,
    /// Values that are sealed. In a column with lists, maps or nested structs each one in them counts.
    pub sealed: u64,
    /// Values that are not.
    pub plaintext: u64,
    /// The bytes of the longest of those, as text.
    pub longest_plaintext: u64,
    /// Values that begin with `ENC:` and are not whole.
    pub damaged: u64,
    /// Values that begin with `ENC:` and are of another system or of a newer release.
    pub foreign: u64,
    /// Sealed values by data key, in the order of the key ids.
    pub keys: Vec<KeyUse>,
}

/// How many values of a column are sealed under a data key.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeyUse {
    /// The data key.
    #[serde(serialize_with = "as_text")]
    pub key_id: KeyId,
    /// The values.
    pub values: u64,
    /// Whether these values carry their wrapped data key themselves.
    pub is_inline: bool,
    /// The state of the key in the key store, such as `active`; `None`, if it has no record or no key store was
    /// asked.
    pub state: Option<&'static str>,
}

fn as_text<S: Serializer>(key_id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key_id)
}

impl DoctorReport {
    /// Whether there is no finding of [`Severity::Error`]. To be stricter, look at [`worst`](Self::worst).
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.worst() < Some(Severity::Error)
    }

    /// The worst severity; `None`, if nothing was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// The findings of this kind.
    pub fn of_kind(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{} (model `{}`)", table.table, table.model)?;
            for column in &table.columns {
                writeln!(f, "  {column}")?;
            }
            for index in &table.indexes {
                writeln!(f, "  {index}")?;
            }
            let is_here = |finding: &&Finding| finding.model == table.model && finding.table == table.table;
            for finding in self.findings.iter().filter(is_here) {
                for line in finding.to_string().lines() {
                    writeln!(f, "  {line}")?;
                }
            }
            writeln!(f)?;
        }
        let counted = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
        let counted = counted.map(|(severity, name)| numbered(self.count(severity) as u64, name));
        write!(f, "{} examined: {}", numbered(self.tables.len() as u64, "table"), counted.join(", "))
    }
}

impl fmt::Display for ColumnValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} sealed", self.column, self.sealed)?;
        let more =
            [(self.plaintext, "plaintext"), (self.damaged, "damaged"), (self.foreign, "of another system")];
        for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        if self.sealed > 0 {
            write!(f, "; {}", numbered(self.keys.len() as u64, "data key"))?;
        }
        Ok(())
    }
}

impl fmt::Display for IndexCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {} different", self.column, numbered(self.codes, "code"), self.distinct)?;
        let more = [
            (self.missing, "missing"),
            (self.erased, "erased"),
            (self.left, "beside no value"),
            (self.damaged, "damaged"),
        ];
        for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}

/// `1 value`, `2 values`
pub(super) fn numbered(count: u64, name: &str) -> String {
    match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {name}s"),
    }
}
