//! Columns that hold JSON with sealed texts in it.

use pii_core::{Error, ErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::NULL_HELP;

const NULL: &str = "null";

/// The text of a field's JSON, `None` for null. serde's messages may quote values, so they are not
/// passed on.
pub(crate) fn to_json(field: &impl Serialize) -> Result<Option<String>> {
    let text = serde_json::to_string(field)
        .map_err(|_| Error::new(ErrorKind::Malformed).message("the field cannot be written as JSON"))?;
    Ok((text != NULL).then_some(text))
}

/// A field of the text of its column, for generated code; NULL comes as `null`.
///
/// # Errors
/// [`ErrorKind::Malformed`] if the text is no JSON of this type, [`ErrorKind::Database`] if it is null and
/// the type has none.
pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        if text == NULL {
            return Error::new(ErrorKind::Database)
                .message("the column is NULL, but the field is not optional")
                .help(NULL_HELP);
        }
        Error::new(ErrorKind::Malformed).message(if error.is_data() {
            "the JSON in the column does not fit the field"
        } else {
            "the column does not hold valid JSON"
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_no_text() {
        assert_eq!(to_json(&None::<Vec<u8>>).unwrap(), None);
        assert_eq!(to_json(&Some([1])).unwrap().unwrap(), "[1]");
        assert_eq!(from_json::<Option<Vec<u8>>>("null").unwrap(), None);
    }

    #[test]
    fn errors_do_not_quote_the_column() {
        for text in [r#""ada@example.com""#, "ada@example.com"] {
            let error = from_json::<Vec<u32>>(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed);
            assert!(!format!("{error} {error:?}").contains("ada"), "{error}");
        }
        let error = from_json::<Vec<u32>>("null").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains("not optional"), "{error}");
    }
}
