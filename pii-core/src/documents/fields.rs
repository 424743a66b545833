//! Chosen values of documents, sealed and opened in place.

use std::{
    borrow::{Borrow, BorrowMut},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Documents,
    targets::{Rule, Target, targets},
    text,
};
use crate::{
    audit::Operation,
    cryptor::{Cryptor, NodeBatch},
    error::{Error, ErrorKind, Result},
    json::{WipedValue, check_nesting, read_json, write_json},
    model::NodeName,
    row::RowId,
    wire::{Ciphertext, FormatError},
};

impl Documents {
    /// Seals the values at the paths in place: each becomes a string, `ENC:...`. The plaintext that was there
    /// is wiped.
    ///
    /// `id` is what the values are bound to beside the name, path and context: the id of the document,
    /// by which it is opened again. Documents without one are given [`NoId`](crate::NoId).
    ///
    /// # Errors
    /// [`ErrorKind::PathNotFound`] if nothing is at a path; [`ErrorKind::State`] if a value is sealed already;
    /// [`ErrorKind::Configuration`] if a path chooses a value inside one that is chosen too, or there
    /// are no paths; [`ErrorKind::TooLarge`]; [`ErrorKind::InvalidDocument`] if arrays and objects are nested
    /// more than 127 deep; and those of [`Cryptor::seal_texts`]. The document is unchanged then.
    pub async fn encrypt_fields(
        &self,
        cryptor: &Cryptor,
        document: &mut Value,
        id: impl RowId,
    ) -> Result<()> {
        self.seal_in_place(cryptor, &mut [(id, document)]).await
    }

    /// As [`Documents::encrypt_fields`], for many documents with their ids: all of them or none, and one
    /// call for a key.
    ///
    /// # Errors
    /// As [`Documents::encrypt_fields`]; all documents are unchanged then.
    pub async fn encrypt_fields_of_all<I: RowId>(
        &self,
        cryptor: &Cryptor,
        documents: &mut [(I, Value)],
    ) -> Result<()> {
        self.seal_in_place(cryptor, documents).await
    }

    /// As [`Documents::encrypt_fields`], for any value: gives it as a JSON value with the sealed texts in it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDocument`] if serde can't write it as JSON, or it holds integers of more than 64 bits;
    /// and as [`Documents::encrypt_fields`].
    pub async fn encrypt_fields_from<T: Serialize + ?Sized>(
        &self,
        cryptor: &Cryptor,
        value: &T,
        id: impl RowId,
    ) -> Result<Value> {
        let mut document = match write_json(&value).and_then(|json| read_json(json.expose())) {
            Ok(document) => document,
            Err(error) => return cryptor.refuse_documents(Operation::Seal, self.model, error).await,
        };
        self.encrypt_fields(cryptor, &mut document.0, id).await?;
        Ok(document.release())
    }

    /// Opens the values at all paths in place, each as the JSON type that it was.
    ///
    /// # Errors
    /// [`ErrorKind::PathNotFound`] if nothing is at a path; [`ErrorKind::NotEncrypted`],
    /// [`ErrorKind::Malformed`] or [`ErrorKind::UnknownVersion`] if something else than a sealed value is;
    /// [`ErrorKind::Integrity`] if a sealed value was altered or belongs to another path, document, name or
    /// context; and those of [`Cryptor::open`]. The document is unchanged then.
    pub async fn decrypt_fields(
        &self,
        cryptor: &Cryptor,
        document: &mut Value,
        id: impl RowId,
    ) -> Result<()> {
        self.open_in_place(cryptor, &mut [(id, document)], self.rules()).await
    }

