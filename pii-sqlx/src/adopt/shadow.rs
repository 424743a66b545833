//! A sealed column beside a plain one, while programs that know only the plain one go on.

use std::{fmt, marker::PhantomData};

use pii_core::{Error, ErrorKind, ModelSpec, Result, TypeCode};
use sqlx::Pool;

use super::database::ShadowNames;
use crate::{
    column_field::column_field,
    connection::Connection,
    dialect::Dialect,
    error::from_sqlx,
    model::{ColumnKind, SqlModel},
    statement::{Statement, quoted_name, quoted_table},
};

/// Postgres cuts longer names off, and two could become one.
const MAX_NAME_BYTES: usize = 63;

/// The sealed column of a field beside the plain column that older programs use: for columns that can't hold
/// sealed text, such as a `DATE`, a `NUMERIC` or a narrow `VARCHAR`, and wherever programs that know nothing of
/// this library still read the plain column.
///
/// It gives the statements of each step, for your own migrations; only [`fill`](Self::fill) runs one itself.
/// Between [`add`](Self::add) and [`retire`](Self::retire) triggers keep both columns true:
///
/// - Whoever writes the plain column changes the sealed one too: it gets the new value as plaintext, which a
///   program of this library reads and seals as the field's policy says.
/// - Whoever writes plaintext to the sealed column, as a program does while the policy is `prepare`, changes the
///   plain one too. A value that the plain column can't hold is refused by the database.
/// - A sealed text is taken only from an [`Adoption`](super::Adoption) that was told of this column. From anyone
///   else it is refused: the database can't open it, so the plain column would be wrong from then on. A program
///   that loaded a sealed value, and saves it after an older program has changed it, meets this error too, and
///   loads the row again.
///
/// ```
/// # use pii::{EncryptedStr, PiiModel, ShadowColumn};
/// #[derive(PiiModel)]
/// #[pii(name = "customer", table = "customers", plaintext = "prepare")]
/// struct Customer {
///     #[pii(id)]
///     id: i64,
///     #[pii(column = "birthday_sealed")]
///     birthday: Option<EncryptedStr>,
/// }
///
/// # fn main() -> pii::Result<()> {
/// // beside the column `birthday`; `replacing` names another one
/// let birthday = ShadowColumn::<sqlx::Sqlite>::of::<Customer>("birthday")?;
/// for statement in birthday.add() {
///     println!("{statement};");
/// }
/// # assert!(birthday.add()[0].contains("ADD COLUMN `birthday_sealed`"));
/// # Ok(())
/// # }
/// ```
///
/// The whole way, with a table of what each program sees at each step, is in the guide `docs/migration.md`.
pub struct ShadowColumn<DB> {
    model: &'static ModelSpec,
    sealed: &'static str,
    plain: String,
    table: String,
    ids: Vec<&'static str>,
    is_json: bool,
    database: PhantomData<fn() -> DB>,
}

impl<DB: Dialect> ShadowColumn<DB> {
    /// The shadow column of a field, by its stable name, in the model's table. The plain column has the same
    /// name, unless [`replacing`](Self::replacing) says another one. A field of a nested struct with columns of its own
    /// is `address.street`; name its plain column with `replacing`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the model has no table, no id, or no field of this name with one sealed
    /// value.
    pub fn of<M: SqlModel<DB>>(field: &str) -> Result<Self> {
        let model = M::MODEL;
        let wrong =
            |message: &str| Error::new(ErrorKind::Configuration).field(model.name(), field).message(message);
        let mut columns = M::COLUMNS
            .iter()
            .filter_map(|column| Some((column, column_field(model.fields(), column.name)?)))
            .filter(|(_, known)| known.path == field);
        let (column, known) = match columns.next() {
            Some(found) if found.0.kind == ColumnKind::Sealed => found,
            None if model.field(field).is_none() => {
                return Err(wrong("there is no field of this name")
                    .help("use the field's stable name, as `pii_fields()` lists it"));
            }
            _ => {
                return Err(wrong("only a field with one sealed value can have a shadow column").help(
                    "lists, maps and nested structs are text before: seal them in place; of a nested struct with a \
                     `prefix` name one field, such as `address.street`",
                ));
            }
        };
        let table = model.table().ok_or_else(|| {
            wrong("the model names no table").help("write `#[pii(table = \"...\")]` on the struct")
        })?;
        let ids: Vec<_> =
            M::COLUMNS.iter().filter(|column| column.kind.is_id()).map(|column| column.name).collect();
        if ids.is_empty() {
            return Err(wrong("the model has no id").help("mark a field with `#[pii(id)]`"));
        }
        Ok(Self {
            model,
            sealed: column.name,
            plain: format!("{}{}", known.prefix, known.spec.name()),
            table: table.to_owned(),
            ids,
            is_json: known.spec.holds().type_code() == Some(TypeCode::JSON),
            database: PhantomData,
        })
    }

