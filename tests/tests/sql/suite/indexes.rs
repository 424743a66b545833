//! Rows found by blind indexes, which every way of writing keeps.

use pii::{
    Adoption, Cryptor, EncryptedStr, ErrorKind, FieldPolicies, PiiModel, PlaintextPolicy::AcceptAndSeal,
    SqlTable, Swap, ctx,
};

use super::{super::in_dialect, Db, TestDatabase, sql};
use crate::{
    models::{MAILBOXES, Mailbox, NAMES, Name, RotatingSubscriber, SUBSCRIBERS, Subscriber, SubscriberPhone},
    support::process,
};

struct Shop {
    db: TestDatabase,
    _keys: tempfile::TempDir,
    cryptor: Cryptor,
    subscribers: SqlTable<Subscriber, Db>,
}

async fn shop() -> Shop {
    let (db, keys) = (TestDatabase::new(4, &[SUBSCRIBERS]).await, tempfile::tempdir().unwrap());
    let cryptor = process(&keys);
    let subscribers = SqlTable::new(&db.pool, &cryptor);
    Shop { db, _keys: keys, cryptor, subscribers }
}

impl Shop {
    /// The codes of a row, as they are stored.
    async fn codes(&self, id: i64) -> (Option<String>, Option<String>, Option<String>) {
        let select = "select email_bidx, login_bidx, phone_bidx from subscribers where id = $1";
        sqlx::query_as(in_dialect(select)).bind(id).fetch_one(&self.db.pool).await.unwrap()
    }

    async fn ids(&self, email: &str) -> Vec<i64> {
        let found = self.subscribers.find(Subscriber::by_email("acme", email)).await.unwrap();
        found.iter().map(|subscriber| subscriber.id).collect()
    }
}

#[tokio::test]
async fn a_row_is_found_by_a_value_that_is_written_otherwise() {
    let shop = shop().await;
    shop.subscribers.insert(&Subscriber::new(1, "Ada@Example.com")).await.unwrap();
    shop.subscribers.insert(&Subscriber::new(2, "bob@example.com")).await.unwrap();
    let found = shop
        .subscribers
        .find(Subscriber::by_email("acme", " ada@example.COM"))
        .decrypt_pii()
        .one()
        .await
        .unwrap();
    assert_eq!((found.id, found.email.expose().unwrap()), (1, "Ada@Example.com"));
    let sealed = shop.subscribers.find(Subscriber::by_login("ada@example.com")).one().await.unwrap();
    assert_eq!((sealed.id, sealed.email.expose().is_err()), (1, true));
    assert!(shop.subscribers.find(Subscriber::by_email("acme", "bob@example.com")).exists().await.unwrap());
    assert!(!shop.subscribers.find(Subscriber::by_email("acme", "eve@example.com")).exists().await.unwrap());
    assert!(
        shop.subscribers
            .find(Subscriber::by_email("other", "ada@example.com"))
            .optional()
            .await
            .unwrap()
            .is_none()
    );
    let none =
        shop.subscribers.find(Subscriber::by_email("acme", "eve@example.com")).one().await.err().unwrap();
    assert_eq!(none.kind(), ErrorKind::RowNotFound);
}

#[tokio::test]
async fn every_way_of_writing_writes_the_codes() {
    let shop = shop().await;
    let many = [Subscriber::new(1, "one@example.com"), Subscriber::new(2, "two@example.com")];
    shop.subscribers.insert_many(&many).await.unwrap();
    shop.subscribers.upsert(&Subscriber::new(3, "three@example.com")).await.unwrap();
    for (id, email) in [(1, "one@example.com"), (2, "two@example.com"), (3, "three@example.com")] {
        assert_eq!(shop.ids(email).await, [id]);
    }
    shop.subscribers.upsert(&Subscriber::new(3, "drei@example.com")).await.unwrap();
    let mut two = shop.subscribers.get(2).await.unwrap();
    two.email.set("zwei@example.com");
    two.phone = Some(EncryptedStr::new("+49 170 123"));
    shop.subscribers.update(&two).await.unwrap();
    for (id, old, new) in
        [(2, "two@example.com", "zwei@example.com"), (3, "three@example.com", "drei@example.com")]
    {
        assert_eq!(shop.ids(old).await, Vec::<i64>::new());
        assert_eq!(shop.ids(new).await, [id]);
    }
    let (_, _, phone) = shop.codes(2).await;
    assert!(["00", "80"].contains(&phone.unwrap().as_str()));
    two.phone = None;
    shop.subscribers.update(&two).await.unwrap();
    assert_eq!(shop.codes(2).await.2, None);
}