    /// As [`Documents::decrypt_fields`], for the values at these paths only. Something must be at each of
    /// them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPath`] for a text that is no path; and as [`Documents::decrypt_fields`].
    pub async fn decrypt_only<P: AsRef<str>>(
        &self,
        cryptor: &Cryptor,
        document: &mut Value,
        id: impl RowId,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<()> {
        let rules: Result<Vec<Rule>> =
            paths.into_iter().map(|path| Rule::parse(path.as_ref(), false)).collect();
        match rules {
            Ok(rules) => self.open_in_place(cryptor, &mut [(id, document)], &rules).await,
            Err(error) => cryptor.refuse_documents(Operation::Open, self.model, error).await,
        }
    }

    /// As [`Documents::decrypt_fields`], for many documents with their ids: all of them or none.
    ///
    /// # Errors
    /// As [`Documents::decrypt_fields`]; all documents are unchanged then.
    pub async fn decrypt_fields_of_all<I: RowId>(
        &self,
        cryptor: &Cryptor,
        documents: &mut [(I, Value)],
    ) -> Result<()> {
        self.open_in_place(cryptor, documents, self.rules()).await
    }

    /// As [`Documents::decrypt_fields`], into any type. The document stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if the opened document does not fit the type; and as
    /// [`Documents::decrypt_fields`].
    pub async fn decrypt_fields_into<T: DeserializeOwned>(
        &self,
        cryptor: &Cryptor,
        document: &Value,
        id: impl RowId,
    ) -> Result<T> {
        // nothing recurses before this
        check_nesting(document).map_err(|error| error.model(self.name()))?;
        let mut opened = WipedValue(document.clone());
        self.decrypt_fields(cryptor, &mut opened.0, id).await?;
        // serde's own message may quote the value
        T::deserialize(&opened.0).map_err(|_| {
            Error::new(ErrorKind::Malformed)
                .model(self.name())
                .message("the opened document does not fit the Rust type")
        })
    }

    async fn seal_in_place<I: RowId, D: BorrowMut<Value>>(
        &self,
        cryptor: &Cryptor,
        documents: &mut [(I, D)],
    ) -> Result<()> {
        let (batch, chosen) = match self.to_seal(cryptor, documents) {
            Ok(batch) => batch,
            Err(error) => return cryptor.refuse_documents(Operation::Seal, self.model, error).await,
        };
        let sealed = cryptor.seal_nodes(batch).await?;
        let sealed = sealed.into_iter().map(|text| WipedValue(Value::String(text.into()))).collect();
        replace(documents, &chosen, sealed)
    }

    fn to_seal<I: RowId, D: Borrow<Value>>(
        &self,
        cryptor: &Cryptor,
        documents: &[(I, D)],
    ) -> Result<(NodeBatch, Vec<Vec<Target>>)> {
        self.choose(cryptor, documents, self.rules(), |batch, name, value| {
            batch.plain(name, text::write(value)?);
            Ok(())
        })
    }

    async fn open_in_place<I: RowId, D: BorrowMut<Value>>(
        &self,
        cryptor: &Cryptor,
        documents: &mut [(I, D)],
        rules: &[Rule],
    ) -> Result<()> {
        let chosen = self.choose(cryptor, documents, rules, |batch, name, value| {
            let text = value.as_str().ok_or(FormatError::NotEncrypted);
            let sealed = text.and_then(Ciphertext::parse).map_err(|error| match error {
                FormatError::NotEncrypted => Error::from(error)
                    .help("what is at the path of a sealed value is never taken for plaintext"),
                _ => error.into(),
            })?;
            batch.sealed(name, sealed);
            Ok(())
        });
        let (batch, chosen) = match chosen {
            Ok(batch) => batch,
            Err(error) => return cryptor.refuse_documents(Operation::Open, self.model, error).await,
        };
        let texts = cryptor.open_nodes(batch).await?;
        let values: Result<Vec<WipedValue>> = texts.iter().map(|json| text::read(json.expose())).collect();
        replace(documents, &chosen, values.map_err(|error| error.model(self.name()))?)
    }

    /// The nodes that rules choose in each document, as `add` puts them into the batch.
    fn choose<I: RowId, D: Borrow<Value>>(
        &self,
        cryptor: &Cryptor,
        documents: &[(I, D)],
        rules: &[Rule],
        add: impl Fn(&mut NodeBatch, NodeName, &Value) -> Result<()>,
    ) -> Result<(NodeBatch, Vec<Vec<Target>>)> {
        if rules.is_empty() {
            return Err(Error::new(ErrorKind::Configuration)
                .message("no paths were given, so nothing would be done")
                .help("name them by `paths`; `encrypt` and `decrypt` are for whole documents"));
        }
        let mut batch = self.batch()?;
        let mut chosen = Vec::with_capacity(documents.len());
        for (id, document) in documents {
            let document = document.borrow();
            batch.document(cryptor, id)?;
            let targets = targets(self.name(), rules, document).map_err(|error| batch.locate(error))?;
            for target in &targets {
                let value = target.node.get(document).ok_or_else(changed)?;
                let name = NodeName { path: target.node.to_string(), rule: Arc::clone(&target.rule) };
                add(&mut batch, name, value)
                    .map_err(|error| batch.locate(error.field(self.name(), &target.rule)))?;
            }
            chosen.push(targets);
        }
        Ok((batch, chosen))
    }
}

/// Puts the values in the places of the nodes, in order. What was there before is wiped.
fn replace<I, D: BorrowMut<Value>>(
    documents: &mut [(I, D)],
    chosen: &[Vec<Target>],
    mut values: Vec<WipedValue>,
) -> Result<()> {
    if values.len() != chosen.iter().map(Vec::len).sum::<usize>() {
        return Err(changed());
    }
    let mut values = values.iter_mut();
    for ((_, document), targets) in documents.iter_mut().zip(chosen) {
        let document = document.borrow_mut();
        for (target, value) in targets.iter().zip(values.by_ref()) {
            std::mem::swap(target.node.get_mut(document).ok_or_else(changed)?, &mut value.0);
        }
    }
    Ok(())
}

/// No program can bring this about: documents are borrowed for as long as they are worked on.
#[cold]
fn changed() -> Error {
    Error::new(ErrorKind::Configuration).message("the document changed while it was worked on")
}
