//! Every type that can be sealed, in a model and in a table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use pii::{
    Cryptor, Encrypted, EncryptedStr, ErrorKind, FieldPolicies, Json, PiiEnum, PiiModel, PlaintextPolicy,
    SqlTable, TestKeyring, ValueState, ctx,
};
use rust_decimal::Decimal;
use uuid::Uuid;

#[derive(PiiEnum, Debug, Clone, Copy, PartialEq)]
enum Status {
    #[pii(name = "active", was = "live")]
    Active,
    Suspended,
}

#[derive(PiiModel, Clone)]
#[pii(name = "person", table = "people", context(app = "tests"), from_row)]
struct Person {
    #[pii(id)]
    id: i64,
    salary: Encrypted<i64>,
    is_vip: Encrypted<bool>,
    score: Option<Encrypted<f64>>,
    photo: Encrypted<Vec<u8>>,
    reference: Encrypted<Uuid>,
    birthday: Encrypted<NaiveDate>,
    seen: Encrypted<DateTime<Utc>>,
    joined: Encrypted<time::Date>,
    called: Encrypted<jiff::Timestamp>,
    balance: Encrypted<Decimal>,
    status: Encrypted<Status>,
    #[pii(pad = 32)]
    name: EncryptedStr,
    notes: Encrypted<Json<Vec<u32>>>,
    #[pii(pad = 16)]
    phones: Vec<EncryptedStr>,
    marks: BTreeMap<String, Encrypted<u8>>,
}

const PEOPLE: &str = "create table people (id bigint primary key, salary text, is_vip text, score text, photo text, \
     reference text, birthday text, seen text, joined text, called text, balance text, status text, name text, \
     notes text, phones text, marks text)";

fn person() -> Person {
    Person {
        id: 1,
        salary: Encrypted::new(52_000),
        is_vip: Encrypted::new(true),
        score: None,
        photo: Encrypted::new([0, 255]),
        reference: Encrypted::new(Uuid::from_u128(7)),
        birthday: Encrypted::from_value(NaiveDate::from_ymd_opt(1815, 12, 10).unwrap()).unwrap(),
        seen: Encrypted::from_value("2026-02-03T04:05:06.789Z".parse::<DateTime<Utc>>().unwrap()).unwrap(),
        joined: Encrypted::from_value(time::macros::date!(2020 - 02 - 29)).unwrap(),
        called: Encrypted::from_value("1969-12-31T23:59:59.5Z".parse::<jiff::Timestamp>().unwrap()).unwrap(),
        balance: Encrypted::new("-12.50".parse::<Decimal>().unwrap()),
        status: Encrypted::new(Status::Active),
        name: EncryptedStr::new("Ada"),
        notes: Encrypted::json(&vec![1, 2]).unwrap(),
        phones: vec![EncryptedStr::new(""), EncryptedStr::new("+44 20")],
        marks: BTreeMap::from([("math".to_owned(), Encrypted::new(1))]),
    }
}

fn check(person: &Person) {
    assert_eq!(person.salary.expose().unwrap(), 52_000);
    assert!(person.is_vip.expose().unwrap());
    assert!(person.score.is_none());
    assert_eq!(person.photo.expose().unwrap(), [0, 255]);
    assert_eq!(person.reference.expose().unwrap(), Uuid::from_u128(7));
    assert_eq!(person.birthday.expose().unwrap().to_string(), "1815-12-10");
    assert_eq!(person.seen.expose().unwrap().to_rfc3339(), "2026-02-03T04:05:06.789+00:00");
    assert_eq!(person.joined.expose().unwrap().to_string(), "2020-02-29");
    assert_eq!(person.called.expose().unwrap().to_string(), "1969-12-31T23:59:59.5Z");
    assert_eq!(person.balance.expose().unwrap().to_string(), "-12.50");
    assert_eq!(person.status.expose().unwrap(), Status::Active);
    assert_eq!(person.name.expose().unwrap(), "Ada");
    assert_eq!(person.notes.expose().unwrap(), [1, 2]);
    assert_eq!(person.phones[1].expose().unwrap(), "+44 20");
    assert_eq!(person.marks["math"].expose().unwrap(), 1);
}

fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

#[tokio::test]
async fn every_type_comes_back_from_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.path().join("test.db"))
        .create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(PEOPLE).execute(&pool).await.unwrap();
    let cryptor = cryptor();
    let people = SqlTable::<Person, _>::new(&pool, &cryptor);
    people.insert(&person()).await.unwrap();
    let sealed = people.get(1).await.unwrap();
    assert_eq!(sealed.salary.state(), ValueState::Sealed);
    assert!(sealed.salary.expose().is_err());
    people.update(&sealed).await.unwrap();
    let opened = people.get(1).decrypt_pii().await.unwrap();
    check(&opened);
    let shown = format!("{opened:?}");
    assert!(!shown.contains("52000") && !shown.contains("1815") && !shown.contains("Active"), "{shown}");
    let missing: Option<String> =
        sqlx::query_scalar("select score from people").fetch_one(&pool).await.unwrap();
    assert_eq!(missing, None);
}

/// The same person, as a program has it that takes the types for others.
#[derive(PiiModel)]
#[pii(name = "person", context(app = "tests"))]
struct Mistaken {
    #[pii(id)]
    id: i64,
    salary: EncryptedStr,
    is_vip: Encrypted<i64>,
}

#[derive(PiiModel)]
#[pii(name = "person", context(app = "tests"))]
struct Narrow {
    #[pii(id)]
    id: i64,
    salary: Encrypted<i16>,
}

fn stored<T>(value: &Encrypted<T>) -> String {
    value.stored_text().unwrap().to_string()
}

#[tokio::test]
async fn a_value_of_another_type_does_not_open() {
    let cryptor = cryptor();
    let mut people = [person()];
    cryptor.seal(&mut people).await.unwrap();
    let mistaken = Mistaken {
        id: 1,
        salary: EncryptedStr::from_stored(stored(&people[0].salary)),
        is_vip: Encrypted::from_stored(stored(&people[0].is_vip)),
    };
    let mut mistaken = [mistaken];
    let error = cryptor.open(&mut mistaken).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("salary")));
    assert_eq!(stored(&mistaken[0].is_vip), stored(&people[0].is_vip));
}

#[tokio::test]
async fn a_number_that_is_too_large_for_the_program_is_kept() {
    let cryptor = cryptor();
    let mut people = [person()];
    cryptor.seal(&mut people).await.unwrap();
    let mut narrow = [Narrow { id: 1, salary: Encrypted::from_stored(stored(&people[0].salary)) }];
    cryptor.open(&mut narrow).await.unwrap();
    let error = narrow[0].salary.expose().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(!format!("{error:?}").contains("52000"));
    assert_eq!(stored(&narrow[0].salary), stored(&people[0].salary));
}

#[tokio::test]
async fn scalars_and_padded_texts_do_not_show_their_length() {
    let cryptor = cryptor();
    let mut short = person();
    short.salary.set(0);
    short.name.set("");
    short.balance.set(Decimal::ZERO);
    let mut people = [person(), short];
    people[1].id = 2;
    cryptor.seal(&mut people).await.unwrap();
    let lengths = |person: &Person| {
        [
            stored(&person.salary).len(),
            stored(&person.balance).len(),
            stored(&person.name).len(),
            stored(&person.phones[0]).len(),
        ]
    };
    assert_eq!(lengths(&people[0]), lengths(&people[1]));
    assert_eq!(stored(&people[0].phones[0]).len(), stored(&people[0].phones[1]).len());
    people[0].name.set("a name that is longer than twenty-eight bytes");
    cryptor.seal(&mut people).await.unwrap();
    assert!(stored(&people[0].name).len() > stored(&people[1].name).len());
}

