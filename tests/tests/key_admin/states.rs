//! Retiring and destroying single keys.

use pii::{Confirm, ErrorKind, KeyId, KeyState, KeyStore};

use crate::support::{House, key_of, slot};

#[tokio::test]
async fn the_key_that_seals_is_neither_retired_nor_destroyed() {
    let house = House::new();
    let rows = house.seal_for(&["acme"]).await;
    let (admin, key) = (house.admin(), key_of(&rows[0]));
    let confirm = Confirm::i_know_values_become_unreadable();
    let error = admin.retire(key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("rotate the slot first"), "{error}");
    assert!(admin.destroy(key, confirm).await.unwrap_err().to_string().contains("retire it first"));
    assert_eq!(house.record(&rows[0]).await.state, KeyState::Active);

    let rotation = admin.rotate(&slot("acme"), false).await.unwrap();
    assert!(admin.destroy(key, confirm).await.is_err(), "still active");
    admin.retire(key).await.unwrap();
    admin.retire(key).await.unwrap();
    house.assert_opens(&rows).await;
    assert!(admin.retire(rotation.key_id).await.is_err());

    admin.destroy(key, confirm).await.unwrap();
    admin.destroy(key, confirm).await.unwrap();
    let record = house.record(&rows[0]).await;
    assert_eq!((record.state, record.copies.len()), (KeyState::Destroyed, 0));
    let error = house.cryptor().open(&mut rows.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased);
    assert_eq!(admin.retire(key).await.unwrap_err().kind(), ErrorKind::Erased);
    assert_eq!(key_of(&house.seal(2, "acme", "x").await), rotation.key_id);
}

#[tokio::test]
async fn a_newest_key_that_is_decrypt_only_is_not_destroyed_either() {
    let house = House::new();
    let rows = house.seal_for(&["acme"]).await;
    // by hand: `retire` would not
    let record = house.record(&rows[0]).await;
    let closed = pii::KeyRecord { state: KeyState::DecryptOnly, ..record.clone() };
    assert!(house.store().replace(&record, &closed).await.unwrap());
    let destroyed = house.admin().destroy(key_of(&rows[0]), Confirm::i_know_values_become_unreadable()).await;
    assert!(destroyed.unwrap_err().to_string().contains("rotate the slot first"));
    house.assert_opens(&rows).await;
}

#[tokio::test]
async fn unknown_keys_are_named() {
    let house = House::new();
    let unknown = KeyId::from_bytes([7; 16]);
    for error in [
        house.admin().retire(unknown).await.unwrap_err(),
        house.admin().destroy(unknown, Confirm::i_know_values_become_unreadable()).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.key_id()), (ErrorKind::KeyMissing, Some(&*unknown.to_string())));
    }
}
