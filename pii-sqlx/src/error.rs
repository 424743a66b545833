//! From sqlx's errors to ours. The messages name columns and constraints; values stay in sqlx's own
//! error, which is kept as the source.

use pii_core::{Error, ErrorKind, FormatError, ModelSpec, PiiModel};
use sqlx::error::{BoxDynError, DatabaseError, ErrorKind as Constraint, UnexpectedNullError};

/// The error of sqlx inside an error of this library, if there is one.
///
/// A duplicate key, for example, is an error of the kind [`Database`](ErrorKind::Database):
///
/// ```no_run
/// # use pii::{EncryptedStr, PiiModel};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// # async fn insert(customers: pii::SqlTable<Customer, sqlx::Sqlite>, ada: Customer) -> pii::Result<()> {
/// match customers.insert(&ada).await {
///     Err(error) if is_duplicate(&error) => println!("there is such a customer already"),
///     other => other?,
/// }
///
/// fn is_duplicate(error: &pii::Error) -> bool {
///     let database = pii::sqlx_error(error).and_then(|error| error.as_database_error());
///     database.is_some_and(|error| error.is_unique_violation())
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
                Err(source) => {
                    undecodable(column).source(sqlx::Error::ColumnDecode { index: column.into(), source })
                }
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
                Error::new(ErrorKind::Database).model(model.name()).source(sqlx::Error::Decode(source))
            }
        },
        other => {
            let error = Error::new(ErrorKind::Database).model(model.name());
            let error = match &other {
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
pub(crate) use crate::mysql_error::quiet;
#[cfg(feature = "mysql")]
use crate::mysql_error::{explained, number};

/// Without the database's message, where it may quote values.
#[cfg(not(feature = "mysql"))]
pub(crate) fn quiet(error: sqlx::Error) -> sqlx::Error {
    error
}

#[cfg(not(feature = "mysql"))]
fn explained(_: &dyn DatabaseError) -> Option<(&'static str, &'static str)> {
    None
}

#[cfg(not(feature = "mysql"))]
fn number(_: &dyn DatabaseError) -> Option<u16> {
    None
}

/// A value that refused to become an argument.
pub(crate) fn not_encoded(source: BoxDynError) -> Error {
    ours(source).unwrap_or_else(|source| {
        Error::new(ErrorKind::Database)
            .message("a value cannot be sent to the database")
            .source(sqlx::Error::Encode(source))
    })
}

/// Names the field of a column.
pub(crate) fn at_column(error: Error, model: &ModelSpec, column: &str) -> Error {
    match model.fields().iter().find(|field| field.column() == column) {
        Some(field) => error.field(model.name(), field.name()),
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

/// The code that the database gives. Its own message may quote values: that stays in the source.
fn code(error: &dyn DatabaseError) -> Option<String> {
    let code = error.code()?;
    let is_code = code.len() <= 8 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| match number(error) {
        Some(number) => format!("the database answered with the code {code}, error {number}"),
        None => format!("the database answered with the code {code}"),
    })
}
