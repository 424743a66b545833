//! How many key calls there are, how many at once, and what a cryptor tells about its keys.

use std::{pin::pin, task::Context};

use futures_util::{StreamExt as _, stream};

use super::{key_support::*, *};

#[derive(PiiModel, Clone)]
#[pii(name = "reading")]
struct Reading {
    #[pii(id)]
    id: i64,
    value: EncryptedStr,
}

#[tokio::test]
async fn a_million_values_under_one_key_cost_one_call_each_way() {
    const BATCH: i64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let build = || {
        let builder = Cryptor::envelope().keyring(TestKeyring::new());
        builder.key_store(FileKeyStore::open(folder.path()).unwrap()).build().unwrap()
    };
    let (writer, reader) = (build(), build());
    for batch in 0..100 {
        let mut rows: Vec<Reading> = (batch * BATCH..(batch + 1) * BATCH)
            .map(|id| Reading { id, value: EncryptedStr::new(id.to_string()) })
            .collect();
        writer.seal(&mut rows).await.unwrap();
        for row in &mut rows {
            row.value = EncryptedStr::from_ciphertext(row.value.ciphertext().unwrap().clone());
        }
        reader.open(&mut rows).await.unwrap();
        assert!(rows.iter().all(|row| *row.value.expose().unwrap() == row.id.to_string()));
    }
    let (written, read) = (writer.stats(), reader.stats());
    assert_eq!((written.sealed, written.keys_generated, written.keys_unwrapped), (1_000_000, 1, 0));
    assert_eq!((read.opened, read.keys_generated, read.keys_unwrapped), (1_000_000, 0, 1));
}

#[tokio::test]
async fn keys_of_one_batch_are_asked_for_together() {
    // as many as may be under way by default
    for (limit, together) in [(None, 16), (Some(48), 48)] {
        let build = || {
            let builder = Cryptor::envelope().keyring(Together::new(together));
            let builder = match limit {
                Some(limit) => builder.concurrent_key_calls(limit),
                None => builder,
            };
            builder.build().unwrap()
        };
        let mut rows = tenants(48);
        in_time(build().seal(&mut rows)).await.unwrap();
        in_time(build().open(&mut all_stored(&rows))).await.unwrap();
        let contexts = rows.iter().map(|row| ctx!(app = "billing", tenant = &row.tenant).unwrap());
        in_time(build().warm(contexts)).await.unwrap();
    }
}

/// As a program does that reads pages ahead, and writes each before it goes on with the others.
#[tokio::test]
async fn batches_that_wait_for_another_one_do_not_keep_the_keys_from_it() {
    let keyring = Arc::new(DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(2)));
    let build = || {
        let builder = Cryptor::envelope().shared_keyring("default", keyring.clone());
        builder.concurrent_key_calls(2).build().unwrap()
    };
    let mut rows = tenants(40);
    build().seal(&mut rows).await.unwrap();
    let cryptor = build();
    let pages = rows.chunks(4).map(|page| {
        let (cryptor, mut page) = (cryptor.clone(), all_stored(page));
        async move {
            cryptor.open(&mut page).await.unwrap();
            page
        }
    });
    let pages: Vec<_> = pages.collect();
    let copied = in_time(async {
        let mut opened = stream::iter(pages).buffered(10);
        let mut copied = 0;
        while let Some(page) = opened.next().await {
            // meanwhile nobody polls the other pages
            for row in page {
                let mut copy = [Customer { tenant: format!("copy-{}", row.id), ..ada() }];
                cryptor.seal(&mut copy).await.unwrap();
                copied += 1;
            }
        }
        copied
    });
    assert_eq!(copied.await, 40);
}

