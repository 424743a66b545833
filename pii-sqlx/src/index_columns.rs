//! Columns that a model has beside those of its fields: blind indexes.

use pii_core::{ModelSpec, index::IndexVersion};

/// The lower-case hexadecimal digits of a whole HMAC-SHA-256.
pub(crate) const DIGITS: usize = 64;

const SUFFIX: &str = "_bidx";

/// A text column with lower-case hexadecimal digits.
#[derive(Debug, Clone)]
pub(crate) struct IndexColumn {
    pub(crate) name: String,
    /// how many digits
    pub(crate) chars: usize,
    pub(crate) is_unique: bool,
}

impl IndexColumn {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), chars: DIGITS, is_unique: false }
    }
}

/// Those that the model declares.
pub(crate) fn declared(model: &ModelSpec) -> Vec<IndexColumn> {
    let columns = model.indexes().iter().flat_map(|index| {
        let (chars, is_unique) = (index.size().text_length(), index.is_unique());
        let column =
            move |version: &IndexVersion| IndexColumn { name: version.column.to_owned(), chars, is_unique };
        index.versions().iter().map(column)
    });
    columns.collect()
}

/// Whether a column of this name is the blind index of that one: `email_bidx`, or `email_bidx_v2`.
pub(crate) fn is_index_of(name: &str, column: &str) -> bool {
    name.strip_prefix(column).and_then(|rest| rest.strip_prefix(SUFFIX)).is_some_and(is_version)
}

/// Whether a column of this name is another version of that index column: `email_bidx` and `email_bidx_v2`.
pub(crate) fn is_version_of(name: &str, other: &str) -> bool {
    let first = match other.rsplit_once("_v") {
        Some((first, digits)) if !first.is_empty() && is_number(digits) => first,
        _ => other,
    };
    name.strip_prefix(first).is_some_and(is_version)
}

/// Nothing, for version 1, or `_v2`.
fn is_version(end: &str) -> bool {
    end.is_empty() || end.strip_prefix("_v").is_some_and(is_number)
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_have_versions() {
        for name in ["email_bidx", "email_bidx_v2", "email_bidx_v10"] {
            assert!(is_index_of(name, "email"), "{name}");
        }
        for name in ["email", "email_bidx_", "email_bidx_v", "email_bidx_v2x", "e_mail_bidx", "my_email_bidx"]
        {
            assert!(!is_index_of(name, "email"), "{name}");
        }
        for (name, other) in
            [("code", "code_v2"), ("code_v3", "code_v2"), ("code_v2", "code"), ("code", "code")]
        {
            assert!(is_version_of(name, other), "{name} {other}");
        }
        for (name, other) in
            [("code_v", "code_v2"), ("codes", "code"), ("my_code", "code"), ("_v2", "_v1_v2")]
        {
            assert!(!is_version_of(name, other), "{name} {other}");
        }
    }
}
