//! HPKE (RFC 9180) in the one suite of provider 4: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256,
//! AES-256-GCM; one message per key.

use std::convert::Infallible;

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::{AeadTag, AesGcm256},
    kdf::HkdfSha256,
    kem::DhP256HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
    single_shot_open_inout_detached, single_shot_seal_inout_detached_with_rng,
};
use zeroize::Zeroizing;

use crate::{
    crypto::fill_random,
    error::{Error, ErrorKind, Result},
    wire::TAG_BYTES,
};

type Kem = DhP256HkdfSha256;
type PublicPoint = <Kem as hpke::Kem>::PublicKey;
type Scalar = <Kem as hpke::Kem>::PrivateKey;

/// A point of P-256 in SEC 1 uncompressed form, as RFC 9180 serialises it.
pub(super) const POINT_BYTES: usize = 65;
/// A scalar of P-256.
pub(super) const SCALAR_BYTES: usize = 32;

/// Whether these bytes are a point of the curve in uncompressed form.
pub(super) fn is_point(bytes: &[u8; POINT_BYTES]) -> bool {
    PublicPoint::from_bytes(bytes).is_ok()
}

/// The point that belongs to a scalar; `None` if it is none.
pub(super) fn point_of(scalar: &[u8; SCALAR_BYTES]) -> Option<[u8; POINT_BYTES]> {
    let scalar = Scalar::from_bytes(scalar).ok()?;
    Some(Kem::sk_to_pk(&scalar).to_bytes().into())
}

/// The random bytes of one encapsulation, drawn before it begins: a generator that fails is an
/// error and no panic, and test vectors can give theirs.
pub(super) struct Drawn {
    bytes: Zeroizing<[u8; SCALAR_BYTES]>,
    left: usize,
    is_short: bool,
}

impl Drawn {
    pub(super) fn new() -> Result<Self> {
        let mut drawn = Self::from_bytes([0; SCALAR_BYTES]);
        fill_random(&mut *drawn.bytes)?;
        Ok(drawn)
    }

