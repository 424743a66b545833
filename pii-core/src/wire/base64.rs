//! Base64 of sealed values (RFC 4648, section 4), canonical text only. Of a short value it is a good part of the
//! work, so it goes by blocks in which nothing branches, and by tables: stored texts are no secret that a cache could
//! tell.

/// So many bytes and digits are one block.
const BYTES: usize = 24;
const DIGITS: usize = 32;

/// The length of the text of so many bytes.
#[inline]
pub(super) fn text_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Writes the text of bytes. `None` if `out` is not as long as that.
#[inline]
pub(super) fn encode(bytes: &[u8], out: &mut [u8]) -> Option<()> {
    if out.len() != text_length(bytes.len()) {
        return None;
    }
    let (blocks, rest) = bytes.as_chunks();
    let (whole, last) = out.split_at_mut_checked(blocks.len() * DIGITS)?;
    for (block, digits) in blocks.iter().zip(whole.as_chunks_mut().0) {
        write_digits(block, digits);
    }
    let (threes, rest) = rest.as_chunks();
    let (fours, _) = last.as_chunks_mut();
    let mut fours = fours.iter_mut();
    for (three, four) in threes.iter().zip(&mut fours) {
        *four = four_digits(*three);
    }
    let Some(last) = fours.next() else { return Some(()) };
    *last = match *rest {
        [a, b] => {
            let [a, b, c, _] = four_digits([a, b, 0]);
            [a, b, c, b'=']
        }
        [a] => {
            let [a, b, ..] = four_digits([a, 0, 0]);
            [a, b, b'=', b'=']
        }
        _ => return None,
    };
    Some(())
}

/// Writes the bytes of a text to the front of `out`, and says how many they are. `None` if the text is not that of
/// any bytes, or `out` is too short for them.
#[inline]
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let (digits, padding) = match text {
        [digits @ .., b'=', b'='] => (digits, 2),
        [digits @ .., b'='] => (digits, 1),
        digits => (digits, 0),
    };
    let length = (text.len() / 4 * 3).checked_sub(padding)?;
    let (blocks, rest) = digits.as_chunks();
    let (whole, last) = out.get_mut(..length)?.split_at_mut_checked(blocks.len() * BYTES)?;
    let mut seen = 0;
    for (block, bytes) in blocks.iter().zip(whole.as_chunks_mut().0) {
        seen |= write_bytes(block, bytes);
    }
    let (fours, rest) = rest.as_chunks();
    let (threes, last) = last.as_chunks_mut();
    for (four, three) in fours.iter().zip(threes) {
        let bits = bits_of(*four);
        seen |= bits;
        let [_, a, b, c] = bits.to_be_bytes();
        *three = [a, b, c];
    }
    // the bits of the last digit that belong to no byte are zero
    match (rest, last) {
        ([], []) => {}
        ([a, b, c], [first, second]) => {
            let bits = bits_of([*a, *b, *c, b'A']);
            seen |= bits | (bits & 0xff) << 24;
            [_, *first, *second, _] = bits.to_be_bytes();
        }
        ([a, b], [only]) => {
            let bits = bits_of([*a, *b, b'A', b'A']);
            seen |= bits | (bits & 0xffff) << 16;
            [_, *only, ..] = bits.to_be_bytes();
        }
        _ => return None,
    }
    (seen & 0xff00_0000 == 0).then_some(length)
}

/// The digits of a block.
#[inline]
fn write_digits(block: &[u8; BYTES], digits: &mut [u8; DIGITS]) {
    let [a, b, c] = words(block);
    let parts = [a >> 16, a << 32 | b >> 32, b << 16 | c >> 48, c];
    for (bits, eight) in parts.into_iter().zip(digits.as_chunks_mut().0) {
        let pair = |shift: u32| {
            let value = usize::try_from(bits >> shift & 0x0fff).unwrap_or_default();
            u64::from(PAIRS.get(value).copied().unwrap_or_default())
        };
        *eight = (pair(36) << 48 | pair(24) << 32 | pair(12) << 16 | pair(0)).to_be_bytes();
    }
}

#[inline]
fn words(block: &[u8; BYTES]) -> [u64; BYTES / 8] {
    let mut words = [0; BYTES / 8];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    words
}

#[inline]
fn four_digits(bytes: [u8; 3]) -> [u8; 4] {
    let [a, b, c] = bytes.map(usize::from);
    let pair = |value: usize| u32::from(PAIRS.get(value).copied().unwrap_or_default());
    (pair(a << 4 | b >> 4) << 16 | pair((b & 0x0f) << 8 | c)).to_be_bytes()
}

/// The two digits of 12 bits.
static PAIRS: [u16; 4096] = {
    let mut pairs = [0; 4096];
    let mut rest: &mut [u16] = &mut pairs;
    let (mut high, mut low) = (0, 0);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = u16::from_be_bytes([digit(high), digit(low)]);
        low += 1;
        if low == 64 {
            (high, low) = (high + 1, 0);
        }
        rest = others;
    }
    pairs
};

