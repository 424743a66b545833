//! Pieces for statements that users write.

use pii::{DecryptPii as _, ErrorKind, SqlTable};
use sqlx::{AssertSqlSafe, QueryBuilder};

use super::{
    super::{Db, GENERATED, PARAMETERS, in_dialect},
    TestDatabase, count, customers, database, stored,
};
use crate::{
    models::{Customer, EMAIL, Homeless, LimitedCustomer, Note, SSN},
    support::{PoolKeyring, cryptor, in_time, with_keyring},
};

#[tokio::test]
async fn a_whole_model_is_bound_to_an_insert_that_returns_rows() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    let rows = customers.seal_rows([&Customer::new(1), &Customer::new(2)]).await.unwrap();
    assert_eq!(rows.parameters(), 10);
    assert_eq!(rows.columns(), customers.columns().to_string());
    assert_eq!(rows.assignments().unwrap_err().kind(), ErrorKind::Configuration);
    let insert = format!("insert into customers ({}) values {} returning *", rows.columns(), rows.values());
    let inserted = sqlx::query_as_with::<_, Customer, _>(AssertSqlSafe(insert), rows.into_arguments())
        .decrypt_pii(&cryptor)
        .fetch_all(&db.pool)
        .await
        .unwrap();
    assert_eq!(inserted.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2]);
    assert!(inserted.iter().all(|row| row.email.expose().unwrap() == EMAIL));
    let (email, ssn) = stored(&db, 2).await;
    assert!(email.starts_with("ENC:") && ssn.unwrap().starts_with("ENC:"));
    assert_eq!(customers.get(2).decrypt_pii().await.unwrap().ssn.unwrap().expose().unwrap(), SSN);
}

#[tokio::test]
async fn a_whole_model_is_bound_to_an_update_with_conditions_of_ones_own() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    customers.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    let untouched = stored(&db, 2).await;
    let mut ada = customers.get(1).decrypt_pii().await.unwrap();
    ada.email.set("new@example.com");
    let row = customers.seal_rows([&ada]).await.unwrap();
    let (city, id) = (row.parameters() + 1, row.parameters() + 2);
    let update =
        format!("update customers set {} where city = ${city} and id = ${id}", row.assignments().unwrap());
    let done = sqlx::query_with(in_dialect(&update), row.into_arguments())
        .bind("London")
        .bind(1_i64)
        .execute(&db.pool)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
    let updated = customers.get(1).decrypt_pii().await.unwrap();
    assert_eq!(updated.email.expose().unwrap(), "new@example.com");
    assert_eq!(stored(&db, 2).await, untouched);
}

#[tokio::test]
async fn rows_that_are_deleted_come_back_opened() {
    let cryptor = cryptor();
    let db = database().await;
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    let deleted = sqlx::query_as::<_, Customer>("delete from customers where id = 1 returning *")
        .decrypt_pii(&cryptor)
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(deleted.email.expose().unwrap(), EMAIL);
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn columns_go_into_built_queries() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    customers.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    let mut builder = QueryBuilder::<Db>::new("select ");
    builder.push(customers.columns().of("c")).push(" from customers c where c.id = ").push_bind(2_i64);
    let rows = builder.build_query_as::<Customer>().decrypt_pii(&cryptor).fetch_all(&db.pool).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn an_id_that_the_database_makes_up_is_left_out() {
    let db = TestDatabase::new(1, &[]).await;
    let ddl = format!("create table notes (id {GENERATED}, text text not null)");
    sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&db.pool).await.unwrap();
    let cryptor = cryptor();
    let notes = SqlTable::<Note, Db>::new(&db.pool, &cryptor);
    let row = notes.seal_rows([&Note::new(None)]).await.unwrap();
    assert_eq!(row.parameters(), 1);
    let insert = format!("insert into notes ({}) values {} returning id", row.columns(), row.values());
    let id: i64 = sqlx::query_scalar_with(AssertSqlSafe(insert), row.into_arguments())
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(notes.get(id).decrypt_pii().await.unwrap().text.expose().unwrap(), EMAIL);
    let error = notes.seal_rows([&Note::new(None), &Note::new(Some(7))]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn rows_are_sealed_before_a_connection_is_needed() {
    let db = TestDatabase::new(1, &[crate::models::CUSTOMERS]).await;
    let cryptor = with_keyring(PoolKeyring::new(&db.pool));
    let rows = in_time(customers(&db, &cryptor).seal_rows([&Customer::new(1)])).await.unwrap();
    let mut tx = db.pool.begin().await.unwrap();
    let insert = format!("insert into customers ({}) values {}", rows.columns(), rows.values());
    sqlx::query_with(AssertSqlSafe(insert), rows.into_arguments()).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn models_that_make_no_statement_are_refused() {
    let cryptor = cryptor();
    let db = database().await;
    let customers = customers(&db, &cryptor);
    let refused = |result: pii::Result<pii::SealedRows<Db>>| result.unwrap_err().kind();
    let none: [&Customer; 0] = [];
    assert_eq!(refused(customers.seal_rows(none).await), ErrorKind::Configuration);
    let too_many: Vec<_> = (0..=PARAMETERS / 5).map(Customer::new).collect();
    assert_eq!(refused(customers.seal_rows(&too_many).await), ErrorKind::TooLarge);
    assert!(customers.seal_rows(&too_many[1..]).await.is_ok());
    let elsewhere = cryptor.scoped(pii::ctx!(tenant = "initech"));
    let scoped = SqlTable::<Customer, Db>::new(&db.pool, &elsewhere);
    assert_eq!(refused(scoped.seal_rows([&Customer::new(1)]).await), ErrorKind::ContextMismatch);
    let limited = SqlTable::<LimitedCustomer, Db>::new(&db.pool, &cryptor);
    let mut row = LimitedCustomer {
        id: 1,
        tenant: "acme".into(),
        city: "London".into(),
        email: pii::EncryptedStr::new(EMAIL),
        ssn: Some(pii::EncryptedStr::new(SSN)),
    };
    assert_eq!(refused(limited.seal_rows([&row]).await), ErrorKind::Mode);
    row.ssn = None;
    assert!(limited.seal_rows([&row]).await.is_ok());
    // the model that names no table makes statements for any
    let homeless = Homeless { id: 1, tenant: "acme".into(), email: pii::EncryptedStr::new(EMAIL) };
    let rows = SqlTable::<Homeless, Db>::new(&db.pool, &cryptor).seal_rows([&homeless]).await.unwrap();
    assert_eq!(rows.parameters(), 3);
    assert!(!format!("{rows:?}").contains("canary"));
}
