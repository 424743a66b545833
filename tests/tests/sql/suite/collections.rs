//! Lists, maps and nested structs: JSON with sealed texts in it.

use pii::{ErrorKind, SqlTable, ValueState, testing::assert_all_sealed};

use super::{super::Db, TestDatabase, sql};
use crate::{
    models::{PEOPLE, Person},
    support::cryptor,
};

#[tokio::test]
async fn they_are_stored_as_json_and_come_back() {
    let db = TestDatabase::new(2, &[PEOPLE]).await;
    let cryptor = cryptor();
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor);
    let ada = Person::new(1);
    people.insert(&ada).await.unwrap();
    let (phones, home): (String, String) =
        sqlx::query_as("select phones, home from people").fetch_one(&db.pool).await.unwrap();
    assert!(phones.starts_with("[\"ENC:") && !phones.contains("canary"), "{phones}");
    assert!(home.contains("London") && home.contains("ENC:") && !home.contains("Wharf"), "{home}");
    let nulls: i64 = sqlx::query_scalar("select count(*) from people where aliases is null and work is null")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(nulls, 1, "a missing collection is NULL");

    let sealed = people.get(1).await.unwrap();
    assert_all_sealed(&sealed);
    let mut opened = people.get(1).decrypt_pii().await.unwrap();
    assert_eq!(opened.phones, ada.phones);
    assert_eq!(opened.contacts, ada.contacts);
    assert_eq!(opened.home.street, ada.home.street);
    assert_eq!(opened.home.city, "London");
    assert!(opened.aliases.is_none() && opened.work.is_none());
    assert_eq!(opened.profile.expose().unwrap(), ada.profile.expose().unwrap());

    opened.aliases = Some(vec![pii::EncryptedStr::new("Countess")]);
    opened.work = Some(opened.home.clone());
    opened.work.as_mut().unwrap().street = pii::EncryptedStr::new("2 Canary Wharf");
    opened.phones.remove(0);
    let sealed_before = cryptor.stats().sealed;
    people.update(&opened).await.unwrap();
    assert_eq!(cryptor.stats().sealed - sealed_before, 2, "only what is new is sealed");
    let again = people.get(1).decrypt_pii().await.unwrap();
    assert_eq!(again.aliases.unwrap()[0].expose().unwrap(), "Countess");
    assert_eq!(again.work.unwrap().street.expose().unwrap(), "2 Canary Wharf");
    assert_eq!(again.phones, opened.phones);
}

#[tokio::test]
async fn a_value_of_one_field_does_not_open_in_another() {
    let db = TestDatabase::new(2, &[PEOPLE]).await;
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor());
    let mut ada = Person::new(1);
    ada.aliases = Some(vec![pii::EncryptedStr::new("Countess")]);
    people.insert(&ada).await.unwrap();
    sql(&db, "update people set aliases = phones").await;
    let error = people.get(1).decrypt_pii().await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("aliases[]")));
}

#[tokio::test]
async fn what_is_no_json_of_the_field_is_an_error() {
    let db = TestDatabase::new(2, &[PEOPLE]).await;
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor());
    people.insert(&Person::new(1)).await.unwrap();
    for (broken, kind) in [
        ("update people set phones = 'canary'", ErrorKind::Malformed),
        ("update people set phones = '{\"canary\": 1}'", ErrorKind::Malformed),
        ("update people set phones = '[7]'", ErrorKind::Malformed),
        ("update people set phones = 'null'", ErrorKind::Database),
        ("update people set phones = '[\"canary\"]'", ErrorKind::NotEncrypted),
        ("update people set phones = '[\"ENC:canary\"]'", ErrorKind::Malformed),
    ] {
        sql(&db, broken).await;
        let error = people.get(1).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{broken}: {error}");
        assert!(error.to_string().starts_with("person.phones"), "{error}");
        assert_eq!(error.row_id(), Some("1"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn empty_ones_are_not_null() {
    let db = TestDatabase::new(2, &[PEOPLE]).await;
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor());
    let mut ada = Person::new(1);
    ada.phones.clear();
    ada.aliases = Some(Vec::new());
    ada.contacts.clear();
    people.insert(&ada).await.unwrap();
    let loaded = people.get(1).decrypt_pii().await.unwrap();
    assert!(loaded.phones.is_empty() && loaded.contacts.is_empty());
    assert_eq!(loaded.aliases.unwrap().len(), 0);
    assert_eq!(loaded.profile.state(), ValueState::Opened);
}
