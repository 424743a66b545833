//! Items found by blind indexes, which every way of writing keeps.

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, AttributeValue, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate,
        KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    },
};
use pii::{Cryptor, DynamoTable, EncryptedStr, ErrorKind, FileKeyStore, PiiModel, TestKeyring, ctx};
use serde::{Deserialize, Serialize};

use crate::support::{client, stored, table};

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(name = "member", context(app = "tests", tenant = self.tenant))]
#[serde(deny_unknown_fields)]
struct Member {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    #[pii(
        blind_index(normalize = "email", versions(1, 2)),
        blind_index(name = "login", normalize = "email", scope = "global")
    )]
    email: EncryptedStr,
    #[pii(blind_index(normalize = "digits", bits = 1))]
    phone: Option<EncryptedStr>,
}

impl Member {
    fn new(id: &str, email: &str) -> Self {
        Self { id: id.into(), tenant: "acme".into(), email: EncryptedStr::new(email), phone: None }
    }
}

struct Shop {
    client: Client,
    name: String,
    cryptor: Cryptor,
    members: DynamoTable<Member>,
    _keys: tempfile::TempDir,
}

fn cryptor(keys: &tempfile::TempDir) -> Cryptor {
    let store = FileKeyStore::open(keys.path().join("keys")).unwrap();
    Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap()
}

async fn shop() -> Shop {
    let (client, keys) = (client(), tempfile::tempdir().unwrap());
    let name = table(&client, "id", None).await;
    for attribute in ["email_bidx", "email_bidx_v2", "login_bidx", "phone_bidx"] {
        add_index(&client, &name, attribute).await;
    }
    let cryptor = cryptor(&keys);
    let members = DynamoTable::named(&client, &cryptor, &name);
    Shop { client, name, cryptor, members, _keys: keys }
}

/// A global index that is called as its attribute.
async fn add_index(client: &Client, table: &str, attribute: &str) {
    let text = ScalarAttributeType::S;
    let action = CreateGlobalSecondaryIndexAction::builder()
        .index_name(attribute)
        .key_schema(
            KeySchemaElement::builder().attribute_name(attribute).key_type(KeyType::Hash).build().unwrap(),
        )
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .unwrap();
    client
        .update_table()
        .table_name(table)
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(text).build().unwrap(),
        )
        .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(action).build())
        .send()
        .await
        .unwrap();
    loop {
        let table = client.describe_table().table_name(table).send().await.unwrap().table.unwrap();
        let indexes = table.global_secondary_indexes();
        if indexes.iter().all(|index| index.index_status().is_some_and(|status| status.as_str() == "ACTIVE"))
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

impl Shop {
    async fn ids(&self, email: &str) -> Vec<String> {
        let found = self.members.find(Member::by_email("acme", email)).await.unwrap();
        found.into_iter().map(|member| member.id).collect()
    }

    async fn code(&self, id: &str, attribute: &str) -> Option<String> {
        let items = stored(&self.client, &self.name).await;
        let item = items.into_iter().find(|item| item["id"] == AttributeValue::S(id.into())).unwrap();
        item.get(attribute).map(|value| value.as_s().unwrap().clone())
    }
}

#[tokio::test]
async fn an_item_is_found_by_a_value_that_is_written_otherwise() {
    let shop = shop().await;
    shop.members.put(&Member::new("1", "Ada@Example.com")).await.unwrap();
    shop.members.put(&Member::new("2", "bob@example.com")).await.unwrap();
    let found =
        shop.members.find(Member::by_email("acme", "ada@example.COM ")).decrypt_pii().one().await.unwrap();
    assert_eq!((found.id.as_str(), found.email.expose().unwrap()), ("1", "Ada@Example.com"));
    let by_login = shop.members.find(Member::by_login("ada@example.com")).one().await.unwrap();
    assert_eq!((by_login.id.as_str(), by_login.email.expose().is_err()), ("1", true));
    assert!(shop.members.find(Member::by_email("acme", "bob@example.com")).exists().await.unwrap());
    assert!(!shop.members.find(Member::by_email("acme", "eve@example.com")).exists().await.unwrap());
    let none = shop.members.find(Member::by_email("other", "ada@example.com")).one().await.err().unwrap();
    assert_eq!(none.kind(), ErrorKind::RowNotFound);
    let refused = shop.members.find(Member::by_email("acme", " ")).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidSearch);
}

