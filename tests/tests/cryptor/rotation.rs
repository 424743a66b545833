//! New data keys by age, by count, after a retirement, and beside erasure.

use std::sync::atomic::Ordering;

use pii::{
    Confirm, DataKeyRotation, Error, KeyAdmin, KeyRecord, KeyState, Keyring, Purpose, Retention, ShredScope,
};

use super::{key_support::*, *};

const DAY: Duration = Duration::from_secs(86_400);

fn by_age() -> DataKeyRotation {
    DataKeyRotation { after: Some(90 * DAY), ..DataKeyRotation::default() }
}

fn by_count(values: u64) -> DataKeyRotation {
    DataKeyRotation { after_values: Some(values), ..DataKeyRotation::default() }
}

async fn rotating(storage: &Storage, clock: &Clock, rotation: DataKeyRotation) -> Cryptor {
    let builder = by_clock(TestKeyring::new(), clock).rotate_data_keys(rotation);
    builder.shared_key_store(storage.open().await).build().unwrap()
}

async fn epoch_of(storage: &Storage, row: &Customer) -> u32 {
    storage.record(key_of(row)).await.unwrap().epoch
}

fn shred_of_acme(admin: &KeyAdmin) -> impl Future<Output = ()> + '_ {
    let scope = ShredScope::Containing(ctx!(tenant = "acme").unwrap());
    async move {
        let confirm = Confirm::i_know_values_become_unreadable();
        admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
    }
}

#[tokio::test]
async fn an_old_key_is_followed_by_a_new_one() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let row = sealed(&storage.process(&clock).await).await.unwrap();
        let young = sealed(&rotating(&storage, &clock, by_age()).await).await.unwrap();
        assert_eq!(key_of(&young), key_of(&row));

        storage.backdate(key_of(&row), "2020-01-01T00:00:00Z").await;
        let (one, two) =
            (rotating(&storage, &clock, by_age()).await, rotating(&storage, &clock, by_age()).await);
        let (of_one, of_two) = futures_util::future::join(sealed(&one), sealed(&two)).await;
        let new = of_one.unwrap();
        assert_eq!(key_of(&new), key_of(&of_two.unwrap()), "two processes at once have one key");
        assert_eq!(epoch_of(&storage, &new).await, 1);
        assert_eq!(storage.record(key_of(&row)).await.unwrap().state, KeyState::Active);
        let fresh = storage.process(&clock).await;
        opens(&fresh, &row).await.unwrap();
        opens(&fresh, &new).await.unwrap();
        clock.advance(AGE);
        assert_eq!(key_of(&sealed(&one).await.unwrap()), key_of(&new));
    }
}

#[tokio::test]
async fn a_key_from_the_future_is_not_old() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let row = sealed(&storage.process(&clock).await).await.unwrap();
        storage.backdate(key_of(&row), "2999-01-01T00:00:00Z").await;
        let later = sealed(&rotating(&storage, &clock, by_age()).await).await.unwrap();
        assert_eq!(key_of(&later), key_of(&row));
    }
}

#[tokio::test]
async fn a_key_that_sealed_enough_is_followed_by_a_new_one() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let cryptor = rotating(&storage, &clock, by_count(4)).await;
        let mut epochs = Vec::new();
        let mut written = Vec::new();
        for round in 0..6 {
            let row = sealed(&cryptor).await.unwrap();
            epochs.push(epoch_of(&storage, &row).await);
            written.push(row);
            if round % 2 == 0 {
                // fetching it anew does not begin the count anew
                cryptor.evict_all();
            }
        }
        assert_eq!(epochs, [0, 0, 1, 1, 2, 2], "two values a row");
        let fresh = storage.process(&clock).await;
        for row in &written {
            opens(&fresh, row).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_rotation_that_is_due_waits_for_the_key_service() {
    let (storage, clock) = (Storage::files(), Clock::new());
    let store = MeddledStore::new(storage.open().await);
    let builder = by_clock(TestKeyring::new(), &clock).rotate_data_keys(by_count(2));
    let cryptor = builder.shared_key_store(store.clone()).build().unwrap();
    let row = sealed(&cryptor).await.unwrap();
    store.refuses_writes.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(key_of(&sealed(&cryptor).await.unwrap()), key_of(&row));
    }
    assert_eq!(cryptor.stats().key_calls(), 3, "tried once, and not for each batch");
    store.refuses_writes.store(false, Ordering::SeqCst);
    clock.advance(AGE);
    assert_eq!(epoch_of(&storage, &sealed(&cryptor).await.unwrap()).await, 1);
}

