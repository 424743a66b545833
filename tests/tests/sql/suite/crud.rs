//! Tables, one row at a time.

use pii::{
    ErrorKind, SqlTable, ValueState,
    testing::{assert_all_sealed, assert_sealed_text},
};

use super::{super::Db, TestDatabase, count, customers, database, stored};
use crate::{
    models::{Customer, DOCUMENTS, Document, EMAIL, Homeless, ODD_NAMES, Odd, SSN},
    support::cryptor,
};

#[tokio::test]
async fn a_row_is_stored_sealed_and_opened_on_request() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    let ada = Customer::new(1);
    customers.insert(&ada).await.unwrap();
    assert_eq!(ada.email.state(), ValueState::Plain, "the model keeps its plaintext");
    let (email, ssn) = stored(&db, 1).await;
    assert_sealed_text(&email);
    assert_sealed_text(&ssn.unwrap());

    let calls = cryptor.stats().key_calls();
    let sealed = customers.get(1).await.unwrap();
    assert_all_sealed(&sealed);
    assert_eq!((sealed.tenant.as_str(), sealed.city.as_str()), ("acme", "London"));
    assert_eq!(cryptor.stats().key_calls(), calls, "a sealed row needs no key");

    let opened = customers.get(1).decrypt_pii().await.unwrap();
    assert_eq!(opened.email.expose().unwrap(), EMAIL);
    assert_eq!(opened.ssn.as_ref().unwrap().expose().unwrap(), SSN);
    for model in [&ada, &sealed, &opened] {
        let shown = format!("{model:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[tokio::test]
async fn a_missing_value_is_null() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    customers.insert(&Customer { ssn: None, ..Customer::new(1) }).await.unwrap();
    assert_eq!(stored(&db, 1).await.1, None);
    let mut loaded = customers.get(1).decrypt_pii().await.unwrap();
    assert!(loaded.ssn.is_none());
    loaded.ssn = Some(pii::EncryptedStr::new(SSN));
    customers.update(&loaded).await.unwrap();
    assert!(stored(&db, 1).await.1.is_some());
    loaded.ssn = None;
    customers.update(&loaded).await.unwrap();
    assert_eq!(stored(&db, 1).await.1, None);
}

#[tokio::test]
async fn chosen_fields_are_opened() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    customers.insert(&Customer::new(1)).await.unwrap();
    let some = customers.get(1).decrypt_fields(["email"]).await.unwrap();
    assert_eq!(some.email.state(), ValueState::Opened);
    assert_eq!(some.ssn.unwrap().state(), ValueState::Sealed);
    let listed = customers.list().decrypt_fields(["ssn"]).await.unwrap();
    assert_eq!(listed[0].email.state(), ValueState::Sealed);
    assert_eq!(listed[0].ssn.as_ref().unwrap().expose().unwrap(), SSN);
    let error = customers.get(1).decrypt_fields(["emial"]).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("emial")));
    let error = customers.get(1).decrypt_fields(["city"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_row_that_does_not_exist_is_an_error_or_none() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    let error = customers.get(7).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "customer: row not found (row 7)");
    assert!(customers.get(7).optional().await.unwrap().is_none());
    assert!(customers.get(7).optional().decrypt_pii().await.unwrap().is_none());
    assert!(customers.update(&Customer::new(7)).await.unwrap_err().is_not_found());
    assert!(customers.delete(7).await.unwrap_err().is_not_found());
    assert_eq!(count(&db).await, 0);
    customers.insert(&Customer::new(7)).await.unwrap();
    assert!(customers.get(7).optional().await.unwrap().is_some());
    customers.update(&Customer::new(7)).await.unwrap();
    customers.delete(7).await.unwrap();
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn an_update_writes_every_column_and_seals_what_changed() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    customers.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    let (before, other) = (stored(&db, 1).await, stored(&db, 2).await);
    let mut ada = customers.get(1).decrypt_pii().await.unwrap();
    ada.city = "Paris".into();
    ada.email.set("ada@example.org");
    customers.update(&ada).await.unwrap();
    let after = stored(&db, 1).await;
    assert_ne!(after.0, before.0);
    assert_eq!(after.1, before.1, "what was not changed stays, byte by byte");
    assert_eq!(stored(&db, 2).await, other, "another row is not touched");
    let ada = customers.get(1).decrypt_pii().await.unwrap();
    assert_eq!((ada.city.as_str(), ada.email.expose().unwrap()), ("Paris", "ada@example.org"));
}

