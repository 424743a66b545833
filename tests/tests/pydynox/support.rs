//! The emulator's blobs and the vectors that were made with them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use pii::{
    BoxFuture, Error, ErrorKind, KeyService, Pydynox, Result, SecretBytes, ServiceContext, ServiceDataKey,
};
use serde::Deserialize;

pub const MAIN: &str = "alias/pii-main";
pub const OTHER: &str = "alias/pii-other";

#[derive(Deserialize)]
pub struct Vectors {
    keys: Keys,
    pub envelope_v1: Vec<Vector>,
    pub negative: Vec<Negative>,
    pub legacy_direct_kms: Vec<Vector>,
    pub items: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize, Clone)]
struct Key {
    alias: String,
    key_id: String,
    material_hex: String,
}

#[derive(Deserialize)]
pub struct Vector {
    pub name: String,
    pub context: BTreeMap<String, String>,
    pub stored: String,
    pub plaintext: String,
    pub plaintext_sha256: Option<String>,
}

#[derive(Deserialize)]
pub struct Negative {
    pub name: String,
    pub context: BTreeMap<String, String>,
    pub stored: String,
    pub pydynox: serde_json::Value,
}

pub fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/pydynox.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A key service with the keys of the vectors, and the blobs of the emulator that they were made with:
/// key id, nonce, tag, and the ciphertext under the context's pairs in their order. Clones share counters.
#[derive(Clone)]
pub struct Emulator {
    keys: Vec<Key>,
    pub generated: Arc<AtomicUsize>,
    pub decrypted: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    pub most_at_once: Arc<AtomicUsize>,
    /// what every call answers, if anything
    pub fault: Arc<Mutex<Option<ErrorKind>>>,
}

impl Emulator {
    pub fn new() -> Self {
        Self {
            keys: vectors().keys.keys,
            generated: Arc::default(),
            decrypted: Arc::default(),
            now: Arc::default(),
            most_at_once: Arc::default(),
            fault: Arc::default(),
        }
    }

    pub fn of<N: Into<String>, V: Into<String>>(&self, context: impl IntoIterator<Item = (N, V)>) -> Pydynox {
        Pydynox::new(self.clone(), MAIN).context(context)
    }

    pub fn generated(&self) -> usize {
        self.generated.load(Ordering::SeqCst)
    }

    pub fn decrypted(&self) -> usize {
        self.decrypted.load(Ordering::SeqCst)
    }

    /// What `kms:Encrypt` gives.
    pub fn encrypt(&self, name: &str, plaintext: &[u8], context: &ServiceContext) -> Vec<u8> {
        let key = self.key(name).unwrap();
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).unwrap();
        let aad = concatenated(context);
        let sealed = key.cipher().encrypt(&nonce.into(), Payload { msg: plaintext, aad: &aad }).unwrap();
        let (ciphertext, tag) = sealed.split_last_chunk::<16>().unwrap();
        [key.key_id.as_bytes(), &nonce, tag, ciphertext].concat()
    }

    fn key(&self, name: &str) -> Result<&Key> {
        let found = self.keys.iter().find(|key| key.alias == name || key.key_id == name);
        found.ok_or_else(|| Error::new(ErrorKind::KeyMissing))
    }

    fn open(&self, name: Option<&str>, blob: &[u8], context: &ServiceContext) -> Result<SecretBytes> {
        let altered = || Error::new(ErrorKind::ContextMismatch);
        let (id, rest) = blob.split_at_checked(36).ok_or_else(altered)?;
        let (nonce, rest) = rest.split_first_chunk::<12>().ok_or_else(altered)?;
        let (tag, ciphertext) = rest.split_first_chunk::<16>().ok_or_else(altered)?;
        let key = self.key(std::str::from_utf8(id).map_err(|_| altered())?)?;
        if let Some(name) = name
            && self.key(name)?.key_id != key.key_id
        {
            return Err(Error::new(ErrorKind::KeyMissing).message("another key made it"));
        }
        let aad = concatenated(context);
        let message = [ciphertext, tag].concat();
        let plaintext = key.cipher().decrypt(nonce.into(), Payload { msg: &message, aad: &aad });
        plaintext.map(SecretBytes::from_vec).map_err(|_| altered())
    }

    /// Waits a little, so that calls overlap if they may.
    async fn arrive(&self) -> Result<()> {
        self.most_at_once.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        match *self.fault.lock().unwrap() {
            Some(kind) => Err(Error::new(kind)),
            None => Ok(()),
        }
    }
}

impl Key {
    fn cipher(&self) -> Aes256Gcm {
        let hex = self.material_hex.as_bytes().chunks_exact(2);
        let bytes: Vec<u8> =
            hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
        Aes256Gcm::new_from_slice(&bytes).unwrap()
    }
}

fn concatenated(context: &ServiceContext) -> Vec<u8> {
    context.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()].concat()).collect()
}

impl KeyService for Emulator {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>> {
        Box::pin(async move {
            self.generated.fetch_add(1, Ordering::SeqCst);
            self.arrive().await?;
            let key_arn = format!("arn:aws:kms:us-east-1:123456789012:key/{}", self.key(key_id)?.key_id);
            let mut data_key = [0; 32];
            getrandom::fill(&mut data_key).unwrap();
            let blob = self.encrypt(key_id, &data_key, context);
            Ok(ServiceDataKey { plaintext: SecretBytes::copy_from(&data_key), blob, key_arn })
        })
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>> {
        Box::pin(async move {
            self.decrypted.fetch_add(1, Ordering::SeqCst);
            self.arrive().await?;
            self.open(key_id, blob, context)
        })
    }
}

/// What a text holds, read without the code under test: the blob, the nonce, and ciphertext with tag.
pub fn parts(text: &str) -> (Vec<u8>, [u8; 12], Vec<u8>) {
    let bytes = STANDARD.decode(text.strip_prefix("ENC:").unwrap()).unwrap();
    assert_eq!(bytes[0], 1);
    let blob_end = 3 + usize::from(bytes[1]) * 256 + usize::from(bytes[2]);
    let nonce = bytes[blob_end..blob_end + 12].try_into().unwrap();
    (bytes[3..blob_end].to_vec(), nonce, bytes[blob_end + 12..].to_vec())
}

/// What pydynox reads in a text.
pub fn read_as_pydynox(emulator: &Emulator, text: &str, context: &ServiceContext) -> String {
    let (blob, nonce, message) = parts(text);
    let data_key = emulator.open(None, &blob, context).unwrap();
    let cipher = Aes256Gcm::new_from_slice(data_key.expose()).unwrap();
    String::from_utf8(cipher.decrypt(&nonce.into(), &*message).unwrap()).unwrap()
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    format!("ENC:{}", STANDARD.encode(bytes))
}

pub fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text.strip_prefix("ENC:").unwrap()).unwrap()
}

pub fn text_of(plain: &SecretBytes) -> &str {
    std::str::from_utf8(plain.expose()).unwrap()
}
