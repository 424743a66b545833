//! What goes wrong in the database.

use pii::{DecryptPii, EncryptedStr, ErrorKind, PiiModel, SqlTable, ctx, sqlx_error};
use sqlx::{
    Database, Decode, Encode, Type,
    encode::IsNull,
    error::{BoxDynError, ErrorKind as Violation},
};

use super::{Db, TestDatabase, count, customers, database, sql};
use crate::{
    models::{CUSTOMERS, Customer, PreparingCustomer},
    support::{Errors, cryptor, process},
};

#[tokio::test]
async fn a_duplicate_is_told_by_the_error_of_sqlx() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    let error = table.insert(&Customer::new(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (ErrorKind::Duplicate, Some("customer")));
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(sqlx_error(&error).unwrap().as_database_error().unwrap().is_unique_violation());
    let error = table.get(7).await.unwrap_err();
    assert!(sqlx_error(&error).is_none());
}

#[tokio::test]
async fn null_where_the_field_is_not_optional_says_so() {
    let nullable =
        "create table customers (id bigint primary key, tenant text, city text, email text, ssn text)";
    let db = TestDatabase::new(2, &[nullable]).await;
    let cryptor = cryptor();
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    sql(&db, "update customers set email = null").await;
    let query = || sqlx::query_as::<_, Customer>("select * from customers").decrypt_pii(&cryptor);
    for error in [
        table.get(1).await.unwrap_err(),
        table.list().decrypt_pii().await.unwrap_err(),
        query().fetch_all(&db.pool).await.unwrap_err(),
        query().fetch_one(&db.pool).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("email")));
        let shown = error.to_string();
        assert!(shown.contains("`email` is NULL") && shown.contains("`Option`"), "{shown}");
    }
    assert_eq!(table.get(1).await.unwrap_err().row_id(), Some("1"));
    // a driver may take it for an empty text
    table.upsert(&Customer::new(1)).await.unwrap();
    assert!(table.get(1).await.is_ok());
    sql(&db, "update customers set city = null").await;
    let error = table.get(1).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("city")));
}

#[tokio::test]
async fn a_column_of_another_type_is_named() {
    let numbers =
        "create table customers (id bigint primary key, tenant text, city text, email integer, ssn text)";
    let db = TestDatabase::new(2, &[numbers]).await;
    sql(&db, "insert into customers values (1, 'acme', 'London', 7, null)").await;
    let error = customers(&db, &cryptor()).get(1).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("email")));
    assert!(error.to_string().contains("does not fit"), "{error}");
}

#[tokio::test]
async fn a_table_or_column_that_is_gone_is_an_error() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    sql(&db, "alter table customers drop column city").await;
    assert_eq!(table.get(1).await.unwrap_err().kind(), ErrorKind::Database);
    let query = sqlx::query_as::<_, Customer>("select * from customers");
    let error = query.decrypt_pii(&cryptor).fetch_all(&db.pool).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("city")));
    sql(&db, "drop table customers").await;
    for error in [
        table.insert(&Customer::new(2)).await.unwrap_err(),
        table.insert_many(&[Customer::new(2)]).await.unwrap_err(),
        table.get(1).await.unwrap_err(),
        table.list().await.unwrap_err(),
        table.update(&Customer::new(1)).await.unwrap_err(),
        table.upsert(&Customer::new(1)).await.unwrap_err(),
        table.delete(1).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.model_name()), (ErrorKind::Database, Some("customer")));
        assert!(sqlx_error(&error).unwrap().as_database_error().is_some());
        assert!(error.to_string().contains("answered with the code "), "{error}");
    }
}

#[tokio::test]
async fn a_closed_pool_is_an_error() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    db.pool.close().await;
    let query = sqlx::query_as::<_, Customer>("select * from customers");
    for error in [
        table.insert(&Customer::new(2)).await.unwrap_err(),
        table.get(1).await.unwrap_err(),
        table.delete(1).await.unwrap_err(),
        query.decrypt_pii(&cryptor).fetch_all(&db.pool).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains("the pool is closed"), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn no_error_shows_plaintext() {
    let (db, cryptor) = (TestDatabase::new(2, &[CUSTOMERS]).await, cryptor());
    let table = customers(&db, &cryptor);
    let errors = Errors::default();
    let row = |id| Customer { city: "city-canary".into(), ..Customer::new(id) };
    table.insert_many(&[row(1), row(2), row(3)]).await.unwrap();
    errors.add(&table.insert(&row(1)).await.unwrap_err());
    errors.add(&table.insert_many(&[row(4), row(4)]).await.unwrap_err());
    errors.add(&table.get(9).await.unwrap_err());
    errors.add(&table.update(&row(9)).await.unwrap_err());
    let acme = cryptor.scoped(ctx!(tenant = "other"));
    errors.add(&customers(&db, &acme).insert(&row(5)).await.unwrap_err());
    let mut copied = table.get(1).decrypt_pii().await.unwrap();
    copied.id = 2;
    errors.add(&table.update(&copied).await.unwrap_err());
    sql(&db, "update customers set email = (select email from (select email from customers where id = 1) as one) where id = 2").await;
    errors.add(&table.get(2).decrypt_pii().await.unwrap_err());
    sql(&db, "update customers set email = 'plain-canary' where id = 2").await;
    errors.add(&table.get(2).await.unwrap_err());
    sql(&db, "update customers set email = 'ENC:canary' where id = 3").await;
    errors.add(&table.get(3).await.unwrap_err());
    for id in [0_u32, 1] {
        let mut too_large = row(7);
        too_large.email.set("canary ".repeat(200_000));
        too_large.id += i64::from(id);
        errors.add(&table.insert(&too_large).await.unwrap_err());
    }
    sql(&db, "drop table customers").await;
    errors.add(&table.insert(&row(1)).await.unwrap_err());
    errors.add(&table.update(&row(1)).await.unwrap_err());
    let printed = errors.printed();
    assert_eq!(printed.len(), 13);
    for printed in printed {
        assert!(!printed.contains("canary"), "{printed}");
    }
}

/// Databases quote the row, or the values of a key, in what they say about a violated constraint.
#[tokio::test]
async fn the_error_of_sqlx_shows_no_value() {
    let strict = "create table customers (id bigint primary key, tenant text not null, city varchar(40) not null unique, \
                  email text not null, ssn varchar(200) not null)";
    let db = TestDatabase::new(2, &[strict]).await;
    let table = SqlTable::<PreparingCustomer, Db>::new(&db.pool, &cryptor());
    let row = |id| PreparingCustomer {
        id,
        tenant: "acme".into(),
        city: "city-canary".into(),
        email: EncryptedStr::new("plain-canary@example.com"),
        ssn: Some(EncryptedStr::new("900-12-canary")),
    };
    table.insert(&row(1)).await.unwrap();
    let unique = table.insert(&row(2)).await.unwrap_err();
    let null = table.insert(&PreparingCustomer { ssn: None, ..row(3) }).await.unwrap_err();
    let errors = Errors::default();
    for (error, kind) in [(&unique, Violation::UniqueViolation), (&null, Violation::NotNullViolation)] {
        errors.add(error);
        let database = sqlx_error(error).unwrap().as_database_error().unwrap();
        assert!(database.code().is_some());
        assert_eq!(format!("{:?}", database.kind()), format!("{kind:?}"));
        assert_eq!(format!("{database:?}"), database.to_string());
        assert!(!database.message().contains("canary"), "{}", database.message());
    }
    for printed in errors.printed() {
        assert!(!printed.contains("canary"), "{printed}");
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    Small,
    Large,
}

impl<DB: Database> Type<DB> for Size
where
    String: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        <String as Type<DB>>::type_info()
    }

    fn compatible(ty: &DB::TypeInfo) -> bool {
        <String as Type<DB>>::compatible(ty)
    }
}

