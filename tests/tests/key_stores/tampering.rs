//! Someone who can write to the storage, and has no key-encryption key.

use pii::{ErrorKind, KeyStore as _, SqlKeyStore};

use crate::{
    on_every_store,
    stores::{MysqlTable, PostgresTable, SqliteTable, TestStore},
    support::{OTHER, TENANT, assert_tells_nothing, open, process, record, seal, slot},
};

on_every_store!(
    altered_records_are_refused,
    a_record_that_is_moved_with_all_that_names_its_slot_is_refused,
    planted_records_are_refused,
);

async fn altered_records_are_refused<S: TestStore>() {
    let at = S::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let (text, key_id) = seal(&process(&key_file, at.open().await), 1, TENANT).await.unwrap();
    let copies = at.member(key_id, "copies").await;
    let context = format!("{{\"app\":\"shop\",\"tenant\":\"{OTHER}\"}}");
    let other_blob = copies.replace("\"blob\":\"", "\"blob\":\"AAAA");
    let twice = format!("{},{}", &copies[..copies.len() - 1], &copies[1..]);
    assert_ne!(other_blob, copies);
    let alterations = [
        ("context", context.as_str()),
        ("context", "{}"),
        ("context", "[]"),
        ("context", "{\"app\":7}"),
        ("context", "{\"pii:purpose\":\"seal\"}"),
        ("context", ""),
        ("purpose", "subject"),
        ("purpose", "drop"),
        ("purpose", "index"),
        ("purpose", "sealing"),
        ("epoch", "1"),
        ("epoch", "-1"),
        ("epoch", "4294967296"),
        ("state", "destroyed"),
        ("state", "Active"),
        ("state", ""),
        ("created", "yesterday"),
        ("keyring", "high"),
        ("keyring", ""),
        ("copies", "[]"),
        ("copies", "garbage"),
        ("copies", &copies[..copies.len() / 2]),
        ("copies", &other_blob),
        ("copies", "[{\"provider\":2,\"key\":\"nobody's\",\"blob\":\"AAAA\"}]"),
    ];
    for (member, value) in alterations {
        let before = at.member(key_id, member).await;
        at.alter(key_id, member, value).await;
        let error = open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap_err();
        let is_refused = error.is_integrity() || error.kind() == ErrorKind::KeyMissing;
        assert!(is_refused, "{} {member} {value}: {error}", S::NAME);
        if error.is_integrity() {
            assert_eq!(error.key_id().unwrap(), key_id.to_string());
        }
        assert_tells_nothing(&error);
        // under the other name it opens as little
        let error = open(&process(&key_file, at.open().await), 1, OTHER, &text).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        assert_tells_nothing(&error);
        at.alter(key_id, member, &before).await;
        open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap();
    }
    // a copy more changes nothing
    at.alter(key_id, "copies", &twice).await;
    open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap();
}

async fn a_record_that_is_moved_with_all_that_names_its_slot_is_refused<S: TestStore>() {
    let at = S::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let (text, key_id) = seal(&process(&key_file, at.open().await), 1, TENANT).await.unwrap();
    at.alter(key_id, "context", &format!("{{\"app\":\"shop\",\"tenant\":\"{OTHER}\"}}")).await;
    let election = format!("{}-00000000", slot(OTHER).digest());
    match S::NAME {
        "files" => {}
        "dynamodb" => at.alter(key_id, "election", &election).await,
        _ => {
            at.alter(key_id, "slot", &slot(OTHER).digest()).await;
            at.alter(key_id, "election", &election).await;
        }
    }
    let error = open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert_tells_nothing(&error);
    for tenant in [TENANT, OTHER] {
        // either a key of its own, or a refusal: never the moved one
        match seal(&process(&key_file, at.open().await), 2, tenant).await {
            Ok((_, own)) => assert_ne!(own, key_id),
            Err(error) => assert!(error.is_integrity() || error.kind() == ErrorKind::KeyMissing, "{error}"),
        }
    }
}

async fn planted_records_are_refused<S: TestStore>() {
    let (at, elsewhere) = (S::new().await, S::new().await);
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let (_, ours) = seal(&process(&key_file, at.open().await), 1, TENANT).await.unwrap();
    let (text, theirs) = seal(&process(&key_file, elsewhere.open().await), 1, TENANT).await.unwrap();
    at.plant(ours, &[theirs]).await;
    let error = open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap_err();
    assert!(error.is_integrity(), "{error}");
    assert_tells_nothing(&error);
    let (_, used) = seal(&process(&key_file, at.open().await), 2, TENANT).await.unwrap();
    assert_eq!(used, ours, "the winner stays the winner");
}

