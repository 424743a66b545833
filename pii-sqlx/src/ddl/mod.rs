//! Definitions of the tables of models, as statements that nobody has run yet.

mod database;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;

use std::{fmt, marker::PhantomData};

use pii_core::{Error, ErrorKind, ModelSpec, PlaintextPolicy, Result};
use sqlx::{Database, Pool};

pub(crate) use database::{DdlDatabase, NOT_SEALED, OWN_TRIGGERS, is_own_trigger};
pub use statements::{DdlKind, DdlStatement, DdlStatements, DdlTransaction};

use crate::{
    catalogue::{Catalogue, Column, Form, Table},
    column_field::column_field,
    connection::Connection,
    doctor::nameless,
    error::from_sqlx,
    index_columns::{self, IndexColumn},
    model::{ColumnKind, SqlModel},
    model_types::ColumnTypes,
    statement::{quoted_name, quoted_table},
};
use database::{ColumnToSeal, bounded};

/// The statements that define the table of a model, for your migrations. It runs none of them.
///
/// ```
/// # use pii::{Ddl, EncryptedStr, PiiModel};
/// #[derive(PiiModel)]
/// #[pii(name = "customer", table = "customers")]
/// struct Customer {
///     #[pii(id)]
///     id: i64,
///     city: String,
///     email: EncryptedStr,
///     phone: Option<EncryptedStr>,
/// }
///
/// # fn main() -> pii::Result<()> {
/// let create = Ddl::<sqlx::Sqlite>::of::<Customer>()?.create()?;
/// assert_eq!(
///     create.to_string(),
///     "CREATE TABLE `customers` (
///     `id` INTEGER NOT NULL PRIMARY KEY,
///     `city` TEXT NOT NULL,
///     `email` TEXT NOT NULL CHECK (`email` GLOB 'ENC:*'),
///     `phone` TEXT CHECK (`phone` GLOB 'ENC:*')
/// );"
/// );
/// # Ok(())
/// # }
/// ```
///
/// Sealed columns are text without a limit, and get a check that lets only `ENC:` in, unless plaintext is still
/// expected in the field: with another policy than `reject`, or a `legacy` format. The types of other columns are those
/// that sqlx writes for the types of the fields. A nested struct with a `prefix` has columns of its own, each by its
/// field; if the struct is an `Option`, all of them may be NULL. Foreign keys, defaults and other indexes are yours to add.
pub struct Ddl<DB> {
    model: &'static ModelSpec,
    table: Option<String>,
    columns: Vec<Wanted>,
    indexes: Vec<IndexColumn>,
    database: PhantomData<fn() -> DB>,
}

/// A column as it should be.
struct Wanted {
    name: &'static str,
    kind: ColumnKind,
    column_type: String,
    is_nullable: bool,
    /// whether a check keeps plaintext out
    is_checked: bool,
}

impl Wanted {
    fn is_sealed(&self) -> bool {
        matches!(self.kind, ColumnKind::Sealed | ColumnKind::SealedJson)
    }
}

impl<DB: Catalogue> Ddl<DB> {
    /// The definitions for this model.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the model is a view of another one, or does not tell its types.
    pub fn of<M: SqlModel<DB>>() -> Result<Self> {
        let model = M::MODEL;
        let wrong = |message: &str| Error::new(ErrorKind::Configuration).model(model.name()).message(message);
        if model.is_view() {
            return Err(wrong("it is a view of another model, and lacks some of its columns")
                .help("use the model that it is a view of"));
        }
        let mut types = ColumnTypes::new();
        M::column_types(&mut types);
        let types = types.into_vec();
        if types.len() != M::COLUMNS.len() {
            return Err(wrong("`SqlModel` tells the types of more or fewer columns than it lists"));
        }
        let columns = M::COLUMNS.iter().zip(types).map(|(column, of_type)| {
            let field = column_field(model.fields(), column.name);
            let is_sealed = matches!(column.kind, ColumnKind::Sealed | ColumnKind::SealedJson);
            let column_type = match (is_sealed, DB::UUID.filter(|_| of_type.is_uuid)) {
                (true, _) => DB::SEALED.to_owned(),
                (false, Some(uuid)) => uuid.to_owned(),
                (false, None) => DB::column_type(&of_type.info, column.kind.is_id()),
            };
            Wanted {
                name: column.name,
                kind: column.kind,
                column_type,
                is_nullable: of_type.is_optional && !column.kind.is_id(),
                is_checked: column.kind == ColumnKind::Sealed
                    && field.is_some_and(|field| {
                        field.spec.plaintext() == PlaintextPolicy::Reject && field.spec.legacy().is_none()
                    }),
            }
        });
        Ok(Self {
            model,
            table: model.table().map(str::to_owned),
            columns: columns.collect(),
            indexes: index_columns::declared(model),
            database: PhantomData,
        })
    }

