//! Sealed fields on a Postgres of yours: saves, shows the raw row, lists, a transaction, a scoped
//! cryptor, a refused swap. Everything happens in a schema of its own, which is dropped at the end.
//!
//! ```sh
//! cargo run --features postgres --example postgres -- postgres://user:password@host/database
//!
//! # or with the server that the tests use
//! eval "$(cargo xtask services up)"
//! cargo run --features postgres --example postgres
//! ```
//!
//! Without an argument the variables PII_TEST_POSTGRES_URL and DATABASE_URL are looked at.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "an example prints, and stops where something is wrong"
)]

use std::{env, error::Error, fs, str::FromStr as _, time::Duration};

use pii::{
    Access, Cryptor, DecryptPii as _, EncryptedStr, FileKeyStore, LocalKeyring, PiiModel, Reason, SqlTable,
    ctx,
};
use sqlx::{
    AssertSqlSafe, PgPool, Postgres,
    postgres::{PgConnectOptions, PgPoolOptions},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers", context(app = "example", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    city: String,
    #[pii(mask = "email")]
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
}

impl Customer {
    fn new(id: i64, tenant: &str, city: &str, email: &str) -> Self {
        Self { id, tenant: tenant.into(), city: city.into(), email: EncryptedStr::new(email), phone: None }
    }
}

const DDL: &str = "\
create table customers (
    id     bigint primary key,
    tenant text not null,
    city   text not null,
    email  text not null check (email like 'ENC:%'),
    phone  text check (phone like 'ENC:%')
)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some(url) = url() else {
        return Err(
            "which Postgres? Give its URL as argument, or set PII_TEST_POSTGRES_URL or DATABASE_URL".into()
        );
    };
    let options = PgConnectOptions::from_str(&url)?;
    let schema = format!("pii_example_{}", std::process::id());
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options.options([("search_path", schema.as_str())]))
        .await
        .map_err(|error| format!("can't connect to this Postgres: {error}"))?;
    sqlx::query(AssertSqlSafe(format!("create schema {schema}"))).execute(&pool).await?;
    let folder = env::temp_dir().join(&schema);
    fs::create_dir_all(&folder)?;
    println!("schema {schema}, keys in {}\n", folder.display());

    let keyring = LocalKeyring::create(folder.join("pii.key"))?;
    let key_store = FileKeyStore::open(folder.join("data-keys"))?;
    let cryptor = Cryptor::envelope().keyring(keyring).key_store(key_store).build()?;
    let shown = show(&cryptor, &pool).await;

    // whatever happened, nothing is left
    sqlx::query(AssertSqlSafe(format!("drop schema {schema} cascade"))).execute(&pool).await?;
    fs::remove_dir_all(&folder)?;
    println!("schema and keys are gone again");
    shown
}

/// Where the database is. The URL may hold a password, so it is not shown.
fn url() -> Option<String> {
    let given = |name| env::var(name).ok().filter(|url| !url.is_empty());
    env::args().nth(1).or_else(|| given("PII_TEST_POSTGRES_URL")).or_else(|| given("DATABASE_URL"))
}

fn heading(text: &str) {
    println!("== {text}");
}

async fn show(cryptor: &Cryptor, pool: &PgPool) -> Result<()> {
    sqlx::query(DDL).execute(pool).await?;
    println!("{DDL}\n");

    heading("Saving three rows of two tenants");
    let customers = SqlTable::<Customer, _>::new(pool, cryptor);
    let rows = [
        Customer::new(1, "acme", "London", "ada@example.com"),
        Customer::new(2, "acme", "Paris", "emilie@example.com"),
        Customer::new(3, "initech", "London", "grace@example.com"),
    ];
    println!(
        "{} rows saved, {} key calls\n",
        customers.insert_many(&rows).await?,
        cryptor.stats().key_calls()
    );

    heading("One row as the database holds it");
    println!("{}\n", raw(pool, 1).await?);

    heading("A query, without and with `.decrypt_pii()`");
    let query = || sqlx::query_as::<_, Customer>("select * from customers where city = $1 order by id");
    for customer in query().bind("London").fetch_all(pool).await? {
        println!("{customer:?}");
    }
    for customer in query().bind("London").decrypt_pii(cryptor).fetch_all(pool).await? {
        println!("{customer:?} is {}", customer.email.expose()?);
    }
    println!();

    in_a_transaction(&customers, pool).await?;
    for_one_tenant(cryptor, pool).await?;
    swapped(&customers, pool).await
}

async fn in_a_transaction(customers: &SqlTable<Customer, Postgres>, pool: &PgPool) -> Result<()> {
    heading("A transaction");
    let before = raw(pool, 2).await?;
    let mut tx = pool.begin().await?;
    let mut emilie = customers.get(2).on(&mut tx).decrypt_pii().await?;
    emilie.phone = Some(EncryptedStr::new("+33 1 55 01 00 00"));
    customers.update(&emilie).on(&mut tx).await?;
    tx.commit().await?;
    let after = raw(pool, 2).await?;
    println!("before {before}\nafter  {after}");
    println!("the e-mail did not change and was written back as it was\n");
    Ok(())
}

async fn for_one_tenant(cryptor: &Cryptor, pool: &PgPool) -> Result<()> {
    heading("A cryptor for the tenant of a session");
    let cryptor = cryptor.scoped(ctx!(tenant = "acme")).acting_as(Access::new("user 17", Reason::Support));
    let customers = SqlTable::<Customer, _>::new(pool, &cryptor);
    println!("row 1: {}", customers.get(1).decrypt_pii().await?.email.expose()?);
    match customers.get(3).await {
        Err(error) => println!("row 3: refused: {error}\n"),
        Ok(_) => return Err("a row of another tenant was not refused".into()),
    }
    Ok(())
}

async fn swapped(customers: &SqlTable<Customer, Postgres>, pool: &PgPool) -> Result<()> {
    heading("Someone copies the e-mail of row 1 to row 2");
    sqlx::query("update customers set email = (select email from customers where id = 1) where id = 2")
        .execute(pool)
        .await?;
    match customers.get(2).decrypt_pii().await {
        Err(error) => println!("refused: {error}\n"),
        Ok(_) => return Err("a swapped value was not refused".into()),
    }
    Ok(())
}

/// The whole row, as text.
async fn raw(pool: &PgPool, id: i64) -> Result<String> {
    Ok(sqlx::query_scalar("select customers::text from customers where id = $1")
        .bind(id)
        .fetch_one(pool)
        .await?)
}
