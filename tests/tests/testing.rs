//! The help for tests fails where it must, and does not where it must not.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pii::{
    Cryptor, EncryptedStr, Error, ErrorKind, FileKeyStore, PiiModel, TestKeyring,
    testing::{DelayingKeyStore, FailingKeyStore, Person, assert_no_plaintext, assert_sealed},
};
use serde_json::json;

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: Option<EncryptedStr>,
    phones: Vec<EncryptedStr>,
}

fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

fn sealed_again(value: &EncryptedStr) -> EncryptedStr {
    EncryptedStr::from_ciphertext(value.stored_text().unwrap().clone())
}

/// As it comes from a database.
async fn loaded() -> Customer {
    let [person, other] = [Person::numbered(1), Person::numbered(2)];
    let mut rows = [Customer {
        id: 1,
        email: Some(EncryptedStr::new(person.email)),
        phones: vec![EncryptedStr::new(person.phone), EncryptedStr::new(other.phone)],
    }];
    cryptor().seal(&mut rows).await.unwrap();
    let [row] = rows;
    Customer {
        id: 1,
        email: row.email.as_ref().map(sealed_again),
        phones: row.phones.iter().map(sealed_again).collect(),
    }
}

/// The message of a failing assertion.
fn failure(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion must fail");
    *panic.downcast::<String>().expect("a message with values in it")
}

#[tokio::test]
async fn what_is_sealed_passes() {
    let row = loaded().await;
    let text = row.phones[0].ciphertext().unwrap().as_str();
    let document = json!({ "a": [text, text] });
    assert_sealed!(row, row.email, row.phones, &row, row.phones[1]);
    assert_sealed!(text, text.to_owned(), Some(text), [text, text], document["a"][0]);
    assert_sealed!(document["a"].as_array().unwrap());
}

#[tokio::test]
async fn what_is_not_sealed_or_not_there_fails_and_is_not_shown() {
    let plain = || EncryptedStr::new("ada@example.com");
    let (mut row, sealed) = (loaded().await, loaded().await);
    row.phones[1] = plain();
    let message = failure(|| assert_sealed!(sealed, row));
    assert_eq!(message, "expected `row` to be sealed: `customer.phones` is not");
    assert!(failure(|| assert_sealed!(row.phones)).contains("element 1"));
    assert!(failure(|| assert_sealed!(plain())).contains("Plain"));
    cryptor().open(std::slice::from_mut(&mut row)).await.unwrap();
    assert!(failure(|| assert_sealed!(row.phones[0])).contains("Opened"));
    let document = json!({ "email": "ada@example.com", "age": 36 });
    for message in [
        failure(|| assert_sealed!("ada@example.com")),
        failure(|| assert_sealed!("ENC:ada@example.com".to_owned())),
        failure(|| assert_sealed!(document["email"])),
    ] {
        let (_, why) = message.split_once("to be sealed: ").unwrap();
        assert!(!why.contains("ada"), "{why}");
    }
    failure(|| assert_sealed!(document["age"]));
    failure(|| assert_sealed!(document["missing"]));
    // nothing proves nothing
    failure(|| assert_sealed!(None::<EncryptedStr>));
    failure(|| assert_sealed!(Vec::<EncryptedStr>::new()));
    failure(|| assert_sealed!(Customer { id: 1, email: None, phones: Vec::new() }));
}

#[test]
fn plaintext_is_found_in_every_form_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inner/file.log");
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    let person = Person::numbered(13);
    let secret = "Ada \"O'Brien\" Žofie";
    let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let hidden = [
        secret.as_bytes().to_vec(),
        json!(secret).to_string().into_bytes(),
        utf16,
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        STANDARD.encode(secret).into_bytes(),
        STANDARD.encode(format!("x{secret}yz")).into_bytes(),
        STANDARD.encode(format!("{{\"{secret}\":1}}")).into_bytes(),
    ];
    let needles = || [person.email.as_str(), secret];
    for bytes in hidden {
        let bytes = [b"before ".as_slice(), &bytes, b" after"].concat();
        let message = failure(|| assert_no_plaintext!(bytes.as_slice(), needles()));
        assert!(message.contains("plaintext 1 occurs"), "{message}");
        std::fs::write(&file, &bytes).unwrap();
        for message in [
            failure(|| assert_no_plaintext!(file, needles())),
            failure(|| assert_no_plaintext!("nothing", folder.path(); needles())),
        ] {
            assert!(message.contains("file.log") && !message.contains("O'Brien"), "{message}");
        }
    }
    std::fs::write(&file, "nothing of it").unwrap();
    assert_no_plaintext!(file, folder.path(), "Ada O'Brien".as_bytes(), vec![0_u8; 9]; needles());
    failure(|| assert_no_plaintext!(folder.path().join("missing"), needles()));

    assert_no_plaintext!(json!({ "a": ["b", 4111] }), ["4112", secret]);
    failure(|| assert_no_plaintext!(json!({ "a": ["b", 4111] }), ["4111"]));
    failure(|| assert_no_plaintext!(json!({ "a": [[{ "b": secret }]] }), [secret]));
    failure(|| assert_no_plaintext!(json!({ secret: 1 }), [secret]));
    // what would prove nothing
    failure(|| assert_no_plaintext!("x", ["abc"]));
    let none = catch_unwind(|| assert_no_plaintext!("x", [""; 0]));
    assert!(none.is_err());
}

