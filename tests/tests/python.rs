//! The decryptor in Python, which was written from FORMAT.md alone, over the frozen vectors, and over values that
//! are sealed here; and the script that computes blind indexes apart from us.

use std::{
    env,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use pii::{
    AppKeyFile, Cryptor, Encrypted, EncryptedStr, FileKeyStore, Json, Keyring, KmsKeyring, LocalKeyring,
    PiiModel, testing::kms::FakeKms,
};
use serde_json::{Value, json};
use uuid::Uuid;

fn python() -> Command {
    Command::new(env::var("PII_TEST_PYTHON").expect(
        "PII_TEST_PYTHON must name a Python with the package `cryptography`: run `cargo xtask test`, which prepares one",
    ))
}

#[test]
fn an_independent_decryptor_agrees_with_every_vector() {
    agrees_with("vectors/format-v2.json", 150);
}

#[test]
fn it_agrees_with_every_vector_of_documents() {
    agrees_with("vectors/documents-v2.json", 22);
}

#[test]
fn codes_of_blind_indexes_are_those_of_an_independent_script() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/blind_index_vectors.py");
    let output = python().arg(script).arg("--check").output().expect("python runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("79 texts, 12 without one, 0 failed"), "{text}");
}

/// All vectors of the file are as it says, and this many open at least.
fn agrees_with(file: &str, opened: u32) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = python()
        .arg(tests.join("python/check_vectors.py"))
        .arg(tests.join(file))
        .output()
        .expect("python runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" 0 failed"), "{text}");
    let count = text.split("format-v2: ").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(count.is_some_and(|count| count.parse::<u32>().unwrap() >= opened), "{text}");
}

#[test]
fn it_is_small_enough_to_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/decrypt.py");
    let text = std::fs::read_to_string(path).unwrap();
    let (format, reader) = text.split_once("\nclass Reader").expect("the reader for programs is at the end");
    let (format, reader) = (format.lines().count(), reader.lines().count());
    assert!(format <= 70 && reader <= 90, "decrypt.py has {format} and {reader} lines");
}

#[derive(PiiModel)]
#[pii(name = "customer", context(app = "shop", tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phones: Vec<EncryptedStr>,
    numbers: Encrypted<Json<Vec<u32>>>,
    #[pii(level = 3)]
    ssn: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "order")]
struct Order {
    #[pii(id)]
    id: Uuid,
    #[pii(id)]
    line: String,
    note: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "visit", bind = "field")]
struct Visit {
    note: EncryptedStr,
}

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";
const ID: &str = "5f0f1d2ab6c54b0f9b7c0c1d2e3f4a5b";

/// Values of all kinds of places with the arguments under which they open, and what they hold.
async fn cases(cryptor: &Cryptor) -> Vec<(Value, Value)> {
    let mut customers = [Customer {
        id: -7,
        tenant: "Žižkov".into(),
        email: EncryptedStr::new("ada@example.com"),
        phones: vec![EncryptedStr::new("1"), EncryptedStr::new("")],
        numbers: Encrypted::json(&vec![1, 2]).unwrap(),
        ssn: EncryptedStr::new("900-12-3456"),
    }];
    cryptor.seal(&mut customers).await.unwrap();
    let mut orders =
        [Order {
            id: Uuid::parse_str(ID).unwrap(), line: "a/1".into(), note: EncryptedStr::new("Zoë 世界")
        }];
    cryptor.seal(&mut orders).await.unwrap();
    let mut visits = [Visit { note: EncryptedStr::new("anywhere") }];
    cryptor.seal(&mut visits).await.unwrap();
    let [customer] = &customers;
    let of_customer = |text: &str, path: Value, more: Value| {
        let mut case = json!({"text": text, "model": "customer", "path": path, "row": -7,
                              "context": {"app": "shop", "tenant": "Žižkov"}});
        case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        case
    };
    fn text<T>(value: &Encrypted<T>) -> &str {
        value.ciphertext().unwrap().as_str()
    }
    vec![
        (of_customer(text(&customer.email), json!("email"), json!({})), json!("ada@example.com")),
        (of_customer(text(&customer.phones[0]), json!(["phones", ["element"]]), json!({})), json!("1")),
        (of_customer(text(&customer.phones[1]), json!(["phones", ["element"]]), json!({})), json!("")),
        (of_customer(text(&customer.numbers), json!("numbers"), json!({"type": 6})), json!([1, 2])),
        (of_customer(text(&customer.ssn), json!("ssn"), json!({"level": 3})), json!("900-12-3456")),
        (
            json!({"text": text(&orders[0].note), "model": "order", "path": "note", "row": [ID, "a/1"]}),
            json!("Zoë 世界"),
        ),
        (
            json!({"text": text(&visits[0].note), "model": "visit", "path": "note", "row": null}),
            json!("anywhere"),
        ),
    ]
}

