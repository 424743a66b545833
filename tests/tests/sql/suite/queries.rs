//! `.decrypt_pii()` on queries of every shape.

use pii::{DecryptPii, ErrorKind, ValueState};
use sqlx::{FromRow as _, QueryBuilder};

use super::{
    super::{Db, in_dialect},
    TestDatabase, customers, database, sql,
};
use crate::{
    models::{CUSTOMERS, Customer, CustomerBySqlx, EMAIL, SSN},
    support::cryptor,
};

const ALL: &str = "select * from customers order by id";

async fn five_rows(cryptor: &pii::Cryptor) -> TestDatabase {
    let db = database().await;
    let rows: Vec<_> = (1..=5).map(Customer::new).collect();
    customers(&db, cryptor).insert_many(&rows).await.unwrap();
    db
}

#[tokio::test]
async fn query_as_gives_one_some_or_all() {
    let cryptor = cryptor();
    let db = five_rows(&cryptor).await;
    let by_id = |id: i64| {
        sqlx::query_as::<_, Customer>(in_dialect("select * from customers where id = $1"))
            .bind(id)
            .decrypt_pii(&cryptor)
    };
    assert_eq!(by_id(3).fetch_one(&db.pool).await.unwrap().email.expose().unwrap(), EMAIL);
    assert_eq!(by_id(3).fetch_optional(&db.pool).await.unwrap().unwrap().id, 3);
    assert!(by_id(9).fetch_optional(&db.pool).await.unwrap().is_none());
    let error = by_id(9).fetch_one(&db.pool).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.model_name(), Some("customer"));
    let all = sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor).fetch_all(&db.pool).await.unwrap();
    assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(all.iter().all(|row| row.ssn.as_ref().unwrap().expose().unwrap() == SSN));
    assert!(by_id(9).fetch_all(&db.pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn rows_by_the_derive_of_sqlx_are_opened_too() {
    let cryptor = cryptor();
    let db = five_rows(&cryptor).await;
    let query = sqlx::query_as::<_, CustomerBySqlx>("select * from customers where id = 2");
    let row = query.decrypt_pii(&cryptor).fetch_one(&db.pool).await.unwrap();
    assert_eq!((row.id, row.tenant.as_str(), row.town.as_str()), (2, "acme", "London"));
    assert_eq!((row.email.expose().unwrap(), row.ssn.unwrap().expose().unwrap()), (EMAIL, SSN));
}

/// `query_as!` gives the same type as `try_map`.
#[tokio::test]
async fn mapped_queries_are_opened() {
    let cryptor = cryptor();
    let db = five_rows(&cryptor).await;
    let mapped = || sqlx::query(ALL).try_map(|row: <Db as sqlx::Database>::Row| Customer::from_row(&row));
    assert_eq!(mapped().decrypt_pii(&cryptor).fetch_all(&db.pool).await.unwrap().len(), 5);
    let one = mapped().decrypt_pii(&cryptor).fetch_one(&db.pool).await.unwrap();
    assert_eq!(one.email.expose().unwrap(), EMAIL);
    let some = mapped().map(|row| Customer { city: "Paris".into(), ..row });
    assert_eq!(some.decrypt_pii(&cryptor).fetch_optional(&db.pool).await.unwrap().unwrap().city, "Paris");
}

#[tokio::test]
async fn built_queries_are_opened() {
    let cryptor = cryptor();
    let db = five_rows(&cryptor).await;
    let mut builder = QueryBuilder::<Db>::new("select * from customers where id in (");
    let mut ids = builder.separated(", ");
    for id in [2_i64, 4] {
        ids.push_bind(id);
    }
    builder.push(") order by id");
    let rows = builder.build_query_as::<Customer>().decrypt_pii(&cryptor).fetch_all(&db.pool).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [2, 4]);
    assert!(rows.iter().all(|row| row.email.expose().unwrap() == EMAIL));
}

#[tokio::test]
async fn chosen_fields_are_opened_and_the_others_know_their_place() {
    let cryptor = cryptor();
    let db = five_rows(&cryptor).await;
    let query = || sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor);
    let row = query().fields(["email"]).fetch_one(&db.pool).await.unwrap();
    assert_eq!(row.email.expose().unwrap(), EMAIL);
    assert_eq!(row.ssn.as_ref().unwrap().state(), ValueState::Sealed);
    let opened = cryptor.stats().opened;
    customers(&db, &cryptor).update(&row).await.unwrap();
    assert_eq!(cryptor.stats().opened, opened, "no value had to be verified");
    let error = query().fields(["emial"]).fetch_all(&db.pool).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("emial")));
}

