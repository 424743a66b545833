//! What is known of a model, as JSON for jobs and reports.

use serde::Serialize;

use super::{FieldSpec, Holds, ModelSpec, PiiFieldInfo, RowBinding};
use crate::index::{IndexScope, IndexSpec};

/// The names and their order are part of the interface: fields may be added, and none changes its meaning.
#[derive(Serialize)]
struct Schema<'a> {
    model: &'a str,
    was: &'a [&'a str],
    table: Option<&'a str>,
    is_view: bool,
    binding: &'static str,
    id: Vec<&'a str>,
    context: Vec<Pair<'a>>,
    fields: Vec<Field<'a>>,
    blind_indexes: Vec<Index<'a>>,
}

#[derive(Serialize)]
struct Pair<'a> {
    name: &'a str,
    literal: Option<&'a str>,
    column: Option<&'a str>,
}

#[derive(Serialize)]
struct Field<'a> {
    path: &'a str,
    column: &'a str,
    attribute: &'a str,
    was: &'a [&'a str],
    level: u8,
    is_sealed: bool,
    r#type: Option<&'static str>,
    is_many: bool,
    mode: Option<&'static str>,
    mask: &'static str,
    keyring: Option<&'a str>,
    plaintext: Option<&'static str>,
    legacy: Option<&'static str>,
    pad: Option<u32>,
    blind_indexes: Vec<&'a str>,
}

#[derive(Serialize)]
struct Index<'a> {
    name: &'a str,
    fields: Vec<Part<'a>>,
    bits: usize,
    is_unique: bool,
    scope: &'static str,
    versions: Vec<Version<'a>>,
}

#[derive(Serialize)]
struct Part<'a> {
    field: &'a str,
    normalize: Vec<String>,
}

#[derive(Serialize)]
struct Version<'a> {
    number: u32,
    column: &'a str,
    attribute: &'a str,
}

pub(super) fn of(model: &'static ModelSpec) -> serde_json::Result<String> {
    let fields = PiiFieldInfo::of(model);
    let id = model.fields().iter().filter(|field| field.role().is_id());
    let context = model.context().iter();
    serde_json::to_string_pretty(&Schema {
        model: model.name(),
        was: model.was(),
        table: model.table(),
        is_view: model.is_view(),
        binding: match model.binding() {
            RowBinding::Row => "row",
            RowBinding::Field => "field",
        },
        id: id.map(FieldSpec::name).collect(),
        context: context
            .map(|part| Pair { name: part.name, literal: part.literal, column: part.column })
            .collect(),
        fields: fields.iter().map(|field| of_field(model, field)).collect(),
        blind_indexes: model.indexes().iter().map(of_index).collect(),
    })
}

fn of_field<'a>(model: &'static ModelSpec, info: &'a PiiFieldInfo) -> Field<'a> {
    let spec = info.spec;
    let is_sealed = spec.is_sealed();
    Field {
        path: &info.path,
        column: spec.column(),
        attribute: spec.attribute(),
        was: spec.was(),
        level: spec.level().number(),
        is_sealed,
        r#type: spec.holds().type_code().map(|code| code.name()),
        is_many: matches!(spec.holds(), Holds::Values(_)),
        mode: is_sealed.then(|| spec.mode().name()),
        mask: spec.mask().name(),
        keyring: spec.keyring(),
        plaintext: is_sealed.then(|| spec.plaintext().name()),
        legacy: spec.legacy().map(|format| format.name()),
        pad: spec.pad(),
        blind_indexes: info.indexes(model).map(IndexSpec::name).collect(),
    }
}

fn of_index(index: &'static IndexSpec) -> Index<'static> {
    let parts = index.parts().iter().map(|part| Part {
        field: part.field,
        normalize: part.normalizers.iter().map(|normalizer| normalizer.name()).collect(),
    });
    let versions = index.versions().iter().map(|version| Version {
        number: version.number,
        column: version.column,
        attribute: version.attribute,
    });
    Index {
        name: index.name(),
        fields: parts.collect(),
        bits: index.size().bits(),
        is_unique: index.is_unique(),
        scope: match index.scope() {
            IndexScope::Context => "context",
            IndexScope::Global => "global",
        },
        versions: versions.collect(),
    }
}
