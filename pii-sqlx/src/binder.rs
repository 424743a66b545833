//! From a model's fields to placeholders and arguments of a statement.

use std::{slice, sync::Arc};

use pii_core::{Error, ErrorKind, Holds, ModelSpec, PiiField, Result, SealedTexts};
use sqlx::{Database, Encode, Type, error::BoxDynError};

use crate::{
    error,
    json::to_json,
    limits::ColumnLimits,
    model::{ColumnKind, SqlColumn},
    statement::Statement,
};

/// Where a model binds its columns: into the part of a statement that is being written.
///
/// Generated code calls one method for each column. A sealed column is bound as the text that the
/// cryptor made for it; there is no way to bind its plaintext.
pub struct Binder<'a, DB: Database> {
    statement: &'a mut Statement<DB>,
    model: &'static ModelSpec,
    columns: slice::Iter<'static, SqlColumn>,
    part: Part<'a>,
    texts: Option<&'a mut SealedTexts>,
    limits: Option<&'a ColumnLimits>,
    omitted: Vec<&'static str>,
    taken: Vec<Option<Arc<str>>>,
    /// whether something stands there already, so that a separator is due
    is_begun: bool,
    failed: Option<Error>,
}

/// The part of a statement that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// nothing: only [`Binder::omitted`] is of interest
    Nothing,
    /// `$1, $2, $3`, without ids that the database makes up
    Values,
    /// `"a" = $1, "b" = $2`, for what an update sets
    Assignments,
    /// the same with the id, for a row that moves
    AllAssignments,
    /// `"a" = $1 AND "b" = $2`, for the id columns alone
    Id,
    /// the same for statements that write: no other text counts as equal
    ExactId,
    /// `"version" = $1`
    Version,
    /// `"a" = $1 AND "b" = $2`, for these columns, exactly
    Named(&'a [&'static str]),
    /// `$1, $2`, for these columns
    Listed(&'a [&'static str]),
    /// `$1, $2`, for the id columns alone
    IdValues,
    /// nothing: the texts of sealed columns are taken instead, see [`Bound::taken`]
    Texts,
}

impl Part<'_> {
    fn wants(self, column: &SqlColumn) -> bool {
        let kind = column.kind;
        match self {
            Self::Nothing => false,
            Self::Values => true,
            Self::Assignments => kind.is_data(),
            Self::AllAssignments => !kind.is_version(),
            Self::Id | Self::ExactId | Self::IdValues => kind.is_id(),
            Self::Version => kind.is_version(),
            Self::Named(names) | Self::Listed(names) => names.contains(&column.name),
            Self::Texts => kind.is_sealed(),
        }
    }

    /// Whether the model is asked to bind this column at all.
    fn is_asked_for(self, kind: ColumnKind) -> bool {
        !matches!(self, Self::Id | Self::ExactId | Self::IdValues) || kind.is_id()
    }

    fn is_exact(self) -> bool {
        matches!(self, Self::ExactId | Self::Named(_))
    }

    /// Whether values stand there without the names of their columns.
    fn is_nameless(self) -> bool {
        matches!(self, Self::Values | Self::Listed(_) | Self::IdValues)
    }
}

impl<'a, DB: Database> Binder<'a, DB> {
    pub(crate) fn new(
        statement: &'a mut Statement<DB>,
        model: &'static ModelSpec,
        columns: &'static [SqlColumn],
        part: Part<'a>,
        texts: Option<&'a mut SealedTexts>,
    ) -> Self {
        Self {
            statement,
            model,
            columns: columns.iter(),
            part,
            texts,
            limits: None,
            omitted: Vec::new(),
            taken: Vec::new(),
            is_begun: false,
            failed: None,
        }
    }

    /// Refuses sealed texts that don't fit into their columns.
    pub(crate) fn within(mut self, limits: Option<&'a ColumnLimits>) -> Self {
        self.limits = limits;
        self
    }

    /// Binds a column that is not sealed.
    pub fn bind<T>(&mut self, value: &T)
    where
        T: for<'q> Encode<'q, DB> + Type<DB>,
    {
        if let Next::Wanted(column) = self.next() {
            self.plain(column, value);
        }
    }

    /// Binds NULL to a column that is not sealed, of a nested struct that is not there.
    pub fn null<T>(&mut self)
    where
        Option<T>: for<'q> Encode<'q, DB> + Type<DB>,
    {
        if let Next::Wanted(column) = self.next() {
            self.value(column, |statement| statement.bind(None::<T>));
        }
    }

