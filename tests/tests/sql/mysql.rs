//! The suite on MariaDB or MySQL, in a database of its own for each test.

use std::{
    env,
    future::IntoFuture as _,
    process,
    str::FromStr as _,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use pii::{ColumnLimits, Ddl, Doctor, EncryptedStr, ErrorKind, PiiModel, SqlTable, ctx, sqlx_error};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPoolOptions},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

use crate::{
    models::{Account, CUSTOMERS, Customer, EMAIL, Note, SSN, Session},
    support::{Errors, cryptor, in_time},
};

#[path = "doctor_on_mysql.rs"]
mod doctor;
#[path = "suite/mod.rs"]
mod suite;
#[path = "updates_on_mysql.rs"]
mod updates;

pub(crate) type Db = sqlx::MySql;

/// A column whose value the database makes up.
pub(crate) const GENERATED: &str = "bigint auto_increment primary key";
pub(crate) const UUID: &str = "binary(16)";
/// Makes a collation in which `Ada` and `ADA` are equal, and a text in it: here it is the usual one.
pub(crate) const LOOSE_COLLATION: &str = "select 1";
pub(crate) const LOOSE_TEXT: &str = "varchar(40)";
/// A text that is compared by its bytes, and may be a key.
pub(crate) const EXACT_TEXT: &str = "varchar(64) character set ascii collate ascii_bin";
/// A text that has room for every value.
pub(crate) const SEALED_TEXT: &str = "mediumtext";
/// Most placeholders in one statement.
pub(crate) const PARAMETERS: i64 = 65_535;

/// A query of the suite with this database's placeholders.
pub(crate) fn in_dialect(sql: &str) -> AssertSqlSafe<String> {
    let places = ["$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8"];
    AssertSqlSafe(places.iter().fold(sql.to_owned(), |sql, place| sql.replace(place, "?")))
}

/// A trigger before updates of `customers` that names this column.
pub(crate) fn trigger(name: &str, column: &str) -> Vec<String> {
    vec![format!(
        "create trigger {name} before update on customers for each row \
         if new.{column} is null then signal sqlstate '45000'; end if"
    )]
}

pub(crate) struct TestDatabase {
    pub(crate) pool: sqlx::Pool<Db>,
    pub(crate) folder: tempfile::TempDir,
    name: String,
}

fn server() -> MySqlConnectOptions {
    let Ok(url) = env::var("PII_TEST_MYSQL_URL") else {
        panic!(
            "PII_TEST_MYSQL_URL is not set. `cargo xtask test` starts a MariaDB and sets it; \
             `eval \"$(cargo xtask services up)\"` does so for this shell"
        );
    };
    MySqlConnectOptions::from_str(&url).unwrap()
}

impl TestDatabase {
    pub(crate) async fn new(connections: u32, ddl: &[&str]) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let name = format!("pii_test_{now}_{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut connection = MySqlConnection::connect_with(&server()).await.unwrap();
        // the statements of the suite quote names as the standard does
        let begin = format!(
            "create database {name} character set utf8mb4 collate utf8mb4_general_ci; use {name}; \
             set sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')"
        );
        for statement in [begin.as_str()].iter().chain(ddl) {
            sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let pool = MySqlPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(server().database(&name))
            .await
            .unwrap();
        Self { pool, folder: tempfile::tempdir().unwrap(), name }
    }

    pub(crate) fn url(&self) -> String {
        server().database(&self.name).to_url_lossy().to_string()
    }

    /// The name of a table with its schema.
    pub(crate) fn qualified(&self, table: &str) -> String {
        format!("{}.{table}", self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("set lock_wait_timeout = 2; drop database {}", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = MySqlConnection::connect_with(&server()).await?;
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await
            })
        });
        // a test that failed may hold locks; its database stays
        let _ = dropping.join();
    }
}

async fn count(db: &TestDatabase) -> i64 {
    sqlx::query_scalar("select count(*) from customers").fetch_one(&db.pool).await.unwrap()
}

