//! How long stored values are, told from the field alone.

use super::{FieldSpec, Level};
use crate::value::{longest_within, padded_length};
use crate::wire::{FIXED_BYTES, NONCE_BYTES, PREFIX, TAG_BYTES, inner};

impl FieldSpec {
    /// How many characters the text of a sealed value of this field has, if its data key is in a key store. All of
    /// them are ASCII: so many bytes too. [`Cryptor::sealed_chars`](crate::Cryptor::sealed_chars) knows about
    /// values that carry their data key.
    ///
    /// The plaintext's length is that of its bytes: of UTF-8 for text, of JSON for [`Json`](crate::Json). For a
    /// field with several values this is the length of each of them.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # use pii::{FieldSpec, Holds, TypeCode};
    /// # const SSN: FieldSpec = FieldSpec::new("ssn", "ssn", Holds::Value(TypeCode::UTF8));
    /// assert_eq!(SSN.sealed_chars("900-12-3456".len()), 96);
    /// assert_eq!(SSN.sealed_chars(254), 420); // the longest e-mail address
    /// ```
    #[must_use]
    pub const fn sealed_chars(&self, plaintext_bytes: usize) -> usize {
        self.sealed_chars_after(FIXED_BYTES, plaintext_bytes)
    }

    /// The longest plaintext, in bytes, whose sealed text has at most so many characters; `None`, if not even an
    /// empty one has.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # use pii::{FieldSpec, Holds, TypeCode};
    /// # const SSN: FieldSpec = FieldSpec::new("ssn", "ssn", Holds::Value(TypeCode::UTF8));
    /// assert_eq!(SSN.plaintext_bytes_within(96), Some(11));
    /// assert_eq!(SSN.plaintext_bytes_within(50), None);
    /// ```
    #[must_use]
    pub const fn plaintext_bytes_within(&self, chars: usize) -> Option<usize> {
        self.plaintext_bytes_within_after(FIXED_BYTES, chars)
    }

    pub(crate) const fn sealed_chars_after(&self, head_bytes: usize, plaintext_bytes: usize) -> usize {
        let sealed = match self.pad() {
            Some(bucket) => padded_length(plaintext_bytes, bucket),
            None => plaintext_bytes,
        };
        let body = (head_bytes + self.added_bytes()).saturating_add(sealed);
        body.div_ceil(3).saturating_mul(4).saturating_add(PREFIX.len())
    }

    pub(crate) const fn plaintext_bytes_within_after(
        &self,
        head_bytes: usize,
        chars: usize,
    ) -> Option<usize> {
        let Some(base64) = chars.checked_sub(PREFIX.len()) else { return None };
        match ((base64 / 4).saturating_mul(3).checked_sub(head_bytes + self.added_bytes()), self.pad()) {
            (Some(sealed), Some(bucket)) => longest_within(sealed, bucket),
            (sealed, _) => sealed,
        }
    }

    /// Nonce and tag, and what the inner layer adds.
    const fn added_bytes(&self) -> usize {
        let inner = match self.level() {
            Level::Three => inner::FRONT_BYTES + TAG_BYTES,
            _ => 0,
        };
        NONCE_BYTES + TAG_BYTES + inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Holds, TypeCode};

    #[test]
    fn each_is_the_inverse_of_the_other() {
        let two = FieldSpec::new("a", "a", Holds::Value(TypeCode::UTF8));
        for field in [two, two.with_level(Level::Three)] {
            for bytes in 0..500 {
                let chars = field.sealed_chars(bytes);
                let within = field.plaintext_bytes_within(chars).unwrap();
                assert!(within >= bytes && within < bytes + 3, "{bytes}");
                assert_eq!(field.sealed_chars(within), chars);
                assert!(field.plaintext_bytes_within(chars - 1).is_none_or(|fits| fits < bytes));
            }
        }
    }

    #[test]
    fn no_length_makes_it_panic() {
        let field = FieldSpec::new("a", "a", Holds::Value(TypeCode::UTF8));
        assert!(field.sealed_chars(usize::MAX) > usize::MAX / 2);
        assert!(field.plaintext_bytes_within(usize::MAX).is_some());
        assert_eq!(field.plaintext_bytes_within(0), None);
    }
}