    /// Binds NULL to a sealed column, of a nested struct that is not there.
    pub fn sealed_null(&mut self) {
        self.text(|_| Ok(None));
    }

    /// Binds the version column.
    pub fn version<T>(&mut self, value: &T)
    where
        T: for<'q> Encode<'q, DB> + Type<DB>,
    {
        self.bind(value);
    }

    /// Binds an id that the database makes up, unless the program knows it already.
    pub fn generated_id<T>(&mut self, id: &Option<T>)
    where
        T: for<'q> Encode<'q, DB> + Type<DB>,
    {
        match (self.next(), id) {
            (Next::Wanted(column), Some(id)) => self.plain(column, id),
            (Next::Wanted(column) | Next::Unwanted(column), None) => self.omitted.push(column.name),
            _ => {}
        }
    }

    /// Binds an id that must be known by now.
    pub fn bind_optional_id<T>(&mut self, id: &Option<T>)
    where
        T: for<'q> Encode<'q, DB> + Type<DB>,
    {
        match (self.next(), id) {
            (Next::Wanted(column), Some(id)) => self.plain(column, id),
            (Next::Wanted(column), None) => self.fail(
                error::at_column(Error::new(ErrorKind::State), self.model, column.name)
                    .message("the row's id is not known yet")
                    .help("insert the row with `.returning_id()`, or load it"),
            ),
            _ => {}
        }
    }

    /// Binds the sealed text of a field with one value, or NULL if it holds none.
    pub fn sealed<F: PiiField>(&mut self, field: &F) {
        const {
            assert!(
                matches!(F::HOLDS, Holds::Value(_)),
                "the field holds several sealed values behind a type alias: write its type out, such as \
                 `Vec<EncryptedStr>`, or mark a nested struct with `#[pii(nested)]`"
            );
        }
        self.text(|texts| Ok(texts.text(field)?.map(Arc::from)));
    }

    /// Binds a field with several values as JSON text with the sealed texts in it, or NULL if it is
    /// JSON's null.
    pub fn sealed_json<F: PiiField + serde::Serialize>(&mut self, field: &F) {
        self.text(|texts| Ok(to_json(&texts.field(field)?)?.map(Arc::from)));
    }

    /// Binds what the next texts make of a field.
    fn text(&mut self, take: impl FnOnce(&mut SealedTexts) -> Result<Option<Arc<str>>>) {
        let (column, is_wanted) = match self.next() {
            Next::Wanted(column) => (column, true),
            Next::Unwanted(column) if self.texts.is_some() => (column, false),
            _ => return,
        };
        let taken = match self.texts.as_deref_mut() {
            Some(texts) => take(texts),
            None => Err(Error::new(ErrorKind::State).message("the value was not sealed")),
        };
        let taken = taken.and_then(|text| {
            if let (Some(limits), Some(text)) = (self.limits, &text) {
                limits.check(column.name, text)?;
            }
            Ok(text)
        });
        match taken {
            // the texts of the columns after it come next
            Ok(_) if !is_wanted => {}
            Ok(text) if self.part == Part::Texts => self.taken.push(text),
            Ok(text) => self.value(column, |statement| statement.bind_text(text)),
            Err(error) => self.fail(error::at_column(error, self.model, column.name)),
        }
    }

    fn plain<T>(&mut self, column: &SqlColumn, value: &T)
    where
        T: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let is_exact = self.part.is_exact();
        self.value(column, |statement| {
            statement.bind(value)?;
            if is_exact { statement.bind_exact_text(column.name, value) } else { Ok(()) }
        });
    }

    fn next(&mut self) -> Next {
        match self.columns.find(|column| self.part.is_asked_for(column.kind)) {
            Some(column) if self.part.wants(column) => Next::Wanted(column),
            Some(column) => Next::Unwanted(column),
            None => {
                self.fail(miscounted(self.model, "more"));
                Next::Missing
            }
        }
    }

    fn value(
        &mut self,
        column: &SqlColumn,
        bind: impl FnOnce(&mut Statement<DB>) -> Result<(), BoxDynError>,
    ) {
        if self.is_begun {
            self.statement.push(match self.part {
                Part::Id | Part::ExactId | Part::Version | Part::Named(_) => " AND ",
                Part::Nothing
                | Part::Values
                | Part::Assignments
                | Part::AllAssignments
                | Part::Listed(_)
                | Part::IdValues
                | Part::Texts => ", ",
            });
        }
        self.is_begun = true;
        if !self.part.is_nameless() {
            self.statement.push_name(column.name);
            self.statement.push(" = ");
        }
        if let Err(source) = bind(self.statement) {
            self.fail(error::at_column(error::not_encoded(source), self.model, column.name));
        }
    }

    /// The first error counts; the statement is not sent.
    fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }

    /// What was written, if nothing went wrong.
    pub(crate) fn finish(mut self) -> Result<Bound> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let is_all_bound = !self.columns.any(|column| self.part.is_asked_for(column.kind))
            && self.texts.is_none_or(|texts| texts.len() == 0);
        if !is_all_bound {
            return Err(miscounted(self.model, "fewer"));
        }
        Ok(Bound { anything: self.is_begun, omitted: self.omitted, taken: self.taken })
    }
}

