//! Public and private keys, and the texts and files in which they are kept.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::suite::{POINT_BYTES, SCALAR_BYTES, is_point, point_of};
use crate::{
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    keyring::key_file::{create_owned, damaged, parse_key, push_key, read_owned},
    wire::{KeyId, encode::put_lp},
};

const TEXT_PREFIX: &str = "pii-public-key:p256:";
const ID_LABEL: &str = "pii/v2/public-key-id";
const FIRST_LINE: &str = "pii-private-key 1";

/// A public key of P-256: whoever has it can seal, and not open.
///
/// Its text is `pii-public-key:p256:` and base64. It belongs in the configuration of the program
/// that writes, where nobody can change it who may only write to the database.
///
/// ```
/// # use pii_core as pii;
/// use pii::{PrivateKey, PublicKey};
///
/// let public = PrivateKey::generate()?.public_key().clone();
/// let text = public.to_string();
/// assert!(text.starts_with("pii-public-key:p256:"));
/// assert_eq!(text.parse::<PublicKey>()?, public);
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    point: [u8; POINT_BYTES],
}

impl PublicKey {
    fn from_point(point: [u8; POINT_BYTES]) -> Self {
        let mut named = Vec::new();
        put_lp(&mut named, ID_LABEL.as_bytes());
        named.extend_from_slice(&point);
        let hash: [u8; 32] = Sha256::digest(&named).into();
        let mut id = [0; 16];
        id.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        Self { id: KeyId::from_bytes(id), point }
    }

    /// Names the key: 16 bytes of a hash.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn point(&self) -> &[u8; POINT_BYTES] {
        &self.point
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads exactly what `to_string` gives.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::Configuration)
                .message(format!("this is no public key: {what}"))
                .help(format!("a public key is `{TEXT_PREFIX}` and 88 characters of base64"))
        };
        let base64 = text.strip_prefix(TEXT_PREFIX).ok_or_else(|| wrong("it begins with something else"))?;
        let bytes = STANDARD.decode(base64).map_err(|_| wrong("its base64 is damaged"))?;
        let point: [u8; POINT_BYTES] =
            bytes.try_into().map_err(|_| wrong("it has not the length of an uncompressed point"))?;
        if !is_point(&point) {
            return Err(wrong("it is not a point of the curve P-256"));
        }
        Ok(Self::from_point(point))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TEXT_PREFIX}{}", STANDARD.encode(self.point))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

/// A private key of P-256: it opens what was sealed to its public key, or proves who sealed. Wiped
/// when the last clone is dropped, never printed.
#[derive(Clone)]
pub struct PrivateKey {
    scalar: Arc<DataKey>,
    public: PublicKey,
}

impl PrivateKey {
    /// A fresh key from the operating system's generator, in memory only.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnavailable`] if the generator fails.
    pub fn generate() -> Result<Self> {
        // one in 2^32 is not below the order of the curve
        for _ in 0..8 {
            if let Some(key) = Self::from_scalar(DataKey::generate()?) {
                return Ok(key);
            }
        }
        Err(Error::new(ErrorKind::KeyUnavailable).message("the random generator gave no private key"))
    }

    pub(crate) fn from_scalar(scalar: DataKey) -> Option<Self> {
        let public = PublicKey::from_point(point_of(scalar.expose_bytes())?);
        Some(Self { scalar: Arc::new(scalar), public })
    }

    /// Makes a file with a new key, readable by its owner only. An existing file is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the file exists, [`ErrorKind::KeyUnavailable`] if it can't
    /// be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let if_it_exists = "read it with `PrivateKey::open`, or give another path; it is never overwritten";
        create_owned(path, &Self::generate()?.to_file(), if_it_exists)?;
        // what counts is what the next process will read
        Self::open(path)
    }

    /// Reads a file that [`PrivateKey::create`] made.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] if there is no such file, [`ErrorKind::KeyUnavailable`] if it
    /// can't be read, [`ErrorKind::Configuration`] if others may read it, or if it is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes =
            read_owned(path, "give the path of an existing file, or make one with `PrivateKey::create`")?;
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged(path, "it is not text"))?;
        Self::from_file(text).map_err(|why| damaged(path, why))
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn scalar(&self) -> &[u8; SCALAR_BYTES] {
        self.scalar.expose_bytes()
    }

    pub(super) fn as_data_key(&self) -> &DataKey {
        &self.scalar
    }

    fn to_file(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str(FIRST_LINE);
        text.push_str("\n# Whoever can read this file has the private key of\n# ");
        text.push_str(&self.public.to_string());
        text.push_str(&format!("\np256 {} ", self.public.id));
        push_key(&mut text, self.scalar());
        text.push('\n');
        text
    }

    fn from_file(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err("its first line is not `pii-private-key 1`");
        }
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err("it has not one key") };
        let mut words = line.split(' ');
        let (Some("p256"), Some(id), Some(base64), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("it has no line `p256 ID BASE64`");
        };
        let key = parse_key(base64).and_then(Self::from_scalar).ok_or("its key is no key of P-256")?;
        if KeyId::parse(id) != Some(key.public.id) {
            return Err("its key is not the one that its id names");
        }
        Ok(key)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_parsed_strictly() {
        let public = PrivateKey::generate().unwrap().public_key().clone();
        let text = public.to_string();
        assert_eq!(text.len(), TEXT_PREFIX.len() + 88);
        assert_eq!(text.parse::<PublicKey>().unwrap(), public);
        let encoded = |bytes: &[u8]| format!("{TEXT_PREFIX}{}", STANDARD.encode(bytes));
        let point = public.point;
        let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
        let mut off_curve = point;
        off_curve[64] ^= 1;
        let mut hybrid = point;
        hybrid[0] = 6 + (point[64] & 1);
        let wrong = [
            String::new(),
            text.to_uppercase(),
            format!(" {text}"),
            format!("{text}\n"),
            text.trim_end_matches('=').to_owned(),
            text.replace("p256", "x25519"),
            encoded(&compressed),
            encoded(&off_curve),
            encoded(&hybrid),
            encoded(&point[..64]),
            encoded(&[point.as_slice(), &[0]].concat()),
            encoded(&[0]),
            encoded(&[0; POINT_BYTES]),
        ];
        for text in wrong {
            assert_eq!(text.parse::<PublicKey>().unwrap_err().kind(), ErrorKind::Configuration, "{text}");
        }
    }

    #[test]
    fn a_file_keeps_the_key_and_every_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reader.key");
        let key = PrivateKey::create(&path).unwrap();
        assert_eq!(PrivateKey::open(&path).unwrap().scalar(), key.scalar());
        assert_eq!(PrivateKey::create(&path).unwrap_err().kind(), ErrorKind::Configuration);
        assert_eq!(PrivateKey::open(folder.path().join("no")).unwrap_err().kind(), ErrorKind::KeyMissing);
        let text = key.to_file();
        let secret = text.trim_end().rsplit(' ').next().unwrap();
        let start = text.find("p256 ").unwrap();
        for at in (0..FIRST_LINE.len()).chain(start..text.len() - 1) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let why = PrivateKey::from_file(std::str::from_utf8(&bytes).unwrap()).unwrap_err();
            assert!(!why.contains(&secret[..8]), "{why}");
        }
        let twice = format!("{}{}", *text, &text[start..]);
        assert!(PrivateKey::from_file(&twice).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let error = PrivateKey::open(&path).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn debug_shows_ids_only() {
        let key = PrivateKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("PrivateKey(of {})", key.public.id));
        assert_eq!(format!("{:?}", key.public), format!("PublicKey({})", key.public.id));
    }
}
