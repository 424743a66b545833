//! A cryptor as environment variables describe it.

use std::{collections::BTreeMap, ffi::OsString, str::FromStr, time::Duration};

use pii_core::{
    AppKeyFile, AppKeyVariable, CacheLimits, Cryptor, EnvelopeBuilder, Error, ErrorKind, FileKeyStore,
    LocalKeyring, Mode, Result, TestKeyring,
};

const PREFIX: &str = "PII_";
/// Variables of tests, which a program may meet.
const IGNORED: [&str; 2] = ["PII_TEST_", "PII_UPDATE_"];

const KEYRING: &str = "PII_KEYRING";
const ALLOW_TEST_KEYRING: &str = "PII_ALLOW_TEST_KEYRING";
const KEY_FILE: &str = "PII_KEY_FILE";
#[cfg(feature = "kms-from-env")]
const KMS_KEY_ID: &str = "PII_KMS_KEY_ID";
#[cfg(feature = "kms-from-env")]
const KMS_DECRYPT_ONLY_KEY_ID: &str = "PII_KMS_DECRYPT_ONLY_KEY_ID";
#[cfg(feature = "kms-from-env")]
const KMS_REGION: &str = "PII_KMS_REGION";
#[cfg(feature = "kms-from-env")]
const KMS_ENDPOINT: &str = "PII_KMS_ENDPOINT";
const APP_KEYS: &str = "PII_APP_KEYS";
const APP_KEY_FILE: &str = "PII_APP_KEY_FILE";
#[cfg(all(feature = "kms-from-env", feature = "secrets-manager"))]
const APP_KEY_SECRET: &str = "PII_APP_KEY_SECRET";
const KEY_STORE_FOLDER: &str = "PII_KEY_STORE_FOLDER";
const MODE: &str = "PII_MODE";
const CACHE_CAPACITY: &str = "PII_CACHE_CAPACITY";
const CACHE_MAX_AGE: &str = "PII_CACHE_MAX_AGE";
const CACHE_MAX_MESSAGES: &str = "PII_CACHE_MAX_MESSAGES";
const CACHE_MAX_BYTES: &str = "PII_CACHE_MAX_BYTES";
const CACHE_GRACE: &str = "PII_CACHE_GRACE";