#[tokio::test]
async fn an_upsert_inserts_or_updates() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    customers.upsert(&Customer::new(1)).await.unwrap();
    assert_eq!(customers.get(1).decrypt_pii().await.unwrap().email.expose().unwrap(), EMAIL);
    let mut changed = Customer { city: "Paris".into(), ssn: None, ..Customer::new(1) };
    changed.email.set("ada@example.org");
    customers.upsert(&changed).await.unwrap();
    let ada = customers.get(1).decrypt_pii().await.unwrap();
    assert_eq!((ada.city.as_str(), ada.email.expose().unwrap()), ("Paris", "ada@example.org"));
    assert!(ada.ssn.is_none());
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn all_rows_are_listed_in_order() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    assert!(customers.list().decrypt_pii().await.unwrap().is_empty());
    let rows: Vec<_> = [3, 1, 2].into_iter().map(Customer::new).collect();
    customers.insert_many(&rows).await.unwrap();
    let listed = customers.list().await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 3]);
    listed.iter().for_each(assert_all_sealed);
    let opened = customers.list().decrypt_pii().await.unwrap();
    assert!(opened.iter().all(|row| row.email.expose().unwrap() == EMAIL));
}

#[tokio::test]
async fn a_version_tells_that_someone_else_was_faster() {
    let db = TestDatabase::new(2, &[DOCUMENTS]).await;
    let documents = SqlTable::<Document, Db>::new(&db.pool, &cryptor());
    documents.insert(&Document::new(1)).await.unwrap();
    let mut mine = documents.get(1).await.unwrap();
    let mut theirs = documents.get(1).decrypt_pii().await.unwrap();
    theirs.body.set("theirs");
    documents.update(&theirs).await.unwrap();
    assert_eq!(theirs.revision, 1, "the model stays as it is");

    mine.title = "Mine".into();
    let error = documents.update(&mine).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Conflict, Some("1")));
    let stored = documents.get(1).decrypt_pii().await.unwrap();
    assert_eq!((stored.title.as_str(), stored.revision), ("Will", 2));
    assert_eq!(stored.body.expose().unwrap(), "theirs");

    mine.revision += 1;
    mine.body = stored.body.clone();
    documents.update(&mine).await.unwrap();
    assert_eq!(documents.get(1).await.unwrap().revision, 3);
    documents.delete(1).await.unwrap();
    let error = documents.update(&mine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RowNotFound, "a row that is gone is no conflict");
}

#[tokio::test]
async fn an_upsert_counts_the_version_up() {
    let db = TestDatabase::new(2, &[DOCUMENTS]).await;
    let documents = SqlTable::<Document, Db>::new(&db.pool, &cryptor());
    for revision in [1, 2, 3] {
        documents.upsert(&Document::new(1)).await.unwrap();
        assert_eq!(documents.get(1).await.unwrap().revision, revision);
    }
}

#[tokio::test]
async fn a_table_has_the_name_that_is_given() {
    let (db, cryptor) = (database().await, cryptor());
    let unnamed = SqlTable::<Homeless, Db>::new(&db.pool, &cryptor);
    let homeless = || Homeless { id: 1, tenant: "acme".into(), email: pii::EncryptedStr::new(EMAIL) };
    let calls = cryptor.stats().key_calls();
    for error in [
        unnamed.insert(&homeless()).await.unwrap_err(),
        unnamed.update(&homeless()).await.unwrap_err(),
        unnamed.get(1).await.unwrap_err(),
        unnamed.list().await.unwrap_err(),
        unnamed.delete(1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("names no table"), "{error}");
    }
    assert_eq!(cryptor.stats().key_calls(), calls);
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    let named = SqlTable::<Homeless, Db>::named(&db.pool, &cryptor, "customers");
    assert_eq!(named.get(1).decrypt_pii().await.unwrap().email.expose().unwrap(), EMAIL);
    let qualified = SqlTable::<Homeless, Db>::named(&db.pool, &cryptor, &db.qualified("customers"));
    assert_eq!(qualified.list().await.unwrap().len(), 1);
    let nameless = SqlTable::<Homeless, Db>::named(&db.pool, &cryptor, "");
    assert_eq!(nameless.list().await.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn names_may_hold_anything() {
    let db = TestDatabase::new(2, &[ODD_NAMES]).await;
    let table = SqlTable::<Odd, Db>::new(&db.pool, &cryptor());
    let mut odd = Odd { id: 1, email: pii::EncryptedStr::new(EMAIL) };
    table.insert(&odd).await.unwrap();
    odd.email.set("other@example.com");
    table.update(&odd).await.unwrap();
    table.upsert(&odd).await.unwrap();
    assert_eq!(table.get(1).decrypt_pii().await.unwrap().email.expose().unwrap(), "other@example.com");
    table.delete(1).await.unwrap();
}
