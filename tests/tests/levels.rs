//! One model with all three levels, in SQLite, with keys in files as a small service has them.

use pii::{AppKeyFile, Cryptor, EncryptedStr, ErrorKind, FileKeyStore, LocalKeyring, PiiModel, SqlTable};
use sqlx::{Row as _, SqlitePool, sqlite::SqlitePoolOptions};

#[derive(PiiModel, Clone)]
#[pii(name = "user", table = "users", context(app = "levels"), from_row)]
struct User {
    #[pii(id)]
    id: i64,
    #[pii(level = 1, mask = "name")]
    name: String,
    #[pii(level = 2)]
    address: EncryptedStr,
    #[pii(level = 3, mask = "last4")]
    ssn: EncryptedStr,
    #[pii(level = 3)]
    accounts: Vec<EncryptedStr>,
}

fn ada(id: i64) -> User {
    User {
        id,
        name: "Ada Lovelace".into(),
        address: EncryptedStr::new("12 St James's Square"),
        ssn: EncryptedStr::new("900-12-3456"),
        accounts: vec![EncryptedStr::new("GB33BUKB20201555555555"), EncryptedStr::new("")],
    }
}

/// What the process has at each start: three files, each with an owner of its own.
fn start(folder: &std::path::Path) -> Cryptor {
    Cryptor::envelope()
        .keyring(LocalKeyring::open_or_create(folder.join("pii.key")).unwrap())
        .key_store(FileKeyStore::open(folder.join("keys")).unwrap())
        .app_keys(AppKeyFile::open_or_create(folder.join("app-keys.json")).unwrap())
        .build()
        .unwrap()
}

async fn texts(pool: &SqlitePool, id: i64) -> [String; 4] {
    let row = sqlx::query("select name, address, ssn, accounts from users where id = ?")
        .bind(id)
        .fetch_one(pool)
        .await
        .unwrap();
    std::array::from_fn(|column| row.get(column))
}

#[tokio::test]
async fn three_levels_from_insert_to_update() {
    let folder = tempfile::tempdir().unwrap();
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::query(
        "create table users (id integer primary key, name text, address text, ssn text, accounts text)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let cryptor = start(folder.path());
    let users = SqlTable::<User, _>::new(&pool, &cryptor);
    users.insert(&ada(1)).await.unwrap();
    users.insert_many(&[ada(2), ada(3)]).await.unwrap();

    let before = texts(&pool, 1).await;
    let [name, address, ssn, accounts] = &before;
    assert_eq!(name, "Ada Lovelace");
    assert_eq!((address.len(), ssn.len()), (4 + 104, 172));
    assert!(address.starts_with("ENC:") && ssn.starts_with("ENC:"));
    assert_eq!(accounts.matches("ENC:").count(), 2);

    // another process, by the same files
    let cryptor = start(folder.path());
    let users = SqlTable::<User, _>::new(&pool, &cryptor);
    let sealed = users.get(1).await.unwrap();
    users.update(&sealed).await.unwrap();
    assert_eq!(texts(&pool, 1).await, before, "what did not change is written back as it was");
    assert_eq!(cryptor.stats().app_key_loads, 0);
    let mut opened = users.get(1).decrypt_pii().await.unwrap();
    assert_eq!(opened.ssn.expose().unwrap(), "900-12-3456");
    assert_eq!(opened.accounts[0].expose().unwrap(), "GB33BUKB20201555555555");
    assert_eq!(opened.accounts[1].expose().unwrap(), "");
    let shown = format!("{opened:?}");
    assert!(!shown.contains("900-12") && shown.contains("3456"), "{shown}");
    opened.ssn.set("900-65-4321");
    users.update(&opened).await.unwrap();
    assert_eq!(users.get(1).decrypt_pii().await.unwrap().ssn.expose().unwrap(), "900-65-4321");
    assert_eq!(texts(&pool, 1).await[1], before[1]);

    // exchanged between rows and between levels
    for exchange in [
        "update users set ssn = (select ssn from users where id = 3) where id = 2",
        "update users set ssn = address where id = 2",
        "update users set address = (select ssn from users where id = 3) where id = 2",
    ] {
        sqlx::query(exchange).execute(&pool).await.unwrap();
        assert_eq!(users.get(2).decrypt_pii().await.unwrap_err().kind(), ErrorKind::Integrity);
    }
    sqlx::query("update users set ssn = '900-12-3456' where id = 3").execute(&pool).await.unwrap();
    assert_eq!(users.get(3).decrypt_pii().await.unwrap_err().kind(), ErrorKind::NotEncrypted);

    // without the application keys
    std::fs::remove_file(folder.path().join("app-keys.json")).unwrap();
    let cryptor = start(folder.path());
    let error = SqlTable::<User, _>::new(&pool, &cryptor).get(1).decrypt_pii().await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::KeyMissing, Some("ssn")));
}