#[tokio::test]
async fn rows_hold_no_plaintext() {
    let db = TestDatabase::new(2, &[CUSTOMERS]).await;
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor());
    customers.insert(&Customer::new(1)).await.unwrap();
    let row: String =
        sqlx::query_scalar("select concat_ws(' ', id, tenant, city, email, ssn) from customers")
            .fetch_one(&db.pool)
            .await
            .unwrap();
    assert!(row.contains("London") && row.contains("ENC:"), "{row}");
    assert!(!row.contains(EMAIL) && !row.contains(SSN), "{row}");
}

/// The usual collations take `Ada`, `ADA` and `Ada ` for equal.
#[tokio::test]
async fn what_is_written_goes_to_the_very_id() {
    let ddl = "create table accounts (name varchar(40) primary key, owner text not null)";
    let db = TestDatabase::new(2, &[ddl]).await;
    let accounts = SqlTable::<Account, _>::new(&db.pool, &cryptor());
    let account = |name: &str, owner: &str| Account { name: name.into(), owner: EncryptedStr::new(owner) };
    accounts.insert(&account("Ada", EMAIL)).await.unwrap();
    let stored = || async {
        let row: (String, String) =
            sqlx::query_as("select name, owner from accounts").fetch_one(&db.pool).await.unwrap();
        row
    };
    let before = stored().await;
    for name in ["ADA", "Ada ", "\u{c1}da"] {
        let updated = accounts.update(&account(name, "other")).await.unwrap_err();
        let deleted = accounts.delete(name).await.unwrap_err();
        assert_eq!([updated.kind(), deleted.kind()], [ErrorKind::RowNotFound; 2], "{name}");
        let upserted = accounts.upsert(&account(name, "other")).await.unwrap_err();
        assert_eq!(upserted.kind(), ErrorKind::Duplicate, "{name}: {upserted}");
        assert!(upserted.to_string().contains("exists already"), "{upserted}");
        assert_eq!(stored().await, before);
    }
    accounts.update(&account("Ada", "Ada")).await.unwrap();
    accounts.upsert(&account("Ada", "Ada")).await.unwrap();
    assert_eq!(accounts.get("Ada").decrypt_pii().await.unwrap().owner.expose().unwrap(), "Ada");
    accounts.delete("Ada").await.unwrap();
}

#[tokio::test]
async fn a_tenant_that_only_reads_alike_is_another_one() {
    let db = TestDatabase::new(2, &[CUSTOMERS]).await;
    let cryptor = cryptor();
    let all = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    let alike = ["ACME", "acme ", "acm\u{e9}"];
    for (id, tenant) in (1..).zip(alike) {
        all.insert(&Customer::of(id, tenant)).await.unwrap();
    }
    let acme = SqlTable::<Customer, _>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "acme")));
    for (id, tenant) in (1..).zip(alike) {
        assert_eq!(acme.update(&Customer::new(id)).await.unwrap_err().kind(), ErrorKind::RowNotFound);
        assert_eq!(acme.upsert(&Customer::new(id)).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
        assert_eq!(acme.delete(id).await.unwrap_err().kind(), ErrorKind::RowNotFound);
        assert_eq!(all.get(id).decrypt_pii().await.unwrap().tenant, tenant);
    }
    let own = SqlTable::<Customer, _>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "ACME")));
    own.update(&Customer::of(1, "ACME")).await.unwrap();
    own.upsert(&Customer::of(1, "ACME")).await.unwrap();
    own.delete(1).await.unwrap();
}

