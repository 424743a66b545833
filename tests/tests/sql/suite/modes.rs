//! Fields and cryptors that may only write, or only read.

use pii::{DecryptPii, EncryptedStr, ErrorKind, Mode, SqlTable, ValueState};

use super::{super::Db, count, customers, database, stored};
use crate::{
    models::{Customer, EMAIL, LimitedCustomer, SSN},
    support::cryptor,
};

const CANNOT_DECRYPT: &str = "Cannot decrypt in WriteOnly mode";
const CANNOT_ENCRYPT: &str = "Cannot encrypt in ReadOnly mode";

#[tokio::test]
async fn a_field_that_is_only_written_stays_sealed() {
    let (db, cryptor) = (database().await, cryptor());
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    let limited = SqlTable::<LimitedCustomer, Db>::new(&db.pool, &cryptor);
    let mut row = limited.get(1).decrypt_pii().await.unwrap();
    assert_eq!(row.email.state(), ValueState::Sealed);
    assert_eq!(row.ssn.as_ref().unwrap().expose().unwrap(), SSN);

    row.email.set("written@example.com");
    limited.update(&row).await.unwrap();
    let read = customers(&db, &cryptor).get(1).decrypt_pii().await.unwrap();
    assert_eq!(read.email.expose().unwrap(), "written@example.com");
}

#[tokio::test]
async fn asking_for_such_a_field_is_refused_before_the_database_is_asked() {
    let (db, cryptor) = (database().await, cryptor());
    db.pool.close().await;
    let limited = SqlTable::<LimitedCustomer, Db>::new(&db.pool, &cryptor);
    let query = || sqlx::query_as::<_, LimitedCustomer>("select * from customers").decrypt_pii(&cryptor);
    for error in [
        limited.get(1).decrypt_fields(["email"]).await.unwrap_err(),
        limited.list().decrypt_fields(["email"]).await.unwrap_err(),
        query().fields(["email"]).fetch_all(&db.pool).await.unwrap_err(),
        query().fields(["email"]).fetch_one(&db.pool).await.unwrap_err(),
        query().fields(["email"]).each_row().fetch_all(&db.pool).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Mode);
        assert!(error.is_access());
        assert!(error.to_string().contains(CANNOT_DECRYPT), "{error}");
        assert_eq!((error.model_name(), error.field_name()), (Some("customer"), Some("email")));
    }
}

#[tokio::test]
async fn a_new_value_for_a_field_that_is_only_read_is_refused_before_the_database_is_asked() {
    let (db, cryptor) = (database().await, cryptor());
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    let limited = SqlTable::<LimitedCustomer, Db>::new(&db.pool, &cryptor);
    let mut row = limited.get(1).decrypt_pii().await.unwrap();
    limited.update(&row).await.unwrap();
    let before = stored(&db, 1).await;
    row.ssn = Some(EncryptedStr::new("new"));
    let closed = database().await;
    closed.pool.close().await;
    let unreachable = SqlTable::<LimitedCustomer, Db>::new(&closed.pool, &cryptor);
    for error in [
        limited.update(&row).await.unwrap_err(),
        limited.upsert(&row).await.unwrap_err(),
        unreachable.update(&row).await.unwrap_err(),
        unreachable.insert(&row).await.unwrap_err(),
        unreachable.insert_many([&row, &row]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Mode);
        assert!(error.to_string().contains(CANNOT_ENCRYPT), "{error}");
        assert_eq!(error.field_name(), Some("ssn"));
    }
    assert_eq!(stored(&db, 1).await, before);
}

#[tokio::test]
async fn a_cryptor_that_only_writes_opens_nothing() {
    let (db, cryptor) = (database().await, cryptor());
    let writer = cryptor.limited_to(Mode::WriteOnly);
    customers(&db, &writer).insert(&Customer::new(1)).await.unwrap();
    let sealed = customers(&db, &writer).get(1).await.unwrap();
    customers(&db, &writer).update(&sealed).await.unwrap();
    let query = sqlx::query_as::<_, Customer>("select * from customers");
    for error in [
        customers(&db, &writer).get(1).decrypt_pii().await.unwrap_err(),
        query.decrypt_pii(&writer).fetch_all(&db.pool).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Mode);
        assert!(error.to_string().contains(CANNOT_DECRYPT), "{error}");
    }
}

#[tokio::test]
async fn a_cryptor_that_only_reads_seals_nothing() {
    let (db, cryptor) = (database().await, cryptor());
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    let reader = customers(&db, &cryptor.limited_to(Mode::ReadOnly));
    let mut row = reader.get(1).decrypt_pii().await.unwrap();
    assert_eq!(row.email.expose().unwrap(), EMAIL);
    row.city = "Paris".into();
    reader.update(&row).await.unwrap();
    row.email.set("new@example.com");
    for error in [reader.update(&row).await.unwrap_err(), reader.insert(&Customer::new(2)).await.unwrap_err()]
    {
        assert!(error.to_string().contains(CANNOT_ENCRYPT), "{error}");
    }
    assert_eq!(count(&db).await, 1);
}
