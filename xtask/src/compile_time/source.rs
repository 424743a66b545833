//! The two packages: the same structs with and without `#[derive(PiiModel)]`.

use std::{fmt::Write as _, path::Path};

pub(super) const MODELS: usize = 50;
pub(super) const FIELDS: usize = COLUMNS.len();

/// Which package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Plain,
    Derive,
}

/// A field: its name, its plain type, its type if it is sealed, and what the derive is told about it.
struct Column {
    name: &'static str,
    ty: &'static str,
    sealed: Option<&'static str>,
    attribute: Option<&'static str>,
}

const fn plain(name: &'static str, ty: &'static str) -> Column {
    Column { name, ty, sealed: None, attribute: None }
}

const fn sealed(name: &'static str, attribute: Option<&'static str>) -> Column {
    Column { name, ty: "String", sealed: Some("EncryptedStr"), attribute }
}

const fn optional(name: &'static str, attribute: Option<&'static str>) -> Column {
    Column { name, ty: "Option<String>", sealed: Some("Option<EncryptedStr>"), attribute }
}

/// As in a table of customers: an id, a tenant, eight sealed fields with two blind indexes, and the rest.
const COLUMNS: [Column; 20] = [
    Column { name: "id", ty: "i64", sealed: None, attribute: Some("id") },
    plain("tenant", "String"),
    sealed("email", Some("mask = \"email\", blind_index(normalize = \"email\")")),
    optional("phone", Some("mask = \"last4\", blind_index(normalize = \"digits\")")),
    sealed("first_name", None),
    sealed("last_name", None),
    optional("street", None),
    optional("city", None),
    optional("iban", Some("mask = \"last4\"")),
    optional("note", None),
    plain("status", "String"),
    plain("country", "String"),
    plain("language", "Option<String>"),
    plain("plan", "String"),
    plain("source", "Option<String>"),
    plain("created_at", "i64"),
    plain("updated_at", "i64"),
    plain("is_active", "bool"),
    plain("visits", "i32"),
    plain("balance", "f64"),
];

const MANIFEST: &str = "\
version = \"0.0.0\"
edition = \"2024\"
publish = false

[features]
tables = []

[dependencies]
serde = { version = \"1\", features = [\"derive\"] }
sqlx = { version = \"0.9\", default-features = false, features = [\"runtime-tokio\", \"sqlite-bundled\", \"derive\"] }
";

const IMPORTS: &str = "\
use serde::{Deserialize, Serialize};
#[cfg(feature = \"tables\")]
use std::{future::Future, pin::Pin};
#[cfg(feature = \"tables\")]
type Run<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
";

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Plain, Self::Derive];

    /// The name of its folder.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Derive => "derive",
        }
    }

    /// The name of its package.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Plain => "compile-time-plain",
            Self::Derive => "compile-time-derive",
        }
    }

    pub(super) fn manifest(self, root: &Path) -> String {
        let mut text = format!("[package]\nname = \"{}\"\n{MANIFEST}", self.package());
        if self == Self::Derive {
            // a literal string has no escapes
            let _ = writeln!(text, "pii = {{ path = '{}', features = [\"sqlite\"] }}", root.display());
        }
        text
    }

    pub(super) fn library(self) -> String {
        let mut text = String::from(IMPORTS);
        text.push_str(match self {
            Self::Plain => "use sqlx::FromRow;\n",
            Self::Derive => "use pii::{EncryptedStr, PiiModel};\n",
        });
        for number in 0..MODELS {
            self.write_struct(number, &mut text);
            match self {
                Self::Plain => write_queries(number, &mut text),
                Self::Derive => write_table(number, &mut text),
            }
        }
        text
    }

    fn write_struct(self, number: usize, out: &mut String) {
        match self {
            Self::Plain => out.push_str("\n#[derive(Serialize, Deserialize, FromRow)]\n"),
            Self::Derive => {
                let _ = write!(
                    out,
                    "\n#[derive(Serialize, Deserialize, PiiModel)]\n#[pii(name = \"customer_{number}\", table = \"customers_{number}\", \
                     context(app = \"shop\", tenant = self.tenant), from_row)]\n"
                );
            }
        }
        let _ = writeln!(out, "pub struct Customer{number} {{");
        for column in &COLUMNS {
            let mut ty = column.ty;
            if self == Self::Derive {
                if let Some(attribute) = column.attribute {
                    let _ = writeln!(out, "    #[pii({attribute})]");
                }
                ty = column.sealed.unwrap_or(ty);
            }
            let _ = writeln!(out, "    pub {}: {ty},", column.name);
        }
        out.push_str("}\n");
    }
}

/// What a program without tables of ours has: an INSERT and a SELECT.
fn write_queries(number: usize, out: &mut String) {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    let binds: String = names.iter().map(|name| format!(".bind(&row.{name})")).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let _ = write!(
        out,
        "
#[cfg(feature = \"tables\")]
pub fn insert_{number}<'a>(pool: &'a sqlx::SqlitePool, row: &'a Customer{number}) -> Run<'a, sqlx::Result<()>> {{
    Box::pin(async move {{
        sqlx::query(\"INSERT INTO customers_{number} ({}) VALUES ({marks})\"){binds}.execute(pool).await.map(drop)
    }})
}}

#[cfg(feature = \"tables\")]
pub fn all_{number}(pool: &sqlx::SqlitePool) -> Run<'_, sqlx::Result<Vec<Customer{number}>>> {{
    Box::pin(async move {{ sqlx::query_as(\"SELECT {} FROM customers_{number}\").fetch_all(pool).await }})
}}
",
        names.join(", "),
        names.join(", "),
    );
}

/// The same with a table.
fn write_table(number: usize, out: &mut String) {
    let _ = write!(
        out,
        "
#[cfg(feature = \"tables\")]
pub fn insert_{number}<'a>(table: &'a pii::SqlTable<Customer{number}, sqlx::Sqlite>, row: &'a Customer{number}) -> Run<'a, pii::Result<()>> {{
    Box::pin(async move {{ table.insert(row).await }})
}}

#[cfg(feature = \"tables\")]
pub fn all_{number}(table: &pii::SqlTable<Customer{number}, sqlx::Sqlite>) -> Run<'_, pii::Result<Vec<Customer{number}>>> {{
    Box::pin(async move {{ table.list().decrypt_pii().await }})
}}
"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_the_same_fields() {
        let fields = |side: Side| -> Vec<String> {
            let library = side.library();
            let fields = library.lines().filter_map(|line| line.strip_prefix("    pub "));
            fields.filter_map(|field| Some(field.split_once(':')?.0.to_owned())).collect()
        };
        let [plain, derive] = Side::BOTH.map(fields);
        assert_eq!(plain.len(), MODELS * FIELDS);
        assert_eq!(plain, derive);
    }

    #[test]
    fn only_one_side_derives_and_seals_eight_fields() {
        let [plain, derive] = Side::BOTH.map(Side::library);
        assert!(!plain.contains("PiiModel") && !plain.contains("EncryptedStr"));
        assert_eq!(derive.matches("Deserialize, PiiModel)]").count(), MODELS);
        assert_eq!(
            derive.matches("EncryptedStr,").count() + derive.matches("EncryptedStr>,").count(),
            MODELS * 8 + 1
        );
    }
}