#[tokio::test]
async fn a_row_that_is_saved_unopened_keeps_its_codes() {
    let shop = shop().await;
    shop.subscribers.insert(&Subscriber::new(1, "ada@example.com")).await.unwrap();
    let before = shop.codes(1).await;
    let calls = shop.cryptor.stats().key_calls();
    let mut sealed = shop.subscribers.get(1).await.unwrap();
    shop.subscribers.update(&sealed).await.unwrap();
    assert_eq!(shop.codes(1).await, before);
    sealed.phone = Some(EncryptedStr::new("1"));
    shop.subscribers.update(&sealed).await.unwrap();
    let after = shop.codes(1).await;
    assert_eq!((&after.0, &after.1, after.2.is_some()), (&before.0, &before.1, true));
    assert_eq!(shop.cryptor.stats().opened, 0);
    assert_eq!(shop.cryptor.stats().key_calls(), calls);
}

#[tokio::test]
async fn a_view_writes_the_codes_of_its_own_fields() {
    let shop = shop().await;
    shop.subscribers.insert(&Subscriber::new(1, "ada@example.com")).await.unwrap();
    let before = shop.codes(1).await;
    let phones = SqlTable::<SubscriberPhone, Db>::new(&shop.db.pool, &shop.cryptor);
    let mut phone = phones.get(1).await.unwrap();
    phone.phone = Some(EncryptedStr::new("+44 20 7946"));
    phones.update(&phone).await.unwrap();
    let after = shop.codes(1).await;
    assert_eq!((&after.0, &after.1, after.2.is_some()), (&before.0, &before.1, true));
    let found =
        phones.find(Subscriber::by_phone("acme", "44207946").of_view()).decrypt_pii().one().await.unwrap();
    assert_eq!(found.phone.unwrap().expose().unwrap(), "+44 20 7946");
}

#[tokio::test]
async fn a_value_that_must_be_unique_names_its_field() {
    let shop = shop().await;
    shop.subscribers.insert(&Subscriber::new(1, "ada@example.com")).await.unwrap();
    let error = shop.subscribers.insert(&Subscriber::new(2, "ADA@example.com")).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Duplicate, Some("email")));
    assert!(!format!("{error} {error:?}").to_lowercase().contains("ada@"), "{error:?}");
    let mut other = Subscriber::new(3, "other@example.com");
    shop.subscribers.insert(&other).await.unwrap();
    other.email.set("ada@example.com");
    assert_eq!(shop.subscribers.update(&other).await.unwrap_err().kind(), ErrorKind::Duplicate);
}

#[tokio::test]
async fn rows_found_by_chance_are_left_out_once_they_are_opened() {
    let shop = shop().await;
    // one bit: about half of all numbers share a code
    let subscribers: Vec<Subscriber> = (0..20)
        .map(|id| Subscriber {
            phone: Some(EncryptedStr::new(format!("555-{id:04}"))),
            ..Subscriber::new(id, &format!("{id}@example.com"))
        })
        .collect();
    shop.subscribers.insert_many(&subscribers).await.unwrap();
    let search = || Subscriber::by_phone("acme", "555 0007");
    let sealed = shop.subscribers.find(search()).await.unwrap();
    assert!(sealed.len() > 1, "{}", sealed.len());
    let opened = shop.subscribers.find(search()).decrypt_pii().await.unwrap();
    assert_eq!(opened.iter().map(|subscriber| subscriber.id).collect::<Vec<_>>(), [7]);
    let one = shop.subscribers.find(search()).decrypt_fields(["phone"]).one().await.unwrap();
    assert_eq!(one.id, 7);
    let several = shop.subscribers.find(search()).one().await.err().unwrap();
    assert_eq!(several.kind(), ErrorKind::SeveralRows);
}

