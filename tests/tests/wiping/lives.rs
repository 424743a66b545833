//! Lives of keys and values: made and unwrapped, sealed, opened, shown, refused, moved, dropped.

use std::{collections::BTreeMap, hint::black_box, path::Path, sync::Arc};

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use pii::{
    Amsdal, AppKeyFile, Cryptor, Documents, EncryptedStr, EncryptionSdk, FieldMask, FileKeyStore,
    HierarchicalKeyring, KeyAdmin, KeyStore, Keyring, KmsKeyring, LocalKeyring, Masker, PiiModel, Powertools,
    PrivateKey, PublicKeyring, Pydynox, PydynoxFormat, RewrapOptions, SenderPolicy, ServiceContext, ctx,
    testing::kms::FakeKms,
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::secrets::{KnownDataKey, KnownServiceKey, Watched, app_secret, plaintext};

#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(mask = "last4")]
    note: EncryptedStr,
}

fn customers(count: i64) -> Vec<Customer> {
    let customer = |id| Customer { id, tenant: "acme".into(), note: EncryptedStr::new(plaintext().as_str()) };
    (0..count).map(customer).collect()
}

fn loaded(sealed: &[Customer]) -> Vec<Customer> {
    let stored = |row: &Customer| Customer {
        id: row.id,
        tenant: row.tenant.clone(),
        note: EncryptedStr::from_ciphertext(row.note.ciphertext().unwrap().clone()),
    };
    sealed.iter().map(stored).collect()
}

fn local(folder: &Path) -> LocalKeyring {
    LocalKeyring::open(folder.join("pii.key")).unwrap()
}

fn store(folder: &Path, name: &str) -> Arc<dyn KeyStore> {
    Arc::new(FileKeyStore::open(folder.join(name)).unwrap())
}

fn cryptor(keyring: impl Keyring, store: &Arc<dyn KeyStore>) -> Cryptor {
    Cryptor::envelope().keyring(keyring).shared_key_store(Arc::clone(store)).build().unwrap()
}

/// One process writes, another reads.
async fn write_and_read(writer: Cryptor, reader: Cryptor) {
    let mut rows = customers(20);
    writer.seal(&mut rows).await.unwrap();
    drop(writer);
    let mut opened = loaded(&rows);
    reader.open(&mut opened).await.unwrap();
    assert!(opened.iter().all(|row| row.note.expose().unwrap() == plaintext().as_str()));
}

/// JSON text and values: masked, copied, refused.
pub(super) fn masking() {
    // texts with escapes pass through a buffer of serde_json's
    let secret = app_secret();
    let secret = std::str::from_utf8(&secret).unwrap();
    let text = |rest: &str| {
        let mut text = Zeroizing::new(String::with_capacity(200));
        for part in ["{\"notes\":[\"", secret, "\"]", rest, "}"] {
            text.push_str(part);
        }
        text
    };
    let masker = Masker::builder().rule("$..notes", FieldMask::last(4)).unwrap().build();
    let masked = masker.mask_json(text("").as_str()).unwrap();
    assert!(masked.starts_with("{\"notes\":[\"*****"));
    masker.mask_json(text(",\"notes\":1").as_str()).unwrap_err();
    masker.mask_json(text(",").as_str()).unwrap_err();
    Masker::builder().path("other").unwrap().build().mask_json(text("").as_str()).unwrap_err();
    masker.mask_serialize(&BTreeMap::from([("notes", secret)])).unwrap();

    let note = plaintext();
    let empty = Masker::builder().rule("note", FieldMask::fixed("")).unwrap().build();
    let mut document = serde_json::json!({ "note": note.as_str() });
    empty.mask(&mut document).unwrap();
    drop(black_box(document));

    let whole = Masker::everything();
    let mut document = serde_json::json!({ "notes": note.as_str(), "more": [{ note.as_str(): 1 }] });
    let copy = whole.masked(&document).unwrap();
    assert_eq!(copy, "*****");
    whole.mask(&mut document).unwrap();
}

/// Key file; with and without key store.
pub(crate) async fn key_file(folder: &Path) {
    let keyring = || KnownDataKey(local(folder));
    for key_store in [false, true] {
        let cryptor = || {
            let builder = Cryptor::envelope().keyring(keyring());
            let builder = if key_store { builder.shared_key_store(store(folder, "keys")) } else { builder };
            builder.build().unwrap()
        };
        let mut rows = customers(50);
        cryptor().seal(&mut rows).await.unwrap();
        let mut opened = loaded(&rows);
        let reader = cryptor();
        reader.open(&mut opened).await.unwrap();
        assert!(opened.iter().all(|row| row.note.expose().unwrap() == plaintext().as_str()));
        black_box(format!("{:?} {}", opened[0], opened[0].note));
        black_box(opened[0].note == opened[1].note);
        let copy = opened[0].note.clone();
        drop((copy, opened));
        // what does not open
        let mut elsewhere = loaded(&rows);
        elsewhere[3].id = 99;
        elsewhere[5].tenant = "initech".into();
        let refused = reader.open_each(&mut elsewhere, &pii::FieldSelection::All).await.unwrap();
        assert_eq!(refused.iter().filter(|row| row.is_err()).count(), 2);
        black_box(format!("{refused:?}"));
    }
}

