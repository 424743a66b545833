//! Application keys from a file.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_core::future::BoxFuture;
use zeroize::Zeroizing;

use super::{AppKeySource, AppKeys};
use crate::{
    crypto::fill_random,
    durable_file::{self, Access, publish},
    error::{Error, ErrorKind, Result},
};

const WHAT: &str = "application key file";
/// Far more than any set of keys needs.
const MAX_FILE_BYTES: usize = 64 * 1024;
/// A secret that is made here: the base64 of 32 bytes.
const SECRET_BYTES: usize = 32;
const SECRET_CHARACTERS: usize = 43;

/// Application keys in a file that only its owner may read, with the text that
/// [`AppKeys::from_json`] reads. It is read again at each load, so a new version takes effect
/// without a restart.
///
/// The two locks of level 3 are worth something only where one thief can't take both keys at once:
/// keep this file apart from the key file and from the database.
///
/// ```no_run
/// # use pii_core as pii;
/// use pii::{AppKeyFile, Cryptor, LocalKeyring};
///
/// let cryptor = Cryptor::envelope()
///     .keyring(LocalKeyring::open("pii.key")?)
///     .app_keys(AppKeyFile::open("/run/secrets/app-keys.json")?)
///     .build()?;
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AppKeyFile {
    path: PathBuf,
}

impl AppKeyFile {
    /// The file at this path, which is read once to find mistakes early.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] if there is no such file, [`ErrorKind::KeyUnavailable`] if it can't
    /// be read, [`ErrorKind::Configuration`] if others may read it, and those of
    /// [`AppKeys::from_json`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let file = Self { path: path.into() };
        file.read()?;
        Ok(file)
    }

    /// Makes a file with one random key of version 1, readable by its owner only. An existing file
    /// is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the file exists, [`ErrorKind::KeyUnavailable`] if it can't be
    /// written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        publish(&path, new_text()?.as_bytes(), Access::Owner).map_err(|error| {
            let if_it_exists =
                "read it with `AppKeyFile::open`, or give another path; it is never overwritten";
            durable_file::not_made(WHAT, &path, if_it_exists, error)
        })?;
        // what counts is what the next process will read
        Self::open(path)
    }

    /// Takes the file, or makes it if there is none: for development and examples. In production a
    /// missing file should be an error: use [`AppKeyFile::open`].
    ///
    /// # Errors
    /// Those of [`AppKeyFile::open`] and [`AppKeyFile::create`].
    pub fn open_or_create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        match Self::open(&path) {
            Err(error) if error.kind() == ErrorKind::KeyMissing && !path.exists() => {
                match Self::create(&path) {
                    // another process was faster
                    Err(error) if path.exists() => Self::open(&path).map_err(|_| error),
                    created => created,
                }
            }
            opened => opened,
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<AppKeys> {
        let help = "give the path of an existing file, or make one with `AppKeyFile::create`";
        let bytes = durable_file::read_secret(WHAT, &self.path, MAX_FILE_BYTES, help)?;
        let whole = || format!("the {WHAT} `{}`", self.path.display());
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::new(ErrorKind::Configuration).message("it is not text").within(&whole()))?;
        AppKeys::from_json(text).map_err(|error| error.within(&whole()))
    }
}

impl AppKeySource for AppKeyFile {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<AppKeys>> {
        Box::pin(std::future::ready(self.read()))
    }
}

/// One random key of version 1.
fn new_text() -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    fill_random(&mut *bytes)?;
    let mut base64 = Zeroizing::new([0; SECRET_CHARACTERS]);
    let length = URL_SAFE_NO_PAD.encode_slice(bytes.as_slice(), &mut *base64).unwrap_or_default();
    let secret = base64.get(..length).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default();
    // room for everything, so that no block with a part of the secret is left behind
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str("{\"app_encryption_keys\": {\n  \"level3_app_key_v1\": \"");
    text.push_str(secret);
    text.push_str("\",\n  \"current_version\": 1\n}}\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_made_is_read_and_is_random() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app-keys.json");
        let made = AppKeyFile::create(&path).unwrap().load().await.unwrap();
        assert_eq!(made.current_version(), 1);
        let read = AppKeyFile::open_or_create(&path).unwrap().load().await.unwrap();
        assert!(made.versions().eq(read.versions()));
        let other =
            AppKeyFile::open_or_create(folder.path().join("other.json")).unwrap().load().await.unwrap();
        assert!(!made.versions().eq(other.versions()));
    }

    #[tokio::test]
    async fn each_load_reads_the_file_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app-keys.json");
        let file = AppKeyFile::create(&path).unwrap();
        let before = file.load().await.unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(file.load().await.unwrap_err().kind(), ErrorKind::KeyMissing);
        AppKeyFile::create(&path).unwrap();
        assert!(!before.versions().eq(file.load().await.unwrap().versions()));
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app-keys.json");
        fs::write(&path, "precious").unwrap();
        assert_eq!(AppKeyFile::create(&path).unwrap_err().kind(), ErrorKind::Configuration);
        assert!(AppKeyFile::open_or_create(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app-keys.json");
        AppKeyFile::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = AppKeyFile::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app-keys.json");
        let text = new_text().unwrap();
        for cut in (0..text.trim_end().len()).step_by(7) {
            let _ = fs::remove_file(&path);
            publish(&path, &text.as_bytes()[..cut], Access::Owner).unwrap();
            let error = AppKeyFile::open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let shown = format!("{error:?}");
            assert!(shown.contains("app-keys.json") && !shown.contains(&text[48..60]), "{shown}");
        }
    }
}
