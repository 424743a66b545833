//! The JSON text of values: what of it may be sealed, and how it is read again.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    error::{Error, ErrorKind, Result},
    json::{WipedValue, read_json, write_json},
    secret::SecretBytes,
    wire::{Ciphertext, FormatError, PREFIX},
};

/// The JSON text of a value inside a document.
///
/// # Errors
/// Refuses what could not be read again, and what is sealed already.
pub(super) fn write(value: &Value) -> Result<SecretBytes> {
    let json = write_json(value)?;
    refuse_sealed(json.expose())?;
    if is_readable(value) {
        return Ok(json);
    }
    Err(Error::new(ErrorKind::InvalidDocument)
        .message("there is a whole number of more than 64 bits, or a member name that serde_json reserves"))
}

/// The value of an opened JSON text.
pub(super) fn read(json: &[u8]) -> Result<WipedValue> {
    match std::str::from_utf8(json).ok().and_then(read_string) {
        Some(text) => Ok(WipedValue(Value::String(text))),
        None => read_json(json),
    }
}

/// Text as `serde_json` writes it, read in memory that is wiped: its own parser puts text with escapes
/// together in memory that is not. Anything unusual is left to the parser.
fn read_string(json: &str) -> Option<String> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Zeroizing::new(String::with_capacity(inside.len()));
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\') => escaped,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => return None,
            },
            '"' | '\0'..'\u{20}' => return None,
            other => other,
        });
    }
    Some(std::mem::take(&mut *text))
}

/// Whether the reader gives back what was written. Numbers are longer than 64 bits, and names like this have
/// a meaning, where any crate of the program turns on the feature `arbitrary_precision` of `serde_json`.
fn is_readable(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.is_i64() || number.is_u64() || number.is_f64(),
        Value::Array(elements) => elements.iter().all(is_readable),
        Value::Object(members) => members
            .iter()
            .all(|(name, member)| !name.starts_with("$serde_json::private::") && is_readable(member)),
    }
}

/// Refuses JSON text that is one string with a sealed value in it. A string that begins with `ENC:`
/// and is not well formed is data.
pub(super) fn refuse_sealed(json: &[u8]) -> Result<()> {
    let inside = json.strip_prefix(b"\"").and_then(|json| json.strip_suffix(b"\""));
    let Some(text) = inside.filter(|text| text.starts_with(PREFIX.as_bytes())) else { return Ok(()) };
    // a sealed text has no character that JSON escapes
    let Ok(text) = std::str::from_utf8(text) else { return Ok(()) };
    match Ciphertext::parse(text) {
        Err(FormatError::NotEncrypted | FormatError::Malformed) => Ok(()),
        Ok(_) | Err(_) => Err(Error::new(ErrorKind::State)
            .message("the value is sealed already")
            .help("a value is never sealed twice: open the document first, or leave this path out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_the_parser_reads_it() {
        let mut texts = vec![String::new(), "ENC: \"\\/\u{8}\u{c}\n\r\t\u{7f}\u{2028}\u{1f511}".to_owned()];
        texts.extend((0_u8..128).map(|code| format!("a{}b", char::from(code))));
        for text in texts {
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(read(json.as_bytes()).unwrap().0, Value::String(text));
        }
        for json in [r#""\u0041\ud83d\udd11\/""#, r#" "a" "#, "1", r#"["a"]"#, "null"] {
            assert_eq!(read(json.as_bytes()).unwrap().0, serde_json::from_str::<Value>(json).unwrap());
        }
        for json in [r#"""#, r#""a"#, r#""a"b""#, r#""\""#, r#""\x""#, "\"\n\"", r#""a" "b""#, ""] {
            assert!(read(json.as_bytes()).is_err(), "{json}");
        }
        assert!(read(b"\"\xff\"").is_err());
    }

    #[test]
    fn what_is_written_can_be_read() {
        for value in [serde_json::json!({"a": [1, u64::MAX, i64::MIN, 0.1, null, true, "x"]}), Value::Null] {
            let json = write(&value).unwrap();
            assert_eq!(read(json.expose()).unwrap().0, value);
        }
        let reserved = serde_json::json!([{"$serde_json::private::Number": "1"}]);
        assert_eq!(write(&reserved).unwrap_err().kind(), ErrorKind::InvalidDocument);
    }

    #[test]
    fn a_string_is_data_unless_it_is_a_sealed_value() {
        let sealed = format!("\"ENC:{}\"", "AgEA".repeat(30));
        for (json, is_refused) in [
            (sealed.as_str(), true),
            ("\"ENC:AAAA\"", true),
            ("\"ENC:AAA\"", false),
            ("\"ENC:\\u0000\"", false),
            ("\"ENC: no\"", false),
            ("[\"ENC:AAAA\"]", false),
            ("\"x\"", false),
            ("1", false),
        ] {
            assert_eq!(refuse_sealed(json.as_bytes()).is_err(), is_refused, "{json}");
        }
    }
}
