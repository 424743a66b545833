//! Rows that move to another id or tenant.

use pii::{EncryptedStr, ErrorKind, PiiModel as _, SqlTable, ctx};

use super::{super::Db, TestDatabase, count, customers, database, sql, stored};
use crate::{
    models::{
        CUSTOMERS, Customer, DOCUMENTS, Document, EMAIL, LimitedCustomer, MEMBERS, Member, PEOPLE, Person,
        SSN,
    },
    support::{PoolKeyring, cryptor, in_time, is_send, with_keyring},
};

#[tokio::test]
async fn a_row_moves_to_another_tenant() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    customers.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    let (before, untouched) = (stored(&db, 1).await, stored(&db, 2).await);
    customers.move_row(1, |customer| customer.tenant = "globex".into()).await.unwrap();
    let after = stored(&db, 1).await;
    assert!(after.0 != before.0 && after.1 != before.1, "every value is sealed anew");
    assert_eq!(stored(&db, 2).await, untouched);
    let globex = SqlTable::<Customer, Db>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "globex")));
    let moved = globex.get(1).decrypt_pii().await.unwrap();
    assert_eq!((moved.email.expose().unwrap(), moved.ssn.unwrap().expose().unwrap()), (EMAIL, SSN));
    let acme = SqlTable::<Customer, Db>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "acme")));
    assert_eq!(acme.get(1).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
    // by hand, the row would not have opened
    sql(&db, "update customers set tenant = 'globex' where id = 2").await;
    assert_eq!(globex.get(2).decrypt_pii().await.unwrap_err().kind(), ErrorKind::ContextMismatch);
}

#[tokio::test]
async fn a_row_moves_to_another_id_and_may_change_on_the_way() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    customers.insert(&Customer::new(1)).await.unwrap();
    customers
        .move_row(1, |customer| {
            customer.id = 7;
            customer.city = "Paris".into();
            customer.ssn = None;
            customer.email.set("moved@example.com");
        })
        .await
        .unwrap();
    assert_eq!(count(&db).await, 1);
    assert!(customers.get(1).optional().await.unwrap().is_none());
    let moved = customers.get(7).decrypt_pii().await.unwrap();
    assert_eq!((moved.city.as_str(), moved.email.expose().unwrap()), ("Paris", "moved@example.com"));
    assert!(moved.ssn.is_none());
}

#[tokio::test]
async fn rows_of_several_id_columns_and_of_nested_values_move() {
    let cryptor = cryptor();
    let db = TestDatabase::new(2, &[MEMBERS, PEOPLE]).await;
    let members = SqlTable::<Member, Db>::new(&db.pool, &cryptor);
    members.insert(&Member { team: "red".into(), number: 1, phone: EncryptedStr::new(EMAIL) }).await.unwrap();
    members.move_row(("red".to_owned(), 1), |member| member.team = "blue".into()).await.unwrap();
    let moved = members.get(("blue".to_owned(), 1)).decrypt_pii().await.unwrap();
    assert_eq!(moved.phone.expose().unwrap(), EMAIL);
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor);
    people.insert(&Person::new(1)).await.unwrap();
    people.move_row(1, |person| person.id = 2).await.unwrap();
    let moved = people.get(2).decrypt_pii().await.unwrap();
    assert_eq!(moved.home.street.expose().unwrap(), "1 Canary Wharf");
    assert_eq!(moved.contacts["work"].expose().unwrap(), EMAIL);
}

#[tokio::test]
async fn a_move_is_undone_with_its_transaction_and_counts_the_version_up() {
    let cryptor = cryptor();
    let db = TestDatabase::new(2, &[DOCUMENTS]).await;
    let documents = SqlTable::<Document, Db>::new(&db.pool, &cryptor);
    documents.insert(&Document::new(1)).await.unwrap();
    let version = documents.get(1).await.unwrap().revision;
    let mut tx = db.pool.begin().await.unwrap();
    is_send(std::future::IntoFuture::into_future(
        documents.move_row(1, |document| document.id = 2).on(&mut tx),
    ))
    .await
    .unwrap();
    assert_eq!(documents.get(2).on(&mut tx).await.unwrap().revision, version + 1);
    tx.rollback().await.unwrap();
    assert_eq!(documents.get(1).await.unwrap().revision, version);
    documents.move_row(1, |document| document.id = 2).await.unwrap();
    assert_eq!(documents.get(2).await.unwrap().revision, version + 1);
}

