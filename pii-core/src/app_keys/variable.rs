//! Application keys from an environment variable.

use std::env::{self, VarError};

use futures_core::future::BoxFuture;
use zeroize::Zeroizing;

use super::{AppKeySource, AppKeys};
use crate::error::{Error, ErrorKind, Result};

/// Application keys in an environment variable, with the text that [`AppKeys::from_json`] reads.
///
/// The variable is read at each load. The environment of a process can be read by its user and by
/// root, and children inherit it: a file or a secrets service hides keys better.
///
/// ```
/// # use pii_core as pii;
/// use pii::{AppKeyVariable, Cryptor, TestKeyring};
///
/// let cryptor = Cryptor::envelope()
///     .keyring(TestKeyring::new())
///     .app_keys(AppKeyVariable::new("PII_APP_KEYS"))
///     .build()?;
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AppKeyVariable {
    name: String,
}

impl AppKeyVariable {
    /// The variable of this name. It is not read yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    fn read(&self) -> Result<AppKeys> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::Configuration)
                .message(format!("the environment variable `{}` {what}", self.name))
                .help("set it to the JSON text of the application keys")
        };
        // the library panics at such names
        if self.name.is_empty() || self.name.contains(['=', '\0']) {
            return Err(Error::new(ErrorKind::Configuration)
                .message("the name of the environment variable with the application keys is no such name"));
        }
        let text = env::var(&self.name).map(Zeroizing::new).map_err(|error| match error {
            VarError::NotPresent => wrong("is not set"),
            VarError::NotUnicode(text) => {
                drop(Zeroizing::new(text.into_encoded_bytes()));
                wrong("is not text")
            }
        })?;
        AppKeys::from_json(&text)
            .map_err(|error| error.within(&format!("the environment variable `{}`", self.name)))
    }
}

impl AppKeySource for AppKeyVariable {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<AppKeys>> {
        Box::pin(std::future::ready(self.read()))
    }
}
