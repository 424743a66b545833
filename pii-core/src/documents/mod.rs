//! JSON documents, sealed value by value or whole.

mod fields;
mod spec;
mod targets;
mod text;
mod whole;

use std::{fmt, sync::Arc};

use targets::Rule;

use crate::{
    context::{EncryptionContext, IntoContext},
    cryptor::NodeBatch,
    error::{Error, ErrorKind, Result},
    model::{FieldSpec, Level, ModelSpec},
};

/// Seals values inside JSON documents, or whole documents.
///
/// A kind of documents has a stable name, as a model has, an encryption context, and the paths of what is
/// personal in it. [`encrypt_fields`](Self::encrypt_fields) replaces the value at each path by a sealed text
/// and leaves the rest as it is; [`encrypt`](Self::encrypt) makes one sealed text of a whole value. Each sealed value
/// is bound to the name, the path at which it is, the encryption context and the id of the document:
/// at another place it does not open.
///
/// It is cheap to clone, and is best made once, when the program starts.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Cryptor, Documents, TestKeyring, ctx};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), pii::Error> {
/// let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build()?;
/// let invoices = Documents::new("invoice")
///     .context(ctx!(tenant = "acme"))
///     .paths(["$.customer.email", "$.cards[*].number"])?;
///
/// let mut invoice = json!({
///     "total": 12,
///     "customer": {"email": "ada@example.com"},
///     "cards": [{"number": 4111}, {"number": null}],
/// });
/// let original = invoice.clone();
/// invoices.encrypt_fields(&cryptor, &mut invoice, "2026-17").await?;
/// assert_eq!(invoice["total"], 12);
/// assert!(invoice["customer"]["email"].as_str().is_some_and(|text| text.starts_with("ENC:")));
///
/// invoices.decrypt_fields(&cryptor, &mut invoice, "2026-17").await?;
/// assert_eq!(invoice, original); // numbers are numbers again, null is null
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Documents {
    model: &'static ModelSpec,
    field: &'static FieldSpec,
    context: Arc<EncryptionContext>,
    rules: Arc<[Rule]>,
    /// what is wrong with the settings: reported by every call
    broken: Option<Error>,
}

impl Documents {
    /// Documents of this name, which is authenticated with every value and must not change later.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let broken = name
            .is_empty()
            .then(|| Error::new(ErrorKind::Configuration).message("the name of documents must not be empty"));
        Self {
            model: spec::model(name, &[]),
            field: spec::field(Level::Two, None),
            context: Arc::new(EncryptionContext::empty()),
            rules: Arc::new([]),
            broken,
        }
    }

    /// Earlier names, under which stored values still open.
    #[must_use]
    pub fn was(self, names: &'static [&'static str]) -> Self {
        Self { model: spec::model(self.model.name(), names), ..self }
    }

    /// The encryption context, which chooses the data key; empty without this. Takes the result of
    /// [`ctx!`](crate::ctx) as it is: an invalid context is reported by every call that follows.
    #[must_use]
    pub fn context(mut self, context: impl IntoContext) -> Self {
        match context.into_context() {
            Ok(context) => self.context = Arc::new(context),
            Err(error) => self.broken = Some(error),
        }
        self
    }

    /// The level: two, if nothing is said. Level one is plaintext, which is refused.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        if level == Level::One {
            self.broken = Some(
                Error::new(ErrorKind::Configuration)
                    .message("documents can't be sealed at level 1, which is plaintext")
                    .help("use level 2 or 3, or mask the document"),
            );
        }
        Self { field: spec::field(level, self.field.keyring()), ..self }
    }

    /// The name of the keyring whose keys the values are sealed under; the default one without this.
    #[must_use]
    pub fn keyring(self, name: &'static str) -> Self {
        Self { field: spec::field(self.field.level(), Some(name)), ..self }
    }

    /// Adds paths of values that are sealed. Something must be at each of them: a path with nothing
    /// there is an error, for it may be a misspelt one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPath`] for a text that is no path.
    pub fn paths<P: AsRef<str>>(self, paths: impl IntoIterator<Item = P>) -> Result<Self> {
        self.with_paths(paths, false)
    }

    /// Adds paths of values that are sealed where they are present.
    ///
    /// # Errors
    /// As [`Documents::paths`].
    pub fn optional_paths<P: AsRef<str>>(self, paths: impl IntoIterator<Item = P>) -> Result<Self> {
        self.with_paths(paths, true)
    }

    fn with_paths<P: AsRef<str>>(
        self,
        paths: impl IntoIterator<Item = P>,
        are_optional: bool,
    ) -> Result<Self> {
        let added = paths.into_iter().map(|path| Rule::parse(path.as_ref(), are_optional));
        let rules = self.rules.iter().cloned().map(Ok).chain(added).collect::<Result<_>>();
        Ok(Self { rules: rules.map_err(|error| error.model(self.name()))?, ..self })
    }

    /// The stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.model.name()
    }

    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A batch of nodes of such documents.
    fn batch(&self) -> Result<NodeBatch> {
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => Ok(NodeBatch::new(self.model, self.field, Arc::clone(&self.context))),
        }
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<&str> = self.rules.iter().map(|rule| &*rule.text).collect();
        f.debug_struct("Documents")
            .field("name", &self.name())
            .field("level", &self.field.level())
            .field("context", &self.context)
            .field("paths", &paths)
            .finish_non_exhaustive()
    }
}
