//! Records that are kept, put back, exchanged and listed.

use std::{collections::BTreeSet, sync::Arc};

use pii::{ErrorKind, KeyId, KeyRecord, KeyState, KeyStore, Purpose};

use crate::{
    on_every_store,
    stores::TestStore,
    support::{self, copy, destroyed, is_send, open, process, record, seal, slot},
};

on_every_store!(
    records_come_back_as_they_were_kept,
    a_lost_record_is_put_back,
    an_election_runs_again_where_its_record_is_lost,
    a_record_beside_the_winner_stays_beside_it,
    the_newest_epoch_of_index_keys_is_found_beyond_gaps,
    keys_without_elections_are_kept_side_by_side,
    a_destroyed_key_does_not_come_back,
    of_twenty_who_exchange_a_record_one_succeeds,
    a_thousand_records_are_listed_in_order,
);

async fn records_come_back_as_they_were_kept<S: TestStore>() {
    let at = S::new().await;
    let store = at.open().await;
    let mut kept = record(1, "Zoë \"Z\" \\ \u{1f511} \n", 0);
    kept.epoch = u32::MAX;
    kept.copies = vec![copy(&[0, 255]), copy(&vec![7; 60_000])];
    assert_eq!(is_send(store.load(kept.key_id)).await.unwrap(), None);
    assert_eq!(is_send(store.active(&kept.slot)).await.unwrap(), None);
    assert_eq!(is_send(store.elect(&kept)).await.unwrap(), kept);
    let other = at.open().await;
    assert_eq!(other.load(kept.key_id).await.unwrap().as_ref(), Some(&kept));
    let listed = other.list(None, 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].0, listed[0].1.as_ref().unwrap()), (kept.key_id, &kept));
}

async fn a_lost_record_is_put_back<S: TestStore>() {
    let at = S::new().await;
    let store = at.open().await;
    for and_election in [true, false] {
        let kept = record(u16::from(and_election), &format!("tenant-{and_election}"), 0);
        store.elect(&kept).await.unwrap();
        at.lose(kept.key_id, and_election).await;
        assert_eq!(store.load(kept.key_id).await.unwrap(), None);
        assert_eq!(store.insert(&kept).await.unwrap(), kept);
        assert_eq!(store.active(&kept.slot).await.unwrap().as_ref(), Some(&kept));
        // what is there stays as it is
        let narrower =
            KeyRecord { state: KeyState::DecryptOnly, copies: vec![copy(b"other")], ..kept.clone() };
        assert_eq!(store.insert(&narrower).await.unwrap(), kept);
        assert_eq!(store.load(kept.key_id).await.unwrap(), Some(kept));
    }
    assert_eq!(store.list(None, 10).await.unwrap().len(), 2);
}

async fn an_election_runs_again_where_its_record_is_lost<S: TestStore>() {
    let at = S::new().await;
    let (first, second) = (record(1, "acme", 0), record(2, "acme", 0));
    let store = at.open().await;
    store.elect(&first).await.unwrap();
    at.lose(first.key_id, true).await;
    assert_eq!(store.active(&first.slot).await.unwrap(), None);
    assert_eq!(store.elect(&second).await.unwrap(), second);
    // who still has the first one keeps its values readable
    assert_eq!(store.insert(&first).await.unwrap(), first);
    assert_eq!(store.active(&first.slot).await.unwrap(), Some(second.clone()));
    assert_eq!(store.elect(&first).await.unwrap(), second);
    assert_eq!(store.load(first.key_id).await.unwrap(), Some(first));
}

async fn a_record_beside_the_winner_stays_beside_it<S: TestStore>() {
    let at = S::new().await;
    let store = at.open().await;
    let (first, beside, next) = (record(1, "acme", 0), record(2, "acme", 0), record(3, "acme", 1));
    assert_eq!(store.elect(&first).await.unwrap(), first);
    assert_eq!(store.elect(&beside).await.unwrap(), first, "the loser gets the winner");
    assert_eq!(store.load(beside.key_id).await.unwrap(), None, "and is not kept");
    assert_eq!(store.insert(&beside).await.unwrap(), beside);
    assert_eq!(store.active(&first.slot).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.elect(&next).await.unwrap(), next);
    assert_eq!(store.active(&first.slot).await.unwrap().as_ref(), Some(&next));
    // the first epoch loses its winner: the one beside it takes its place when it is inserted again
    at.lose(first.key_id, true).await;
    assert_eq!(store.insert(&beside).await.unwrap(), beside);
    assert_eq!(store.elect(&first).await.unwrap(), beside);
    assert_eq!(store.active(&slot("globex")).await.unwrap(), None, "another slot");
}

async fn the_newest_epoch_of_index_keys_is_found_beyond_gaps<S: TestStore>() {
    let at = S::new().await;
    let store = at.open().await;
    let of_index = |number, epoch| {
        let mut record = record(number, "acme", epoch);
        record.slot.purpose = Purpose::Index;
        record
    };
    let (second, ninth) = (of_index(1, 1), of_index(2, 8));
    store.elect(&second).await.unwrap();
    assert_eq!(store.active(&second.slot).await.unwrap().as_ref(), Some(&second));
    store.elect(&ninth).await.unwrap();
    assert_eq!(store.active(&second.slot).await.unwrap().as_ref(), Some(&ninth));
    assert_eq!(store.elected(&second.slot, 0).await.unwrap(), None);
    assert_eq!(store.elected(&second.slot, 1).await.unwrap(), Some(second));
}