/// `ON DUPLICATE KEY UPDATE` would write over a row with another id.
#[tokio::test]
async fn an_upsert_leaves_a_row_alone_that_has_another_unique_value() {
    let ddl = "create table customers (id bigint primary key, tenant varchar(40) not null, \
               city varchar(40) not null unique, email text not null, ssn text)";
    let db = TestDatabase::new(2, &[ddl]).await;
    let cryptor = cryptor();
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    customers.insert(&Customer::new(1)).await.unwrap();
    let scoped = SqlTable::<Customer, _>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "acme")));
    for table in [&customers, &scoped] {
        let mut tx = db.pool.begin().await.unwrap();
        let error = table.upsert(&Customer::new(2)).on(&mut tx).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Duplicate);
        assert!(sqlx_error(&error).unwrap().as_database_error().unwrap().is_unique_violation(), "{error}");
        // the transaction goes on
        let paris = Customer { city: "Paris".into(), ..Customer::new(2) };
        table.upsert(&paris).on(&mut tx).await.unwrap();
        table.upsert(&paris).on(&mut tx).await.unwrap();
        tx.rollback().await.unwrap();
    }
    assert_eq!(count(&db).await, 1);
    assert_eq!(customers.get(1).decrypt_pii().await.unwrap().email.expose().unwrap(), EMAIL);
}

/// The server counts rows that hold the new values already as well, because sqlx asks it to.
#[tokio::test]
async fn a_row_that_is_not_changed_is_found() {
    let db = TestDatabase::new(2, &[CUSTOMERS]).await;
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor());
    customers.insert(&Customer::new(1)).await.unwrap();
    let sealed = customers.get(1).await.unwrap();
    customers.update(&sealed).await.unwrap();
    customers.update(&sealed).await.unwrap();
    customers.upsert(&sealed).await.unwrap();
    assert!(customers.update(&Customer::new(2)).await.unwrap_err().is_not_found());
}

#[derive(PiiModel)]
#[pii(name = "letter", table = "letters", from_row)]
struct Letter {
    #[pii(id)]
    id: i64,
    subject: String,
    text: EncryptedStr,
}

const LETTERS: &str =
    "create table letters (id bigint primary key, subject mediumtext not null, text mediumtext not null)";

/// The server refuses statements of more than `max_allowed_packet`.
#[tokio::test]
async fn large_rows_go_in_statements_that_the_server_takes() {
    let db = TestDatabase::new(2, &[LETTERS]).await;
    let letters = SqlTable::<Letter, _>::new(&db.pool, &cryptor());
    let largest: i64 =
        sqlx::query_scalar("select cast(@@max_allowed_packet as signed)").fetch_one(&db.pool).await.unwrap();
    let largest = usize::try_from(largest).unwrap();
    let letter = |id: i64, subject: usize, text: usize| Letter {
        id,
        subject: "s".repeat(subject),
        text: EncryptedStr::new("t".repeat(text)),
    };
    let (size, count) = (500_000, i64::try_from(largest / 400_000).unwrap());
    // in sealed values, and in others
    for (begin, subject, text) in [(0, 0, size), (100_000, size, 0)] {
        let rows: Vec<_> = (begin..begin + count).map(|id| letter(id, subject, text)).collect();
        assert_eq!(letters.insert_many(&rows).await.unwrap(), u64::try_from(count).unwrap());
    }
    let read = letters.get(7).decrypt_pii().await.unwrap();
    assert_eq!(read.text.expose().unwrap().len(), size);

    let too_large = letter(1_000_000, largest, 0);
    let error = in_time(letters.insert(&too_large)).await.unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (ErrorKind::Database, Some("letter")));
    let shown = error.to_string();
    assert!(shown.contains("max_allowed_packet"), "{shown}");
    in_time(letters.insert(&letter(1_000_001, 1, 1))).await.unwrap();
    assert!(letters.get(1_000_000).optional().await.unwrap().is_none());
}

#[tokio::test]
async fn a_value_that_is_too_long_for_its_column_is_refused() {
    let db = TestDatabase::new(2, &[CUSTOMERS]).await;
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor());
    let mut ada = Customer::new(1);
    ada.email.set("a".repeat(60_000));
    for error in [customers.insert(&ada).await.unwrap_err(), customers.upsert(&ada).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains("`mediumtext`"), "{error}");
    }
    assert_eq!(count(&db).await, 0);
    ada.email.set("a".repeat(40_000));
    customers.insert(&ada).await.unwrap();
}

