//! Level 3: two keys of different owners, and neither opens anything alone.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use pii::{AppKeyFile, AppKeySource, AppKeyVariable, AppKeys, BoxFuture, Ciphertext, Error, KeyId};

use super::*;

const V1: &str = "version one: 32 random characters";
const V2: &str = "version two: 32 random characters";
const V3: &str = "version three: random characters too";

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "employee", context(app = "hr", tenant = self.tenant))]
struct Employee {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(level = 1, mask = "name")]
    name: String,
    email: Option<EncryptedStr>,
    #[pii(level = 3, mask = "last4")]
    ssn: Option<EncryptedStr>,
}

fn grace(id: i64) -> Employee {
    Employee {
        id,
        tenant: "acme".into(),
        name: "Grace Hopper".into(),
        email: Some(EncryptedStr::new("grace@example.com")),
        ssn: Some(EncryptedStr::new("900-12-3456")),
    }
}

fn app_keys(current: u32, secrets: &[(u32, &str)]) -> AppKeys {
    let mut members: serde_json::Map<String, serde_json::Value> = secrets
        .iter()
        .map(|(version, text)| (format!("level3_app_key_v{version}"), (*text).into()))
        .collect();
    members.insert("current_version".into(), current.into());
    AppKeys::from_json(&serde_json::json!({ "app_encryption_keys": members }).to_string()).unwrap()
}

fn current_id(keys: &AppKeys) -> KeyId {
    keys.versions().find(|(version, _)| *version == keys.current_version()).unwrap().1
}

fn with(keys: impl AppKeySource) -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).app_keys(keys).build().unwrap()
}

/// A source whose keys change, which counts how often it is asked.
#[derive(Clone)]
struct Source {
    gives: Arc<Mutex<pii::Result<AppKeys>>>,
    loads: Arc<AtomicUsize>,
}

impl Source {
    fn new(keys: AppKeys) -> Self {
        Self { gives: Arc::new(Mutex::new(Ok(keys))), loads: Arc::default() }
    }

    fn give(&self, result: pii::Result<AppKeys>) {
        *self.gives.lock().unwrap() = result;
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    /// Once at first, and once in five seconds because of unknown keys.
    fn assert_rarely_asked(&self, since: Instant) {
        let allowed = 2 + usize::try_from(since.elapsed().as_secs() / 5).unwrap();
        assert!((2..=allowed).contains(&self.loads()), "{} loads", self.loads());
    }
}

impl AppKeySource for Source {
    fn load<'a>(&'a self) -> BoxFuture<'a, pii::Result<AppKeys>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let gives = self.gives.lock().unwrap().clone();
        Box::pin(async {
            tokio::task::yield_now().await;
            gives
        })
    }
}

async fn sealed(cryptor: &Cryptor, id: i64) -> Employee {
    serde_json::from_str(&serde_json::to_string(&cryptor.sealed(&grace(id)).await.unwrap()).unwrap()).unwrap()
}

async fn open(cryptor: &Cryptor, model: &Employee) -> Result<Employee, Error> {
    let mut models = [model.clone()];
    cryptor.open(&mut models).await?;
    let [model] = models;
    Ok(model)
}

fn assert_open(model: &Employee) {
    assert_eq!(model.ssn.as_ref().unwrap().expose().unwrap(), "900-12-3456");
    assert_eq!(model.email.as_ref().unwrap().expose().unwrap(), "grace@example.com");
}

#[tokio::test]
async fn neither_key_alone_opens_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = |name: &str| LocalKeyring::open_or_create(folder.path().join(name)).unwrap();
    let build = |keyring, keys: AppKeys| Cryptor::envelope().keyring(keyring).app_keys(keys).build().unwrap();
    let (ours, theirs) = (app_keys(1, &[(1, V1)]), app_keys(1, &[(1, V2)]));
    let stored = sealed(&build(keyring("ours"), ours.clone()), 1).await;
    assert_all_sealed(&stored);
    assert_open(&open(&build(keyring("ours"), ours.clone()), &stored).await.unwrap());

    // the data key, and another application key
    let error = open(&build(keyring("ours"), theirs.clone()), &stored).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
    assert_eq!(error.key_id(), Some(current_id(&ours).to_string().as_str()), "it names the application key");
    assert_eq!((error.model_name(), error.field_name()), (Some("employee"), Some("ssn")));
    let mut models = [stored.clone()];
    let results = build(keyring("ours"), theirs.clone())
        .open_each(&mut models, &FieldSelection::only(["email"]))
        .await
        .unwrap();
    assert!(results[0].is_ok(), "level 2 needs no application key");

    // the application key, and another data key
    let error = open(&build(keyring("theirs"), ours), &stored).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
    assert!(open(&build(keyring("theirs"), theirs), &stored).await.is_err());
}