/// After [`key_file`]: documents, sealed in place and whole; opened, refused, dropped.
pub(crate) async fn documents(folder: &Path) {
    let keyring = KnownDataKey(local(folder));
    let cryptor = Cryptor::envelope().keyring(keyring).build().unwrap();
    let documents =
        Documents::new("note").context(ctx!(tenant = "acme")).paths(["$.notes[*].text", "$.about"]).unwrap();
    let document = || {
        let text = || Value::from(plaintext().as_str());
        let member = |name: &str, value| Value::Object([(name.to_owned(), value)].into_iter().collect());
        let notes = Value::Array((0..20).map(|_| member("text", text())).collect());
        // without characters that JSON escapes: serde_json puts text with escapes together elsewhere
        let start = || Value::from(&plaintext()[..20]);
        let about = member(&plaintext()[..20], Value::Array(vec![start(), start()]));
        Value::Object([("notes".to_owned(), notes), ("about".to_owned(), about)].into_iter().collect())
    };
    let mut sealed = document();
    documents.encrypt_fields(&cryptor, &mut sealed, 7).await.unwrap();
    let mut broken = sealed.clone();
    broken["notes"][19]["text"] = sealed["notes"][0]["text"].clone();
    assert!(documents.decrypt_fields(&cryptor, &mut broken, 7).await.is_err());
    // what the program holds is wiped by sealing it again
    let mut opened = sealed;
    documents.decrypt_fields(&cryptor, &mut opened, 7).await.unwrap();
    assert_eq!(opened["notes"][19]["text"], plaintext().as_str());
    documents.encrypt_fields(&cryptor, &mut opened, 7).await.unwrap();
    let text = documents.encrypt(&cryptor, &plaintext()[..20], 7).await.unwrap();
    let opened: Zeroizing<String> = Zeroizing::new(documents.decrypt(&cryptor, &text, 7).await.unwrap());
    assert_eq!(*opened, plaintext()[..20]);
}

/// After [`key_file`]: a new key-encryption key, and the data key under it.
pub(crate) async fn rotation_and_rewrap(folder: &Path) {
    let keyring = Arc::new(LocalKeyring::rotate(folder.join("pii.key")).unwrap());
    let admin = KeyAdmin::new(store(folder, "keys")).keyring("default", keyring);
    let report = admin.rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    assert_eq!((report.rewrapped, report.failed.len()), (1, 0), "{report}");
    assert!(admin.verify(|_| ()).await.unwrap().is_clean());
}

/// The branch key is the one that is known.
pub(crate) async fn hierarchical_keyring(folder: &Path) {
    let store = store(folder, "branch-keys");
    let keyring = || Watched {
        inner: HierarchicalKeyring::shared(Arc::new(KnownDataKey(local(folder))), Arc::clone(&store)),
        data_key: "data key under a branch key",
        seal_key: "seal key under a branch key",
    };
    write_and_read(cryptor(keyring(), &store), cryptor(keyring(), &store)).await;
}

/// Its keys are its own matter, data keys are not.
pub(crate) async fn key_service(folder: &Path) {
    let kms = FakeKms::new("eu-central-1", "111122223333");
    let key = kms.create_key().unwrap();
    let store = store(folder, "kms-keys");
    let keyring = || Watched {
        inner: kms.keyring(&key),
        data_key: "data key of a key service",
        seal_key: "seal key of a key service",
    };
    write_and_read(cryptor(keyring(), &store), cryptor(keyring(), &store)).await;
}

/// Through the SDK and HTTP. Their buffers hold data keys in base64, which is not in our hands.
pub(crate) async fn aws_kms(folder: &Path) {
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
    let store = store(folder, "aws-keys");
    let keyring = || Watched {
        inner: KmsKeyring::with_client(client.clone(), &key).unwrap(),
        data_key: "data key of AWS KMS",
        seal_key: "seal key of AWS KMS",
    };
    write_and_read(cryptor(keyring(), &store), cryptor(keyring(), &store)).await;
}

#[derive(PiiModel)]
#[pii(name = "patient", context(app = "clinic"))]
struct Patient {
    #[pii(id)]
    id: i64,
    #[pii(level = 3)]
    note: EncryptedStr,
}

pub(crate) async fn level_3(folder: &Path) {
    let cryptor = || {
        let app_keys = AppKeyFile::open(folder.join("app-keys.json")).unwrap();
        Cryptor::envelope().keyring(KnownDataKey(local(folder))).app_keys(app_keys).build().unwrap()
    };
    let patient = |id| Patient { id, note: EncryptedStr::new(plaintext().as_str()) };
    let mut rows: Vec<Patient> = (0..20).map(patient).collect();
    cryptor().seal(&mut rows).await.unwrap();
    for row in &mut rows {
        row.note = EncryptedStr::from_ciphertext(row.note.ciphertext().unwrap().clone());
    }
    cryptor().open(&mut rows).await.unwrap();
    assert!(rows.iter().all(|row| row.note.expose().unwrap() == plaintext().as_str()));
}