/// The server's messages quote the values of a duplicate.
#[tokio::test]
async fn errors_do_not_tell_the_message() {
    let ddl = "create table customers (id bigint primary key, tenant varchar(40) not null, \
               city varchar(40) not null unique, email text not null, ssn text)";
    let db = TestDatabase::new(1, &[ddl]).await;
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor());
    let sunk = |id| Customer { city: "Atlantis-canary".into(), ..Customer::new(id) };
    customers.insert(&sunk(1)).await.unwrap();
    let errors = Errors::default();
    for error in [
        customers.insert(&sunk(2)).await.unwrap_err(),
        customers.upsert(&sunk(2)).await.unwrap_err(),
        customers.insert_many(&[sunk(3), sunk(4)]).await.unwrap_err(),
    ] {
        let database = sqlx_error(&error).unwrap().as_database_error().unwrap();
        assert!(database.is_unique_violation());
        assert_eq!(database.code().as_deref(), Some("23000"));
        // whoever wants to see it
        assert!(database.downcast_ref::<MySqlDatabaseError>().message().contains("Atlantis-canary"));
        errors.add(&error);
    }
    for printed in errors.printed() {
        assert!(!printed.contains("canary"), "{printed}");
        assert!(printed.contains("1062"), "{printed}");
    }
}

#[tokio::test]
async fn uuids_are_sixteen_bytes() {
    let ddl = "create table sessions (id binary(16) primary key, address text not null)";
    let db = TestDatabase::new(2, &[ddl]).await;
    let sessions = SqlTable::<Session, _>::new(&db.pool, &cryptor());
    // bytes that are no text, and some that look like it
    for id in [Uuid::max(), Uuid::nil(), Uuid::from_bytes(*b"0123456789abcde ")] {
        let session = Session { id, address: EncryptedStr::new("192.0.2.1") };
        assert_eq!(sessions.insert(&session).returning_id().await.unwrap(), id);
        let stored: Vec<u8> = sqlx::query_scalar("select id from sessions where id = ?")
            .bind(id)
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(stored, id.as_bytes());
        sessions.update(&session).await.unwrap();
        sessions.upsert(&session).await.unwrap();
        assert_eq!(sessions.get(id).await.unwrap().id, id);
        sessions.delete(id).await.unwrap();
    }
}

#[derive(PiiModel)]
#[pii(name = "visit", table = "visits", from_row)]
struct Visit {
    #[pii(id, bind = "field")]
    id: Option<Uuid>,
    guest: EncryptedStr,
}

/// MariaDB tells any id that it made up; MySQL numbers only.
#[tokio::test]
async fn ids_that_are_no_numbers_are_told_where_the_database_can() {
    let ddl = "create table visits (id binary(16) primary key default (unhex(replace(uuid(), '-', ''))), \
               guest text not null)";
    let db = TestDatabase::new(1, &[ddl, &format!("create table notes (id {GENERATED}, text text)")]).await;
    // what the connection has made up before is not taken for the id
    let notes = SqlTable::<Note, _>::new(&db.pool, &cryptor());
    assert_eq!(notes.insert(&Note::new(None)).returning_id().await.unwrap(), 1);
    let version: String = sqlx::query_scalar("select version()").fetch_one(&db.pool).await.unwrap();
    let visits = SqlTable::<Visit, _>::new(&db.pool, &cryptor());
    let visit = Visit { id: None, guest: EncryptedStr::new(EMAIL) };
    let returned = visits.insert(&visit).returning_id().await;
    let stored: Uuid = sqlx::query_scalar("select id from visits").fetch_one(&db.pool).await.unwrap();
    if version.contains("MariaDB") {
        assert_eq!(returned.unwrap(), stored);
    } else {
        let error = returned.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains("does not tell its id"), "{error}");
    }
}

