//! Bulk jobs beside plain sqlx, in one run: the same statements, texts of the same length, both sides in turns,
//! the shortest of some rounds. Each comparison has a process of its own, so that the heap of one job is not what the
//! next one begins with. Then jobs from and to streams, for their memory (Linux tells it).
//!
//! Postgres and MariaDB run if `PII_TEST_POSTGRES_URL` and `PII_TEST_MYSQL_URL` are set (`cargo xtask services up`
//! prints them). A table `pii_bench_customers` is made in them, and dropped.

use std::{
    env, fs,
    hint::black_box,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use pii::{Cryptor, EncryptedStr, FileKeyStore, LocalKeyring, PiiModel, SqlTable};
use pii_benches::{Bare, BareRow};
use sqlx::{Pool, QueryBuilder};
use tokio::runtime::Runtime;

#[derive(PiiModel)]
#[pii(name = "customer", table = "pii_bench_customers", context(app = "benchmark", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

type Plain = (i64, String, String, String, Option<String>);

const ROWS: i64 = 100_000;
/// What is streamed through SQLite in a process of its own; the others have [`ROWS`].
const MANY_ROWS: i64 = 1_000_000;
const ROUNDS: u32 = 5;
const CHUNK: usize = 500;

const CREATE: &str = "create table pii_bench_customers (id bigint primary key, tenant text not null, \
                      email text not null, phone text not null, ssn text)";
const DROP: &str = "drop table if exists pii_bench_customers";
const INSERT: &str = "INSERT INTO pii_bench_customers (id, tenant, email, phone, ssn) ";
const SELECT: &str = "SELECT id, tenant, email, phone, ssn FROM pii_bench_customers ORDER BY id";

/// Stands for the database's name in what a process of a job says.
const DATABASE: &str = "(database)";

const MOST_INSERT: f64 = 1.25;
const MOST_OPENING: f64 = 1.3;
const MOST_MEMORY: f64 = 64.0;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [job, url, keys, number] = arguments.as_slice() {
        return child(job, url, Path::new(keys), number.parse().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("bulk.sqlite").display());
    let bare_opening = bare_opening();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{ROWS} rows x 3 sealed fields, {cores} cores; bare opening of them, on one: {}",
        show(bare_opening)
    );
    println!(
        "{:<10} {:<28} {:>9} {:>9} {:>7} {:>7}  goal",
        "database", "job", "plain", "pii", "ratio", "key calls"
    );
    let mut urls = vec![("SQLite", sqlite)];
    for (name, variable) in [("Postgres", "PII_TEST_POSTGRES_URL"), ("MariaDB", "PII_TEST_MYSQL_URL")] {
        match env::var(variable) {
            Ok(url) => urls.push((name, url)),
            Err(_) => println!("{name:<10} not run: {variable} is not set (`cargo xtask services up`)"),
        }
    }
    let keys = folder.path().join("keys");
    for (name, url) in &urls {
        for job in ["compare-insert", "compare-read", "upsert-and-update"] {
            let told = process_of(job, url, &keys, bare_opening.as_micros());
            print!("{}", told.replace(DATABASE, &format!("{name:<width$}", width = DATABASE.len())));
        }
    }
    println!("\nfrom and to streams, each in a process of its own");
    println!(
        "{:<10} {:<28} {:>9} {:>9} {:>12} {:>12} {:>7}  goal",
        "database", "job", "rows", "time", "memory before", "at most more", "key calls"
    );
    for (name, url) in &urls {
        let rows = if *name == "SQLite" { MANY_ROWS } else { ROWS };
        for job in ["insert", "read", "update"] {
            print!("{name:<10} {}", process_of(job, url, &keys, rows));
        }
        process_of("clean", url, &keys, rows);
    }
}

/// What a job in a process of its own has to say.
fn process_of(job: &str, url: &str, keys: &Path, number: impl ToString) -> String {
    let arguments = [job, url, keys.to_str().unwrap(), &number.to_string()];
    let process = Command::new(env::current_exe().unwrap()).args(arguments).output().unwrap();
    assert!(process.status.success(), "{}", String::from_utf8_lossy(&process.stderr));
    String::from_utf8(process.stdout).unwrap()
}

