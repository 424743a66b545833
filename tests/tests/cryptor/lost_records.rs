//! Records of data keys that disappear from the key store while processes hold the keys.

use std::sync::atomic::Ordering;

use pii::{Confirm, KeyAdmin, KeyState, Purpose, Retention, ShredScope};

use super::{key_support::*, *};

#[tokio::test]
async fn sealing_and_opening_put_a_lost_record_back() {
    for storage in Storage::all().await {
        for is_opening in [false, true] {
            let clock = Clock::new();
            let holder = storage.process(&clock).await;
            let row = sealed(&holder).await.unwrap();
            if is_opening {
                opens(&holder, &row).await.unwrap();
            }
            let record = storage.record(key_of(&row)).await.unwrap();
            storage.lose(key_of(&row)).await;
            assert_eq!(refusal(&storage.process(&clock).await, &row).await, ErrorKind::KeyMissing);
            opens(&holder, &row).await.unwrap();
            clock.advance(AGE);
            let later = match is_opening {
                true => row.clone(),
                false => sealed(&holder).await.unwrap(),
            };
            opens(&holder, &later).await.unwrap();
            assert_eq!(key_of(&later), key_of(&row), "no second key");
            assert_eq!(storage.record(key_of(&row)).await, Some(record));
            assert_eq!(holder.stats().records_restored, 1);
            let other = storage.process(&clock).await;
            opens(&other, &row).await.unwrap();
            assert_eq!(key_of(&sealed(&other).await.unwrap()), key_of(&row), "it is elected again");
        }
    }
}

/// The election is still there, and names a key that this process has only read with.
#[tokio::test]
async fn a_reader_that_begins_to_write_puts_the_elected_record_back() {
    let storage = Storage::files();
    let Storage::Files(folder) = &storage else { unreachable!() };
    let clock = Clock::new();
    let row = sealed(&storage.process(&clock).await).await.unwrap();
    let reader = storage.process(&clock).await;
    opens(&reader, &row).await.unwrap();
    std::fs::remove_file(folder.path().join(format!("{}.json", key_of(&row)))).unwrap();
    let error = sealed(&storage.process(&clock).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing, "who does not hold it makes no other one: {error}");
    assert_eq!(key_of(&sealed(&reader).await.unwrap()), key_of(&row));
    opens(&storage.process(&clock).await, &row).await.unwrap();
}

#[tokio::test]
async fn a_destroyed_record_is_not_put_back() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let holder = storage.process(&clock).await;
        let row = sealed(&holder).await.unwrap();
        opens(&holder, &row).await.unwrap();
        let scope = ShredScope::Containing(ctx!(tenant = "acme").unwrap());
        let confirm = Confirm::i_know_values_become_unreadable();
        let admin = KeyAdmin::new(storage.open().await);
        admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
        opens(&holder, &row).await.expect("until the key leaves the cache");
        clock.advance(AGE);
        assert_eq!(sealed(&holder).await.unwrap_err().kind(), ErrorKind::Erased);
        assert_eq!(refusal(&holder, &row).await, ErrorKind::Erased);
        assert_eq!(storage.record(key_of(&row)).await.unwrap().state, KeyState::Destroyed);
        assert_eq!(holder.stats().records_restored, 0);
        // a lost tombstone is
        storage.lose(key_of(&row)).await;
        clock.advance(MINUTE);
        assert_eq!(refusal(&holder, &row).await, ErrorKind::Erased);
        assert_eq!(storage.record(key_of(&row)).await.unwrap().state, KeyState::Destroyed);
        assert_eq!(sealed(&storage.process(&clock).await).await.unwrap_err().kind(), ErrorKind::Erased);
    }
}

#[tokio::test]
async fn a_key_that_others_elected_meanwhile_stays_beside_the_lost_one() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let holder = storage.process(&clock).await;
        let row = sealed(&holder).await.unwrap();
        storage.lose(key_of(&row)).await;
        let other = storage.process(&clock).await;
        let theirs = sealed(&other).await.unwrap();
        assert_ne!(key_of(&theirs), key_of(&row));
        clock.advance(AGE);
        let later = sealed(&holder).await.unwrap();
        assert_eq!(key_of(&later), key_of(&theirs), "one key seals");
        let fresh = storage.process(&clock).await;
        for row in [&row, &theirs, &later] {
            opens(&fresh, row).await.unwrap();
        }
    }
}

#[tokio::test]
async fn who_may_not_write_to_the_store_goes_on_opening() {
    let (storage, clock) = (Storage::files(), Clock::new());
    let row = sealed(&storage.process(&clock).await).await.unwrap();
    let store = MeddledStore::new(storage.open().await);
    store.refuses_writes.store(true, Ordering::SeqCst);
    let reader = by_clock(TestKeyring::new(), &clock).shared_key_store(store.clone()).build().unwrap();
    opens(&reader, &row).await.unwrap();
    storage.lose(key_of(&row)).await;
    for _ in 0..3 {
        clock.advance(2 * AGE);
        opens(&reader, &row).await.unwrap();
    }
    assert_eq!((storage.record(key_of(&row)).await, reader.stats().records_restored), (None, 0));
    store.refuses_writes.store(false, Ordering::SeqCst);
    clock.advance(2 * AGE);
    opens(&reader, &row).await.unwrap();
    opens(&storage.process(&clock).await, &row).await.unwrap();
}

#[tokio::test]
async fn a_write_only_process_puts_its_records_back() {
    for storage in Storage::all().await {
        let clock = Clock::new();
        let writer = by_clock(Limited(Role::Generates), &clock)
            .shared_key_store(storage.open().await)
            .mode(Mode::WriteOnly)
            .build()
            .unwrap();
        let row = sealed(&writer).await.unwrap();
        assert_eq!(storage.record(key_of(&row)).await.unwrap().slot, slot(Purpose::Drop));
        clock.advance(AGE);
        let second = sealed(&writer).await.unwrap();
        assert_ne!(key_of(&second), key_of(&row), "a key of its own for each age");
        // as when the store comes from a backup that is older than both
        storage.lose(key_of(&row)).await;
        storage.lose(key_of(&second)).await;
        clock.advance(AGE);
        let third = sealed(&writer).await.unwrap();
        assert_eq!(writer.stats().records_restored, 2);
        let reader = storage.process(&clock).await;
        for row in [&row, &second, &third] {
            opens(&reader, row).await.unwrap();
        }
        // erased: no new keys for this context, as long as the process knows of it
        let confirm = Confirm::i_know_values_become_unreadable();
        let scope = ShredScope::Containing(ctx!(tenant = "acme").unwrap());
        let admin = KeyAdmin::new(storage.open().await);
        admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
        for _ in 0..2 {
            clock.advance(AGE);
            assert_eq!(sealed(&writer).await.unwrap_err().kind(), ErrorKind::Erased);
        }
    }
}
