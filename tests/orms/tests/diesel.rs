//! diesel on SQLite: one struct is the row of the table and the model.

use std::slice::from_mut;

use diesel::{
    Connection as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SelectableHelper as _, SqliteConnection,
    connection::SimpleConnection as _,
    prelude::{AsChangeset, Identifiable, Insertable, Queryable, Selectable},
    result::{DatabaseErrorKind, Error as DieselError},
    sqlite::Sqlite,
};
use pii::{
    Ciphertext, Cryptor, Encrypted, EncryptedStr, ErrorKind, IndexText, Json, PiiModel, TestKeyring,
    ValueState, blocking, ctx,
};

diesel::table! {
    customers {
        id -> BigInt,
        tenant -> Text,
        email -> Text,
        phone -> Nullable<Text>,
        birthday -> Text,
    }
}

#[derive(PiiModel, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[pii(name = "customer", context(tenant = self.tenant))]
#[diesel(table_name = customers, treat_none_as_null = true)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(mask = "email")]
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
    birthday: Encrypted<Json<(u16, u8, u8)>>,
}

impl Customer {
    fn new(id: i64) -> Self {
        Self {
            id,
            tenant: "acme".to_owned(),
            email: EncryptedStr::new(format!("ada{id}@example.com")),
            phone: Some(EncryptedStr::new("555-0100")),
            birthday: Encrypted::json(&(1815, 12, 10)).unwrap(),
        }
    }
}

/// The columns as they are stored, for programs that only pass them on.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = customers)]
struct Raw {
    id: i64,
    tenant: String,
    email: Ciphertext,
    phone: Option<Ciphertext>,
    birthday: Ciphertext,
}

fn database() -> SqliteConnection {
    let mut db = SqliteConnection::establish(":memory:").unwrap();
    db.batch_execute(
        "create table customers (id integer primary key, tenant text not null, email text not null, \
         phone text, birthday text not null)",
    )
    .unwrap();
    db
}

fn cryptor() -> blocking::Cryptor {
    blocking::Cryptor::new(Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap())
}

fn stored(db: &mut SqliteConnection, id: i64) -> (String, Option<String>) {
    customers::table.find(id).select((customers::email, customers::phone)).first(db).unwrap()
}

fn count(db: &mut SqliteConnection) -> i64 {
    customers::table.count().get_result(db).unwrap()
}

