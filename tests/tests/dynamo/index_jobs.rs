//! Jobs for the codes of blind indexes.

use std::{future::IntoFuture as _, ops::ControlFlow, sync::Arc};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures_core::future::BoxFuture;
use pii::{
    Confirm, Cryptor, DataKey, DynamoTable, EncryptedStr, ErrorKind, FileKeyStore, GeneratedKey, Item,
    KeyAdmin, KeyBinding, Keyring, PiiModel, Result, Retention, ShredScope, TestKeyring, WrappedKey, ctx,
    index::IndexFillReport, testing::assert_no_plaintext,
};
use serde::{Deserialize, Serialize};

use crate::support::{client, is_send, stored, table, write_raw};

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(name = "member", context(app = "tests", tenant = self.tenant), subject = self.person)]
#[serde(deny_unknown_fields)]
struct Member {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    person: String,
    #[pii(
        blind_index(normalize = "email", versions(1, 2)),
        blind_index(name = "login", normalize = "email", scope = "global")
    )]
    email: EncryptedStr,
    #[pii(blind_index(normalize = "digits", bits = 8))]
    phone: Option<EncryptedStr>,
}

/// The same items as programs write them that know no index.
#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(name = "member", context(app = "tests", tenant = self.tenant), subject = self.person)]
struct OldMember {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    person: String,
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
}

fn email(id: u32) -> String {
    format!("Canary-{id}@example.com")
}

fn old(id: u32, email: &str) -> OldMember {
    OldMember {
        id: id.to_string(),
        tenant: "acme".into(),
        person: format!("person-{}", id / 2),
        email: EncryptedStr::new(email),
        phone: None,
    }
}

struct Shop {
    client: Client,
    name: String,
    keys: tempfile::TempDir,
}

impl Shop {
    /// With so many items from before the index.
    async fn with(items: u32) -> Self {
        let client = client();
        let name = table(&client, "id", None).await;
        let shop = Self { client, name, keys: tempfile::tempdir().unwrap() };
        let old: Vec<_> = (0..items).map(|id| old(id, &email(id))).collect();
        shop.old().put_many(&old).await.unwrap().all().unwrap();
        shop
    }

    fn cryptor(&self) -> Cryptor {
        self.cryptor_with(TestKeyring::new())
    }

    fn cryptor_with(&self, keyring: impl Keyring) -> Cryptor {
        let store = FileKeyStore::open(self.keys.path().join("keys")).unwrap();
        Cryptor::envelope().keyring(keyring).key_store(store).build().unwrap()
    }

    fn old(&self) -> DynamoTable<OldMember> {
        DynamoTable::named(&self.client, &self.cryptor(), &self.name)
    }

    /// In a process that holds no keys yet.
    fn members(&self) -> DynamoTable<Member> {
        self.through(&self.cryptor())
    }

    fn through(&self, cryptor: &Cryptor) -> DynamoTable<Member> {
        DynamoTable::named(&self.client, cryptor, &self.name)
    }

    async fn item(&self, id: u32) -> Item {
        let items = stored(&self.client, &self.name).await;
        items.into_iter().find(|item| item["id"] == text(&id.to_string())).unwrap()
    }