#[tokio::test]
async fn the_current_version_writes_and_old_ones_open() {
    let old = sealed(&with(app_keys(1, &[(1, V1)])), 1).await;
    let rotated = with(app_keys(2, &[(1, V1), (2, V2)]));
    assert_open(&open(&rotated, &old).await.unwrap());
    let new = sealed(&rotated, 1).await;
    assert_open(&open(&rotated, &new).await.unwrap());
    let only_new = with(app_keys(2, &[(2, V2)]));
    assert_open(&open(&only_new, &new).await.unwrap());
    assert_eq!(open(&only_new, &old).await.unwrap_err().kind(), ErrorKind::KeyMissing);
    assert_eq!(open(&with(app_keys(1, &[(1, V1)])), &new).await.unwrap_err().kind(), ErrorKind::KeyMissing);
}

#[tokio::test]
async fn an_unknown_version_makes_the_source_load_once() {
    let source = Source::new(app_keys(1, &[(1, V1)]));
    let reader = with(source.clone());
    assert_open(&open(&reader, &sealed(&reader, 1).await).await.unwrap());
    assert_eq!(source.loads(), 1);

    let rotated = app_keys(2, &[(1, V1), (2, V2)]);
    let new = sealed(&with(rotated.clone()), 1).await;
    source.give(Ok(rotated));
    assert_open(&open(&reader, &new).await.unwrap());
    assert_open(&open(&reader, &new).await.unwrap());
    assert_eq!(source.loads(), 2);
    assert_eq!(reader.stats().app_key_loads, 2);
    let written = sealed(&reader, 2).await;
    assert_open(&open(&with(app_keys(2, &[(2, V2)])), &written).await.unwrap());
}

#[tokio::test]
async fn hostile_values_cannot_hammer_the_source_and_fail_alone() {
    let start = Instant::now();
    let source = Source::new(app_keys(1, &[(1, V1)]));
    let reader = with(source.clone());
    let foreign = app_keys(3, &[(3, V3)]);
    let (good, bad) = (sealed(&reader, 1).await, sealed(&with(foreign.clone()), 2).await);
    for _ in 0..10 {
        let mut models = [bad.clone(), good.clone(), bad.clone(), good.clone()];
        let results = reader.open_each(&mut models, &FieldSelection::All).await.unwrap();
        for index in [1, 3] {
            assert!(results[index].is_ok());
            assert_open(&models[index]);
        }
        for index in [0, 2] {
            let error = results[index].as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyMissing);
            assert_eq!(error.key_id(), Some(current_id(&foreign).to_string().as_str()));
            assert_eq!(error.row_id(), Some("2"));
        }
    }
    source.assert_rarely_asked(start);
    assert_eq!(reader.stats().refused, 20);
}

#[tokio::test]
async fn a_source_that_fails_then_is_named_and_hides_no_good_value() {
    let start = Instant::now();
    let source = Source::new(app_keys(1, &[(1, V1)]));
    let reader = with(source.clone());
    let foreign = app_keys(3, &[(3, V3)]);
    let (good, bad) = (sealed(&reader, 1).await, sealed(&with(foreign.clone()), 2).await);
    source.give(Err(Error::new(ErrorKind::KeyUnavailable).message("no answer")));
    for _ in 0..3 {
        let mut models = [bad.clone(), good.clone()];
        let results = reader.open_each(&mut models, &FieldSelection::All).await.unwrap();
        assert!(results[1].is_ok());
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.is_retryable());
        let shown = error.to_string();
        assert!(shown.contains(&current_id(&foreign).to_string()) && shown.contains("no answer"), "{shown}");
    }
    source.assert_rarely_asked(start);
}

