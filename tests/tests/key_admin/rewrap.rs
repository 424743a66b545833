//! New key-encryption keys for existing data keys.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use pii::{
    ErrorKind, KeyAdmin, KeyRecord, KeyState, KeyStore, Keyring, LocalKeyring, RewrapOptions, TestKeyring,
};
use proptest::prelude::*;

use crate::support::{House, OddKeyring, SlowStore, key_of, slot, stored};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_value_opens_without_the_old_key_and_no_byte_of_it_changes(
        rows in prop::collection::vec((0_u8..5, ".{0,40}"), 1..12),
        rotations in prop::collection::vec(0_u8..5, 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let house = House::new();
            let old = house.keyring().key_ids()[0];
            let mut sealed = Vec::new();
            for (id, (tenant, text)) in (0..).zip(&rows) {
                let half = rows.len().div_ceil(2);
                if sealed.len() == half {
                    for tenant in &rotations {
                        house.admin().rotate(&slot(&format!("t{tenant}")), true).await.unwrap();
                    }
                }
                sealed.push(house.seal(id, &format!("t{tenant}"), text).await);
            }
            let texts: Vec<String> = sealed.iter().map(|row| row.email.ciphertext().unwrap().as_str().to_owned()).collect();

            LocalKeyring::rotate(house.key_file()).unwrap();
            let report = house.admin().rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
            assert!(report.is_complete(), "{report}");
            house.forget_key(old);
            let report = house.admin().verify(|_| ()).await.unwrap();
            assert!(report.is_clean(), "{report}");

            for ((mut row, (_, text)), before) in sealed.into_iter().zip(&rows).zip(texts) {
                let cryptor = house.cryptor();
                cryptor.open(std::slice::from_mut(&mut row)).await.unwrap();
                assert_eq!(row.email.expose().unwrap(), text.as_str());
                // saved again, it is the same text
                cryptor.seal(std::slice::from_mut(&mut row)).await.unwrap();
                assert_eq!(stored(&row).email.ciphertext().unwrap().as_str(), before);
            }
        });
    }
}

#[tokio::test]
async fn rewrapping_twice_changes_nothing_unless_asked() {
    let house = House::new();
    let rows = house.seal_for(&["acme", "globex"]).await;
    let admin = house.admin();
    let unchanged = admin.rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    assert_eq!((unchanged.rewrapped, unchanged.unchanged), (0, 2), "{unchanged}");
    let before = house.record(&rows[0]).await;
    let always = RewrapOptions { always: true, ..RewrapOptions::default() };
    assert_eq!(admin.rewrap(&always, |_| ()).await.unwrap().rewrapped, 2);
    let after = house.record(&rows[0]).await;
    assert_ne!(after.copies, before.copies);
    assert_eq!(KeyRecord { copies: before.copies.clone(), ..after }, before, "nothing but the copies");
    house.assert_opens(&rows).await;
}

#[tokio::test]
async fn a_wrong_wrap_never_replaces_a_good_one() {
    for binds_wrongly in [false, true] {
        let house = House::new();
        let rows = house.seal_for(&["acme", "globex", "initech"]).await;
        let mut keyring = OddKeyring::new(LocalKeyring::rotate(house.key_file()).unwrap());
        keyring.wraps_wrongly_for = Some("globex".into());
        keyring.binds_wrongly = AtomicBool::new(binds_wrongly);
        let report = house
            .admin_with(house.store(), Arc::new(keyring))
            .rewrap(&RewrapOptions::default(), |_| ())
            .await
            .unwrap();
        assert_eq!((report.rewrapped, report.failed.len()), (2, 1), "the others go on: {report}");
        assert_eq!(report.failed[0].key_id, key_of(&rows[1]));
        assert!(report.to_string().contains("the old ones are kept"), "{report}");
        assert!(!report.is_complete());
        house.assert_opens(&rows).await;
    }
}

#[tokio::test]
async fn verification_can_be_left_out_by_name_only() {
    let house = House::new();
    house.seal_for(&["acme", "globex"]).await;
    for (danger, unwraps) in [(false, 4), (true, 2)] {
        let keyring = Arc::new(OddKeyring::new(LocalKeyring::rotate(house.key_file()).unwrap()));
        let options = RewrapOptions { danger_skip_verification: danger, ..RewrapOptions::default() };
        let admin = house.admin_with(house.store(), Arc::clone(&keyring) as Arc<dyn Keyring>);
        assert_eq!(admin.rewrap(&options, |_| ()).await.unwrap().rewrapped, 2);
        assert_eq!(keyring.unwraps.load(Ordering::SeqCst), unwraps);
    }
}