    /// The items that have this attribute.
    async fn having(&self, attribute: &str) -> Vec<u32> {
        let items = stored(&self.client, &self.name).await;
        let having = items.iter().filter(|item| item.contains_key(attribute));
        let mut ids: Vec<u32> = having.map(|item| item["id"].as_s().unwrap().parse().unwrap()).collect();
        ids.sort_unstable();
        ids
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn counts(report: &IndexFillReport) -> [u64; 6] {
    let counts = [report.filled, report.unchanged, report.gone, report.left, report.erased, report.failed];
    assert_eq!(report.rows_read, counts.iter().sum::<u64>(), "no item is lost: {report}");
    counts
}

#[tokio::test]
async fn items_from_before_an_index_get_the_codes_that_a_put_gives_them() {
    let shop = Shop::with(25).await;
    let before = stored(&shop.client, &shop.name).await;
    let members = shop.members();
    let mut pages = 0;
    let job = members.fill_indexes().page_items(10).on_page(|report, _| {
        pages += 1;
        assert!(report.rows_read <= pages * 10);
        ControlFlow::Continue(())
    });
    let report = is_send(job.into_future()).await.unwrap();
    assert!(report.is_done(), "{report}: {:?}", report.failures);
    assert_eq!((counts(&report), pages), ([25, 0, 0, 0, 0, 0], 3));
    for mut item in stored(&shop.client, &shop.name).await {
        let id: u32 = item["id"].as_s().unwrap().parse().unwrap();
        let filled = ["email_bidx", "email_bidx_v2", "login_bidx"].map(|name| item.remove(name).unwrap());
        assert!(before.contains(&item), "nothing else is written");
        // as a put writes them
        let member = members.get(id.to_string()).decrypt_pii().await.unwrap();
        members.put(&member).await.unwrap();
        let put = shop.item(id).await;
        assert_eq!(filled, ["email_bidx", "email_bidx_v2", "login_bidx"].map(|name| put[name].clone()));
    }
    let report = members.fill_indexes().await.unwrap();
    assert_eq!((report.rows_read, report.is_done()), (0, true));
    assert_eq!(counts(&members.fill_indexes().every_item().await.unwrap()), [0, 25, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_job_that_was_stopped_goes_on_after_its_last_key() {
    let shop = Shop::with(20).await;
    let members = shop.members();
    let mut last = None;
    let report = members
        .fill_indexes()
        .page_items(6)
        .on_page(|_, key| {
            last = key.cloned();
            ControlFlow::Break(())
        })
        .await
        .unwrap();
    assert_eq!((report.filled, report.is_complete, report.is_done()), (6, false, false));
    let report = members.fill_indexes().every_item().start_after(last.unwrap()).await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([14, 0, 0, 0, 0, 0], true));
    assert_eq!(shop.having("email_bidx").await.len(), 20);
}

#[tokio::test]
async fn codes_that_old_programs_left_behind_are_corrected() {
    let shop = Shop::with(3).await;
    let members = shop.members();
    members.fill_indexes().await.unwrap();
    let stale = shop.item(1).await["email_bidx"].clone();
    let old = shop.old();
    let mut item = old.get("1").await.unwrap();
    item.email.set("changed@example.com");
    old.update(&item).await.unwrap();
    assert_eq!(members.fill_indexes().await.unwrap().rows_read, 0);
    assert_eq!(counts(&members.fill_indexes().every_item().await.unwrap()), [1, 2, 0, 0, 0, 0]);
    assert_ne!(shop.item(1).await["email_bidx"], stale);
    // a code without a value is one of a value that is gone
    let mut item = shop.item(2).await;
    item.insert("phone_bidx".into(), text("80"));
    write_raw(&shop.client, &shop.name, item).await;
    assert_eq!(counts(&members.fill_indexes().await.unwrap()), [1, 0, 0, 0, 0, 0]);
    assert_eq!(shop.having("phone_bidx").await, [0; 0]);
}

/// Writes between the job's reading and its writing: when the job asks for keys.
struct Meddler {
    client: Client,
    table: String,
    /// the item that takes another's place, or none where item 1 is deleted
    item: Option<Item>,
    inner: TestKeyring,
}

impl Keyring for Meddler {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        self.inner.generate(binding)
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move {
            match &self.item {
                Some(item) => write_raw(&self.client, &self.table, item.clone()).await,
                None => {
                    let request = self.client.delete_item().table_name(&self.table);
                    request.key("id", text("1")).send().await.unwrap();
                }
            }
            self.inner.unwrap(copies, binding, is_wanted).await
        })
    }
}

impl Shop {
    fn meddling(&self, item: Option<Item>) -> DynamoTable<Member> {
        let (client, table) = (self.client.clone(), self.name.clone());
        self.through(&self.cryptor_with(Meddler { client, table, item, inner: TestKeyring::new() }))
    }
}

#[tokio::test]
async fn an_item_that_changes_meanwhile_gets_the_codes_of_what_it_holds() {
    let shop = Shop::with(3).await;
    let before = shop.item(1).await;
    let old = shop.old();
    let mut item = old.get("1").await.unwrap();
    item.email.set("meanwhile@example.com");
    old.update(&item).await.unwrap();
    let changed = shop.item(1).await;
    write_raw(&shop.client, &shop.name, before.clone()).await;

    let report = shop.meddling(Some(changed.clone())).fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.retries), ([3, 0, 0, 0, 0, 0], 1));
    let filled = shop.item(1).await;
    assert_eq!(filled["email"], changed["email"], "nobody's change is overwritten");
    assert_eq!(counts(&shop.members().fill_indexes().every_item().await.unwrap()), [0, 3, 0, 0, 0, 0]);

    // one attempt only: the item is told, and left as it is
    write_raw(&shop.client, &shop.name, changed).await;
    let report = shop.meddling(Some(before)).fill_indexes().attempts(1).await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([0, 0, 0, 1, 0, 0], false));
    assert_eq!(shop.having("email_bidx").await, [0, 2]);
    // and one that is gone stays gone
    let report = shop.meddling(None).fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([0, 0, 1, 0, 0, 0], true));
    assert_eq!(stored(&shop.client, &shop.name).await.len(), 2);
}

#[tokio::test]
async fn an_item_that_does_not_open_is_told_and_the_others_are_filled_in() {
    let shop = Shop::with(6).await;
    let mut moved = shop.item(2).await;
    moved.insert("tenant".into(), text("zeta"));
    let mut broken = shop.item(4).await;
    broken.insert("email".into(), AttributeValue::N("7".into()));
    for item in [moved, broken] {
        write_raw(&shop.client, &shop.name, item).await;
    }
    let report = shop.members().fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([4, 0, 0, 0, 0, 2], false));
    let mut rows: Vec<_> = report.failures.iter().map(|error| error.row_id().unwrap()).collect();
    rows.sort_unstable();
    assert_eq!(rows, ["2", "4"]);
    assert_no_plaintext(format!("{report} {report:?}"), &["canary", "zeta"]);
    assert_eq!(shop.having("email_bidx").await, [0, 1, 3, 5]);
    // what concerns all of them ends the job
    let error = shop.old().fill_indexes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let write_only = shop.cryptor().limited_to(pii::Mode::WriteOnly);
    assert_eq!(shop.through(&write_only).fill_indexes().await.unwrap_err().kind(), ErrorKind::Mode);
}

