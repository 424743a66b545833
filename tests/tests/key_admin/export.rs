//! Export and import.

use std::{fs, io::Cursor, sync::Arc};

use pii::{
    Confirm, ErrorKind, ImportOptions, ImportReport, KeyAdmin, KeyState, KeyStore, LocalKeyring, Retention,
    RewrapOptions, ShredScope,
};

use crate::support::{Customer, House, key_of, slot};

async fn export(house: &House) -> Vec<u8> {
    let mut file = Vec::new();
    let report = house.admin().export(&mut file, |_| ()).await.unwrap();
    assert!(report.is_complete(), "{report}");
    file
}

async fn import(house: &House, file: &[u8], options: &ImportOptions) -> pii::Result<ImportReport> {
    house.admin().import(&mut Cursor::new(file), options, |_| ()).await
}

async fn shred(house: &House, tenant: &str) {
    let scope = ShredScope::Exactly(pii::ctx!(app = "billing", tenant = tenant).unwrap());
    let confirm = Confirm::i_know_values_become_unreadable();
    house.admin().shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
}

/// Two tenants, one of them with keys of three epochs.
async fn prepared() -> (House, Vec<Customer>) {
    let house = House::new();
    let mut rows = house.seal_for(&["acme", "globex"]).await;
    for id in 3..5 {
        house.admin().rotate(&slot("acme"), true).await.unwrap();
        rows.push(house.seal(id, "acme", &crate::support::email(id)).await);
    }
    (house, rows)
}

#[tokio::test]
async fn a_lost_store_comes_back_whole() {
    let (house, rows) = prepared().await;
    let file = export(&house).await;
    assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 4 + 2);
    let elected = house.store().active(&slot("acme")).await.unwrap().unwrap();
    fs::remove_dir_all(house.store_folder()).unwrap();
    let report = import(&house, &file, &ImportOptions::default()).await.unwrap();
    assert_eq!((report.inserted, report.is_complete()), (4, true), "{report}");
    assert_eq!(house.store().active(&slot("acme")).await.unwrap().unwrap(), elected);
    let verified = house.admin().verify(|_| ()).await.unwrap();
    assert!(verified.is_clean(), "{verified}");
    house.assert_opens(&rows).await;
    let again = import(&house, &file, &ImportOptions::default()).await.unwrap();
    assert_eq!((again.inserted, again.existing), (0, 4));
    // the same records, whatever their order and time
    let lines = |file: &[u8]| {
        let text = String::from_utf8(file.to_vec()).unwrap();
        text.lines().filter(|line| line.contains("key_id")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&export(&house).await), lines(&file));
}

