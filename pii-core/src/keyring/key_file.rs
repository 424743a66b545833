//! The key file: see FORMAT.md, "Local key file".

use std::{fs, io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::key_encryption_key::KeyEncryptionKey;
use crate::{
    crypto::DataKey,
    durable_file::{self, Access, publish, replace},
    error::{Error, ErrorKind, Result},
    wire::KeyId,
};

const FIRST_LINE: &str = "pii-key-file 1";
/// Far more than any key file needs.
const MAX_FILE_BYTES: usize = 64 * 1024;
const KEY_BYTES: usize = 32;

pub(super) fn read(path: &Path) -> Result<(Vec<KeyEncryptionKey>, usize)> {
    let help = "give the path of an existing key file, or make one with `LocalKeyring::create`";
    let bytes = read_owned(path, help)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged(path, "it is not text"))?;
    parse(text).map_err(|why| damaged(path, &why))
}

/// The bytes of a file that only its owner may use.
pub(super) fn read_owned(path: &Path, help: &str) -> Result<Zeroizing<Vec<u8>>> {
    durable_file::read_secret("key file", path, MAX_FILE_BYTES, help)
}

pub(super) fn damaged(path: &Path, why: &str) -> Error {
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
                let key = KeyEncryptionKey::from_key(key);
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

pub(super) fn parse_key(base64: &str) -> Option<DataKey> {
    // room for what the decoder estimates, so that it never needs another block
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 4]);
    let length = STANDARD.decode_slice(base64, &mut *bytes).ok()?;
    DataKey::from_slice(bytes.get(..length)?)
}

pub(super) fn create(path: &Path, keys: &[KeyEncryptionKey], primary: usize) -> Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(256 + 128 * keys.len()));
    text.push_str(FIRST_LINE);
    text.push_str("\n# Whoever can read this file can open every value. Keep it apart from the database.\n");
    if let Some(primary) = keys.get(primary) {
        text.push_str(&format!("primary {}\n", primary.id()));
    }
    keys.iter().for_each(|key| write_key(&mut text, key));
    let if_it_exists = "read it with `LocalKeyring::open`, add a key to it with `LocalKeyring::rotate`, or give \
                        another path; a key file is never overwritten, because what was sealed under its keys \
                        would be lost";
    create_owned(path, &text, if_it_exists)
}

/// Makes a file that only its owner may use; an existing one is left alone, and `if_it_exists` says what
/// to do then.
pub(super) fn create_owned(path: &Path, text: &str, if_it_exists: &str) -> Result<()> {
    publish(path, text.as_bytes(), Access::Owner)
        .map_err(|error| durable_file::not_made("key file", path, if_it_exists, error))
}

/// Writes the line of a key into a text that has room for it.
fn write_key(text: &mut String, key: &KeyEncryptionKey) {
    text.push_str(&format!("key {} ", key.id()));
    push_key(text, key.expose_bytes());
    text.push('\n');
}

/// Writes a key in base64 without leaving it elsewhere; the text must have room for it.
pub(super) fn push_key(text: &mut String, key: &[u8; KEY_BYTES]) {
    let mut base64 = Zeroizing::new([0; 44]);
    if let Ok(length) = STANDARD.encode_slice(key, &mut *base64) {
        text.push_str(
            base64.get(..length).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default(),
        );
    }
}

/// Adds a key to an existing file and makes it the primary one. Others who do so meanwhile wait.
pub(super) fn add_primary(path: &Path, key: &KeyEncryptionKey) -> Result<()> {
    let unwritable = |error: io::Error| {
        Error::new(ErrorKind::KeyUnavailable)
            .message(format!("the key file `{}` cannot be changed", path.display()))
            .source(error)
    };
    // also for the message if there is none, or if it is damaged
    read(path)?;
    // a link stays a link
    let path = fs::canonicalize(path).map_err(unwritable)?;
    for _ in 0..ATTEMPTS {
        let mut file = fs::File::open(&path).map_err(unwritable)?;
        file.lock().map_err(unwritable)?;
        let locked = durable_file::read(&mut file, MAX_FILE_BYTES).map_err(unwritable)?;
        let mut now = fs::File::open(&path).map_err(unwritable)?;
        if *durable_file::read(&mut now, MAX_FILE_BYTES).map_err(unwritable)? != *locked {
            // who held the lock before has put another file in its place
            continue;
        }
        let text = std::str::from_utf8(&locked).map_err(|_| damaged(&path, "it is not text"))?;
        parse(text).map_err(|why| damaged(&path, &why))?;
        let new = with_primary(text, key);
        parse(&new).map_err(|why| damaged(&path, &why))?;
        return replace(&path, new.as_bytes(), Access::Owner).map_err(unwritable);
    }
    Err(unwritable(io::Error::other("others change it all the time")))
}

