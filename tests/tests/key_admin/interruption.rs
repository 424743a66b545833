//! A crash at any point leaves a sound store, and the call can be made again.

use std::{io::Cursor, sync::Arc};

use pii::{
    BoxFuture, Confirm, ErrorKind, ImportOptions, KeyAdmin, KeyStore, LocalKeyring, Retention, RewrapOptions,
    ShredScope, ctx,
};

use crate::support::{Customer, House, OddKeyring, SlowStore, poll_times, slot};

/// Runs an operation on copies of a house, polled once more each time and dropped then. `check` is
/// told whether it ended. Gives the number of points at which it was dropped.
async fn at_every_point(
    prepared: &House,
    operation: impl Fn(KeyAdmin) -> BoxFuture<'static, ()>,
    mut check: impl AsyncFnMut(&House),
) -> usize {
    for polls in 0.. {
        let house = prepared.copy();
        let store: Arc<dyn KeyStore> = Arc::new(SlowStore::new(house.store()));
        let admin = house.admin_with(store, Arc::new(OddKeyring::new(house.keyring())));
        let ended = poll_times(operation(admin.clone()).as_mut(), polls).is_some();
        let report = house.admin().verify(|_| ()).await.unwrap();
        assert!(report.is_clean(), "after {polls} polls: {report}");
        check(&house).await;
        // once more, to its end
        operation(admin).await;
        check(&house).await;
        let report = house.admin().verify(|_| ()).await.unwrap();
        assert!(report.is_clean(), "after {polls} polls, and again: {report}");
        if ended {
            return polls;
        }
    }
    unreachable!()
}

async fn prepared() -> (House, Vec<Customer>) {
    let house = House::new();
    let rows = house.seal_for(&["acme", "globex", "initech", "acme"]).await;
    house.admin().rotate(&slot("acme"), true).await.unwrap();
    (house, rows)
}

#[tokio::test]
async fn of_a_rewrap() {
    let (house, rows) = prepared().await;
    LocalKeyring::rotate(house.key_file()).unwrap();
    let rewrap = |admin: KeyAdmin| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let report = admin.rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
            assert!(report.is_complete(), "{report}");
        })
    };
    let points = at_every_point(&house, rewrap, async |house| house.assert_opens(&rows).await).await;
    assert!(points > 20, "{points}");
}

#[tokio::test]
async fn of_a_rotation() {
    let (house, rows) = prepared().await;
    let rotate = |admin: KeyAdmin| -> BoxFuture<'static, ()> {
        Box::pin(async move { assert!(admin.rotate(&slot("acme"), true).await.is_ok()) })
    };
    let check = async |house: &House| {
        house.assert_opens(&rows).await;
        let new = house.seal(9, "acme", "person9@example.com").await;
        house.assert_opens(&[new]).await;
    };
    let points = at_every_point(&house, rotate, check).await;
    assert!(points > 10, "{points}");
}

#[tokio::test]
async fn of_a_shred() {
    let (house, rows) = prepared().await;
    let shred = |admin: KeyAdmin| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let scope = ShredScope::Containing(ctx!(tenant = "acme").unwrap());
            let confirm = Confirm::i_know_values_become_unreadable();
            let receipt = admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
            assert_eq!(receipt.key_ids().len(), 2, "also of keys that an interrupted call destroyed");
            let report = admin.verify(|_| ()).await.unwrap();
            assert_eq!((report.destroyed, report.active), (2, 2), "{report}");
        })
    };
    let points = at_every_point(&house, shred, async |house| {
        // whole or erased, and the others untouched
        for row in &rows {
            match house.cryptor().open(&mut [row.clone()]).await {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!((error.kind(), &*row.tenant), (ErrorKind::Erased, "acme"));
                }
            }
        }
    })
    .await;
    assert!(points > 10, "{points}");
}

#[tokio::test]
async fn of_an_import() {
    let (house, rows) = prepared().await;
    // many generations, whose ids are in another order
    for _ in 0..5 {
        house.admin().rotate(&slot("acme"), true).await.unwrap();
    }
    let mut file = Vec::new();
    house.admin().export(&mut file, |_| ()).await.unwrap();
    let file = Arc::new(file);
    std::fs::remove_dir_all(house.store_folder()).unwrap();
    std::fs::create_dir(house.store_folder()).unwrap();
    let import = |admin: KeyAdmin| -> BoxFuture<'static, ()> {
        let file = Arc::clone(&file);
        Box::pin(async move {
            let mut input = Cursor::new(file.as_slice());
            let report = admin.import(&mut input, &ImportOptions::default(), |_| ()).await.unwrap();
            assert!(report.is_complete(), "{report}");
        })
    };
    let points = at_every_point(&house, import, async |house| {
        let report = house.admin().account_for(rows.iter().map(crate::support::key_of)).await.unwrap();
        assert!(report.destroyed.is_empty() && report.unreadable.is_empty(), "{report}");
        if report.missing.is_empty() {
            house.assert_opens(&rows).await;
        }
    })
    .await;
    assert!(points > 10, "{points}");
}

#[tokio::test]
async fn every_call_can_be_a_task_of_its_own() {
    let (house, rows) = prepared().await;
    let admin = house.admin();
    let keys: Vec<_> = rows.iter().map(crate::support::key_of).collect();
    tokio::spawn(async move {
        let mut file = Vec::new();
        admin.export(&mut file, |_| ()).await.unwrap();
        assert!(admin.account_for(keys).await.unwrap().is_complete());
        let scope = ShredScope::Containing(ctx!(tenant = "acme").unwrap());
        let confirm = Confirm::i_know_values_become_unreadable();
        let receipt = admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
        let report = admin.replay(&receipt, confirm, |_| ()).await.unwrap();
        assert_eq!((report.already, report.newer), (2, 0), "{report}");
    })
    .await
    .unwrap();
}