#[tokio::test]
async fn elections_that_were_lost_are_held_again() {
    let (house, rows) = prepared().await;
    let file = export(&house).await;
    for entry in fs::read_dir(house.store_folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("slot-") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(house.admin().verify(|_| ()).await.unwrap().elections.len(), 2);
    import(&house, &file, &ImportOptions::default()).await.unwrap();
    let verified = house.admin().verify(|_| ()).await.unwrap();
    assert!(verified.is_clean(), "{verified}");
    house.assert_opens(&rows).await;
}

#[tokio::test]
async fn nothing_is_imported_from_a_damaged_file() {
    let (house, _) = prepared().await;
    let file = export(&house).await;
    let empty = House::new();
    let refuse = async |file: &[u8], line: usize| {
        let error = import(&empty, file, &ImportOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains(&format!("line {line} ")), "line {line}: {error}");
        for value in ["acme", "globex", "billing"] {
            assert!(!error.to_string().contains(value));
        }
        assert_eq!(fs::read_dir(empty.store_folder()).unwrap().count(), 0);
    };
    // cut short anywhere
    for length in (0..file.len()).step_by(7).chain([file.len() - 1]) {
        let line = 1 + file[..length].iter().filter(|byte| **byte == b'\n').count();
        refuse(&file[..length], line).await;
    }
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let without = |index: usize| {
        let kept = lines.iter().enumerate().filter(|(other, _)| *other != index);
        kept.map(|(_, line)| *line).collect::<Vec<_>>().concat()
    };
    refuse(&without(0), 1).await;
    refuse(&without(2), 5).await;
    refuse(&[lines[0], lines[2], lines[1], lines[3], lines[4], lines[5]].concat(), 6).await;
    refuse(&[lines[0], lines[1], lines[1], lines[3], lines[4], lines[5]].concat(), 3).await;
    refuse(&[&file, lines[1]].concat(), 7).await;
    refuse(&[&vec![b'x'; 2 << 20][..], &file].concat(), 1).await;
    // one byte
    for at in (0..file.len()).step_by(11) {
        let mut altered = file.clone();
        altered[at] ^= 1;
        assert!(import(&empty, &altered, &ImportOptions::default()).await.is_err(), "byte {at}");
    }
    assert_eq!(fs::read_dir(empty.store_folder()).unwrap().count(), 0);
    assert_eq!(import(&empty, &file, &ImportOptions::default()).await.unwrap().inserted, 4);
}

#[tokio::test]
async fn what_the_store_has_is_not_overwritten() {
    let (house, rows) = prepared().await;
    let old = export(&house).await;
    LocalKeyring::rotate(house.key_file()).unwrap();
    house.admin().rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    shred(&house, "globex").await;
    let before = house.record(&rows[0]).await;
    let report = import(&house, &old, &ImportOptions::default()).await.unwrap();
    assert_eq!((report.existing, report.kept_destroyed, report.inserted), (3, 1, 0), "{report}");
    assert_eq!(house.record(&rows[0]).await, before, "the rewrapped copies stay");
    assert_eq!(house.record(&rows[1]).await.state, KeyState::Destroyed);
}

#[tokio::test]
async fn tombstones_are_applied_on_request() {
    let (house, rows) = prepared().await;
    let other = house.copy();
    shred(&house, "globex").await;
    let file = export(&house).await;
    let report = import(&other, &file, &ImportOptions::default()).await.unwrap();
    assert_eq!((report.existing, report.conflicts.len()), (3, 1), "{report}");
    assert_eq!(report.conflicts[0].key_id, key_of(&rows[1]));
    other.assert_opens(&rows).await;
    let apply = ImportOptions { danger_apply_tombstones: true };
    let report = import(&other, &file, &apply).await.unwrap();
    assert_eq!((report.existing, report.tombstones_applied), (3, 1), "{report}");
    assert_eq!(other.record(&rows[1]).await.state, KeyState::Destroyed);
    // into an empty store they come as tombstones, and the slot stays erased
    fs::remove_dir_all(other.store_folder()).unwrap();
    import(&other, &file, &ImportOptions::default()).await.unwrap();
    let error = other.admin().rotate(&slot("globex"), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased);
}

#[tokio::test]
async fn another_record_of_the_same_key_is_a_conflict() {
    let (house, rows) = prepared().await;
    let file = export(&house).await;
    let path = house.store_folder().join(format!("{}.json", key_of(&rows[1])));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("globex", "evil")).unwrap();
    let report = import(&house, &file, &ImportOptions::default()).await.unwrap();
    assert_eq!((report.existing, report.conflicts.len()), (3, 1), "{report}");
    assert_eq!(report.conflicts[0].error.kind(), ErrorKind::ContextMismatch);
    assert!(!report.to_string().contains("evil") && !report.to_string().contains("globex"), "{report}");
}

#[tokio::test]
async fn an_export_says_what_is_not_in_it() {
    let (house, rows) = prepared().await;
    fs::write(house.store_folder().join(format!("{}.json", key_of(&rows[1]))), "?").unwrap();
    let mut file = Vec::new();
    let report = house.admin().export(&mut file, |_| ()).await.unwrap();
    assert_eq!((report.records, report.failed.len()), (3, 1));
    assert_eq!(report.failed[0].key_id, key_of(&rows[1]));
    let empty = House::new();
    assert_eq!(import(&empty, &file, &ImportOptions::default()).await.unwrap().inserted, 3);
    // a disk that is full
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let admin = KeyAdmin::new(house.store() as Arc<dyn KeyStore>);
    assert_eq!(admin.export(&mut Full, |_| ()).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
}
