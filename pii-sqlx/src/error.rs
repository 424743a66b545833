//! From sqlx's errors to ours. The messages name columns and constraints; sqlx's own error is kept as the source,
//! without what may quote values.

use pii_core::{Error, ErrorKind, FormatError, ModelSpec, PiiModel, PiiRow, RowBinding};
use sqlx::error::{BoxDynError, DatabaseError, ErrorKind as Constraint, UnexpectedNullError};

use crate::{column_field::column_field, quiet::quiet};

/// The error of sqlx inside an error of this library, if there is one.
///
/// Of the database's own words it shows only those that name no value: details and messages that may quote one are left
/// out. Who needs them asks for the driver's error: `error.as_database_error()`, and then `try_downcast_ref` to
/// `sqlx::postgres::PgDatabaseError`.
///
/// A violated foreign key, for example, is an error of the kind [`Database`](ErrorKind::Database), and the
/// error of sqlx tells it from others:
///
/// ```no_run
/// # use pii::{EncryptedStr, PiiModel};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// # async fn insert(customers: pii::SqlTable<Customer, sqlx::Sqlite>, ada: Customer) -> pii::Result<()> {
/// match customers.insert(&ada).await {
///     Err(error) if is_orphan(&error) => println!("there is no such account"),
///     other => other?,
/// }
///
/// fn is_orphan(error: &pii::Error) -> bool {
///     let database = pii::sqlx_error(error).and_then(|error| error.as_database_error());
///     database.is_some_and(|error| error.is_foreign_key_violation())
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn sqlx_error(error: &Error) -> Option<&sqlx::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// What to do about NULL where a field is not optional.
pub(crate) const NULL_HELP: &str = "make the field an `Option`, or forbid NULL in the column";

/// An error that names the model, if it did not before.
pub(crate) fn of<M: PiiModel>(error: Error) -> Error {
    error.model(M::MODEL.name())
}

/// An error that names the first model of a row, if it named none before.
pub(crate) fn of_row<R: PiiRow>(error: Error) -> Error {
    match R::first_model() {
        Some(model) => error.model(model.name()),
        None => error,
    }
}

/// The error of a row that an error of sqlx stands for.
pub(crate) fn of_query<R: PiiRow>(error: sqlx::Error) -> Error {
    static NO_MODEL: ModelSpec = ModelSpec::new("", &[], RowBinding::Field);
    let mut models = Vec::with_capacity(R::MODELS);
    R::models(&mut models);
    let column = match &error {
        sqlx::Error::ColumnDecode { index, .. } => index.trim_matches('"'),
        sqlx::Error::ColumnNotFound(column) => column,
        _ => "",
    };
    let of_column = models.iter().find(|model| joined_column(model, column).is_some());
    from_sqlx(error, of_column.or(models.first()).copied().unwrap_or(&NO_MODEL))
}

/// The model's own name of a column that was selected for a [`Joined`](crate::Joined).
fn joined_column<'c>(model: &ModelSpec, column: &'c str) -> Option<&'c str> {
    column.strip_prefix(model.name())?.strip_prefix('.')
}

/// The error of this model that an error of sqlx stands for.
pub(crate) fn from_sqlx(error: sqlx::Error, model: &ModelSpec) -> Error {
    match error {
        sqlx::Error::RowNotFound => Error::new(ErrorKind::RowNotFound).model(model.name()),
        sqlx::Error::ColumnDecode { index, source } => {
            // sqlx gives the name as `Debug` shows it
            let column = index.trim_matches('"');
            let error = match ours(source) {
                Ok(error) => error,
                Err(source) if source.is::<UnexpectedNullError>() => null(column, source),
                Err(source) => undecodable(column)
                    .source(quiet(sqlx::Error::ColumnDecode { index: column.into(), source })),
            };
            at_column(error, model, column)
        }
        sqlx::Error::ColumnNotFound(column) => {
            let error = Error::new(ErrorKind::Database)
                .message(format!("the query gives no column `{column}`"))
                .help("select it, or name the field's column with `#[pii(column = \"...\")]`");
            at_column(error, model, &column).source(sqlx::Error::ColumnNotFound(column))
        }
        sqlx::Error::Encode(source) => not_encoded(source).model(model.name()),
        sqlx::Error::Decode(source) => match ours(source) {
            Ok(error) => error.model(model.name()),
            Err(source) => {
                Error::new(ErrorKind::Database).model(model.name()).source(quiet(sqlx::Error::Decode(source)))
            }
        },
        other => {
            let error = Error::new(ErrorKind::Database).model(model.name());
            let error = match &other {
                sqlx::Error::Database(database) if database.kind() == Constraint::UniqueViolation => {
                    duplicate(&**database, model)
                }
                sqlx::Error::Database(database) => match (explained(&**database), constraint(&**database)) {
                    (Some((message, help)), _) => error.message(message).help(help),
                    (None, Some(message)) => error.message(message),
                    (None, None) => match code(&**database) {
                        Some(message) => error.message(message),
                        None => error,
                    },
                },
                sqlx::Error::Io(_) => error.message("the connection was lost or could not be made"),
                sqlx::Error::PoolTimedOut => error.message("no connection became free in time").help(
                    "look for transactions that are held while something else waits for a connection, and \
                     whether the database can be reached",
                ),
                sqlx::Error::PoolClosed => error.message("the pool is closed"),
                _ => error,
            };
            error.source(quiet(other))
        }
    }
}