/// The error of a value that could not be written.
fn refusal(error: DieselError) -> pii::Error {
    match error {
        DieselError::SerializationError(error) => *error.downcast().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn rows_are_stored_sealed_loaded_sealed_and_opened_on_request() {
    let (mut db, cryptor) = (database(), cryptor());
    let mut all = [Customer::new(1), Customer::new(2)];
    all[1].phone = None;
    cryptor.seal(&mut all).unwrap();
    assert_eq!(diesel::insert_into(customers::table).values(&all[..]).execute(&mut db), Ok(2));

    let (email, phone) = stored(&mut db, 1);
    assert!(email.starts_with("ENC:") && phone.unwrap().starts_with("ENC:"));
    assert_eq!(stored(&mut db, 2).1, None);

    let mut loaded: Vec<Customer> =
        customers::table.select(Customer::as_select()).order(customers::id).load(&mut db).unwrap();
    assert_eq!(loaded[0].email.state(), ValueState::Sealed);
    assert_eq!(loaded[0].email.expose().unwrap_err().kind(), ErrorKind::State);
    cryptor.open(&mut loaded).unwrap();
    assert_eq!(loaded[0].email.expose().unwrap(), "ada1@example.com");
    assert_eq!(loaded[0].phone.as_ref().unwrap().expose().unwrap(), "555-0100");
    assert_eq!(loaded[1].birthday.expose().unwrap(), (1815, 12, 10));
    assert!(loaded[1].phone.is_none());
}

#[test]
fn an_unsealed_row_is_not_inserted() {
    let (mut db, cryptor) = (database(), cryptor());
    let mut ada = Customer::new(1);
    let error = diesel::insert_into(customers::table).values(&ada).execute(&mut db).unwrap_err();
    let query = diesel::insert_into(customers::table).values(&ada);
    let debugged = diesel::debug_query::<Sqlite, _>(&query).to_string();
    assert!(debugged.contains("<plain *****>"), "{debugged}");
    assert!(!format!("{error} {error:?} {debugged}").contains("ada1"));
    assert_eq!(refusal(error).kind(), ErrorKind::State);
    assert_eq!(count(&mut db), 0);

    cryptor.seal(from_mut(&mut ada)).unwrap();
    diesel::insert_into(customers::table).values(&ada).execute(&mut db).unwrap();
    assert_eq!(count(&mut db), 1);
}

#[test]
fn one_unsealed_row_of_many_stores_none() {
    let (mut db, cryptor) = (database(), cryptor());
    let mut all = [Customer::new(1), Customer::new(2)];
    cryptor.seal(&mut all[..1]).unwrap();
    // diesel may send the rows to SQLite one by one: only a transaction is all or none
    let error =
        db.transaction(|db| diesel::insert_into(customers::table).values(&all[..]).execute(db)).unwrap_err();
    assert_eq!(refusal(error).kind(), ErrorKind::State);
    assert_eq!(count(&mut db), 0);
}

#[test]
fn an_unsealed_change_is_not_stored() {
    let (mut db, cryptor) = (database(), cryptor());
    let mut ada = Customer::new(1);
    cryptor.seal(from_mut(&mut ada)).unwrap();
    diesel::insert_into(customers::table).values(&ada).execute(&mut db).unwrap();
    let before = stored(&mut db, 1);

    ada.phone = Some(EncryptedStr::new("555-0199"));
    let whole = diesel::update(&ada).set(&ada).execute(&mut db).unwrap_err();
    assert_eq!(refusal(whole).kind(), ErrorKind::State);
    let one = diesel::update(customers::table.find(1))
        .set(customers::phone.eq(ada.phone.as_ref()))
        .execute(&mut db)
        .unwrap_err();
    assert_eq!(refusal(one).kind(), ErrorKind::State);
    let found = customers::table.filter(customers::phone.eq(ada.phone.as_ref())).count();
    assert_eq!(refusal(found.get_result::<i64>(&mut db).unwrap_err()).kind(), ErrorKind::State);
    assert_eq!(stored(&mut db, 1), before);

    cryptor.seal(from_mut(&mut ada)).unwrap();
    diesel::update(&ada).set(&ada).execute(&mut db).unwrap();
    let after = stored(&mut db, 1);
    assert_eq!(after.0, before.0, "what was not changed is written back as it was");
    assert_ne!(after.1, before.1);

    ada.phone = None;
    diesel::update(&ada).set(&ada).execute(&mut db).unwrap();
    assert_eq!(stored(&mut db, 1).1, None);
}

#[test]
fn a_value_of_another_row_or_tenant_does_not_open() {
    let (mut db, cryptor) = (database(), cryptor());
    let mut all = [Customer::new(1), Customer::new(2)];
    cryptor.seal(&mut all).unwrap();
    diesel::insert_into(customers::table).values(&all[..]).execute(&mut db).unwrap();
    let load = |db: &mut SqliteConnection| {
        customers::table.find(2).select(Customer::as_select()).first::<Customer>(db).unwrap()
    };
    cryptor.open(from_mut(&mut load(&mut db))).unwrap();

    let own = stored(&mut db, 2).0;
    let others = stored(&mut db, 1).0;
    diesel::update(customers::table.find(2)).set(customers::email.eq(others)).execute(&mut db).unwrap();
    let error = cryptor.open(from_mut(&mut load(&mut db))).unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("email")));

    diesel::update(customers::table.find(2))
        .set((customers::email.eq(own), customers::tenant.eq("initech")))
        .execute(&mut db)
        .unwrap();
    assert!(cryptor.open(from_mut(&mut load(&mut db))).unwrap_err().is_integrity());
    let scoped = cryptor.scoped(ctx!(tenant = "acme"));
    assert_eq!(scoped.open(from_mut(&mut load(&mut db))).unwrap_err().kind(), ErrorKind::ContextMismatch);
}

#[test]
fn sealed_texts_are_passed_on_and_nothing_else_is_read_as_one() {
    let (mut db, cryptor) = (database(), cryptor());
    let mut ada = Customer::new(1);
    cryptor.seal(from_mut(&mut ada)).unwrap();
    diesel::insert_into(customers::table).values(&ada).execute(&mut db).unwrap();

    let raw: Raw = customers::table.find(1).select(Raw::as_select()).first(&mut db).unwrap();
    assert_eq!(&raw.email, ada.email.ciphertext().unwrap());
    diesel::delete(customers::table.find(1)).execute(&mut db).unwrap();
    diesel::insert_into(customers::table).values(&raw).execute(&mut db).unwrap();
    let mut again = customers::table.find(1).select(Customer::as_select()).first(&mut db).unwrap();
    cryptor.open(from_mut(&mut again)).unwrap();

    diesel::update(customers::table).set(customers::email.eq("ada@example.com")).execute(&mut db).unwrap();
    let refused = customers::table.find(1).select(Raw::as_select()).first::<Raw>(&mut db).unwrap_err();
    assert!(matches!(refused, DieselError::DeserializationError(_)), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("ada@"));
    let mut legacy = customers::table.find(1).select(Customer::as_select()).first(&mut db).unwrap();
    assert_eq!(cryptor.open(from_mut(&mut legacy)).unwrap_err().kind(), ErrorKind::NotEncrypted);
}

