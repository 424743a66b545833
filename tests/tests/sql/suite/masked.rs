//! Reads that give masked views.

use pii::{Cryptor, DecryptPii as _, ErrorKind, Mode, SqlTable, ctx, testing::assert_no_plaintext};
use serde_json::{Value, json};

use super::filters::meetings;
use crate::{
    models::{EMAIL, Meeting, SSN},
    support::{self, is_send},
};

fn view(number: u8, who: Value) -> Value {
    let visit = Meeting::new(number);
    json!({
        "id": visit.id.to_string(), "tenant": "acme", "name": "A**** ****", "score": visit.score,
        "ratio": visit.ratio, "paid": visit.paid, "who": who, "note": "*****"
    })
}

#[tokio::test]
async fn nothing_is_opened_for_views() {
    let cryptor = support::cryptor();
    let (db, meetings) = meetings(&cryptor).await;
    let before = cryptor.stats();
    let id = Meeting::new(2).id;
    let sealed = view(2, json!("*****"));
    assert_eq!(is_send(meetings.get(id).masked()).await.unwrap().into_json(), sealed);
    assert_eq!(meetings.get(id).decrypt_pii().masked().await.unwrap().into_json(), sealed);
    assert_eq!(meetings.get(id).optional().masked().await.unwrap().unwrap().into_json(), sealed);
    assert_eq!(meetings.list().masked().await.unwrap()[1].as_json(), &sealed);
    let filter = || Meeting::fields().id.eq(id);
    assert_eq!(meetings.find(filter()).masked().await.unwrap()[0].as_json(), &sealed);
    assert_eq!(meetings.find(filter()).one().masked().await.unwrap().as_json(), &sealed);
    assert_eq!(meetings.find(filter()).optional().masked().await.unwrap().unwrap().as_json(), &sealed);
    let query = || sqlx::query_as::<_, Meeting>("select * from meetings where name = 'Ada 2'");
    assert_eq!(query().decrypt_pii(&cryptor).masked().fetch_one(&db.pool).await.unwrap().as_json(), &sealed);
    let all = query().decrypt_pii(&cryptor).masked().fetch_all(&db.pool).await.unwrap();
    assert_eq!(all[0].as_json(), &sealed);
    let one = query().decrypt_pii(&cryptor).masked().fetch_optional(&db.pool).await.unwrap();
    assert_eq!(one.unwrap().as_json(), &sealed);
    assert_eq!(cryptor.stats().opened, before.opened);
}

#[tokio::test]
async fn hints_are_opened_and_dropped() {
    let cryptor = support::cryptor();
    let (db, meetings) = meetings(&cryptor).await;
    let before = cryptor.stats().opened;
    let id = Meeting::new(2).id;
    let hinted = view(2, json!("a****@example.com"));
    let got = meetings.get(id).masked_with_hints().await.unwrap();
    assert_eq!(got.as_json(), &hinted);
    assert_no_plaintext!(got.as_json(), format!("{got:?}"); [EMAIL, SSN]);
    assert_eq!(cryptor.stats().opened - before, 1);
    assert_eq!(meetings.list().masked_with_hints().await.unwrap()[1].as_json(), &hinted);
    let filter = Meeting::fields().id.eq(id);
    assert_eq!(meetings.find(filter).one().masked_with_hints().await.unwrap().as_json(), &hinted);
    let query = sqlx::query_as::<_, Meeting>("select * from meetings where name = 'Ada 2'");
    let all = query.decrypt_pii(&cryptor).masked_with_hints().fetch_all(&db.pool).await.unwrap();
    assert_eq!(all[0].as_json(), &hinted);
}

#[tokio::test]
async fn a_cryptor_that_may_not_open_gives_full_masks() {
    let cryptor = support::cryptor();
    let (db, _) = meetings(&cryptor).await;
    let writing: Cryptor = cryptor.limited_to(Mode::WriteOnly);
    let meetings = SqlTable::<Meeting, _>::new(&db.pool, &writing);
    let got = meetings.get(Meeting::new(2).id).masked_with_hints().await.unwrap();
    assert_eq!(got.as_json(), &view(2, json!("*****")));
}

#[tokio::test]
async fn views_know_missing_rows_and_scopes() {
    let cryptor = support::cryptor();
    let (db, meetings) = meetings(&cryptor).await;
    let nobody = Meeting::new(99).id;
    assert_eq!(meetings.get(nobody).masked().await.unwrap_err().kind(), ErrorKind::RowNotFound);
    assert!(meetings.get(nobody).optional().masked().await.unwrap().is_none());
    let elsewhere = SqlTable::<Meeting, _>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "initech")));
    let error = elsewhere.get(Meeting::new(2).id).masked().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
}
