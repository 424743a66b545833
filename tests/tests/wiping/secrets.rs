//! Secrets that are known, and the files they are in.

use std::{fs, hint::black_box, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use pii::{
    BoxFuture, DataKey, GeneratedKey, KeyBinding, KeyService, Keyring, PrivateKey, Result, SecretBytes,
    ServiceContext, ServiceDataKey, WrappedKey,
};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::memory::watch;

const KEY_ENCRYPTION_KEY: u8 = 3;
const DATA_KEY: u8 = 29;
const PLAINTEXT: u8 = 61;
const APP_SECRET: u8 = 7;

/// A secret that stands nowhere in the program: made byte by byte, where it stays. An array would leave copies on the
/// stack where it is moved, and those would get into blocks as the bytes that the small variants of an enum don't use.
fn secret(length: u8, seed: u8, first: u8, characters: u8) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(usize::from(length)));
    for index in 0..length {
        out.push(black_box(first + (index.wrapping_mul(37).wrapping_add(seed) % characters)));
    }
    out
}

fn key(seed: u8) -> Zeroizing<Vec<u8>> {
    secret(32, seed, b'!', 90)
}

fn data_key() -> DataKey {
    DataKey::from_slice(&key(DATA_KEY)).unwrap()
}

pub(crate) fn plaintext() -> Zeroizing<String> {
    let bytes = secret(40, PLAINTEXT, b'!', 90);
    Zeroizing::new(std::str::from_utf8(&bytes).unwrap().to_owned())
}

/// Without characters that JSON escapes.
pub(crate) fn app_secret() -> Zeroizing<Vec<u8>> {
    secret(48, APP_SECRET, b'0', 10)
}

fn expand(key: &[u8], label: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(vec![0; 32]);
    Hkdf::<Sha256>::from_prk(key).unwrap().expand(label.as_bytes(), &mut out).unwrap();
    out
}

fn write_owned(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// Writes the files and begins to watch their secrets. The frame of the test must not hold any of it.
#[inline(never)]
pub(crate) fn prepare(folder: &Path) {
    watch("plaintext", plaintext().as_bytes());
    write_key_file(folder);
    write_app_keys(folder);
    for name in ["reader.key", "sender.key"] {
        write_private_key(&folder.join(name));
    }
    let data_key = key(DATA_KEY);
    watch("data key", &data_key);
    watch("seal key", &expand(&data_key, "pii/v2/seal"));
    watch("wrapping key of a branch key", &expand(&data_key, "pii/v2/subject-wrap"));
    watch("wrapping key of a private key", &expand(&data_key, "pii/v2/private-key"));
}

fn write_key_file(folder: &Path) {
    let key = key(KEY_ENCRYPTION_KEY);
    let text = Zeroizing::new(STANDARD.encode(&*key));
    let id = DataKey::from_slice(&key).unwrap().id();
    let file = Zeroizing::new(format!("pii-key-file 1\nprimary {id}\nkey {id} {}\n", *text));
    write_owned(&folder.join("pii.key"), &file);
    watch("key-encryption key", &key);
    watch("key-encryption key in base64", text.as_bytes());
    watch("wrapping key", &expand(&key, "pii/v2/local-wrap"));
}

fn write_app_keys(folder: &Path) {
    let secret = app_secret();
    let text = std::str::from_utf8(&secret).unwrap();
    let file = Zeroizing::new(format!(
        r#"{{"app_encryption_keys": {{"level3_app_key_v1": "{text}", "current_version": 1}}}}"#
    ));
    write_owned(&folder.join("app-keys.json"), &file);
    let (extracted, _) = Hkdf::<Sha256>::extract(Some(b"pii/v2/app"), &secret);
    let app_key = Zeroizing::new(<[u8; 32]>::from(extracted));
    watch("application secret", &secret);
    watch("application key", &*app_key);
    watch("inner key", &expand(&*app_key, "pii/v2/inner-key"));
}

fn write_private_key(path: &Path) {
    PrivateKey::create(path).unwrap();
    let text = Zeroizing::new(fs::read_to_string(path).unwrap());
    let base64 = text.trim_end().rsplit(' ').next().unwrap();
    let mut key = Zeroizing::new([0_u8; 36]);
    assert_eq!(STANDARD.decode_slice(base64, &mut *key).unwrap(), 32);
    watch("private key in base64", base64.as_bytes());
    watch("private key", &key[..32]);
    // as numbers are kept, the least significant byte first
    key[..32].reverse();
    watch("private key as a number", &key[..32]);
}

/// A keyring whose data keys are all the one that is watched.
pub(crate) struct KnownDataKey<K>(pub(crate) K);

impl<K: Keyring> Keyring for KnownDataKey<K> {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            let data_key = data_key();
            let copies = self.0.wrap(&data_key, binding).await?;
            Ok(GeneratedKey { data_key, copies })
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        self.0.unwrap(copies, binding, is_wanted)
    }
}

/// A key service whose data keys are all the one that is watched.
pub(crate) struct KnownServiceKey;

impl KeyService for KnownServiceKey {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        _: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>> {
        let plaintext = SecretBytes::copy_from(&key(DATA_KEY));
        let made = ServiceDataKey { plaintext, blob: b"wrapped".to_vec(), key_arn: key_id.to_owned() };
        Box::pin(std::future::ready(Ok(made)))
    }

    fn decrypt<'a>(
        &'a self,
        _: Option<&'a str>,
        blob: &'a [u8],
        _: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>> {
        // what is not a wrapped data key stands for the value itself
        let answer = if blob == b"wrapped" {
            SecretBytes::copy_from(&key(DATA_KEY))
        } else {
            SecretBytes::copy_from(plaintext().as_bytes())
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// A keyring whose data keys are watched as soon as they are made.
pub(crate) struct Watched<K> {
    pub(crate) inner: K,
    pub(crate) data_key: &'static str,
    pub(crate) seal_key: &'static str,
}

impl<K: Keyring> Keyring for Watched<K> {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            let generated = self.inner.generate(binding).await?;
            watch(self.data_key, generated.data_key.expose_bytes());
            watch(self.seal_key, &expand(generated.data_key.expose_bytes(), "pii/v2/seal"));
            Ok(generated)
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        self.inner.unwrap(copies, binding, is_wanted)
    }

    fn can_unwrap(&self) -> bool {
        self.inner.can_unwrap()
    }
}
