//! What goes into a code, and the text that is stored of it: see FORMAT.md.

use std::sync::Arc;

use super::IndexSpec;
use crate::{
    crypto::CODE_BYTES,
    model::ModelSpec,
    wire::encode::{hex_of, put_lp, put_u16},
};

/// What the index is, for which its key is expanded.
///
/// `name` is the model's name, and `field` gives the name of each part's field: the stable ones, or those
/// of earlier times. An index that is named after its field has had the field's names.
pub(crate) fn write_info(
    model: &ModelSpec,
    name: &str,
    index: &IndexSpec,
    mut field: impl FnMut(usize) -> &'static str,
    out: &mut Vec<u8>,
) {
    out.clear();
    put_lp(out, name.as_bytes());
    let index_name = if index.is_named_after_its_field() { field(0) } else { index.name() };
    put_lp(out, index_name.as_bytes());
    put_u16(out, index.parts().len());
    for (position, part) in index.parts().iter().enumerate() {
        put_lp(out, field(position).as_bytes());
        let holds = model.field(part.field).and_then(|field| field.holds().type_code());
        out.push(holds.map_or(0, |code| code.number()));
        put_u16(out, part.normalizers.len());
        for normalizer in part.normalizers {
            put_lp(out, normalizer.name().as_bytes());
        }
    }
}

/// The normalised values of all parts, as they go into the code.
pub(crate) fn input_of<'a>(values: impl ExactSizeIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    input_begins(values.len(), |bytes| out.extend_from_slice(bytes));
    values.for_each(|value| input_goes_on(value, |bytes| out.extend_from_slice(bytes)));
}

/// So many bytes stand before the values of all parts ...
pub(crate) const INPUT_BEGINS: usize = 2;
/// ... and before each of them.
pub(crate) const VALUE_BEGINS: usize = 4;

/// What stands before the values of so many parts.
pub(crate) fn input_begins(parts: usize, put: impl FnOnce(&[u8])) {
    put(&u16::try_from(parts).unwrap_or(u16::MAX).to_be_bytes());
}

/// The value of the next part.
pub(crate) fn input_goes_on(value: &[u8], mut put: impl FnMut(&[u8])) {
    put(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    put(value);
}

/// As many bits of the code as the index keeps, in hexadecimal digits.
pub(crate) fn text_of(index: &IndexSpec, code: &[u8; CODE_BYTES]) -> Arc<str> {
    let bits = index.size().bits();
    let mut kept = *code;
    if let (Some(last), rest @ 1..) = (kept.get_mut(bits / 8), bits % 8) {
        *last &= 0xff_u8 << (8 - rest);
    }
    let mut digits = [0; 2 * CODE_BYTES];
    for (byte, digits) in kept.iter().zip(digits.chunks_exact_mut(2)) {
        digits.copy_from_slice(&hex_of(*byte));
    }
    let digits = digits.get(..2 * bits.div_ceil(8)).unwrap_or(&digits);
    std::str::from_utf8(digits).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::IndexSize;

    #[test]
    fn bits_that_are_not_kept_are_zero() {
        let code = [0xff; CODE_BYTES];
        let text = |size| String::from(&*text_of(&IndexSpec::new("email", &[], &[]).with_size(size), &code));
        assert_eq!(text(IndexSize::Bits(1)), "80");
        assert_eq!(text(IndexSize::Bits(12)), "fff0");
        assert_eq!(text(IndexSize::Bits(16)), "ffff");
        assert_eq!(text(IndexSize::Full), "f".repeat(64));
        assert_eq!(text(IndexSize::Bits(12)).len(), IndexSize::Bits(12).text_length());
    }
}
