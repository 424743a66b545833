//! The schema snapshot: a file that users check in, so that a rename in code can't lose data.
//!
//! What is authenticated with every stored value (names, types, levels, context, binding) is
//! written down, one line per sealed field, and one per blind index with what its codes depend on. A test with [`assert_schema!`](crate::assert_schema)
//! compares the models of today with it.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use crate::{
    error::{Error, ErrorKind, Result},
    index::{IndexScope, IndexSpec, Normalizer},
    model::{FieldSpec, ModelSpec, RowBinding},
};

/// The environment variable that makes [`assert_schema!`](crate::assert_schema) write the snapshot.
pub const UPDATE_VARIABLE: &str = "PII_UPDATE_SCHEMA";

const HEADER: &str = "\
# What is authenticated with stored values: keep this file in version control.\n\
# Written by `PII_UPDATE_SCHEMA=1 cargo test`; a line that changes or disappears means stored values that no longer\n\
# open, or are no longer found.\n";

const PADDED: &str = ", padded";

/// What decides whether stored values of one field still open.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    facts: String,
    /// other facts, under which stored values open as well
    as_before: Vec<String>,
    /// earlier names of model and fields, under which the entry may stand in an old snapshot
    former: Vec<String>,
}

/// The snapshot of these models, as text.
#[must_use]
pub fn schema_of(models: &[&'static ModelSpec]) -> String {
    let mut out = HEADER.to_owned();
    for (path, entry) in entries(models) {
        let _ = writeln!(out, "{path}: {}", entry.facts);
    }
    out
}

/// Compares models with a snapshot file, or writes the file if `PII_UPDATE_SCHEMA` is set to `1`.
///
/// # Errors
/// [`ErrorKind::Configuration`] if the file can't be read or written, if a stored field would no
/// longer open, or if the snapshot lacks a field.
pub fn check_schema(path: impl AsRef<Path>, models: &[&'static ModelSpec]) -> Result<()> {
    let path = path.as_ref();
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Configuration)
            .message(format!("the schema snapshot `{}` cannot be used", path.display()))
            .help(format!("write it with `{UPDATE_VARIABLE}=1 cargo test`"))
            .source(error)
    };
    let today = schema_of(models);
    if std::env::var(UPDATE_VARIABLE).is_ok_and(|value| value == "1") {
        if let Ok(snapshot) = std::fs::read_to_string(path) {
            // updating must not be the way in which a forgotten `was` slips through
            let lost = lost(&snapshot, &entries(models));
            if !lost.is_empty() {
                return Err(lost_error(path, &lost));
            }
        }
        return std::fs::write(path, today).map_err(failed);
    }
    let snapshot = std::fs::read_to_string(path).map_err(failed)?;
    let lost = lost(&snapshot, &entries(models));
    if !lost.is_empty() {
        return Err(lost_error(path, &lost));
    }
    if lines(&snapshot) != lines(&today) {
        return Err(Error::new(ErrorKind::Configuration)
            .message(format!("the schema snapshot `{}` is older than the models", path.display()))
            .help(format!(
                "nothing stored is lost: run `{UPDATE_VARIABLE}=1 cargo test` and check the file in"
            )));
    }
    Ok(())
}

fn lost_error(path: &Path, lost: &[String]) -> Error {
    Error::new(ErrorKind::Configuration)
        .message(format!(
            "stored values of `{}` would no longer open, or no longer be found: {}",
            path.display(),
            lost.join("; ")
        ))
        .help(
            "if a model or field was renamed, keep its stable name with `#[pii(name = \"...\")]` or add \
             `#[pii(was = \"...\")]`; if it was removed on purpose and no data is left, delete its line",
        )
}

fn lines(snapshot: &str) -> BTreeMap<&str, &str> {
    let lines = snapshot.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ")).collect()
}

/// What stands in the snapshot and would not open any more.
fn lost(snapshot: &str, entries: &BTreeMap<String, Entry>) -> Vec<String> {
    let mut lost = Vec::new();
    for (path, facts) in lines(snapshot) {
        let today = entries
            .get(path)
            .or_else(|| entries.values().find(|entry| entry.former.iter().any(|f| f == path)));
        match today {
            None => lost.push(format!("`{path}` is gone")),
            Some(entry) if entry.facts != facts && !entry.as_before.iter().any(|before| before == facts) => {
                lost.push(format!("`{path}` was {facts} and is {}", entry.facts))
            }
            Some(_) => {}
        }
    }
    lost
}

