//! Moving a live table from plaintext to sealed values, and back.

mod chunk;
mod database;
mod found;
mod job;
#[cfg(feature = "mysql")]
mod mysql;
mod page;
#[cfg(feature = "postgres")]
mod postgres;
mod report;
mod shadow;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use chunk::is_collision;
pub(crate) use database::{AdoptionDatabase, REFUSAL, UNFIT};
pub(crate) use found::Found;
pub use job::Adoption;
pub(crate) use page::Cursor;
pub use report::{AdoptionCensus, AdoptionReport};
pub use shadow::ShadowColumn;