#[cfg(feature = "mysql")]
use crate::mysql_error::{explained, key_of_duplicate, number};

#[cfg(not(feature = "mysql"))]
fn explained(_: &dyn DatabaseError) -> Option<(&'static str, &'static str)> {
    None
}

#[cfg(not(feature = "mysql"))]
fn number(_: &dyn DatabaseError) -> Option<u16> {
    None
}

#[cfg(not(feature = "mysql"))]
fn key_of_duplicate(message: &str) -> &str {
    message
}

/// A value that refused to become an argument.
pub(crate) fn not_encoded(source: BoxDynError) -> Error {
    ours(source).unwrap_or_else(|source| {
        Error::new(ErrorKind::Database)
            .message("a value cannot be sent to the database")
            .source(quiet(sqlx::Error::Encode(source)))
    })
}

/// Names the field of a column.
pub(crate) fn at_column(error: Error, model: &ModelSpec, column: &str) -> Error {
    let own = joined_column(model, column).unwrap_or(column);
    match column_field(model.fields(), own) {
        Some(field) => error.field(model.name(), &field.path),
        None => error.model(model.name()),
    }
}

/// An error of this library that travelled through sqlx.
fn ours(source: BoxDynError) -> Result<Error, BoxDynError> {
    let source = match source.downcast::<Error>() {
        Ok(error) => return Ok(*error),
        Err(source) => source,
    };
    source.downcast::<FormatError>().map(|error| Error::from(*error))
}

fn null(column: &str, source: BoxDynError) -> Error {
    Error::new(ErrorKind::Database)
        .message(format!("the column `{column}` is NULL, but the field is not optional"))
        .help(NULL_HELP)
        .source(sqlx::Error::ColumnDecode { index: column.into(), source })
}

fn undecodable(column: &str) -> Error {
    Error::new(ErrorKind::Database).message(format!("the column `{column}` does not fit the field"))
}

/// That a unique column has the value already. If it is that of a blind index, the field is named.
fn duplicate(error: &dyn DatabaseError, model: &ModelSpec) -> Error {
    let place = match (error.constraint(), number(error)) {
        (Some(constraint), _) => constraint,
        (None, Some(_)) => key_of_duplicate(error.message()),
        // SQLite gives the columns in its message, and no value
        (None, None) => error.message(),
    };
    // the name of one column may be a part of another one's
    let columns = model
        .indexes()
        .iter()
        .flat_map(|index| index.versions().iter().map(move |version| (index, version.column)));
    let named = columns.filter(|(_, column)| place.contains(column)).max_by_key(|(_, column)| column.len());
    let index = named.map(|(index, _)| index);
    let duplicate = Error::new(ErrorKind::Duplicate);
    let duplicate = match index.and_then(|index| index.parts().first()) {
        Some(part) => duplicate.field(model.name(), part.field),
        None => duplicate.model(model.name()),
    };
    match constraint(error) {
        Some(message) => duplicate.message(message),
        None => duplicate,
    }
}

/// What a violated constraint is called, without the values that violated it.
fn constraint(error: &dyn DatabaseError) -> Option<String> {
    let what = match error.kind() {
        Constraint::UniqueViolation => "a row with this id or unique value exists already",
        Constraint::ForeignKeyViolation => "a foreign key is violated",
        Constraint::NotNullViolation => "a column that must not be NULL is",
        Constraint::CheckViolation => "a check constraint is violated",
        Constraint::ExclusionViolation => "an exclusion constraint is violated",
        _ => return None,
    };
    Some(match error.constraint() {
        Some(name) => format!("{what} (constraint `{name}`)"),
        None => what.to_owned(),
    })
}

/// The code that the database gives. Its own message may quote values.
fn code(error: &dyn DatabaseError) -> Option<String> {
    let code = error.code()?;
    let is_code = code.len() <= 8 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| match number(error) {
        Some(number) => format!("the database answered with the code {code}, error {number}"),
        None => format!("the database answered with the code {code}"),
    })
}