fn entries(models: &[&'static ModelSpec]) -> BTreeMap<String, Entry> {
    let mut out = BTreeMap::new();
    for model in models {
        let mut prefixes = vec![model.name().to_owned()];
        prefixes.extend(model.was().iter().map(|&name| name.to_owned()));
        collect(model, &prefixes, model.fields(), &mut out);
        out.extend(model.indexes().iter().map(|index| index_entry(model, &prefixes, index)));
    }
    out
}

/// What decides whether stored codes of a blind index are still found.
fn index_entry(model: &'static ModelSpec, prefixes: &[String], index: &'static IndexSpec) -> (String, Entry) {
    let names_of = |field: &'static str| {
        let was = model.field(field).map_or(&[][..], FieldSpec::was);
        std::iter::once(field).chain(was.iter().copied())
    };
    let mut parts = vec![String::new()];
    for part in index.parts() {
        let normalizers: Vec<String> = part.normalizers.iter().map(Normalizer::name).collect();
        let normalizers = normalizers.join(", ");
        let longer = names_of(part.field).flat_map(|name| {
            parts.iter().map(|before| format!("{before}{name}({normalizers}) ")).collect::<Vec<_>>()
        });
        let longer = longer.collect();
        parts = longer;
    }
    let scope = match index.scope() {
        IndexScope::Context => "context",
        IndexScope::Global => "global",
    };
    let bits = index.size().bits();
    let facts = |parts: String| format!("blind index of {parts}with {bits} bits, scope {scope}");
    let mut as_before = parts.into_iter().map(facts);
    let today = as_before.next().unwrap_or_default();
    let as_before = as_before.collect();

    let names: Vec<&str> = match index.is_named_after_its_field() {
        true => names_of(index.name()).collect(),
        false => vec![index.name()],
    };
    let paths = prefixes.iter().flat_map(|prefix| names.iter().map(move |name| format!("{prefix}[{name}]")));
    let former = paths.skip(1).collect();
    (format!("{}[{}]", model.name(), index.name()), Entry { facts: today, as_before, former })
}

fn collect(
    model: &ModelSpec,
    prefixes: &[String],
    fields: &'static [FieldSpec],
    out: &mut BTreeMap<String, Entry>,
) {
    for field in fields.iter().filter(|field| field.is_sealed()) {
        let names = || std::iter::once(field.name()).chain(field.was().iter().copied());
        let paths: Vec<String> =
            prefixes.iter().flat_map(|prefix| names().map(move |name| format!("{prefix}.{name}"))).collect();
        if let Some(nested) = field.holds().nested() {
            collect(model, &paths, nested, out);
        } else if let Some((path, former)) = paths.split_first() {
            let facts = facts(model, field);
            let unpadded = facts.strip_suffix(PADDED).filter(|_| field.was_unpadded());
            let as_before = unpadded.map(str::to_owned).into_iter().collect();
            out.insert(path.clone(), Entry { facts, as_before, former: former.to_vec() });
        }
    }
}

fn facts(model: &ModelSpec, field: &FieldSpec) -> String {
    let context: Vec<String> = model
        .context()
        .iter()
        .map(|part| {
            part.literal.map_or_else(|| part.name.to_owned(), |value| format!("{}={value:?}", part.name))
        })
        .collect();
    let ids: Vec<&str> =
        model.fields().iter().filter(|field| field.role().is_id()).map(FieldSpec::name).collect();
    let row = match model.binding() {
        RowBinding::Row => format!("row({})", ids.join(", ")),
        RowBinding::Field => "field only".to_owned(),
    };
    let kind = field.holds().type_code().map_or("unknown", |code| code.name());
    let keyring = field.keyring().map(|name| format!(", keyring {name}")).unwrap_or_default();
    let padded = if field.pad().is_some() { PADDED } else { "" };
    format!(
        "{kind}, level {}, bound to {row}, context({}){keyring}{padded}",
        field.level().number(),
        context.join(", ")
    )
}

