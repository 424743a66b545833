//! The frozen vectors of `tests/vectors`, through the same code that opens and seals every value.

use std::{collections::HashMap, fs, sync::Arc};

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use shake::{
    Shake128,
    digest::{ExtendableOutput as _, Update as _, XofReader},
};

use crate::{
    AppKeys, Cryptor, DataKey, Documents, EncryptionContext, Error, ErrorKind, FieldSpec, GeneratedKey,
    HierarchicalKeyring, Holds, KeyBinding, KeyId, KeyRecord, KeySlot, KeyState, KeyStore, Keyring, Level,
    ListedKey, ModelSpec, NoId, Provider, Result, RowBinding, RowId, RowWriter, SecretBytes, TestKeyring,
    TypeCode, WrappedKey,
    crypto::xaes::{XaesKey, halves},
    crypto::{KeyLabel, app_key, expand},
    cryptor::{OpenItem, RowPlaces, ValuePlace},
    keyring::{KeyEncryptionKey, refuse_test_copies, unwrap_with},
    model::Walk,
    value::{Cell, PiiValue, TypeOps, encoding, unpadded},
    wire::{Ciphertext, Envelope, Parts, Purpose, TextEncoder, decode_text, inner},
    {Encrypted, Json},
};

#[derive(Deserialize)]
struct File {
    keys: Keys,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Keys {
    data_keys: Vec<StoredKey>,
    keks: Vec<Kek>,
    app_keys: Vec<AppKey>,
    #[cfg(feature = "public-keyring")]
    private_keys: Vec<KeyPair>,
    #[cfg(feature = "public-keyring")]
    sender_keys: Vec<KeyPair>,
}

#[cfg(feature = "public-keyring")]
#[derive(Deserialize)]
struct KeyPair {
    id: String,
    /// Not of senders.
    #[serde(default)]
    private_key: String,
    public_key: String,
}

#[derive(Deserialize, Clone)]
struct StoredKey {
    data_key: String,
    key_id: String,
    keyring: String,
    context: HashMap<String, String>,
    purpose: u8,
    epoch: u32,
    state: String,
}

#[derive(Deserialize)]
struct AppKey {
    id: String,
    secret: String,
}

#[derive(Deserialize)]
struct Kek {
    kek: String,
}

#[derive(Deserialize)]
struct Vector {
    id: u32,
    name: String,
    valid: bool,
    text: String,
    place: Place,
    #[serde(default)]
    plaintext: String,
    plaintext_repeat: Option<usize>,
    nonce: Option<String>,
    stage: Option<String>,
    requires: Option<String>,
    app_key_id: Option<String>,
    inner_nonce: Option<String>,
    #[serde(flatten)]
    document: Option<VectorDocument>,
}

/// Where a value of a document stands.
#[derive(Deserialize)]
struct VectorDocument {
    rule: String,
    sealed_document: Value,
    opened_document: Value,
}

#[derive(Deserialize)]
struct Place {
    model: String,
    path: Vec<Vec<String>>,
    level: u8,
    #[serde(rename = "type")]
    type_code: u8,
    context: Vec<(String, String)>,
    row: Option<Vec<(String, String)>>,
    keyring: Option<String>,
}

impl Place {
    fn write_row(&self, writer: &mut RowWriter) -> Option<()> {
        for (kind, id) in self.row.iter().flatten() {
            match kind.as_str() {
                "text" => writer.text(id),
                "bytes" => writer.bytes(&bytes(id)),
                "int" => writer.integer(id.parse().ok()?),
                _ => writer.uuid(&bytes(id).try_into().ok()?),
            }
        }
        Some(())
    }
}

/// As the id of a document.
impl RowId for Place {
    fn write_row(&self, out: &mut RowWriter) {
        match self.row {
            Some(_) => self.write_row(out).unwrap(),
            None => NoId.write_row(out),
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn data_key(hex: &str) -> DataKey {
    DataKey::from_slice(&bytes(hex)).unwrap()
}

/// The key file of the vectors.
struct KeyFile(Vec<KeyEncryptionKey>);

impl KeyFile {
    fn new(keys: &Keys) -> Self {
        Self(keys.keks.iter().map(|kek| KeyEncryptionKey::from_key(data_key(&kek.kek))).collect())
    }
}

impl Keyring for KeyFile {
    fn generate<'a>(&'a self, _: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        only_opened()
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        let unwrapped = refuse_test_copies(copies)
            .and_then(|()| unwrap_with(&self.0, Provider::LOCAL, copies, binding, is_wanted));
        Box::pin(async { unwrapped })
    }
}

/// All that can open the vectors, under both keyring names.
struct VectorKeyring(Vec<Box<dyn Keyring>>);

impl VectorKeyring {
    fn new(keys: &Keys, store: &Arc<VectorStore>) -> Self {
        let branches = HierarchicalKeyring::shared(Arc::new(KeyFile::new(keys)), Arc::clone(store) as _);
        Self(vec![Box::new(KeyFile::new(keys)), Box::new(branches)])
    }
}

impl Keyring for VectorKeyring {
    fn generate<'a>(&'a self, _: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        only_opened()
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move {
            let mut failure = Error::new(ErrorKind::KeyMissing);
            for keyring in &self.0 {
                match keyring.unwrap(copies, binding, is_wanted).await {
                    Ok(data_key) => return Ok(data_key),
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        })
    }
}

/// The records of the vectors, wrapped under the first key of the key file.
struct VectorStore(HashMap<KeyId, KeyRecord>);

impl VectorStore {
    fn new(keys: &Keys) -> Self {
        let kek = KeyEncryptionKey::from_key(data_key(&keys.keks[0].kek));
        let record = |stored: &StoredKey| {
            let slot = KeySlot {
                keyring: stored.keyring.as_str().into(),
                context: Arc::new(EncryptionContext::new(&stored.context).unwrap()),
                purpose: Purpose::from_byte(stored.purpose).unwrap(),
            };
            let state = KeyState::from_name(&stored.state).unwrap();
            let binding =
                KeyBinding { context: Arc::clone(&slot.context), purpose: slot.purpose, epoch: stored.epoch };
            let copies = match state {
                KeyState::Destroyed => Vec::new(),
                _ => vec![WrappedKey {
                    provider: Provider::LOCAL,
                    key_name: kek.id().to_string(),
                    blob: kek.wrap(&data_key(&stored.data_key), &binding).unwrap(),
                }],
            };
            let key_id = KeyId::parse(&stored.key_id).unwrap();
            (key_id, KeyRecord { key_id, slot, epoch: stored.epoch, state, created: String::new(), copies })
        };
        Self(keys.data_keys.iter().map(record).collect())
    }
}

impl KeyStore for VectorStore {
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move { Ok(self.0.get(&key_id).cloned()) })
    }