/// Two callers share a call, and the one who began it leaves it alone.
#[tokio::test]
async fn who_shares_a_call_does_not_depend_on_who_began_it() {
    let cryptor = Cryptor::envelope()
        .keyring(DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(5)))
        .concurrent_key_calls(1)
        .build()
        .unwrap();
    let mut first = pin!(sealed(&cryptor));
    assert!(first.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
    let second = in_time(sealed(&cryptor)).await.unwrap();
    let mut other = [Customer { tenant: "globex".into(), ..ada() }];
    in_time(cryptor.seal(&mut other)).await.unwrap();
    assert_eq!(key_of(&in_time(first).await.unwrap()), key_of(&second));
    assert_eq!(cryptor.stats().key_calls(), 2);
}

#[tokio::test]
async fn values_with_too_many_keys_of_their_own_fail_alone() {
    let mut written = tenants(10);
    let twins: Vec<_> = written.iter().map(|row| Customer { id: row.id + 100, ..row.clone() }).collect();
    written.extend(twins);
    cryptor().seal(&mut written).await.unwrap();
    let reader = Cryptor::envelope().keyring(TestKeyring::new()).inline_keys_per_batch(4).build().unwrap();
    let mut rows = all_stored(&written);
    let results = reader.open_each(&mut rows, &FieldSelection::All).await.unwrap();
    for (result, row) in results.iter().zip(&rows) {
        // both rows of a tenant share its key
        assert_eq!(result.is_ok(), row.id % 100 < 4, "{}", row.id);
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("inline_keys_per_batch"), "{error}");
            assert_eq!(error.key_id(), Some(key_of(row).to_string().as_str()));
        }
    }
    assert_eq!(reader.stats().keys_unwrapped, 4);
    // those that are kept do not count
    for unwrapped in [8, 10, 10] {
        let _ = reader.open_each(&mut all_stored(&written), &FieldSelection::All).await.unwrap();
        assert_eq!(reader.stats().keys_unwrapped, unwrapped);
    }
    reader.open(&mut rows).await.unwrap();
}

#[tokio::test]
async fn the_cap_is_for_keys_that_travel_in_values() {
    let (storage, clock) = (Storage::files(), Clock::new());
    let mut rows = tenants(10);
    storage.process(&clock).await.seal(&mut rows).await.unwrap();
    let builder = by_clock(TestKeyring::new(), &clock).inline_keys_per_batch(1);
    let reader = builder.shared_key_store(storage.open().await).build().unwrap();
    reader.open(&mut all_stored(&rows)).await.unwrap();
}

#[tokio::test]
async fn keys_that_are_warm_need_no_call_and_evicted_ones_need_one() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor =
        Cryptor::envelope().keyring(keyring.clone()).named_keyring("high", keyring.clone()).build().unwrap();
    let context = |tenant: &str| ctx!(app = "billing", tenant = tenant).unwrap();
    cryptor.warm([context("acme"), context("globex"), context("acme")]).await.unwrap();
    assert_eq!(keyring.calls(), 2);
    let row = sealed(&cryptor).await.unwrap();
    assert_eq!(keyring.calls(), 2);
    cryptor.warm_keyrings([context("acme")], &[None, Some("high")]).await.unwrap();
    assert_eq!(keyring.calls(), 3);
    let unknown = cryptor.warm_keyrings([context("acme")], &[Some("low")]).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Configuration);

    opens(&cryptor, &row).await.unwrap();
    assert_eq!(keyring.calls(), 4);
    cryptor.evict(&context("globex"));
    sealed(&cryptor).await.unwrap();
    opens(&cryptor, &row).await.unwrap();
    assert_eq!(keyring.calls(), 4, "of another context");
    cryptor.evict(&context("acme"));
    let later = sealed(&cryptor).await.unwrap();
    assert_eq!(keyring.calls(), 5);
    assert_ne!(key_of(&later), key_of(&row));
    opens(&cryptor, &row).await.unwrap();
    assert_eq!(keyring.calls(), 6);
    cryptor.evict_all();
    assert!(cryptor.status().keys.is_empty());
}

