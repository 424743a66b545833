//! Blind indexes: looking rows up by one in a large table, beside the same lookup by plain sqlx, and what computing one
//! takes.
//!
//! `PII_BENCH_ROWS` is the number of rows, 1,000,000 by default. Postgres runs if `PII_TEST_POSTGRES_URL` is set
//! (`cargo xtask services up` prints it). A table `pii_bench_indexed` is made in it, and dropped.
//!
//! Rows that are looked up were written by the library. The others are made by the database itself: a text of the
//! length that sealed ones have, and as many random digits as an index has. They are never read, and fill the table and
//! the index alike.

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use pii::{Cryptor, EncryptedStr, FileKeyStore, PiiModel, SqlTable, TestKeyring};
use sha2::Sha256;
use sqlx::{AssertSqlSafe, Pool};
use tokio::runtime::Runtime;

#[derive(PiiModel)]
#[pii(name = "customer", table = "pii_bench_indexed", context(app = "benchmark", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(blind_index(normalize = "email"))]
    email: EncryptedStr,
}

/// The same without an index.
#[derive(PiiModel)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct Unindexed {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

/// So many rows hold what the library wrote.
const REAL: i64 = 10_000;
/// So many of them are looked up in a round.
const LOOKUPS: usize = 1_000;
/// So many values are computed together, as in bulk jobs.
const BATCH: usize = 500;
/// Both sides take turns with so many.
const TURN: usize = 50;
const ROUNDS: usize = 7;

const DROP: &str = "drop table if exists pii_bench_indexed";
const CREATE: &str = "create table pii_bench_indexed (id bigint primary key, tenant text not null, email text not null, \
                      email_bidx text)";
const INDEX: &str = "create index pii_bench_indexed_email on pii_bench_indexed (email_bidx)";
const LOOK_UP: &str = "SELECT id, tenant, email FROM pii_bench_indexed WHERE email_bidx = $1";

const MOST_LOOKUP: f64 = 1.5;
const MOST_COMPUTING: Duration = Duration::from_nanos(500);

fn main() {
    let rows = env::var("PII_BENCH_ROWS").map_or(1_000_000, |rows| rows.parse().expect("a number of rows"));
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path().join("keys")).unwrap();
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap();
    computing(&cryptor);
    println!("\nlookups in {rows} rows, {LOOKUPS} at random, each");
    println!("{:<10} {:<28} {:>10} {:>10} {:>6}  goal", "database", "job", "plain", "pii", "ratio");
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("index.sqlite").display());
    sqlite::compare("SQLite", &sqlite, &cryptor, rows);
    match env::var("PII_TEST_POSTGRES_URL") {
        Ok(url) => postgres::compare("Postgres", &url, &cryptor, rows),
        Err(_) => {
            println!("Postgres   not run: PII_TEST_POSTGRES_URL is not set (`cargo xtask services up`)")
        }
    }
}

/// What one index of one value takes.
fn computing(cryptor: &Cryptor) {
    let runtime = Runtime::new().unwrap();
    let customers: Vec<Customer> = (0..REAL).map(customer).collect();
    let unindexed: Vec<Unindexed> = (0..REAL)
        .map(|id| Unindexed { id, tenant: "acme".into(), email: EncryptedStr::new(email(id)) })
        .collect();
    let emails: Vec<String> = (0..REAL).map(email).collect();
    let keyed = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    let (mut hmac, mut entries, mut sealed, mut plain) = ([Duration::MAX; 4]).into();
    for _ in 0..ROUNDS {
        hmac = hmac.min(timed(|| {
            for email in &emails {
                let mut hmac = keyed.clone();
                hmac.update(email.as_bytes());
                black_box(hmac.finalize());
            }
        }));
        entries = entries.min(timed(|| {
            for batch in customers.chunks(BATCH) {
                black_box(runtime.block_on(cryptor.index_entries(batch)).unwrap());
            }
        }));
        sealed = sealed.min(timed(|| {
            for batch in customers.chunks(BATCH) {
                black_box(runtime.block_on(cryptor.seal_texts(batch)).unwrap());
            }
        }));
        plain = plain.min(timed(|| {
            for batch in unindexed.chunks(BATCH) {
                black_box(runtime.block_on(cryptor.seal_texts(batch)).unwrap());
            }
        }));
    }
    let each = |time: Duration| time / u32::try_from(REAL).unwrap();
    println!("computing an index, per value, in batches of {BATCH}");
    println!("{:<38} {:>7} ns", "HMAC-SHA-256 alone", each(hmac).as_nanos());
    for (what, time) in [
        ("Cryptor::index_entries", each(entries)),
        ("what it adds to Cryptor::seal_texts", each(sealed.saturating_sub(plain))),
    ] {
        println!("{what:<38} {:>7} ns  {}", time.as_nanos(), verdict(time <= MOST_COMPUTING, "500 ns"));
    }
}

