//! The program that knows nothing of sealing: plain SQL on the plain columns.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use sqlx::PgPool;

use crate::{
    Result,
    programs::{Counts, Deed, Numbers, REST},
};

/// Whether a row is as the ledger says, or in neither. One statement sees one moment.
const IS_RIGHT: &str = "\
select c.id is not distinct from l.id and c.email is not distinct from l.email
   and c.birthday is not distinct from l.birthday and c.balance is not distinct from l.balance
from (select $1::bigint as id) k left join clients c on c.id = k.id left join ledger l on l.id = k.id";

pub(crate) async fn run(
    pool: PgPool,
    mut numbers: Numbers,
    is_over: Arc<AtomicBool>,
    counts: Arc<Counts>,
) -> Result<()> {
    while !is_over.load(Relaxed) {
        let (deed, id) = (numbers.deed(), numbers.id());
        let email = format!("old{}-{id}@old.example", numbers.below(1_000_000));
        let days = i32::try_from(numbers.below(20_000))?;
        let cents = i32::try_from(numbers.below(1_000_000))?;
        match deed {
            Deed::Read => {
                let is_right: bool = sqlx::query_scalar(IS_RIGHT).bind(id).fetch_one(&pool).await?;
                counts.reads.fetch_add(1, Relaxed);
                counts.wrong.fetch_add(u64::from(!is_right), Relaxed);
            }
            Deed::Change => {
                let change =
                    "set email = $2, birthday = date '1950-01-01' + $3, balance = $4 / 100.0 where id = $1";
                let mut tx = pool.begin().await?;
                let mut changed = 0;
                for table in ["update clients ", "update ledger "] {
                    let update = sqlx::AssertSqlSafe(format!("{table}{change}"));
                    let update = sqlx::query(update).bind(id).bind(&email).bind(days).bind(cents);
                    changed = update.execute(&mut *tx).await?.rows_affected();
                }
                tx.commit().await?;
                counts.changes.fetch_add(changed, Relaxed);
            }
            Deed::Insert => {
                let mut tx = pool.begin().await?;
                let id: i64 = sqlx::query_scalar("select nextval('new_ids')").fetch_one(&mut *tx).await?;
                sqlx::query("insert into clients (id, tenant, name, email, balance) values ($1, 'tenant-0', 'New', $2, 1.25)")
                    .bind(id)
                    .bind(&email)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("insert into ledger (id, email, balance) values ($1, $2, 1.25)")
                    .bind(id)
                    .bind(&email)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                counts.inserts.fetch_add(1, Relaxed);
            }
            Deed::Delete => {
                let mut tx = pool.begin().await?;
                sqlx::query("delete from clients where id = $1").bind(id).execute(&mut *tx).await?;
                let gone = sqlx::query("delete from ledger where id = $1").bind(id).execute(&mut *tx).await?;
                tx.commit().await?;
                counts.deletes.fetch_add(gone.rows_affected(), Relaxed);
            }
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}