/// The beginning of a cryptor, set up by environment variables. Add what a variable can't say, such
/// as a key store in a database, and call [`build`](EnvelopeBuilder::build).
///
/// | variable | meaning |
/// |---|---|
/// | `PII_KEYRING` | `local`, `kms` (feature `kms-from-env`), or `test` if `PII_ALLOW_TEST_KEYRING` is `yes`; always needed |
/// | `PII_KEY_FILE` | `local`: path of the key file |
/// | `PII_KMS_KEY_ID` | `kms`: id, ARN or alias of the key; several with commas between, in the order in which they are asked |
/// | `PII_KMS_DECRYPT_ONLY_KEY_ID` | `kms`: keys that only open, in the same form |
/// | `PII_KMS_REGION`, `PII_KMS_ENDPOINT` | `kms`: where the environment's own region and address will not do |
/// | `PII_APP_KEYS`, `PII_APP_KEY_FILE`, `PII_APP_KEY_SECRET` | application keys of level 3: the text itself, a file of it, or the name of a secret in Secrets Manager (features `kms-from-env` and `secrets-manager`); at most one of them |
/// | `PII_KEY_STORE_FOLDER` | folder of a [`FileKeyStore`]; without it, no key store is set |
/// | `PII_MODE` | `ReadWrite` (default), `WriteOnly` or `ReadOnly` |
/// | `PII_CACHE_CAPACITY`, `PII_CACHE_MAX_MESSAGES`, `PII_CACHE_MAX_BYTES` | whole numbers, as in [`CacheLimits`] |
/// | `PII_CACHE_MAX_AGE`, `PII_CACHE_GRACE` | whole seconds; the grace may be 0 |
///
/// Credentials of AWS, and its region, come from where the AWS command line finds them.
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
            wrong(KEYRING, "is not set")
                .help("set it to the kind of keyring: `local` for a key file, `kms` for AWS KMS")
        })?;
        builder = match keyring.as_str() {
            #[cfg(feature = "kms-from-env")]
            "kms" => builder.keyring(self.kms()?),
            #[cfg(not(feature = "kms-from-env"))]
            "kms" => {
                return Err(wrong(KEYRING, "is `kms`, which this program was built without")
                    .help("build it with the feature `kms-from-env` of `pii`"));
            }
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
            _ => return Err(wrong(KEYRING, "is no kind of keyring").help("use `local` or `kms`")),
        };
        if let Some(folder) = self.0.remove(KEY_STORE_FOLDER) {
            builder = builder.key_store(FileKeyStore::open(folder)?);
        }
        builder = self.app_keys(builder)?;
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

    #[cfg(feature = "kms-from-env")]
    fn kms(&mut self) -> Result<pii_kms::KmsKeyring> {
        let keys = self.text(KMS_KEY_ID)?.ok_or_else(|| {
            wrong(KMS_KEY_ID, "is not set").help("set it to the id, the ARN or the alias of a KMS key")
        })?;
        let mut builder = pii_kms::KmsKeyring::builder();
        for key in keys.split(',') {
            builder = builder.key(key.trim());
        }
        for key in self.text(KMS_DECRYPT_ONLY_KEY_ID)?.iter().flat_map(|keys| keys.split(',')) {
            builder = builder.decrypt_only(key.trim());
        }
        if let Some(region) = self.text(KMS_REGION)? {
            builder = builder.region(region);
        }
        if let Some(endpoint) = self.text(KMS_ENDPOINT)? {
            builder = builder.endpoint_url(endpoint);
        }
        builder.build()
    }

    fn app_keys(&mut self, mut builder: EnvelopeBuilder) -> Result<EnvelopeBuilder> {
        let mut sources = 0;
        if self.0.remove(APP_KEYS).is_some() {
            sources += 1;
            builder = builder.app_keys(AppKeyVariable::new(APP_KEYS));
        }
        if let Some(file) = self.0.remove(APP_KEY_FILE) {
            sources += 1;
            builder = builder.app_keys(AppKeyFile::open(file)?);
        }
        #[cfg(all(feature = "kms-from-env", feature = "secrets-manager"))]
        if let Some(secret) = self.text(APP_KEY_SECRET)? {
            sources += 1;
            builder = builder.app_keys(pii_kms::SecretsManagerAppKeys::from_env(secret)?);
        }
        if sources > 1 {
            return Err(wrong(APP_KEYS, "is not the only source of application keys")
                .help("set one of `PII_APP_KEYS`, `PII_APP_KEY_FILE` and `PII_APP_KEY_SECRET`"));
        }
        Ok(builder)
    }

    fn cache_limits(&mut self) -> Result<CacheLimits> {
        let mut limits = CacheLimits::default();
        if let Some(capacity) = self.number(CACHE_CAPACITY)? {
            limits.capacity = capacity;
        }
        if let Some(seconds) = self.number(CACHE_MAX_AGE)? {
            limits.max_age = Duration::from_secs(seconds);
        }
        if let Some(text) = self.text(CACHE_GRACE)? {
            let seconds = text.parse().map_err(|_| wrong(CACHE_GRACE, "is not a whole number"))?;
            limits.grace = Duration::from_secs(seconds);
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
        assert!(refused(&[(KEYRING, "kms")]).contains("PII_K"), "no key, or no such keyring in this build");
        assert!(with(CACHE_GRACE, "-1").contains("`PII_CACHE_GRACE` is not a whole number"));
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
        let app_keys = folder.join("app-keys.json");
        AppKeyFile::open_or_create(&app_keys).unwrap();
        let both = [(KEYRING, "local"), (KEY_FILE, key_file.to_str().unwrap()), (APP_KEYS, "{}")];
        let both = refused(&[&both[..], &[(APP_KEY_FILE, app_keys.to_str().unwrap())]].concat());
        assert!(both.contains("`PII_APP_KEYS` is not the only source"), "{both}");
        let builder = envelope(&[
            (KEYRING, "local"),
            (KEY_FILE, key_file.to_str().unwrap()),
            (KEY_STORE_FOLDER, folder.join("keys").to_str().unwrap()),
            (MODE, "ReadOnly"),
            (CACHE_CAPACITY, "5"),
            (CACHE_MAX_AGE, "60"),
            (CACHE_MAX_MESSAGES, "1000"),
            (CACHE_MAX_BYTES, "1000000"),
            (CACHE_GRACE, "0"),
            (APP_KEY_FILE, app_keys.to_str().unwrap()),
            ("PII_TEST_POSTGRES_URL", "of the tests"),
            ("HOME", "of somebody else"),
        ]);
        assert!(format!("{:?}", builder.unwrap().build().unwrap()).contains("ReadOnly"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(feature = "kms-from-env")]
    #[test]
    fn kms_keys_are_told_apart_by_commas() {
        let kms = |keys: &str| {
            envelope(&[
                (KEYRING, "kms"),
                (KMS_KEY_ID, keys),
                (KMS_DECRYPT_ONLY_KEY_ID, "arn:aws:kms:eu-west-1:111122223333:alias/old"),
                (KMS_REGION, "eu-central-1"),
                (KMS_ENDPOINT, "http://127.0.0.1:1"),
            ])
        };
        assert!(kms("alias/new, 1234abcd-12ab-34cd-56ef-1234567890ab").is_ok());
        assert_eq!(kms("alias/new,alias/new").unwrap_err().kind(), ErrorKind::Configuration);
    }
}