const fn digit(value: u8) -> u8 {
    match value {
        ..26 => b'A' + value,
        26..52 => b'a' + (value - 26),
        52..62 => b'0' + (value - 52),
        62 => b'+',
        _ => b'/',
    }
}

/// The bytes of a block; and the bits of all its digits, with [`NO_DIGIT`] if there is something else among them.
#[inline]
fn write_bytes(block: &[u8; DIGITS], bytes: &mut [u8; BYTES]) -> u32 {
    let mut seen = 0;
    let mut fours = [0; DIGITS / 4];
    for (four, digits) in fours.iter_mut().zip(block.as_chunks().0) {
        let bits = bits_of(*digits);
        seen |= bits;
        *four = u64::from(bits);
    }
    let [a, b, c, d, e, f, g, h] = fours;
    let words = [a << 40 | b << 16 | c >> 8, c << 56 | d << 32 | e << 8 | f >> 16, f << 48 | g << 24 | h];
    for (word, eight) in words.into_iter().zip(bytes.as_chunks_mut().0) {
        *eight = word.to_be_bytes();
    }
    seen
}

/// The 24 bits of four digits.
#[inline]
fn bits_of(digits: [u8; 4]) -> u32 {
    let [a, b, c, d] = digits;
    let [first, second, third, fourth] = &VALUES;
    let at = |values: &[u32; 256], digit: u8| values.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT);
    at(first, a) | at(second, b) | at(third, c) | at(fourth, d)
}

/// What four digits add to the 24 bits that they stand for.
static VALUES: [[u32; 256]; 4] = [values(18), values(12), values(6), values(0)];

/// Stands for what is no digit.
const NO_DIGIT: u32 = 1 << 31;

const fn values(shift: u32) -> [u32; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut rest: &mut [u32] = &mut values;
    let mut digit = 0_u8;
    while let Some((first, others)) = rest.split_first_mut() {
        let value = match digit {
            b'A'..=b'Z' => Some(digit - b'A'),
            b'a'..=b'z' => Some(digit - b'a' + 26),
            b'0'..=b'9' => Some(digit - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        };
        if let Some(value) = value {
            *first = (value as u32) << shift;
        }
        digit = digit.wrapping_add(1);
        rest = others;
    }
    values
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from((at * 151 + at / 7 + length * 29) % 256).unwrap()).collect()
    }

    fn encoded(bytes: &[u8]) -> String {
        let mut text = vec![0; text_length(bytes.len())];
        encode(bytes, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut bytes = vec![0xee; text.len()];
        let length = decode(text.as_bytes(), &mut bytes)?;
        assert!(bytes[length..].iter().all(|byte| *byte == 0xee), "{text}");
        bytes.truncate(length);
        Some(bytes)
    }

    #[test]
    fn texts_are_those_of_the_crate() {
        for length in 0..300 {
            let bytes = bytes(length);
            let text = encoded(&bytes);
            assert_eq!(text, STANDARD.encode(&bytes));
            assert_eq!(decoded(&text).as_deref(), Some(&*bytes));
        }
        for pair in 0..=u16::MAX {
            let bytes = [&pair.to_be_bytes()[..], &[0xa5], &pair.to_le_bytes()].concat();
            let text = encoded(&bytes);
            assert_eq!(text, STANDARD.encode(&bytes));
            assert_eq!(decoded(&text), Some(bytes));
        }
    }

    #[test]
    fn what_is_refused_is_what_the_crate_refuses() {
        for length in [0, 1, 2, 3, 22, 23, 24, 25, 26, 27, 46, 47, 48] {
            let text = encoded(&bytes(length));
            for end in 0..text.len() {
                assert_eq!(decoded(&text[..end]), STANDARD.decode(&text[..end]).ok());
            }
            for more in ["=", "A", "==", "A===", "AAAA", "\n"] {
                let longer = format!("{text}{more}");
                assert_eq!(decoded(&longer), STANDARD.decode(&longer).ok(), "{longer}");
            }
            for at in 0..text.len() {
                for other in (0..128).map(char::from).chain(['é', '\u{ff0b}']) {
                    let mut changed = text.clone();
                    changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
                    assert_eq!(decoded(&changed), STANDARD.decode(&changed).ok(), "{changed}");
                }
            }
        }
        for byte in 0..=u8::MAX {
            let text = [b'A', byte, b'A', b'A'];
            assert_eq!(decode(&text, &mut [0; 3]).is_some(), STANDARD.decode(text).is_ok(), "{byte}");
        }
    }

    #[test]
    fn a_buffer_of_the_wrong_length_is_refused() {
        for length in 0..100 {
            let bytes = bytes(length);
            let text = encoded(&bytes);
            assert_eq!(encode(&bytes, &mut vec![0; text.len() + 1]), None);
            assert_eq!(decode(text.as_bytes(), &mut vec![0; length]), Some(length));
            if length > 0 {
                assert_eq!(encode(&bytes, &mut vec![0; text.len() - 1]), None);
                assert_eq!(decode(text.as_bytes(), &mut vec![0; length - 1]), None);
            }
        }
    }
}
