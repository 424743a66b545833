//! The formats of other systems: calls for keys, and the time of each value.
#![allow(missing_docs, reason = "criterion's macros make an undocumented function")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pii::{
    Amsdal, BoxFuture, EncryptionSdk, Error, ErrorKind, KeyService, Powertools, Result, SecretBytes,
    ServiceContext, ServiceDataKey,
};
use tokio::runtime::Runtime;

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const MESSAGES: u32 = 1000;
/// A call to a key service.
const CALL: Duration = Duration::from_millis(5);

/// A key service in memory, which takes its time. Clones share keys and counters.
#[derive(Clone, Default)]
struct Service {
    known: Arc<Mutex<HashMap<Vec<u8>, SecretBytes>>>,
    calls: Arc<AtomicUsize>,
}

impl Service {
    async fn call(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(CALL).await;
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    fn messages(&self) -> EncryptionSdk {
        EncryptionSdk::builder(self.clone()).key(KEY).build().unwrap()
    }
}

impl KeyService for Service {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        _: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>> {
        Box::pin(async move {
            self.call().await;
            let (mut key, mut blob) = ([0; 32], vec![0; 184]);
            getrandom::fill(&mut key).unwrap();
            getrandom::fill(&mut blob).unwrap();
            let plaintext = SecretBytes::copy_from(&key);
            self.known.lock().unwrap().insert(blob.clone(), plaintext.clone());
            Ok(ServiceDataKey { plaintext, blob, key_arn: key_id.to_owned() })
        })
    }

    fn decrypt<'a>(
        &'a self,
        _: Option<&'a str>,
        blob: &'a [u8],
        _: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>> {
        Box::pin(async move {
            self.call().await;
            let known = self.known.lock().unwrap().get(blob).cloned();
            known.ok_or_else(|| Error::new(ErrorKind::KeyMissing))
        })
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn context() -> ServiceContext {
    ServiceContext::from([("tenant".to_owned(), "acme".to_owned())])
}

async fn write(messages: &EncryptionSdk, bytes: usize) -> Vec<Vec<u8>> {
    let (plaintext, context) = (vec![b'x'; bytes], context());
    let mut written = Vec::new();
    for _ in 0..MESSAGES {
        written.push(messages.encrypt(&plaintext, &context).await.unwrap());
    }
    written
}

async fn read(messages: &EncryptionSdk, written: &[Vec<u8>]) {
    let context = context();
    for message in written {
        messages.decrypt(message, &context).await.unwrap();
    }
}

/// Not a matter of repetition: what a new process asks for, counted once.
fn calls(_: &mut Criterion) {
    let (runtime, service) = (runtime(), Service::default());
    println!("\nkey service calls of a new process, {CALL:?} each, for {MESSAGES} messages of 20 bytes");
    let began = Instant::now();
    let written = runtime.block_on(write(&service.messages(), 20));
    println!("written with {} calls in {:.0?}", service.calls(), began.elapsed());
    let began = Instant::now();
    runtime.block_on(read(&service.messages(), &written));
    let calls = service.calls();
    println!("read with {calls} calls in {:.0?}\n", began.elapsed());
    assert_eq!(calls, 1, "one data key, one call");
}

/// Data keys are kept: what is left is the message.
fn each_message(c: &mut Criterion) {
    let (runtime, service) = (runtime(), Service::default());
    let mut group = c.benchmark_group("1000 messages of the AWS Encryption SDK, data key kept");
    group.sample_size(20).throughput(Throughput::Elements(u64::from(MESSAGES)));
    for bytes in [20, 10_000] {
        let messages = service.messages();
        let written = runtime.block_on(write(&messages, bytes));
        runtime.block_on(read(&messages, &written));
        group.bench_function(format!("write {bytes} bytes"), |b| {
            b.iter_batched(|| (), |()| runtime.block_on(write(&messages, bytes)), BatchSize::PerIteration);
        });
        group.bench_function(format!("read {bytes} bytes"), |b| {
            b.iter(|| runtime.block_on(read(&messages, &written)));
        });
    }
    let data_masker = Powertools::new(service.messages());
    let context = context();
    let value = serde_json::json!({"name": "Ada", "email": "ada@example.com", "ids": [1, 2, 3]});
    let text = runtime.block_on(data_masker.encrypt(&value, &context)).unwrap();
    group.bench_function("read a JSON value of Powertools", |b| {
        b.iter(|| {
            for _ in 0..MESSAGES {
                runtime.block_on(data_masker.decrypt(&text, &context)).unwrap();
            }
        });
    });
    group.finish();
}

/// One request of the writer: its values share a data key, which a batch asks for once.
fn amsdal(c: &mut Criterion) {
    let (runtime, service) = (runtime(), Service::default());
    let fields = Amsdal::new(service.clone(), "alias/pii");
    let plaintexts: Vec<&[u8]> = (0..MESSAGES).map(|_| &b"alice@example.com"[..]).collect();
    let texts = runtime.block_on(fields.encrypt_all(&plaintexts)).unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut group = c.benchmark_group("1000 values of AMSDAL, 5 ms for the data key");
    group.sample_size(20).throughput(Throughput::Elements(u64::from(MESSAGES)));
    group.bench_function("read", |b| b.iter(|| runtime.block_on(fields.decrypt_each(&texts))));
    group.finish();
}

criterion_group!(benches, calls, each_message, amsdal);
criterion_main!(benches);