impl<'q, DB: Database> Encode<'q, DB> for Size
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        format!("{self:?}").encode(buffer)
    }
}

impl<'r, DB: Database> Decode<'r, DB> for Size
where
    String: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        match String::decode(value)?.as_str() {
            "Small" => Ok(Self::Small),
            "Large" => Ok(Self::Large),
            other => Err(format!("invalid value {other:?} for enum Size").into()),
        }
    }
}

/// With a plain column that has values of few kinds.
#[derive(PiiModel)]
#[pii(name = "parcel", table = "parcels", from_row)]
struct Parcel {
    #[pii(id)]
    id: i64,
    size: Size,
    address: EncryptedStr,
}

/// Drivers quote what they can't decode.
#[tokio::test]
async fn a_value_that_does_not_fit_its_field_is_not_shown() {
    let ddl = "create table parcels (id bigint primary key, size varchar(40), address text)";
    let (db, cryptor) = (TestDatabase::new(2, &[ddl]).await, cryptor());
    let table = SqlTable::<Parcel, Db>::new(&db.pool, &cryptor);
    for (id, size) in [(1, Size::Small), (2, Size::Large)] {
        table.insert(&Parcel { id, size, address: EncryptedStr::new("12 Canary Wharf") }).await.unwrap();
    }
    sql(&db, "update parcels set size = 'size-canary' where id = 2").await;
    let query = || sqlx::query_as::<_, Parcel>("select * from parcels").decrypt_pii(&cryptor);
    let mut each = query().each_row().fetch_all(&db.pool).await.unwrap();
    let errors = Errors::default();
    for error in [
        table.get(2).await.unwrap_err(),
        table.list().decrypt_pii().await.unwrap_err(),
        query().fetch_all(&db.pool).await.unwrap_err(),
        each.pop().unwrap().unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("size")));
        errors.add(&error);
    }
    for printed in errors.printed() {
        assert!(!printed.contains("canary"), "{printed}");
    }
    assert_eq!(each.pop().unwrap().unwrap().size, Size::Small);
}

/// The name of a key is looked for where names stand, not in the values that a message may quote.
#[tokio::test]
async fn a_value_is_not_taken_for_the_name_of_its_key() {
    let ddl = "create table nicks (id bigint primary key, nick varchar(80) not null unique, \
               email text not null, email_bidx varchar(64) unique)";
    let (db, keys) = (TestDatabase::new(2, &[ddl]).await, tempfile::tempdir().unwrap());
    let table = SqlTable::<Nick, Db>::new(&db.pool, &process(&keys));
    let row = |id, nick: &str, email: &str| Nick { id, nick: nick.into(), email: EncryptedStr::new(email) };
    for (id, nick) in [(1, "email_bidx"), (2, "' for key 'email_bidx'")] {
        table.insert(&row(id, nick, &format!("{id}@example.com"))).await.unwrap();
        let error = table.insert(&row(9, nick, "9@example.com")).await.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Duplicate, None), "{error}");
    }
    let error = table.insert(&row(9, "nine", "1@example.com")).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Duplicate, Some("email")));
}

/// With a plain unique column beside a unique index.
#[derive(PiiModel)]
#[pii(name = "nick", table = "nicks", from_row)]
struct Nick {
    #[pii(id)]
    id: i64,
    nick: String,
    #[pii(blind_index(normalize = "email", unique))]
    email: EncryptedStr,
}

#[tokio::test]
async fn a_statement_that_failed_leaves_the_others() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    assert!(table.insert(&Customer::new(1)).await.is_err());
    table.insert(&Customer::new(2)).await.unwrap();
    assert_eq!(count(&db).await, 2);
}
