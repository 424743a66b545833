//! What a table can be searched by.

use pii_core::{Filter, index::IndexSearch};
use sqlx::FromRow;

use super::{Find, Matching, SqlTable};
use crate::{dialect::Dialect, model::SqlModel};

/// What [`SqlTable::find`] takes: a search by a blind index, or a filter on plain fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no search for rows of `{M}`",
    label = "needs a search such as `Customer::by_email(...)`, or a filter such as `Customer::fields().city.eq(...)`"
)]
pub trait Search<'a, M, DB: sqlx::Database>: sealed::Sealed {
    /// The SELECT, which gives rows when it is awaited.
    type Find;

    #[doc(hidden)]
    fn find(self, table: &'a SqlTable<M, DB>) -> Self::Find;
}

impl<'a, M, DB> Search<'a, M, DB> for IndexSearch<M>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + 'a,
    DB: Dialect,
{
    type Find = Find<'a, M, DB>;

    fn find(self, table: &'a SqlTable<M, DB>) -> Self::Find {
        Find::new(table, self)
    }
}

impl<'a, M, DB> Search<'a, M, DB> for Filter<M>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + 'a,
    DB: Dialect,
{
    type Find = Matching<'a, M, DB>;

    fn find(self, table: &'a SqlTable<M, DB>) -> Self::Find {
        Matching::new(table, self)
    }
}

mod sealed {
    use pii_core::{Filter, index::IndexSearch};

    pub trait Sealed {}

    impl<M> Sealed for IndexSearch<M> {}
    impl<M> Sealed for Filter<M> {}
}
