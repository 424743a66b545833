//! Tables: statements that this library makes itself.

mod conditions;
mod delete;
mod find;
mod get;
mod indexes;
mod insert;
mod list;
mod load;
mod many;
mod masked;
mod matching;
mod move_row;
#[cfg(feature = "postgres")]
mod next_id;
mod pages;
mod rows;
mod scope;
mod search;
mod stored;
mod swap;
mod swapping;
mod update;
mod upsert;

use std::{fmt, marker::PhantomData, sync::Arc};

use pii_core::{Cryptor, Error, ErrorKind, PiiModel, Result, RowWriter};
use sqlx::{Database, FromRow, Pool};

pub use delete::Delete;
pub use find::{Exists, Find, FindOne, FindOptional};
pub use get::{Get, GetOptional};
pub use insert::{Insert, InsertReturningId};
pub use list::List;
pub use many::{BulkRow, BulkSource, CommitEachChunk, Interrupted, Iterated, Streamed, WriteMany};
pub use masked::MaskedList;
pub use matching::{Matching, MatchingOne, MatchingOptional};
pub use move_row::MoveRow;
#[cfg(feature = "postgres")]
pub use next_id::{NextId, NextIds};
pub use search::Search;
pub use stored::{GetStored, Stored};
pub(crate) use stored::{Rows, Texts};
pub use swap::{Swap, SwapMany, SwapOne};
pub(crate) use swapping::{bind_text, context_columns, key_columns};
pub use update::Update;
pub use upsert::Upsert;

use crate::{
    binder::{Binder, Part},
    connection::Connection,
    dialect::Dialect,
    error::{self, from_sqlx},
    limits::ColumnLimits,
    model::SqlModel,
    pieces::Columns,
    statement::{Statement, quoted_table},
};

/// The rows of one table, as models.
///
/// Making one is cheap: make it where a request is handled, with a cryptor that is
/// [scoped](Cryptor::scoped) to that request's tenant.
///
/// Each method gives a builder, which does nothing until it is awaited. By default it takes a
/// connection from the pool for the time of its statement, and only after everything was sealed;
/// `.on(&mut tx)` uses a transaction or connection of yours instead. The futures are `Send`.
///
/// ```no_run
/// # use pii::{Cryptor, EncryptedStr, PiiModel, SqlTable};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor, ada: Customer, bob: Customer) -> Result<(), Box<dyn std::error::Error>> {
/// let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
/// customers.insert(&ada).await?;
///
/// let mut tx = pool.begin().await?;
/// customers.insert(&bob).on(&mut tx).await?;
/// let mut loaded = customers.get(1).on(&mut tx).decrypt_pii().await?;
/// loaded.email.set("ada@example.org");
/// customers.update(&loaded).on(&mut tx).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// Rows are made by `sqlx::FromRow`: derive it, or write `#[pii(from_row)]`, which also reads lists,
/// maps and nested structs of sealed fields. Loaded values are checked and noted with their place even
/// where they stay sealed, so that stored plaintext is refused, or accepted, as the field's policy says.
///
/// With a [scoped](Cryptor::scoped) cryptor, [`update`](Self::update), [`upsert`](Self::upsert) and
/// [`delete`](Self::delete) write no row of another tenant: the columns whose fields stand in the model's
/// context as they are, as in `context(tenant = self.tenant)`, are part of their conditions. A pair that is
/// made of a field by an expression, such as `self.tenant.code()`, is not: keep such rows apart by the
/// database's permissions. The model's id columns must be the table's primary key, or unique.
pub struct SqlTable<M, DB: Database> {
    pool: Pool<DB>,
    cryptor: Cryptor,
    /// quoted, or why there is none
    name: Result<Arc<str>>,
    limits: Option<ColumnLimits>,
    model: PhantomData<fn() -> M>,
}

