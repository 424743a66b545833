//! Whether a key store is sound, and whether the keys that data names are there.

use std::fs;

use pii::{Confirm, ErrorKind, KeyId, LocalKeyring, Retention, ShredScope};

use crate::support::{House, key_of, slot};

#[tokio::test]
async fn each_kind_of_damage_is_found() {
    let house = House::new();
    let rows = house.seal_for(&["acme", "globex", "initech"]).await;
    house.admin().rotate(&slot("acme"), true).await.unwrap();
    let sound = house.admin().verify(|_| ()).await.unwrap();
    assert!(sound.is_clean(), "{sound}");
    assert_eq!((sound.active, sound.decrypt_only, sound.destroyed), (3, 1, 0));

    let damage = async |act: &dyn Fn(&House)| {
        let damaged = house.copy();
        act(&damaged);
        let report = damaged.admin().verify(|_| ()).await.unwrap();
        assert!(!report.is_clean());
        let shown = report.to_string();
        for value in ["acme", "globex", "initech", "billing", "evil"] {
            assert!(!shown.contains(value), "{shown}");
        }
        report
    };
    let file =
        |house: &House, index: usize| house.store_folder().join(format!("{}.json", key_of(&rows[index])));
    for (from, to, kind) in [
        ("globex", "evil", ErrorKind::ContextMismatch),
        ("\"epoch\":0", "\"epoch\":1", ErrorKind::ContextMismatch),
        ("\"purpose\":\"seal\"", "\"purpose\":\"drop\"", ErrorKind::ContextMismatch),
        ("\"blob\":\"", "\"blob\":\"AAAA", ErrorKind::ContextMismatch),
        ("\"keyring\":\"default\"", "\"keyring\":\"other\"", ErrorKind::Configuration),
        ("\"state\":\"active\"", "\"state\":\"destroyed\"", ErrorKind::Malformed),
        ("\"provider\":2", "\"provider\":127", ErrorKind::KeyMissing),
    ] {
        let report = damage(&|house: &House| {
            let text = fs::read_to_string(file(house, 1)).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(file(house, 1), text.replace(from, to)).unwrap();
        })
        .await;
        let problem = report.problems.iter().find(|problem| problem.key_id == key_of(&rows[1]));
        assert_eq!(problem.unwrap().error.kind(), kind, "{from}");
    }
    // a record of another key under this name
    let report = damage(&|house| assert!(fs::copy(file(house, 2), file(house, 1)).is_ok())).await;
    assert_eq!(report.problems[0].error.kind(), ErrorKind::Malformed);
    // an older key is lost: a gap
    let report = damage(&|house| fs::remove_file(file(house, 0)).unwrap()).await;
    assert_eq!((report.problems.len(), report.elections.len()), (0, 1), "{report}");
    assert!(report.to_string().contains("epoch 0 has no record"), "{report}");
    // the newest election is lost
    let election = format!("slot-{}-00000001", slot("acme").digest());
    let report = damage(&|house| fs::remove_file(house.store_folder().join(&election)).unwrap()).await;
    assert!(report.to_string().contains("up to epoch 1, but epoch 0 is elected"), "{report}");
    // an election is damaged
    let report = damage(&|house| fs::write(house.store_folder().join(&election), "?").unwrap()).await;
    assert_eq!((report.problems.len(), report.elections.len()), (0, 1), "{report}");
    assert_eq!(report.elections[0].slot, slot("acme").digest());
    // the keyring is another one
    let foreign = house.copy();
    fs::remove_file(foreign.key_file()).unwrap();
    LocalKeyring::create(foreign.key_file()).unwrap();
    let report = foreign.admin().verify(|_| ()).await.unwrap();
    assert_eq!(report.problems.len(), 4);
    assert!(report.problems.iter().all(|problem| problem.error.kind() == ErrorKind::KeyMissing));
}

#[tokio::test]
async fn every_key_id_in_the_data_has_a_record() {
    let house = House::new();
    let rows = house.seal_for(&["acme", "globex", "initech", "hooli"]).await;
    let ids = || rows.iter().chain(&rows).map(key_of);
    let report = house.admin().account_for(ids()).await.unwrap();
    assert!(report.is_complete());
    assert_eq!((report.present, report.destroyed.len()), (4, 0));

    let scope = ShredScope::Exactly(pii::ctx!(app = "billing", tenant = "acme").unwrap());
    let confirm = Confirm::i_know_values_become_unreadable();
    house.admin().shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
    fs::remove_file(house.store_folder().join(format!("{}.json", key_of(&rows[1])))).unwrap();
    fs::write(house.store_folder().join(format!("{}.json", key_of(&rows[2]))), "?").unwrap();
    let unknown = KeyId::from_bytes([9; 16]);
    let report = house.admin().account_for(ids().chain([unknown])).await.unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.present, 1);
    assert_eq!(report.destroyed, [key_of(&rows[0])]);
    let mut missing = [key_of(&rows[1]), unknown];
    missing.sort();
    assert_eq!(report.missing, missing);
    assert_eq!(report.unreadable[0].key_id, key_of(&rows[2]));
    assert!(report.to_string().contains(&unknown.to_string()), "{report}");
}
