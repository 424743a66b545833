//! Key calls, and the time that they take: flat and hierarchical keyrings, pages with many keys, look-ups.
#![allow(missing_docs, reason = "criterion's macros make an undocumented function")]

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pii::{
    Cryptor, EncryptedStr, FieldSelection, FileKeyStore, HierarchicalKeyring, KeyStore, Keyring,
    LocalKeyring, PiiModel,
    testing::{DelayingKeyring, FailingKeyring},
};
use tokio::runtime::Runtime;

#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

const ROWS: i64 = 10_000;
/// A call to a key service.
const CALL: Duration = Duration::from_millis(5);

fn customers(rows: i64, contexts: i64) -> Vec<Customer> {
    let customer = |id: i64| Customer {
        id,
        tenant: format!("tenant-{}", id % contexts),
        email: EncryptedStr::new(format!("customer.{id}@example.com")),
    };
    (0..rows).map(customer).collect()
}

/// As they come from a database.
fn stored(rows: &[Customer]) -> Vec<Customer> {
    let text = |row: &Customer| EncryptedStr::from_ciphertext(row.email.ciphertext().unwrap().clone());
    rows.iter().map(|row| Customer { email: text(row), ..row.clone() }).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A key service, counted; and where records of data keys and branch keys are kept.
struct Setup {
    service: Arc<FailingKeyring<DelayingKeyring<LocalKeyring>>>,
    store: Arc<dyn KeyStore>,
    _folder: tempfile::TempDir,
}

impl Setup {
    fn new(delay: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = LocalKeyring::create(folder.path().join("pii.key")).unwrap();
        Self {
            service: Arc::new(FailingKeyring::new(DelayingKeyring::new(local, delay))),
            store: Arc::new(FileKeyStore::open(folder.path().join("keys")).unwrap()),
            _folder: folder,
        }
    }

    /// A process that has just started, with wrapped keys in values or in the key store.
    fn process(&self, is_hierarchical: bool, has_store: bool) -> Cryptor {
        let service: Arc<dyn Keyring> = self.service.clone();
        let keyring: Arc<dyn Keyring> = match is_hierarchical {
            true => Arc::new(HierarchicalKeyring::shared(service, Arc::clone(&self.store))),
            false => service,
        };
        let builder = Cryptor::envelope().shared_keyring("default", keyring);
        // one batch may have a key for each row here
        let builder = builder.inline_keys_per_batch(usize::try_from(ROWS).unwrap());
        match has_store {
            true => builder.shared_key_store(Arc::clone(&self.store)),
            false => builder,
        }
        .build()
        .unwrap()
    }
}

/// Not a matter of repetition: what a new process asks for, counted once.
fn calls(_: &mut Criterion) {
    let runtime = runtime();
    println!("\nkey service calls of a new process that writes, or reads, {ROWS} rows");
    println!(
        "{:>9} {:<13} {:<9} {:>7} {:>8} {:>10} {:>8} {:>10}",
        "contexts", "keyring", "copies", "delay", "written", "in", "read", "in"
    );
    for contexts in [1, 10, 100, ROWS] {
        for is_hierarchical in [false, true] {
            for has_store in [true, false] {
                if has_store && contexts == ROWS {
                    // as many calls as without a store, and a file to sync for each key
                    continue;
                }
                // of ten thousand calls the number is what matters
                let delay = if contexts == ROWS && !is_hierarchical { Duration::ZERO } else { CALL };
                let setup = Setup::new(delay);
                let mut rows = customers(ROWS, contexts);
                let began = Instant::now();
                let writer = setup.process(is_hierarchical, has_store);
                runtime.block_on(writer.seal(&mut rows)).unwrap();
                let (written, writing) = (setup.service.calls(), began.elapsed());
                let mut rows = stored(&rows);
                let began = Instant::now();
                let reader = setup.process(is_hierarchical, has_store);
                runtime.block_on(reader.open(&mut rows)).unwrap();
                let (read, reading) = (setup.service.calls() - written, began.elapsed());
                println!(
                    "{contexts:>9} {:<13} {:<9} {:>7} {written:>8} {:>10} {read:>8} {:>10}",
                    if is_hierarchical { "hierarchical" } else { "flat" },
                    if has_store { "in store" } else { "in values" },
                    format!("{delay:?}"),
                    format!("{:.0?}", writing),
                    format!("{:.0?}", reading),
                );
            }
        }
    }
    println!();
}

/// A page whose rows have fifty different keys, none of which is kept yet. One after the other, the
/// calls would take 250 ms.
fn page(c: &mut Criterion) {
    let runtime = runtime();
    let setup = Setup::new(CALL);
    let mut rows = customers(1000, 50);
    runtime.block_on(setup.process(false, true).seal(&mut rows)).unwrap();
    let mut group = c.benchmark_group("page of 1000 rows, 50 keys, 5 ms a call");
    group.sample_size(20).throughput(Throughput::Elements(1000));
    for at_once in [1, 16, 50] {
        group.bench_function(BenchmarkId::new("calls at once", at_once), |b| {
            b.iter_batched(
                || {
                    let builder = Cryptor::envelope().shared_keyring("default", setup.service.clone());
                    let builder = builder.shared_key_store(Arc::clone(&setup.store));
                    (builder.concurrent_key_calls(at_once).build().unwrap(), stored(&rows))
                },
                |(reader, mut page)| {
                    runtime.block_on(reader.open(&mut page)).unwrap();
                    page
                },
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Batches of one row whose key is kept: what is not decryption is look-up.
fn look_up(c: &mut Criterion) {
    let runtime = runtime();
    let setup = Setup::new(Duration::ZERO);
    let cryptor = setup.process(false, true);
    let mut rows = customers(100, 100);
    runtime.block_on(cryptor.seal(&mut rows)).unwrap();
    runtime.block_on(cryptor.open(&mut stored(&rows))).unwrap();
    let mut group = c.benchmark_group("open a batch of one row, key kept");
    for threads in [1, 2] {
        group.bench_function(BenchmarkId::new("threads", threads), |b| {
            b.iter_custom(|batches| {
                let start = Barrier::new(threads);
                thread::scope(|scope| {
                    let running: Vec<_> = (0..threads)
                        .map(|_| scope.spawn(|| open_batches(&cryptor, &rows, batches, &start)))
                        .collect();
                    running.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
                })
            });
        });
    }
    group.finish();
}

fn open_batches(cryptor: &Cryptor, rows: &[Customer], batches: u64, start: &Barrier) -> Duration {
    let runtime = runtime();
    let mut rows = stored(rows).into_iter().cycle();
    start.wait();
    let mut spent = Duration::ZERO;
    for _ in 0..batches {
        let mut batch = [rows.next().unwrap()];
        let began = Instant::now();
        runtime.block_on(cryptor.open_each(&mut batch, &FieldSelection::All)).unwrap();
        spent += began.elapsed();
    }
    spent
}

criterion_group!(benches, calls, page, look_up);
criterion_main!(benches);