#[tokio::test]
async fn a_search_of_all_tenants_stays_within_the_scope() {
    let shop = shop().await;
    let other = Subscriber { tenant: "other".into(), ..Subscriber::new(1, "ada@example.com") };
    shop.subscribers.insert(&other).await.unwrap();
    assert_eq!(shop.subscribers.find(Subscriber::by_login("ada@example.com")).await.unwrap().len(), 1);
    let scoped = shop.cryptor.scoped(ctx!(tenant = "acme"));
    let subscribers = SqlTable::<Subscriber, Db>::new(&shop.db.pool, &scoped);
    assert_eq!(subscribers.find(Subscriber::by_login("ada@example.com")).await.unwrap().len(), 0);
    assert!(!subscribers.find(Subscriber::by_login("ada@example.com")).exists().await.unwrap());
    let error = subscribers.find(Subscriber::by_email("other", "ada@example.com")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
}

const LOGINS: &str = "create table logins (id bigint primary key, tenant text not null, city text, \
     email text not null, login_bidx text)";

/// No column holds what is bound: an expression makes it.
#[derive(PiiModel, Clone)]
#[pii(name = "login", table = "logins", context(app = "tests", tenant = self.tenant.to_lowercase()), from_row)]
struct Login {
    #[pii(id)]
    id: i64,
    tenant: String,
    city: String,
    #[pii(blind_index(name = "login", normalize = "email", scope = "global"))]
    email: EncryptedStr,
}

impl Login {
    fn new(id: i64, tenant: &str) -> Self {
        Self { id, tenant: tenant.into(), city: "London".into(), email: EncryptedStr::new("ada@example.com") }
    }
}

#[tokio::test]
async fn rows_outside_the_scope_are_not_found_where_no_column_tells_them() {
    let (db, keys) = (TestDatabase::new(2, &[LOGINS]).await, tempfile::tempdir().unwrap());
    let cryptor = process(&keys);
    let table =
        |tenant: &'static str| SqlTable::<Login, Db>::new(&db.pool, &cryptor.scoped(ctx!(tenant = tenant)));
    let all = SqlTable::<Login, Db>::new(&db.pool, &cryptor);
    let rows: Vec<Login> = (0..5).map(|id| Login::new(id, "Other")).collect();
    all.insert_many(&rows).await.unwrap();
    all.insert(&Login::new(5, "ACME")).await.unwrap();
    all.insert(&Login::new(6, "Other")).await.unwrap();
    let search = || Login::by_login("ada@example.com");
    let in_london = || Login::fields().city.eq("London");
    let ids = |found: Vec<Login>| -> Vec<i64> { found.iter().map(|row| row.id).collect() };

    let acme = table("acme");
    assert!(acme.find(search()).exists().await.unwrap());
    assert_eq!(ids(acme.find(search()).await.unwrap()), [5]);
    assert_eq!(acme.find(search()).decrypt_pii().one().await.unwrap().id, 5);
    assert_eq!(ids(acme.find(in_london()).decrypt_pii().await.unwrap()), [5]);
    assert_eq!(ids(acme.find(in_london()).limit(1).await.unwrap()), [5]);
    assert_eq!(acme.find(in_london()).one().await.unwrap().id, 5);
    let mut tx = db.pool.begin().await.unwrap();
    assert!(acme.find(search()).on(&mut tx).exists().await.unwrap());
    drop(tx);

    let nobody = table("nobody");
    assert!(!nobody.find(search()).exists().await.unwrap());
    assert_eq!(ids(nobody.find(search()).await.unwrap()), [0_i64; 0]);
    assert!(nobody.find(search()).optional().await.unwrap().is_none());
    assert_eq!(ids(nobody.find(in_london()).await.unwrap()), [0_i64; 0]);
    assert_eq!(ids(nobody.find(in_london()).limit(3).await.unwrap()), [0_i64; 0]);

    assert_eq!(ids(table("other").find(in_london()).limit(6).await.unwrap()), [0, 1, 2, 3, 4, 6]);
    assert_eq!(ids(table("other").find(in_london()).limit(0).await.unwrap()), [0_i64; 0]);
    assert_eq!(table("other").find(search()).one().await.unwrap_err().kind(), ErrorKind::SeveralRows);
    assert_eq!(ids(all.find(search()).await.unwrap()).len(), 7);
}

/// Two rows tell that there are several: a third one is not read.
#[tokio::test]
async fn the_one_row_is_looked_for_among_two() {
    let (db, keys) = (TestDatabase::new(2, &[LOGINS]).await, tempfile::tempdir().unwrap());
    let table = SqlTable::<Login, Db>::new(&db.pool, &process(&keys));
    table.insert_many(&[1, 2, 3].map(|id| Login::new(id, "acme"))).await.unwrap();
    sql(&db, "update logins set city = null where id = 3").await;
    let search = || Login::by_login("ada@example.com");
    assert_eq!(table.find(search()).await.unwrap_err().kind(), ErrorKind::Database, "not readable");
    for error in [
        table.find(search()).one().await.unwrap_err(),
        table.find(search()).decrypt_pii().optional().await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.model_name()), (ErrorKind::SeveralRows, Some("login")));
        assert!(error.to_string().contains("more than one row"), "{error}");
    }
    table.delete(2).await.unwrap();
    table.delete(3).await.unwrap();
    assert_eq!(table.find(search()).one().await.unwrap().id, 1);
}

