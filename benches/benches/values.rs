//! Sealing and opening values, beside the bare crates in the same run.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pii::{AppKeys, Cryptor, EncryptedStr, FieldSelection, FileKeyStore, PiiModel, TestKeyring};
use pii_benches::{Bare, BareRow};

#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct One {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct Three {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

/// As [`One`], sealed under an application key too.
#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct LevelThree {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(level = 3)]
    email: EncryptedStr,
}

const BATCH: usize = 1000;
const APP_KEYS: &str = r#"{"app_encryption_keys": {
    "level3_app_key_v1": "no secret, but 32 characters and more", "current_version": 1
}}"#;

fn text(length: usize, salt: usize) -> String {
    (0..length).map(|at| char::from(b'a' + u8::try_from((at + salt) % 26).unwrap())).collect()
}

/// Rows for the other side, with as many values each as there are lengths.
fn bare_rows(lengths: &[usize]) -> Vec<BareRow> {
    let values = |salt: usize| lengths.iter().map(|length| text(*length, salt)).collect();
    (0..BATCH)
        .zip(0..)
        .map(|(salt, id)| BareRow { id, tenant: "acme".into(), values: values(salt) })
        .collect()
}

/// The same rows with these sealed values.
fn bare_stored(rows: &[BareRow], texts: Vec<String>) -> Vec<BareRow> {
    let mut texts = texts.into_iter();
    rows.iter()
        .map(|row| BareRow { values: texts.by_ref().take(row.values.len()).collect(), ..row.clone() })
        .collect()
}