    fn active<'a>(&'a self, _: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        only_opened()
    }

    fn elected<'a>(&'a self, _: &'a KeySlot, _: u32) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        only_opened()
    }

    fn elect<'a>(&'a self, _: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        only_opened()
    }

    fn insert<'a>(&'a self, _: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        only_opened()
    }

    fn replace<'a>(&'a self, _: &'a KeyRecord, _: &'a KeyRecord) -> BoxFuture<'a, Result<bool>> {
        only_opened()
    }

    fn list<'a>(&'a self, _: Option<KeyId>, _: usize) -> BoxFuture<'a, Result<Vec<ListedKey>>> {
        only_opened()
    }
}

fn only_opened<T: Send>() -> BoxFuture<'static, Result<T>> {
    Box::pin(async { Err(Error::new(ErrorKind::Configuration).message("the vectors are only opened")) })
}

fn leak(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

/// A place as the vectors give it; what the types can't express is refused here.
struct BuiltPlace {
    places: RowPlaces,
    walk: Walk<'static>,
    ops: &'static TypeOps,
}

impl BuiltPlace {
    fn new(place: &Place) -> Result<Self> {
        let refused = || Error::new(ErrorKind::Configuration);
        if place.model.is_empty() || place.path.first().is_none_or(|step| step[0] != "field") {
            return Err(refused());
        }
        let ops: &'static TypeOps = Box::leak(Box::new(TypeOps {
            code: TypeCode(place.type_code),
            check: check(place.type_code & 0x7f),
            from_plaintext: |_| None,
            to_plaintext: |_| None,
        }));
        let is_padded = place.type_code & 0x80 != 0;
        match place.type_code & 0x7f {
            1 | 2 | 6 | 13 => {}
            3..=14 if !is_padded => {}
            _ => return Err(refused()),
        }
        let level = match place.level {
            2 => Level::Two,
            3 => Level::Three,
            _ => return Err(refused()),
        };
        let mut writer = RowWriter::default();
        place.write_row(&mut writer).ok_or_else(refused)?;
        let mut row = Vec::new();
        writer.finish_into(&mut row)?;
        if place.row.as_ref().is_some_and(Vec::is_empty) {
            return Err(refused());
        }
        let context = EncryptionContext::new(place.context.iter().map(|(name, value)| (name, value)))?;
        let model = Box::leak(Box::new(ModelSpec::new(leak(&place.model), &[], RowBinding::Row)));
        let cell: &'static Cell = Box::leak(Box::new(Cell::Plain(SecretBytes::copy_from(b""))));
        let mut walk = Walk::default();
        let keyring = place.keyring.as_deref().map(leak);
        walk_into(&mut walk, &place.path, level, keyring, ops, cell)?;
        Ok(Self { places: RowPlaces::of(model, context, row), walk, ops })
    }

    fn place(&self) -> ValuePlace<'_> {
        self.places.place(0, &self.walk, &self.walk.slots()[0]).unwrap()
    }
}