/// Columns that files don't have.
async fn columns_that_do_not_fit_are_refused<S: TestStore>() {
    let at = S::new().await;
    let store = at.open().await;
    let kept = record(1, TENANT, 0);
    store.elect(&kept).await.unwrap();
    let others = slot(OTHER).digest();
    let alterations = [
        ("slot", others.clone()),
        ("slot", String::new()),
        ("election", format!("{others}-00000000")),
        ("election", format!("{}-00000001", kept.slot.digest())),
        ("election", kept.slot.digest()),
        ("election", String::new()),
    ];
    for (column, value) in alterations {
        let before = at.member(kept.key_id, column).await;
        at.alter(kept.key_id, column, &value).await;
        let error = store.load(kept.key_id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{column} {value}: {error}");
        assert_eq!(error.key_id().unwrap(), kept.key_id.to_string());
        assert_eq!(store.insert(&kept).await.unwrap_err().kind(), ErrorKind::Integrity);
        assert_eq!(store.replace(&kept, &kept).await.unwrap_err().kind(), ErrorKind::Integrity);
        if let Ok(Some(active)) = store.active(&slot(OTHER)).await {
            panic!("another tenant's key is active: {active:?}");
        }
        assert_tells_nothing(&error);
        at.alter(kept.key_id, column, &before).await;
        assert_eq!(store.active(&kept.slot).await.unwrap().as_ref(), Some(&kept));
    }
}

#[tokio::test]
async fn columns_that_do_not_fit_are_refused_on_sqlite() {
    columns_that_do_not_fit_are_refused::<SqliteTable>().await;
}

#[tokio::test]
async fn columns_that_do_not_fit_are_refused_on_postgres() {
    columns_that_do_not_fit_are_refused::<PostgresTable>().await;
}

#[tokio::test]
async fn columns_that_do_not_fit_are_refused_on_mysql() {
    columns_that_do_not_fit_are_refused::<MysqlTable>().await;
}

/// SQLite keeps any type in any column, and texts that are no UTF-8.
#[tokio::test]
async fn sqlite_values_of_another_type_are_refused() {
    let at = SqliteTable::new().await;
    let store = at.open().await;
    let (kept, other) = (record(1, TENANT, 0), record(2, TENANT, 1));
    store.elect(&kept).await.unwrap();
    store.elect(&other).await.unwrap();
    for column in ["keyring", "purpose", "epoch", "state", "created", "context", "slot", "election", "copies"]
    {
        let before = at.member(kept.key_id, column).await;
        for value in ["x'ff'", "7.5", "CAST(x'fffe' AS TEXT)", "x''"] {
            let sql = format!("UPDATE pii_data_keys SET {column} = {value} WHERE epoch = 0 OR key_id = $1");
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(kept.key_id.to_string());
            query.execute(&at.pool).await.unwrap();
            let error = store.load(kept.key_id).await.unwrap_err();
            assert!(error.is_integrity(), "{column} {value}: {error}");
            let listed = store.list(None, 10).await.unwrap();
            assert_eq!(listed.iter().filter(|(_, found)| found.is_ok()).count(), 1, "{column} {value}");
        }
        at.alter(kept.key_id, column, &before).await;
        assert_eq!(store.load(kept.key_id).await.unwrap().as_ref(), Some(&kept));
    }
    // rows whose key ids are none are not listed, and don't hide the others
    for id in ["x'00'", "''", "'zzzz'", "7", "CAST(x'ff' AS TEXT)", "upper(key_id)"] {
        let sql = format!(
            "INSERT INTO pii_data_keys (key_id, keyring, purpose, epoch, state, created, context, slot, copies) \
             SELECT {id}, keyring, purpose, epoch, state, created, context, slot, copies \
             FROM pii_data_keys WHERE key_id = $1 AND {id} <> key_id"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(kept.key_id.to_string()).execute(&at.pool).await.unwrap();
    }
    let first = store.list(None, 1).await.unwrap();
    let second = store.list(Some(first[0].0), 5).await.unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
}

#[tokio::test]
async fn names_of_tables_cannot_end_their_quotes() {
    let at = PostgresTable::new().await;
    let name = "keys\"; drop table pii_data_keys; --";
    let store = SqlKeyStore::connect_like(&at.pool).unwrap().table(name).unwrap();
    store.create_table().await.unwrap();
    store.create_table().await.unwrap();
    let kept = record(1, TENANT, 0);
    store.elect(&kept).await.unwrap();
    assert_eq!(store.load(kept.key_id).await.unwrap(), Some(kept.clone()));
    let usual = SqlKeyStore::connect_like(&at.pool).unwrap();
    assert_eq!(usual.load(kept.key_id).await.unwrap(), None, "the other table is still there, and empty");
    let qualified = SqlKeyStore::connect_like(&at.pool).unwrap();
    let qualified = qualified.table(&format!("{}.pii_data_keys", at.place())).unwrap();
    assert_eq!(qualified.elect(&kept).await.unwrap(), kept);
    assert_eq!(usual.load(kept.key_id).await.unwrap(), Some(kept));
    let error = SqlKeyStore::connect_like(&at.pool).unwrap().table("a..b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
