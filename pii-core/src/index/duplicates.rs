//! Rows that have the same value, found before the database is told that there are none.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::{IndexSpec, IndexVersion};
use crate::{
    cryptor::{IndexEntry, IndexText},
    error::{Error, ErrorKind, Result},
    model::ModelSpec,
};

/// What is kept of a code: enough that two different values have the same by chance never.
const KEPT_BYTES: usize = 16;

/// So many errors of single rows are kept.
const KEPT_FAILURES: usize = 20;

/// Of each value, so many ids are told at most.
const SHOWN_IDS: usize = 100;

type Code = [u8; KEPT_BYTES];

/// Which rows share a value of an index, after normalising: ids and numbers, no values and no codes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct IndexDuplicates {
    /// The name of the index.
    pub index: &'static str,
    /// Rows that have a value.
    pub rows: u64,
    /// Rows that have none, or one of which nothing is left after normalising: they are never duplicates.
    pub empty: u64,
    /// Values that several rows have.
    pub groups: u64,
    /// All rows that have one of those values.
    pub duplicates: u64,
    /// The first of those values, with the rows that have them.
    pub shown: Vec<SameValue>,
    /// Rows whose values can't be opened any more, because a key was destroyed.
    pub erased: u64,
    /// Rows that could not be looked at: they may be duplicates too.
    pub failed: u64,
    /// Why, of the first of them. Each names the row.
    pub failures: Vec<Error>,
}

/// Rows that have the same value; see [`IndexDuplicates`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SameValue {
    /// How many there are.
    pub rows: u64,
    /// The ids of the first 100 of them.
    pub ids: Vec<String>,
}

impl IndexDuplicates {
    /// Whether every row was looked at and no two have the same value: a unique index can be made.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        self.groups == 0 && self.failed == 0
    }
}

impl fmt::Display for IndexDuplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "blind index `{}`: {} rows with a value, {} without, {} erased, {} failed; {} values are shared by {} rows",
            self.index, self.rows, self.empty, self.erased, self.failed, self.groups, self.duplicates
        )?;
        for same in &self.shown {
            write!(f, "\n  {} rows: {}", same.rows, same.ids.join(", "))?;
            if same.rows > same.ids.len() as u64 {
                f.write_str(", ...")?;
            }
        }
        match self.groups.saturating_sub(self.shown.len() as u64) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} values more"),
        }
    }
}

/// For adapters: goes through the rows once to find the values, and once more to tell the ids, so that no
/// id has to be kept of a row that shares nothing.
#[doc(hidden)]
#[derive(Debug)]
pub struct DuplicateSearch {
    version: &'static IndexVersion,
    most: usize,
    seen: HashSet<Code>,
    shared: HashMap<Code, Shared>,
    report: IndexDuplicates,
}

/// A code that was seen before.
#[derive(Debug)]
struct Shared {
    rows: u64,
    /// its index among those that are told, if it is one of them
    shown: Option<usize>,
}

#[doc(hidden)]
impl DuplicateSearch {
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is no such index, or if it keeps so few bits that different
    /// values share a code.
    pub fn new(model: &'static ModelSpec, name: &str, most: usize) -> Result<Self> {
        let wrong =
            |message: String| Error::new(ErrorKind::Configuration).model(model.name()).message(message);
        let index = model.indexes().iter().find(|index| index.name() == name);
        let index = index.ok_or_else(|| wrong(format!("there is no blind index `{name}`")))?;
        if index.size().bits() < KEPT_BYTES * 8 {
            return Err(wrong(format!(
                "the blind index `{name}` keeps {} bits: different values share a code",
                index.size().bits()
            ))
            .help("an index that is to be unique keeps all bits: remove `bits`"));
        }
        let version = index.versions().first().ok_or_else(|| wrong(format!("`{name}` has no version")))?;
        let report = IndexDuplicates { index: index.name(), ..IndexDuplicates::default() };
        Ok(Self { version, most, seen: HashSet::new(), shared: HashMap::new(), report })
    }

    /// Looks at a row, the first time.
    pub fn look(&mut self, entries: Result<Vec<IndexEntry>>) {
        let code = match entries {
            Ok(entries) => self.code_of(&entries),
            Err(error) if error.kind() == ErrorKind::Erased => {
                self.report.erased += 1;
                return;
            }
            Err(error) => {
                self.report.failed += 1;
                if self.report.failures.len() < KEPT_FAILURES {
                    self.report.failures.push(error);
                }
                return;
            }
        };
        let Some(code) = code else {
            self.report.empty += 1;
            return;
        };
        self.report.rows += 1;
        if self.seen.insert(code) {
            return;
        }
        let told = self.shared.len();
        let shown = Some(told).filter(|told| *told < self.most);
        self.shared.entry(code).or_insert(Shared { rows: 1, shown }).rows += 1;
    }