#[tokio::test]
async fn every_way_of_writing_writes_the_codes() {
    let shop = shop().await;
    let many = [Member::new("1", "one@example.com"), Member::new("2", "two@example.com")];
    shop.members.put_many(&many).await.unwrap().all().unwrap();
    let three = Member::new("3", "three@example.com");
    pii::DynamoTransaction::new(&shop.client).put(&shop.members, &three).await.unwrap();
    for (id, email) in [("1", "one@example.com"), ("2", "two@example.com"), ("3", "three@example.com")] {
        assert_eq!(shop.ids(email).await, [id]);
    }
    let mut two = shop.members.get("2").await.unwrap();
    two.email.set("zwei@example.com");
    two.phone = Some(EncryptedStr::new("+49 170 123"));
    shop.members.update(&two).await.unwrap();
    assert_eq!(shop.ids("two@example.com").await, Vec::<String>::new());
    assert_eq!(shop.ids("zwei@example.com").await, ["2"]);
    let mut three = shop.members.get("3").await.unwrap();
    three.email.set("drei@example.com");
    shop.members.update(&three).fields(["email"]).await.unwrap();
    assert_eq!(shop.ids("drei@example.com").await, ["3"]);
    two.phone = None;
    shop.members.update(&two).await.unwrap();
    assert_eq!(shop.code("2", "phone_bidx").await, None);
}

#[tokio::test]
async fn an_item_that_is_updated_unopened_keeps_its_codes() {
    let shop = shop().await;
    shop.members.put(&Member::new("1", "ada@example.com")).await.unwrap();
    let before = shop.code("1", "email_bidx").await;
    let mut sealed = shop.members.get("1").await.unwrap();
    sealed.phone = Some(EncryptedStr::new("1"));
    shop.members.update(&sealed).await.unwrap();
    assert_eq!(shop.cryptor.stats().opened, 0);
    assert_eq!(shop.code("1", "email_bidx").await, before);
    // a put replaces the item: its values are opened for their codes
    shop.members.put(&sealed).await.unwrap();
    assert_eq!(shop.code("1", "email_bidx").await, before);
    assert!(shop.cryptor.stats().opened > 0);
}

#[tokio::test]
async fn both_versions_are_searched_and_an_item_is_found_once() {
    let shop = shop().await;
    shop.members.put(&Member::new("1", "ada@example.com")).await.unwrap();
    shop.members.put(&Member::new("2", "ada@example.com")).await.unwrap();
    // as a program that knows version 1 alone left it
    let update = shop.client.update_item().table_name(&shop.name).key("id", AttributeValue::S("2".into()));
    update.update_expression("REMOVE email_bidx_v2").send().await.unwrap();
    let mut found = shop.ids("ada@example.com").await;
    found.sort();
    assert_eq!(found, ["1", "2"]);
    let several = shop.members.find(Member::by_email("acme", "ada@example.com")).one().await.err().unwrap();
    assert_eq!(several.kind(), ErrorKind::SeveralRows);
}

#[tokio::test]
async fn items_found_by_chance_are_left_out_once_they_are_opened() {
    let shop = shop().await;
    let members: Vec<Member> = (0..20)
        .map(|id| Member {
            phone: Some(EncryptedStr::new(format!("555-{id:04}"))),
            ..Member::new(&id.to_string(), &format!("{id}@example.com"))
        })
        .collect();
    shop.members.put_many(&members).await.unwrap().all().unwrap();
    let search = || Member::by_phone("acme", "555 0007");
    assert!(shop.members.find(search()).await.unwrap().len() > 1);
    assert_eq!(shop.members.find(search()).decrypt_pii().one().await.unwrap().id, "7");
}

#[tokio::test]
async fn a_search_of_all_tenants_stays_within_the_scope() {
    let shop = shop().await;
    let other = Member { tenant: "other".into(), ..Member::new("1", "ada@example.com") };
    shop.members.put(&other).await.unwrap();
    assert_eq!(shop.members.find(Member::by_login("ada@example.com")).await.unwrap().len(), 1);
    let scoped =
        DynamoTable::<Member>::named(&shop.client, &shop.cryptor.scoped(ctx!(tenant = "acme")), &shop.name);
    assert_eq!(scoped.find(Member::by_login("ada@example.com")).await.unwrap().len(), 0);
    assert!(!scoped.find(Member::by_login("ada@example.com")).exists().await.unwrap());
}

#[tokio::test]
async fn the_size_of_an_item_counts_its_codes() {
    let shop = shop().await;
    let mut member = Member::new("1", "ada@example.com");
    member.phone = Some(EncryptedStr::new("1"));
    let size = shop.members.item_size(&member).unwrap();
    shop.members.put(&member).await.unwrap();
    let stored = stored(&shop.client, &shop.name).await.remove(0);
    let bytes: usize = stored.iter().map(|(name, value)| name.len() + value.as_s().unwrap().len()).sum();
    assert_eq!(size, bytes);
}

