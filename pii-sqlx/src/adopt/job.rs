//! The job that seals the plaintext of a table, or writes it back.

use std::{collections::BTreeSet, ops::ControlFlow};

use pii_core::{Error, ErrorKind, FieldSelection, Result, StateCounts};
use sqlx::{Database, FromRow};

use super::{
    chunk::{Mover, Way},
    page::{Cursor, Page},
    report::{AdoptionCensus, AdoptionReport},
    shadow::ShadowColumn,
};
use crate::{
    column_field::{ColumnField, column_field},
    dialect::Dialect,
    model::{SqlColumn, SqlModel},
    table::{Rows, SqlTable},
};

/// Rows of a chunk, unless something else is said.
const CHUNK_ROWS: u32 = 500;

/// Called after each chunk.
type Watch<'a> = Box<dyn FnMut(&AdoptionReport) -> ControlFlow<()> + Send + 'a>;

/// A job that seals the plaintext of a live table, or goes back to plaintext.
///
/// It walks through the table in the order of the ids, chunk by chunk, reads the rows that have something to
/// do, and [swaps](SqlTable::swap) their values: a row that someone else writes to meanwhile is never
/// overwritten, but read again. It holds no lock and no transaction over more than one chunk. Being given
/// up, killed or run twice does no harm at any point: what is done is not read again.
///
/// What it may do is said by the policies of the table's cryptor, as for every other program:
/// [`seal`](Self::seal) needs `accept_and_seal`, [`roll_back`](Self::roll_back) needs `prepare`. Fields of
/// level 3 take no part. The job's cryptor can have [policies](pii_core::FieldPolicies) of its own.
///
/// With a [scoped](pii_core::Cryptor::scoped) cryptor it moves and counts the rows of the scope alone. Where no column
/// tells a pair of the scope, because an expression makes it of a field, the others are read too, and left as they are.
///
/// ```no_run
/// # use pii::{Adoption, Cryptor, EncryptedStr, PiiModel, SqlTable};
/// #[derive(PiiModel)]
/// #[pii(name = "customer", table = "customers", from_row, plaintext = "accept_and_seal")]
/// struct Customer {
///     #[pii(id)]
///     id: i64,
///     email: EncryptedStr,
/// }
///
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
/// use std::ops::ControlFlow;
///
/// let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
/// let report = Adoption::of(&customers)
///     .on_chunk(|report| {
///         println!("{report}");
///         ControlFlow::Continue(())
///     })
///     .seal()
///     .await?;
/// assert!(report.is_done());
/// assert!(Adoption::of(&customers).verify().await?.is_all_sealed());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is done before `seal`, `roll_back` or `verify` is called"]
pub struct Adoption<'a, M: SqlModel<DB>, DB: Database> {
    mover: Mover<'a, M, DB>,
    chunk: u32,
    after: Option<M::Id>,
    watch: Option<Watch<'a>>,
    wrong: Option<Error>,
}