/// Of several hundred rows with the same code.
#[tokio::test]
async fn the_one_row_is_found_on_a_later_page() {
    let shop = shop().await;
    let subscribers: Vec<Subscriber> = (0..900)
        .map(|id| Subscriber {
            phone: Some(EncryptedStr::new(format!("555-{id:04}"))),
            ..Subscriber::new(id, &format!("{id}@example.com"))
        })
        .collect();
    shop.subscribers.insert_many(&subscribers).await.unwrap();
    let find = |phone: &'static str| shop.subscribers.find(Subscriber::by_phone("acme", phone)).decrypt_pii();
    for id in [0, 450, 899] {
        let phone: &'static str = format!("555 {id:04}").leak();
        assert_eq!(find(phone).one().await.unwrap().id, id);
    }
    assert!(find("555 9999").optional().await.unwrap().is_none());
    let twice =
        Subscriber { phone: Some(EncryptedStr::new("5550001")), ..Subscriber::new(900, "900@example.com") };
    shop.subscribers.insert(&twice).await.unwrap();
    assert_eq!(find("555 0001").one().await.unwrap_err().kind(), ErrorKind::SeveralRows);
}

const ACCOUNTS: &str =
    "create table named_accounts (id bigint primary key, email text not null, email_bidx varchar(64) unique)";

#[derive(PiiModel)]
#[pii(name = "member", table = "named_accounts", from_row)]
struct Before {
    #[pii(id)]
    id: i64,
    #[pii(blind_index(normalize = "email", unique))]
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "account", was = "member", table = "named_accounts", from_row)]
struct After {
    #[pii(id)]
    id: i64,
    #[pii(blind_index(normalize = "email", unique))]
    email: EncryptedStr,
}

/// Codes under the old name and the new one differ, until all are written anew.
#[tokio::test]
async fn after_a_rename_a_value_is_unique_once_the_codes_are_written_anew() {
    let (db, keys) = (TestDatabase::new(2, &[ACCOUNTS]).await, tempfile::tempdir().unwrap());
    let cryptor = process(&keys);
    let email = || EncryptedStr::new("ada@example.com");
    let before = SqlTable::<Before, Db>::new(&db.pool, &cryptor);
    before.insert(&Before { id: 1, email: email() }).await.unwrap();
    let after = SqlTable::<After, Db>::new(&db.pool, &cryptor);
    after.insert(&After { id: 2, email: email() }).await.unwrap();
    let search = || After::by_email("ada@example.com");
    assert_eq!(after.find(search()).one().await.unwrap_err().kind(), ErrorKind::SeveralRows);
    let report = after.fill_indexes().every_row().await.unwrap();
    assert_eq!((report.failed, report.failures[0].kind()), (1, ErrorKind::Duplicate), "{report}");
    assert_eq!(report.failures[0].row_id(), Some("1"));

    after.delete(2).await.unwrap();
    assert!(after.fill_indexes().every_row().await.unwrap().is_done());
    let error = after.insert(&After { id: 3, email: email() }).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Duplicate, Some("email")));
    assert_eq!(after.find(search()).one().await.unwrap().id, 1);
}