#[tokio::test]
async fn a_move_that_is_refused_changes_nothing() {
    let cryptor = cryptor();
    let db = database().await;
    let table = customers(&db, &cryptor);
    table.insert_many(&[Customer::new(1), Customer::new(2), Customer::of(3, "globex")]).await.unwrap();
    let before = (stored(&db, 1).await, stored(&db, 2).await, stored(&db, 3).await);

    // the id is taken
    let error = table.move_row(1, |customer| customer.id = 2).await.unwrap_err();
    let database = pii::sqlx_error(&error).unwrap().as_database_error().unwrap();
    assert!(database.is_unique_violation());
    // no such row
    let error = table.move_row(9, |customer| customer.id = 10).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::RowNotFound, Some("9")));
    // out of the scope, and from outside of it
    let scoped = SqlTable::<Customer, Db>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "acme")));
    let error = scoped.move_row(1, |customer| customer.tenant = "globex".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    let error = scoped.move_row(3, |customer| customer.id = 4).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RowNotFound);
    // a field that can't be opened here
    let limited = SqlTable::<LimitedCustomer, Db>::new(&db.pool, &cryptor);
    let error = limited.move_row(1, |customer| customer.id = 5).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.field_name(), error.row_id()),
        (ErrorKind::State, Some("email"), Some("1"))
    );
    // a value that does not open where it is
    sql(&db, "update customers set ssn = (select ssn from customers where id = 1) where id = 2").await;
    let error = table.move_row(2, |customer| customer.id = 6).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("ssn")));

    assert_eq!(count(&db).await, 3);
    assert_eq!((stored(&db, 1).await, stored(&db, 3).await), (before.0, before.2));
    assert_eq!(stored(&db, 2).await.0, before.1.0);
    table.move_row(1, |customer| customer.id = 8).await.unwrap();
    scoped.move_row(8, |customer| customer.id = 1).await.unwrap();
}

#[tokio::test]
async fn keys_are_asked_for_before_the_transaction() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let cryptor = with_keyring(PoolKeyring::new(&db.pool));
    let customers = customers(&db, &cryptor);
    in_time(customers.insert(&Customer::new(1))).await.unwrap();
    cryptor.evict_all();
    in_time(customers.move_row(1, |customer| customer.tenant = "globex".into())).await.unwrap();
    assert_eq!(in_time(customers.get(1).decrypt_pii()).await.unwrap().email.expose().unwrap(), EMAIL);
}

#[tokio::test]
async fn moves_at_the_same_time_lose_nothing() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    customers.insert(&Customer::new(1)).await.unwrap();
    let moves = (2..6).map(|id| customers.move_row(1, move |customer| customer.id = id));
    let done = futures_util::future::join_all(moves.map(std::future::IntoFuture::into_future)).await;
    assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 1, "{done:?}");
    assert_eq!(count(&db).await, 1);
    let rows = customers.list().decrypt_pii().await.unwrap();
    assert_eq!(rows[0].email.expose().unwrap(), EMAIL);
}

/// For statements of one's own.
#[tokio::test]
async fn a_model_is_sealed_anew_where_it_goes() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    customers.insert(&Customer::new(1)).await.unwrap();
    let mut sealed = customers.get(1).await.unwrap();
    let error = sealed.reseal().unwrap_err();
    assert_eq!(
        (error.kind(), error.model_name(), error.field_name()),
        (ErrorKind::State, Some("customer"), Some("email"))
    );
    let mut half = customers.get(1).decrypt_fields(["email"]).await.unwrap();
    let error = half.reseal().unwrap_err();
    assert_eq!(error.field_name(), Some("ssn"));
    assert!(half.email.ciphertext().is_some(), "nothing was changed");

    let mut opened = customers.get(1).decrypt_pii().await.unwrap();
    opened.tenant = "globex".into();
    assert_eq!(customers.update(&opened).await.unwrap_err().kind(), ErrorKind::WrongPlace);
    opened.reseal().unwrap();
    customers.update(&opened).await.unwrap();
    assert_eq!(customers.get(1).decrypt_pii().await.unwrap().ssn.unwrap().expose().unwrap(), SSN);
}