impl<'a, M, DB> Adoption<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    /// A job for this table.
    pub fn of(table: &'a SqlTable<M, DB>) -> Self {
        Self {
            mover: Mover { table, flags: Vec::new(), attempts: 5 },
            chunk: CHUNK_ROWS,
            after: None,
            watch: None,
            wrong: None,
        }
    }

    /// Tells the job of a shadow column whose triggers are in place: they take sealed texts from it alone. Not to
    /// be told any more once the plain column is [retired](ShadowColumn::retire).
    pub fn shadow(mut self, shadow: &ShadowColumn<DB>) -> Self {
        if let Err(error) = shadow.check() {
            self.wrong.get_or_insert(error);
        }
        self.mover.flags.push(shadow.flag());
        self
    }

    /// How many rows are read and written at a time; 500 otherwise. 0 counts as 1.
    pub fn chunk_rows(mut self, rows: u32) -> Self {
        self.chunk = rows.max(1);
        self
    }

    /// How often a row is tried that others write to again and again; 5 times otherwise.
    pub fn attempts(mut self, times: u32) -> Self {
        self.mover.attempts = times.max(1);
        self
    }

    /// Begins after the row of this id, which need not exist.
    pub fn after(mut self, id: impl Into<M::Id>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// Calls this after each chunk, with what was done up to then. `ControlFlow::Break` stops the job: another
    /// run goes on where this one was.
    pub fn on_chunk(mut self, watch: impl FnMut(&AdoptionReport) -> ControlFlow<()> + Send + 'a) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// Seals what is plaintext, in the fields whose policy is `accept_and_seal`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if no field has that policy; what is wrong with all rows, such as key errors
    /// and those of the database. What concerns one row is in the report.
    pub async fn seal(self) -> Result<AdoptionReport> {
        self.run(Way::Seal).await
    }

    /// Opens what is sealed, and writes it back as plaintext, in the fields whose policy is `prepare`: afterwards
    /// programs that know nothing of sealing can come back. Programs of this library must have that policy too,
    /// or they go on sealing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if no field has that policy; what is wrong with all rows, such as key errors
    /// and those of the database. What concerns one row is in the report.
    pub async fn roll_back(self) -> Result<AdoptionReport> {
        self.run(Way::Back).await
    }

    /// Counts the values of all rows by the form in which they are stored. Asks for no keys: that the sealed
    /// values can be opened is for [`DecryptPii`](crate::DecryptPii) to say. Rows that don't fit the model are
    /// told apart.
    ///
    /// # Errors
    /// [`ErrorKind::Database`].
    pub async fn verify(self) -> Result<AdoptionCensus> {
        let Self { mover, chunk, after, .. } = self;
        let mut census = AdoptionCensus::default();
        let mut cursor = Cursor::after(after);
        let all = Page { columns: None, rows: chunk };
        loop {
            let found = mover.table.page(&cursor, &all).await?;
            let is_full = found.is_full(chunk);
            census.rows += found.count() as u64;
            let mut models: Vec<M> = found.rows.into_iter().map(|(model, _)| model).collect();
            StateCounts::add(&models, &mut census.fields);
            found.failures.into_iter().for_each(|error| census.fail(error));
            match found.end.next(&mut models)?.filter(|_| is_full) {
                Some(next) => cursor = next,
                None => return Ok(census),
            }
        }
    }

    async fn run(self, way: Way) -> Result<AdoptionReport> {
        let Self { mover, chunk, after, mut watch, wrong } = self;
        if let Some(error) = wrong {
            return Err(error);
        }
        let moved = moved::<M, DB>(mover.table, way)?;
        let mut report = AdoptionReport::default();
        let mut cursor = Cursor::after(after);
        let page = Page { columns: Some((moved.columns, way == Way::Back)), rows: chunk };
        loop {
            let found = mover.table.page(&cursor, &page).await?;
            let is_full = found.is_full(chunk);
            report.rows_read += found.count() as u64;
            found.failures.into_iter().for_each(|error| report.fail(error));
            let mut rows: Rows<M> = found.rows.into_iter().collect();
            mover.work(&mut rows, way, &moved.fields, &mut report).await?;
            let next = found.end.next(&mut rows.models)?.filter(|_| is_full);
            report.is_complete = next.is_none();
            let goes_on = watch.as_mut().map_or(ControlFlow::Continue(()), |watch| watch(&report));
            match next.filter(|_| goes_on.is_continue()) {
                Some(next) => cursor = next,
                None => return Ok(report),
            }
        }
    }
}

/// The fields that are to be moved, and their columns.
fn moved<M: SqlModel<DB>, DB: Dialect>(table: &SqlTable<M, DB>, way: Way) -> Result<Moved> {
    let policies = table.cryptor().plaintext_policies(M::MODEL)?;
    let paths =
        || policies.iter().filter(|(_, policy)| *policy == way.policy()).map(|(path, _)| path.as_str());
    let fields: BTreeSet<&str> = paths().filter_map(|path| path.split('.').next()).collect();
    if fields.is_empty() {
        let name = way.policy().name();
        return Err(Error::new(ErrorKind::Configuration)
            .model(M::MODEL.name())
            .message(format!("no field has the policy `{name}`, which this job needs"))
            .help(format!(
                "set it with `FieldPolicies`, or write `#[pii(plaintext = \"{name}\")]` on the struct"
            )));
    }
    // a column with JSON holds several fields
    let is_in = |path: &str, column: &ColumnField| {
        path.strip_prefix(column.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_moved = |column: &&SqlColumn| {
        let field = column_field(M::MODEL.fields(), column.name);
        column.kind.is_sealed() && field.is_some_and(|field| paths().any(|path| is_in(path, &field)))
    };
    let columns = M::COLUMNS.iter().filter(is_moved).map(|column| column.name).collect();
    Ok(Moved { fields: FieldSelection::only(fields), columns })
}

/// What a job moves.
struct Moved {
    fields: FieldSelection,
    columns: Vec<&'static str>,
}
