//! Bulk insert of sealed rows beside plain sqlx: the same statement, text of the same length.
//!
//! Postgres runs if `PII_TEST_POSTGRES_URL` is set (`cargo xtask services up` prints it).
#![allow(missing_docs, reason = "criterion's macros make an undocumented function")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pii::{Cryptor, EncryptedStr, FileKeyStore, PiiModel, SqlTable, TestKeyring};
use sqlx::{PgPool, Postgres, QueryBuilder, Sqlite, SqlitePool, sqlite::SqliteConnectOptions};
use tokio::runtime::Runtime;

#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(app = "benchmark", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

/// The same row without sealing: texts of the length that sealed ones have.
struct Plain {
    id: i64,
    tenant: String,
    email: String,
    phone: String,
    ssn: Option<String>,
}

const ROWS: i64 = 10_000;
const TABLE: &str = "create table customers (id bigint primary key, tenant text not null, email text not null, \
                     phone text not null, ssn text)";
const INSERT: &str = r#"INSERT INTO "customers" ("id", "tenant", "email", "phone", "ssn") "#;

fn customers() -> Vec<Customer> {
    (0..ROWS)
        .map(|id| Customer {
            id,
            tenant: "acme".into(),
            email: EncryptedStr::new(format!("customer.{id:015}@example.com")),
            phone: EncryptedStr::new(format!("+1-555-{id:08}")),
            ssn: Some(EncryptedStr::new(format!("900-{id:07}"))),
        })
        .collect()
}

async fn plain(cryptor: &Cryptor, customers: &[Customer]) -> Vec<Plain> {
    let texts = cryptor.seal_texts(customers).await.unwrap();
    customers
        .iter()
        .zip(texts)
        .map(|(customer, mut texts)| {
            let mut next = || String::from(texts.next().unwrap());
            Plain {
                id: customer.id,
                tenant: customer.tenant.clone(),
                email: next(),
                phone: next(),
                ssn: Some(next()),
            }
        })
        .collect()
}

fn cryptor() -> (tempfile::TempDir, Cryptor) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path().join("keys")).unwrap();
    (folder, Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap())
}

macro_rules! bulk_insert {
    ($c:expr, $name:literal, $db:ty, $pool:expr, $runtime:expr, $cryptor:expr, $empty:literal) => {{
        let (pool, runtime, cryptor): (_, &Runtime, &Cryptor) = ($pool, $runtime, $cryptor);
        let customers = customers();
        let rows = runtime.block_on(plain(cryptor, &customers));
        let empty = || runtime.block_on(async { sqlx::query($empty).execute(pool).await.unwrap() });
        let mut group = $c.benchmark_group(concat!("bulk insert of 10000 rows x 3 fields, ", $name));
        group.sample_size(10).throughput(Throughput::Elements(ROWS.unsigned_abs()));
        group.bench_function("plain sqlx", |b| {
            b.iter_batched(
                empty,
                |_| {
                    runtime.block_on(async {
                        let mut transaction = pool.begin().await.unwrap();
                        for chunk in rows.chunks(500) {
                            let mut query = QueryBuilder::<$db>::new(INSERT);
                            query.push_values(chunk, |mut values, row| {
                                values.push_bind(row.id);
                                values.push_bind(&row.tenant);
                                values.push_bind(&row.email);
                                values.push_bind(&row.phone);
                                values.push_bind(&row.ssn);
                            });
                            query.build().execute(&mut *transaction).await.unwrap();
                        }
                        transaction.commit().await.unwrap();
                    });
                },
                BatchSize::PerIteration,
            );
        });
        let table = SqlTable::<Customer, _>::new(pool, cryptor);
        group.bench_function("pii", |b| {
            b.iter_batched(
                empty,
                |_| runtime.block_on(async { table.insert_many(&customers).await.unwrap() }),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }};
}

fn sqlite(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (folder, cryptor) = cryptor();
    let options =
        SqliteConnectOptions::new().filename(folder.path().join("bench.sqlite")).create_if_missing(true);
    let pool = runtime.block_on(async {
        let pool = SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(TABLE).execute(&pool).await.unwrap();
        pool
    });
    bulk_insert!(c, "SQLite", Sqlite, &pool, &runtime, &cryptor, "delete from customers");
}

fn postgres(c: &mut Criterion) {
    let Ok(url) = std::env::var("PII_TEST_POSTGRES_URL") else {
        println!(
            "bulk insert on Postgres: not run, PII_TEST_POSTGRES_URL is not set (`cargo xtask services up`)"
        );
        return;
    };
    let runtime = Runtime::new().unwrap();
    let (_folder, cryptor) = cryptor();
    let pool = runtime.block_on(async {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(1);
        let pool: PgPool = options.connect(&url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(TABLE.replace("create table", "create temporary table")))
            .execute(&pool)
            .await
            .unwrap();
        pool
    });
    bulk_insert!(c, "Postgres", Postgres, &pool, &runtime, &cryptor, "truncate customers");
}

criterion_group!(benches, sqlite, postgres);
criterion_main!(benches);