#[tokio::test]
async fn warming_respects_scope_and_mode() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let context = |tenant: &str| ctx!(app = "billing", tenant = tenant).unwrap();
    let acme = cryptor.scoped(ctx!(tenant = "acme"));
    let error = acme.warm([context("acme"), context("globex")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert!(!format!("{error} {error:?}").contains("globex"));
    let reader = cryptor.limited_to(Mode::ReadOnly);
    assert_eq!(reader.warm([context("acme")]).await.unwrap_err().kind(), ErrorKind::Mode);
    assert_eq!(keyring.calls(), 0);
    acme.warm([context("acme")]).await.unwrap();
    cryptor.limited_to(Mode::WriteOnly).warm([context("acme")]).await.unwrap();
    assert_eq!(keyring.calls(), 1);
}

#[tokio::test]
async fn the_status_shows_names_and_numbers_only() {
    let (storage, clock) = (Storage::files(), Clock::new());
    let limits = CacheLimits { max_messages: 100, max_bytes: 1000, capacity: 7, ..CacheLimits::default() };
    let builder = by_clock(TestKeyring::new(), &clock).cache_limits(limits);
    let cryptor = builder.shared_key_store(storage.open().await).build().unwrap();
    let mut rows = [Customer { tenant: "canary-tenant".into(), ..ada() }];
    cryptor.seal(&mut rows).await.unwrap();
    cryptor.open(&mut [through_storage(&rows[0])]).await.unwrap();
    clock.advance(Duration::from_secs(12));
    let status = cryptor.status();
    assert_eq!((status.capacity, status.keys.len()), (7, 2));
    for key in &status.keys {
        assert_eq!(key.key_id, key_of(&rows[0]));
        assert_eq!((key.keyring.as_str(), key.purpose), ("default", pii::Purpose::Seal));
        assert_eq!(key.context, ["app", "tenant"]);
        assert_eq!((key.age.as_secs(), key.messages_left, key.is_in_grace), (12, 98, false));
    }
    let seals: Vec<_> = status.keys.iter().map(|key| key.seals).collect();
    assert_eq!(seals, [true, false]);
    let plain = "ada@example.com".len() + "900-12-3456".len();
    assert_eq!(status.keys[0].bytes_left, 1000 - u64::try_from(plain).unwrap());

    let shown = format!("{status}\n{status:?}\n{:?}\n{cryptor:?}", cryptor.stats());
    let lines: Vec<_> = shown.lines().take(3).collect();
    assert_eq!(lines[0], "2 of 7 data keys");
    let line =
        |what| format!("{}  seal  default (app, tenant)  {what}  age 12s, 98 values left", key_of(&rows[0]));
    assert_eq!(lines[1..], [line("seals"), line("opens")]);
    assert!(!shown.contains("canary") && !shown.contains("billing"), "{shown}");
}

#[tokio::test]
async fn the_counters_tell_what_the_cache_did() {
    let clock = Clock::new();
    let limits = CacheLimits { capacity: 2, ..CacheLimits::default() };
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = by_clock(keyring.clone(), &clock).cache_limits(limits).build().unwrap();
    let seal = async |tenant: &str| cryptor.seal(&mut [Customer { tenant: tenant.into(), ..ada() }]).await;
    let counts = || {
        let stats = cryptor.stats();
        (stats.cache_hits, stats.cache_misses, stats.cache_refreshes, stats.cache_evictions)
    };
    seal("a").await.unwrap();
    seal("a").await.unwrap();
    assert_eq!(counts(), (1, 1, 0, 0));
    seal("b").await.unwrap();
    seal("c").await.unwrap();
    assert_eq!(counts(), (1, 3, 0, 1));
    seal("c").await.unwrap();
    clock.advance(AGE / 100 * 95);
    seal("c").await.unwrap();
    assert_eq!(counts(), (3, 3, 1, 1));
    assert_eq!((cryptor.stats().keys_generated, keyring.calls()), (4, 4));
    assert_eq!((cryptor.stats().grace_uses, cryptor.stats().negative_hits), (0, 0));
}
