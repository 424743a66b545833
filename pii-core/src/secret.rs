//! Memory that is wiped when freed.

use std::{fmt, io};

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a plaintext in a block of exactly their size, wiped when dropped.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Box<[u8]>>);

impl SecretBytes {
    /// Copies `bytes` into a block of their own.
    #[must_use]
    #[inline]
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Takes the bytes over; where that needs a copy, the old block is wiped.
    #[must_use]
    pub fn from_vec(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            Self(Zeroizing::new(bytes.into_boxed_slice()))
        } else {
            let secret = Self::copy_from(&bytes);
            bytes.zeroize();
            secret
        }
    }

    /// The bytes themselves.
    #[must_use]
    #[inline]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both hold the same bytes, in time that depends on the lengths only.
    #[must_use]
    pub fn constant_time_eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(***)")
    }
}

/// A growing buffer that wipes every block it leaves behind.
#[derive(Default)]
pub(crate) struct WipingBuffer(Zeroizing<Vec<u8>>);

impl WipingBuffer {
    /// With room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    /// What is in it so far.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends bytes.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if bytes.len() > self.0.capacity() - self.0.len() {
            self.grow(bytes.len());
        }
        self.0.extend_from_slice(bytes);
    }

    /// Forgets what was appended since there were so many bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        let rest = self.0.get_mut(length..).unwrap_or_default();
        rest.zeroize();
        self.0.truncate(length);
    }

    pub(crate) fn into_secret(self) -> SecretBytes {
        SecretBytes::copy_from(&self.0)
    }

    #[cold]
    fn grow(&mut self, additional: usize) {
        let needed = self.0.len().saturating_add(additional);
        let mut grown = Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2)).max(64));
        grown.extend_from_slice(&self.0);
        // the old block is wiped by its own drop
        self.0 = Zeroizing::new(grown);
    }
}

impl io::Write for WipingBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_growing_buffer_keeps_everything() {
        let mut buffer = WipingBuffer::default();
        for chunk in 0..300_u16 {
            buffer.write_all(&chunk.to_be_bytes()).unwrap();
        }
        let secret = buffer.into_secret();
        assert_eq!(secret.expose().len(), 600);
        assert_eq!(secret.expose()[598..], 299_u16.to_be_bytes());
    }

    #[test]
    fn what_was_appended_can_be_taken_back() {
        let mut buffer = WipingBuffer::default();
        buffer.push(b"one");
        buffer.push(b"two");
        buffer.truncate(3);
        assert_eq!(buffer.bytes(), b"one");
        buffer.truncate(7);
        assert_eq!(buffer.into_secret().expose(), b"one");
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", SecretBytes::copy_from(b"ada")), "SecretBytes(***)");
    }
}
