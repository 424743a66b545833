//! From plaintexts to texts that pydynox reads.

use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Pydynox, PydynoxFormat, form};
use crate::{
    crypto::fill_random,
    error::{Error, ErrorKind, Result},
    foreign::cipher::{self, GCM_NONCE_BYTES},
    wire::MAX_PLAINTEXT_BYTES,
};

impl Pydynox {
    /// The text that pydynox would store for this plaintext, as an envelope under a new data key.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for [`PydynoxFormat::Direct`], whose readers know no envelopes;
    /// [`ErrorKind::Malformed`] for bytes that are not UTF-8; [`ErrorKind::TooLarge`] above 1 MiB; key
    /// errors.
    pub async fn encrypt(&self, plaintext: &[u8]) -> Result<String> {
        let text = self.encrypt_all(&[plaintext]).await?.pop();
        text.ok_or_else(|| Error::new(ErrorKind::Configuration).message("nothing was encrypted"))
    }

    /// As [`Pydynox::encrypt`], of many plaintexts: all or none.
    ///
    /// # Errors
    /// As [`Pydynox::encrypt`].
    pub async fn encrypt_all(&self, plaintexts: &[&[u8]]) -> Result<Vec<String>> {
        self.check_format()?;
        plaintexts.iter().try_for_each(|plaintext| check(plaintext))?;
        let calls: Vec<BoxFuture<'_, _>> = plaintexts
            .iter()
            .map(|plaintext| -> BoxFuture<'_, _> { Box::pin(self.encrypt_one(plaintext)) })
            .collect();
        stream::iter(calls).buffered(self.keys.concurrent_calls).try_collect().await
    }

    /// Whether new values can be written at all.
    pub(super) fn check_format(&self) -> Result<()> {
        if self.format != PydynoxFormat::Direct {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Configuration)
            .message("values in the direct form of pydynox are read, and not written")
            .help(
                "bring its readers to 0.14 and use `PydynoxFormat::Either`, or write values of this library",
            ))
    }

    async fn encrypt_one(&self, plaintext: &[u8]) -> Result<String> {
        let made = self.keys.generate().await?;
        let mut nonce = [0; GCM_NONCE_BYTES];
        fill_random(&mut nonce)?;
        let mut envelope = form::head(&made.blob, &nonce, plaintext.len()).ok_or_else(|| {
            Error::new(ErrorKind::Integrity)
                .key(&self.keys.key_id)
                .message("the key service gave a wrapped data key of an impossible length")
        })?;
        cipher::seal(&made.plaintext, &nonce, plaintext, &mut envelope)?;
        Ok(form::text(&envelope))
    }
}

fn check(plaintext: &[u8]) -> Result<()> {
    if plaintext.len() > MAX_PLAINTEXT_BYTES {
        return Err(Error::new(ErrorKind::TooLarge)
            .message(format!("at most {MAX_PLAINTEXT_BYTES} bytes can be encrypted")));
    }
    if std::str::from_utf8(plaintext).is_err() {
        return Err(Error::new(ErrorKind::Malformed)
            .message("pydynox encrypts text, and these bytes are none")
            .help("write the values of this field in the format of this library"));
    }
    Ok(())
}
