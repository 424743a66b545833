//! New data keys.

use pii::{Confirm, ErrorKind, KeyState, KeyStore, Purpose, Retention, ShredScope};

use crate::support::{House, SlowStore, key_of, poll_times, slot};

#[tokio::test]
async fn new_values_get_the_new_key_and_old_ones_open() {
    let house = House::new();
    let old = house.seal(1, "acme", "person1@example.com").await;
    let rotation = house.admin().rotate(&slot("acme"), false).await.unwrap();
    assert_eq!((rotation.epoch, rotation.retired), (1, None));
    let new = house.seal(2, "acme", "person2@example.com").await;
    assert_eq!(key_of(&new), rotation.key_id);
    assert_ne!(key_of(&old), rotation.key_id);
    assert_eq!(house.record(&old).await.state, KeyState::Active);
    let again = house.admin().rotate(&slot("acme"), true).await.unwrap();
    assert_eq!((again.epoch, again.retired), (2, Some(rotation.key_id)));
    assert_eq!(house.record(&new).await.state, KeyState::DecryptOnly);
    house.assert_opens(&[old, new]).await;
    let report = house.admin().verify(|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.active, report.decrypt_only), (2, 1));
}

#[tokio::test]
async fn a_slot_without_a_key_gets_its_first() {
    let house = House::new();
    let rotation = house.admin().rotate(&slot("acme"), true).await.unwrap();
    assert_eq!((rotation.epoch, rotation.retired), (0, None));
    assert_eq!(key_of(&house.seal(1, "acme", "x").await), rotation.key_id);
}

#[tokio::test]
async fn what_can_not_be_rotated_is_refused() {
    let house = House::new();
    let admin = house.admin();
    let drop = pii::KeySlot { purpose: Purpose::Drop, ..slot("acme") };
    assert_eq!(admin.rotate(&drop, false).await.unwrap_err().kind(), ErrorKind::Configuration);
    let high = pii::KeySlot { keyring: "high".into(), ..slot("acme") };
    let error = admin.rotate(&high, false).await.unwrap_err();
    assert!(error.to_string().contains(".keyring(\"high\""), "{error}");
    assert_eq!(std::fs::read_dir(house.store_folder()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotations_at_the_same_time_leave_one_active_chain() {
    let house = House::new();
    let row = house.seal(1, "acme", "person1@example.com").await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let admin = house.admin();
            tokio::spawn(async move { admin.rotate(&slot("acme"), true).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    house.admin().rotate(&slot("acme"), true).await.unwrap();
    let report = house.admin().verify(|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report}");
    let newest = house.store().active(&slot("acme")).await.unwrap().unwrap();
    assert_eq!(newest.state, KeyState::Active);
    assert_eq!(report.active, 1, "{report}");
    house.assert_opens(&[row]).await;
}

/// However a rotation and a shred of the same context interleave, the context stays erased.
#[tokio::test]
async fn a_rotation_does_not_undo_a_shred() {
    let prepared = House::new();
    prepared.seal_for(&["acme", "globex"]).await;
    let scope = ShredScope::Exactly(pii::ctx!(app = "billing", tenant = "acme").unwrap());
    let confirm = Confirm::i_know_values_become_unreadable();
    let retention = Retention::default();
    for rotation_first in [true, false] {
        let mut meets = 0;
        for polls in 0.. {
            let house = prepared.copy();
            let admin = house.admin_with(
                std::sync::Arc::new(SlowStore::new(house.store())),
                std::sync::Arc::new(house.keyring()),
            );
            let slot = slot("acme");
            let mut rotation = Box::pin(admin.rotate(&slot, true));
            let mut shred = Box::pin(admin.shred(&scope, &retention, confirm, |_| ()));
            let has_ended = if rotation_first {
                let ended = poll_times(rotation.as_mut(), polls).is_some();
                shred.await.unwrap();
                if !ended {
                    // it may find that the slot is erased, or not look any more
                    let _ = rotation.await;
                }
                ended
            } else {
                let ended = poll_times(shred.as_mut(), polls).is_some();
                let _ = rotation.await;
                if !ended {
                    shred.await.unwrap();
                }
                ended
            };
            let newest = house.store().active(&slot).await.unwrap().unwrap();
            assert_eq!(newest.state, KeyState::Destroyed, "{rotation_first} {polls}");
            for (_, record) in house.store().list(None, 100).await.unwrap() {
                let record = record.unwrap();
                let is_acme = record.slot == slot;
                assert_eq!(record.state == KeyState::Destroyed, is_acme, "{rotation_first} {polls}");
            }
            assert_eq!(house.admin().rotate(&slot, true).await.unwrap_err().kind(), ErrorKind::Erased);
            if has_ended {
                break;
            }
            meets += 1;
        }
        assert!(meets > 8, "{meets}");
    }
}