    /// Another table than the model's.
    #[must_use]
    pub fn in_table(mut self, table: &str) -> Self {
        self.table = Some(table.to_owned());
        self
    }

    /// A further column for a blind index, with an index on it: 64 lower-case hexadecimal digits, or NULL.
    #[must_use]
    pub fn index_column(mut self, name: &str) -> Self {
        self.indexes.push(IndexColumn::new(name));
        self
    }

    /// The same with a unique index.
    #[must_use]
    pub fn unique_index_column(mut self, name: &str) -> Self {
        self.indexes.push(IndexColumn { is_unique: true, ..IndexColumn::new(name) });
        self
    }

    /// Creates the table as a whole, and the indexes of its blind indexes.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is no name for the table, or it is none.
    pub fn create(&self) -> Result<DdlStatements> {
        let table = self.table()?;
        let ids: Vec<_> = self.columns.iter().filter(|column| column.kind.is_id()).collect();
        let is_only_id = ids.len() == 1;
        let mut lines: Vec<String> =
            self.columns.iter().map(|column| self.definition(column, is_only_id)).collect();
        for column in &self.indexes {
            lines.push(format!("{} {}", quoted_name::<DB>(&column.name), DB::digits(column.chars)));
        }
        if ids.len() > 1 {
            let names: Vec<_> = ids.iter().map(|column| quoted_name::<DB>(column.name)).collect();
            lines.push(format!("PRIMARY KEY ({})", names.join(", ")));
        }
        let sql = format!("CREATE TABLE {table} (\n    {}\n)", lines.join(",\n    "));
        let mut statements = vec![DdlStatement::new(DdlKind::CreateTable, sql)];
        statements.extend(self.indexes()?);
        Ok(DdlStatements(statements))
    }

    /// Keeps plaintext out of the sealed columns of a table that is in use and holds none any more, without a long lock:
    /// on Postgres a check that is first added and then validated; on SQLite triggers.
    ///
    /// # Errors
    /// As [`Ddl::create`].
    pub fn checks(&self) -> Result<DdlStatements> {
        let table = self.table()?;
        let checked = self.columns.iter().filter(|column| column.is_checked);
        let statements =
            checked.flat_map(|column| DB::keep_sealed(&self.to_seal(&table, column.name, None, None)));
        Ok(DdlStatements(statements.collect()))
    }

    /// Creates the indexes of the blind indexes of a table that is in use.
    ///
    /// # Errors
    /// As [`Ddl::create`].
    pub fn indexes(&self) -> Result<DdlStatements> {
        let table = self.table()?;
        Ok(DdlStatements(self.indexes.iter().map(|column| self.index(&table, column)).collect()))
    }

    /// What makes the table that this pool reaches one for the model: columns that are missing, types that can't hold
    /// sealed text, NULL where it is refused, checks and indexes. Nothing, if it is one. If there is no
    /// table, this is [`create`](Self::create).
    ///
    /// The values stay as they are. A check is only validated when all of them are sealed.
    ///
    /// # Errors
    /// As [`Ddl::create`]; [`ErrorKind::Database`] if the catalogue can't be read; [`ErrorKind::Configuration`] for
    /// a change that the database can't make, such as that of a type on SQLite.
    pub async fn alter(&self, pool: &Pool<DB>) -> Result<DdlStatements> {
        let name = self.table.as_deref().ok_or_else(|| nameless(self.model))?;
        let connection = pool.acquire().await.map_err(|error| from_sqlx(error, self.model))?;
        let mut connection = Connection::<DB>::pooled(connection);
        let found =
            DB::describe(connection.lend(), name).await.map_err(|error| error.model(self.model.name()))?;
        connection.finished();
        drop(connection);
        let Some(found) = found else { return self.create() };
        let table = self.table()?;
        let mut statements = Vec::new();
        let mut last = Vec::new();
        for column in &self.columns {
            match found.column(column.name) {
                None => {
                    let sql = format!(
                        "ALTER TABLE {table} ADD COLUMN {} {}",
                        quoted_name::<DB>(column.name),
                        column.column_type
                    );
                    let add = DdlStatement::new(DdlKind::AddColumn, sql);
                    statements.push(match column.is_nullable {
                        true => add,
                        false => add.note(
                            "takes NULL, because there may be rows: make it NOT NULL when it is filled",
                        ),
                    });
                }
                Some(there) if column.is_sealed() => statements.extend(self.changes(&table, column, there)?),
                Some(_) => {}
            }
            if column.is_checked {
                last.extend(self.checks_left(&table, column, &found));
            }
        }
        for column in &self.indexes {
            if found.column(&column.name).is_none() {
                let (name, digits) = (quoted_name::<DB>(&column.name), DB::digits(column.chars));
                let sql = format!("ALTER TABLE {table} ADD COLUMN {name} {digits}");
                statements.push(DdlStatement::new(DdlKind::AddColumn, sql));
            }
            if !found.indexes.iter().any(|index| index.is_valid && index.columns.contains(&column.name)) {
                last.push(self.index(&table, column));
            }
        }
        statements.extend(last);
        Ok(DdlStatements(statements))
    }