macro_rules! database {
    ($module:ident, $db:ty, $fill:expr) => {
        mod $module {
            use super::*;

            pub(super) fn compare(name: &str, url: &str, cryptor: &Cryptor, rows: i64) {
                Runtime::new().unwrap().block_on(async {
                    let pool =
                        sqlx::pool::PoolOptions::<$db>::new().max_connections(1).connect(url).await.unwrap();
                    let began = Instant::now();
                    let real = fill(&pool, cryptor, rows).await;
                    println!("{name:<10} filled in {:.1} s", began.elapsed().as_secs_f64());
                    let table = SqlTable::<Customer, $db>::new(&pool, cryptor);
                    let (mut plain, mut find, mut open) = (Vec::new(), Vec::new(), Vec::new());
                    for round in 0..ROUNDS {
                        let mut times = [Duration::ZERO; 3];
                        let chosen: Vec<_> = (0..LOOKUPS)
                            .map(|lookup| &real[random(round * LOOKUPS + lookup, real.len())])
                            .collect();
                        for turn in chosen.chunks(TURN) {
                            let [of_plain, of_find, of_open] = &mut times;
                            *of_plain += look_up(&pool, turn).await;
                            *of_find += by_index(&table, turn, false).await;
                            *of_open += by_index(&table, turn, true).await;
                        }
                        let [of_plain, of_find, of_open] = times;
                        plain.push(of_plain);
                        find.push(of_find);
                        open.push(of_open);
                    }
                    report(name, "find(..).one()", &mut plain, &mut find);
                    report(name, "the same with decrypt_pii()", &mut plain, &mut open);
                    run(&pool, DROP).await;
                });
            }

            /// Fills the table, and gives the rows that can be looked up: their ids and the texts of their indexes.
            async fn fill(pool: &Pool<$db>, cryptor: &Cryptor, rows: i64) -> Vec<(i64, String)> {
                run(pool, DROP).await;
                run(pool, CREATE).await;
                let step = (rows / REAL).max(1);
                let customers: Vec<Customer> =
                    (0..rows / step).map(|number| customer(number * step)).collect();
                SqlTable::<Customer, $db>::new(pool, cryptor).insert_many(&customers).await.unwrap();
                let length: i64 =
                    sqlx::query_scalar("select cast(max(length(email)) as bigint) from pii_bench_indexed")
                        .fetch_one(pool)
                        .await
                        .unwrap();
                let fill: fn(i64, i64, i64) -> String = $fill;
                sqlx::raw_sql(AssertSqlSafe(fill(rows, step, length))).execute(pool).await.unwrap();
                run(pool, INDEX).await;
                run(pool, "analyze").await;
                let entries = cryptor.index_entries(&customers).await.unwrap();
                let text = |entries: &Vec<pii::IndexEntry>| match &entries[0].text {
                    pii::IndexText::Text(text) => text.to_string(),
                    other => panic!("{other:?}"),
                };
                customers.iter().map(|customer| customer.id).zip(entries.iter().map(text)).collect()
            }

            async fn run(pool: &Pool<$db>, statement: &'static str) {
                sqlx::raw_sql(statement).execute(pool).await.unwrap();
            }

            async fn look_up(pool: &Pool<$db>, rows: &[&(i64, String)]) -> Duration {
                let began = Instant::now();
                for (id, code) in rows {
                    let row: (i64, String, String) =
                        sqlx::query_as(LOOK_UP).bind(code).fetch_one(pool).await.unwrap();
                    assert_eq!(row.0, *id);
                }
                began.elapsed()
            }

            async fn by_index(
                table: &SqlTable<Customer, $db>,
                rows: &[&(i64, String)],
                opens: bool,
            ) -> Duration {
                let emails: Vec<String> = rows.iter().map(|(id, _)| email(*id)).collect();
                let began = Instant::now();
                for ((id, _), email) in rows.iter().zip(&emails) {
                    let find = table.find(Customer::by_email("acme", email));
                    let row = if opens { find.decrypt_pii().one().await } else { find.one().await };
                    let row = row.unwrap();
                    assert_eq!(row.id, *id);
                    assert!(!opens || row.email.expose().unwrap() == email);
                }
                began.elapsed()
            }
        }
    };
}

database!(sqlite, sqlx::Sqlite, |rows, step, length| format!(
    "with recursive numbers (id) as (select 1 union all select id + 1 from numbers where id < {rows} - 1) \
     insert into pii_bench_indexed select id, 'acme', 'ENC:' || substr(hex(zeroblob({length})), 1, {length} - 4), \
     lower(hex(randomblob(32))) from numbers where id % {step} <> 0"
));
database!(postgres, sqlx::Postgres, |rows, step, length| format!(
    "insert into pii_bench_indexed select id, 'acme', 'ENC:' || repeat('0', {length} - 4), \
     md5(id::text) || md5('-' || id::text) from generate_series(1, {rows} - 1) id where id % {step} <> 0"
));

fn customer(id: i64) -> Customer {
    Customer { id, tenant: "acme".into(), email: EncryptedStr::new(email(id)) }
}

fn email(id: i64) -> String {
    format!("customer.{id:015}@example.com")
}

/// The same numbers in each run.
fn random(seed: usize, below: usize) -> usize {
    let mixed = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)) % below as u64) as usize
}

fn timed<T>(job: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(job());
    began.elapsed()
}

/// By the medians: a lookup is short, and the shortest is luck.
fn report(name: &str, job: &str, plain: &mut [Duration], pii: &mut [Duration]) {
    let [plain, pii] = [plain, pii].map(|times| {
        times.sort_unstable();
        times[times.len() / 2] / u32::try_from(LOOKUPS).unwrap()
    });
    let ratio = pii.as_secs_f64() / plain.as_secs_f64();
    println!(
        "{name:<10} {job:<28} {:>7.1} µs {:>7.1} µs {ratio:>6.2}  {}",
        plain.as_secs_f64() * 1e6,
        pii.as_secs_f64() * 1e6,
        verdict(ratio <= MOST_LOOKUP, &format!("{MOST_LOOKUP}")),
    );
}

fn verdict(is_met: bool, goal: &str) -> String {
    format!("{} (at most {goal})", if is_met { "met" } else { "MISSED" })
}