fn walk_into(
    walk: &mut Walk<'static>,
    path: &[Vec<String>],
    level: Level,
    keyring: Option<&'static str>,
    ops: &'static TypeOps,
    cell: &'static Cell,
) -> Result<()> {
    let Some((step, rest)) = path.split_first() else {
        walk.value(cell, ops);
        return Ok(());
    };
    let mut result = Ok(());
    let mut inner = |walk: &mut Walk<'static>| result = walk_into(walk, rest, level, keyring, ops, cell);
    match (step[0].as_str(), step.get(1)) {
        ("field", Some(name)) if !name.is_empty() => {
            let spec = FieldSpec::new(leak(name), "", Holds::Value(ops.code)).with_level(level);
            let spec = keyring.map_or(spec, |keyring| spec.with_keyring(keyring));
            walk.field(Box::leak(Box::new(spec)), &mut inner);
        }
        ("key", Some(key)) => walk.key(leak(key), &mut inner),
        ("element", None) => walk.element(&mut inner),
        _ => return Err(Error::new(ErrorKind::Configuration)),
    }
    result
}

/// The application keys of the vectors, as versions of one secret.
fn app_keys(keys: &Keys) -> AppKeys {
    let mut members = serde_json::Map::new();
    for (version, key) in keys.app_keys.iter().enumerate() {
        members.insert(format!("vectors_v{version}"), key.secret.clone().into());
    }
    members.insert("current_version".to_owned(), 0.into());
    let loaded =
        AppKeys::from_json(&serde_json::json!({ "app_encryption_keys": members }).to_string()).unwrap();
    assert!(
        loaded.versions().map(|(_, id)| id.to_string()).eq(keys.app_keys.iter().map(|key| key.id.clone()))
    );
    loaded
}

/// A cryptor with what the vector demands; `None` if this build can't have it.
fn cryptor(keys: &Keys, requires: Option<&str>) -> Option<Cryptor> {
    let store = Arc::new(VectorStore::new(keys));
    let keyring: Arc<dyn Keyring> = match requires {
        None => Arc::new(VectorKeyring::new(keys, &store)),
        Some("test-keyring") => Arc::new(TestKeyring::new()),
        Some(requires) => public_keyring(keys, requires)?,
    };
    let builder = Cryptor::envelope().shared_key_store(store).app_keys(app_keys(keys));
    let builder = builder.shared_keyring("default", Arc::clone(&keyring)).shared_keyring("high", keyring);
    Some(builder.build().unwrap())
}

#[cfg(feature = "public-keyring")]
fn public_keyring(keys: &Keys, requires: &str) -> Option<Arc<dyn Keyring>> {
    use crate::{PrivateKey, PublicKey, PublicKeyring, SenderPolicy};
    let public = |pair: &KeyPair| {
        let key: PublicKey = pair.public_key.parse().unwrap();
        assert_eq!(key.id().to_string(), pair.id);
        key
    };
    let private = |pair: &KeyPair| {
        let key = PrivateKey::from_scalar(data_key(&pair.private_key)).unwrap();
        assert_eq!(*key.public_key(), public(pair));
        key
    };
    let accepted = match requires {
        "public-keyring" => SenderPolicy::Authenticated(keys.sender_keys.iter().map(public).collect()),
        "public-keyring-base" => SenderPolicy::AnyoneWithThePublicKey,
        _ => return None,
    };
    let keyring = PublicKeyring::reader(keys.private_keys.iter().map(private), accepted).unwrap();
    Some(Arc::new(keyring))
}

