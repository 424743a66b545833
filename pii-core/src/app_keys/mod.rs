//! Application keys: the second lock of level 3 values. See FORMAT.md, "Level 3".

mod file;
mod json;
mod loaded;
mod variable;

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;

pub use file::AppKeyFile;
pub(crate) use loaded::LoadedAppKeys;
pub use variable::AppKeyVariable;

use crate::{
    crypto::{SealingKey, app_key},
    error::{Error, ErrorKind, Result},
    wire::KeyId,
};

/// A secret has at least this many characters.
const MIN_CHARACTERS: usize = 32;

/// Versioned application keys, one of which is current: it seals new values of level 3, all of them
/// open stored ones. Cloning is cheap; the keys are wiped when the last clone is dropped.
///
/// ```
/// # use pii_core as pii;
/// use pii::{AppKeys, Cryptor, TestKeyring};
///
/// let keys = AppKeys::from_json(
///     r#"{"app_encryption_keys": {
///         "level3_app_key_v1": "an example: 32 characters or more",
///         "level3_app_key_v2": "another example: random characters",
///         "current_version": 2
///     }}"#,
/// )?;
/// assert_eq!(keys.current_version(), 2);
/// let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).app_keys(keys).build()?;
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Clone)]
pub struct AppKeys {
    keys: Arc<[AppKey]>,
    current: AppKey,
}

#[derive(Clone)]
struct AppKey {
    version: u32,
    key: Arc<SealingKey>,
}

impl AppKeys {
    /// Reads the text of a secret: a JSON object whose member `app_encryption_keys` is an object of
    /// keys named `<prefix>_v<version>`, each with at least 32 random characters, and of
    /// `current_version`, an integer or its digits as a string. Nothing else may be in it.
    ///
    /// A secret with escapes, such as `\"`, passes through a buffer of the JSON parser that is not
    /// wiped: prefer letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] if the current version has no key, [`ErrorKind::Configuration`] for
    /// everything else. Errors name versions, never what is in the secret.
    pub fn from_json(text: &str) -> Result<Self> {
        let json::Secret { keys: secrets, current } = json::parse(text)?;
        let mut keys: Vec<AppKey> = Vec::new();
        for (version, secret) in secrets {
            if secret.chars().count() < MIN_CHARACTERS {
                return Err(refused(format!(
                    "the application key of version {version} has fewer than {MIN_CHARACTERS} characters"
                ))
                .help("make it of at least 32 random characters"));
            }
            let key = app_key(&secret);
            if keys.iter().any(|known| known.version == version) {
                return Err(refused(format!("two application keys have version {version}")));
            }
            if let Some(same) = keys.iter().find(|known| known.key.id() == key.id()) {
                return Err(refused(format!(
                    "the application keys of versions {} and {version} are the same",
                    same.version
                )));
            }
            keys.push(AppKey { version, key });
        }
        let current = keys.iter().find(|key| key.version == current).cloned().ok_or_else(|| {
            Error::new(ErrorKind::KeyMissing)
                .message(format!(
                    "version {current} is the current one, and there is no application key of it"
                ))
                .help("add the key to the secret, or make a version current that it has")
        })?;
        Ok(Self { keys: keys.into(), current })
    }

    /// The version that seals new values.
    #[must_use]
    pub fn current_version(&self) -> u32 {
        self.current.version
    }

    /// The versions with the ids of their keys. The id stands in the values that a key sealed.
    pub fn versions(&self) -> impl Iterator<Item = (u32, KeyId)> + '_ {
        self.keys.iter().map(|key| (key.version, key.key.id()))
    }

    pub(crate) fn current(&self) -> &Arc<SealingKey> {
        &self.current.key
    }

    pub(crate) fn find(&self, key_id: KeyId) -> Option<&Arc<SealingKey>> {
        self.keys.iter().map(|key| &key.key).find(|key| key.id() == key_id)
    }
}

impl fmt::Debug for AppKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKeys")
            .field("current_version", &self.current.version)
            .field("versions", &format_args!("{:?}", self.versions().collect::<Vec<_>>()))
            .finish()
    }
}

/// Where application keys come from: a file, an environment variable, a secrets service, or your own.
///
/// ```
/// # use pii_core as pii;
/// use pii::{AppKeySource, AppKeys, BoxFuture};
///
/// struct Vault;
///
/// impl AppKeySource for Vault {
///     fn load<'a>(&'a self) -> BoxFuture<'a, pii::Result<AppKeys>> {
///         Box::pin(async {
///             let secret = ask_the_vault().await?;
///             AppKeys::from_json(&secret)
///         })
///     }
/// }
/// # async fn ask_the_vault() -> pii::Result<String> { unimplemented!() }
/// ```
pub trait AppKeySource: Send + Sync + 'static {
    /// The keys as they are now. The cryptor keeps them for a while, asks again when they are old or
    /// when a value names a key that is not among them, and never asks twice at once.
    ///
    /// # Errors
    /// [`ErrorKind::KeyThrottled`] and [`ErrorKind::KeyUnavailable`] for what passes: keys that were
    /// loaded before are used a little longer then. Other key errors and
    /// [`ErrorKind::Configuration`] for what does not.
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<AppKeys>>;
}

