//! Key calls, caches, keyrings and key stores.

use super::*;

#[tokio::test]
async fn a_thousand_rows_cost_one_key_call_each_way() {
    let folder = tempfile::tempdir().unwrap();
    let build = || {
        Cryptor::envelope()
            .keyring(TestKeyring::new())
            .key_store(FileKeyStore::open(folder.path()).unwrap())
            .build()
            .unwrap()
    };
    let writer = build();
    let mut rows: Vec<Customer> = (0..1000).map(|id| Customer { id, ..ada() }).collect();
    writer.seal(&mut rows).await.unwrap();
    assert_eq!((writer.stats().key_calls(), writer.stats().sealed), (1, 2000));
    let reader = build();
    let mut loaded: Vec<Customer> = rows.iter().map(through_storage).collect();
    reader.open(&mut loaded).await.unwrap();
    assert_eq!((reader.stats().key_calls(), reader.stats().opened), (1, 2000));
    let prefix = rows[0].email.ciphertext().unwrap().key_prefix();
    assert!(rows.iter().all(|row| row.email.ciphertext().unwrap().as_str().starts_with(prefix)));
    assert_eq!(prefix.len(), 28);
}

#[tokio::test]
async fn who_asks_while_a_key_is_fetched_shares_it() {
    let keyring = FailingKeyring::new(DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(30)));
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|id| {
            let cryptor = cryptor.clone();
            tokio::spawn(async move { cryptor.seal(&mut [Customer { id, ..ada() }]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(keyring.calls(), 1);
}

#[tokio::test]
async fn fifty_keys_are_asked_for_together() {
    let keyring = FailingKeyring::new(DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(20)));
    let build = || Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let mut rows: Vec<Customer> =
        (0..50).map(|id| Customer { id, tenant: format!("tenant-{id}"), ..ada() }).collect();
    build().seal(&mut rows).await.unwrap();
    let calls = keyring.calls();
    let mut loaded: Vec<Customer> = rows.iter().map(through_storage).collect();
    build().open(&mut loaded).await.unwrap();
    assert_eq!(keyring.calls() - calls, 50);
}

#[tokio::test]
async fn a_key_error_refuses_everything_and_a_later_call_recovers() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    // each refusal is asked for anew
    let limits = CacheLimits { negative_age: std::time::Duration::ZERO, ..CacheLimits::default() };
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).cache_limits(limits).build().unwrap();
    for kind in
        [ErrorKind::KeyDenied, ErrorKind::KeyDisabled, ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable]
    {
        keyring.fail_with(kind);
        let mut rows = [ada()];
        assert_eq!(cryptor.seal(&mut rows).await.unwrap_err().kind(), kind);
        assert_eq!(rows[0].email.state(), ValueState::Plain, "nothing was changed");
    }
    keyring.recover();
    cryptor.seal(&mut [ada()]).await.unwrap();
}

#[tokio::test]
async fn cache_limits_bound_the_use_of_a_key() {
    let limits = CacheLimits { max_messages: 4, ..CacheLimits::default() };
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).cache_limits(limits).build().unwrap();
    for _ in 0..4 {
        cryptor.seal(&mut [ada()]).await.unwrap();
    }
    assert_eq!(cryptor.stats().keys_generated, 2, "two values a row, four values a key");
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "two-keyrings")]
struct TwoKeyrings {
    #[pii(id)]
    id: i64,
    low: EncryptedStr,
    #[pii(keyring = "high")]
    high: EncryptedStr,
}

#[tokio::test]
async fn neighbouring_fields_have_different_keyrings() {
    let folder = tempfile::tempdir().unwrap();
    let (low, high) = (folder.path().join("low.key"), folder.path().join("high.key"));
    let model = || TwoKeyrings { id: 1, low: EncryptedStr::new("low"), high: EncryptedStr::new("high") };
    let without = Cryptor::envelope().keyring(LocalKeyring::create(&low).unwrap()).build().unwrap();
    let error = without.seal(&mut [model()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("named_keyring(\"high\""), "{error}");
    let with = Cryptor::envelope()
        .keyring(LocalKeyring::open(&low).unwrap())
        .named_keyring("high", LocalKeyring::create(&high).unwrap())
        .build()
        .unwrap();
    let mut rows = [model()];
    with.seal(&mut rows).await.unwrap();
    assert_ne!(rows[0].low.ciphertext().unwrap().key_id(), rows[0].high.ciphertext().unwrap().key_id());
    let mut swapped = [through_storage(&rows[0])];
    let wrong = Cryptor::envelope()
        .keyring(LocalKeyring::open(&low).unwrap())
        .named_keyring("high", LocalKeyring::open(&low).unwrap())
        .build()
        .unwrap();
    let results = wrong.open_each(&mut swapped, &FieldSelection::only(["low"])).await.unwrap();
    assert!(results[0].is_ok());
    assert_eq!(wrong.open(&mut swapped).await.unwrap_err().kind(), ErrorKind::KeyMissing);
}

#[tokio::test]
async fn test_values_are_refused_by_a_real_keyring() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = [ada()];
    cryptor().seal(&mut rows).await.unwrap();
    let real = Cryptor::envelope()
        .keyring(LocalKeyring::create(folder.path().join("pii.key")).unwrap())
        .build()
        .unwrap();
    let error = real.open(&mut [through_storage(&rows[0])]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
    assert!(error.to_string().contains("test keyring"), "{error}");
}

#[tokio::test]
async fn key_files_and_stores_survive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("pii.key"), folder.path().join("keys"));
    LocalKeyring::create(&file).unwrap();
    let build = || {
        Cryptor::envelope()
            .keyring(LocalKeyring::open(&file).unwrap())
            .key_store(FileKeyStore::open(&store).unwrap())
            .build()
            .unwrap()
    };
    let mut rows = [ada()];
    build().seal(&mut rows).await.unwrap();
    let mut loaded = [through_storage(&rows[0])];
    build().open(&mut loaded).await.unwrap();
    let mut later = [ada()];
    build().seal(&mut later).await.unwrap();
    assert_eq!(
        rows[0].email.ciphertext().unwrap().key_id(),
        later[0].email.ciphertext().unwrap().key_id(),
        "the elected key is used by every process"
    );

    let key_id = rows[0].email.ciphertext().unwrap().key_id();
    let record = store.join(format!("{key_id}.json"));
    let text = std::fs::read_to_string(&record).unwrap();
    let open = async || build().open(&mut [through_storage(&rows[0])]).await.unwrap_err();
    std::fs::write(&record, text.replace("acme", "evil")).unwrap();
    assert_eq!(open().await.kind(), ErrorKind::ContextMismatch, "a relabelled record");
    std::fs::write(&record, text.replace("\"epoch\":0", "\"epoch\":1")).unwrap();
    assert_eq!(open().await.kind(), ErrorKind::ContextMismatch, "a prolonged record");
    std::fs::write(&record, text.replace("\"blob\":\"", "\"blob\":\"AAAA")).unwrap();
    assert!(open().await.is_integrity(), "an altered record");
    std::fs::write(&record, &text[..text.len() / 2]).unwrap();
    assert_eq!(open().await.kind(), ErrorKind::Malformed, "half a record");
    std::fs::remove_file(&record).unwrap();
    let error = open().await;
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
    assert_eq!(error.key_id().unwrap(), key_id.to_string());
    assert_eq!(
        build().seal(&mut [ada()]).await.unwrap_err().kind(),
        ErrorKind::KeyMissing,
        "no second key beside it"
    );
    std::fs::write(&record, text).unwrap();
    build().open(&mut [through_storage(&rows[0])]).await.unwrap();
}