/// What a model bound.
pub(crate) struct Bound {
    /// whether there was anything to bind
    pub(crate) anything: bool,
    /// the columns of ids that the database makes up
    pub(crate) omitted: Vec<&'static str>,
    /// the texts of the sealed columns, in their order, if they were asked for
    pub(crate) taken: Vec<Option<Arc<str>>>,
}

/// The column that a model binds next.
enum Next {
    Wanted(&'static SqlColumn),
    /// not in this part of the statement
    Unwanted(&'static SqlColumn),
    Missing,
}

fn miscounted(model: &ModelSpec, how: &str) -> Error {
    Error::new(ErrorKind::Configuration)
        .model(model.name())
        .message(format!("`SqlModel` binds {how} columns than it lists"))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use pii_core::{EncryptedStr, RowBinding};
    use sqlx::Sqlite;

    use super::*;

    static MODEL: ModelSpec = ModelSpec::new("thing", &[], RowBinding::Field);
    static COLUMNS: &[SqlColumn] = &[
        SqlColumn::new("id", ColumnKind::GeneratedId),
        SqlColumn::new("name", ColumnKind::Plain),
        SqlColumn::new("revision", ColumnKind::Version),
    ];

    fn bound(part: Part<'_>, bind: impl FnOnce(&mut Binder<'_, Sqlite>)) -> Result<(String, Bound)> {
        let mut statement = Statement::new("");
        let mut binder = Binder::new(&mut statement, &MODEL, COLUMNS, part, None);
        bind(&mut binder);
        let bound = binder.finish()?;
        Ok((statement.sql().to_owned(), bound))
    }

    fn bind_all(id: Option<i64>) -> impl Fn(&mut Binder<'_, Sqlite>) {
        move |out| {
            out.generated_id(&id);
            out.bind(&"name".to_owned());
            out.version(&1_i64);
        }
    }

    #[test]
    fn each_part_takes_its_columns() {
        let (values, _) = bound(Part::Values, bind_all(Some(7))).unwrap();
        let (without_id, omitted) = bound(Part::Values, bind_all(None)).unwrap();
        let (assignments, _) = bound(Part::Assignments, bind_all(Some(7))).unwrap();
        let (version, _) = bound(Part::Version, bind_all(Some(7))).unwrap();
        let (named, _) = bound(Part::Named(&["revision", "name"]), bind_all(Some(7))).unwrap();
        assert_eq!(named, "`name` = ? AND `revision` = ?");
        let (id, _) = bound(Part::Id, |out| out.bind(&7_i64)).unwrap();
        let (nothing, probed) = bound(Part::Nothing, bind_all(None)).unwrap();
        assert_eq!((values.as_str(), without_id.as_str()), ("?, ?, ?", "?, ?"));
        assert_eq!(
            (assignments.as_str(), version.as_str(), id.as_str()),
            ("`name` = ?", "`revision` = ?", "`id` = ?")
        );
        assert_eq!((nothing.as_str(), probed.anything), ("", false));
        assert_eq!((omitted.omitted, probed.omitted), (vec!["id"], vec!["id"]));
    }

    #[test]
    fn a_model_that_miscounts_its_columns_is_refused() {
        let more = bound(Part::Values, |out| (0..4_i64).for_each(|value| out.bind(&value)));
        let fewer = bound(Part::Values, |out| out.bind(&1_i64));
        let no_id = bound(Part::Id, |_| {});
        for refused in [more, fewer, no_id] {
            assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::Configuration));
        }
    }

    #[test]
    fn what_was_not_sealed_cannot_be_bound() {
        let refused = bound(Part::Values, |out| out.sealed(&EncryptedStr::new("plain")));
        assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::State));
    }
}
