//! Ids of every kind.

use pii::{EncryptedStr, ErrorKind, SqlTable};
use uuid::Uuid;

use super::{
    super::{Db, GENERATED, LOOSE_COLLATION, LOOSE_TEXT, UUID},
    TestDatabase, sql,
};
use crate::{
    models::{Account, Code, EMAIL, MEMBERS, Member, Note, Session, Voucher},
    support::cryptor,
};

async fn database(ddl: String) -> TestDatabase {
    TestDatabase::new(2, &[&ddl]).await
}

async fn notes() -> (TestDatabase, SqlTable<Note, Db>) {
    let db = database(format!("create table notes (id {GENERATED}, text text not null)")).await;
    let notes = SqlTable::new(&db.pool, &cryptor());
    (db, notes)
}

#[tokio::test]
async fn the_database_makes_up_ids() {
    let (_db, notes) = notes().await;
    let id = notes.insert(&Note::new(None)).returning_id().await.unwrap();
    notes.insert(&Note::new(None)).await.unwrap();
    let mut note = notes.get(id).decrypt_pii().await.unwrap();
    assert_eq!(note.id, Some(id));
    assert_eq!(note.text.expose().unwrap(), EMAIL);
    note.text.set("changed");
    notes.update(&note).await.unwrap();
    assert_eq!(notes.get(id).decrypt_pii().await.unwrap().text.expose().unwrap(), "changed");
    assert_eq!(notes.insert(&Note::new(Some(77))).returning_id().await.unwrap(), 77);
    notes.delete(id).await.unwrap();
    assert_eq!(notes.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn known_and_unknown_ids_may_be_mixed() {
    let (_db, notes) = notes().await;
    let rows = [Some(50), None, None, Some(60), None].map(Note::new);
    assert_eq!(notes.insert_many(&rows).await.unwrap(), 5);
    let listed = notes.list().decrypt_pii().await.unwrap();
    assert_eq!(listed.len(), 5);
    assert!(listed.iter().any(|note| note.id == Some(50)) && listed.iter().any(|note| note.id == Some(60)));
    notes.upsert(&Note::new(None)).await.unwrap();
    notes.upsert(&Note::new(Some(50))).await.unwrap();
    assert_eq!(notes.list().await.unwrap().len(), 6);
}

#[tokio::test]
async fn an_unknown_id_cannot_be_updated() {
    let (_db, notes) = notes().await;
    let error = notes.update(&Note::new(None)).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::State, Some("id")));
    assert!(error.to_string().contains("returning_id"), "{error}");
}

#[tokio::test]
async fn several_columns_are_one_id() {
    let db = TestDatabase::new(2, &[MEMBERS]).await;
    let members = SqlTable::<Member, Db>::new(&db.pool, &cryptor());
    let member = |team: &str, number| Member { team: team.into(), number, phone: EncryptedStr::new(EMAIL) };
    members.insert_many(&[member("a", 1), member("a", 2), member("b", 1)]).await.unwrap();
    let mut one = members.get(("a".to_owned(), 2)).decrypt_pii().await.unwrap();
    assert_eq!((one.team.as_str(), one.number), ("a", 2));
    one.phone.set("changed");
    members.update(&one).await.unwrap();
    members.upsert(&member("b", 1)).await.unwrap();
    members.delete(("a".to_owned(), 1)).await.unwrap();
    let listed = members.list().decrypt_pii().await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|row| (row.team.as_str(), row.number, row.phone.expose().unwrap())).collect();
    assert_eq!(listed, [("a", 2, "changed"), ("b", 1, EMAIL)]);
    let error = members.get(("c".to_owned(), 9)).await.unwrap_err();
    assert_eq!(error.to_string(), "member: row not found (row c/9)");
    // a value belongs to the whole id
    sql(&db, "update members set team = 'b' where team = 'a'").await;
    let error = members.get(("b".to_owned(), 2)).decrypt_pii().await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("b/2")));
}

#[tokio::test]
async fn uuids_are_ids() {
    let db = database(format!("create table sessions (id {UUID} primary key, address text not null)")).await;
    let sessions = SqlTable::<Session, Db>::new(&db.pool, &cryptor());
    let id = Uuid::from_u128(0x0190_2f5e_8c3a_7bcd_8e01_2345_6789_abcd);
    let session = Session { id, address: EncryptedStr::new("192.0.2.1") };
    assert_eq!(sessions.insert(&session).returning_id().await.unwrap(), id);
    assert_eq!(sessions.get(id).decrypt_pii().await.unwrap().address.expose().unwrap(), "192.0.2.1");
    let error = sessions.get(Uuid::nil()).await.unwrap_err();
    assert_eq!(error.row_id(), Some("00000000-0000-0000-0000-000000000000"));
}

#[tokio::test]
async fn texts_and_newtypes_are_ids() {
    let db = database("create table vouchers (code varchar(40) primary key, owner text not null)".to_owned())
        .await;
    let vouchers = SqlTable::<Voucher, Db>::new(&db.pool, &cryptor());
    let code = Code("O'Neill-\u{df}\u{1f600}".to_owned());
    let voucher = Voucher { code: code.clone(), owner: EncryptedStr::new(EMAIL) };
    vouchers.insert(&voucher).await.unwrap();
    assert_eq!(vouchers.get(code.clone()).decrypt_pii().await.unwrap().owner.expose().unwrap(), EMAIL);
    assert_eq!(vouchers.list().await.unwrap()[0].code, code);
}

#[tokio::test]
async fn a_row_with_another_id_than_asked_for_is_refused() {
    let table = format!(
        "{LOOSE_COLLATION}; create table accounts (name {LOOSE_TEXT} primary key, owner text not null)"
    );
    let db = database(table).await;
    let accounts = SqlTable::<Account, Db>::new(&db.pool, &cryptor());
    accounts.insert(&Account { name: "Ada".into(), owner: EncryptedStr::new(EMAIL) }).await.unwrap();
    assert_eq!(accounts.get("Ada").decrypt_pii().await.unwrap().owner.expose().unwrap(), EMAIL);
    let error = accounts.get("ADA").await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("ADA")));
    assert!(error.to_string().contains("another id"), "{error}");
}
