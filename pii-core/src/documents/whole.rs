//! Whole values, sealed as one text.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{Documents, text::refuse_sealed};
use crate::{
    audit::Operation,
    cryptor::{Cryptor, NodeBatch},
    error::{Error, ErrorKind, Result},
    json::write_json,
    model::NodeName,
    row::RowId,
    value::decode_json,
    wire::Ciphertext,
};

/// The normalized path of a document itself, by RFC 9535.
const ROOT: &str = "$";

impl Documents {
    /// Seals a whole value: any JSON value, or anything that serde writes as JSON. The value is bound to
    /// the name, the encryption context and the id; the paths don't matter. It is the text that the path `$`
    /// gives, too.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # use pii::{Cryptor, Documents, TestKeyring, ctx};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), pii::Error> {
    /// # let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build()?;
    /// let notes = Documents::new("note").context(ctx!(tenant = "acme"));
    /// let text = notes.encrypt(&cryptor, &("call back", 7), 42).await?;
    /// assert!(text.starts_with("ENC:"));
    /// let note: (String, u8) = notes.decrypt(&cryptor, &text, 42).await?;
    /// assert_eq!(note, ("call back".to_owned(), 7));
    /// assert!(notes.decrypt::<serde_json::Value>(&cryptor, &text, 43).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDocument`] if serde can't write the value as JSON or arrays and objects are nested more
    /// than 127 deep, [`ErrorKind::State`] if it is a sealed text already, [`ErrorKind::TooLarge`], and those of [`Cryptor::seal_texts`].
    pub async fn encrypt<T: Serialize + ?Sized>(
        &self,
        cryptor: &Cryptor,
        value: &T,
        id: impl RowId,
    ) -> Result<String> {
        let texts = self.encrypt_all(cryptor, &[(id, value)]).await?;
        texts.into_iter().next().ok_or_else(too_few)
    }

    /// As [`Documents::encrypt`], for many values with their ids: all of them or none, and one call for
    /// a key.
    ///
    /// # Errors
    /// As [`Documents::encrypt`].
    pub async fn encrypt_all<I: RowId, T: Serialize>(
        &self,
        cryptor: &Cryptor,
        values: &[(I, T)],
    ) -> Result<Vec<String>> {
        let batch = self.whole(cryptor, values, |batch, name, value| {
            let json = write_json(value)?;
            refuse_sealed(json.expose())?;
            batch.plain(name, json);
            Ok(())
        });
        match batch {
            Ok(batch) => Ok(cryptor.seal_nodes(batch).await?.into_iter().map(String::from).collect()),
            Err(error) => cryptor.refuse_documents(Operation::Seal, self.model, error).await,
        }
    }

    /// Opens a text that [`Documents::encrypt`] made, as any type that serde reads from JSON.
    ///
    /// # Errors
    /// [`ErrorKind::NotEncrypted`], [`ErrorKind::Malformed`] or [`ErrorKind::UnknownVersion`] if the text
    /// is not a sealed value; [`ErrorKind::Malformed`] too if what is in it does not fit the type;
    /// [`ErrorKind::Integrity`] if it was altered or belongs to another document, name or context; and those of
    /// [`Cryptor::open`].
    pub async fn decrypt<T: DeserializeOwned>(
        &self,
        cryptor: &Cryptor,
        text: &str,
        id: impl RowId,
    ) -> Result<T> {
        let values = self.decrypt_all(cryptor, &[(id, text)]).await?;
        values.into_iter().next().ok_or_else(too_few)
    }

    /// As [`Documents::decrypt`], for many texts with their ids: all of them or none.
    ///
    /// # Errors
    /// As [`Documents::decrypt`].
    pub async fn decrypt_all<T: DeserializeOwned, I: RowId, S: AsRef<str>>(
        &self,
        cryptor: &Cryptor,
        texts: &[(I, S)],
    ) -> Result<Vec<T>> {
        let batch = self.whole(cryptor, texts, |batch, name, text| {
            batch.sealed(name, Ciphertext::parse(text.as_ref())?);
            Ok(())
        });
        let opened = match batch {
            Ok(batch) => cryptor.open_nodes(batch).await?,
            Err(error) => return cryptor.refuse_documents(Operation::Open, self.model, error).await,
        };
        let values = opened.iter().map(|json| decode_json(json.expose()));
        values.collect::<Result<_>>().map_err(|error| error.field(self.name(), ROOT))
    }

    /// A batch with the root of each document.
    fn whole<I: RowId, T>(
        &self,
        cryptor: &Cryptor,
        documents: &[(I, T)],
        add: impl Fn(&mut NodeBatch, NodeName, &T) -> Result<()>,
    ) -> Result<NodeBatch> {
        let mut batch = self.batch()?;
        let rule: Arc<str> = ROOT.into();
        for (id, document) in documents {
            batch.document(cryptor, id)?;
            let name = NodeName { path: ROOT.to_owned(), rule: Arc::clone(&rule) };
            add(&mut batch, name, document).map_err(|error| batch.locate(error.field(self.name(), ROOT)))?;
        }
        Ok(batch)
    }
}

#[cold]
fn too_few() -> Error {
    Error::new(ErrorKind::Configuration).message("the cryptor's backend gave too few results")
}