fn cryptor() -> (tempfile::TempDir, Cryptor) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path()).unwrap();
    let app_keys = AppKeys::from_json(APP_KEYS).unwrap();
    let builder = Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).app_keys(app_keys);
    (folder, builder.build().unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn values(c: &mut Criterion) {
    let (_folder, cryptor) = cryptor();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bare = Bare::new(&["email"]);
    for length in [11, 32, 256, 4096] {
        let plain = bare_rows(&[length]);
        let rows: Vec<One> = plain
            .iter()
            .map(|row| One {
                id: row.id,
                tenant: row.tenant.clone(),
                email: EncryptedStr::new(row.values[0].as_str()),
            })
            .collect();

        let mut group = c.benchmark_group("seal");
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_with_input(BenchmarkId::new("bare", length), &plain, |b, plain| {
            b.iter(|| bare.seal(plain))
        });
        group.bench_with_input(BenchmarkId::new("pii", length), &rows, |b, rows| {
            b.iter(|| runtime.block_on(cryptor.seal_texts(rows)).unwrap());
        });
        group.finish();

        let bare_sealed = bare_stored(&plain, bare.seal(&plain));
        let stored: Vec<String> = block_on(cryptor.seal_texts(&rows))
            .unwrap()
            .into_iter()
            .map(|mut row| row.next().unwrap().into())
            .collect();
        let loaded: Vec<One> = stored
            .iter()
            .zip(0..)
            .map(|(text, id)| One {
                id,
                tenant: "acme".into(),
                email: EncryptedStr::from_stored(text.clone()),
            })
            .collect();
        let mut group = c.benchmark_group("open");
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_with_input(BenchmarkId::new("bare", length), &bare_sealed, |b, stored| {
            // both sides get their texts freshly allocated, as from a database
            b.iter_batched(|| stored.clone(), |rows| (bare.open(&rows), rows), BatchSize::LargeInput);
        });
        group.bench_with_input(BenchmarkId::new("pii", length), &loaded, |b, loaded| {
            b.iter_batched(
                || loaded.clone(),
                |mut rows| {
                    runtime.block_on(cryptor.open_each(&mut rows, &FieldSelection::All)).unwrap();
                    rows
                },
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

/// Beside the bare crates used twice: for the plaintext, and for an inner envelope of its length.
fn level_3(c: &mut Criterion) {
    const INNER: usize = 57;
    let (_folder, cryptor) = cryptor();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bare = Bare::new(&["email"]);
    let length = 32;
    let (plain, inner) = (bare_rows(&[length]), bare_rows(&[INNER + length]));
    let rows: Vec<LevelThree> = plain
        .iter()
        .map(|row| LevelThree {
            id: row.id,
            tenant: row.tenant.clone(),
            email: EncryptedStr::new(row.values[0].as_str()),
        })
        .collect();

    let mut group = c.benchmark_group("seal level 3");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(BenchmarkId::new("bare twice", length), |b| {
        b.iter(|| (bare.seal(&plain), bare.seal(&inner)));
    });
    group.bench_function(BenchmarkId::new("pii", length), |b| {
        b.iter(|| runtime.block_on(cryptor.seal_texts(&rows)).unwrap());
    });
    group.finish();

    let bare_sealed = (bare_stored(&plain, bare.seal(&plain)), bare_stored(&inner, bare.seal(&inner)));
    let mut sealed = rows;
    block_on(cryptor.seal(&mut sealed)).unwrap();
    let loaded: Vec<LevelThree> = sealed
        .iter()
        .map(|row| LevelThree {
            email: EncryptedStr::from_ciphertext(row.email.ciphertext().unwrap().clone()),
            ..row.clone()
        })
        .collect();
    let mut group = c.benchmark_group("open level 3");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(BenchmarkId::new("bare twice", length), |b| {
        b.iter_batched(
            || bare_sealed.clone(),
            |(outer, inner)| (bare.open(&outer), bare.open(&inner), outer, inner),
            BatchSize::LargeInput,
        );
    });
    group.bench_function(BenchmarkId::new("pii", length), |b| {
        b.iter_batched(
            || loaded.clone(),
            |mut rows| {
                runtime.block_on(cryptor.open_each(&mut rows, &FieldSelection::All)).unwrap();
                rows
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn batch_of_rows(c: &mut Criterion) {
    let (_folder, cryptor) = cryptor();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bare = Bare::new(&["email", "phone", "ssn"]);
    let plain = bare_rows(&[32, 15, 11]);
    let rows: Vec<Three> = plain
        .iter()
        .map(|row| Three {
            id: row.id,
            tenant: row.tenant.clone(),
            email: EncryptedStr::new(row.values[0].as_str()),
            phone: EncryptedStr::new(row.values[1].as_str()),
            ssn: Some(EncryptedStr::new(row.values[2].as_str())),
        })
        .collect();
    let mut group = c.benchmark_group("1000 rows x 3 fields");
    group.throughput(Throughput::Elements(3 * BATCH as u64));
    group.bench_function("seal/bare", |b| b.iter(|| bare.seal(&plain)));
    group.bench_function("seal/pii", |b| b.iter(|| runtime.block_on(cryptor.seal_texts(&rows)).unwrap()));
    let bare_sealed = bare_stored(&plain, bare.seal(&plain));
    let mut sealed = rows.clone();
    block_on(cryptor.seal(&mut sealed)).unwrap();
    let stored = |value: &EncryptedStr| EncryptedStr::from_ciphertext(value.ciphertext().unwrap().clone());
    let loaded: Vec<Three> = sealed
        .iter()
        .map(|row| Three {
            email: stored(&row.email),
            phone: stored(&row.phone),
            ssn: row.ssn.as_ref().map(stored),
            ..row.clone()
        })
        .collect();
    group.bench_function("open/bare", |b| {
        b.iter_batched(|| bare_sealed.clone(), |rows| (bare.open(&rows), rows), BatchSize::LargeInput);
    });
    group.bench_function("open/pii", |b| {
        b.iter_batched(
            || loaded.clone(),
            |mut rows| {
                runtime.block_on(cryptor.open_each(&mut rows, &FieldSelection::All)).unwrap();
                rows
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, values, level_3, batch_of_rows);
criterion_main!(benches);