/// So often in a row another process may be faster.
const ATTEMPTS: u32 = 64;

/// The same text with another primary key, which is its last one.
fn with_primary(text: &str, key: &KeyEncryptionKey) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 256));
    for line in text.lines() {
        if line.starts_with("primary ") {
            out.push_str(&format!("primary {}", key.id()));
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    write_key(&mut out, key);
    out
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
    fn a_new_primary_key_keeps_the_rest_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        let [first, second] = [(); 2].map(|()| KeyEncryptionKey::generate().unwrap());
        create(&path, std::slice::from_ref(&first), 0).unwrap();
        // as someone edits it on Windows: other line ends, no end of the last line
        let text = fs::read_to_string(&path).unwrap();
        let edited = format!("{}\n# our note", text.trim_end()).replace('\n', "\r\n");
        fs::write(&path, edited).unwrap();
        add_primary(&path, &second).unwrap();
        let (keys, primary) = read(&path).unwrap();
        assert_eq!(keys.iter().map(KeyEncryptionKey::id).collect::<Vec<_>>(), [first.id(), second.id()]);
        assert_eq!(keys[primary].id(), second.id());
        assert!(fs::read_to_string(&path).unwrap().contains("\n# our note\n"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let link = folder.path().join("link.key");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            add_primary(&link, &KeyEncryptionKey::generate().unwrap()).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(read(&path).unwrap().0.len(), 3);
        }
    }

    #[test]
    fn keys_that_are_added_at_the_same_time_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        create(&path, &[KeyEncryptionKey::generate().unwrap()], 0).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        add_primary(&path, &KeyEncryptionKey::generate().unwrap()).unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&path).unwrap().0.len(), 33);
    }

    #[test]
    fn nothing_is_added_to_a_file_that_is_damaged_or_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        let key = KeyEncryptionKey::generate().unwrap();
        assert_eq!(add_primary(&path, &key).unwrap_err().kind(), ErrorKind::KeyMissing);
        create(&path, std::slice::from_ref(&key), 0).unwrap();
        assert_eq!(add_primary(&path, &key).unwrap_err().kind(), ErrorKind::Configuration, "it is there");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("primary", "primacy")).unwrap();
        let other = KeyEncryptionKey::generate().unwrap();
        assert_eq!(add_primary(&path, &other).unwrap_err().kind(), ErrorKind::Configuration);
        assert_eq!(fs::read_to_string(&path).unwrap(), text.replace("primary", "primacy"));
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
    fn a_key_file_that_cannot_be_there_is_an_error_that_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let key = [KeyEncryptionKey::generate().unwrap()];
        let refused = |error: Error, said: &str| {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
            assert!(!error.is_retryable() && error.to_string().contains(said), "{error}");
        };
        let missing = folder.path().join("missing");
        let named = format!("no folder `{}`", missing.display());
        refused(create(&missing.join("pii.key"), &key, 0).unwrap_err(), &named);
        let path = folder.path().join("pii.key");
        create(&path, &key, 0).unwrap();
        refused(create(&path, &key, 0).unwrap_err(), "exists already");
        refused(create(&path, &key, 0).unwrap_err(), "LocalKeyring::rotate");
        refused(create(&path.join("pii.key"), &key, 0).unwrap_err(), "is not a folder");
        refused(create(folder.path(), &key, 0).unwrap_err(), "exists already");
        refused(read(folder.path()).unwrap_err(), "is a folder");
        assert!(!read(folder.path()).unwrap_err().to_string().contains("chmod"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_no_key_file_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = read(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("not a regular file"), "{error}");
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