async fn keys_without_elections_are_kept_side_by_side<S: TestStore>() {
    let at = S::new().await;
    let store = at.open().await;
    for number in 1..=3 {
        let mut own = record(number, "acme", 0);
        own.slot.purpose = Purpose::Drop;
        assert_eq!(store.insert(&own).await.unwrap(), own);
        assert_eq!(store.active(&own.slot).await.unwrap(), None);
    }
    assert_eq!(store.list(None, 10).await.unwrap().len(), 3);
}

async fn a_destroyed_key_does_not_come_back<S: TestStore>() {
    let at = S::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let (text, key_id) = seal(&process(&key_file, at.open().await), 1, "acme").await.unwrap();
    let store = at.open().await;
    let current = store.load(key_id).await.unwrap().unwrap();
    let copies = at.member(key_id, "copies").await;
    assert!(store.replace(&current, &destroyed(&current)).await.unwrap());
    assert!(!store.replace(&current, &destroyed(&current)).await.unwrap(), "no longer what is stored");
    let error = store.replace(&destroyed(&current), &current).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert_eq!(store.insert(&current).await.unwrap(), destroyed(&current));
    assert_eq!(store.elect(&current).await.unwrap(), destroyed(&current));
    assert_eq!(at.member(key_id, "copies").await, "[]");
    let error = open(&process(&key_file, at.open().await), 1, "acme", &text).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased);
    let error = seal(&process(&key_file, at.open().await), 2, "acme").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased, "no second key under the erased context");

    // rolled back by hand, without the copies
    at.alter(key_id, "state", "active").await;
    let error = open(&process(&key_file, at.open().await), 1, "acme", &text).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    // with the copies, from a backup, values open: destroying is complete when backups are gone
    at.alter(key_id, "copies", &copies).await;
    open(&process(&key_file, at.open().await), 1, "acme", &text).await.unwrap();
}

async fn of_twenty_who_exchange_a_record_one_succeeds<S: TestStore>() {
    let at = S::new().await;
    let mut stores: Vec<Arc<dyn KeyStore>> = Vec::new();
    for _ in 0..4 {
        stores.push(at.open().await);
    }
    let mut current = record(1, "acme", 0);
    stores[0].elect(&current).await.unwrap();
    let unrelated = record(2, "acme", 0);
    assert!(!stores[0].replace(&unrelated, &unrelated).await.unwrap(), "a record that is not there");
    for round in 0..5_u8 {
        let writers: Vec<_> = (0..20_u8)
            .map(|writer| {
                let (store, current) = (Arc::clone(&stores[usize::from(writer % 4)]), current.clone());
                tokio::spawn(async move {
                    // longer than the copy of any record before, so that nobody exchanges like for like
                    let blob = [0xff, round, writer];
                    let new = KeyRecord { copies: vec![copy(&blob)], ..current.clone() };
                    store.replace(&current, &new).await.unwrap().then_some(new)
                })
            })
            .collect();
        let mut won = Vec::new();
        for writer in writers {
            won.extend(writer.await.unwrap());
        }
        assert_eq!(won.len(), 1, "round {round}");
        current = won.remove(0);
        assert_eq!(stores[3].load(current.key_id).await.unwrap().as_ref(), Some(&current));
    }
    let moved = KeyRecord { slot: slot("globex"), ..current.clone() };
    let error = stores[0].replace(&current, &moved).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "only state and copies change");
}

async fn a_thousand_records_are_listed_in_order<S: TestStore>() {
    let at = S::new().await;
    let store = at.open().await;
    let kept = record(0, support::TENANT, 0);
    store.elect(&kept).await.unwrap();
    let others: Vec<KeyId> = (1..1000).map(|number| record(number, support::TENANT, 0).key_id).collect();
    at.plant(kept.key_id, &others).await;
    let expected: BTreeSet<KeyId> = others.into_iter().chain([kept.key_id]).collect();
    let damaged = record(500, support::TENANT, 0);
    at.alter(damaged.key_id, "copies", "garbage").await;
    let (mut listed, mut after): (Vec<KeyId>, _) = (Vec::new(), None);
    loop {
        let page = store.list(after, 137).await.unwrap();
        let is_last = page.len() < 137;
        for (key_id, found) in page {
            match found {
                Ok(found) => assert_eq!(found.key_id, key_id),
                Err(error) => {
                    assert_eq!((key_id, error.kind()), (damaged.key_id, ErrorKind::Malformed));
                    assert_eq!(error.key_id().unwrap(), key_id.to_string());
                    support::assert_tells_nothing(&error);
                }
            }
            listed.push(key_id);
            after = Some(key_id);
        }
        if is_last {
            break;
        }
    }
    assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
    assert_eq!(store.list(None, usize::MAX).await.unwrap().len(), 1000);
    assert!(store.list(None, 0).await.unwrap().is_empty());
}
