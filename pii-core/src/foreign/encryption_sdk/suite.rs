//! The algorithm suites of message format 2 ("Algorithm suites reference" of the AWS Encryption SDK
//! developer guide). Both have key commitment.

use hkdf::Hkdf;
use sha2::Sha512;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    crypto::{DataKey, without_traces, xaes::DerivedKey},
    error::{Error, ErrorKind, Result},
};

pub(super) const MESSAGE_ID_BYTES: usize = 32;
pub(super) const COMMITMENT_BYTES: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suite {
    /// `0x0478`: AES-256-GCM, HKDF-SHA512, key commitment.
    Unsigned,
    /// `0x0578`: the same, signed by ECDSA over P-384 with SHA-384.
    Signed,
}

impl Suite {
    pub(super) fn of(id: [u8; 2]) -> Option<Self> {
        [Self::Unsigned, Self::Signed].into_iter().find(|suite| suite.id() == id)
    }

    pub(super) const fn id(self) -> [u8; 2] {
        match self {
            Self::Unsigned => [0x04, 0x78],
            Self::Signed => [0x05, 0x78],
        }
    }
}

/// What is derived from a data key for one message.
pub(super) struct MessageKey {
    /// Encrypts header and frames.
    pub(super) cipher: Box<DerivedKey>,
    /// Stands in the header, and belongs to one data key only.
    pub(super) commitment: [u8; COMMITMENT_BYTES],
}

impl MessageKey {
    pub(super) fn derive(
        data_key: &DataKey,
        suite: Suite,
        message_id: &[u8; MESSAGE_ID_BYTES],
    ) -> Result<Self> {
        without_traces(|| {
            let mut key = Zeroizing::new([0; 32]);
            let mut commitment = [0; COMMITMENT_BYTES];
            expand(data_key, message_id, &[&suite.id(), b"DERIVEKEY"], &mut key)?;
            expand(data_key, message_id, &[b"COMMITKEY"], &mut commitment)?;
            Ok(Self { cipher: Box::new(DerivedKey::of(&key)), commitment })
        })
    }

    /// Refuses a message whose header commits to another data key.
    pub(super) fn check(&self, commitment: &[u8; COMMITMENT_BYTES]) -> Result<()> {
        match bool::from(self.commitment.ct_eq(commitment)) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Integrity)),
        }
    }
}

/// HKDF with SHA-512 (RFC 5869): 32 bytes for one use in one message.
fn expand(
    data_key: &DataKey,
    message_id: &[u8; MESSAGE_ID_BYTES],
    info: &[&[u8]],
    out: &mut [u8; 32],
) -> Result<()> {
    Hkdf::<Sha512>::new(Some(message_id), data_key.expose_bytes())
        .expand_multi_info(info, out)
        // for outputs over 16,320 bytes only
        .map_err(|_| Error::new(ErrorKind::Configuration).message("no key could be derived"))
}