    /// Ends the first time, and says whether there has to be another.
    pub fn finds_any(&mut self) -> bool {
        // nothing more is to be found
        self.seen = HashSet::new();
        self.report.groups = self.shared.len() as u64;
        self.report.duplicates = self.shared.values().map(|shared| shared.rows).sum();
        self.shared.retain(|_, shared| shared.shown.is_some());
        self.report.shown = vec![SameValue::default(); self.shared.len()];
        for shared in self.shared.values() {
            if let Some(same) = shared.shown.and_then(|shown| self.report.shown.get_mut(shown)) {
                same.rows = shared.rows;
            }
        }
        !self.shared.is_empty()
    }

    /// Looks at a row, the second time.
    pub fn tell(&mut self, entries: &[IndexEntry], id: impl fmt::Display) {
        let shown = self.code_of(entries).and_then(|code| self.shared.get(&code)?.shown);
        if let Some(same) = shown.and_then(|shown| self.report.shown.get_mut(shown))
            && same.ids.len() < SHOWN_IDS
        {
            same.ids.push(id.to_string());
        }
    }

    pub fn into_report(self) -> IndexDuplicates {
        self.report
    }

    fn code_of(&self, entries: &[IndexEntry]) -> Option<Code> {
        let entry = entries.iter().find(|entry| entry.version.column == self.version.column)?;
        let IndexText::Text(text) = &entry.text else { return None };
        let mut code = Code::default();
        for (byte, digits) in code.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(code)
    }
}

impl IndexSpec {
    /// For adapters: all versions of all indexes of a model, in the order in which entries are given.
    #[doc(hidden)]
    pub fn all_versions(model: &'static ModelSpec) -> impl Iterator<Item = &'static IndexVersion> {
        model.indexes().iter().flat_map(|index| index.versions())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{index::IndexSize, model::RowBinding};

    static INDEXES: &[IndexSpec] = &[
        IndexSpec::new(
            "email",
            &[],
            &[IndexVersion { number: 1, column: "email_bidx", attribute: "email_bidx" }],
        ),
        IndexSpec::new("phone", &[], &[]).with_size(IndexSize::Bits(127)),
    ];
    static MODEL: ModelSpec = ModelSpec::new("customer", &[], RowBinding::Row).with_indexes(INDEXES);

    fn entries(code: u64) -> Vec<IndexEntry> {
        let text = format!("{code:016x}").repeat(4);
        let version = &INDEXES[0].versions()[0];
        vec![IndexEntry { version, text: IndexText::Text(text.into()) }]
    }

    fn search(codes: &[u64], most: usize) -> IndexDuplicates {
        let mut search = DuplicateSearch::new(&MODEL, "email", most).unwrap();
        codes.iter().for_each(|code| search.look(Ok(entries(*code))));
        if search.finds_any() {
            codes.iter().enumerate().for_each(|(id, code)| search.tell(&entries(*code), id));
        }
        search.into_report()
    }

    #[test]
    fn what_is_told_is_bounded_and_everything_is_counted() {
        let codes: Vec<u64> = (0..150).map(|_| 7).chain(0..50).chain(0..50).collect();
        let report = search(&codes, 3);
        assert_eq!((report.rows, report.groups, report.duplicates), (250, 50, 250));
        let told: Vec<_> = report.shown.iter().map(|same| (same.rows, same.ids.len())).collect();
        assert_eq!(told, [(152, SHOWN_IDS), (2, 2), (2, 2)]);
        assert_eq!(report.shown[1].ids, ["150", "200"]);
        assert!(report.to_string().ends_with("and 47 values more"), "{report}");
    }

    #[test]
    fn values_that_differ_are_no_duplicates() {
        let report = search(&[1, 2, 3], 10);
        assert!(report.is_unique() && report.shown.is_empty(), "{report}");
        let report = search(&[1, 2, 1], 0);
        assert_eq!((report.groups, report.duplicates, report.shown.len()), (1, 2, 0));
        assert!(!report.is_unique());
    }

    #[test]
    fn a_row_that_failed_may_be_a_duplicate_and_one_that_is_erased_is_none() {
        for (kind, is_unique) in [(ErrorKind::Integrity, false), (ErrorKind::Erased, true)] {
            let mut search = DuplicateSearch::new(&MODEL, "email", 1).unwrap();
            (0..100).for_each(|_| search.look(Err(Error::new(kind))));
            let report = search.into_report();
            assert_eq!((report.is_unique(), report.failed + report.erased), (is_unique, 100));
            assert!(report.failures.len() <= KEPT_FAILURES);
        }
    }

    #[test]
    fn codes_that_are_shared_by_chance_are_refused() {
        for name in ["phone", "other"] {
            assert_eq!(DuplicateSearch::new(&MODEL, name, 1).unwrap_err().kind(), ErrorKind::Configuration);
        }
    }
}