macro_rules! database {
    ($module:ident, $db:ty, $empty:literal) => {
        mod $module {
            use super::*;

            /// Leaves nothing behind. Rows that InnoDB has only marked as deleted make the next INSERT of their ids dearer.
            const EMPTY: &str = $empty;

            async fn pool(url: &str) -> Pool<$db> {
                sqlx::pool::PoolOptions::<$db>::new().max_connections(2).connect(url).await.unwrap()
            }

            async fn run(pool: &Pool<$db>, statement: &'static str) {
                sqlx::raw_sql(statement).execute(pool).await.unwrap();
            }

            pub(super) fn run_job(job: &str, url: &str, keys: &Path, number: u64) {
                Runtime::new().unwrap().block_on(async {
                    let (pool, cryptor) = (pool(url).await, process(keys));
                    let table = SqlTable::<Customer, $db>::new(&pool, &cryptor);
                    match job {
                        "compare-insert" => compare_insert(&pool, &table, &cryptor).await,
                        "compare-read" => {
                            compare_read(&pool, &table, &cryptor, Duration::from_micros(number)).await;
                        }
                        "upsert-and-update" => upsert_and_update(&pool, &table).await,
                        "clean" => run(&pool, DROP).await,
                        _ => measure(job, &pool, &table, &cryptor, i64::try_from(number).unwrap()).await,
                    }
                });
            }

            async fn compare_insert(pool: &Pool<$db>, table: &SqlTable<Customer, $db>, cryptor: &Cryptor) {
                run(pool, DROP).await;
                run(pool, CREATE).await;
                let customers: Vec<Customer> = (0..ROWS).map(customer).collect();
                let rows = plain(cryptor, &customers).await;
                let (mut with_plain, mut with_pii) = (Duration::MAX, Duration::MAX);
                for _ in 0..ROUNDS {
                    run(pool, EMPTY).await;
                    with_plain = with_plain.min(timed(insert(pool, &rows)).await);
                    run(pool, EMPTY).await;
                    with_pii =
                        with_pii.min(timed(async { table.insert_many(&customers).await.unwrap() }).await);
                }
                let most = with_plain.mul_f64(MOST_INSERT);
                report("insert_many", with_plain, with_pii, cryptor, most);
            }

            async fn compare_read(
                pool: &Pool<$db>,
                table: &SqlTable<Customer, $db>,
                cryptor: &Cryptor,
                bare_opening: Duration,
            ) {
                let (mut with_plain, mut with_pii) = (Duration::MAX, Duration::MAX);
                let mut of_processors = [Duration::ZERO; 2];
                for _ in 0..ROUNDS {
                    let before = processor_time();
                    with_plain = with_plain.min(timed(read(pool)).await);
                    let between = processor_time();
                    with_pii = with_pii.min(timed(async { assert_eq!(open(table).await, ROWS) }).await);
                    of_processors[0] += between - before;
                    of_processors[1] += processor_time() - between;
                }
                let most = with_plain + bare_opening.mul_f64(MOST_OPENING);
                report("list().decrypt_pii().stream()", with_plain, with_pii, cryptor, most);
                let [with_plain, with_pii] = of_processors.map(|time| time / ROUNDS);
                println!(
                    "{DATABASE:<10} {:<28} {:>9} {:>9}",
                    "  processors' time for it",
                    show(with_plain),
                    show(with_pii)
                );
            }

            async fn upsert_and_update(pool: &Pool<$db>, table: &SqlTable<Customer, $db>) {
                let customers: Vec<Customer> = (0..ROWS).map(customer).collect();
                for (job, time) in [
                    ("upsert_many", timed(async { table.upsert_many(&customers).await.unwrap() }).await),
                    ("update_many", timed(async { table.update_many(&customers).await.unwrap() }).await),
                ] {
                    println!("{DATABASE:<10} {job:<28} {:>9} {:>9}", "", show(time));
                }
                run(pool, EMPTY).await;
            }

            async fn insert(pool: &Pool<$db>, rows: &[Plain]) {
                let mut transaction = pool.begin().await.unwrap();
                for chunk in rows.chunks(CHUNK) {
                    let mut query = QueryBuilder::<$db>::new(INSERT);
                    query.push_values(chunk, |mut values, (id, tenant, email, phone, ssn)| {
                        values.push_bind(id);
                        values.push_bind(tenant);
                        values.push_bind(email);
                        values.push_bind(phone);
                        values.push_bind(ssn);
                    });
                    query.build().execute(&mut *transaction).await.unwrap();
                }
                transaction.commit().await.unwrap();
            }

            async fn read(pool: &Pool<$db>) {
                let mut rows = sqlx::query_as::<_, Plain>(SELECT).fetch(pool);
                let mut count = 0;
                while let Some(row) = rows.try_next().await.unwrap() {
                    count += 1;
                    black_box(row);
                }
                assert_eq!(count, ROWS);
            }

            async fn open(table: &SqlTable<Customer, $db>) -> i64 {
                let mut rows = table.list().decrypt_pii().stream();
                let mut count = 0;
                while let Some(row) = rows.try_next().await.unwrap() {
                    count += 1;
                    black_box(row);
                }
                count
            }

            async fn measure(
                job: &str,
                pool: &Pool<$db>,
                table: &SqlTable<Customer, $db>,
                cryptor: &Cryptor,
                rows: i64,
            ) {
                sqlx::query("select 1").execute(pool).await.unwrap();
                let (before, began) = (most_memory(), Instant::now());
                let done = match job {
                    "insert" => table.insert_from((0..rows).map(customer)).await.unwrap(),
                    "update" => table.update_from((0..rows).map(customer)).await.unwrap(),
                    _ => open(table).await.unsigned_abs(),
                };
                let time = began.elapsed();
                assert_eq!(done, rows.unsigned_abs());
                let more = most_memory() - before;
                let what = match job {
                    "insert" => "insert_from(iterator)",
                    "update" => "update_from(iterator)",
                    _ => "list().decrypt_pii().stream()",
                };
                println!(
                    "{what:<28} {rows:>9} {:>9} {before:>9.1} MiB {more:>8.1} MiB {:>9}  {}",
                    show(time),
                    key_calls(cryptor),
                    verdict(more <= MOST_MEMORY, &format!("{MOST_MEMORY:.0} MiB")),
                );
            }
        }
    };
}

