//! Sealed fields in SQLite, Postgres, MySQL and MariaDB through [sqlx].
//!
//! Three things are here. [`SqlTable`] reads and writes the rows of one table with statements that it
//! makes itself. [`DecryptPii`] adds `.decrypt_pii(&cryptor)` to the queries that you write, so that
//! existing sqlx code stays as it is. Both need a model with `#[derive(PiiModel)]`; the columns of
//! its sealed fields are text. [`SqlKeyStore`] keeps the wrapped data keys in a table.
//!
//! ```no_run
//! use pii::{Cryptor, DecryptPii, EncryptedStr, LocalKeyring, PiiModel, SqlTable};
//! use sqlx::SqlitePool;
//!
//! #[derive(PiiModel)]
//! #[pii(name = "customer", table = "customers", from_row)]
//! struct Customer {
//!     #[pii(id)]
//!     id: i64,
//!     city: String,
//!     email: EncryptedStr,
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let cryptor = Cryptor::envelope().keyring(LocalKeyring::open("pii.key")?).build()?;
//! let pool = SqlitePool::connect("sqlite:shop.db").await?;
//! let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
//!
//! let ada = Customer { id: 1, city: "London".into(), email: EncryptedStr::new("ada@example.com") };
//! customers.insert(&ada).await?;                             // the row gets `ENC:...`
//!
//! let sealed = customers.get(1).await?;                      // no key was asked for
//! let opened = customers.get(1).decrypt_pii().await?;
//! assert_eq!(opened.email.expose()?, "ada@example.com");
//!
//! let in_london = sqlx::query_as::<_, Customer>("SELECT * FROM customers WHERE city = $1")
//!     .bind("London")
//!     .decrypt_pii(&cryptor)
//!     .fetch_all(&pool)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Doctor`] examines tables, [`Ddl`] gives the statements that define and alter them, and [`ColumnLimits`] keeps
//! a database from cutting values.
//!
//! # What holds for all of it
//! - A statement is sent only after every value in it was sealed. A mode, a scope, a missing key or a
//!   value in the wrong place is an error before anything is written.
//! - A connection of a pool is not held while keys are asked for, except by streams, which hold theirs
//!   for as long as they run. A pool of one connection is enough, also for a key store that uses it.
//! - Values that were loaded remember their place: saved unchanged they are written back byte by byte
//!   without a key, and saved in another row, or under another tenant, they are refused.
//! - Binding a value by hand, `query.bind(&model.email)`, works for sealed values; a value that is not
//!   sealed refuses to be encoded. With [`sqlx::QueryBuilder::push_bind`], which cannot return an error,
//!   that refusal is a panic.
//! - Where texts that differ count as equal, as under the usual collations of MySQL, what is written still
//!   goes to the very id and the very tenant.
//! - Errors name the model and the field. [`sqlx_error`] gives the error of sqlx that lies below.
//!
//! # Features
//! `sqlite` compiles SQLite in, `postgres` adds the driver for Postgres, `mysql` the one for MySQL and
//! MariaDB, `uuid` lets UUIDs be columns and ids, `any` opens what
//! queries of `sqlx::Any` give. This crate names no runtime and no TLS library: choose them on your own dependency on sqlx.
#![forbid(unsafe_code)]

mod adopt;
mod binder;
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(dead_code, unused_imports, reason = "each database uses a part of it")
)]
mod catalogue;
mod column_field;
mod connection;
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(dead_code, unused_imports, reason = "each database uses a part of it")
)]
mod ddl;
mod decrypt;
mod dialect;
mod doctor;
mod error;
mod index_columns;
mod index_jobs;
mod joined;
mod json;
mod key_store;
mod limits;
mod masked;
mod model;
mod model_types;
#[cfg(feature = "mysql")]
mod mysql_error;
mod nested;
mod operand;
mod pieces;
mod quiet;
mod row_columns;
mod statement;
mod table;

pub use adopt::{Adoption, AdoptionCensus, AdoptionReport, ShadowColumn};
pub use catalogue::Catalogue;
pub use ddl::{Ddl, DdlKind, DdlStatement, DdlStatements, DdlTransaction};
pub use decrypt::DecryptPii;
pub use dialect::Dialect;
pub use doctor::{Doctor, DoctorReport, Finding, FindingKind, Severity, doctor};
pub use error::sqlx_error;
pub use joined::{FromPrefixedRow, Joined};
pub use key_store::SqlKeyStore;
pub use limits::ColumnLimits;
pub use model::SqlModel;
pub use pieces::{Columns, SealedRows};
pub use table::{Interrupted, SqlTable, Stored, Swap};

/// What stands between a call and its `.await`: types that are rarely named.
pub mod builder {
    #[cfg(feature = "postgres")]
    pub use crate::table::{NextId, NextIds};
    pub use crate::{
        decrypt::{Decrypting, EachRow, Masking, RowSource, SqlxQuery},
        doctor::{ColumnValues, ExaminedModels, ExaminedTable, IndexCodes, KeyUse},
        index_jobs::{ClearIndexes, FillIndexes, FindDuplicates},
        table::{
            BulkRow, BulkSource, CommitEachChunk, Delete, Exists, Find, FindOne, FindOptional, Get,
            GetOptional, GetStored, Insert, InsertReturningId, Iterated, List, MaskedList, Matching,
            MatchingOne, MatchingOptional, MoveRow, Search, Streamed, SwapMany, SwapOne, Update, Upsert,
            WriteMany,
        },
    };
}

/// What generated code uses; no part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use sqlx;

    pub use crate::{
        binder::Binder,
        joined::{FromPrefixedRow, prefixed},
        json::from_json,
        model::{ColumnKind, SqlColumn, SqlModel, read_id_part},
        model_types::ColumnTypes,
        nested::{
            BindNested, FromNested, NestedColumns, all_columns, names_differ, prefixed_columns,
            prefixed_length, prefixed_names,
        },
        operand::OperandBinder,
        row_columns::RowColumns,
    };
}