/// Modes of the session in which quotes, backslashes and bars mean something else.
#[tokio::test]
async fn sessions_may_differ() {
    let ddl = "create table accounts (name varchar(40) primary key, owner text not null)";
    let db = TestDatabase::new(1, &[CUSTOMERS, ddl]).await;
    for setting in [
        "set sql_mode = ''",
        "set sql_mode = 'ANSI,TRADITIONAL,NO_BACKSLASH_ESCAPES'",
        "set sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE,HIGH_NOT_PRECEDENCE'",
        "set session transaction isolation level serializable",
        "set time_zone = '-11:00'",
        "set collation_connection = utf8mb4_unicode_ci",
        "set collation_connection = utf8mb4_bin",
    ] {
        let pool = MySqlPoolOptions::new()
            .max_connections(1)
            .after_connect(move |connection, _| {
                Box::pin(async move { connection.execute(setting).await.map(drop) })
            })
            .connect_with(db.pool.connect_options().as_ref().clone())
            .await
            .unwrap();
        let scoped = cryptor().scoped(ctx!(tenant = "o'\\\"neill"));
        let customers = SqlTable::<Customer, _>::new(&pool, &scoped);
        let mut row = Customer::of(1, "o'\\\"neill");
        customers.insert(&row).await.unwrap();
        row.city = "Z\u{fc}rich \\' \u{1f600}".into();
        customers.update(&row).await.unwrap();
        customers.upsert(&row).await.unwrap();
        assert_eq!(customers.get(1).decrypt_pii().await.unwrap().city, row.city, "{setting}");
        customers.delete(1).await.unwrap();
        let accounts = SqlTable::<Account, _>::new(&pool, &cryptor());
        let account = Account { name: "\u{1f600}".into(), owner: EncryptedStr::new(EMAIL) };
        accounts.insert(&account).await.unwrap();
        accounts.update(&account).await.unwrap();
        accounts.upsert(&account).await.unwrap();
        accounts.delete("\u{1f600}").await.unwrap();
    }
}

/// Tables from before Unicode: ids and tenants are compared as the texts that they are.
#[tokio::test]
async fn columns_may_have_another_character_set() {
    let accounts = "create table accounts (name varchar(40) character set latin1 primary key, owner text)";
    let customers = "create table customers (id bigint primary key, tenant varchar(40) character set latin1, \
                     city text, email text character set ascii, ssn text character set ascii)";
    let db = TestDatabase::new(2, &[accounts, customers]).await;
    let accounts = SqlTable::<Account, _>::new(&db.pool, &cryptor());
    let account = Account { name: "Zo\u{eb}".into(), owner: EncryptedStr::new(EMAIL) };
    accounts.insert(&account).await.unwrap();
    accounts.update(&account).await.unwrap();
    accounts.upsert(&account).await.unwrap();
    assert_eq!(accounts.get("Zo\u{eb}").decrypt_pii().await.unwrap().owner.expose().unwrap(), EMAIL);
    assert!(accounts.delete("Zoe").await.unwrap_err().is_not_found());
    accounts.delete("Zo\u{eb}").await.unwrap();

    let cryptor = cryptor().scoped(ctx!(tenant = "caf\u{e9}"));
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    let row = Customer::of(1, "caf\u{e9}");
    customers.insert(&row).await.unwrap();
    customers.update(&row).await.unwrap();
    customers.upsert(&row).await.unwrap();
    customers.delete(1).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_lost_is_an_error_and_the_next_one_works() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor());
    let mut tx = db.pool.begin().await.unwrap();
    customers.insert(&Customer::new(1)).on(&mut tx).await.unwrap();
    let process: u64 = sqlx::query_scalar("select connection_id()").fetch_one(&mut *tx).await.unwrap();
    let mut other = MySqlConnection::connect_with(&server()).await.unwrap();
    other.execute(AssertSqlSafe(format!("kill {process}"))).await.unwrap();
    let error = in_time(customers.insert(&Customer::new(2)).on(&mut tx)).await.unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (ErrorKind::Database, Some("customer")));
    assert!(sqlx_error(&error).is_some());
    assert!(!error.is_retryable(), "whether the statement ran is not known");
    drop(tx);
    in_time(customers.insert(&Customer::new(3))).await.unwrap();
    assert!(customers.get(1).optional().await.unwrap().is_none(), "the transaction is gone");
    assert!(customers.get(3).optional().await.unwrap().is_some());
}