#[test]
fn two_hundred_tasks_in_four_processes_worth_of_cryptors_elect_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let cryptor = Cryptor::envelope()
                .keyring(TestKeyring::new())
                .key_store(FileKeyStore::open(folder.path()).unwrap())
                .build()
                .unwrap();
            for id in 0..50 {
                let cryptor = cryptor.clone();
                tasks.push(tokio::spawn(async move {
                    let mut rows = [Customer { id, ..ada() }];
                    cryptor.seal(&mut rows).await.unwrap();
                    rows[0].email.ciphertext().unwrap().key_id()
                }));
            }
        }
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(task.await.unwrap());
        }
        assert!(ids.iter().all(|id| *id == ids[0]));
    });
    let records = std::fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".json"));
    assert_eq!(records.count(), 1, "losers leave no record behind");
}

#[test]
fn who_makes_a_key_file_together_has_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.key"));
        let keyrings: Vec<LocalKeyring> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| LocalKeyring::open_or_create(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let stored = LocalKeyring::open(&path).unwrap().key_ids();
        assert!(keyrings.iter().all(|keyring| keyring.key_ids() == stored));
    }
}

#[tokio::test]
async fn a_forged_election_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let build = || {
        Cryptor::envelope()
            .keyring(TestKeyring::new())
            .key_store(FileKeyStore::open(folder.path()).unwrap())
            .build()
            .unwrap()
    };
    build().seal(&mut [ada()]).await.unwrap();
    let election = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("slot-"))
        .unwrap();
    let later = election
        .with_file_name(election.file_name().unwrap().to_string_lossy().replace("-00000000", "-00000001"));
    std::fs::copy(&election, &later).unwrap();
    let error = build().seal(&mut [ada()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch, "a key of epoch 0 made active for epoch 1: {error}");
    std::fs::remove_file(later).unwrap();
    build().seal(&mut [Customer { tenant: "globex".into(), ..ada() }]).await.unwrap();
    let elections: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("slot-"))
        .collect();
    std::fs::copy(&elections[0], &elections[1]).unwrap();
    let results = [
        build().seal(&mut [ada()]).await,
        build().seal(&mut [Customer { tenant: "globex".into(), ..ada() }]).await,
    ];
    assert_eq!(
        results.iter().filter(|result| result.is_err()).count(),
        1,
        "another tenant's key is not taken"
    );
}

#[tokio::test]
async fn what_an_attacker_appends_to_copies_costs_no_more_key_calls() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let writer = cryptor();
    let mut rows = [ada()];
    writer.seal(&mut rows).await.unwrap();
    let text = rows[0].email.ciphertext().unwrap().as_str().to_owned();
    let bytes = STANDARD.decode(&text[4..]).unwrap();
    let block = usize::from(u16::from_be_bytes([bytes[18], bytes[19]]));
    let with_junk = |junk: u16| {
        let copy = [&[99, 0, 1, b'k', 0, 2][..], &junk.to_be_bytes()].concat();
        let mut out = bytes[..18].to_vec();
        out.extend(u16::try_from(block + copy.len()).unwrap().to_be_bytes());
        out.extend(&bytes[20..20 + block]);
        out[25] += 1; // the count
        out.extend(copy);
        out.extend(&bytes[20 + block..]);
        format!("ENC:{}", STANDARD.encode(out))
    };
    let reader = cryptor();
    reader
        .open(&mut [Customer { email: EncryptedStr::from_stored(text.clone()), ssn: None, ..ada() }])
        .await
        .unwrap();
    for junk in 0..200 {
        let mut rows = [Customer { email: EncryptedStr::from_stored(with_junk(junk)), ssn: None, ..ada() }];
        reader.open(&mut rows).await.unwrap();
    }
    assert_eq!(reader.stats().key_calls(), 1);
}
