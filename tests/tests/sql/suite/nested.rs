//! Nested structs whose fields are columns of their own.

use pii::{Columns, DecryptPii as _, EncryptedStr, ErrorKind, Joined, PiiModel, SqlTable};
use sqlx::AssertSqlSafe;

use super::{super::Db, TestDatabase, sql};
use crate::{
    models::{Address, CUSTOMERS, Customer, VISITS, Visit, WholeVisit},
    support::cryptor,
};

async fn database(cryptor: &pii::Cryptor) -> (TestDatabase, SqlTable<Visit, Db>) {
    let db = TestDatabase::new(2, &[VISITS, CUSTOMERS]).await;
    let visits = SqlTable::new(&db.pool, cryptor);
    (db, visits)
}

#[tokio::test]
async fn every_field_has_its_column() {
    let cryptor = cryptor();
    let (db, visits) = database(&cryptor).await;
    let mut away = Visit::new(2);
    away.origin = Some(away.place.clone());
    away.visitor.age = Some(36);
    visits.insert_many(&[Visit::new(1), away]).await.unwrap();
    let columns: (String, String, String, Option<String>, Option<String>) = sqlx::query_as(
        "select at_city, at_street, by_home_door, from_city, from_street from visits where id = 1",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!((columns.0.as_str(), &columns.3, &columns.4), ("London", &None, &None));
    assert!(columns.1.starts_with("ENC:") && columns.2.starts_with("ENC:"), "{columns:?}");

    let mut rows = visits.list().decrypt_pii().await.unwrap();
    assert_eq!(rows[0].place.street.expose().unwrap(), "1 canary place");
    assert_eq!(rows[0].visitor.home.street.expose().unwrap(), "2 canary home");
    assert_eq!(rows[0].visitor.phones[0].expose().unwrap(), "+44 20 canary 1");
    assert!(rows[0].origin.is_none() && rows[0].visitor.age.is_none() && rows[0].visitor.seen == 0);
    assert_eq!(rows[1].origin.as_ref().unwrap().street.expose().unwrap(), "1 canary place");
    assert_eq!(rows[1].visitor.age, Some(36));

    // all of it is written back, there and gone
    let mut changed = rows.remove(1);
    changed.origin = None;
    changed.visitor.home.street.set("moved");
    visits.update(&changed).await.unwrap();
    visits.upsert(&changed).await.unwrap();
    visits.move_row(2, |visit| visit.id = 3).await.unwrap();
    let changed = visits.get(3).decrypt_pii().await.unwrap();
    assert!(changed.origin.is_none());
    assert_eq!(changed.visitor.home.street.expose().unwrap(), "moved");
}

#[tokio::test]
async fn they_are_read_by_queries_and_joins() {
    let cryptor = cryptor();
    let (db, visits) = database(&cryptor).await;
    visits.insert(&Visit::new(1)).await.unwrap();
    SqlTable::<Customer, Db>::new(&db.pool, &cryptor).insert(&Customer::new(1)).await.unwrap();
    let query = sqlx::query_as::<_, Visit>("select * from visits").decrypt_pii(&cryptor);
    assert_eq!(query.fetch_one(&db.pool).await.unwrap().place.street.expose().unwrap(), "1 canary place");
    let visit = Columns::<Visit, Db>::new().of("v").joined();
    let customer = Columns::<Customer, Db>::new().of("c").joined();
    let statement =
        format!("select {visit}, {customer} from visits v left join customers c on c.id = v.id + 1");
    let rows: Vec<Joined<(Visit, Option<Customer>)>> =
        sqlx::query_as(AssertSqlSafe(statement)).decrypt_pii(&cryptor).fetch_all(&db.pool).await.unwrap();
    assert_eq!(rows[0].0.0.visitor.home.street.expose().unwrap(), "2 canary home");
    assert!(rows[0].0.1.is_none());
}

#[tokio::test]
async fn a_value_knows_its_field_and_errors_name_it() {
    let cryptor = cryptor();
    let (db, visits) = database(&cryptor).await;
    visits.insert(&Visit::new(1)).await.unwrap();
    sql(&db, "update visits set at_street = by_home_street").await;
    let error = visits.get(1).decrypt_pii().await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("place.street")));
    visits.upsert(&Visit::new(1)).await.unwrap();
    // half of an optional struct
    sql(&db, "update visits set from_street = at_street where id = 1").await;
    let error = visits.get(1).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("origin.city")), "{error}");
    sql(&db, "update visits set from_street = null where id = 1").await;
    assert!(visits.get(1).await.unwrap().origin.is_none());
    let statement =
        format!("select {} from visits", visits.columns()).replace("by_home_street", "by_home_city");
    let query = sqlx::query_as::<_, Visit>(AssertSqlSafe(statement)).decrypt_pii(&cryptor);
    let error = query.fetch_one(&db.pool).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.field_name()),
        (ErrorKind::Database, Some("visitor.home.street")),
        "{error}"
    );
}