#[tokio::test]
async fn a_change_by_others_meanwhile_is_not_lost() {
    let house = House::new();
    let rows = house.seal_for(&["acme"]).await;
    house.admin().rotate(&slot("acme"), false).await.unwrap();
    let old = house.keyring().key_ids()[0];
    LocalKeyring::rotate(house.key_file()).unwrap();
    // between the read and the swap, someone retires the key: once
    let (store, raced) = (house.store(), AtomicBool::new(false));
    let target = key_of(&rows[0]);
    let slow = SlowStore::new(house.store()).before_replace(move |current| {
        if current.key_id == target && !raced.swap(true, Ordering::SeqCst) {
            let closed = KeyRecord { state: KeyState::DecryptOnly, ..current.clone() };
            assert!(futures_util::FutureExt::now_or_never(store.replace(current, &closed)).unwrap().unwrap());
        }
    });
    let admin = house.admin_with(Arc::new(slow), Arc::new(house.keyring()));
    let report = admin.rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    assert_eq!((report.rewrapped, report.failed.len()), (2, 0), "{report}");
    let record = house.record(&rows[0]).await;
    assert_eq!(record.state, KeyState::DecryptOnly, "the retirement stays");
    assert_ne!(record.copies[0].key_name, old.to_string(), "and so does the new copy");
}

#[tokio::test]
async fn an_interrupted_run_goes_on_after_the_last_key() {
    let house = House::new();
    let rows = house.seal_for(&["a", "b", "c", "d", "e"]).await;
    LocalKeyring::rotate(house.key_file()).unwrap();
    let mut seen = Vec::new();
    house.admin().rewrap(&RewrapOptions::default(), |progress| seen.push(*progress)).await.unwrap();
    assert_eq!(seen.iter().map(|progress| progress.looked_at).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    LocalKeyring::rotate(house.key_file()).unwrap();
    let rest = RewrapOptions { after: seen[2].last, ..RewrapOptions::default() };
    assert_eq!(house.admin().rewrap(&rest, |_| ()).await.unwrap().rewrapped, 2);
    let all = house.admin().rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    assert_eq!((all.rewrapped, all.unchanged), (3, 2));
    house.assert_opens(&rows).await;
}

#[tokio::test]
async fn records_that_do_not_unwrap_fail_alone() {
    let house = House::new();
    let rows = house.seal_for(&["acme", "globex", "initech", "hooli"]).await;
    let file = |index: usize| house.store_folder().join(format!("{}.json", key_of(&rows[index])));
    let text = std::fs::read_to_string(file(0)).unwrap();
    std::fs::write(file(0), text.replace("acme", "evil")).unwrap();
    std::fs::write(file(1), "{}").unwrap();
    let text = std::fs::read_to_string(file(2)).unwrap();
    std::fs::write(file(2), text.replace("\"default\"", "\"high\"")).unwrap();
    LocalKeyring::rotate(house.key_file()).unwrap();
    let report = house.admin().rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    assert_eq!((report.rewrapped, report.failed.len()), (1, 3), "{report}");
    let kind = |index: usize| {
        let failed = report.failed.iter().find(|problem| problem.key_id == key_of(&rows[index]));
        failed.unwrap().error.kind()
    };
    assert_eq!(kind(0), ErrorKind::ContextMismatch, "a relabelled record is not trusted");
    assert_eq!(kind(1), ErrorKind::Malformed);
    assert_eq!(kind(2), ErrorKind::Configuration, "no keyring of that name");
    let shown = report.to_string();
    assert!(!shown.contains("evil") && !shown.contains("initech"), "{shown}");
    house.assert_opens(&rows[3..]).await;
    // by keyring: the others are not looked into
    let high = RewrapOptions { keyring: Some("high".into()), ..RewrapOptions::default() };
    assert_eq!(house.admin().rewrap(&high, |_| ()).await.unwrap_err().kind(), ErrorKind::Configuration);
    let admin = house.admin().keyring("high", Arc::new(house.keyring()));
    let report = admin.rewrap(&high, |_| ()).await.unwrap();
    assert_eq!((report.rewrapped, report.failed.len()), (1, 1), "the unreadable one may be of it: {report}");
}

#[tokio::test]
async fn without_keyrings_or_with_a_foreign_one_nothing_changes() {
    let house = House::new();
    let rows = house.seal_for(&["acme"]).await;
    let before = house.record(&rows[0]).await;
    let none = KeyAdmin::new(house.store()).rewrap(&RewrapOptions::default(), |_| ()).await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Configuration);
    let test = house.admin_with(house.store(), Arc::new(TestKeyring::new()));
    let report = test.rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    assert_eq!((report.rewrapped, report.failed.len()), (0, 1));
    assert_eq!(house.record(&rows[0]).await, before);
}