#[test]
fn null_is_an_error_where_the_field_is_not_optional() {
    let mut db = SqliteConnection::establish(":memory:").unwrap();
    db.batch_execute(
        "create table customers (id integer primary key, tenant text, email text, phone text, birthday text); \
         insert into customers values (1, 'acme', null, null, 'x')",
    )
    .unwrap();
    let row = customers::table.find(1).select(Customer::as_select()).first::<Customer>(&mut db);
    assert!(matches!(row, Err(DieselError::DeserializationError(_))));
    let none = customers::table.find(2).select(Customer::as_select()).first::<Customer>(&mut db);
    assert!(none.optional().unwrap().is_none());
}

#[test]
fn a_check_of_the_table_keeps_plaintext_out_of_every_program() {
    let mut db = SqliteConnection::establish(":memory:").unwrap();
    db.batch_execute(
        "create table customers (id integer primary key, tenant text, phone text, birthday text, \
         email text not null check (email like 'ENC:%'))",
    )
    .unwrap();
    let insert = |db: &mut SqliteConnection, text: &str| {
        diesel::insert_into(customers::table)
            .values((customers::id.eq(1), customers::email.eq(text)))
            .execute(db)
    };
    let refused = insert(&mut db, "ada@example.com").unwrap_err();
    assert!(matches!(refused, DieselError::DatabaseError(DatabaseErrorKind::CheckViolation, _)));
    let mut ada = Customer::new(1);
    cryptor().seal(from_mut(&mut ada)).unwrap();
    insert(&mut db, ada.email.stored_text().unwrap().as_str()).unwrap();
}

diesel::table! {
    logins {
        id -> BigInt,
        tenant -> Text,
        email -> Text,
        email_bidx -> Nullable<Text>,
    }
}

#[derive(PiiModel, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[pii(name = "login", context(tenant = self.tenant))]
#[diesel(table_name = logins)]
struct Login {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(blind_index(normalize = "email", unique))]
    email: EncryptedStr,
}

impl Login {
    fn new(id: i64, tenant: &str, email: &str) -> Self {
        Self { id, tenant: tenant.to_owned(), email: EncryptedStr::new(email) }
    }
}

fn code(cryptor: &blocking::Cryptor, login: &Login) -> Option<String> {
    let entries = cryptor.index_entries([login]).unwrap().remove(0);
    entries.iter().find(|entry| entry.version.column == "email_bidx").and_then(|entry| match &entry.text {
        IndexText::Text(text) => Some(text.to_string()),
        IndexText::Null | IndexText::Unchanged => None,
    })
}

fn find(db: &mut SqliteConnection, cryptor: &blocking::Cryptor, tenant: &str, email: &str) -> Vec<i64> {
    let terms = cryptor.index_terms(&Login::by_email(tenant, email)).unwrap();
    let texts = terms.iter().flat_map(|term| &term.texts).map(|text| &**text);
    let found = logins::table.filter(logins::email_bidx.eq_any(texts)).filter(logins::tenant.eq(tenant));
    let mut found: Vec<Login> = found.select(Login::as_select()).order(logins::id).load(db).unwrap();
    cryptor.open(&mut found).unwrap();
    found.iter().map(|login| login.id).collect()
}

#[test]
fn rows_are_saved_with_their_codes_and_found_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = pii::FileKeyStore::open(folder.path().join("keys")).unwrap();
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap();
    let cryptor = blocking::Cryptor::new(cryptor);
    let mut db = SqliteConnection::establish(":memory:").unwrap();
    db.batch_execute(
        "create table logins (id integer primary key, tenant text not null, email text not null, email_bidx text unique)",
    )
    .unwrap();
    let mut all = [
        Login::new(1, "acme", "Ada@example.com"),
        Login::new(2, "acme", "bob@example.com"),
        Login::new(3, "zeta", "ada@example.com"),
    ];
    cryptor.seal(&mut all).unwrap();
    for login in &all {
        let row = (login, logins::email_bidx.eq(code(&cryptor, login)));
        diesel::insert_into(logins::table).values(row).execute(&mut db).unwrap();
    }
    assert_eq!(find(&mut db, &cryptor, "acme", " ADA@example.com"), [1]);
    assert_eq!(find(&mut db, &cryptor, "zeta", "ada@example.com"), [3]);
    assert_eq!(find(&mut db, &cryptor, "acme", "eve@example.com"), [0_i64; 0]);

    let mut again = [Login::new(4, "acme", "ada@EXAMPLE.com")];
    cryptor.seal(&mut again).unwrap();
    let row = (&again[0], logins::email_bidx.eq(code(&cryptor, &again[0])));
    let error = diesel::insert_into(logins::table).values(row).execute(&mut db).unwrap_err();
    assert!(matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)), "{error}");

    let [mut ada, ..] = all;
    ada.email.set("countess@example.com");
    cryptor.seal(from_mut(&mut ada)).unwrap();
    let changes = (&ada, logins::email_bidx.eq(code(&cryptor, &ada)));
    diesel::update(&ada).set(changes).execute(&mut db).unwrap();
    assert_eq!(find(&mut db, &cryptor, "acme", "ada@example.com"), [0_i64; 0]);
    assert_eq!(find(&mut db, &cryptor, "acme", "countess@example.com"), [1]);
}
