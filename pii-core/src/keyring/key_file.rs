//! The key file: see FORMAT.md, "Local key file".

use std::{fmt, fs, io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::KeyBinding;
use crate::{
    crypto::{
        DataKey, KeyLabel, expand, fill_random,
        xaes::{HALF_NONCE, XaesKey, halves},
    },
    durable_file::{self, Access, publish, refuse_access_of_others},
    error::{Error, ErrorKind, Result},
    wire::{
        KeyId, NONCE_BYTES, TAG_BYTES, VERSION,
        encode::{Reader, put_lp},
    },
};

const FIRST_LINE: &str = "pii-key-file 1";
/// Far more than any key file needs.
const MAX_FILE_BYTES: usize = 64 * 1024;
const KEY_BYTES: usize = 32;

/// A key that wraps data keys; wiped when dropped.
pub(crate) struct KeyEncryptionKey {
    id: KeyId,
    key: DataKey,
}

impl KeyEncryptionKey {
    pub(super) fn generate() -> Result<Self> {
        DataKey::generate().map(Self::from_key)
    }

    pub(crate) fn from_key(key: DataKey) -> Self {
        Self { id: key.id(), key }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    fn wrapping_key(&self) -> XaesKey {
        XaesKey::new(&expand(self.key.expose_bytes(), KeyLabel::LocalWrap))
    }

    fn associated_data(&self, binding: &KeyBinding) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_lp(&mut out, KeyLabel::LocalWrap.text().as_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.push(binding.purpose.byte());
        out.extend_from_slice(&binding.epoch.to_be_bytes());
        out.extend_from_slice(binding.context.canonical_bytes());
        out
    }

    /// Nonce, wrapped key and tag: 72 bytes.
    pub(crate) fn wrap(&self, data_key: &DataKey, binding: &KeyBinding) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let (first, second) = halves(&nonce);
        let mut bytes = Zeroizing::new(*data_key.expose_bytes());
        let tag = self
            .wrapping_key()
            .derive(first)
            .seal(second, &self.associated_data(binding), &mut *bytes)
            .map_err(|_| Error::new(ErrorKind::TooLarge))?;
        Ok([nonce.as_slice(), bytes.as_slice(), tag.as_slice()].concat())
    }

    pub(super) fn unwrap(&self, blob: &[u8], binding: &KeyBinding) -> Option<DataKey> {
        let mut reader = Reader(blob);
        let first: [u8; HALF_NONCE] = reader.array()?;
        let second: [u8; HALF_NONCE] = reader.array()?;
        let mut bytes = Zeroizing::new(reader.array::<KEY_BYTES>()?);
        let tag: [u8; TAG_BYTES] = reader.array()?;
        if !reader.0.is_empty() {
            return None;
        }
        let derived = self.wrapping_key().derive(&first);
        derived.open(&second, &self.associated_data(binding), &mut *bytes, &tag).ok()?;
        Some(DataKey::take(&mut bytes))
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({})", self.id)
    }
}

pub(super) fn read(path: &Path) -> Result<(Vec<KeyEncryptionKey>, usize)> {
    let unreadable = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::KeyMissing,
            _ => ErrorKind::KeyUnavailable,
        };
        Error::new(kind)
            .message(format!("the key file `{}` cannot be read", path.display()))
            .help("give the path of an existing key file, or make one with `LocalKeyring::create`")
            .source(error)
    };
    let mut file = fs::File::open(path).map_err(unreadable)?;
    refuse_access_of_others("key file", path, &file.metadata().map_err(unreadable)?)?;
    let bytes = durable_file::read(&mut file, MAX_FILE_BYTES).map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged(path, "it is not text"))?;
    parse(text).map_err(|why| damaged(path, &why))
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Configuration)
        .message(format!("the key file `{}` is damaged: {why}", path.display()))
        .help("restore it from a backup; a damaged key can't be repaired")
}

