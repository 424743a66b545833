//! Values that were loaded know where they belong.

use pii::{ErrorKind, ValueState};

use super::{count, customers, database, stored};
use crate::{
    models::{Customer, EMAIL},
    support::{cryptor, process},
};

#[tokio::test]
async fn an_unchanged_row_is_written_back_byte_by_byte_without_a_key() {
    let db = database().await;
    customers(&db, &process(&db.folder)).insert(&Customer::new(1)).await.unwrap();
    let before = stored(&db, 1).await;

    let cryptor = process(&db.folder);
    let table = customers(&db, &cryptor);
    let sealed = table.get(1).await.unwrap();
    table.update(&sealed).await.unwrap();
    table.upsert(&sealed).await.unwrap();
    assert_eq!(stored(&db, 1).await, before);
    let stats = cryptor.stats();
    assert_eq!((stats.key_calls(), stats.sealed, stats.opened), (0, 0, 0));

    let opened = table.get(1).decrypt_pii().await.unwrap();
    let stats = cryptor.stats();
    table.update(&opened).await.unwrap();
    assert_eq!(stored(&db, 1).await, before);
    assert_eq!(cryptor.stats().key_calls(), stats.key_calls());
    assert_eq!(cryptor.stats().sealed, 0);
}

#[tokio::test]
async fn a_changed_id_or_tenant_is_refused_and_nothing_written() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    let before = (stored(&db, 1).await, stored(&db, 2).await);
    for loaded in [table.get(1).await.unwrap(), table.get(1).decrypt_pii().await.unwrap()] {
        let copied = Customer { id: 3, ..loaded.clone() };
        let onto_another = Customer { id: 2, ..loaded.clone() };
        let moved = Customer { tenant: "zeta".into(), ..loaded };
        for error in [
            table.insert(&copied).await.unwrap_err(),
            table.update(&onto_another).await.unwrap_err(),
            table.upsert(&onto_another).await.unwrap_err(),
            table.update(&moved).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::WrongPlace);
            assert_eq!((error.model_name(), error.field_name()), (Some("customer"), Some("email")));
            assert!(error.to_string().contains("reseal()"), "{error}");
        }
    }
    assert_eq!((stored(&db, 1).await, stored(&db, 2).await), before);
    assert_eq!(count(&db).await, 2);
}

#[tokio::test]
async fn a_row_that_is_sealed_anew_may_move() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    let mut sealed = table.get(1).await.unwrap();
    assert_eq!(sealed.email.reseal().unwrap_err().kind(), ErrorKind::State, "the plaintext is not known");
    let mut moved = table.get(1).decrypt_pii().await.unwrap();
    moved.tenant = "zeta".into();
    moved.email.reseal().unwrap();
    moved.ssn.as_mut().unwrap().reseal().unwrap();
    table.update(&moved).await.unwrap();
    let loaded = table.get(1).decrypt_pii().await.unwrap();
    assert_eq!((loaded.tenant.as_str(), loaded.email.expose().unwrap()), ("zeta", EMAIL));
}

#[tokio::test]
async fn a_sealed_value_of_unknown_origin_is_verified_before_it_is_written() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    // sqlx alone does not note where a value comes from
    let query = "select * from customers where id = 1";
    let row: Customer = sqlx::query_as(query).fetch_one(&db.pool).await.unwrap();
    assert_eq!(row.email.state(), ValueState::Sealed);
    let opened = cryptor.stats().opened;
    table.update(&row).await.unwrap();
    assert_eq!(cryptor.stats().opened - opened, 2);
    let error = table.update(&Customer { id: 2, ..row }).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("2")));
}