#[tokio::test]
async fn an_empty_search_is_refused_before_the_database_is_asked() {
    let shop = shop().await;
    shop.db.pool.close().await;
    for search in [Subscriber::by_email("acme", " "), Subscriber::by_phone("acme", "none")] {
        assert_eq!(shop.subscribers.find(search).await.err().unwrap().kind(), ErrorKind::InvalidSearch);
    }
}

#[tokio::test]
async fn a_new_version_is_written_beside_and_both_are_searched() {
    let shop = shop().await;
    shop.subscribers.insert(&Subscriber::new(1, "old@example.com")).await.unwrap();
    sql(&shop.db, "alter table subscribers add column email_bidx_v2 text").await;
    let rotating = SqlTable::<RotatingSubscriber, Db>::new(&shop.db.pool, &shop.cryptor);
    let new =
        RotatingSubscriber { id: 2, tenant: "acme".into(), email: EncryptedStr::new("new@example.com") };
    rotating.insert(&new).await.unwrap();
    for (id, email) in [(1, "old@example.com"), (2, "new@example.com")] {
        // programs of both kinds find rows of both kinds
        assert_eq!(shop.ids(email).await, [id]);
        let found = rotating.find(RotatingSubscriber::by_email("acme", email)).one().await.unwrap();
        assert_eq!(found.id, id);
    }
    let old = rotating.get(1).decrypt_pii().await.unwrap();
    rotating.update(&old).await.unwrap();
    let both: i64 = sqlx::query_scalar("select count(*) from subscribers where email_bidx_v2 is not null")
        .fetch_one(&shop.db.pool)
        .await
        .unwrap();
    assert_eq!(both, 2);
}

#[tokio::test]
async fn rows_from_before_the_index_are_filled_in() {
    let shop = shop().await;
    let many = [Subscriber::new(1, "one@example.com"), Subscriber::new(2, "two@example.com")];
    shop.subscribers.insert_many(&many).await.unwrap();
    sql(&shop.db, "update subscribers set email_bidx = null, login_bidx = null").await;
    assert_eq!(shop.ids("one@example.com").await, Vec::<i64>::new());

    // beside other writers: the field is sealed anew, if nobody was faster
    let mut row = shop.subscribers.get(1).decrypt_fields(["email"]).stored().await.unwrap();
    row.email.reseal().unwrap();
    assert_eq!(shop.subscribers.swap(&row).await.unwrap(), Swap::Swapped);
    assert_eq!(shop.ids("one@example.com").await, [1]);

    // where nobody writes meanwhile: sealed texts stay as they are
    let text = "select email from subscribers where id = 2";
    let before: String = sqlx::query_scalar(text).fetch_one(&shop.db.pool).await.unwrap();
    let sealed = shop.subscribers.get(2).await.unwrap();
    shop.subscribers.update_many(&[sealed]).await.unwrap();
    assert_eq!(shop.ids("two@example.com").await, Vec::<i64>::new());
    let opened = shop.subscribers.get(2).decrypt_fields(["email"]).await.unwrap();
    shop.subscribers.update_many(&[opened]).await.unwrap();
    assert_eq!(shop.ids("two@example.com").await, [2]);
    let after: String = sqlx::query_scalar(text).fetch_one(&shop.db.pool).await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_duplicate_names_its_field_where_names_are_parts_of_others() {
    let keys = tempfile::tempdir().unwrap();
    let (db, cryptor) = (TestDatabase::new(2, &[MAILBOXES]).await, process(&keys));
    let mailboxes = SqlTable::<Mailbox, Db>::new(&db.pool, &cryptor);
    mailboxes.insert(&Mailbox::new(1, "ada@home.example", "ada@work.example")).await.unwrap();
    for (home, work, field) in [
        ("ada@home.example", "bob@work.example", "email"),
        ("bob@home.example", "ada@work.example", "work_email"),
    ] {
        let error = mailboxes.insert(&Mailbox::new(2, home, work)).await.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Duplicate, Some(field)));
    }
    mailboxes.insert(&Mailbox::new(2, "bob@home.example", "bob@work.example")).await.unwrap();
}