#[tokio::test]
async fn made_up_people_are_sealed_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let people = Person::several(50);
    let mut rows: Vec<Customer> = (1..)
        .zip(&people)
        .map(|(id, person)| Customer {
            id,
            email: Some(EncryptedStr::new(person.email.clone())),
            phones: vec![EncryptedStr::new(person.iban.clone())],
        })
        .collect();
    cryptor().seal(&mut rows).await.unwrap();
    let stored: Vec<&str> = rows.iter().map(|row| row.phones[0].ciphertext().unwrap().as_str()).collect();
    std::fs::write(folder.path().join("rows"), stored.concat()).unwrap();
    assert_no_plaintext!(folder.path(), format!("{rows:?}"), format!("{people:?}"); people.iter().flat_map(Person::plaintexts));
}

fn with_store<S: pii::KeyStore>(store: S) -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap()
}

async fn seal_one(cryptor: &Cryptor) -> Result<String, Error> {
    let row = Customer { id: 1, email: Some(EncryptedStr::new("ada@example.com")), phones: Vec::new() };
    Ok(cryptor.seal_texts([&row]).await?.remove(0).next().unwrap().into())
}

#[tokio::test]
async fn a_failing_key_store_fails_until_it_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let store = FailingKeyStore::new(FileKeyStore::open(folder.path()).unwrap());
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let cryptor = with_store(store.clone());
    let before = files();
    store.fail_with(ErrorKind::KeyUnavailable);
    assert_eq!(seal_one(&cryptor).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert!(store.calls() > 0);
    assert_eq!(files(), before, "nothing was done");
    store.recover();
    let text = seal_one(&cryptor).await.unwrap();
    assert!(files() > before);

    // another process, whose answers get lost
    let cryptor = with_store(store.clone());
    store.lose_answers_with(ErrorKind::KeyUnavailable);
    assert!(seal_one(&cryptor).await.unwrap_err().is_retryable());
    store.recover();
    let same_key = |text: &str| pii::Ciphertext::parse(text).unwrap().key_id();
    assert_eq!(same_key(&seal_one(&cryptor).await.unwrap()), same_key(&text));
}

#[tokio::test]
async fn a_key_that_was_stored_before_the_answer_got_lost_is_the_one_that_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = FailingKeyStore::new(FileKeyStore::open(folder.path()).unwrap());
    let record = {
        // some record, as another process proposes it
        let other = tempfile::tempdir().unwrap();
        let elsewhere = FileKeyStore::open(other.path()).unwrap();
        seal_one(&with_store(elsewhere)).await.unwrap();
        let elsewhere = FileKeyStore::open(other.path()).unwrap();
        pii::KeyStore::list(&elsewhere, None, 10).await.unwrap().remove(0).1.unwrap()
    };
    store.fail_with(ErrorKind::KeyUnavailable);
    pii::KeyStore::elect(&store, &record).await.unwrap_err();
    store.recover();
    assert!(pii::KeyStore::load(&store, record.key_id).await.unwrap().is_none());
    store.lose_answers_with(ErrorKind::KeyUnavailable);
    pii::KeyStore::elect(&store, &record).await.unwrap_err();
    store.recover();
    assert_eq!(pii::KeyStore::load(&store, record.key_id).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_slow_key_store_takes_its_time_and_answers_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let delay = Duration::from_millis(30);
    let store = || FileKeyStore::open(folder.path()).unwrap();
    let started = Instant::now();
    let text = seal_one(&with_store(DelayingKeyStore::new(store(), delay))).await.unwrap();
    assert!(started.elapsed() >= delay);
    let key_id = pii::Ciphertext::parse(text).unwrap().key_id();
    let slow = DelayingKeyStore::new(store(), delay);
    let record = pii::KeyStore::load(&slow, key_id).await.unwrap().unwrap();
    assert_eq!(pii::KeyStore::load(&store(), key_id).await.unwrap().unwrap(), record);
    assert_eq!(pii::KeyStore::active(&slow, &record.slot).await.unwrap(), Some(record.clone()));
    assert_eq!(pii::KeyStore::list(&slow, None, 10).await.unwrap().len(), 1);
    assert_eq!(pii::KeyStore::insert(&slow, &record).await.unwrap(), record);
    assert!(pii::KeyStore::replace(&slow, &record, &record).await.unwrap());
}
