//! That nothing was lost, and that no plaintext is left.

use std::sync::atomic::Ordering::Relaxed;

use pii::{Adoption, Cryptor, DecryptPii as _};
use sqlx::PgPool;

use crate::{
    Result,
    client::{self, Client, Clients},
    newer::{Values, values},
    programs::Counts,
};

/// So many rows are compared at a time.
const ROWS: i64 = 5_000;

/// Rows that hold one of their own values somewhere.
const WITH_PLAINTEXT: &str = "\
select count(*) from clients c join ledger l using (id)
where strpos(c::text, '@') > 0 or strpos(c::text, l.email) > 0 or strpos(c::text, l.birthday::text) > 0
   or strpos(c::text, l.balance::text) > 0";

pub(crate) async fn show(pool: &PgPool, cryptor: &Cryptor, programs: [&Counts; 2]) -> Result<bool> {
    println!("   a row of it: {}", client::row(pool, 7).await?);
    let mut is_proved = true;
    let mut check = |what: String, is_so: bool| {
        println!("   {} {what}", if is_so { "yes" } else { "NO " });
        is_proved &= is_so;
    };

    let census = Adoption::of(&Clients::new(pool, cryptor)).verify().await?;
    let noted: i64 = sqlx::query_scalar("select count(*) from ledger").fetch_one(pool).await?;
    check(format!("{} rows, as many as in the ledger", census.rows), u64::try_from(noted)? == census.rows);

    let (same, different) = compared(pool, cryptor).await?;
    check(format!("{same} rows opened and equal to the ledger, {different} different"), different == 0);
    check(format!("every row was opened: {same}"), same == census.rows && same > 0);
    check(format!("all values are sealed: {census}"), census.is_all_sealed());

    let found: i64 = sqlx::query_scalar(WITH_PLAINTEXT).fetch_one(pool).await?;
    check(format!("plaintext searched in every row and found in {found}"), found == 0);
    let columns: String = sqlx::query_scalar(
        "select string_agg(column_name, ', ' order by ordinal_position) from information_schema.columns \
         where table_schema = current_schema and table_name = 'clients'",
    )
    .fetch_one(pool)
    .await?;
    let expected = "id, tenant, name, email_sealed, birthday_sealed, balance_sealed";
    check(format!("the columns are {columns}"), columns == expected);

    let read: u64 = programs.iter().map(|program| program.reads.load(Relaxed)).sum();
    let wrong: u64 = programs.iter().map(|program| program.wrong.load(Relaxed)).sum();
    check(format!("in this run both programs looked {read} times, and saw {wrong} wrong rows"), wrong == 0);
    Ok(is_proved)
}

/// How many rows are as the ledger says, and how many are not.
async fn compared(pool: &PgPool, cryptor: &Cryptor) -> Result<(u64, u64)> {
    let (mut same, mut different, mut last) = (0, 0, i64::MIN);
    loop {
        let clients: Vec<Client> = sqlx::query_as("select * from clients where id > $1 order by id limit $2")
            .bind(last)
            .bind(ROWS)
            .persistent(false)
            .decrypt_pii(cryptor)
            .fetch_all(pool)
            .await?;
        let noted: Vec<(i64, String, Option<String>, f64)> = sqlx::query_as(
            "select id, email, birthday::text, balance::float8 from ledger where id > $1 order by id limit $2",
        )
        .bind(last)
        .bind(ROWS)
        .fetch_all(pool)
        .await?;
        if clients.is_empty() && noted.is_empty() {
            return Ok((same, different));
        }
        let mut pairs = noted.iter();
        for client in &clients {
            let is_same = match pairs.next() {
                Some((id, email, birthday, balance)) => {
                    let noted: Values = (email.clone(), birthday.clone(), *balance);
                    *id == client.id && noted == values(client)?
                }
                None => false,
            };
            *(if is_same { &mut same } else { &mut different }) += 1;
        }
        different += u64::try_from(pairs.count())?;
        last = clients.last().map(|client| client.id).max(noted.last().map(|row| row.0)).unwrap_or(last);
    }
}