/// Columns or JSON is a matter of the table alone: what is sealed is the same.
#[tokio::test]
async fn values_move_between_columns_and_json() {
    let cryptor = cryptor();
    let (db, visits) = database(&cryptor).await;
    sql(&db, "create table whole_visits (id bigint primary key, place text not null)").await;
    visits.insert(&Visit::new(1)).await.unwrap();
    let place = visits.get(1).await.unwrap().place;
    let whole = SqlTable::<WholeVisit, Db>::new(&db.pool, &cryptor);
    whole.insert(&WholeVisit { id: 1, place }).await.unwrap();
    let mut row = whole.get(1).decrypt_pii().await.unwrap();
    assert_eq!(row.place.street.expose().unwrap(), "1 canary place");
    row.place.door = Some(EncryptedStr::new("changed"));
    whole.update(&row).await.unwrap();
    assert_eq!(whole.get(1).decrypt_pii().await.unwrap().place.door.unwrap().expose().unwrap(), "changed");
}

/// Plain fields on both sides of a nested struct with several columns.
#[derive(PiiModel)]
#[pii(name = "stay", table = "stays", from_row)]
struct Stay {
    #[pii(id)]
    id: i64,
    hotel: String,
    #[pii(nested, prefix = "from_")]
    home: Address,
    nights: i64,
    room: Option<String>,
}

#[tokio::test]
async fn fields_behind_a_nested_struct_are_searched_by() {
    let ddl = "create table stays (id bigint primary key, hotel text not null, from_city text not null, \
               from_street text not null, from_door text, nights bigint not null, room text)";
    let db = TestDatabase::new(2, &[ddl]).await;
    let stays = SqlTable::<Stay, Db>::new(&db.pool, &cryptor());
    let rows = (1..=4).map(|id| Stay {
        id,
        hotel: if id < 3 { "Ritz" } else { "Savoy" }.into(),
        home: Visit::new(id).place,
        nights: id * 10,
        room: (id != 2).then(|| format!("room {id}")),
    });
    stays.insert_many(&rows.collect::<Vec<_>>()).await.unwrap();
    let fields = Stay::fields();
    for (filter, expected) in [
        (fields.hotel.eq("Ritz"), vec![1, 2]),
        (fields.nights.eq(30), vec![3]),
        (fields.nights.is_in([10, 40]), vec![1, 4]),
        (fields.room.eq("room 4"), vec![4]),
        (fields.room.is_absent(), vec![2]),
        (fields.hotel.eq("Savoy").and(fields.nights.lt(35)), vec![3]),
    ] {
        let found = stays.find(filter).await.unwrap();
        assert_eq!(found.iter().map(|stay| stay.id).collect::<Vec<_>>(), expected);
    }
    for filter in [fields.home.is_absent(), fields.nights.eq(30).or(fields.home.is_present())] {
        let error = stays.find(filter).await.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("home")), "{error}");
    }
}