/// Always the same keys.
impl AppKeySource for AppKeys {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<AppKeys>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

impl<S: AppKeySource + ?Sized> AppKeySource for Arc<S> {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<AppKeys>> {
        (**self).load()
    }
}

/// Something is wrong with the secret.
fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration).message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210fedcba9876543210";

    fn read(members: &str) -> Result<AppKeys> {
        AppKeys::from_json(&format!(r#"{{"app_encryption_keys": {{{members}}}}}"#))
    }

    fn refusal(members: &str) -> Error {
        let error = read(members).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("012345") && !shown.contains("fedcba"), "{shown}");
        error
    }

    #[test]
    fn a_secret_of_the_worked_example_gives_its_keys() {
        let keys = read(
            r#""level3_app_key_v1": "example secret, at least 32 characters long", "current_version": 1"#,
        )
        .unwrap();
        let id = KeyId::parse("e8704c6970de5baea6b049ad5d2f956c").unwrap();
        assert_eq!(keys.versions().collect::<Vec<_>>(), [(1, id)]);
        assert_eq!(keys.current().id(), id);
        assert!(keys.find(id).is_some());
        assert!(keys.find(KeyId::from_bytes([0; 16])).is_none());
    }

    #[test]
    fn versions_are_found_in_any_order_and_the_current_one_by_number_or_digits() {
        for current in ["2", "\"2\""] {
            let keys = read(&format!(
                r#""current_version": {current}, "level3_app_key_v10": "{TWO}", "other_v2": "{ONE}""#
            ))
            .unwrap();
            assert_eq!(keys.current_version(), 2);
            assert_eq!(keys.versions().map(|(version, _)| version).collect::<Vec<_>>(), [10, 2]);
        }
    }

    #[test]
    fn escapes_are_part_of_json_and_not_of_the_secret() {
        let plain = read(&format!(r#""a_v1": "{ONE}", "current_version": 1"#)).unwrap();
        let escaped = read(&format!(r#""a_v1": "\u0030{}", "current_version": 1"#, &ONE[1..])).unwrap();
        assert_eq!(plain.current().id(), escaped.current().id());
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        let error = refusal(&format!(r#""a_v7": "{}", "current_version": 7"#, "é".repeat(31)));
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("version 7"), "{error}");
        assert!(read(&format!(r#""a_v7": "{}", "current_version": 7"#, "é".repeat(32))).is_ok());
    }

    #[test]
    fn a_current_version_without_key_is_a_missing_key() {
        let error = refusal(&format!(r#""a_v1": "{ONE}", "current_version": 3"#));
        assert_eq!(error.kind(), ErrorKind::KeyMissing);
        assert!(error.to_string().contains("version 3"), "{error}");
    }

    #[test]
    fn the_same_key_or_version_twice_is_refused() {
        let error = refusal(&format!(r#""a_v1": "{ONE}", "a_v2": "{ONE}", "current_version": 1"#));
        assert!(error.to_string().contains("versions 1 and 2"), "{error}");
        let error = refusal(&format!(r#""a_v1": "{ONE}", "b_v1": "{TWO}", "current_version": 1"#));
        assert!(error.to_string().contains("version 1"), "{error}");
        let error = refusal(&format!(r#""a_v1": "{ONE}", "a_v1": "{ONE}", "current_version": 1"#));
        assert!(error.to_string().contains("version 1"), "{error}");
        refusal(&format!(r#""a_v1": "{ONE}", "current_version": 1, "current_version": 1"#));
    }

    #[test]
    fn everything_that_is_not_the_shape_is_refused_without_being_shown() {
        for members in [
            String::new(),
            format!(r#""a_v1": "{ONE}""#),
            format!(r#""current_version": 1, "{ONE}": "{TWO}""#),
            format!(r#""a_v1": "{ONE}", "current_version": -1"#),
            format!(r#""a_v1": "{ONE}", "current_version": 1.0"#),
            format!(r#""a_v1": "{ONE}", "current_version": "01""#),
            format!(r#""a_v1": "{ONE}", "current_version": "+1""#),
            format!(r#""a_v1": "{ONE}", "current_version": "{ONE}""#),
            format!(r#""a_v1": "{ONE}", "current_version": null"#),
            format!(r#""a_v01": "{ONE}", "current_version": 1"#),
            format!(r#""_v1": "{ONE}", "current_version": 1"#),
            format!(r#""a_v": "{ONE}", "current_version": 1"#),
            format!(r#""a_v4294967296": "{ONE}", "current_version": 1"#),
            format!(r#""a_v1": ["{ONE}"], "current_version": 1"#),
            r#""a_v1": 123456789, "current_version": 1"#.to_owned(),
            format!(r#""a_v1": "{ONE}", "current_version": 1, "note": "{TWO}""#),
        ] {
            assert_eq!(refusal(&members).kind(), ErrorKind::Configuration, "{members}");
        }
        let object = format!(r#"{{"a_v1": "{ONE}", "current_version": 1}}"#);
        for text in [
            String::new(),
            ONE.to_owned(),
            format!("\"{ONE}\""),
            object.clone(),
            format!(r#"{{"app_encryption_keys": "{ONE}"}}"#),
            format!(r#"{{"app_encryption_keys": {object}, "app_encryption_keys": {object}}}"#),
            format!(r#"{{"app_encryption_keys": {object}, "{TWO}": 1}}"#),
            format!(r#"{{"app_encryption_keys": {object}}} {TWO}"#),
            format!(r#"{{"app_encryption_keys": {object}"#),
        ] {
            let error = AppKeys::from_json(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("012345") && !shown.contains("fedcba"), "{shown}");
        }
    }

    #[test]
    fn debug_shows_versions_and_ids_only() {
        let keys = read(&format!(r#""a_v1": "{ONE}", "a_v2": "{TWO}", "current_version": 2"#)).unwrap();
        let ids: Vec<KeyId> = keys.versions().map(|(_, id)| id).collect();
        assert_eq!(
            format!("{keys:?}"),
            format!(
                "AppKeys {{ current_version: 2, versions: [(1, KeyId({})), (2, KeyId({}))] }}",
                ids[0], ids[1]
            )
        );
    }
}
