//! Jobs for the columns of blind indexes: filling them in, looking for duplicates, clearing them.

mod clear;
mod duplicates;
mod fill;
mod rows;
mod write;

use pii_core::{IntoContext, Result, index::IndexSpec};
use sqlx::FromRow;

pub use clear::ClearIndexes;
pub use duplicates::FindDuplicates;
pub use fill::FillIndexes;

use crate::{dialect::Dialect, model::SqlModel, table::SqlTable};

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// Fills in the codes of rows from before a blind index, or from before a new version of one: a job that
    /// goes through the table in the order of the ids. See [`FillIndexes`].
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, #[pii(blind_index(normalize = "email"))] email: EncryptedStr }
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// use std::ops::ControlFlow;
    ///
    /// let report = customers
    ///     .fill_indexes()
    ///     .on_chunk(|report| {
    ///         println!("{report}");
    ///         ControlFlow::Continue(())
    ///     })
    ///     .await?;
    /// assert!(report.is_done(), "{:?}", report.failures);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fill_indexes(&self) -> FillIndexes<'_, M, DB>
    where
        M: for<'r> FromRow<'r, DB::Row> + Send + Sync,
    {
        FillIndexes::new(self)
    }

    /// Looks for rows that have the same value of a blind index, after normalising, before it is made `unique`
    /// in the database. Writes nothing, and needs no index column: the codes are computed anew. See
    /// [`FindDuplicates`].
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, #[pii(blind_index(normalize = "email", unique))] email: EncryptedStr }
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// let duplicates = customers.index_duplicates("email").await?;
    /// if !duplicates.is_unique() {
    ///     println!("{duplicates}"); // numbers and ids
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn index_duplicates(&self, index: &str) -> FindDuplicates<'_, M, DB>
    where
        M: for<'r> FromRow<'r, DB::Row> + Send + Sync,
    {
        FindDuplicates::new(self, index)
    }

    /// Sets the columns of all blind indexes to NULL in the rows whose encryption context has these pairs, and
    /// says in how many rows there was something: a part of erasing a person or a tenant, beside
    /// [`KeyAdmin::shred`](pii_core::KeyAdmin::shred). See [`ClearIndexes`].
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "member", table = "members", context(tenant = self.tenant), subject = self.person, from_row)]
    /// # struct Member { #[pii(id)] id: i64, tenant: String, person: String, #[pii(blind_index)] email: EncryptedStr }
    /// # async fn run(members: SqlTable<Member, sqlx::Sqlite>, receipt: pii::ShredReceipt, person: &str) -> pii::Result<()> {
    /// let rows = members.clear_indexes(pii::ctx!(subject = person)).await?;
    /// // again, after the receipt was replayed
    /// members.clear_indexes(receipt.context()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn clear_indexes(&self, context: impl IntoContext) -> ClearIndexes<'_, M, DB> {
        ClearIndexes::new(self, context.into_context())
    }
}

/// The columns of all versions, in the order in which the cryptor gives entries.
fn columns<M: SqlModel<DB>, DB: Dialect>() -> Vec<&'static str> {
    IndexSpec::all_versions(M::MODEL).map(|version| version.column).collect()
}

/// The id of a row, as errors show it.
fn shown_id<M: SqlModel<DB>, DB: Dialect>(model: &M) -> String {
    let mut writer = pii_core::RowWriter::default();
    model.write_own_id(&mut writer);
    writer.to_string()
}

fn check_indexed<M: SqlModel<DB>, DB: Dialect>() -> Result<()> {
    use pii_core::{Error, ErrorKind};
    match M::MODEL.indexes() {
        [] => Err(Error::new(ErrorKind::Configuration)
            .model(M::MODEL.name())
            .message("the model has no blind index")
            .help("write `#[pii(blind_index)]` on a sealed field")),
        _ => Ok(()),
    }
}
