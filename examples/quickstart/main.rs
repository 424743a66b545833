//! The whole of it on one screen: 1,000 customers from a CSV file, sealed in SQLite under a local
//! key file. No server, no cloud, no set-up.
//!
//! ```sh
//! cargo run --example quickstart            # works in target/quickstart
//! cargo run --example quickstart -- FOLDER  # works there
//! ```
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "an example prints, and stops where something is wrong"
)]

mod plaintext_scan;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use pii::{Cryptor, DecryptPii as _, EncryptedStr, FileKeyStore, LocalKeyring, PiiModel, SqlTable};
use sqlx::{Row as _, SqlitePool, sqlite::SqliteConnectOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Names are personal too, but stored plain (level 1): masked in Debug, listed in reports.
#[derive(Clone, PiiModel)]
#[pii(name = "customer", table = "customers", context(app = "quickstart", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(level = 1, mask = "name")]
    name: String,
    #[pii(mask = "email")]
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
    #[pii(mask = "last4")]
    ssn: Option<EncryptedStr>,
    note: Option<EncryptedStr>,
}

const DDL: &str = "\
create table if not exists customers (
    id     integer primary key,
    tenant text not null,
    name   text not null,
    email  text not null check (email like 'ENC:%'),
    phone  text check (phone like 'ENC:%'),
    ssn    text check (ssn like 'ENC:%'),
    note   text check (note like 'ENC:%')
)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let folder = std::env::args_os().nth(1).map_or_else(default_folder, PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    println!("Folder: {}\n", folder.display());

    heading("Keys and database");
    let key_file = folder.join("pii.key");
    let keyring = LocalKeyring::open_or_create(&key_file)?;
    println!("key file {} (readable by its owner only), key {}", key_file.display(), keyring.key_ids()[0]);
    let cryptor = Cryptor::envelope()
        .keyring(keyring)
        .key_store(FileKeyStore::open(folder.join("data-keys"))?)
        .build()?;
    let database = folder.join("customers.sqlite");
    let options = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    sqlx::query(DDL).execute(&pool).await?;
    println!("database {}\n\n{DDL}\n", database.display());

    let customers = read_customers()?;
    let table = SqlTable::<Customer, _>::new(&pool, &cryptor);
    let saving = save(&customers, &table, &pool).await?;
    show_one_row(&table, &pool).await?;
    show_refusals(&cryptor, &pool).await?;
    let opening = open_all(&customers, &cryptor, &pool).await?;

    heading("Counts");
    let stats = cryptor.stats();
    println!(
        "{} rows, {} values sealed, {} opened, {} refused",
        customers.len(),
        stats.sealed,
        stats.opened,
        stats.refused
    );
    println!(
        "{} key calls for all of it: {} data keys made, {} unwrapped",
        stats.key_calls(),
        stats.keys_generated,
        stats.keys_unwrapped
    );
    println!("saving:  {}", rate(saving, stats.sealed, "sealed and stored"));
    println!("reading: {}\n", rate(opening, stats.opened, "read and opened"));

    pool.close().await;
    heading("Is there any plaintext in the files?");
    scan(&folder, &customers)
}

fn default_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/quickstart")
}

fn heading(text: &str) {
    println!("== {text}");
}

fn rate(time: Duration, values: u64, what: &str) -> String {
    if values == 0 {
        return "nothing to do".to_owned();
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = values as f64 / time.as_secs_f64();
    format!("{values} values {what} in {:.0} ms, {rate:.0} a second", time.as_secs_f64() * 1000.0)
}

fn read_customers() -> Result<Vec<Customer>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/customers.csv");
    let mut reader = csv::Reader::from_path(path)?;
    let mut customers = Vec::new();
    for record in reader.records() {
        let record = record?;
        let field = |index: usize| record.get(index).ok_or("a row of the CSV file is too short");
        let optional = |index| field(index).map(|text| (!text.is_empty()).then(|| EncryptedStr::new(text)));
        customers.push(Customer {
            id: field(0)?.parse()?,
            tenant: field(1)?.to_owned(),
            name: field(2)?.to_owned(),
            email: EncryptedStr::new(field(3)?),
            phone: optional(4)?,
            ssn: optional(5)?,
            note: optional(6)?,
        });
    }
    Ok(customers)
}