// The bounds stand on the functions: whoever breaks one is told which, and not that there is no `new`.
impl<M, DB: Database> SqlTable<M, DB> {
    /// The table that the model names: `#[pii(table = "customers")]`. If it names none, the first
    /// statement says so.
    ///
    /// In the name a dot separates a schema from the table: `"crm.customers"`. Names are quoted as they
    /// are written, so that Postgres does not fold them to lower case.
    #[must_use]
    pub fn new(pool: &Pool<DB>, cryptor: &Cryptor) -> Self
    where
        M: SqlModel<DB>,
        DB: Dialect,
    {
        let nameless = || {
            Error::new(ErrorKind::Configuration)
                .message("the model names no table")
                .help("write `#[pii(table = \"...\")]` on the struct, or use `SqlTable::named`")
        };
        Self::of(pool, cryptor, M::MODEL.table().ok_or_else(nameless).and_then(quoted_table::<DB>))
    }

    /// A table of this name, with models that name another one or none.
    #[must_use]
    pub fn named(pool: &Pool<DB>, cryptor: &Cryptor, name: &str) -> Self
    where
        M: SqlModel<DB>,
        DB: Dialect,
    {
        Self::of(pool, cryptor, quoted_table::<DB>(name))
    }

    fn of(pool: &Pool<DB>, cryptor: &Cryptor, name: Result<String>) -> Self
    where
        M: PiiModel,
    {
        let name = name.map(Arc::from).map_err(error::of::<M>);
        Self { pool: pool.clone(), cryptor: cryptor.clone(), name, limits: None, model: PhantomData }
    }

    /// Refuses texts that don't fit into their columns, before a statement is sent. The limits must be those of this
    /// table, or every statement is refused.
    #[must_use]
    pub fn within(self, limits: &ColumnLimits) -> Self
    where
        M: PiiModel,
    {
        let name = self.name.and_then(|name| match limits.check_table(&name) {
            Ok(()) => Ok(name),
            Err(error) => Err(error::of::<M>(error)),
        });
        Self { name, limits: Some(limits.clone()), ..self }
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// Inserts a row. The model keeps its plaintext; the row gets the sealed texts.
    ///
    /// An id that the database makes up is left to it as long as the model has `None` there:
    /// [`Insert::returning_id`] tells what it became.
    pub fn insert<'a>(&'a self, model: &'a M) -> Insert<'a, M, DB> {
        Insert::new(self, model)
    }

    /// The row of this id. That it does not exist is an error; see [`Get::optional`].
    ///
    /// The id of the row that comes back is compared with the one asked for.
    pub fn get(&self, id: impl Into<M::Id>) -> Get<'_, M, DB>
    where
        M: for<'r> FromRow<'r, DB::Row>,
    {
        Get::new(self, id.into())
    }

    /// All rows, in the order of their ids. For a part of them [find](Self::find) it, or write a query:
    /// [`DecryptPii`](crate::DecryptPii).
    ///
    /// With a [scoped](Cryptor::scoped) cryptor, rows outside the scope are left out, as [`find`](Self::find) does.
    pub fn list(&self) -> List<'_, M, DB>
    where
        M: for<'r> FromRow<'r, DB::Row>,
    {
        List::new(self)
    }

    /// The rows that a search finds: by a blind index, as in `Customer::by_email("acme", "ada@example.com")`, or by a
    /// filter on plain fields, as in `Customer::fields().city.eq("London")`. A sealed field has no comparison, which is an
    /// error of the compiler: its blind indexes are the way.
    ///
    /// With a [scoped](Cryptor::scoped) cryptor, rows outside the scope are not found. Where a pair of the scope has no
    /// column, because an expression makes it of a field, they are read and left out. A search for a value of another
    /// tenant, or a scope that no row of the model can be in, is [`ErrorKind::ContextMismatch`].
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// #[derive(PiiModel)]
    /// #[pii(name = "customer", table = "customers", from_row)]
    /// struct Customer {
    ///     #[pii(id)]
    ///     id: i64,
    ///     city: String,
    ///     #[pii(blind_index(normalize = "email"))]
    ///     email: EncryptedStr, // and a column `email_bidx`
    /// }
    ///
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// let ada = customers.find(Customer::by_email("Ada@example.com")).decrypt_pii().one().await?;
    /// if customers.find(Customer::by_email("bob@example.com")).exists().await? {
    ///     println!("Bob is a customer");
    /// }
    ///
    /// let fields = Customer::fields();
    /// let filter = fields.city.is_in(["London", "Paris"]).and(fields.id.gt(100));
    /// let found = customers.find(filter).decrypt_pii().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn find<'a, S: Search<'a, M, DB>>(&'a self, search: S) -> S::Find {
        search.find(self)
    }