#[tokio::test]
async fn a_retired_key_is_followed_by_a_new_one_and_a_destroyed_one_by_none() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let row = sealed(&storage.process(&clock).await).await.unwrap();
        let record = storage.record(key_of(&row)).await.unwrap();
        let retired = KeyRecord { state: KeyState::DecryptOnly, ..record.clone() };
        assert!(storage.open().await.replace(&record, &retired).await.unwrap());
        let process = storage.process(&clock).await;
        let later = sealed(&process).await.unwrap();
        assert_eq!(epoch_of(&storage, &later).await, 1);
        opens(&process, &row).await.unwrap();

        let record = storage.record(key_of(&later)).await.unwrap();
        let tombstone = KeyRecord { state: KeyState::Destroyed, copies: Vec::new(), ..record.clone() };
        assert!(storage.open().await.replace(&record, &tombstone).await.unwrap());
        let process = storage.process(&clock).await;
        let error = sealed(&process).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Erased);
        assert!(error.to_string().contains("another context"), "{error}");
        assert_eq!(refusal(&process, &later).await, ErrorKind::Erased);
        opens(&process, &row).await.unwrap();
    }
}

/// What others do between an election and the look at its result.
#[tokio::test]
async fn what_happens_to_a_new_record_at_once_is_accepted() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let process = async || {
            let store = MeddledStore::new(storage.open().await);
            let builder = by_clock(TestKeyring::new(), &clock).shared_key_store(store.clone());
            (store, builder.build().unwrap())
        };
        // moved to another key-encryption key
        let (store, cryptor) = process().await;
        let inner = storage.open().await;
        store.after_election(move |record| {
            let inner = Arc::clone(&inner);
            async move {
                let keyring = TestKeyring::new();
                let binding = pii::KeyBinding {
                    context: record.slot.context.clone(),
                    purpose: record.slot.purpose,
                    epoch: record.epoch,
                };
                let copies = keyring.rewrap(&record.copies, &binding, &|_| true).await.unwrap();
                assert_ne!(copies, record.copies);
                let new = KeyRecord { copies, ..record.clone() };
                assert!(inner.replace(&record, &new).await.unwrap());
            }
        });
        let row = sealed(&cryptor).await.unwrap();
        opens(&storage.process(&clock).await, &row).await.unwrap();
        // retired: worth another try, which makes the next one
        let (store, cryptor) = process().await;
        let record = storage.record(key_of(&row)).await.unwrap();
        let retired = |record: &KeyRecord| KeyRecord { state: KeyState::DecryptOnly, ..record.clone() };
        assert!(storage.open().await.replace(&record, &retired(&record)).await.unwrap());
        let inner = storage.open().await;
        store.after_election(move |record| {
            let inner = Arc::clone(&inner);
            async move {
                let retired = KeyRecord { state: KeyState::DecryptOnly, ..record.clone() };
                assert!(inner.replace(&record, &retired).await.unwrap());
            }
        });
        let error: Error = sealed(&cryptor).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(epoch_of(&storage, &sealed(&cryptor).await.unwrap()).await, 2);
        // lost: nothing is sealed under it
        let (store, cryptor) = process().await;
        let active = storage.open().await.active(&slot(Purpose::Seal)).await.unwrap().unwrap();
        assert!(storage.open().await.replace(&active, &retired(&active)).await.unwrap());
        let Storage::Files(folder) = &storage else { continue };
        let folder = folder.path().to_owned();
        store.after_election(move |record| {
            std::fs::remove_file(folder.join(format!("{}.json", record.key_id))).unwrap();
            std::future::ready(())
        });
        let error = sealed(&cryptor).await.unwrap_err();
        assert!(error.to_string().contains("did not keep"), "{error}");
    }
}

