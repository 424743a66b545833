//! A cryptor as environment variables describe it.

use std::{collections::BTreeMap, ffi::OsString, str::FromStr, time::Duration};

use pii_core::{
    CacheLimits, Cryptor, EnvelopeBuilder, Error, ErrorKind, FileKeyStore, LocalKeyring, Mode, Result,
    TestKeyring,
};

const PREFIX: &str = "PII_";
/// Variables of tests, which a program may meet.
const IGNORED: [&str; 2] = ["PII_TEST_", "PII_UPDATE_"];

const KEYRING: &str = "PII_KEYRING";
const ALLOW_TEST_KEYRING: &str = "PII_ALLOW_TEST_KEYRING";
const KEY_FILE: &str = "PII_KEY_FILE";
const KEY_STORE_FOLDER: &str = "PII_KEY_STORE_FOLDER";
const MODE: &str = "PII_MODE";
const CACHE_CAPACITY: &str = "PII_CACHE_CAPACITY";
const CACHE_MAX_AGE: &str = "PII_CACHE_MAX_AGE";
const CACHE_MAX_MESSAGES: &str = "PII_CACHE_MAX_MESSAGES";
const CACHE_MAX_BYTES: &str = "PII_CACHE_MAX_BYTES";

/// The beginning of a cryptor, set up by environment variables. Add what a variable can't say, such
/// as a key store in a database, and call [`build`](EnvelopeBuilder::build).
///
/// | variable | meaning |
/// |---|---|
/// | `PII_KEYRING` | `local`, or `test` if `PII_ALLOW_TEST_KEYRING` is `yes`; always needed |
/// | `PII_KEY_FILE` | `local`: path of the key file |
/// | `PII_KEY_STORE_FOLDER` | folder of a [`FileKeyStore`]; without it, no key store is set |
/// | `PII_MODE` | `ReadWrite` (default), `WriteOnly` or `ReadOnly` |
/// | `PII_CACHE_CAPACITY`, `PII_CACHE_MAX_MESSAGES`, `PII_CACHE_MAX_BYTES` | whole numbers, as in [`CacheLimits`] |
/// | `PII_CACHE_MAX_AGE` | whole seconds |
///
/// ```no_run
/// let cryptor = pii::envelope_from_env()?.build()?;
/// # Ok::<(), pii::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Configuration`], with the name of the variable: if one is missing, empty or not
/// understood, does not go with the keyring, or begins with `PII_` and is none of these (`PII_TEST_`
/// apart). And those of the keyring and the key store.
pub fn envelope_from_env() -> Result<EnvelopeBuilder> {
    Variables::new(std::env::vars_os())?.envelope()
}

/// The variables that are ours; each is taken out when it is read.
struct Variables(BTreeMap<String, OsString>);

impl Variables {
    fn new(all: impl Iterator<Item = (OsString, OsString)>) -> Result<Self> {
        let ours = all.filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let is_ours =
                name.starts_with(PREFIX) && !IGNORED.iter().any(|ignored| name.starts_with(ignored));
            is_ours.then_some((name, value))
        });
        let variables = Self(ours.collect());
        match variables.0.iter().find(|(_, value)| value.is_empty()) {
            Some((name, _)) => Err(wrong(name, "is empty").help("give it a value, or do not set it")),
            None => Ok(variables),
        }
    }

    fn envelope(mut self) -> Result<EnvelopeBuilder> {
        let mut builder = Cryptor::envelope();
        let keyring = self.text(KEYRING)?.ok_or_else(|| {
            wrong(KEYRING, "is not set").help("set it to the kind of keyring: `local` for a key file")
        })?;
        builder = match keyring.as_str() {
            "local" => {
                builder.keyring(LocalKeyring::open(self.needed(KEY_FILE, "the path of the key file")?)?)
            }
            "test" => {
                if self.text(ALLOW_TEST_KEYRING)?.as_deref() != Some("yes") {
                    return Err(wrong(KEYRING, "is `test`, whose key everybody knows").help(
                        "for tests set `PII_ALLOW_TEST_KEYRING=yes` too; otherwise use a real keyring",
                    ));
                }
                builder.keyring(TestKeyring::new())
            }
            _ => return Err(wrong(KEYRING, "is no kind of keyring").help("use `local`")),
        };
        if let Some(folder) = self.0.remove(KEY_STORE_FOLDER) {
            builder = builder.key_store(FileKeyStore::open(folder)?);
        }
        if let Some(mode) = self.text(MODE)? {
            builder = builder.mode(match mode.as_str() {
                "ReadWrite" => Mode::ReadWrite,
                "WriteOnly" => Mode::WriteOnly,
                "ReadOnly" => Mode::ReadOnly,
                _ => return Err(wrong(MODE, "is not `ReadWrite`, `WriteOnly` or `ReadOnly`")),
            });
        }
        builder = builder.cache_limits(self.cache_limits()?);
        match self.0.keys().next() {
            Some(name) => Err(wrong(name, "is not used")
                .help("look for a misspelling, or for another `PII_KEYRING` that it belongs to")),
            None => Ok(builder),
        }
    }

    fn cache_limits(&mut self) -> Result<CacheLimits> {
        let mut limits = CacheLimits::default();
        if let Some(capacity) = self.number(CACHE_CAPACITY)? {
            limits.capacity = capacity;
        }
        if let Some(seconds) = self.number(CACHE_MAX_AGE)? {
            limits.max_age = Duration::from_secs(seconds);
        }
        if let Some(messages) = self.number(CACHE_MAX_MESSAGES)? {
            limits.max_messages = messages;
        }
        if let Some(bytes) = self.number(CACHE_MAX_BYTES)? {
            limits.max_bytes = bytes;
        }
        Ok(limits)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>> {
        let value = self.0.remove(name).map(OsString::into_string).transpose();
        value.map_err(|_| wrong(name, "is not UTF-8"))
    }

    fn needed(&mut self, name: &str, what: &str) -> Result<OsString> {
        let value = self.0.remove(name);
        value.ok_or_else(|| wrong(name, "is not set").help(format!("set it to {what}")))
    }

    /// A number above zero.
    fn number<N: FromStr + Default + PartialEq>(&mut self, name: &str) -> Result<Option<N>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse() {
            Ok(number) if number != N::default() => Ok(Some(number)),
            _ => Err(wrong(name, "is not a whole number above zero")),
        }
    }
}