#[tokio::test]
async fn a_source_that_fails_from_the_start_concerns_level_3_only() {
    let stored = sealed(&with(app_keys(1, &[(1, V1)])), 1).await;
    let source = Source::new(app_keys(1, &[(1, V1)]));
    source.give(Err(Error::new(ErrorKind::KeyDenied)));
    let cryptor = with(source.clone());
    let without = Employee { ssn: None, ..grace(2) };
    let mut models =
        [serde_json::from_str(&serde_json::to_string(&cryptor.sealed(&without).await.unwrap()).unwrap())
            .unwrap()];
    cryptor.open(&mut models).await.unwrap();
    assert_eq!(source.loads(), 0, "it is not asked for what nobody needs");
    let [without] = models;

    assert_eq!(cryptor.sealed(&grace(1)).await.err().unwrap().kind(), ErrorKind::KeyDenied);
    assert_eq!(cryptor.prepare([&grace(1)]).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    let sealed_without = through_storage(&Employee { email: stored.email.clone(), ssn: None, ..grace(1) });
    let mut models = [stored, sealed_without, without];
    let results = cryptor.open_each(&mut models, &FieldSelection::All).await.unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::KeyDenied);
    assert!(results[1].is_ok() && results[2].is_ok());
}

#[tokio::test]
async fn a_cryptor_without_application_keys_refuses_level_3_before_any_key_is_asked_for() {
    let stored = sealed(&with(app_keys(1, &[(1, V1)])), 1).await;
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let errors = [
        cryptor.sealed(&grace(1)).await.err().unwrap(),
        cryptor.prepare([&grace(1)]).await.unwrap_err(),
        open(&cryptor, &stored).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!((error.model_name(), error.field_name()), (Some("employee"), Some("ssn")));
        assert!(error.to_string().contains(".app_keys("), "{error}");
    }
    assert_eq!(keyring.calls(), 0);
    let mut models = [stored];
    let results = cryptor.open_each(&mut models, &FieldSelection::only(["email"])).await.unwrap();
    assert!(results[0].is_ok(), "level 2 is not concerned");
}

#[tokio::test]
async fn keys_are_loaded_once_for_all_and_ahead_where_asked() {
    let source = Source::new(app_keys(1, &[(1, V1)]));
    let cryptor = with(source.clone());
    cryptor.prepare([&ada()]).await.unwrap();
    assert_eq!(source.loads(), 0, "a model without level 3 needs none");
    cryptor.prepare([&grace(1)]).await.unwrap();
    assert_eq!(source.loads(), 1);
    let cryptors: Vec<Cryptor> = (0..50).map(|_| cryptor.clone()).collect();
    let sealed = futures_util::future::join_all(cryptors.iter().map(|cryptor| sealed(cryptor, 1))).await;
    assert_eq!(sealed.len(), 50);
    assert_eq!(source.loads(), 1);
}

/// The same model in every respect, but for the level.
#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "employee", context(app = "hr", tenant = self.tenant))]
struct Swapped {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(level = 3)]
    email: Option<EncryptedStr>,
    #[pii(level = 2)]
    ssn: Option<EncryptedStr>,
}

#[tokio::test]
async fn a_value_of_one_level_does_not_open_where_another_is_declared() {
    let cryptor = with(app_keys(1, &[(1, V1)]));
    let stored = sealed(&cryptor, 1).await;
    let mut swapped: [Swapped; 1] = [serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap()];
    for field in ["email", "ssn"] {
        let results = cryptor.open_each(&mut swapped, &FieldSelection::only([field])).await.unwrap();
        let error = results[0].as_ref().unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some(field)));
    }
}

#[tokio::test]
async fn a_value_opens_only_in_its_own_place() {
    let cryptor = with(app_keys(1, &[(1, V1)]));
    let stored = sealed(&cryptor, 1).await;
    let error = open(&cryptor, &Employee { id: 2, ..stored.clone() }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(open(&cryptor, &Employee { tenant: "globex".into(), ..stored.clone() }).await.is_err());
    let exchanged = Employee { email: stored.ssn.clone(), ssn: stored.email.clone(), ..stored };
    assert_eq!(open(&cryptor, &exchanged).await.unwrap_err().kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn every_changed_bit_is_noticed() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let folder = tempfile::tempdir().unwrap();
    let cryptor = Cryptor::envelope()
        .keyring(TestKeyring::new())
        .key_store(FileKeyStore::open(folder.path()).unwrap())
        .app_keys(app_keys(1, &[(1, V1)]))
        .build()
        .unwrap();
    let stored = sealed(&cryptor, 1).await;
    let text = stored.ssn.as_ref().unwrap().ciphertext().unwrap().as_str();
    // DESIGN: 58 and 57 bytes over the plaintext
    assert_eq!(text.len(), 172);
    let bytes = STANDARD.decode(&text[4..]).unwrap();
    let mut models = Vec::new();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = Ciphertext::parse(format!("ENC:{}", STANDARD.encode(changed))) {
            models.push(Employee { ssn: Some(EncryptedStr::from_ciphertext(text)), ..stored.clone() });
        }
    }
    assert!(models.len() >= (bytes.len() - 2) * 8);
    let results = cryptor.open_each(&mut models, &FieldSelection::All).await.unwrap();
    for (result, model) in results.iter().zip(&models) {
        assert!(result.is_err());
        assert!(model.ssn.as_ref().unwrap().expose().is_err());
    }
    assert_open(&open(&cryptor, &stored).await.unwrap());
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "worker", was("staff", "employee"), context(app = "hr", tenant = self.tenant))]
struct Worker {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[serde(rename = "ssn")]
    #[pii(level = 3, was("social", "ssn"))]
    number: Option<EncryptedStr>,
}

