//! What `#[derive(PiiModel)]` makes of a struct.
#![deny(unused_qualifications, unused_results, unused_lifetimes, single_use_lifetimes)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing unwrap is a failing test")]

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex},
};

use futures_core::future::BoxFuture;
use pii::{
    Ciphertext, ContextValue, Cryptor, CryptorBackend, Encrypted, EncryptedStr, Error, ErrorKind, FieldRole,
    Holds, Json, Level, Mode, OpenItem, PiiField, PiiModel, PlaintextPolicy, Result, RowBinding, RowId,
    SealItem, SecretBytes, SqlModel, SqlTable, TestKeyring, TypeCode,
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Sqlite, SqlitePool};

type Email = EncryptedStr;

fn initials(text: &str) -> String {
    text.split_whitespace().filter_map(|word| word.chars().next()).collect()
}

/// Every attribute at work.
#[derive(PiiModel, Serialize)]
#[pii(
    name = "customer",
    was = "client",
    table = "customers",
    context(tenant = self.tenant, app = "billing", "data-region" = self.region.trim())
)]
pub struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    region: String,
    #[pii(level = 1, mask = "name", column = "full_name")]
    name: String,
    #[pii(level = 1)]
    birth_year: u16,
    #[pii(level = 1, mask = initials)]
    nickname: Option<String>,
    #[pii(name = "mail", was("e_mail", "electronic_mail"), mask = "email")]
    #[serde(rename = "email_address")]
    email: EncryptedStr,
    #[pii]
    backup_email: Option<Email>,
    #[pii(mode = "WriteOnly", mask = "last4", keyring = "high")]
    ssn: Option<Box<EncryptedStr>>,
    #[pii(plaintext = "accept_and_seal")]
    phones: Vec<EncryptedStr>,
    answers: BTreeMap<String, EncryptedStr>,
    preferences: Encrypted<Json<Vec<String>>>,
    #[pii(nested)]
    address: Address,
    #[pii(nested)]
    former_addresses: Option<Vec<Address>>,
    r#type: String,
    #[pii(version)]
    version: i64,
    #[pii(skip)]
    #[serde(skip)]
    cache: Option<NoDebug>,
}

/// A nested struct.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(nested, plaintext = "accept_and_seal")]
pub struct Address {
    #[pii(mask = "first")]
    street: EncryptedStr,
    #[pii(level = 1)]
    city: String,
    country: String,
}

/// A type that nothing is implemented for.
struct NoDebug;

fn address(street: &str) -> Address {
    Address { street: EncryptedStr::new(street), city: "London".into(), country: "GB".into() }
}

fn ada() -> Customer {
    Customer {
        id: 7,
        tenant: "acme".into(),
        region: " eu ".into(),
        name: "Ada Lovelace".into(),
        birth_year: 1815,
        nickname: Some("The Enchantress".into()),
        email: EncryptedStr::new("ada@example.com"),
        backup_email: Some(EncryptedStr::new("lovelace@example.org")),
        ssn: Some(Box::new(EncryptedStr::new("900-12-3456"))),
        phones: vec![EncryptedStr::new("555-0100"), EncryptedStr::new("555-0101")],
        answers: BTreeMap::from([("pet".into(), EncryptedStr::new("Puff"))]),
        preferences: Encrypted::json(&vec!["vegetarian".into()]).unwrap(),
        address: address("12 St James's Square"),
        former_addresses: Some(vec![address("Kirkby Hall")]),
        r#type: "private".into(),
        version: 3,
        cache: Some(NoDebug),
    }
}

/// A backend that notes the places it is asked for.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl CryptorBackend for Recorder {
    fn seal<'a>(&'a self, batch: &'a [SealItem<'a>]) -> BoxFuture<'a, Result<Vec<Ciphertext>>> {
        let places = batch.iter().map(|item| {
            let context: Vec<String> =
                item.place.context().pairs().map(|(name, value)| format!("{name}={value}")).collect();
            let row = item.place.row().unwrap_or_else(|| "no row".into());
            format!("{} of {row} in {}", item.place.field_path(), context.join(","))
        });
        self.0.lock().unwrap().extend(places);
        Box::pin(async { Err(Error::new(ErrorKind::KeyUnavailable)) })
    }

    fn open<'a>(&'a self, _: &'a [OpenItem<'a>]) -> BoxFuture<'a, Result<Vec<Result<SecretBytes>>>> {
        Box::pin(async { Err(Error::new(ErrorKind::KeyUnavailable)) })
    }
}