#[derive(PiiModel)]
#[pii(name = "client")]
struct Client {
    #[pii(id)]
    id: i64,
    #[pii(legacy = "pydynox")]
    note: EncryptedStr,
}

/// Written, opened in both forms, and refused.
pub(crate) async fn pydynox(folder: &Path) {
    let of = |format| {
        let cryptor = Cryptor::envelope().keyring(KnownDataKey(local(folder))).build().unwrap();
        cryptor.with_legacy(Pydynox::new(KnownServiceKey, "alias/pii").format(format))
    };
    let client = |id| Client { id, note: EncryptedStr::new(plaintext().as_str()) };
    let mut rows: Vec<Client> = (0..20).map(client).collect();
    of(PydynoxFormat::Envelope).seal(&mut rows).await.unwrap();
    let load = |text: &str, id| Client { id, note: EncryptedStr::from_stored(text.to_owned()) };
    let texts: Vec<String> =
        rows.iter().map(|row| row.note.ciphertext().unwrap().as_str().to_owned()).collect();
    let mut loaded: Vec<Client> = texts.iter().zip(0..).map(|(text, id)| load(text, id)).collect();
    of(PydynoxFormat::Envelope).open(&mut loaded).await.unwrap();
    assert!(loaded.iter().all(|row| row.note.expose().unwrap() == plaintext().as_str()));
    let direct = format!("ENC:{}", "MTEx".repeat(20));
    of(PydynoxFormat::Either).open(&mut [load(&direct, 1), load(&texts[0], 2)]).await.unwrap();
    let altered = format!("{}AAAA", &texts[0][..texts[0].len() - 4]);
    assert!(of(PydynoxFormat::Envelope).open(&mut [load(&altered, 1)]).await.is_err());
}

/// Private keys from files, and one that another keyring wraps.
pub(crate) async fn public_keyring(folder: &Path) {
    let store = store(folder, "drop-keys");
    let open = |name: &str| PrivateKey::open(folder.join(name)).unwrap();
    let recipient = open("reader.key").public_key().clone();
    let accepted = SenderPolicy::Authenticated(vec![open("sender.key").public_key().clone()]);
    let writer = Watched {
        inner: PublicKeyring::writer([recipient]).unwrap().authenticated(open("sender.key")).unwrap(),
        data_key: "data key under a public key",
        seal_key: "seal key under a public key",
    };
    let reader = PublicKeyring::reader([open("reader.key")], accepted).unwrap();
    write_and_read(cryptor(writer, &store), cryptor(reader, &store)).await;

    let inner = Arc::new(KnownDataKey(local(folder)));
    let (public, wrapped) = PublicKeyring::generate_pair(&*inner).await.unwrap();
    let writer = PublicKeyring::writer([public]).unwrap();
    let anyone = SenderPolicy::AnyoneWithThePublicKey;
    let reader = PublicKeyring::reader([wrapped.unwrapped_by(inner)], anyone).unwrap();
    write_and_read(cryptor(writer, &store), cryptor(reader, &store)).await;
}

/// Written, opened, refused; more than one frame.
pub(crate) async fn encryption_sdk() {
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let of = || EncryptionSdk::builder(KnownServiceKey).key(key).build().unwrap();
    let context = ServiceContext::new();
    let long = Zeroizing::new(plaintext().repeat(300));
    let (writer, reader) = (of(), of());
    for plain in [plaintext().as_bytes(), long.as_bytes()] {
        let message = writer.encrypt(plain, &context).await.unwrap();
        let opened = reader.decrypt(&message, &context).await.unwrap();
        assert!(opened.expose() == plain);
        black_box(format!("{opened:?} {reader:?}"));
        let mut altered = message.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert!(reader.decrypt(&altered, &context).await.is_err());
    }
    reader.evict();
    // without characters that JSON escapes: serde_json puts text with escapes together elsewhere
    let data_masker = Powertools::new(of());
    let text = data_masker.encrypt(&plaintext()[..20], &context).await.unwrap();
    let opened = data_masker.decrypt(&text, &context).await.unwrap();
    let Value::String(opened) = opened else { panic!("no text") };
    assert_eq!(*Zeroizing::new(opened), plaintext()[..20]);
}

/// Written, opened, and refused.
pub(crate) async fn amsdal() {
    let fields = Amsdal::new(KnownServiceKey, "alias/pii");
    let plain = plaintext();
    let texts = fields.encrypt_all(&[plain.as_bytes(); 20]).await.unwrap();
    for text in &texts {
        assert!(fields.decrypt(text).await.unwrap().expose() == plain.as_bytes());
    }
    let altered = texts[0].replacen(&texts[0][texts[0].len() - 10..], "AAAAA=#10#", 1);
    assert!(fields.decrypt_each(&[&altered, &texts[1]]).await[0].is_err());
}