/// Saves the rows that an earlier run has not saved; says how long it took.
async fn save(
    customers: &[Customer],
    table: &SqlTable<Customer, sqlx::Sqlite>,
    pool: &SqlitePool,
) -> Result<Duration> {
    heading("Saving");
    let known: Vec<i64> = sqlx::query_scalar("select id from customers").fetch_all(pool).await?;
    let new: Vec<&Customer> = customers.iter().filter(|customer| !known.contains(&customer.id)).collect();
    if !known.is_empty() {
        println!("{} rows are there from an earlier run", known.len());
    }
    let start = Instant::now();
    table.insert_many(new.iter().copied()).await?;
    println!("{} rows saved\n", new.len());
    Ok(start.elapsed())
}

async fn show_one_row(table: &SqlTable<Customer, sqlx::Sqlite>, pool: &SqlitePool) -> Result<()> {
    heading("One row as the database holds it");
    let row = sqlx::query("select * from customers where id = 2").fetch_one(pool).await?;
    for column in ["tenant", "name", "email", "phone", "ssn"] {
        println!("{column:7} {}", row.get::<Option<String>, _>(column).as_deref().unwrap_or("NULL"));
    }

    println!();
    heading("The same row in Debug, as loaded");
    println!("{:?}", table.get(2).await?);
    println!();
    heading("and after `decrypt_pii()`: still masked");
    let customer = table.get(2).decrypt_pii().await?;
    println!("{customer:?}");
    println!();
    heading("The values, where the program asks for them");
    println!("email   {}", customer.email.expose()?);
    println!("ssn     {}\n", customer.ssn.as_ref().map(EncryptedStr::expose).transpose()?.unwrap_or("none"));
    Ok(())
}

/// What someone who can write to the table can't do.
async fn show_refusals(cryptor: &Cryptor, pool: &SqlitePool) -> Result<()> {
    heading("Attacks");
    let attacks = [
        (
            "the e-mail of row 1 copied to row 5 (same tenant)",
            "update customers set email = (select email from customers where id = 1) where id = 5",
            5,
        ),
        ("row 1 moved to another tenant", "update customers set tenant = 'acme' where id = 1", 1),
        (
            "one character changed",
            "update customers set email = substr(email, 1, 60) || case substr(email, 61, 1) when 'A' then 'B' \
             else 'A' end || substr(email, 62) where id = 3",
            3,
        ),
    ];
    for (what, attack, id) in attacks {
        let mut transaction = pool.begin().await?;
        sqlx::query(attack).execute(&mut *transaction).await?;
        let read = sqlx::query_as::<_, Customer>("select * from customers where id = ?")
            .bind(id)
            .decrypt_pii(cryptor)
            .fetch_one(&mut *transaction)
            .await;
        transaction.rollback().await?;
        match read {
            Err(error) => println!("{what}:\n    refused: {error}"),
            Ok(_) => return Err(format!("{what}: not refused").into()),
        }
    }
    println!();
    Ok(())
}

/// Opens every row and compares it with the CSV file.
async fn open_all(customers: &[Customer], cryptor: &Cryptor, pool: &SqlitePool) -> Result<Duration> {
    let start = Instant::now();
    let opened = sqlx::query_as::<_, Customer>("select * from customers order by id")
        .decrypt_pii(cryptor)
        .fetch_all(pool)
        .await?;
    let time = start.elapsed();
    let is_same = |(read, original): (&Customer, &Customer)| {
        // `==` compares plaintexts here: both sides know theirs
        (read.id, &read.tenant, &read.name) == (original.id, &original.tenant, &original.name)
            && (&read.email, &read.phone, &read.ssn, &read.note)
                == (&original.email, &original.phone, &original.ssn, &original.note)
    };
    if opened.len() != customers.len() || !opened.iter().zip(customers).all(is_same) {
        return Err("what was read is not what was saved".into());
    }
    Ok(time)
}

/// Searches all files for every plaintext of a sealed column.
fn scan(folder: &Path, customers: &[Customer]) -> Result<ExitCode> {
    let mut sealed = Vec::new();
    for customer in customers {
        let optional = [&customer.phone, &customer.ssn, &customer.note].into_iter().flatten();
        for value in std::iter::once(&customer.email).chain(optional) {
            sealed.push(value.expose()?);
        }
    }
    let files = plaintext_scan::read_files(folder)?;
    // names are stored plain: a search that does not find them would find nothing at all
    let names: Vec<&str> =
        customers.iter().map(|customer| customer.name.as_str()).filter(|name| name.len() >= 8).collect();
    let control = plaintext_scan::count_found(&files, &names);
    if control == 0 {
        return Err("the search does not work: it did not even find the names, which are stored plain".into());
    }
    let found = plaintext_scan::count_found(&files, &sealed);
    println!(
        "searched {} files for {} plaintexts: {found} found (and {control} of {} plain names, as it should be)",
        files.len(),
        sealed.len(),
        names.len()
    );
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
