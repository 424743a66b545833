//! One allocation per value inside a batch: its text when sealed, its plaintext when opened, at
//! level 3 too.

use std::alloc::System;

use pii::{AppKeys, Cryptor, EncryptedStr, PiiModel, TestKeyring};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(app = "allocations", tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: EncryptedStr,
    #[pii(level = 3)]
    ssn: EncryptedStr,
}

fn rows(count: i64) -> Vec<Customer> {
    let value = |text: &str| EncryptedStr::new(text);
    (0..count)
        .map(|id| Customer {
            id,
            tenant: "acme".into(),
            email: value("ada@example.com"),
            phone: value("+1-555-0100"),
            ssn: value("900-12-3456"),
        })
        .collect()
}

/// Allocations of a run; growing in place counts too.
fn count(run: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    run();
    let change = region.change();
    change.allocations + change.reallocations
}

#[test]
fn one_allocation_per_value() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let app_keys = AppKeys::from_json(
        r#"{"app_encryption_keys": {"level3_app_key_v1": "32 random characters, or even more", "current_version": 1}}"#,
    )
    .unwrap();
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).app_keys(app_keys).build().unwrap();
    let sealing = |count_of_rows: i64| {
        let rows = rows(count_of_rows);
        count(|| drop(runtime.block_on(cryptor.seal_texts(&rows)).unwrap()))
    };
    let opening = |count_of_rows: i64| {
        let mut rows = rows(count_of_rows);
        runtime.block_on(cryptor.seal(&mut rows)).unwrap();
        let stored =
            |value: &EncryptedStr| EncryptedStr::from_ciphertext(value.ciphertext().unwrap().clone());
        let mut loaded: Vec<Customer> = rows
            .iter()
            .map(|row| Customer {
                email: stored(&row.email),
                phone: stored(&row.phone),
                ssn: stored(&row.ssn),
                ..row.clone()
            })
            .collect();
        count(|| runtime.block_on(cryptor.open(&mut loaded)).unwrap())
    };
    for (what, run) in [("sealing", &sealing as &dyn Fn(i64) -> usize), ("opening", &opening)] {
        run(1000); // the data key is in the cache from here on
        let (few, many) = (run(1000), run(2000));
        // a batch has some allocations of its own; 3,000 more values may add no more than 3,000 and
        // a few for longer lists
        let more = many - few;
        assert!((3000..3060).contains(&more), "{what}: {more} allocations for 3,000 values");
        assert!(few < 3100, "{what}: {few} allocations for 3,000 values and their batch");
    }
}