    fn from_bytes(bytes: [u8; SCALAR_BYTES]) -> Self {
        Self { bytes: Zeroizing::new(bytes), left: SCALAR_BYTES, is_short: false }
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let next = SCALAR_BYTES - self.left;
        match self.bytes.get(next..next.saturating_add(out.len())) {
            Some(bytes) => {
                out.copy_from_slice(bytes);
                self.left -= out.len();
            }
            // the caller of the encapsulation refuses what came of it
            None => self.is_short = true,
        }
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

/// Encrypts `bytes` in place for a recipient, in the name of the sender if there is one; gives the
/// encapsulated key and the tag.
pub(super) fn seal(
    recipient: &[u8; POINT_BYTES],
    sender: Option<&[u8; SCALAR_BYTES]>,
    info: &[u8],
    associated_data: &[u8],
    bytes: &mut [u8],
    mut drawn: Drawn,
) -> Result<([u8; POINT_BYTES], [u8; TAG_BYTES])> {
    let refused =
        || Error::new(ErrorKind::KeyUnavailable).message("the data key could not be sealed to a public key");
    let recipient = PublicPoint::from_bytes(recipient).map_err(|_| refused())?;
    let mode = match sender {
        None => OpModeS::Base,
        Some(scalar) => {
            let scalar = Scalar::from_bytes(scalar).map_err(|_| refused())?;
            let point = Kem::sk_to_pk(&scalar);
            OpModeS::Auth((scalar, point))
        }
    };
    let sealed = single_shot_seal_inout_detached_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &mode,
        &recipient,
        info,
        bytes.into(),
        associated_data,
        &mut drawn,
    );
    if drawn.is_short || drawn.left != 0 {
        return Err(refused());
    }
    let (encapsulated, tag) = sealed.map_err(|_| refused())?;
    Ok((encapsulated.to_bytes().into(), tag.to_bytes().into()))
}

/// Decrypts `bytes` in place. `None` if anything is wrong; what is in `bytes` then is of no use.
pub(super) fn open(
    recipient: &[u8; SCALAR_BYTES],
    sender: Option<&[u8; POINT_BYTES]>,
    encapsulated: &[u8; POINT_BYTES],
    info: &[u8],
    associated_data: &[u8],
    bytes: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Option<()> {
    let recipient = Scalar::from_bytes(recipient).ok()?;
    let mode = match sender {
        None => OpModeR::Base,
        Some(point) => OpModeR::Auth(PublicPoint::from_bytes(point).ok()?),
    };
    let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
    let tag = AeadTag::<AesGcm256>::from_bytes(tag).ok()?;
    single_shot_open_inout_detached::<AesGcm256, HkdfSha256, Kem>(
        &mode,
        &recipient,
        &encapsulated,
        info,
        bytes.into(),
        associated_data,
        &tag,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode::{hex, unhex};

    /// Of the official vectors of RFC 9180 (`test-vectors.json` of draft-irtf-cfrg-hpke): KEM 16,
    /// KDF 1, AEAD 2, the first message.
    struct Vector {
        recipient: &'static str,
        recipient_point: &'static str,
        sender: Option<(&'static str, &'static str)>,
        ikm: &'static str,
        encapsulated: &'static str,
        ciphertext: &'static str,
    }

    const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
    const ASSOCIATED_DATA: &[u8] = b"Count-0";
    const PLAINTEXT: &[u8] = b"Beauty is truth, truth beauty";

    const BASE: Vector = Vector {
        recipient: "317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2",
        recipient_point: "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f\
            853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c",
        sender: None,
        ikm: "a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c",
        encapsulated: "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e\
            0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0",
        ciphertext: "58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f",
    };
    const AUTH: Vector = Vector {
        recipient: "d9f10996a02cd6c9dbda1d1f225f18f781ea3c893b8c2a6cb2e266e59f3cd9a9",
        recipient_point: "04cd38ef80923e26f157e06c9887f80177c97e1005a41104127271237f946df22e\
            da13d40801bce6184f1a631c44b0807a1a5e8d039975ed0f6079fcbd2dfe6652",
        sender: Some((
            "6e7b14befe49443dc501def1cc2f0f293d9c5cfa045a23e9a2e0e7703b42705d",
            "04ece9b48cc98ee03ba742fe1218a3fbec960cc34b6e1defdcd3285276f39028e9\
            5b90f9526607565888766a1101f429dc3ec87364b5c8c613f0a081881950427f",
        )),
        ikm: "d6c49e442aad90bcc1bc0d166e5c4d3df845c803ba08b8a4d891af2eeae4f97e",
        encapsulated: "04a7aeac79fda402674ef247c12d6f5fdfd21498d896b67ff04ec181382d4516b7\
            662be32b4a2ae817c2d57104ecb6fcaa527438939810612d1b3d0af36ffc66ce",
        ciphertext: "59b9890aabf94c1d502c39d8d356989ab0880ed43e984255db7b32a8d7b0ad5beba799a4ec326a0ddca3dd5e5d",
    };

    #[test]
    fn agrees_with_the_vectors_of_rfc_9180() {
        for vector in [BASE, AUTH] {
            let info = unhex::<20>(INFO).unwrap();
            let recipient = unhex(vector.recipient).unwrap();
            let point = unhex(vector.recipient_point).unwrap();
            assert_eq!(point_of(&recipient), Some(point));
            let sender = vector.sender.map(|(scalar, point)| {
                let (scalar, point) = (unhex(scalar).unwrap(), unhex(point).unwrap());
                assert_eq!(point_of(&scalar), Some(point));
                (scalar, point)
            });
            let mut bytes = PLAINTEXT.to_vec();
            let drawn = Drawn::from_bytes(unhex(vector.ikm).unwrap());
            let scalar = sender.as_ref().map(|sender| &sender.0);
            let (encapsulated, tag) =
                seal(&point, scalar, &info, ASSOCIATED_DATA, &mut bytes, drawn).unwrap();
            assert_eq!(hex(&encapsulated), vector.encapsulated);
            assert_eq!(hex(&[bytes.as_slice(), &tag].concat()), vector.ciphertext);
            let sender = sender.as_ref().map(|sender| &sender.1);
            open(&recipient, sender, &encapsulated, &info, ASSOCIATED_DATA, &mut bytes, &tag).unwrap();
            assert_eq!(bytes, PLAINTEXT);
        }
    }

    #[test]
    fn only_points_and_scalars_of_the_curve_are_taken() {
        let point = unhex(BASE.recipient_point).unwrap();
        assert!(is_point(&point));
        let with = |at: usize, byte: u8| {
            let mut changed = point;
            changed[at] = byte;
            changed
        };
        for wrong in
            [with(0, 0), with(0, 2), with(0, 3), with(0, 5), with(0, 6), with(64, 0), [0; POINT_BYTES]]
        {
            assert!(!is_point(&wrong));
        }
        assert_eq!(point_of(&[0; SCALAR_BYTES]), None);
        assert_eq!(point_of(&[0xff; SCALAR_BYTES]), None);
    }

    #[test]
    fn random_bytes_are_used_once_and_running_short_is_seen() {
        let mut drawn = Drawn::from_bytes([7; SCALAR_BYTES]);
        let mut out = [0; SCALAR_BYTES + 1];
        drawn.try_fill_bytes(&mut out[..8]).unwrap();
        assert!(!drawn.is_short && drawn.left == SCALAR_BYTES - 8);
        drawn.try_fill_bytes(&mut out).unwrap();
        assert!(drawn.is_short);
        let point = unhex(BASE.recipient_point).unwrap();
        assert!(seal(&point, None, b"", b"", &mut [0; 32], drawn).is_err());
    }
}