database!(sqlite, sqlx::Sqlite, "delete from pii_bench_customers");
database!(postgres, sqlx::Postgres, "truncate table pii_bench_customers");
database!(mysql, sqlx::MySql, "truncate table pii_bench_customers");

/// A job alone in its process, with how many rows there are or how many microseconds bare opening takes.
fn child(job: &str, url: &str, keys: &Path, number: u64) {
    match url.split(':').next() {
        Some("sqlite") => sqlite::run_job(job, url, keys, number),
        Some("postgres" | "postgresql") => postgres::run_job(job, url, keys, number),
        _ => mysql::run_job(job, url, keys, number),
    }
}

fn key_calls(cryptor: &Cryptor) -> u64 {
    cryptor.stats().keys_generated + cryptor.stats().keys_unwrapped
}

/// A cryptor as a process that has just started has it.
fn process(keys: &Path) -> Cryptor {
    fs::create_dir_all(keys).unwrap();
    let keyring = LocalKeyring::open_or_create(keys.join("pii.key")).unwrap();
    let store = FileKeyStore::open(keys.join("store")).unwrap();
    Cryptor::envelope().keyring(keyring).key_store(store).build().unwrap()
}

fn customer(id: i64) -> Customer {
    let [email, phone, ssn] = texts(id).map(EncryptedStr::new);
    Customer { id, tenant: "acme".into(), email, phone, ssn: Some(ssn) }
}

fn texts(id: i64) -> [String; 3] {
    [format!("customer.{id:015}@example.com"), format!("+1-555-{id:08}"), format!("900-{id:07}")]
}

/// The same rows without sealing: texts of the length that sealed ones have.
async fn plain(cryptor: &Cryptor, customers: &[Customer]) -> Vec<Plain> {
    let texts = cryptor.seal_texts(customers).await.unwrap();
    customers
        .iter()
        .zip(texts)
        .map(|(customer, mut texts)| {
            let mut next = || String::from(texts.next().unwrap());
            (customer.id, customer.tenant.clone(), next(), next(), Some(next()))
        })
        .collect()
}

/// What opening all values takes with the bare crates.
fn bare_opening() -> Duration {
    let bare = Bare::new(&["email", "phone", "ssn"]);
    let rows: Vec<BareRow> =
        (0..ROWS).map(|id| BareRow { id, tenant: "acme".into(), values: texts(id).to_vec() }).collect();
    let texts = bare.seal(&rows);
    let stored: Vec<BareRow> = rows
        .iter()
        .zip(texts.chunks_exact(3))
        .map(|(row, texts)| BareRow { values: texts.to_vec(), ..row.clone() })
        .collect();
    (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            // in batches as a stream has them
            for rows in stored.chunks(256) {
                black_box(bare.open(rows));
            }
            began.elapsed()
        })
        .min()
        .unwrap()
}

async fn timed<T>(job: impl Future<Output = T>) -> Duration {
    let began = Instant::now();
    black_box(job.await);
    began.elapsed()
}

/// The most memory that this process had up to now, in MiB.
fn most_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// What the threads of this process have taken of the processors, in hundredths of a second.
fn processor_time() -> Duration {
    let status = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the name, which may hold spaces, ends with a bracket; 11 fields later come the program's time and the kernel's
    let fields = status.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn report(job: &str, plain: Duration, pii: Duration, cryptor: &Cryptor, most: Duration) {
    println!(
        "{DATABASE:<10} {job:<28} {:>9} {:>9} {:>7.2} {:>9}  {}",
        show(plain),
        show(pii),
        pii.as_secs_f64() / plain.as_secs_f64(),
        key_calls(cryptor),
        verdict(pii <= most, &show(most)),
    );
}

fn verdict(is_met: bool, goal: &str) -> String {
    format!("{} (at most {goal})", if is_met { "met" } else { "MISSED" })
}

fn show(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