fn read(mut given: Value, cases: Vec<Value>) -> Vec<Value> {
    given["cases"] = cases.into();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/use_reader.py");
    let mut child = python()
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each value opens at its place, and nowhere else.
async fn check(cryptor: &Cryptor, given: Value) {
    let cases = cases(cryptor).await;
    let places: Vec<Value> = cases.iter().map(|(case, _)| case.clone()).collect();
    let expected: Vec<Value> = cases.iter().map(|(_, value)| json!({ "value": value })).collect();
    let asked = tokio::task::spawn_blocking({
        let (given, places) = (given.clone(), places.clone());
        move || read(given, places)
    });
    assert_eq!(asked.await.unwrap(), expected);

    let mut elsewhere = Vec::new();
    for place in &places {
        for (name, other) in [
            ("model", json!("client")),
            ("path", json!("other")),
            ("row", json!(8)),
            ("context", json!({"app": "shop", "tenant": "other"})),
            ("context", json!({})),
            ("type", json!(2)),
            ("text", json!("ada@example.com")),
            ("text", json!(place["text"].as_str().unwrap().replacen("ENC:Ag", "ENC:AQ", 1))),
        ] {
            if place.get(name) == Some(&other)
                || (name == "context" && place.get(name).is_none() && other == json!({}))
            {
                continue;
            }
            let mut moved = place.clone();
            moved[name] = other;
            elsewhere.push(moved);
        }
    }
    let count = elsewhere.len();
    let refused = tokio::task::spawn_blocking(move || read(given, elsewhere)).await.unwrap();
    assert!(count > 40 && refused.iter().all(|answer| answer.get("refused").is_some()), "{refused:?}");
}

fn cryptor(keyring: impl Keyring, folder: &Path, with_store: bool) -> Cryptor {
    let secrets = json!({"app_encryption_keys": {"level3_app_key_v1": SECRET, "current_version": 1}});
    let path = folder.join("app-keys.json");
    std::fs::write(&path, secrets.to_string()).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let builder = Cryptor::envelope().keyring(keyring).app_keys(AppKeyFile::open(path).unwrap());
    match with_store {
        true => builder.key_store(FileKeyStore::open(folder.join("keys")).unwrap()).build().unwrap(),
        false => builder.build().unwrap(),
    }
}

#[tokio::test]
async fn programs_read_values_of_a_key_file() {
    for with_store in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("pii.key");
        let keyring = LocalKeyring::open_or_create(&key_file).unwrap();
        let cryptor = cryptor(keyring, folder.path(), with_store);
        let mut given = json!({"key_file": key_file, "app_secret": SECRET});
        if with_store {
            given["key_store"] = json!(folder.path().join("keys"));
        }
        check(&cryptor, given).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_read_values_of_aws_kms() {
    let kms = FakeKms::new("eu-central-1", "111122223333");
    let key = kms.create_key().unwrap();
    let server = kms.serve().await.unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests");
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(server.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    let client = aws_sdk_kms::Client::from_conf(config.build());
    for with_store in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let keyring = KmsKeyring::with_client(client.clone(), &key).unwrap();
        let cryptor = cryptor(keyring, folder.path(), with_store);
        let mut given = json!({"app_secret": SECRET,
            "kms": {"endpoint": server.endpoint(), "region": "eu-central-1", "key": key}});
        if with_store {
            given["key_store"] = json!(folder.path().join("keys"));
        }
        check(&cryptor, given).await;
    }
}
