//! Rows of persons, one of whom is erased.

use std::sync::Arc;

use pii::{
    Confirm, DecryptPii as _, EncryptedStr, ErrorKind, FileKeyStore, KeyAdmin, PiiModel, Retention,
    ShredScope, ValueState, ctx, testing::assert_sealed,
};

use super::{SqlTable, TestDatabase};
use crate::support;

const MEMBERS: &str = "create table members (id bigint primary key, tenant text not null, \
     person_id text not null, email text not null)";

#[derive(PiiModel, Clone)]
#[pii(name = "member", table = "members", from_row)]
#[pii(context(app = "tests", tenant = self.tenant), subject = self.person_id)]
struct Member {
    #[pii(id)]
    id: i64,
    tenant: String,
    person_id: String,
    email: EncryptedStr,
}

fn member(id: i64) -> Member {
    Member {
        id,
        tenant: "acme".into(),
        person_id: format!("random-{id}"),
        email: EncryptedStr::new(format!("person{id}@example.com")),
    }
}

#[tokio::test]
async fn one_person_is_erased_and_the_rows_still_load() {
    let db = TestDatabase::new(2, &[MEMBERS]).await;
    let folder = tempfile::tempdir().unwrap();
    let writer = support::process(&folder);
    SqlTable::<Member, _>::new(&db.pool, &writer).insert_many(&[1, 2, 3].map(member)).await.unwrap();

    let store = Arc::new(FileKeyStore::open(folder.path().join("keys")).unwrap());
    let scope = ShredScope::Containing(ctx!(subject = "random-2").unwrap());
    let confirm = Confirm::i_know_values_become_unreadable();
    let receipt = KeyAdmin::new(store).shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
    assert_eq!(receipt.key_ids().len(), 1);

    let reader = support::process(&folder);
    let members = SqlTable::<Member, _>::new(&db.pool, &reader);
    for id in [1, 3] {
        let opened = members.get(id).decrypt_pii().await.unwrap();
        assert_eq!(opened.email.expose().unwrap(), &format!("person{id}@example.com"));
    }
    let error = members.get(2).decrypt_pii().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased);
    assert_eq!((error.model_name(), error.row_id()), (Some("member"), Some("2")));
    // the row loads, is written back as it is, and can be deleted
    let mut loaded = members.get(2).await.unwrap();
    assert_sealed(&loaded.email);
    members.update(&loaded).await.unwrap();
    loaded.email.set("new@example.com");
    assert_eq!(members.update(&loaded).await.unwrap_err().kind(), ErrorKind::Erased);
    assert_eq!(loaded.email.state(), ValueState::Plain);
    let all = sqlx::query_as::<_, Member>("select * from members order by id")
        .decrypt_pii(&reader)
        .each_row()
        .fetch_all(&db.pool)
        .await
        .unwrap();
    let kinds: Vec<_> = all.iter().map(|row| row.as_ref().err().map(pii::Error::kind)).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Erased), None]);
    members.delete(2).await.unwrap();
    assert_eq!(members.get(2).await.unwrap_err().kind(), ErrorKind::RowNotFound);
}

#[tokio::test]
async fn without_a_key_store_no_statement_runs() {
    let db = TestDatabase::new(1, &[]).await;
    let inline = support::cryptor();
    // there is no table: a statement would fail otherwise
    let error = SqlTable::<Member, _>::new(&db.pool, &inline).insert(&member(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(".key_store("), "{error}");
}
