//! Padding: FORMAT.md, section 8. It hides the length of a value up to a bucket.

use crate::{secret::SecretBytes, wire::MAX_PLAINTEXT_BYTES};

/// Bytes of the length before the value.
const LENGTH_BYTES: usize = 4;
const LARGEST_BUCKET: u32 = 65_536;

/// How many bytes are sealed of a value of this length, in buckets of so many bytes.
pub(crate) const fn padded_length(length: usize, bucket: u32) -> usize {
    let whole = length.saturating_add(LENGTH_BYTES);
    match whole.checked_next_multiple_of(size_of(bucket)) {
        Some(padded) => padded,
        None => usize::MAX,
    }
}

/// The longest value of which so many bytes at most are sealed; `None` if not even an empty one is.
pub(crate) const fn longest_within(sealed: usize, bucket: u32) -> Option<usize> {
    let bucket = size_of(bucket);
    (sealed / bucket).saturating_mul(bucket).checked_sub(LENGTH_BYTES)
}

/// The smallest bucket that holds a value of this length; of the largest one, for a value that needs several.
pub(crate) const fn bucket_of(length: usize) -> u32 {
    let mut bucket = 1;
    while bucket < LARGEST_BUCKET && size_of(bucket) < length.saturating_add(LENGTH_BYTES) {
        bucket += 1;
    }
    bucket
}

/// At least 1.
const fn size_of(bucket: u32) -> usize {
    if bucket == 0 { 1 } else { bucket as usize }
}

/// The bytes to seal; `None` if there are too many.
pub(crate) fn padded(value: &SecretBytes, bucket: u32) -> Option<SecretBytes> {
    let value = value.expose();
    let whole = padded_length(value.len(), bucket);
    if whole > MAX_PLAINTEXT_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(whole);
    bytes.extend_from_slice(&u32::try_from(value.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(whole, 0);
    Some(SecretBytes::from_vec(bytes))
}

/// The value in opened bytes, whatever their bucket; `None` if they are not padded as they must be.
pub(crate) fn unpadded(bytes: &SecretBytes) -> Option<SecretBytes> {
    let (length, rest) = bytes.expose().split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, zeros) = rest.split_at_checked(length)?;
    zeros.iter().all(|byte| *byte == 0).then(|| SecretBytes::copy_from(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_padded_comes_back(value in any::<Vec<u8>>(), bucket in 1_u32..=65_536) {
            let padded = padded(&SecretBytes::copy_from(&value), bucket).unwrap();
            prop_assert_eq!(padded.expose().len() % usize::try_from(bucket).unwrap(), 0);
            prop_assert_eq!(padded.expose().len(), padded_length(value.len(), bucket));
            let unpadded = unpadded(&padded).unwrap();
            prop_assert_eq!(unpadded.expose(), value);
        }
    }

    #[test]
    fn a_bucket_has_room_for_a_value_and_its_length() {
        for (length, bucket) in
            [(0, 4), (1, 5), (9, 13), (65_532, 65_536), (65_533, 65_536), (1 << 20, 65_536)]
        {
            assert_eq!(bucket_of(length), bucket, "{length}");
        }
        assert_eq!(padded_length(0, bucket_of(9)), padded_length(9, bucket_of(9)));
    }

    #[test]
    fn what_is_not_padded_is_refused() {
        for bytes in [&b""[..], &[0; 3], &[0, 0, 0, 1], &[0, 0, 0, 0, 1], &[0xff; 8]] {
            assert!(unpadded(&SecretBytes::copy_from(bytes)).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn the_largest_value_is_the_largest_that_fits_padded() {
        let largest = SecretBytes::copy_from(&vec![1; MAX_PLAINTEXT_BYTES - LENGTH_BYTES]);
        assert!(padded(&largest, 32).is_some());
        assert!(padded(&SecretBytes::copy_from(&vec![1; MAX_PLAINTEXT_BYTES - 3]), 32).is_none());
    }
}
