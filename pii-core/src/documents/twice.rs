//! What must not be sealed again.

use zeroize::Zeroize as _;

use crate::{
    error::{Error, ErrorKind, Result},
    wire::{Ciphertext, FormatError, PREFIX},
};

/// Refuses JSON text that is one string with a sealed value in it. A string that begins with `ENC:`
/// and is not well formed is data.
pub(super) fn refuse_sealed(json: &[u8]) -> Result<()> {
    let inside = json.strip_prefix(b"\"").and_then(|json| json.strip_suffix(b"\""));
    let Some(text) = inside.filter(|text| text.starts_with(PREFIX.as_bytes())) else { return Ok(()) };
    // a sealed text has no character that JSON escapes
    let Ok(text) = std::str::from_utf8(text) else { return Ok(()) };
    match Ciphertext::take(text.to_owned()) {
        Err((mut text, FormatError::NotEncrypted | FormatError::Malformed)) => {
            text.zeroize();
            Ok(())
        }
        Ok(_) | Err(_) => Err(Error::new(ErrorKind::State)
            .message("the value is sealed already")
            .help("a value is never sealed twice: open the document first, or leave this path out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
