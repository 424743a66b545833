//! The numbers of calls to KMS that docs/keys.md states. They depend on encryption contexts and processes, not
//! on rows and fields: a million rows are so many batches of these.

use std::{sync::Arc, time::Duration};

use pii::{
    Cryptor, EncryptedStr, HierarchicalKeyring, KeyStore, Mode, PiiModel, SqlKeyStore,
    testing::{
        Clock,
        kms::{FakeKms, Operation},
    },
};
use sqlx::sqlite::SqlitePoolOptions;

use super::support::{ACCOUNT, Kms, REGION};

#[derive(PiiModel)]
#[pii(name = "customer", context(app = "shop", tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    name: EncryptedStr,
    email: EncryptedStr,
    phone: EncryptedStr,
}

/// Rows of 3 sealed fields, of so many tenants in turn.
fn customers(rows: i64, tenants: i64) -> Vec<Customer> {
    let customer = |id| Customer {
        id,
        tenant: format!("tenant-{}", id % tenants),
        name: EncryptedStr::new("Ada"),
        email: EncryptedStr::new("ada@example.com"),
        phone: EncryptedStr::new("555-0100"),
    };
    (0..rows).map(customer).collect()
}

fn loaded(rows: Vec<Customer>) -> Vec<Customer> {
    let load = |value: EncryptedStr| EncryptedStr::from_ciphertext(value.ciphertext().unwrap().clone());
    let row = |row: Customer| Customer {
        name: load(row.name),
        email: load(row.email),
        phone: load(row.phone),
        ..row
    };
    rows.into_iter().map(row).collect()
}

/// One process writes the rows, in batches, and another reads them: the calls of each.
async fn calls(fake: &FakeKms, process: impl Fn() -> Cryptor, rows: i64, tenants: i64) -> [u64; 2] {
    const BATCH: usize = 1000;
    fake.reset_counters();
    let mut rows = customers(rows, tenants);
    let writer = process();
    for batch in rows.chunks_mut(BATCH) {
        writer.seal(batch).await.unwrap();
    }
    let written = fake.total_calls();
    assert_eq!(fake.calls(Operation::GenerateDataKey), written);
    let mut rows = loaded(rows);
    let reader = process();
    for batch in rows.chunks_mut(BATCH) {
        reader.open(batch).await.unwrap();
    }
    assert!(rows.iter().all(|row| row.phone.expose().unwrap() == "555-0100"));
    let read = fake.total_calls() - written;
    assert_eq!(fake.calls(Operation::Decrypt), read);
    [written, read]
}

async fn store() -> Arc<dyn KeyStore> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let store = SqlKeyStore::new(pool);
    store.create_table().await.unwrap();
    Arc::new(store)
}

#[tokio::test]
async fn rows_and_fields_cost_nothing() {
    let kms = Kms::start().await;
    for rows in [1, 20_000] {
        let store = store().await;
        let process = || {
            let builder = Cryptor::envelope().keyring(kms.keyring());
            builder.shared_key_store(Arc::clone(&store)).build().unwrap()
        };
        assert_eq!(calls(&kms.fake, process, rows, 1).await, [1, 1], "{rows} rows");
    }
}

#[tokio::test]
async fn each_tenant_costs_one_call() {
    let kms = Kms::start().await;
    let store = store().await;
    let process = || {
        let builder = Cryptor::envelope().keyring(kms.keyring());
        builder.shared_key_store(Arc::clone(&store)).build().unwrap()
    };
    assert_eq!(calls(&kms.fake, process, 1000, 100).await, [100, 100]);
}

/// Without HTTP, and with values that carry their keys: ten thousand requests and records of a key
/// store would only take time.
#[tokio::test]
async fn ten_thousand_tenants_cost_ten_thousand_calls() {
    let fake = FakeKms::new(REGION, ACCOUNT);
    let key = fake.create_key().unwrap();
    let process = || Cryptor::envelope().keyring(fake.keyring(&key)).build().unwrap();
    assert_eq!(calls(&fake, process, 10_000, 10_000).await, [10_000, 10_000]);
}

#[tokio::test]
async fn tenants_cost_nothing_under_a_hierarchical_keyring() {
    let kms = Kms::start().await;
    for tenants in [1, 100, 10_000] {
        let branch_store = store().await;
        let process = || {
            let keyring = HierarchicalKeyring::shared(Arc::new(kms.keyring()), Arc::clone(&branch_store));
            Cryptor::envelope().keyring(keyring).build().unwrap()
        };
        assert_eq!(calls(&kms.fake, process, 10_000, tenants).await, [1, 1], "{tenants} tenants");
    }
}

/// A process that writes and reads every ten seconds for a day: at most one call each way per 240 seconds,
/// as keys are fetched anew when four fifths of their five minutes have passed.
#[tokio::test]
async fn a_busy_day() {
    let fake = FakeKms::new(REGION, ACCOUNT);
    let key = fake.create_key().unwrap();
    let clock = Clock::new();
    let builder = Cryptor::envelope().keyring(fake.keyring(&key)).shared_key_store(store().await);
    let process = builder.clock(&clock).build().unwrap();
    for _ in 0..24 * 360 {
        let mut rows = customers(1, 1);
        process.seal(&mut rows).await.unwrap();
        process.open(&mut loaded(rows)).await.unwrap();
        clock.advance(Duration::from_secs(10));
    }
    assert_eq!(fake.calls(Operation::GenerateDataKey), 1);
    assert!((2 * 288..=2 * 360).contains(&fake.total_calls()), "{}", fake.total_calls());
}

/// A write-only service never gets a data key back: it makes a new one whenever the old one has aged, and
/// readers unwrap each of them.
#[tokio::test]
async fn a_busy_day_of_a_write_only_service() {
    let fake = FakeKms::new(REGION, ACCOUNT);
    let key = fake.create_key().unwrap();
    let (clock, store) = (Clock::new(), store().await);
    let builder =
        || Cryptor::envelope().keyring(fake.keyring(&key)).shared_key_store(Arc::clone(&store)).clock(&clock);
    let writer = builder().mode(Mode::WriteOnly).build().unwrap();
    let mut rows = customers(24 * 360, 1);
    for row in rows.chunks_mut(1) {
        writer.seal(row).await.unwrap();
        clock.advance(Duration::from_secs(10));
    }
    let made = fake.total_calls();
    assert_eq!(fake.calls(Operation::GenerateDataKey), made);
    assert!((288..=360).contains(&made), "{made}");
    builder().build().unwrap().open(&mut loaded(rows)).await.unwrap();
    assert_eq!(fake.calls(Operation::Decrypt), made);
}
