//! The table, as it was and as the new program sees it.

use pii::{Encrypted, EncryptedStr, Json, PiiModel, ShadowColumn, SqlTable};
use sqlx::{AssertSqlSafe, PgPool, Postgres};

use crate::Result;

pub(crate) const ROWS: u64 = 100_000;

/// No column here can hold sealed text, and two are no text at all.
const TABLES: &str = "\
create table clients (
    id       bigint primary key,
    tenant   text not null,
    name     text not null,
    email    varchar(40) not null,
    birthday date,
    balance  numeric(12,2) not null
);
create sequence new_ids start 1000001;
-- what was written last, in the transaction that wrote it: for the proof alone
create table ledger (
    id       bigint primary key,
    email    text not null,
    birthday date,
    balance  numeric(12,2) not null
);
create table steps (step integer primary key)";

/// The new program's view of it: each sealed field has a column of its own beside the plain one.
#[derive(Clone, PiiModel)]
#[pii(name = "client", table = "clients", context(app = "adopt", tenant = self.tenant), from_row)]
pub(crate) struct Client {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    #[pii(level = 1, mask = "name")]
    pub(crate) name: String,
    #[pii(mask = "email", column = "email_sealed")]
    pub(crate) email: EncryptedStr,
    #[pii(column = "birthday_sealed")]
    pub(crate) birthday: Option<EncryptedStr>,
    #[pii(column = "balance_sealed")]
    pub(crate) balance: Encrypted<Json<f64>>,
}

pub(crate) type Clients = SqlTable<Client, Postgres>;

pub(crate) fn shadows() -> Result<[ShadowColumn<Postgres>; 3]> {
    let of = |field| ShadowColumn::of::<Client>(field);
    Ok([of("email")?, of("birthday")?, of("balance")?])
}

/// Makes the tables and their rows.
pub(crate) async fn make(pool: &PgPool, step: i32) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
    let rows = format!(
        "insert into clients select i, 'tenant-' || i % 4, 'Client ' || i, 'client' || i || '@old.example', \
         case when i % 10 > 0 then date '1950-01-01' + (i % 20000)::integer end, i % 100000 / 100.0 \
         from generate_series(1, {ROWS}) i"
    );
    sqlx::query(AssertSqlSafe(rows)).execute(&mut *tx).await?;
    sqlx::query("insert into ledger select id, email, birthday, balance from clients")
        .execute(&mut *tx)
        .await?;
    sqlx::query("insert into steps values ($1)").bind(step).execute(&mut *tx).await?;
    tx.commit().await?;
    sqlx::query("analyze clients").execute(pool).await?;
    println!("   a row of it: {}", row(pool, 7).await?);
    Ok(())
}

/// A row as the database holds it.
pub(crate) async fn row(pool: &PgPool, id: i64) -> Result<String> {
    let row =
        sqlx::query_scalar("select coalesce((select clients::text from clients where id = $1), 'deleted')");
    Ok(row.bind(id).persistent(false).fetch_one(pool).await?)
}