macro_rules! named {
    ($model:ident, $(#[$attribute:meta])*) => {
        #[derive(PiiModel)]
        #[pii(name = "named", context(app = "tests"))]
        struct $model {
            #[pii(id)]
            id: i64,
            $(#[$attribute])*
            name: EncryptedStr,
        }
    };
}
named!(Named,);
named!(Padded, #[pii(pad = 32, was_unpadded)]);
named!(PaddedAlways, #[pii(pad = 32)]);
named!(PaddedOtherwise, #[pii(pad = 100)]);
named!(PaddedNoMore, #[pii(pad = 1)]);

#[tokio::test]
async fn padding_can_be_turned_on_changed_and_off() {
    let cryptor = cryptor();
    let mut plain = [Named { id: 1, name: EncryptedStr::new("Ada") }];
    cryptor.seal(&mut plain).await.unwrap();
    let mut padded = [Padded { id: 1, name: EncryptedStr::from_stored(stored(&plain[0].name)) }];
    cryptor.open(&mut padded).await.unwrap();
    assert_eq!(padded[0].name.expose().unwrap(), "Ada");
    padded[0].name.reseal().unwrap();
    cryptor.seal(&mut padded).await.unwrap();
    let mut otherwise = [PaddedOtherwise { id: 1, name: EncryptedStr::from_stored(stored(&padded[0].name)) }];
    cryptor.open(&mut otherwise).await.unwrap();
    assert_eq!(otherwise[0].name.expose().unwrap(), "Ada");
    let mut no_more = [PaddedNoMore { id: 1, name: EncryptedStr::from_stored(stored(&padded[0].name)) }];
    cryptor.open(&mut no_more).await.unwrap();
    assert_eq!(no_more[0].name.expose().unwrap(), "Ada");
    // what is not declared is not tried
    let mut always = [PaddedAlways { id: 1, name: EncryptedStr::from_stored(stored(&plain[0].name)) }];
    assert_eq!(cryptor.open(&mut always).await.unwrap_err().kind(), ErrorKind::Integrity);
    // without `pad` a padded value is of another type
    let mut unaware = [Named { id: 1, name: EncryptedStr::from_stored(stored(&padded[0].name)) }];
    assert_eq!(cryptor.open(&mut unaware).await.unwrap_err().kind(), ErrorKind::Integrity);
    // and a value of another row stays one
    let mut moved = [Padded { id: 2, name: EncryptedStr::from_stored(stored(&plain[0].name)) }];
    assert_eq!(cryptor.open(&mut moved).await.unwrap_err().kind(), ErrorKind::Integrity);
}

macro_rules! states {
    ($model:ident, $(#[$attribute:meta])*) => {
        #[derive(PiiModel)]
        #[pii(name = "state", context(app = "tests"))]
        struct $model {
            #[pii(id)]
            id: i64,
            $(#[$attribute])*
            status: Encrypted<Status>,
            $(#[$attribute])*
            earlier: Vec<Option<Encrypted<Status>>>,
        }

        impl $model {
            fn new(status: Status) -> Self {
                Self { id: 1, status: Encrypted::new(status), earlier: vec![Some(Encrypted::new(status))] }
            }
        }
    };
}
states!(State,);
states!(Roomy, #[pii(pad = 64)]);
states!(Telling, #[pii(pad = 1)]);

#[tokio::test]
async fn the_length_does_not_tell_the_variant_of_an_enum() {
    assert_eq!(State::MODEL.field("status").unwrap().pad(), Some(13), "4 bytes and `Suspended`");
    let cryptor = cryptor();
    let mut states = [State::new(Status::Active), State::new(Status::Suspended)];
    cryptor.seal(&mut states).await.unwrap();
    let lengths = states.iter().map(|state| {
        let inner = state.earlier[0].as_ref().unwrap();
        (stored(&state.status).len(), stored(inner).len())
    });
    let lengths: Vec<_> = lengths.collect();
    assert_eq!(lengths[0], lengths[1]);
    let status = State::MODEL.field("status").unwrap();
    assert_eq!(cryptor.sealed_chars(status, "Suspended".len()), lengths[0].0);

    let mut telling = [Telling::new(Status::Active), Telling::new(Status::Suspended)];
    cryptor.seal(&mut telling).await.unwrap();
    assert_ne!(stored(&telling[0].status).len(), stored(&telling[1].status).len());

    // the bucket is no part of what is stored
    let text = stored(&states[1].status);
    let mut roomy = [Roomy { status: Encrypted::from_stored(text), ..Roomy::new(Status::Active) }];
    roomy[0].earlier.clear();
    cryptor.open(&mut roomy).await.unwrap();
    assert_eq!(roomy[0].status.expose().unwrap(), Status::Suspended);
}

#[tokio::test]
async fn stored_plaintext_is_accepted_as_a_value_of_the_type() {
    let policies = FieldPolicies::new();
    let cryptor = cryptor().with_policies(&policies);
    for field in ["salary", "is_vip", "birthday", "status", "balance"] {
        policies.set("person", field, PlaintextPolicy::AcceptAndSeal);
    }
    let mut people = [person()];
    people[0].salary = Encrypted::from_stored("52000");
    people[0].is_vip = Encrypted::from_stored("t");
    people[0].birthday = Encrypted::from_stored("1815-12-10");
    people[0].status = Encrypted::from_stored("live");
    people[0].balance = Encrypted::from_stored("-12.50");
    cryptor.open(&mut people).await.unwrap();
    check(&people[0]);
    cryptor.seal(&mut people).await.unwrap();
    assert!(stored(&people[0].salary).starts_with("ENC:"));
    check(&people[0]);
    for text in ["52000 EUR", "abcdefghijklmnop", ""] {
        people[0].salary = Encrypted::from_stored(text);
        let error = cryptor.open(&mut people).await.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Malformed, Some("salary")));
        assert!(text.is_empty() || !format!("{error:?}").contains(text));
    }
}

#[tokio::test]
async fn under_prepare_a_value_is_stored_as_its_text() {
    let policies = FieldPolicies::new();
    let cryptor = cryptor().with_policies(&policies);
    for field in ["salary", "is_vip", "birthday", "status"] {
        policies.set("person", field, PlaintextPolicy::Prepare);
    }
    let texts = cryptor.seal_texts([&person()]).await.unwrap().remove(0);
    let texts: Vec<String> = texts.map(String::from).collect();
    assert_eq!((texts[0].as_str(), texts[1].as_str(), texts[4].as_str()), ("52000", "true", "1815-12-10"));
    assert!(texts.contains(&"active".to_owned()));
}

#[test]
fn a_date_of_one_crate_is_a_date_of_another() {
    let chrono = Encrypted::from_value(NaiveDate::from_ymd_opt(2024, 2, 29).unwrap()).unwrap();
    let jiff = Encrypted::from_value(jiff::civil::date(2024, 2, 29)).unwrap();
    let time = Encrypted::from_value(time::macros::date!(2024 - 02 - 29)).unwrap();
    assert_eq!(chrono.expose().unwrap().to_string(), jiff.expose().unwrap().to_string());
    assert_eq!(time.expose().unwrap().to_string(), "2024-02-29");
}

#[test]
fn variants_have_stable_names() {
    assert_eq!(Status::NAMES, ["active", "Suspended"]);
    assert_eq!(Status::from_name("live"), Some(Status::Active));
    assert_eq!(Status::from_name("lost"), None);
    assert_eq!(PiiEnum::name(&Status::Suspended), "Suspended");
}

#[tokio::test]
async fn a_scope_holds_for_every_type() {
    let cryptor = cryptor().scoped(ctx!(app = "other"));
    assert_eq!(cryptor.seal(&mut [person()]).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
}