#[cfg(not(feature = "public-keyring"))]
fn public_keyring(_: &Keys, _: &str) -> Option<Arc<dyn Keyring>> {
    None
}

async fn open(cryptor: &Cryptor, vector: &Vector) -> Result<SecretBytes> {
    let built = BuiltPlace::new(&vector.place)?;
    let text = Ciphertext::parse(vector.text.as_str())?;
    let batch = [OpenItem { place: built.place(), text: &text }];
    let plain = cryptor.backend().open(&batch).await?.pop().unwrap()?;
    let plain = match vector.place.type_code & 0x80 {
        0 => plain,
        _ => unpadded(&plain).ok_or_else(|| Error::new(ErrorKind::Malformed))?,
    };
    if (built.ops.check)(plain.expose()) { Ok(plain) } else { Err(Error::new(ErrorKind::Malformed)) }
}

/// Whether bytes are a value of the type.
fn check(type_code: u8) -> fn(&[u8]) -> bool {
    match type_code {
        1 => <String as PiiValue>::check,
        3 => |bytes| encoding::BOOL(bytes).is_some(),
        4 => |bytes| encoding::INTEGER(bytes).is_some(),
        5 => |bytes| encoding::DATE(bytes).is_some(),
        6 => <Json<Value> as PiiValue>::check,
        7 => |bytes| encoding::FLOAT(bytes).is_some(),
        8 => |bytes| encoding::UUID(bytes).is_some(),
        9 => |bytes| encoding::TIME(bytes).is_some(),
        10 => |bytes| encoding::INSTANT(bytes).is_some(),
        11 => |bytes| encoding::LOCAL_DATE_TIME(bytes).is_some(),
        12 => |bytes| encoding::DECIMAL(bytes).is_some(),
        13 => encoding::is_enum,
        14 => |bytes| encoding::ZONED(bytes).is_some(),
        _ => |_| true,
    }
}

