//! The bytes of each type inside the envelope, without regard to Rust's types: FORMAT.md, section 8.

use std::str;

pub(crate) const NANOS_PER_SECOND: u32 = 1_000_000_000;
const NANOS_PER_DAY: u64 = 86_400 * 1_000_000_000;
const SECONDS_PER_DAY: i32 = 86_400;
/// The only NaN.
const NAN: u64 = 0x7ff8_0000_0000_0000;

/// Reads a value from all of the bytes; `None` if they are not one.
type Read<T> = fn(&[u8]) -> Option<T>;

fn exactly<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

pub(crate) fn is_text(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok()
}

pub(crate) const BOOL: Read<bool> = |bytes| match bytes {
    [0] => Some(false),
    [1] => Some(true),
    _ => None,
};

pub(crate) const INTEGER: Read<i128> = |bytes| exactly(bytes).map(i128::from_be_bytes);

/// Days since 1970-01-01.
pub(crate) const DATE: Read<i32> = |bytes| exactly(bytes).map(i32::from_be_bytes);

pub(crate) const FLOAT: Read<f64> = |bytes| {
    let bits = exactly(bytes).map(u64::from_be_bytes)?;
    let float = f64::from_bits(bits);
    (!float.is_nan() || bits == NAN).then_some(float)
};

pub(crate) fn float_bytes(float: f64) -> [u8; 8] {
    if float.is_nan() { NAN.to_be_bytes() } else { float.to_be_bytes() }
}

pub(crate) const UUID: Read<[u8; 16]> = exactly;

/// Nanoseconds since midnight.
pub(crate) const TIME: Read<u64> =
    |bytes| exactly(bytes).map(u64::from_be_bytes).filter(|nanos| *nanos < NANOS_PER_DAY);

/// Seconds since 1970-01-01T00:00:00Z, and nanoseconds forward from there.
pub(crate) const INSTANT: Read<(i64, u32)> = |bytes| {
    let (seconds, nanos) = bytes.split_at_checked(8)?;
    let nanos = exactly(nanos).map(u32::from_be_bytes).filter(|nanos| *nanos < NANOS_PER_SECOND)?;
    Some((exactly(seconds).map(i64::from_be_bytes)?, nanos))
};

/// A date and a time of day.
pub(crate) const LOCAL_DATE_TIME: Read<(i32, u64)> = |bytes| {
    let (date, time) = bytes.split_at_checked(4)?;
    Some((DATE(date)?, TIME(time)?))
};

/// Coefficient and scale.
pub(crate) const DECIMAL: Read<(i128, u32)> = |bytes| {
    let (coefficient, scale) = bytes.split_at_checked(16)?;
    Some((INTEGER(coefficient)?, exactly(scale).map(u32::from_be_bytes)?))
};

/// An instant, and the seconds by which its clock is ahead of UTC.
pub(crate) const ZONED: Read<((i64, u32), i32)> = |bytes| {
    let (instant, offset) = bytes.split_at_checked(12)?;
    let offset = exactly(offset).map(i32::from_be_bytes);
    let offset = offset.filter(|offset| offset.checked_abs().is_some_and(|ahead| ahead < SECONDS_PER_DAY))?;
    Some((INSTANT(instant)?, offset))
};

pub(crate) fn is_enum(bytes: &[u8]) -> bool {
    !bytes.is_empty() && is_text(bytes)
}

/// Both parts one after the other.
pub(crate) fn joined<const A: usize, const B: usize, const N: usize>(a: [u8; A], b: [u8; B]) -> [u8; N] {
    const { assert!(A + B == N) };
    let mut out = [0; N];
    let (start, end) = out.split_at_mut(A);
    start.copy_from_slice(&a);
    end.copy_from_slice(&b);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_format_allows_is_read() {
        assert_eq!(BOOL(&[1]), Some(true));
        assert_eq!((BOOL(&[2]), BOOL(&[]), BOOL(&[0, 0])), (None, None, None));
        assert_eq!(INTEGER(&[0xff; 16]), Some(-1));
        assert_eq!(INTEGER(&[0xff; 15]), None);
        assert_eq!(FLOAT(&(-0.0_f64).to_be_bytes()).map(f64::to_bits), Some((-0.0_f64).to_bits()));
        assert!(FLOAT(&float_bytes(-f64::NAN)).is_some_and(f64::is_nan));
        assert_eq!(FLOAT(&0x7ff8_0000_0000_0001_u64.to_be_bytes()), None);
        assert_eq!(TIME(&(NANOS_PER_DAY - 1).to_be_bytes()), Some(NANOS_PER_DAY - 1));
        assert_eq!(TIME(&NANOS_PER_DAY.to_be_bytes()), None);
        let instant = |nanos: u32| joined::<8, 4, 12>((-1_i64).to_be_bytes(), nanos.to_be_bytes());
        assert_eq!(INSTANT(&instant(999_999_999)), Some((-1, 999_999_999)));
        assert_eq!(INSTANT(&instant(NANOS_PER_SECOND)), None);
        let zoned = |offset: i32| joined::<12, 4, 16>(instant(0), offset.to_be_bytes());
        assert_eq!(ZONED(&zoned(-86_399)), Some(((-1, 0), -86_399)));
        assert_eq!((ZONED(&zoned(86_400)), ZONED(&zoned(i32::MIN))), (None, None));
    }
}