/// Wherever a call is given up, its connection does not go back with a transaction open, nor with answers
/// that nobody has read.
#[tokio::test]
async fn what_is_written_after_a_call_was_given_up_is_there() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let cryptor = cryptor();
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    let mut other = MySqlConnection::connect_with(&server().database(&db.name)).await.unwrap();
    let rows: Vec<_> = (1_000..1_501).map(Customer::new).collect();
    let changed = Customer { city: "Paris".into(), ..Customer::new(0) };
    customers.insert(&Customer::new(0)).await.unwrap();
    for polls in 1..60_i64 {
        let mut call = match polls % 4 {
            0 => customers.insert_many(&rows).into_future().map(|done| done.map(drop)).boxed(),
            1 => customers.upsert(&changed).into_future(),
            2 => customers.list().into_future().map(|done| done.map(drop)).boxed(),
            _ => customers.update(&changed).into_future(),
        };
        for _ in 0..polls / 4 {
            if (&mut call).now_or_never().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        drop(call);
        in_time(customers.insert(&Customer::new(polls))).await.unwrap();
        let rows: i64 = sqlx::query_scalar("select count(*) from customers where id = ?")
            .bind(polls)
            .fetch_one(&mut other)
            .await
            .unwrap();
        assert_eq!(rows, 1, "after {polls} polls");
        sqlx::query("delete from customers where id >= 1000").execute(&db.pool).await.unwrap();
    }
}

/// A way to the server on which its answers arrive in pieces, so that a call can be given up within one.
async fn slow_server() -> MySqlConnectOptions {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (host, server_port) = (server().get_host().to_owned(), server().get_port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect((host.as_str(), server_port)).await.unwrap();
            client.set_nodelay(true).unwrap();
            let (mut questions, mut client) = client.into_split();
            let (mut answers, mut server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut questions, &mut server).await });
            tokio::spawn(async move {
                let mut piece = [0; 64];
                while let Ok(length @ 1..) = answers.read(&mut piece).await {
                    client.write_all(&piece[..length]).await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                std::io::Result::Ok(())
            });
        }
    });
    server().host("127.0.0.1").port(port)
}

/// The same for what asks the catalogue, in several statements.
#[tokio::test]
async fn what_is_read_after_a_look_at_the_catalogue_was_given_up_is_the_answer() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let cryptor = cryptor();
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    customers.insert_many(&(0..50).map(Customer::new).collect::<Vec<_>>()).await.unwrap();
    let options = slow_server().await.database(&db.name);
    let pool = MySqlPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let ddl = Ddl::of::<Customer>().unwrap();
    for polls in 0..90_usize {
        let mut call = match polls % 3 {
            0 => Doctor::new(&pool).model::<Customer>().examine().map(|done| done.map(drop)).boxed(),
            1 => ddl.alter(&pool).map(|done| done.map(drop)).boxed(),
            _ => ColumnLimits::of::<Customer, _>(&pool).map(|done| done.map(drop)).boxed(),
        };
        for _ in 0..polls / 3 {
            if (&mut call).now_or_never().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(call);
        let select = "select city from customers where id = 7";
        let city: String = in_time(sqlx::query_scalar(select).fetch_one(&pool))
            .await
            .unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
        assert_eq!(city, "London", "after {polls} polls");
    }
}

/// A row that can't be sealed, while the rows before it are on their way.
#[tokio::test]
async fn a_bulk_insert_that_fails_midway_leaves_a_connection_that_works() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let cryptor = cryptor();
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    customers.insert(&Customer::new(1)).await.unwrap();
    let mut rows: Vec<_> = (2..1_600).map(Customer::new).collect();
    rows[1_400] = Customer { id: 9_999, ..customers.get(1).decrypt_pii().await.unwrap() };
    for _ in 0..20 {
        let error = in_time(customers.insert_many(&rows)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongPlace);
        assert_eq!(in_time(async { count(&db).await }).await, 1);
    }
}