    /// The plain column that older programs use.
    #[must_use]
    pub fn replacing(mut self, plain_column: &str) -> Self {
        plain_column.clone_into(&mut self.plain);
        self
    }

    /// Another table than the model's.
    #[must_use]
    pub fn in_table(mut self, table: &str) -> Self {
        table.clone_into(&mut self.table);
        self
    }

    /// Checks the names, which the other functions take as they are.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for names that are empty, the same, or so long that a database cuts them off.
    pub fn check(&self) -> Result<()> {
        quoted_table::<DB>(&self.table).map_err(|error| error.model(self.model.name()))?;
        let wrong = |message: String| {
            let field = column_field(self.model.fields(), self.sealed);
            Error::new(ErrorKind::Configuration)
                .field(self.model.name(), field.as_ref().map_or(self.sealed, |field| &field.path))
                .message(message)
        };
        if self.plain == self.sealed {
            return Err(wrong("the plain and the sealed column are the same".into()).help(
                "name the sealed one with `#[pii(column = \"...\")]`, or the plain one with `replacing`; a column \
                 that can hold sealed text, and that no older program reads, is sealed in place",
            ));
        }
        for name in [
            self.plain.clone(),
            self.flag_column(),
            format!("{}_insert", self.trigger()),
            self.retired_column(),
        ] {
            if name.is_empty() || name.contains('\0') || name.len() > MAX_NAME_BYTES {
                return Err(wrong(format!("the name `{}` is empty or too long", name.replace('\0', ""))));
            }
        }
        Ok(())
    }

    /// Adds the sealed column, and the triggers that keep it and the plain one true from now on. Rows that are
    /// there already are [filled](Self::fill) next.
    ///
    /// There is a second new column, `…_same`: by it a job tells the triggers that a value stays the same. It is
    /// always NULL between statements.
    #[must_use]
    pub fn add(&self) -> Vec<String> {
        let names = self.names();
        let mut statements = DB::add_columns(&names);
        statements.extend(DB::add_triggers(&names));
        statements
    }

    /// Takes back what [`add`](Self::add) made, with everything in the sealed column. The plain column has the
    /// newest values.
    #[must_use]
    pub fn remove(&self) -> Vec<String> {
        let names = self.names();
        let mut statements = DB::drop_triggers(&names);
        statements
            .extend([names.flag.clone(), names.sealed.clone()].map(|column| drop_column(&names, &column)));
        statements
    }

    /// Ends the time of the older programs: the triggers go, and the plain column gets another name, `…_retired`.
    /// A program that still uses it fails, instead of reading what is no longer true.
    ///
    /// New rows have nothing in it. Postgres is told to allow that. On SQLite and MySQL a plain column that is
    /// `NOT NULL` gets a default, or is dropped at once, with [`finish`](Self::finish).
    #[must_use]
    pub fn retire(&self) -> Vec<String> {
        let names = self.names();
        let mut statements = DB::drop_triggers(&names);
        let retired = self.quoted_retired();
        statements.push(rename(&names, &names.plain, &retired));
        statements.extend(DB::let_be_null(&names, &retired));
        statements
    }