/// A login, whose key is the code of its e-mail address: no two can have the same.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "login")]
struct Login {
    #[pii(partition_key)]
    key: String,
    #[pii(blind_index(normalize = "email", unique))]
    email: EncryptedStr,
}

#[tokio::test]
async fn a_code_can_be_the_key_of_a_table() {
    let (client, keys) = (client(), tempfile::tempdir().unwrap());
    let name = table(&client, "key", None).await;
    let cryptor = cryptor(&keys);
    let logins = DynamoTable::<Login>::named(&client, &cryptor, &name);
    let key = cryptor.index_text(&Login::by_email("Ada@example.com")).await.unwrap();
    let login = Login { key: key.to_string(), email: EncryptedStr::new("Ada@example.com") };
    logins.put(&login).if_absent().await.unwrap();
    let again = Login {
        key: cryptor.index_text(&Login::by_email("ada@EXAMPLE.com")).await.unwrap().to_string(),
        email: EncryptedStr::new("ada@EXAMPLE.com"),
    };
    assert_eq!(logins.put(&again).if_absent().await.unwrap_err().kind(), ErrorKind::Conflict);
    let found = logins.get(again.key).decrypt_pii().await.unwrap();
    assert_eq!(found.email.expose().unwrap(), "Ada@example.com");
}

#[tokio::test]
async fn an_item_is_not_saved_over_an_indexed_value_that_someone_else_changed() {
    let shop = shop().await;
    shop.members.put(&Member::new("1", "ada@example.com")).await.unwrap();
    let mut slow = shop.members.get("1").await.unwrap();
    let mut fast = slow.clone();
    fast.email.set("new@example.com");
    shop.members.update(&fast).await.unwrap();
    slow.phone = Some(EncryptedStr::new("1"));
    for refused in [
        shop.members.update(&slow).await.unwrap_err(),
        shop.members.update(&slow).fields(["email"]).await.unwrap_err(),
        pii::DynamoTransaction::new(&shop.client).update(&shop.members, &slow).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
    shop.members.update(&slow).fields(["phone"]).await.unwrap();
    assert_eq!(shop.ids("new@example.com").await, ["1"]);
    let fresh = shop.members.get("1").await.unwrap();
    shop.members.update(&fresh).await.unwrap();
    assert_eq!(shop.ids("new@example.com").await, ["1"]);
}

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(name = "person", context(tenant = self.tenant), blind_index(name = "full", fields(first, last)))]
struct Person {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    first: EncryptedStr,
    last: EncryptedStr,
}

#[tokio::test]
async fn an_index_over_several_fields_changes_with_all_of_them() {
    let (client, keys) = (client(), tempfile::tempdir().unwrap());
    let name = table(&client, "id", None).await;
    add_index(&client, &name, "full_bidx").await;
    let cryptor = cryptor(&keys);
    let people = DynamoTable::<Person>::named(&client, &cryptor, &name);
    let (first, last) = (EncryptedStr::new("ada"), EncryptedStr::new("byron"));
    let mut ada = Person { id: "1".into(), tenant: "acme".into(), first, last };
    people.put(&ada).await.unwrap();
    ada.first.set("grace");
    ada.last.set("hopper");
    let refused = people.update(&ada).fields(["first"]).await.unwrap_err();
    assert_eq!((refused.kind(), refused.field_name()), (ErrorKind::Configuration, Some("last")));
    assert!(people.find(Person::by_full("acme", "ada", "byron")).exists().await.unwrap());
    people.update(&ada).fields(["first", "last"]).await.unwrap();
    assert!(people.find(Person::by_full("acme", "grace", "hopper")).exists().await.unwrap());
}

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(view_of = Member, context(app = "tests", tenant = self.tenant))]
struct MemberPhone {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    phone: Option<EncryptedStr>,
}

#[tokio::test]
async fn a_view_does_not_change_the_context() {
    let shop = shop().await;
    shop.members.put(&Member::new("1", "ada@example.com")).await.unwrap();
    let phones = DynamoTable::<MemberPhone>::named(&shop.client, &shop.cryptor, &shop.name);
    let mut phone = phones.get("1").await.unwrap();
    phone.phone = Some(EncryptedStr::new("1"));
    phones.update(&phone).await.unwrap();
    phone.tenant = "other".into();
    phone.phone = None;
    assert_eq!(phones.update(&phone).await.unwrap_err().kind(), ErrorKind::Conflict);
    let member = shop.members.get("1").decrypt_pii().await.unwrap();
    assert_eq!(member.phone.unwrap().expose().unwrap(), "1");
}