/// Asserts that every value stored by the models of a checked-in snapshot still opens with the
/// models of today: a renamed field without `was` fails the test that holds this.
///
/// The path is relative to the folder of the crate's `Cargo.toml`. `PII_UPDATE_SCHEMA=1 cargo test`
/// writes the file, unless stored values would be lost.
///
/// ```no_run
/// # use pii_core as pii;
/// # use pii::PiiModel;
/// # fn with<Customer: PiiModel, Order: PiiModel>() {
/// pii::assert_schema!("pii-schema.txt", Customer, Order);
/// # }
/// ```
///
/// # Panics
/// If the snapshot and the models do not agree.
#[macro_export]
macro_rules! assert_schema {
    ($path:expr, $($model:ty),+ $(,)?) => {{
        let path = ::std::path::Path::new(::std::env!("CARGO_MANIFEST_DIR")).join($path);
        if let ::std::result::Result::Err(error) =
            $crate::check_schema(path, &[$(<$model as $crate::PiiModel>::MODEL),+])
        {
            ::std::panic!("{error}");
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::{IndexPart, IndexSize, IndexVersion},
        model::{ContextPart, Holds, Level, TypeCode},
    };

    const EMAIL: FieldSpec = FieldSpec::new("email", "email", Holds::Value(TypeCode::UTF8));
    const MAIL_WAS_EMAIL: FieldSpec =
        FieldSpec::new("mail", "email", Holds::Value(TypeCode::UTF8)).with_was(&["email"]);
    const CONTEXT: &[ContextPart] =
        &[ContextPart { name: "tenant", literal: None, column: Some("tenant"), is_stored_text: true }];

    fn model(fields: &'static [FieldSpec]) -> &'static ModelSpec {
        Box::leak(Box::new(ModelSpec::new("customer", fields, RowBinding::Row).with_context(CONTEXT)))
    }

    fn check(snapshot: &str, models: &[&'static ModelSpec]) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.txt");
        std::fs::write(&path, snapshot).unwrap();
        check_schema(path, models)
    }

    #[test]
    fn the_same_models_agree() {
        let models = [model(&[EMAIL])];
        let text = schema_of(&models);
        assert!(text.contains("customer.email: text, level 2, bound to row(), context(tenant)\n"), "{text}");
        check(&text, &models).unwrap();
    }

    #[test]
    fn a_rename_without_was_is_found() {
        let before = schema_of(&[model(&[EMAIL])]);
        let renamed = model(const { &[FieldSpec::new("mail", "email", Holds::Value(TypeCode::UTF8))] });
        let error = check(&before, &[renamed]).unwrap_err().to_string();
        assert!(error.contains("`customer.email` is gone") && error.contains("was"), "{error}");
    }

    #[test]
    fn a_rename_with_was_is_only_out_of_date() {
        let before = schema_of(&[model(&[EMAIL])]);
        let error = check(&before, &[model(&[MAIL_WAS_EMAIL])]).unwrap_err().to_string();
        assert!(error.contains("nothing stored is lost"), "{error}");
    }

    #[test]
    fn another_type_or_level_is_found() {
        let before = schema_of(&[model(&[EMAIL])]);
        let json = model(const { &[FieldSpec::new("email", "email", Holds::Value(TypeCode::JSON))] });
        assert!(check(&before, &[json]).unwrap_err().to_string().contains("was text"));
        let level = model(const { &[EMAIL.with_level(Level::Three)] });
        assert!(check(&before, &[level]).unwrap_err().to_string().contains("level 3"));
    }
    const VERSIONS: &[IndexVersion] =
        &[IndexVersion { number: 1, column: "email_bidx", attribute: "email_bidx" }];
    const BY_EMAIL: IndexSpec =
        IndexSpec::new("email", &[IndexPart { field: "email", normalizers: &[Normalizer::EMAIL] }], VERSIONS);

    fn indexed(fields: &'static [FieldSpec], index: IndexSpec) -> &'static ModelSpec {
        let spec = ModelSpec::new("customer", fields, RowBinding::Row).with_context(CONTEXT);
        Box::leak(Box::new(spec.with_indexes(Box::leak(Box::new([index])))))
    }

    #[test]
    fn an_index_whose_codes_would_not_be_found_is_told() {
        let before = schema_of(&[indexed(&[EMAIL], BY_EMAIL)]);
        let line = "customer[email]: blind index of email(email) with 256 bits, scope context\n";
        assert!(before.contains(line), "{before}");
        check(&before, &[indexed(&[EMAIL], BY_EMAIL)]).unwrap();
        let part = IndexPart { field: "email", normalizers: &[Normalizer::TRIM] };
        let parts = Box::leak(Box::new([part]));
        for (other, told) in [
            (IndexSpec::new("mail", BY_EMAIL.parts(), VERSIONS), "`customer[email]` is gone"),
            (IndexSpec::new("email", parts, VERSIONS), "of email(trim) with"),
            (BY_EMAIL.with_size(IndexSize::Bits(12)), "with 12 bits"),
            (BY_EMAIL.with_scope(IndexScope::Global), "scope global"),
        ] {
            let error = check(&before, &[indexed(&[EMAIL], other)]).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        assert!(check(&before, &[model(&[EMAIL])]).unwrap_err().to_string().contains("is gone"));
    }

    #[test]
    fn an_index_is_renamed_with_its_field() {
        let before = schema_of(&[indexed(&[EMAIL], BY_EMAIL)]);
        let part = IndexPart { field: "mail", normalizers: &[Normalizer::EMAIL] };
        let parts: &'static [IndexPart] = Box::leak(Box::new([part]));
        let renamed = indexed(&[MAIL_WAS_EMAIL], IndexSpec::new("mail", parts, VERSIONS));
        let error = check(&before, &[renamed]).unwrap_err().to_string();
        assert!(error.contains("nothing stored is lost"), "{error}");
    }
}