    fn changes(&self, table: &str, column: &Wanted, there: &Column) -> Result<Vec<DdlStatement>> {
        let to_seal = self.to_seal(table, column.name, Some(there), None);
        let unsupported = |what: &str| {
            Error::new(ErrorKind::Configuration)
                .model(self.model.name())
                .message(format!("this database cannot change {what} of the column `{}`", column.name))
                .help("make the table anew, or seal into a text column beside it")
        };
        let mut statements = Vec::new();
        if matches!(there.form, Form::Padded | Form::Unfit) || there.room.is_some_and(|room| !room.is_roomy())
        {
            statements.push(DB::change_to_text(&to_seal).ok_or_else(|| unsupported("the type"))?);
        }
        if column.is_nullable && !there.is_nullable {
            statements.push(DB::drop_not_null(&to_seal).ok_or_else(|| unsupported("the NOT NULL"))?);
        }
        Ok(statements)
    }

    fn checks_left(&self, table: &str, column: &Wanted, found: &Table) -> Vec<DdlStatement> {
        let there = found.column(column.name);
        let mut checks = found.checks.iter().filter(|check| check.keeps_sealed(column.name));
        match checks.next() {
            Some(check) if check.is_validated => Vec::new(),
            Some(check) => DB::keep_sealed(&self.to_seal(table, column.name, there, Some(&check.name))),
            None => DB::keep_sealed(&self.to_seal(table, column.name, there, None)),
        }
    }

    fn to_seal(
        &self,
        table: &str,
        column: &str,
        there: Option<&Column>,
        check: Option<&str>,
    ) -> ColumnToSeal {
        ColumnToSeal {
            table: table.to_owned(),
            column: quoted_name::<DB>(column),
            stem: self.stem(column),
            declared: there.map(|column| column.declared.clone()).unwrap_or_default(),
            is_nullable: there.is_none_or(|column| column.is_nullable),
            check: check.map(str::to_owned),
        }
    }

    /// `"email" text NOT NULL CHECK (...)`
    fn definition(&self, column: &Wanted, is_only_id: bool) -> String {
        let name = quoted_name::<DB>(column.name);
        let column_type = match column.kind {
            ColumnKind::GeneratedId => DB::generated(&column.column_type),
            _ => column.column_type.clone(),
        };
        let mut line = format!("{name} {column_type}");
        if !column.is_nullable {
            line.push_str(" NOT NULL");
        }
        if column.kind.is_id() && is_only_id {
            line.push_str(" PRIMARY KEY");
        }
        if column.is_checked {
            line.push_str(&format!(" CHECK ({})", <DB as DdlDatabase>::is_sealed(&name)));
        }
        line
    }

    fn index(&self, table: &str, column: &IndexColumn) -> DdlStatement {
        let name = quoted_name::<DB>(&bounded::<DB>(&self.stem(&column.name), "_idx"));
        DB::create_index(table, &name, &quoted_name::<DB>(&column.name), column.is_unique)
    }

    fn table(&self) -> Result<String> {
        let table = self.table.as_deref().ok_or_else(|| nameless(self.model))?;
        quoted_table::<DB>(table).map_err(|error| error.model(self.model.name()))
    }

    /// Table and column, without the schema.
    fn stem(&self, column: &str) -> String {
        let table = self.table.as_deref().unwrap_or_default();
        format!("{}_{column}", table.rsplit('.').next().unwrap_or(table))
    }
}

impl<DB: Database> fmt::Debug for Ddl<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ddl")
            .field("model", &self.model.name())
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