#[tokio::test]
async fn a_job_stays_in_its_scope_and_with_its_entity() {
    let shop = Shop::with(0).await;
    let cryptor = shop.cryptor();
    let mixed = DynamoTable::<OldMember>::named(&shop.client, &cryptor, &shop.name).entity("kind");
    for (id, tenant) in [(1, "acme"), (2, "zeta")] {
        mixed.put(&OldMember { tenant: tenant.into(), ..old(id, &email(id)) }).await.unwrap();
    }
    let other = [("id", "3"), ("kind", "invoice"), ("tenant", "zeta"), ("person", "person-1")];
    let other: Item = other.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
    write_raw(&shop.client, &shop.name, other).await;

    let members = shop.through(&cryptor).entity("kind");
    let scoped = shop.through(&cryptor.scoped(ctx!(tenant = "zeta"))).entity("kind");
    assert_eq!(counts(&scoped.fill_indexes().await.unwrap()), [1, 0, 0, 0, 0, 0]);
    assert_eq!(shop.having("email_bidx").await, [2]);
    assert_eq!(counts(&members.fill_indexes().await.unwrap()), [1, 0, 0, 0, 0, 0]);
    assert_eq!(members.index_duplicates("login").await.unwrap().rows, 2);
    assert_eq!(scoped.index_duplicates("login").await.unwrap().rows, 1);
    assert_eq!(scoped.clear_indexes(ctx!(tenant = "acme")).await.unwrap(), 0);
    assert_eq!(scoped.clear_indexes(ctx!(app = "tests", tenant = "zeta")).await.unwrap(), 1);
    assert_eq!(shop.having("email_bidx").await, [1]);
}

#[tokio::test]
async fn duplicates_are_found_in_items_without_codes() {
    let shop = Shop::with(12).await;
    let twins = [(20, " CANARY-3@example.com"), (21, "canary-3@EXAMPLE.com"), (22, " ")];
    let twins = twins.map(|(id, email)| old(id, email));
    shop.old().put_many(&twins).await.unwrap().all().unwrap();
    let members = shop.members();
    let found = is_send(members.index_duplicates("login").into_future()).await.unwrap();
    assert_eq!((found.rows, found.empty, found.groups, found.duplicates), (14, 1, 1, 3));
    let mut ids = found.shown[0].ids.clone();
    ids.sort_unstable();
    assert_eq!(ids, ["20", "21", "3"]);
    assert_no_plaintext(format!("{found} {found:?}"), &["canary", "acme"]);
    assert_eq!(members.index_duplicates("phone").await.unwrap_err().kind(), ErrorKind::Configuration);
    for id in [20, 21] {
        members.delete(id.to_string()).await.unwrap();
    }
    assert!(members.index_duplicates("login").at_most(1).await.unwrap().is_unique());
}

#[tokio::test]
async fn the_codes_of_a_person_are_removed_after_the_keys() {
    let shop = Shop::with(6).await;
    shop.members().fill_indexes().await.unwrap();
    let admin = KeyAdmin::new(Arc::new(FileKeyStore::open(shop.keys.path().join("keys")).unwrap()));
    let shred = async |context| {
        let confirm = Confirm::i_know_values_become_unreadable();
        let scope = ShredScope::Containing(context);
        admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap()
    };
    let receipt = shred(ctx!(subject = "person-1").unwrap()).await;
    let members = shop.members();
    assert_eq!(members.clear_indexes(receipt.context()).await.unwrap(), 2);
    for attribute in ["email_bidx", "email_bidx_v2", "login_bidx"] {
        assert_eq!(shop.having(attribute).await, [0, 1, 4, 5]);
    }
    assert_eq!(members.clear_indexes(receipt.context()).await.unwrap(), 0);
    assert!(members.get("2").await.is_ok());
    let report = members.fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([0, 0, 0, 0, 2, 0], true));
    // the tenant, with those of its persons
    let receipt = shred(ctx!(tenant = "acme").unwrap()).await;
    assert_eq!(shop.members().clear_indexes(receipt.context()).await.unwrap(), 4);
    assert_eq!(shop.having("login_bidx").await, [0; 0]);
    for (context, named) in [
        (ctx!(app = "other"), "`app`"),
        (ctx!(colour = "red"), "`colour`"),
        (Ok(pii::EncryptionContext::empty()), "at least one"),
    ] {
        let error = members.clear_indexes(context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidContext);
        assert!(error.to_string().contains(named), "{error}");
    }
}