fn file(name: &str) -> File {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

const VALUES: &str = "format-v2.json";
const DOCUMENTS: &str = "documents-v2.json";

#[tokio::test]
async fn every_valid_vector_opens_and_every_other_is_refused() {
    let file = file(VALUES);
    let (mut opened, mut refused, mut planned) = (0, 0, 0);
    let mut of_level_3 = (0, 0);
    for vector in &file.vectors {
        let is_padded = vector.place.type_code & 0x80 != 0;
        let has_type = matches!(vector.place.type_code, 1 | 6);
        // padding and further types are specified now and written by later releases
        if (vector.stage.as_deref() == Some("type") && !has_type) || (is_padded && vector.valid) {
            planned += 1;
            continue;
        }
        let Some(cryptor) = cryptor(&file.keys, vector.requires.as_deref()) else {
            planned += 1;
            continue;
        };
        let result = open(&cryptor, vector).await;
        match (vector.valid, result) {
            (true, Ok(plain)) => {
                let expected = bytes(&vector.plaintext).repeat(vector.plaintext_repeat.unwrap_or(1));
                assert!(
                    plain.expose() == expected,
                    "vector {} ({}) opens to something else",
                    vector.id,
                    vector.name
                );
                opened += 1;
                of_level_3.0 += u32::from(vector.place.level == 3);
            }
            (true, Err(error)) => panic!("vector {} ({}) does not open: {error}", vector.id, vector.name),
            (false, Ok(_)) => panic!("vector {} ({}) must be refused", vector.id, vector.name),
            (false, Err(_)) => {
                refused += 1;
                of_level_3.1 += u32::from(vector.place.level == 3);
            }
        }
    }
    assert!(
        opened >= 100 && refused >= 200,
        "{opened} opened, {refused} refused, {planned} for later releases"
    );
    assert!(of_level_3.0 >= 7 && of_level_3.1 >= 22, "{of_level_3:?} of level 3");
}

#[test]
fn a_writer_gives_the_same_text_for_the_same_nonce() {
    assert!(written(&file(VALUES)) >= 107);
    assert!(written(&file(DOCUMENTS)) >= 20);
}

/// How many vectors were written again.
fn written(file: &File) -> u32 {
    let mut written = 0;
    for vector in file.vectors.iter().filter(|vector| vector.valid) {
        if vector.place.type_code & 0x80 != 0 {
            continue;
        }
        let built = BuiltPlace::new(&vector.place).unwrap();
        let nonce: [u8; 24] = bytes(vector.nonce.as_ref().unwrap()).try_into().unwrap();
        let mut buffer = Vec::new();
        let decoded = decode_text(&vector.text, &mut buffer).unwrap();
        let parts = Parts::parse(decoded).unwrap();
        let header = decoded[..decoded.len() - parts.body.len() - nonce.len()].to_vec();
        let Some(stored) =
            file.keys.data_keys.iter().find(|stored| stored.key_id == parts.key_id.to_string())
        else {
            continue;
        };
        if stored.data_key.is_empty() {
            continue;
        }
        let mut associated_data = Vec::new();
        let mut body = bytes(&vector.plaintext).repeat(vector.plaintext_repeat.unwrap_or(1));
        if let (Some(app_key_id), Some(nonce)) = (&vector.app_key_id, &vector.inner_nonce) {
            let secret = &file.keys.app_keys.iter().find(|key| key.id == *app_key_id).unwrap().secret;
            let key_id = KeyId::parse(app_key_id).unwrap();
            let nonce: [u8; 24] = bytes(nonce).try_into().unwrap();
            let (first, second) = halves(&nonce);
            built.place().write_alternative_of(Envelope::Inner, 0, key_id, &mut associated_data);
            let key = app_key(secret).for_opening(first);
            let tag = key.seal(second, &associated_data, &mut body).ok().unwrap();
            body = [inner::head(key_id).as_slice(), &nonce, &body, &tag].concat();
        }
        built.place().write_associated_data(parts.key_id, &mut associated_data);
        let (first, second) = halves(&nonce);
        let key = XaesKey::new(&expand(data_key(&stored.data_key).expose_bytes(), KeyLabel::Seal));
        let tag = key.derive(first).seal(second, &associated_data, &mut body).ok().unwrap();
        let text = encode_text(&[header, nonce.to_vec(), body, tag.to_vec()].concat());
        assert_eq!(text.as_str(), vector.text, "vector {} ({})", vector.id, vector.name);
        written += 1;
    }
    written
}

#[tokio::test]
async fn documents_of_the_vectors_open_in_place_and_no_other_value_does() {
    let file = file(DOCUMENTS);
    let cryptor = cryptor(&file.keys, None).unwrap();
    let (mut opened, mut refused) = (0, 0);
    for vector in &file.vectors {
        let result = open(&cryptor, vector).await;
        assert_eq!(result.is_ok(), vector.valid, "vector {} ({})", vector.id, vector.name);
        let Some(document) = &vector.document else {
            refused += 1;
            continue;
        };
        let context = EncryptionContext::new(vector.place.context.iter().map(|(name, value)| (name, value)));
        let documents = Documents::new(leak(&vector.place.model))
            .context(context)
            .level(if vector.place.level == 3 { Level::Three } else { Level::Two })
            .paths([&document.rule])
            .unwrap();
        let mut found = document.sealed_document.clone();
        documents.decrypt_fields(&cryptor, &mut found, &vector.place).await.unwrap();
        assert_eq!(found, document.opened_document, "vector {} ({})", vector.id, vector.name);
        if document.rule == "$" {
            let found: Value = documents.decrypt(&cryptor, &vector.text, &vector.place).await.unwrap();
            assert_eq!(found, document.opened_document);
        }
        opened += 1;
    }
    assert!(opened >= 22 && refused >= 16, "{opened} opened, {refused} refused");
}

fn encode_text(bytes: &[u8]) -> Ciphertext {
    TextEncoder::default().encode(bytes).unwrap()
}

/// Every bit, character and truncation of every valid vector up to 1 KiB; larger ones by sample.
#[tokio::test]
async fn every_change_of_a_valid_vector_is_refused() {
    let file = file(VALUES);
    let mut tried = 0_u32;
    for vector in file.vectors.iter().filter(|vector| vector.valid) {
        if vector.requires.is_some() {
            continue;
        }
        let cryptor = cryptor(&file.keys, None).unwrap();
        let built = BuiltPlace::new(&vector.place).unwrap();
        let mut buffer = Vec::new();
        let decoded = decode_text(&vector.text, &mut buffer).unwrap().to_vec();
        let copies = Parts::parse(&decoded).unwrap().copies.map_or(18..18, |block| 18..20 + block.len());
        let step = if decoded.len() <= 1024 { 1 } else { decoded.len() / 256 };
        let mut changed: Vec<String> = Vec::new();
        for at in (0..decoded.len()).step_by(step).filter(|at| !copies.contains(at)) {
            for bit in 0..8 {
                let mut bytes = decoded.clone();
                bytes[at] ^= 1 << bit;
                changed.push(encode_text(&bytes).as_str().to_owned());
            }
            changed.push(encode_text(&decoded[..at]).as_str().to_owned());
        }
        changed.push(encode_text(&[decoded.as_slice(), &[0]].concat()).as_str().to_owned());
        for at in (0..vector.text.len()).step_by(step) {
            changed.push(vector.text[..at].to_owned());
            let in_copies = at >= 4 && copies.start < copies.end && {
                let byte = (at - 4) / 4 * 3;
                byte + 3 > copies.start && byte < copies.end
            };
            for other in ["A", "B", "/", "=", "-", " ", "\n", "é"] {
                if in_copies || vector.text[at..].starts_with(other) {
                    continue;
                }
                changed.push([&vector.text[..at], other, &vector.text[at + 1..]].concat());
            }
            changed.push([&vector.text[..at], "\n", &vector.text[at..]].concat());
        }
        changed.push(format!("{}A", vector.text));
        changed.push(format!("{}=", vector.text));
        // texts that parse go through the cryptor in one batch
        let parsed: Vec<Ciphertext> =
            changed.iter().filter_map(|text| Ciphertext::parse(text.as_str()).ok()).collect();
        assert!(parsed.iter().all(|text| text.as_str() != vector.text));
        let batch: Vec<_> = parsed.iter().map(|text| OpenItem { place: built.place(), text }).collect();
        for (result, text) in cryptor.backend().open(&batch).await.unwrap().into_iter().zip(&parsed) {
            assert!(result.is_err(), "vector {} ({}) opens as {text}", vector.id, vector.name);
        }
        tried += u32::try_from(changed.len()).unwrap();
    }
    assert!(tried > 100_000, "{tried}");
}

/// The vectors of the XAES-256-GCM specification, the accumulated ones too.
#[test]
fn xaes_agrees_with_its_specification() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/xaes-256-gcm.json");
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let text = |value: &Value, name: &str| bytes(value[name].as_str().unwrap());
    let mut checked = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let key: [u8; 32] = text(vector, "key").try_into().unwrap();
        let nonce: [u8; 24] = text(vector, "nonce").try_into().unwrap();
        let mut body = text(vector, "plaintext");
        let (first, second) = halves(&nonce);
        let tag =
            XaesKey::new(&key).derive(first).seal(second, &text(vector, "aad"), &mut body).ok().unwrap();
        body.extend_from_slice(&tag);
        assert_eq!(body, text(vector, "ciphertext"));
        checked += 1;
    }
    assert_eq!(checked, 2);
    let accumulated = &file["accumulated"];
    let (mut stream, mut hash) = (Shake128::default().finalize_xof(), Shake128::default());
    let mut done = 0;
    for result in accumulated["results"].as_array().unwrap() {
        let iterations = result["iterations"].as_u64().unwrap();
        while done < iterations {
            accumulate(&mut stream, &mut hash);
            done += 1;
        }
        let mut digest = [0; 32];
        hash.clone().finalize_xof().read(&mut digest);
        assert_eq!(digest.as_slice(), text(result, "hash"), "after {iterations} iterations");
    }
    assert_eq!(done, 1_000_000);
}

/// One iteration: key, nonce, plaintext and additional data from the stream, the ciphertext into the hash.
fn accumulate(stream: &mut impl XofReader, hash: &mut Shake128) {
    let (mut key, mut nonce) = ([0; 32], [0; 24]);
    stream.read(&mut key);
    stream.read(&mut nonce);
    let mut some = || {
        let mut length = [0];
        stream.read(&mut length);
        let mut bytes = vec![0; length[0].into()];
        stream.read(&mut bytes);
        bytes
    };
    let (mut body, aad) = (some(), some());
    let (first, second) = halves(&nonce);
    let tag = XaesKey::new(&key).derive(first).seal(second, &aad, &mut body).ok().unwrap();
    hash.update(&body);
    hash.update(&tag);
}

#[test]
fn the_types_of_these_releases_have_their_codes() {
    assert_eq!(<Encrypted<String> as crate::PiiField>::HOLDS.type_code(), Some(TypeCode::UTF8));
    assert_eq!(<Encrypted<Json<Value>> as crate::PiiField>::HOLDS.type_code(), Some(TypeCode::JSON));
}