fn wrong(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Configuration).message(format!("the environment variable `{name}` {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(variables: &[(&str, &str)]) -> Result<EnvelopeBuilder> {
        Variables::new(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))?.envelope()
    }

    fn refused(variables: &[(&str, &str)]) -> String {
        let error = envelope(variables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        error.to_string()
    }

    #[test]
    fn a_mistake_names_its_variable() {
        let test = [(KEYRING, "test"), (ALLOW_TEST_KEYRING, "yes")];
        let with = |name, value| refused(&[&test[..], &[(name, value)]].concat());
        assert!(refused(&[]).contains("`PII_KEYRING` is not set"));
        assert!(refused(&[(KEYRING, "secret-of-mine")]).contains("`PII_KEYRING` is no kind"));
        assert!(!refused(&[(KEYRING, "secret-of-mine")]).contains("secret-of-mine"));
        assert!(refused(&[(KEYRING, "test")]).contains("PII_ALLOW_TEST_KEYRING=yes"));
        assert!(refused(&[(KEYRING, "local")]).contains("`PII_KEY_FILE` is not set"));
        assert!(with(KEY_FILE, "pii.key").contains("`PII_KEY_FILE` is not used"));
        assert!(with("PII_CACHE_MAXAGE", "60").contains("`PII_CACHE_MAXAGE` is not used"));
        assert!(with(CACHE_MAX_AGE, "").contains("`PII_CACHE_MAX_AGE` is empty"));
        assert!(with(CACHE_MAX_AGE, "5 min").contains("`PII_CACHE_MAX_AGE` is not a whole number"));
        assert!(with(CACHE_CAPACITY, "0").contains("`PII_CACHE_CAPACITY` is not a whole number"));
        assert!(with(MODE, "readonly").contains("`PII_MODE` is not"));
    }

    #[test]
    fn a_missing_key_file_is_an_error_of_the_keyring() {
        let error = envelope(&[(KEYRING, "local"), (KEY_FILE, "/nonexistent/pii.key")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyMissing);
    }

    #[test]
    fn everything_can_be_set() {
        let folder = std::env::temp_dir().join(format!("pii-environment-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let key_file = folder.join("pii.key");
        LocalKeyring::open_or_create(&key_file).unwrap();
        let builder = envelope(&[
            (KEYRING, "local"),
            (KEY_FILE, key_file.to_str().unwrap()),
            (KEY_STORE_FOLDER, folder.join("keys").to_str().unwrap()),
            (MODE, "ReadOnly"),
            (CACHE_CAPACITY, "5"),
            (CACHE_MAX_AGE, "60"),
            (CACHE_MAX_MESSAGES, "1000"),
            (CACHE_MAX_BYTES, "1000000"),
            ("PII_TEST_POSTGRES_URL", "of the tests"),
            ("HOME", "of somebody else"),
        ]);
        assert!(format!("{:?}", builder.unwrap().build().unwrap()).contains("ReadOnly"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