fn parse(text: &str) -> Result<(Vec<KeyEncryptionKey>, usize), String> {
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, line)| line) != Some(FIRST_LINE) {
        return Err(format!("its first line is not `{FIRST_LINE}`"));
    }
    let mut primary = None;
    let mut keys: Vec<KeyEncryptionKey> = Vec::new();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let number = index + 1;
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("primary"), Some(id), None, None) => {
                let id = KeyId::parse(id).ok_or_else(|| format!("line {number} has no key id"))?;
                if primary.replace(id).is_some() {
                    return Err(format!("line {number} names a second primary key"));
                }
            }
            (Some("key"), Some(id), Some(base64), None) => {
                let id = KeyId::parse(id).ok_or_else(|| format!("line {number} has no key id"))?;
                let key = parse_key(base64).ok_or_else(|| format!("line {number} has no key of 32 bytes"))?;
                if key.id() != id {
                    return Err(format!("the key in line {number} is not the one that its id names"));
                }
                if keys.iter().any(|known| known.id() == id) {
                    return Err(format!("line {number} repeats a key"));
                }
                keys.push(key);
            }
            _ => {
                return Err(format!(
                    "line {number} is neither a comment, nor `primary ID`, nor `key ID BASE64`"
                ));
            }
        }
    }
    let primary = primary.ok_or("it names no primary key")?;
    let index =
        keys.iter().position(|key| key.id() == primary).ok_or("the primary key is not among its keys")?;
    Ok((keys, index))
}

fn parse_key(base64: &str) -> Option<KeyEncryptionKey> {
    // room for what the decoder estimates, so that it never needs another block
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 4]);
    let length = STANDARD.decode_slice(base64, &mut *bytes).ok()?;
    DataKey::from_slice(bytes.get(..length)?).map(KeyEncryptionKey::from_key)
}

pub(super) fn create(path: &Path, keys: &[KeyEncryptionKey], primary: usize) -> Result<()> {
    let unwritable = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::AlreadyExists => ErrorKind::Configuration,
            _ => ErrorKind::KeyUnavailable,
        };
        Error::new(kind).message(format!("the key file `{}` cannot be made", path.display())).source(error)
    };
    let mut text = Zeroizing::new(String::with_capacity(256 + 128 * keys.len()));
    text.push_str(FIRST_LINE);
    text.push_str("\n# Whoever can read this file can open every value. Keep it apart from the database.\n");
    if let Some(primary) = keys.get(primary) {
        text.push_str(&format!("primary {}\n", primary.id()));
    }
    for key in keys {
        text.push_str(&format!("key {} ", key.id()));
        let mut base64 = Zeroizing::new([0; 44]);
        if let Ok(length) = STANDARD.encode_slice(key.key.expose_bytes(), &mut *base64) {
            text.push_str(
                base64.get(..length).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default(),
            );
        }
        text.push('\n');
    }
    publish(path, text.as_bytes(), Access::Owner).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(keys: &[KeyEncryptionKey]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        create(&path, keys, 0).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let keys = [KeyEncryptionKey::generate().unwrap(), KeyEncryptionKey::generate().unwrap()];
        let (read, primary) = parse(&text_of(&keys)).unwrap();
        assert_eq!(
            read.iter().map(KeyEncryptionKey::id).collect::<Vec<_>>(),
            keys.each_ref().map(KeyEncryptionKey::id)
        );
        assert_eq!(primary, 0);
    }

    #[test]
    fn every_damage_is_found_and_no_error_shows_key_bytes() {
        let text = text_of(&[KeyEncryptionKey::generate().unwrap()]);
        let secret = text.trim_end().rsplit(' ').next().unwrap().to_owned();
        let start = text.find("primary").unwrap();
        for at in (0..FIRST_LINE.len()).chain(start..text.len() - 1) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let why = parse(std::str::from_utf8(&bytes).unwrap()).unwrap_err();
            assert!(!why.contains(&secret[..8]), "{why}");
            assert!(parse(&text[..at]).is_err());
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        create(&path, &[KeyEncryptionKey::generate().unwrap()], 0).unwrap();
        assert!(read(&path).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        fs::write(&path, "precious").unwrap();
        let error = create(&path, &[KeyEncryptionKey::generate().unwrap()], 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