#[tokio::test]
async fn an_older_text_of_the_row_takes_its_code_along() {
    let shop = shop().await;
    shop.subscribers.insert(&Subscriber::new(1, "old@example.com")).await.unwrap();
    let old: String =
        sqlx::query_scalar("select email from subscribers").fetch_one(&shop.db.pool).await.unwrap();
    for way in 0..3 {
        let mut row = shop.subscribers.get(1).await.unwrap();
        row.email.set("new@example.com");
        shop.subscribers.update(&row).await.unwrap();
        assert_eq!(shop.ids("new@example.com").await, [1]);
        // as a program does that takes a change back
        let mut row = shop.subscribers.get(1).stored().await.unwrap();
        row.email = EncryptedStr::from_stored(old.clone());
        match way {
            0 => shop.subscribers.update(&row).await.unwrap(),
            1 => assert_eq!(shop.subscribers.update_many([&*row]).await.unwrap(), 1),
            _ => assert_eq!(shop.subscribers.swap(&row).await.unwrap(), Swap::Swapped),
        }
        assert_eq!(shop.ids("old@example.com").await, [1], "{way}");
        assert_eq!(shop.ids("new@example.com").await, Vec::<i64>::new(), "{way}");
    }
}

#[tokio::test]
async fn a_view_leaves_a_row_where_it_is() {
    let shop = shop().await;
    let ada = Subscriber { phone: Some(EncryptedStr::new("1")), ..Subscriber::new(1, "ada@example.com") };
    shop.subscribers.insert(&ada).await.unwrap();
    let phones = SqlTable::<SubscriberPhone, Db>::new(&shop.db.pool, &shop.cryptor);
    let moved = phones.move_row(1, |phone| phone.id = 2).await.unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::Configuration);
    let mut elsewhere = phones.get(1).await.unwrap();
    (elsewhere.tenant, elsewhere.phone) = ("other".into(), Some(EncryptedStr::new("2")));
    for refused in
        [phones.update(&elsewhere).await.unwrap_err(), phones.update_many([&elsewhere]).await.unwrap_err()]
    {
        assert_eq!(refused.kind(), ErrorKind::RowNotFound, "{refused}");
    }
    let mut here = phones.get(1).await.unwrap();
    here.phone = Some(EncryptedStr::new("3"));
    phones.update(&here).await.unwrap();
    let row = shop.subscribers.get(1).decrypt_pii().await.unwrap();
    assert_eq!((row.email.expose().unwrap(), row.tenant.as_str()), ("ada@example.com", "acme"));
    shop.subscribers.move_row(1, |row| row.id = 2).await.unwrap();
    assert_eq!(shop.ids("ada@example.com").await, [2]);
}

#[tokio::test]
async fn a_job_passes_by_rows_that_a_unique_index_refuses() {
    let keys = tempfile::tempdir().unwrap();
    let (db, cryptor) = (TestDatabase::new(2, &[MAILBOXES]).await, process(&keys));
    let values = "insert into mailboxes (id, email, work_email) values (1, 'a@x', '1'), (2, 'A@x', '2'), (3, 'b@x', '3'), (4, 'c@x', '4')";
    sql(&db, values).await;
    let policies = FieldPolicies::new();
    policies.set_model("mailbox", AcceptAndSeal);
    let mailboxes = SqlTable::<Mailbox, Db>::new(&db.pool, &cryptor.with_policies(&policies));
    let report = Adoption::of(&mailboxes).chunk_rows(3).seal().await.unwrap();
    assert_eq!((report.rows_written, report.failed, report.is_done()), (3, 1, false), "{report:?}");
    let failure = &report.failures[0];
    assert_eq!(
        (failure.kind(), failure.field_name(), failure.row_id()),
        (ErrorKind::Duplicate, Some("email"), Some("2"))
    );
    sql(&db, "update mailboxes set email = 'd@x' where id = 2").await;
    assert!(Adoption::of(&mailboxes).seal().await.unwrap().is_done());
}

