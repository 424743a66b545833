//! Documents whose calls wait.

use pii_core::{Result, RowId};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::Cryptor;

/// [`pii::Documents`](crate::Documents) whose calls wait for their result. They are set up there, once, and wrapped here.
///
/// ```
/// use pii::{Cryptor, Documents, TestKeyring, blocking};
/// use serde_json::json;
///
/// # fn main() -> pii::Result<()> {
/// let cryptor = blocking::Cryptor::new(Cryptor::envelope().keyring(TestKeyring::new()).build()?);
/// let invoices = blocking::Documents::new(Documents::new("invoice").paths(["$.email"])?);
///
/// let mut invoice = json!({"total": 12, "email": "ada@example.com"});
/// invoices.encrypt_fields(&cryptor, &mut invoice, 17)?;
/// assert!(invoice["email"].as_str().is_some_and(|text| text.starts_with("ENC:")));
/// invoices.decrypt_fields(&cryptor, &mut invoice, 17)?;
/// assert_eq!(invoice["email"], "ada@example.com");
/// # Ok(())
/// # }
/// ```
///
/// Every call has the errors of the async one, and is an error inside async code:
/// [`ErrorKind::State`](crate::ErrorKind::State).
#[derive(Debug, Clone)]
pub struct Documents(pii_core::Documents);

impl Documents {
    /// The same documents.
    #[must_use]
    pub fn new(documents: pii_core::Documents) -> Self {
        Self(documents)
    }

    /// The documents with their settings.
    #[must_use]
    pub fn to_async(&self) -> &pii_core::Documents {
        &self.0
    }

    /// As [`Documents::encrypt_fields`](crate::Documents::encrypt_fields).
    ///
    /// # Errors
    /// The same.
    pub fn encrypt_fields(&self, cryptor: &Cryptor, document: &mut Value, id: impl RowId) -> Result<()> {
        cryptor.run(self.0.encrypt_fields(cryptor.to_async(), document, id))
    }

    /// As [`Documents::encrypt_fields_of_all`](crate::Documents::encrypt_fields_of_all).
    ///
    /// # Errors
    /// The same.
    pub fn encrypt_fields_of_all<I: RowId>(
        &self,
        cryptor: &Cryptor,
        documents: &mut [(I, Value)],
    ) -> Result<()> {
        cryptor.run(self.0.encrypt_fields_of_all(cryptor.to_async(), documents))
    }

    /// As [`Documents::encrypt_fields_from`](crate::Documents::encrypt_fields_from).
    ///
    /// # Errors
    /// The same.
    pub fn encrypt_fields_from<T: Serialize + ?Sized>(
        &self,
        cryptor: &Cryptor,
        value: &T,
        id: impl RowId,
    ) -> Result<Value> {
        cryptor.run(self.0.encrypt_fields_from(cryptor.to_async(), value, id))
    }

    /// As [`Documents::decrypt_fields`](crate::Documents::decrypt_fields).
    ///
    /// # Errors
    /// The same.
    pub fn decrypt_fields(&self, cryptor: &Cryptor, document: &mut Value, id: impl RowId) -> Result<()> {
        cryptor.run(self.0.decrypt_fields(cryptor.to_async(), document, id))
    }

    /// As [`Documents::decrypt_only`](crate::Documents::decrypt_only).
    ///
    /// # Errors
    /// The same.
    pub fn decrypt_only<P: AsRef<str>>(
        &self,
        cryptor: &Cryptor,
        document: &mut Value,
        id: impl RowId,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<()> {
        cryptor.run(self.0.decrypt_only(cryptor.to_async(), document, id, paths))
    }

    /// As [`Documents::decrypt_fields_of_all`](crate::Documents::decrypt_fields_of_all).
    ///
    /// # Errors
    /// The same.
    pub fn decrypt_fields_of_all<I: RowId>(
        &self,
        cryptor: &Cryptor,
        documents: &mut [(I, Value)],
    ) -> Result<()> {
        cryptor.run(self.0.decrypt_fields_of_all(cryptor.to_async(), documents))
    }

    /// As [`Documents::decrypt_fields_into`](crate::Documents::decrypt_fields_into).
    ///
    /// # Errors
    /// The same.
    pub fn decrypt_fields_into<T: DeserializeOwned>(
        &self,
        cryptor: &Cryptor,
        document: &Value,
        id: impl RowId,
    ) -> Result<T> {
        cryptor.run(self.0.decrypt_fields_into(cryptor.to_async(), document, id))
    }

    /// As [`Documents::encrypt`](crate::Documents::encrypt).
    ///
    /// # Errors
    /// The same.
    pub fn encrypt<T: Serialize + ?Sized>(
        &self,
        cryptor: &Cryptor,
        value: &T,
        id: impl RowId,
    ) -> Result<String> {
        cryptor.run(self.0.encrypt(cryptor.to_async(), value, id))
    }

    /// As [`Documents::encrypt_all`](crate::Documents::encrypt_all).
    ///
    /// # Errors
    /// The same.
    pub fn encrypt_all<I: RowId, T: Serialize>(
        &self,
        cryptor: &Cryptor,
        values: &[(I, T)],
    ) -> Result<Vec<String>> {
        cryptor.run(self.0.encrypt_all(cryptor.to_async(), values))
    }

    /// As [`Documents::decrypt`](crate::Documents::decrypt).
    ///
    /// # Errors
    /// The same.
    pub fn decrypt<T: DeserializeOwned>(&self, cryptor: &Cryptor, text: &str, id: impl RowId) -> Result<T> {
        cryptor.run(self.0.decrypt(cryptor.to_async(), text, id))
    }

    /// As [`Documents::decrypt_all`](crate::Documents::decrypt_all).
    ///
    /// # Errors
    /// The same.
    pub fn decrypt_all<T: DeserializeOwned, I: RowId, S: AsRef<str>>(
        &self,
        cryptor: &Cryptor,
        texts: &[(I, S)],
    ) -> Result<Vec<T>> {
        cryptor.run(self.0.decrypt_all(cryptor.to_async(), texts))
    }
}