    /// Writes every column of the row with the model's id. Values that were loaded and not changed are
    /// written back as they are, without a key. If such a value has a blind index, the row must still hold it: where
    /// someone else has changed it, that is [`ErrorKind::Conflict`], for its code would be lost.
    ///
    /// With a version column, the row must still have the model's version, and gets the next one:
    /// afterwards it is one more than in the model, which stays as it is. If someone else was faster,
    /// that is [`ErrorKind::Conflict`].
    pub fn update<'a>(&'a self, model: &'a M) -> Update<'a, M, DB> {
        Update::new(self, model)
    }

    /// Inserts the row, or writes every column of the row that has its id already.
    ///
    /// A version column is not compared; the row's own is counted up. If the row that has the id is outside
    /// the cryptor's scope, it stays as it is: [`ErrorKind::ContextMismatch`].
    pub fn upsert<'a>(&'a self, model: &'a M) -> Upsert<'a, M, DB> {
        Upsert::new(self, model)
    }

    /// Deletes the row of this id. That it does not exist, or not in the cryptor's scope, is
    /// [`ErrorKind::RowNotFound`].
    ///
    /// What a column in the context holds is compared as text with the scope: that works for text, integers
    /// and UUIDs. Where it holds something else, no row is in the scope.
    pub fn delete(&self, id: impl Into<M::Id>) -> Delete<'_, M, DB> {
        Delete::new(self, id.into())
    }

    /// Moves a row to another id, tenant or other encryption context: opens it, lets `change` change the
    /// model, seals all of its values anew and writes every column, in one transaction.
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", context(tenant = self.tenant), from_row)]
    /// # struct Customer { #[pii(id)] id: i64, tenant: String, email: EncryptedStr }
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// customers.move_row(7, |customer| customer.tenant = "globex".into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The row is the same afterwards for those that refer to it, unless its id changes: then foreign keys
    /// need `ON UPDATE CASCADE`. Keys are asked for before the transaction begins; for that the row is read
    /// twice, and `change` is called twice. A version column is counted up. All sealed fields
    /// must be readable and writable here, so a view moves no row. A cryptor that is scoped to one tenant moves no row into another:
    /// take one that may see both.
    ///
    /// # Errors
    /// [`ErrorKind::RowNotFound`] if there is no such row in the cryptor's scope; [`ErrorKind::State`] with the
    /// field that can't be opened here; [`ErrorKind::Mode`] with one that can't be sealed;
    /// [`ErrorKind::ContextMismatch`] if the row would leave the scope; [`ErrorKind::Duplicate`] if the new id
    /// is taken; [`ErrorKind::Configuration`] for a view. Then nothing was changed.
    pub fn move_row<F>(&self, id: impl Into<M::Id>, change: F) -> MoveRow<'_, M, DB, F>
    where
        M: for<'r> FromRow<'r, DB::Row>,
        F: Fn(&mut M) + Send + Sync,
    {
        MoveRow::new(self, id.into(), change)
    }

    /// The model's columns, for a statement that you write yourself.
    #[must_use]
    pub fn columns(&self) -> Columns<M, DB> {
        Columns::new()
    }

    /// Writes the sealed values of a row that differ from those it was loaded with, if the row still holds
    /// those: nobody's change is overwritten. See [`Swap`] for what may have happened instead.
    ///
    /// The row is loaded by [`Get::stored`]. Only sealed columns are written, and their blind indexes. Beside them the
    /// id and the columns of the encryption context are compared, for the values are bound to both, and what
    /// else such an index is made of.
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// use pii::Swap;
    ///
    /// loop {
    ///     let mut row = customers.get(7).decrypt_pii().stored().await?;
    ///     let lower = row.email.expose()?.to_lowercase();
    ///     row.email.set(lower);
    ///     match customers.swap(&row).await? {
    ///         Swap::Changed => continue, // someone was faster: look again
    ///         Swap::Gone => println!("the row was deleted"),
    ///         _ => println!("done"),
    ///     }
    ///     break;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn swap<'a>(&'a self, row: &'a Stored<M>) -> SwapOne<'a, M, DB> {
        SwapOne::new(self, row)
    }

    /// As [`swap`](Self::swap), for many rows, and says for each what became of it, in order. Each row is for
    /// itself: one that was changed by someone else does not keep the others from being written.
    ///
    /// On Postgres the rows go in statements of up to 500; elsewhere one after the other, in a transaction or
    /// in a savepoint of the one given with `.on()`.
    pub fn swap_many<'a>(&'a self, rows: &'a [Stored<M>]) -> SwapMany<'a, M, DB> {
        SwapMany::new(self, rows)
    }

    /// The connection to use, one of the pool if none is given. To be called when everything is sealed, or
    /// nothing needs to be.
    pub(crate) async fn connection<'a>(
        &self,
        given: Option<&'a mut DB::Connection>,
    ) -> Result<Connection<'a, DB>> {
        match given {
            Some(connection) => Ok(Connection::given(connection)),
            None => Ok(Connection::pooled(self.pool.acquire().await.map_err(failed::<M>)?)),
        }
    }

    pub(crate) fn cryptor(&self) -> &Cryptor {
        &self.cryptor
    }

    /// The quoted name.
    pub(crate) fn name(&self) -> Result<&str> {
        self.name.as_deref().map_err(Clone::clone)
    }

    /// `SELECT "a", "b" FROM "t"`
    pub(crate) fn select(&self) -> Result<Statement<DB>> {
        let name = self.name()?;
        let mut statement = Statement::new("SELECT ");
        statement.push_names(M::COLUMNS.iter().map(|column| column.name));
        statement.push(" FROM ");
        statement.push(name);
        Ok(statement)
    }

    /// Appends ` WHERE "id" = $1`.
    pub(crate) fn push_where(
        &self,
        statement: &mut Statement<DB>,
        part: Part<'_>,
        bind: impl FnOnce(&mut Binder<'_, DB>),
    ) -> Result<()> {
        statement.push(" WHERE ");
        self.push_condition(statement, part, bind)
    }

    /// Appends `"id" = $1`.
    fn push_condition(
        &self,
        statement: &mut Statement<DB>,
        part: Part<'_>,
        bind: impl FnOnce(&mut Binder<'_, DB>),
    ) -> Result<()> {
        let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, part, None);
        bind(&mut binder);
        if binder.finish()?.anything {
            return Ok(());
        }
        Err(no_id::<M>())
    }

    fn not_found(&self, id: &RowWriter) -> Error {
        Error::new(ErrorKind::RowNotFound).model(M::MODEL.name()).row(id)
    }

    /// That no row was written.
    fn not_written(&self, id: &RowWriter) -> Error {
        match self.cryptor.scope() {
            Ok(None) if M::MODEL.is_view() => self
                .not_found(id)
                .message("there is no row with this id and the encryption context of the view")
                .help("a view can't change the context, under which it does not have all values: use `move_row`"),
            Ok(None) => self.not_found(id),
            _ => self.not_found(id).message("there is no row with this id in the scope of the cryptor"),
        }
    }

    /// An id in the form in which it is compared and shown.
    pub(crate) fn written(&self, write: impl FnOnce(&mut RowWriter)) -> RowWriter {
        let mut writer = RowWriter::default();
        write(&mut writer);
        writer
    }
}

pub(crate) fn failed<M: PiiModel>(error: sqlx::Error) -> Error {
    from_sqlx(error, M::MODEL)
}

pub(crate) fn no_id<M: PiiModel>() -> Error {
    Error::new(ErrorKind::Configuration)
        .model(M::MODEL.name())
        .message("the model has no id")
        .help("mark a field with `#[pii(id)]`")
}

impl<M, DB: Database> Clone for SqlTable<M, DB> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            cryptor: self.cryptor.clone(),
            name: self.name.clone(),
            limits: self.limits.clone(),
            model: PhantomData,
        }
    }
}

impl<M, DB: Database> fmt::Debug for SqlTable<M, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlTable")
            .field("name", &self.name)
            .field("cryptor", &self.cryptor)
            .finish_non_exhaustive()
    }
}
