//! The digits of base64, four at a time: whoever opens values decodes all of them.

/// Set in what is no digit.
const NONE: u32 = 1 << 31;

/// What a digit adds to 24 bits, by its place among four.
static DIGITS: [[u32; 256]; 4] = [digits(18), digits(12), digits(6), digits(0)];

/// Decodes canonical base64 (RFC 4648, section 4) into the front of `out` and says how many bytes it has; `None` if it
/// is not canonical or `out` is too short.
pub(super) fn decode(base64: &[u8], out: &mut [u8]) -> Option<usize> {
    let [first, second, third, fourth] = &DIGITS;
    // the last four may have padding and bits beyond the last byte
    let (front, last) = base64.split_at(base64.len().saturating_sub(4));
    let (quads, []) = front.as_chunks::<4>() else { return None };
    let length = quads.len() * 3;
    let (decoded, rest) = out.split_at_mut_checked(length)?;
    let mut all = 0;
    for ([a, b, c, d], bytes) in quads.iter().zip(decoded.as_chunks_mut::<3>().0) {
        let bits = value(first, *a) | value(second, *b) | value(third, *c) | value(fourth, *d);
        all |= bits;
        let [_, three @ ..] = bits.to_be_bytes();
        *bytes = three;
    }
    if all & NONE != 0 {
        return None;
    }
    Some(length + decode_last(last, rest)?)
}

/// The same of the last four, or of nothing.
fn decode_last(last: &[u8], out: &mut [u8]) -> Option<usize> {
    let [first, second, third, fourth] = &DIGITS;
    let (bits, length) = match last {
        [] => (0, 0),
        [a, b, b'=', b'='] => (value(first, *a) | value(second, *b), 1),
        [a, b, c, b'='] => (value(first, *a) | value(second, *b) | value(third, *c), 2),
        [a, b, c, d] => (value(first, *a) | value(second, *b) | value(third, *c) | value(fourth, *d), 3),
        _ => return None,
    };
    let [none, three @ ..] = bits.to_be_bytes();
    let (bytes, beyond) = three.split_at_checked(length)?;
    if none != 0 || beyond.iter().any(|byte| *byte != 0) {
        return None;
    }
    out.get_mut(..length)?.copy_from_slice(bytes);
    Some(length)
}

#[inline]
fn value(digits: &[u32; 256], digit: u8) -> u32 {
    digits.get(usize::from(digit)).copied().unwrap_or(NONE)
}

#[allow(clippy::indexing_slicing, reason = "a constant: out of bounds is an error of the compiler")]
const fn digits(shift: u32) -> [u32; 256] {
    let mut digits = [NONE; 256];
    let mut rest: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while let [digit, others @ ..] = rest {
        digits[*digit as usize] = value << shift;
        (rest, value) = (others, value + 1);
    }
    digits
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    /// What the library for base64 says.
    fn reference(base64: &[u8]) -> Option<Vec<u8>> {
        STANDARD.decode(base64).ok()
    }

    fn decoded(base64: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0xa5; base64.len()];
        decode(base64, &mut out).map(|length| out[..length].to_vec())
    }

    #[test]
    fn every_length_is_decoded_and_every_cut_refused() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(151) ^ length).collect();
            let base64 = STANDARD.encode(&bytes);
            assert_eq!(decoded(base64.as_bytes()), Some(bytes), "{base64}");
            for end in 0..base64.len() {
                let cut = &base64.as_bytes()[..end];
                assert_eq!(decoded(cut), reference(cut), "{base64} up to {end}");
            }
        }
    }

    #[test]
    fn every_byte_at_every_place_is_told_as_the_library_tells_it() {
        for length in 9..13_u8 {
            let base64 = STANDARD.encode((0..length).map(|byte| byte.wrapping_mul(91)).collect::<Vec<_>>());
            for at in 0..base64.len() {
                for other in 0..=u8::MAX {
                    let mut changed = base64.clone().into_bytes();
                    changed[at] = other;
                    assert_eq!(decoded(&changed), reference(&changed), "{other} at {at} of {base64}");
                }
            }
        }
    }

    #[test]
    fn a_buffer_that_is_too_short_is_refused() {
        let base64 = STANDARD.encode([7; 20]);
        assert_eq!(decode(base64.as_bytes(), &mut [0; 20]), Some(20));
        for length in 0..20 {
            assert_eq!(decode(base64.as_bytes(), &mut vec![0; length]), None, "{length}");
        }
    }
}