#[tokio::test]
async fn a_row_is_not_saved_over_an_indexed_value_that_someone_else_changed() {
    let shop = shop().await;
    for (id, email) in [(1, "ada@example.com"), (2, "bob@example.com")] {
        shop.subscribers.insert(&Subscriber::new(id, email)).await.unwrap();
    }
    let slow = shop.subscribers.list().await.unwrap();
    let mut fast = shop.subscribers.get(1).await.unwrap();
    fast.email.set("new@example.com");
    shop.subscribers.update(&fast).await.unwrap();
    for refused in [
        shop.subscribers.update(&slow[0]).await.unwrap_err(),
        shop.subscribers.update_many([&slow[0]]).await.unwrap_err(),
        shop.subscribers.update_many(&slow).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
    assert_eq!(shop.ids("new@example.com").await, [1]);
    // who has opened the value writes its code too
    let mut opened = shop.subscribers.get(2).decrypt_pii().await.unwrap();
    let mut fast = shop.subscribers.get(2).await.unwrap();
    fast.email.set("eve@example.com");
    shop.subscribers.update(&fast).await.unwrap();
    opened.phone = Some(EncryptedStr::new("1"));
    shop.subscribers.update(&opened).await.unwrap();
    assert_eq!(shop.ids("bob@example.com").await, [2]);
    assert_eq!(shop.ids("eve@example.com").await, Vec::<i64>::new());
    let fresh = shop.subscribers.list().await.unwrap();
    assert_eq!(shop.subscribers.update_many(&fresh).await.unwrap(), 2);
    let gone = Subscriber { id: 3, ..fresh[0].clone() };
    assert_eq!(shop.subscribers.update(&gone).await.unwrap_err().kind(), ErrorKind::WrongPlace);
    shop.subscribers.delete(1).await.unwrap();
    assert_eq!(shop.subscribers.update(&fresh[0]).await.unwrap_err().kind(), ErrorKind::RowNotFound);
}

#[tokio::test]
async fn a_swap_leaves_the_codes_of_other_values_alone() {
    let shop = shop().await;
    shop.subscribers.insert(&Subscriber::new(1, "ada@example.com")).await.unwrap();
    let mut slow = shop.subscribers.get(1).decrypt_pii().stored().await.unwrap();
    let mut fast = shop.subscribers.get(1).decrypt_pii().stored().await.unwrap();
    let older = fast.email.clone();
    fast.email.set("new@example.com");
    slow.phone = Some(EncryptedStr::new("1"));
    for row in [fast, slow] {
        assert_eq!(shop.subscribers.swap(&row).await.unwrap(), Swap::Swapped);
    }
    assert_eq!(shop.ids("new@example.com").await, [1]);
    assert_eq!(shop.ids("ada@example.com").await, Vec::<i64>::new());
    let mut row = shop.subscribers.get(1).stored().await.unwrap();
    row.email = older;
    assert_eq!(shop.subscribers.swap(&row).await.unwrap(), Swap::Swapped);
    assert_eq!(shop.ids("ada@example.com").await, [1]);
    let sealed = shop.subscribers.get(1).await.unwrap().email;
    let mut row = shop.subscribers.get(1).stored().await.unwrap();
    row.email.set("last@example.com");
    shop.subscribers.swap(&row).await.unwrap();
    let mut row = shop.subscribers.get(1).stored().await.unwrap();
    row.email = sealed;
    assert_eq!(shop.subscribers.swap(&row).await.unwrap_err().kind(), ErrorKind::State);
    assert_eq!(shop.ids("last@example.com").await, [1]);
}

#[tokio::test]
async fn a_swap_compares_all_values_that_an_index_is_made_of() {
    let keys = tempfile::tempdir().unwrap();
    let (db, cryptor) = (TestDatabase::new(2, &[NAMES]).await, process(&keys));
    let names = SqlTable::<Name, Db>::new(&db.pool, &cryptor);
    names.insert(&Name::new(1, "ada", "byron")).await.unwrap();
    let mut first = names.get(1).decrypt_pii().stored().await.unwrap();
    let mut last = names.get(1).decrypt_pii().stored().await.unwrap();
    first.first.set("grace");
    last.last.set("hopper");
    assert_eq!(names.swap(&first).await.unwrap(), Swap::Swapped);
    assert_eq!(names.swap(&last).await.unwrap(), Swap::Changed);
    let mut last = names.get(1).decrypt_pii().stored().await.unwrap();
    last.last.set("hopper");
    assert_eq!(names.swap_many(&[last]).await.unwrap(), [Swap::Swapped]);
    assert!(names.find(Name::by_full("grace", "hopper")).exists().await.unwrap());
    assert!(!names.find(Name::by_full("grace", "byron")).exists().await.unwrap());
}
