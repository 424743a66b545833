//! Which attributes of a model's items are guarded at this moment.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{
    CurrentPolicies, Error, ErrorKind, FieldSpec, LegacyPolicy, ModelSpec, PlaintextPolicy, Result,
};

use crate::item::Item;

/// The attributes of a model that must hold sealed texts, and those of its blind indexes. Fields whose policy
/// is `prepare` are not among them.
pub(crate) struct Guarded {
    model: &'static ModelSpec,
    fields: Vec<Field>,
}

/// A sealed field, or a nested struct that has such.
pub(crate) struct Field {
    pub(super) spec: &'static FieldSpec,
    /// stable names, joined by dots. Keys of maps are left out: they may be personal
    pub(super) path: String,
    /// whether texts of another system are taken
    pub(super) takes_legacy: bool,
    pub(super) inner: Vec<Field>,
}

/// An attribute of a blind index, and how many hexadecimal digits are in it.
#[derive(Clone, Copy)]
pub(crate) struct Code {
    pub(super) attribute: &'static str,
    pub(super) digits: usize,
}

impl Guarded {
    pub(crate) fn of(model: &'static ModelSpec, policies: &CurrentPolicies) -> Self {
        Self { model, fields: fields("", model.fields(), policies) }
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) fn codes(&self) -> impl Iterator<Item = Code> {
        self.model.indexes().iter().flat_map(|index| {
            let digits = index.size().text_length();
            index.versions().iter().map(move |version| Code { attribute: version.attribute, digits })
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.codes().next().is_none()
    }

    /// Refuses an item with something else in a guarded attribute.
    ///
    /// # Errors
    /// [`ErrorKind::State`], which names the field.
    pub(crate) fn check_item(&self, item: &Item) -> Result<()> {
        for field in &self.fields {
            if item.get(field.attribute()).is_some_and(|value| !field.allows(value)) {
                return Err(self.not_sealed(field));
            }
        }
        for code in self.codes() {
            if item.get(code.attribute).is_some_and(|value| !code.allows(value)) {
                return Err(self.no_code(code));
            }
        }
        Ok(())
    }

    /// That a request writes something that is not sealed.
    pub(crate) fn not_sealed(&self, field: &Field) -> Error {
        Error::new(ErrorKind::State)
            .field(self.model.name(), &field.path)
            .message(format!(
                "the request writes the attribute `{}`, and what it writes is not sealed",
                field.attribute()
            ))
            .help("write the item through `DynamoTable`, or what `Cryptor::sealed` gives")
    }

    /// That a request writes something that no blind index gives.
    pub(crate) fn no_code(&self, code: Code) -> Error {
        Error::new(ErrorKind::State)
            .model(self.model.name())
            .message(format!(
                "the request writes the attribute `{}` of a blind index, and what it writes is no code",
                code.attribute
            ))
            .help("write the item through `DynamoTable`, which computes the codes")
    }

    /// That a condition compares what can't be compared.
    pub(crate) fn no_comparison(&self, field: &Field) -> Error {
        Error::new(ErrorKind::Configuration)
            .field(self.model.name(), &field.path)
            .message(format!(
                "a condition compares the attribute `{}`, which is sealed: no sealed value equals another",
                field.attribute()
            ))
            .help("search by a blind index of the field, or by a plain attribute")
    }

    /// That a condition compares an attribute of a blind index with something else than a code.
    pub(super) fn no_search(&self, code: Code) -> Error {
        Error::new(ErrorKind::Configuration)
            .model(self.model.name())
            .message(format!(
                "a condition compares the attribute `{}` of a blind index, and not with a code",
                code.attribute
            ))
            .help("search with `DynamoTable::find`, or for the texts that `Cryptor::index_terms` gives")
    }

    /// That an update copies a sealed value.
    pub(super) fn moved(&self, field: &Field) -> Error {
        Error::new(ErrorKind::State)
            .field(self.model.name(), &field.path)
            .message(format!(
                "an update copies the attribute `{}`, which is sealed, to a place where it does not open",
                field.attribute()
            ))
            .help("open the value and write it to the other attribute, or leave it where it is")
    }

    pub(super) fn at_model(&self, error: Error) -> Error {
        error.model(self.model.name())
    }
}

impl Field {
    pub(crate) fn attribute(&self) -> &'static str {
        self.spec.attribute()
    }
}

impl Code {
    pub(crate) fn attribute(self) -> &'static str {
        self.attribute
    }

    /// Whether it is a code, or NULL.
    pub(super) fn allows(self, value: &AttributeValue) -> bool {
        self.is_code(value) || value.is_null()
    }

    pub(super) fn is_code(self, value: &AttributeValue) -> bool {
        self.begins_with(value) && value.as_s().is_ok_and(|text| text.len() == self.digits)
    }

    /// Whether a code may begin so.
    pub(super) fn begins_with(self, value: &AttributeValue) -> bool {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        value.as_s().is_ok_and(|text| text.len() <= self.digits && text.bytes().all(is_digit))
    }
}

fn fields(prefix: &str, specs: &'static [FieldSpec], policies: &CurrentPolicies) -> Vec<Field> {
    let mut fields = Vec::new();
    for spec in specs.iter().filter(|spec| spec.is_sealed()) {
        let path = format!("{prefix}{}", spec.name());
        let inner = match spec.holds().nested() {
            Some(nested) => self::fields(&format!("{path}."), nested, policies),
            None => Vec::new(),
        };
        let is_guarded = match spec.holds().nested() {
            Some(_) => !inner.is_empty(),
            None => policies.plaintext(spec, &path) != PlaintextPolicy::Prepare,
        };
        if is_guarded {
            let legacy = policies.legacy(spec, &path);
            let takes_legacy = legacy.is_some_and(|policy| policy != LegacyPolicy::Reject);
            fields.push(Field { spec, path, takes_legacy, inner });
        }
    }
    fields
}
