//! Well-formed texts, told from their characters: most values that are loaded are decoded once, when they are
//! opened, and those that stay sealed never.

use super::{
    NONCE_BYTES, PREFIX, TAG_BYTES,
    ciphertext::MAX_TEXT_BYTES,
    header::{FIXED_BYTES, MAX_BODY_BYTES},
};

/// Whether a text is a well-formed value whose key is in a key store. Any other text may be well formed too:
/// that shows when it is decoded.
pub(super) fn is_of_key_store(text: &str) -> bool {
    let Some(base64) = text.strip_prefix(PREFIX).map(str::as_bytes) else { return false };
    // of the first three bytes: 02 and 01, and the beginning of the key id
    let [b'A', b'g', b'E'..=b'H', ..] = base64 else { return false };
    let (digits, padding) = match base64 {
        [digits @ .., b'=', b'='] => (digits, 2),
        [digits @ .., b'='] => (digits, 1),
        digits => (digits, 0),
    };
    let bytes = (base64.len() / 4 * 3).saturating_sub(padding);
    let body = bytes.saturating_sub(FIXED_BYTES + NONCE_BYTES);
    base64.len().is_multiple_of(4)
        && text.len() <= MAX_TEXT_BYTES
        && (TAG_BYTES..=MAX_BODY_BYTES).contains(&body)
        && digits.last().is_some_and(|last| is_last(*last, padding))
        && are_digits(digits)
}

/// How many bytes are looked at together.
const BLOCK: usize = 16;

fn are_digits(bytes: &[u8]) -> bool {
    let all = |block: &[u8; BLOCK]| block.iter().fold(true, |all, byte| all & is_digit(*byte));
    // the last block begins in the one before it
    match (bytes.as_chunks::<BLOCK>().0, bytes.last_chunk::<BLOCK>()) {
        (blocks, Some(last)) => blocks.iter().all(all) && all(last),
        (_, None) => bytes.iter().copied().all(is_digit),
    }
}

/// RFC 4648, section 4. Without branches, so that many bytes are looked at together.
#[inline]
fn is_digit(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26 || byte.wrapping_sub(b'0') < 10 || byte == b'+' || byte == b'/'
}

/// Whether the bits that the last digit has beyond the last byte are zero.
fn is_last(digit: u8, padding: usize) -> bool {
    match padding {
        0 => true,
        1 => b"AEIMQUYcgkosw048".contains(&digit),
        _ => b"AQgw".contains(&digit),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;
    use crate::wire::{ciphertext::decode, header::Parts};

    fn text(body: usize, layout: u8) -> String {
        let bytes: Vec<u8> = [2, layout]
            .into_iter()
            .chain((0..).map(|byte: u32| (byte * 37 % 251) as u8))
            .take(42 + body)
            .collect();
        format!("{PREFIX}{}", STANDARD.encode(bytes))
    }

    /// What the decoder says, of texts of this layout.
    fn decodes(text: &str) -> bool {
        let mut buffer = Vec::new();
        decode(text, &mut buffer).is_ok_and(|decoded| Parts::parse(decoded).is_ok() && decoded[1] == 1)
    }

    #[test]
    fn lengths_are_told_as_the_decoder_tells_them() {
        for body in 0..100 {
            let text = text(body, 1);
            assert_eq!(is_of_key_store(&text), body >= TAG_BYTES, "{body}");
            for end in 0..text.len() {
                let cut = &text[..end];
                assert_eq!(is_of_key_store(cut), decodes(cut), "{cut}");
            }
        }
        for body in [MAX_BODY_BYTES - 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1, MAX_TEXT_BYTES] {
            let text = text(body, 1);
            assert_eq!(is_of_key_store(&text), decodes(&text), "{body}");
        }
        assert!(!is_of_key_store(&text(40, 2)) && !is_of_key_store(&text(40, 3)));
    }

    #[test]
    fn every_other_character_is_told_as_the_decoder_tells_it() {
        for body in [20, 21, 22] {
            let text = text(body, 1);
            assert!(is_of_key_store(&text) && decodes(&text));
            for at in 0..text.len() {
                for other in (0..128).map(char::from).chain(['é', '\u{ff0b}']) {
                    let mut changed = text.clone();
                    changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
                    assert_eq!(is_of_key_store(&changed), decodes(&changed), "{changed}");
                }
            }
            for more in ["=", "A", "A===", "AAAA", "\n"] {
                let longer = format!("{text}{more}");
                assert_eq!(is_of_key_store(&longer), decodes(&longer), "{longer}");
            }
        }
    }
}
