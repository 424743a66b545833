//! A model's facts as a document, for jobs, reports and programs in other languages.

use std::fmt;

use serde::Serialize;

use super::{ContextPart, FieldRole, FieldSpec, Holds, ModelSpec, RowBinding};
use crate::index::{IndexScope, IndexSpec};

/// What a model says about its personal data: made by [`PiiModel::pii_schema`](crate::PiiModel::pii_schema).
///
/// It serialises with serde, and its `Display` is JSON with line breaks. Keys and their order are stable: later
/// releases add keys, and remove or rename none. It holds names alone; of the encryption context the
/// literals too, which stand in the source code. No value of a row is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PiiSchema {
    /// The stable name.
    pub model: &'static str,
    /// The table, if the model names one.
    pub table: Option<&'static str>,
    /// Earlier stable names.
    pub was: &'static [&'static str],
    /// Whether it is a view of the model of that name, and may lack fields.
    pub view: bool,
    /// What values are bound to: `row` or `field`.
    pub binding: &'static str,
    /// The fields that make up the row's id, by their stable names.
    pub id: Vec<&'static str>,
    /// The encryption context, sorted by name.
    pub context: Vec<PiiSchemaContext>,
    /// The personal fields, those of nested structs included, in their order.
    pub fields: Vec<PiiSchemaField>,
    /// The blind indexes.
    pub blind_indexes: Vec<PiiSchemaIndex>,
}

/// One pair of the encryption context in a [`PiiSchema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PiiSchemaContext {
    /// The name.
    pub name: &'static str,
    /// The value, if it is the same for all rows.
    pub literal: Option<&'static str>,
    /// The column that holds it, if it is that of a field as it is.
    pub column: Option<&'static str>,
}

/// One personal field in a [`PiiSchema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PiiSchemaField {
    /// Stable names from the model on, joined by dots.
    pub path: String,
    /// The column that it is stored in. A nested struct has one column for all its fields.
    pub column: &'static str,
    /// The way to it by serde's names, joined by dots: the attribute of an item, or keys of JSON.
    pub attribute: String,
    /// 1, 2 or 3.
    pub level: u8,
    /// `plain` for level 1, else the type of the sealed value, such as `text`.
    #[serde(rename = "type")]
    pub value_type: &'static str,
    /// Whether it holds several values: it is a list or map, or inside of one.
    pub many: bool,
    /// `ReadWrite`, `WriteOnly` or `ReadOnly`. Of plain fields `ReadWrite`.
    pub mode: &'static str,
    /// The name of the mask; `custom` for a function.
    pub mask: &'static str,
    /// The keyring, if it is not the default one.
    pub keyring: Option<&'static str>,
    /// The policy for stored plaintext, as the derive says it: `reject`, `accept_and_seal` or `prepare`. Null
    /// for plain fields.
    pub plaintext: Option<&'static str>,
    /// The format of another system in which stored values may be.
    pub legacy: Option<&'static str>,
    /// Earlier stable names of the field itself.
    pub was: &'static [&'static str],
    /// The multiple of bytes to which values are padded, if they are.
    pub pad: Option<u32>,
    /// The blind indexes that are computed of it, by name.
    pub blind_indexes: Vec<&'static str>,
}

/// One blind index in a [`PiiSchema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PiiSchemaIndex {
    /// The stable name.
    pub name: &'static str,
    /// The fields that it is computed of.
    pub fields: Vec<PiiSchemaIndexField>,
    /// How many bits of the code are stored, at most 256.
    pub bits: usize,
    /// Whether no two rows may have the same value.
    pub unique: bool,
    /// `context` or `global`.
    pub scope: &'static str,
    /// The live versions.
    pub versions: Vec<PiiSchemaIndexVersion>,
}

/// A field of a blind index in a [`PiiSchema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PiiSchemaIndexField {
    /// The stable name.
    pub field: &'static str,
    /// The normalisers, one after the other.
    pub normalize: Vec<String>,
}

/// A live version of a blind index in a [`PiiSchema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PiiSchemaIndexVersion {
    /// Its number.
    pub number: u32,
    /// The column of a table.
    pub column: &'static str,
    /// The attribute of an item.
    pub attribute: &'static str,
}

impl PiiSchemaIndex {
    fn of(index: &'static IndexSpec) -> Self {
        let fields = index.parts().iter().map(|part| PiiSchemaIndexField {
            field: part.field,
            normalize: part.normalizers.iter().map(|normalizer| normalizer.name()).collect(),
        });
        let versions = index.versions().iter().map(|version| PiiSchemaIndexVersion {
            number: version.number,
            column: version.column,
            attribute: version.attribute,
        });
        Self {
            name: index.name(),
            fields: fields.collect(),
            bits: index.size().bits(),
            unique: index.is_unique(),
            scope: match index.scope() {
                IndexScope::Context => "context",
                IndexScope::Global => "global",
            },
            versions: versions.collect(),
        }
    }
}

impl PiiSchema {
    pub(crate) fn of(model: &'static ModelSpec) -> Self {
        let ids = model.fields().iter().filter(|field| FieldRole::is_id(field.role()));
        let mut fields = Vec::new();
        collect(model, model.fields(), None, &mut fields);
        Self {
            model: model.name(),
            table: model.table(),
            was: model.was(),
            view: model.is_view(),
            binding: match model.binding() {
                RowBinding::Row => "row",
                RowBinding::Field => "field",
            },
            id: ids.map(FieldSpec::name).collect(),
            context: model.context().iter().map(PiiSchemaContext::of).collect(),
            fields,
            blind_indexes: model.indexes().iter().map(PiiSchemaIndex::of).collect(),
        }
    }
}

impl PiiSchemaContext {
    fn of(part: &ContextPart) -> Self {
        Self { name: part.name, literal: part.literal, column: part.column }
    }
}

/// The nested struct that is being listed.
struct Outer<'a> {
    path: &'a str,
    attribute: &'a str,
    column: &'static str,
    many: bool,
}

fn collect(
    model: &'static ModelSpec,
    fields: &'static [FieldSpec],
    outer: Option<&Outer<'_>>,
    out: &mut Vec<PiiSchemaField>,
) {
    for field in fields {
        let (path, attribute) = match outer {
            Some(outer) => (
                format!("{}.{}", outer.path, field.name()),
                format!("{}.{}", outer.attribute, field.attribute()),
            ),
            None => (field.name().to_owned(), field.attribute().to_owned()),
        };
        let column = outer.map_or(field.column(), |outer| outer.column);
        let many = outer.is_some_and(|outer| outer.many)
            || matches!(field.holds(), Holds::Values(_) | Holds::NestedMany(_));
        if let Some(nested) = field.holds().nested() {
            let outer = Outer { path: &path, attribute: &attribute, column, many };
            collect(model, nested, Some(&outer), out);
        } else if field.is_personal() {
            let is_of_index = |index: &&IndexSpec| {
                outer.is_none() && index.parts().iter().any(|part| part.field == field.name())
            };
            let sealed = field.is_sealed();
            out.push(PiiSchemaField {
                path,
                column,
                attribute,
                level: field.level().number(),
                value_type: field.holds().type_code().map_or("plain", |code| code.name()),
                many,
                mode: field.mode().name(),
                mask: field.mask().name(),
                keyring: field.keyring(),
                plaintext: sealed.then(|| field.plaintext().name()),
                legacy: field.legacy().map(|format| format.name()),
                was: field.was(),
                pad: field.pad(),
                blind_indexes: model.indexes().iter().filter(is_of_index).map(IndexSpec::name).collect(),
            });
        }
    }
}

impl fmt::Display for PiiSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}
