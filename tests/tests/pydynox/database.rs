//! A table in SQLite that pydynox's values are in, and what is stored in it.

use pii::{Cryptor, EncryptedStr, PiiModel, Pydynox, SqlTable, TestKeyring};
use sqlx::{Sqlite, SqlitePool, sqlite::SqlitePoolOptions};

use super::support::{Emulator, OTHER, vectors};

/// The item of the vectors, with a field that pydynox does not know.
#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(tenant = self.tenant), from_row)]
pub struct Customer {
    #[pii(id)]
    pub id: i64,
    pub tenant: String,
    #[pii(legacy = "pydynox")]
    pub ssn: EncryptedStr,
    #[pii(legacy = "pydynox")]
    pub card: Option<EncryptedStr>,
    #[pii(legacy = "pydynox")]
    pub note: EncryptedStr,
    pub email: Option<EncryptedStr>,
}

pub const SSN: &str = "123-45-6789";
pub const CARD: &str = "4111111111111111";
pub const NOTE: &str = "hello";
pub const PAYMENT: [(&str, &str); 2] = [("tenant", "acme-corp"), ("purpose", "payment")];

impl Customer {
    pub fn new(id: i64) -> Self {
        Self {
            id,
            tenant: "acme".into(),
            ssn: EncryptedStr::new(SSN),
            card: Some(EncryptedStr::new(CARD)),
            note: EncryptedStr::new(NOTE),
            email: Some(EncryptedStr::new("ada@example.com")),
        }
    }

    pub fn exposed(&self) -> [&str; 3] {
        let card = self.card.as_ref().unwrap();
        [self.ssn.expose().unwrap(), card.expose().unwrap(), self.note.expose().unwrap()]
    }
}

pub fn plain_cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

/// As the attributes of the item: two keys, three contexts.
pub fn cryptor(emulator: &Emulator) -> Cryptor {
    plain_cryptor()
        .with_legacy(emulator.of([("", ""); 0]))
        .with_legacy_of("customer", "card", emulator.of(PAYMENT))
        .with_legacy_of("customer", "note", Pydynox::new(emulator.clone(), OTHER))
}

pub async fn database() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let ddl = "create table customers (id integer primary key, tenant text, ssn text, card text, note text, \
               email text)";
    sqlx::raw_sql(ddl).execute(&pool).await.unwrap();
    pool
}

/// The stored texts of the item.
pub fn item() -> [String; 3] {
    let item = &vectors().items[0]["dynamodb_json"];
    ["ssn", "card", "note"].map(|name| item[name]["S"].as_str().unwrap().to_owned())
}

pub async fn put(pool: &SqlitePool, id: i64, [ssn, card, note]: &[String; 3]) {
    sqlx::query("insert into customers (id, tenant, ssn, card, note) values ($1, 'acme', $2, $3, $4)")
        .bind(id)
        .bind(ssn)
        .bind(card)
        .bind(note)
        .execute(pool)
        .await
        .unwrap();
}

pub async fn stored(pool: &SqlitePool, id: i64) -> [String; 3] {
    let query = sqlx::query_as("select ssn, card, note from customers where id = $1").bind(id);
    let (ssn, card, note) = query.fetch_one(pool).await.unwrap();
    [ssn, card, note]
}

pub async fn with_item() -> (SqlitePool, Emulator, Cryptor) {
    let (pool, emulator) = (database().await, Emulator::new());
    put(&pool, 1, &item()).await;
    let cryptor = cryptor(&emulator);
    (pool, emulator, cryptor)
}

pub fn table<'a>(pool: &'a SqlitePool, cryptor: &'a Cryptor) -> SqlTable<Customer, Sqlite> {
    SqlTable::new(pool, cryptor)
}

pub async fn count(pool: &SqlitePool) -> i64 {
    sqlx::query_scalar("select count(*) from customers").fetch_one(pool).await.unwrap()
}

/// How pydynox would read the three texts of a row.
pub fn as_pydynox(emulator: &Emulator, texts: &[String; 3]) -> [String; 3] {
    use super::support::read_as_pydynox;
    let payment = PAYMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let none = pii::ServiceContext::new();
    [
        read_as_pydynox(emulator, &texts[0], &none),
        read_as_pydynox(emulator, &texts[1], &payment),
        read_as_pydynox(emulator, &texts[2], &none),
    ]
}