#[tokio::test]
async fn rows_are_saved_after_a_query() {
    let cryptor = cryptor();
    let db = five_rows(&cryptor).await;
    let query = sqlx::query_as::<_, Customer>("select * from customers where id = 1");
    let mut row = query.decrypt_pii(&cryptor).fetch_one(&db.pool).await.unwrap();
    row.email.set("changed@example.com");
    customers(&db, &cryptor).update(&row).await.unwrap();
    let row = customers(&db, &cryptor).get(1).decrypt_pii().await.unwrap();
    assert_eq!(row.email.expose().unwrap(), "changed@example.com");
}

#[tokio::test]
async fn each_row_has_its_own_result() {
    let cryptor = cryptor();
    let nullable =
        "create table customers (id bigint primary key, tenant text, city text, email text, ssn text)";
    let db = TestDatabase::new(2, &[nullable]).await;
    let rows: Vec<_> = (1..=5).map(Customer::new).collect();
    customers(&db, &cryptor).insert_many(&rows).await.unwrap();
    sql(&db, "update customers set email = (select email from (select email from customers where id = 1) as one) where id = 2").await;
    sql(&db, "update customers set email = null where id = 3").await;
    sql(&db, "update customers set email = 'plain' where id = 4").await;

    let query = || sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor);
    let each = query().each_row().fetch_all(&db.pool).await.unwrap();
    let kinds: Vec<_> =
        each.iter().map(|row| row.as_ref().map(|row| row.id).map_err(pii::Error::kind)).collect();
    assert_eq!(
        kinds,
        [Ok(1), Err(ErrorKind::Integrity), Err(ErrorKind::Database), Err(ErrorKind::NotEncrypted), Ok(5)]
    );
    for row in each.iter().flatten() {
        assert_eq!(row.email.expose().unwrap(), EMAIL);
    }
    assert!(query().fetch_all(&db.pool).await.is_err());
    // chosen fields that are whole
    let each = query().fields(["ssn"]).each_row().fetch_all(&db.pool).await.unwrap();
    assert_eq!(each.iter().filter(|row| row.is_ok()).count(), 3);

    // what a mapped query cannot decode ends it
    let mapped = || sqlx::query(ALL).try_map(|row: <Db as sqlx::Database>::Row| Customer::from_row(&row));
    let error = mapped().decrypt_pii(&cryptor).each_row().fetch_all(&db.pool).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    sql(&db, "delete from customers where id = 3").await;
    let each = mapped().decrypt_pii(&cryptor).each_row().fetch_all(&db.pool).await.unwrap();
    assert_eq!(each.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
}

#[tokio::test]
async fn a_query_that_fails_is_an_error_for_all() {
    let cryptor = cryptor();
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let query = || sqlx::query_as::<_, Customer>("select * from nowhere").decrypt_pii(&cryptor);
    for error in [
        query().fetch_all(&db.pool).await.unwrap_err(),
        query().fetch_one(&db.pool).await.unwrap_err(),
        query().each_row().fetch_all(&db.pool).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.model_name()), (ErrorKind::Database, Some("customer")));
    }
}

#[tokio::test]
async fn a_query_must_give_the_row_id() {
    let cryptor = cryptor();
    let db = five_rows(&cryptor).await;
    // the id of another row: the values do not open there
    let query = "select id + 1 as id, tenant, city, email, ssn from customers where id = 1";
    let error =
        sqlx::query_as::<_, Customer>(query).decrypt_pii(&cryptor).fetch_one(&db.pool).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    let query = "select tenant, city, email, ssn from customers";
    let error =
        sqlx::query_as::<_, Customer>(query).decrypt_pii(&cryptor).fetch_one(&db.pool).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("id")));
    assert!(error.to_string().contains("no column `id`"), "{error}");
}
