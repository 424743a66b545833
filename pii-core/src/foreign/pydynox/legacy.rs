//! Fields whose stored values may be those of pydynox.

use futures_core::future::BoxFuture;

use super::{Pydynox, form::Form, open::refuse};
use crate::{cryptor::LegacyCodec, error::Result, secret::SecretBytes};

impl LegacyCodec for Pydynox {
    fn check(&self, text: &str) -> Result<()> {
        Form::parse(text, self.format).map(drop).map_err(refuse)
    }

    fn check_writing(&self) -> Result<()> {
        self.check_format()
    }

    fn open_each<'a>(&'a self, texts: Vec<&'a str>) -> BoxFuture<'a, Vec<Result<SecretBytes>>> {
        Box::pin(async move { self.decrypt_each(&texts).await })
    }

    fn seal_all<'a>(&'a self, plaintexts: Vec<&'a [u8]>) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(async move { self.encrypt_all(&plaintexts).await })
    }
}