#[tokio::test]
async fn former_names_open_and_new_values_get_the_new_names() {
    let cryptor = with(app_keys(1, &[(1, V1)]));
    let stored = sealed(&cryptor, 1).await;
    let mut renamed: [Worker; 1] = [serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap()];
    cryptor.open(&mut renamed).await.unwrap();
    let number = renamed[0].number.as_mut().unwrap();
    assert_eq!(number.expose().unwrap(), "900-12-3456");
    number.reseal().unwrap();
    cryptor.seal(&mut renamed).await.unwrap();
    let mut again = [through_storage(&renamed[0])];
    cryptor.open(&mut again).await.unwrap();
    let old = Employee {
        ssn: again[0]
            .number
            .clone()
            .map(|value| EncryptedStr::from_ciphertext(value.ciphertext().unwrap().clone())),
        ..stored
    };
    assert_eq!(open(&cryptor, &old).await.unwrap_err().kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn the_largest_value_is_one_mebibyte_here_too() {
    let cryptor = with(app_keys(1, &[(1, V1)]));
    let largest = "é".repeat(512 * 1024);
    let mut rows = [Employee { ssn: Some(EncryptedStr::new(largest.as_str())), ..grace(1) }];
    cryptor.seal(&mut rows).await.unwrap();
    let opened = open(&cryptor, &through_storage(&rows[0])).await.unwrap();
    assert!(opened.ssn.unwrap().expose().unwrap() == largest);
    let mut rows = [Employee { ssn: Some(EncryptedStr::new(largest + "x")), ..grace(1) }];
    assert_eq!(cryptor.seal(&mut rows).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn keys_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app-keys.json");
    assert_eq!(AppKeyFile::open(&path).unwrap_err().kind(), ErrorKind::KeyMissing);
    let file = AppKeyFile::open_or_create(&path).unwrap();
    let stored = sealed(&with(file.clone()), 1).await;
    assert_open(&open(&with(AppKeyFile::open(&path).unwrap()), &stored).await.unwrap());
    std::fs::write(&path, r#"{"app_encryption_keys": {"a_v1": "short", "current_version": 1}}"#).unwrap();
    let error = open(&with(file), &stored).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let shown = error.to_string();
    assert!(shown.contains("app-keys.json") && shown.contains("version 1"), "{shown}");
}

#[tokio::test]
async fn keys_come_from_an_environment_variable() {
    let error = AppKeyVariable::new("PII_TEST_NO_SUCH_VARIABLE").load().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`PII_TEST_NO_SUCH_VARIABLE` is not set"), "{error}");
    for name in ["", "A=B", "A\0B"] {
        assert_eq!(AppKeyVariable::new(name).load().await.unwrap_err().kind(), ErrorKind::Configuration);
    }
    // one that every process of cargo has, and that holds no keys
    let error = AppKeyVariable::new("CARGO_MANIFEST_DIR").load().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let shown = format!("{error:?}");
    assert!(shown.contains("CARGO_MANIFEST_DIR") && !shown.contains(env!("CARGO_MANIFEST_DIR")), "{shown}");
}

#[test]
fn the_level_is_listed() {
    let level = |path: &str| {
        Employee::pii_fields().into_iter().find(|field| field.path == path).unwrap().spec.level().number()
    };
    assert_eq!((level("name"), level("email"), level("ssn")), (1, 2, 3));
    let schema = pii::schema_of(&[Employee::MODEL]);
    assert!(schema.contains("employee.ssn: text, level 3, bound to row("), "{schema}");
}