    /// Takes back what [`retire`](Self::retire) did. The plain column has the values of that moment, until
    /// [`Adoption::roll_back`](super::Adoption::roll_back) has written the newer ones: older programs come back
    /// after that. That it was `NOT NULL` is for you to say again.
    #[must_use]
    pub fn restore(&self) -> Vec<String> {
        let names = self.names();
        let mut statements = vec![rename(&names, &self.quoted_retired(), &names.plain)];
        statements.extend(DB::add_triggers(&names));
        statements
    }

    /// Drops what is left of the plain column after [`retire`](Self::retire). There is no way back from here.
    #[must_use]
    pub fn finish(&self) -> Vec<String> {
        let names = self.names();
        [names.flag.clone(), self.quoted_retired()].map(|column| drop_column(&names, &column)).to_vec()
    }

    /// Copies values of the plain column to the sealed one where that is empty, in at most this many rows, and
    /// says in how many. To be repeated until it says 0, before the first program of this library reads the
    /// column: to it an empty one is a value that is not there.
    ///
    /// Each time looks for the next rows from the table's beginning: a table of millions wants an index over the
    /// id `where sealed is null and plain is not null` for that time.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] as of [`check`](Self::check), and [`ErrorKind::Database`].
    pub async fn fill(&self, pool: &Pool<DB>, rows: u32) -> Result<u64> {
        self.check()?;
        let failed = |error| from_sqlx(error, self.model);
        let mut connection = Connection::pooled(pool.acquire().await.map_err(failed)?);
        let names = self.names();
        let due = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", names.table, names.is_due());
        loop {
            let fill = Statement::new(&DB::fill(&names, rows.max(1)));
            let filled = connection.execute(fill).await.map_err(failed)?;
            if filled > 0 {
                return Ok(filled);
            }
            // someone else may have filled the very rows that were chosen, and not the ones behind them
            if connection.fetch(Statement::new(&due)).await.map_err(failed)?.is_empty() {
                return Ok(0);
            }
        }
    }

    /// The column of the model, and the one that tells its triggers that a value stays the same.
    pub(super) fn flag(&self) -> (String, String) {
        (self.sealed.to_owned(), self.flag_column())
    }

    fn flag_column(&self) -> String {
        format!("{}_same", self.sealed)
    }

    fn retired_column(&self) -> String {
        format!("{}_retired", self.plain)
    }

    fn quoted_retired(&self) -> String {
        quoted_name::<DB>(&self.retired_column())
    }

    fn trigger(&self) -> String {
        let table = self.table.rsplit('.').next().unwrap_or_default();
        format!("pii_{table}_{}", self.sealed)
    }

    fn names(&self) -> ShadowNames {
        let quoted = |name: &str| quoted_name::<DB>(name);
        let parts: Vec<String> = self.table.split('.').map(quoted).collect();
        let (bare_table, schema) =
            parts.split_last().map(|(last, schema)| (last.clone(), schema)).unwrap_or_default();
        ShadowNames {
            table: parts.join("."),
            bare_table,
            schema: schema.iter().map(|part| format!("{part}.")).collect(),
            ids: self.ids.iter().map(|id| quoted(id)).collect(),
            plain: quoted(&self.plain),
            sealed: quoted(self.sealed),
            flag: quoted(&self.flag_column()),
            trigger: self.trigger(),
            is_json: self.is_json,
        }
    }
}

fn drop_column(names: &ShadowNames, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {column}", names.table)
}

fn rename(names: &ShadowNames, from: &str, to: &str) -> String {
    format!("ALTER TABLE {} RENAME COLUMN {from} TO {to}", names.table)
}

impl<DB> Clone for ShadowColumn<DB> {
    fn clone(&self) -> Self {
        Self {
            model: self.model,
            sealed: self.sealed,
            plain: self.plain.clone(),
            table: self.table.clone(),
            ids: self.ids.clone(),
            is_json: self.is_json,
            database: PhantomData,
        }
    }
}

impl<DB> fmt::Debug for ShadowColumn<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShadowColumn({}: `{}` beside `{}`)", self.table, self.sealed, self.plain)
    }
}
