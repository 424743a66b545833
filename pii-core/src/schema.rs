//! The schema snapshot: a file that users check in, so that a rename in code can't lose data.
//!
//! What is authenticated with every stored value (names, types, levels, context, binding) is
//! written down, one line per sealed field. A test with [`assert_schema!`](crate::assert_schema)
//! compares the models of today with it.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use crate::{
    error::{Error, ErrorKind, Result},
    model::{FieldSpec, ModelSpec, RowBinding},
};

/// The environment variable that makes [`assert_schema!`](crate::assert_schema) write the snapshot.
pub const UPDATE_VARIABLE: &str = "PII_UPDATE_SCHEMA";

const HEADER: &str = "\
# What is authenticated with stored values: keep this file in version control.\n\
# Written by `PII_UPDATE_SCHEMA=1 cargo test`; a line that changes or disappears means stored values that no longer open.\n";

/// What decides whether stored values of one field still open.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    facts: String,
    was_unpadded: bool,
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
        .message(format!("stored values of `{}` would no longer open: {}", path.display(), lost.join("; ")))
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
            Some(entry) if entry.was_unpadded && entry.facts == format!("{facts}, padded") => {}
            Some(entry) if entry.facts != facts => {
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
    }
    out
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
            out.insert(
                path.clone(),
                Entry {
                    facts: facts(model, field),
                    was_unpadded: field.was_unpadded(),
                    former: former.to_vec(),
                },
            );
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
    let padded = if field.pad().is_some() { ", padded" } else { "" };
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
    use crate::model::{ContextPart, Holds, Level, TypeCode};

    const EMAIL: FieldSpec = FieldSpec::new("email", "email", Holds::Value(TypeCode::UTF8));
    const MAIL_WAS_EMAIL: FieldSpec =
        FieldSpec::new("mail", "email", Holds::Value(TypeCode::UTF8)).with_was(&["email"]);
    const CONTEXT: &[ContextPart] = &[ContextPart { name: "tenant", literal: None, column: Some("tenant") }];

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
}
