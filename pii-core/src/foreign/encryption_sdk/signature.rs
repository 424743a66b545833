//! The signature at the end of messages of algorithm `0x0578`: ECDSA over P-384 with SHA-384 (FIPS 186-5), in DER.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use p384::ecdsa::{DerSignature, VerifyingKey, signature::Verifier as _};

use super::{context::PUBLIC_KEY, header::malformed, suite::Suite};
use crate::{
    error::{Error, ErrorKind, Result},
    foreign::key_service::ServiceContext,
    wire::encode::Reader,
};

/// A coordinate of P-384 with the sign of the other.
const COMPRESSED_POINT_BYTES: usize = 49;

/// What a reader verifies; of an unsigned message, nothing.
pub(super) struct Signature<'a>(Option<Signed<'a>>);

struct Signed<'a> {
    key: VerifyingKey,
    signature: DerSignature,
    bytes: &'a [u8],
}

impl<'a> Signature<'a> {
    /// Reads what follows the body, to the end of the message.
    pub(super) fn read(
        message: &'a [u8],
        rest: &'a [u8],
        suite: Suite,
        context: &ServiceContext,
    ) -> Result<Self> {
        match suite {
            Suite::Unsigned if rest.is_empty() => Ok(Self(None)),
            Suite::Unsigned => Err(malformed()),
            Suite::Signed => {
                let mut reader = Reader(rest);
                let signature = reader.lp16().filter(|_| reader.0.is_empty()).ok_or_else(malformed)?;
                let signature = DerSignature::from_bytes(signature).map_err(|_| malformed())?;
                let bytes = message.len().checked_sub(rest.len()).and_then(|length| message.get(..length));
                let key = context.get(PUBLIC_KEY).and_then(|text| public_key(text)).ok_or_else(malformed)?;
                Ok(Self(Some(Signed { key, signature, bytes: bytes.ok_or_else(malformed)? })))
            }
        }
    }

    /// Says something only after header and context are authenticated: the key stands in the context.
    pub(super) fn verify(&self) -> Result<()> {
        let Some(signed) = &self.0 else { return Ok(()) };
        signed.key.verify(signed.bytes, &signed.signature).map_err(|_| Error::new(ErrorKind::Integrity))
    }
}

fn public_key(text: &str) -> Option<VerifyingKey> {
    // of this length there is only the compressed form
    let point: [u8; COMPRESSED_POINT_BYTES] = STANDARD.decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_sec1_bytes(&point).ok()
}