/// The context is erased after the look at its old key, and before its new one is elected.
#[tokio::test]
async fn a_rotation_does_not_undo_an_erasure() {
    for storage in Storage::all().await {
        for is_retired in [false, true] {
            for is_beaten in [false, true] {
                let clock = Clock::new();
                let tenant = format!("tenant {is_retired} {is_beaten}");
                let scope = ctx!(app = "billing", tenant = &tenant).unwrap();
                let seal = async |cryptor: &Cryptor| {
                    let mut rows = [Customer { tenant: tenant.clone(), ..ada() }];
                    cryptor.seal(&mut rows).await.map(|()| through_storage(&rows[0]))
                };
                let row = seal(&storage.process(&clock).await).await.unwrap();
                storage.backdate(key_of(&row), "2020-01-01T00:00:00Z").await;
                let record = storage.record(key_of(&row)).await.unwrap();
                if is_retired {
                    let retired = KeyRecord { state: KeyState::DecryptOnly, ..record.clone() };
                    assert!(storage.open().await.replace(&record, &retired).await.unwrap());
                }
                let (inner, slot) = (storage.open().await, record.slot.clone());
                let keyring = Meanwhile::new(move || {
                    let (inner, slot, scope) = (Arc::clone(&inner), slot.clone(), scope.clone());
                    Box::pin(async move {
                        let admin = KeyAdmin::new(inner.clone());
                        let confirm = Confirm::i_know_values_become_unreadable();
                        let scope = ShredScope::Exactly(scope);
                        admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
                        if is_beaten {
                            // another process, which began as early, and stopped before its own check
                            let theirs = proposal(&slot, 1).await;
                            assert_eq!(inner.elect(&theirs).await.unwrap(), theirs);
                        }
                    })
                });
                let builder = by_clock(keyring, &clock).rotate_data_keys(by_age());
                let cryptor = builder.shared_key_store(storage.open().await).build().unwrap();
                let error = seal(&cryptor).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Erased, "{is_retired} {is_beaten}: {error}");
                let newest = storage.open().await.active(&record.slot).await.unwrap().unwrap();
                assert_eq!((newest.epoch, newest.state), (1, KeyState::Destroyed));
                clock.advance(AGE);
                assert_eq!(seal(&cryptor).await.unwrap_err().kind(), ErrorKind::Erased);
                assert_eq!(seal(&storage.process(&clock).await).await.unwrap_err().kind(), ErrorKind::Erased);
            }
        }
    }
}

/// As [`a_rotation_does_not_undo_an_erasure`], with a key that this process alone has.
#[tokio::test]
async fn a_new_write_only_key_does_not_undo_an_erasure() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let admin = Arc::new(KeyAdmin::new(storage.open().await));
        let calls = std::sync::atomic::AtomicU32::new(0);
        let keyring = Meanwhile::new(move || {
            let (admin, call) = (Arc::clone(&admin), calls.fetch_add(1, Ordering::SeqCst));
            Box::pin(async move {
                if call == 1 {
                    shred_of_acme(&admin).await;
                }
            })
        });
        let builder = by_clock(keyring, &clock).mode(Mode::WriteOnly);
        let writer = builder.shared_key_store(storage.open().await).build().unwrap();
        sealed(&writer).await.unwrap();
        clock.advance(AGE);
        assert_eq!(sealed(&writer).await.unwrap_err().kind(), ErrorKind::Erased);
        let keys = storage.open().await.list(None, 10).await.unwrap();
        assert_eq!(keys.len(), 2);
        assert!(keys.into_iter().all(|(_, record)| record.unwrap().state == KeyState::Destroyed));
    }
}

async fn proposal(slot: &pii::KeySlot, epoch: u32) -> KeyRecord {
    let binding = pii::KeyBinding { context: Arc::clone(&slot.context), purpose: slot.purpose, epoch };
    let generated = TestKeyring::new().generate(&binding).await.unwrap();
    KeyRecord {
        key_id: generated.data_key.id(),
        slot: slot.clone(),
        epoch,
        state: KeyState::Active,
        created: "2026-01-01T00:00:00Z".to_owned(),
        copies: generated.copies,
    }
}