/// The places of a model's values, in the order in which it visits them.
async fn places<M: PiiModel>(model: &M) -> Vec<String> {
    let recorder = Recorder::default();
    let refused = Cryptor::from_backend(recorder.clone()).seal_texts([model]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    std::mem::take(&mut *recorder.0.lock().unwrap())
}

fn field<M: PiiModel>(name: &str) -> pii::FieldSpec {
    *M::MODEL.field(name).unwrap()
}

#[tokio::test]
async fn values_are_visited_in_order_and_bound_to_context_and_row() {
    let expected = [
        "mail",
        "backup_email",
        "ssn",
        "phones[]",
        "phones[]",
        "answers[]",
        "preferences",
        "address.street",
        "former_addresses[].street",
    ];
    let expected = expected.map(|path| format!("{path} of 7 in app=billing,data-region=eu,tenant=acme"));
    assert_eq!(places(&ada()).await, expected);
}

#[tokio::test]
async fn both_visitors_go_the_same_way() {
    let cryptor = Cryptor::envelope()
        .keyring(TestKeyring::new())
        .named_keyring("high", TestKeyring::new())
        .build()
        .unwrap();
    let mut models = [ada()];
    cryptor.seal(&mut models).await.unwrap();
    let [sealed] = &models;
    let stored = |value: &EncryptedStr| value.ciphertext().is_some();
    assert!(stored(&sealed.email) && sealed.phones.iter().all(stored) && stored(&sealed.address.street));
    cryptor.open(&mut models).await.unwrap();
    let [opened] = &models;
    assert_eq!(opened.email.expose().unwrap(), "ada@example.com");
    assert_eq!(opened.phones[1].expose().unwrap(), "555-0101");
    assert_eq!(opened.answers["pet"].expose().unwrap(), "Puff");
    assert_eq!(opened.preferences.expose().unwrap(), ["vegetarian"]);
    assert_eq!(opened.former_addresses.as_ref().unwrap()[0].street.expose().unwrap(), "Kirkby Hall");
}

#[test]
fn the_specification_lists_all_fields_but_skipped_ones() {
    let model = Customer::MODEL;
    assert_eq!((model.name(), model.was(), model.table()), ("customer", &["client"][..], Some("customers")));
    assert_eq!(model.binding(), RowBinding::Row);
    let context: Vec<_> = model.context().iter().map(|part| (part.name, part.literal)).collect();
    assert_eq!(context, [("app", Some("billing")), ("data-region", None), ("tenant", None)]);
    let columns: Vec<&str> = model.fields().iter().map(pii::FieldSpec::column).collect();
    let expected = [
        "id",
        "tenant",
        "region",
        "full_name",
        "birth_year",
        "nickname",
        "email_address",
        "backup_email",
        "ssn",
        "phones",
        "answers",
        "preferences",
        "address",
        "former_addresses",
        "type",
        "version",
    ];
    assert_eq!(columns, expected);
    let in_context = model.fields().iter().filter(|field| field.is_in_context());
    assert_eq!(in_context.map(pii::FieldSpec::name).collect::<Vec<_>>(), ["tenant", "region"]);
}

#[test]
fn attributes_become_facts() {
    let mail = field::<Customer>("mail");
    assert_eq!((mail.level(), mail.was()), (Level::Two, &["e_mail", "electronic_mail"][..]));
    let ssn = field::<Customer>("ssn");
    assert_eq!((ssn.mode(), ssn.keyring(), ssn.mask().name()), (Mode::WriteOnly, Some("high"), "last4"));
    assert_eq!(field::<Customer>("phones").plaintext(), PlaintextPolicy::AcceptAndSeal);
    assert_eq!(field::<Customer>("backup_email").plaintext(), PlaintextPolicy::Reject);
    assert_eq!(
        (field::<Customer>("id").role(), field::<Customer>("version").role()),
        (FieldRole::Id, FieldRole::Version)
    );
    assert!(matches!(field::<Customer>("preferences").holds(), Holds::Value(code) if code == TypeCode::JSON));
    assert!(matches!(field::<Customer>("phones").holds(), Holds::Values(code) if code == TypeCode::UTF8));
    assert!(
        matches!(field::<Customer>("former_addresses").holds(), Holds::NestedMany(fields) if fields.len() == 3)
    );
    assert!(!field::<Customer>("tenant").is_personal() && field::<Customer>("name").is_personal());
}

/// An item whose key has two parts, with serde's names.
#[derive(PiiModel, serde::Serialize)]
#[pii(name = "visit")]
#[serde(rename_all = "camelCase")]
struct Visit {
    #[pii(partition_key)]
    customer_id: String,
    #[pii(sort_key, column = "on_day")]
    visit_day: String,
    #[pii(column = "doctors_note")]
    doctor_note: EncryptedStr,
    #[serde(rename(serialize = "NEXT"))]
    next_visit: Option<EncryptedStr>,
}

#[test]
fn an_item_has_a_key_of_two_parts_and_the_names_of_serde() {
    let roles: Vec<FieldRole> = Visit::MODEL.fields().iter().map(pii::FieldSpec::role).collect();
    assert_eq!(roles, [FieldRole::PartitionKey, FieldRole::SortKey, FieldRole::Data, FieldRole::Data]);
    let attributes: Vec<&str> = Visit::MODEL.fields().iter().map(pii::FieldSpec::attribute).collect();
    assert_eq!(attributes, ["customerId", "visitDay", "doctorNote", "NEXT"]);
    let columns: Vec<&str> = Visit::MODEL.fields().iter().map(pii::FieldSpec::column).collect();
    assert_eq!(columns, ["customer_id", "on_day", "doctors_note", "next_visit"]);
    let mut row = pii::RowWriter::default();
    let visit = Visit {
        customer_id: "c-1".into(),
        visit_day: "2026-02-03".into(),
        doctor_note: EncryptedStr::new("fine"),
        next_visit: None,
    };
    visit.write_row(&mut row);
    assert_eq!(row.to_string(), "c-1/2026-02-03");
}

#[test]
fn personal_fields_are_listed_with_their_paths() {
    let paths: Vec<String> = Customer::pii_fields().into_iter().map(|field| field.path).collect();
    let expected = [
        "name",
        "birth_year",
        "nickname",
        "mail",
        "backup_email",
        "ssn",
        "phones",
        "answers",
        "preferences",
        "address.street",
        "address.city",
        "former_addresses.street",
        "former_addresses.city",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn defaults_of_the_struct_reach_its_sealed_fields_only() {
    let nested = Customer::MODEL.field("address").and_then(|field| field.holds().nested()).unwrap();
    let policies: Vec<_> = nested.iter().map(|field| (field.name(), field.plaintext())).collect();
    assert_eq!(
        policies,
        [
            ("street", PlaintextPolicy::AcceptAndSeal),
            ("city", PlaintextPolicy::Reject),
            ("country", PlaintextPolicy::Reject)
        ]
    );
}

#[test]
fn debug_masks_what_is_personal_and_hides_the_context() {
    assert_eq!(
        format!("{:?}", ada()),
        "Customer { id: 7, tenant: <context>, region: <context>, name: A**** L****, birth_year: *****, \
         nickname: Some(TE), email: <plain a****@example.com>, backup_email: Some(<plain *****>), \
         ssn: Some(<plain *****3456>), phones: [<plain *****>, <plain *****>], \
         answers: {*****: <plain *****>}, preferences: <plain *****>, \
         address: Address { street: <plain 1****>, city: *****, country: \"GB\" }, \
         former_addresses: Some([Address { street: <plain K****>, city: *****, country: \"GB\" }]), \
         type: \"private\", version: 3, .. }"
    );
}

#[test]
fn debug_shows_absence() {
    let customer = Customer { nickname: None, ssn: None, former_addresses: None, ..ada() };
    assert!(customer.cache.is_some());
    let shown = format!("{customer:?}");
    assert!(
        shown.contains("nickname: None")
            && shown.contains("ssn: None")
            && shown.contains("former_addresses: None")
    );
}

/// Its author writes `Debug`.
#[derive(PiiModel)]
#[pii(name = "account", debug = "manual", bind = "field")]
pub struct Account {
    iban: EncryptedStr,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an account")
    }
}

#[tokio::test]
async fn without_an_id_values_are_bound_to_the_field() {
    let account = Account { iban: EncryptedStr::new("GB33BUKB20201555555555") };
    assert_eq!(format!("{account:?}"), "an account");
    assert_eq!(Account::MODEL.binding(), RowBinding::Field);
    assert_eq!(places(&account).await, ["iban of no row in "]);
}

/// An id that the database makes up.
#[derive(PiiModel)]
#[pii(name = "order", table = "orders", from_row)]
pub struct Order {
    #[pii(id, bind = "field")]
    id: Option<i64>,
    note: EncryptedStr,
    phones: HashMap<String, EncryptedStr>,
    tags: Option<Vec<EncryptedStr>>,
    #[pii(nested)]
    address: Option<Address>,
    #[pii(version)]
    version: i32,
    #[pii(skip)]
    cache: Vec<u8>,
}

#[tokio::test]
async fn a_row_goes_into_a_table_and_comes_back() {
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let table = "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, phones TEXT, tags TEXT, address TEXT, version INTEGER)";
    sqlx::query(table).execute(&pool).await.map(drop).unwrap();
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap();
    let orders = SqlTable::<Order, _>::new(&pool, &cryptor);
    let order = Order {
        id: None,
        note: EncryptedStr::new("ring twice"),
        phones: HashMap::from([("home".into(), EncryptedStr::new("555-0100"))]),
        tags: None,
        address: Some(address("Kirkby Hall")),
        version: 1,
        cache: vec![1],
    };
    let id = orders.insert(&order).returning_id().await.unwrap();
    let loaded = orders.get(id).decrypt_pii().await.unwrap();
    assert_eq!((loaded.id, loaded.version, loaded.cache.len()), (Some(id), 1, 0));
    assert_eq!(loaded.note.expose().unwrap(), "ring twice");
    assert_eq!(loaded.phones["home"].expose().unwrap(), "555-0100");
    assert_eq!(loaded.address.unwrap().street.expose().unwrap(), "Kirkby Hall");
    assert!(loaded.tags.is_none());
}

#[tokio::test]
async fn a_json_column_that_does_not_fit_is_an_error_without_its_text() {
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    for (phones, expected) in [("'{\"home\": 555}'", "does not fit"), ("NULL", "not optional")] {
        let query = format!(
            "SELECT 1 AS id, 'x' AS note, {phones} AS phones, NULL AS tags, NULL AS address, 1 AS version"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(&pool).await.unwrap();
        let error = Order::from_row(&row).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(expected), "{source}");
        assert!(!format!("{error} {error:?}").contains("555"));
    }
}

#[test]
fn columns_are_those_of_the_fields() {
    let columns: Vec<String> = <Order as SqlModel<Sqlite>>::COLUMNS
        .iter()
        .map(|column| format!("{} {:?}", column.name, column.kind))
        .collect();
    let expected = [
        "id GeneratedId",
        "note Sealed",
        "phones SealedJson",
        "tags SealedJson",
        "address SealedJson",
        "version Version",
    ];
    assert_eq!(columns, expected);
}

/// Newtypes as ids and in contexts; a composite id.
#[derive(Debug, Clone, RowId, ContextValue, sqlx::Type)]
#[sqlx(transparent)]
pub struct TenantId(String);

/// A newtype with a name for its field, and a parameter.
#[derive(Debug, Clone, RowId)]
pub struct Number<T> {
    number: T,
}

/// A generic model.
#[derive(PiiModel)]
#[pii(name = "note", context(tenant = self.tenant))]
pub struct Note<N, T>
where
    T: Clone,
{
    #[pii(id)]
    tenant: TenantId,
    #[pii(id)]
    number: Number<N>,
    body: Encrypted<Json<T>>,
    other: Option<T>,
}

#[tokio::test]
async fn generic_models_and_composite_ids_of_newtypes_work() {
    let note = Note {
        tenant: TenantId("acme".into()),
        number: Number { number: 5_u32 },
        body: Encrypted::json(&vec![1, 2]).unwrap(),
        other: Some(vec![3]),
    };
    assert_eq!(places(&note).await, ["body of acme/5 in tenant=acme"]);
    assert_eq!(
        format!("{note:?}"),
        "Note { tenant: <context>, number: Number { number: 5 }, body: <plain *****>, other: Some([3]) }"
    );
}

/// A model that borrows, made by a macro, in a crate with another name for `pii`.
macro_rules! borrowed {
    ($name:ident, $ty:ty, $field:ident) => {
        #[allow(missing_docs)]
        #[derive(PiiModel)]
        #[pii(crate = ::pii, name = "session", context(tenant = self.$field))]
        pub struct $name<'a> {
            #[pii(id)]
            id: $ty,
            $field: &'a str,
            token: EncryptedStr,
        }
    };
}
borrowed!(Session, u64, tenant);

#[tokio::test]
async fn models_may_borrow_and_come_from_macros() {
    let session = Session { id: 9, tenant: "acme", token: EncryptedStr::new("t") };
    assert_eq!(places(&session).await, ["token of 9 in tenant=acme"]);
}

mod elsewhere {
    //! Where `pii` is found under another path.
    pub(crate) use pii as data_protection;
}

/// A renamed crate, and fields that no database and no serializer knows.
#[derive(elsewhere::data_protection::PiiModel)]
#[pii(crate = elsewhere::data_protection, name = "opaque")]
pub struct Opaque {
    #[pii(id)]
    id: Unstorable,
    #[pii(nested)]
    secret: Secret,
}

/// No database knows it.
#[derive(Debug, RowId)]
pub struct Unstorable(u8);

/// It is nested, but cannot be serialised.
#[derive(PiiModel)]
#[pii(nested)]
pub struct Secret {
    word: EncryptedStr,
}

#[tokio::test]
async fn a_model_that_fits_no_table_is_a_model_nevertheless() {
    let opaque = Opaque { id: Unstorable(1), secret: Secret { word: EncryptedStr::new("x") } };
    assert_eq!(places(&opaque).await, ["secret.word of 1 in "]);
}

/// Columns of its own, some of which no database knows.
#[derive(PiiModel)]
#[pii(nested)]
pub struct Parcel<T> {
    size: Unstorable,
    weight: Option<Unstorable>,
    label: T,
    word: EncryptedStr,
}

/// Defines no table.
#[derive(PiiModel)]
#[pii(name = "shipment", bind = "field")]
pub struct Shipment {
    #[pii(nested, prefix = "parcel_")]
    parcel: Parcel<Unstorable>,
    #[pii(nested, prefix = "back_")]
    back: Option<Parcel<()>>,
}

#[tokio::test]
async fn a_nested_struct_that_fits_no_table_is_one_nevertheless() {
    let parcel =
        Parcel { size: Unstorable(1), weight: None, label: Unstorable(2), word: EncryptedStr::new("x") };
    let back = Parcel { size: Unstorable(1), weight: None, label: (), word: EncryptedStr::new("y") };
    let shipment = Shipment { parcel, back: Some(back) };
    assert_eq!(places(&shipment).await, ["parcel.word of no row in ", "back.word of no row in "]);
}

/// A view.
#[derive(PiiModel)]
#[pii(view_of = Customer, context(tenant = self.tenant, app = "billing", "data-region" = self.region))]
pub struct CustomerContact {
    #[pii(id)]
    id: i64,
    tenant: String,
    region: String,
    #[pii(name = "mail", was("e_mail", "electronic_mail"), column = "email_address")]
    email: EncryptedStr,
    #[pii(nested)]
    address: Option<Street>,
}

/// A part of the nested struct.
#[derive(PiiModel, Serialize)]
#[pii(nested)]
pub struct Street {
    street: EncryptedStr,
}

#[tokio::test]
async fn a_view_has_the_names_of_its_model() {
    let contact = CustomerContact {
        id: 7,
        tenant: "acme".into(),
        region: "eu".into(),
        email: EncryptedStr::new("ada@example.com"),
        address: None,
    };
    let model = CustomerContact::MODEL;
    assert_eq!((model.name(), model.was(), model.table()), ("customer", &["client"][..], Some("customers")));
    assert_eq!(places(&contact).await, places(&ada()).await.into_iter().take(1).collect::<Vec<_>>());
}

#[test]
fn level_one_alone_needs_neither_name_nor_id() {
    /// Nothing is sealed here.
    #[derive(PiiModel)]
    struct Visitor {
        #[pii(level = 1, mask = "first")]
        name: std::borrow::Cow<'static, str>,
    }
    assert_eq!(Visitor::pii_fields().len(), 1);
    assert_eq!(format!("{:?}", Visitor { name: "Ada".into() }), "Visitor { name: A**** }");
}

#[test]
fn a_parameter_may_be_the_sealed_field() {
    /// What is sealed is up to the caller.
    #[derive(PiiModel)]
    #[pii(name = "wrapper")]
    struct Wrapper<T: PiiField> {
        #[pii(id)]
        id: i64,
        #[pii]
        value: Option<T>,
    }
    let wrapper = Wrapper { id: 1, value: Some(EncryptedStr::new("x")) };
    assert_eq!(format!("{wrapper:?}"), "Wrapper { id: 1, value: Some(<plain *****>) }");
    assert_eq!(Wrapper::<EncryptedStr>::pii_fields().len(), 1);
}
