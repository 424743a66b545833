//! Application keys: the one place where a key is made of a text.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::{SealingKey, without_traces};

/// The salt of the extraction.
const SALT: &str = "pii/v2/app";

/// The application key of a secret, ready for inner envelopes.
pub(crate) fn app_key(secret: &str) -> Arc<SealingKey> {
    without_traces(|| SealingKey::of_app_key(&extract(secret)))
}

/// HKDF-Extract-SHA-256 (RFC 5869) of the secret's text, which is HMAC under the salt.
fn extract(secret: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // HMAC takes keys of any length; were it to refuse, the all-zero key would show it in tests
    if let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(SALT.as_bytes()) {
        hmac.update(secret.as_bytes());
        let mut extracted = hmac.finalize().into_bytes();
        key.copy_from_slice(&extracted);
        extracted.zeroize();
    }
    debug_assert_ne!(*key, [0; 32]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::{KeyLabel, expand},
        wire::encode::hex,
    };

    #[test]
    fn the_worked_example_of_the_format() {
        let key = extract("example secret, at least 32 characters long");
        assert_eq!(hex(&*key), "2e0526746eded700eec561208b811961e5c12507fc739965741bd394f089c94a");
        assert_eq!(hex(&*expand::<16>(&key, KeyLabel::AppKeyId)), "e8704c6970de5baea6b049ad5d2f956c");
        assert_eq!(
            hex(&*expand::<32>(&key, KeyLabel::InnerKey)),
            "a5a3e1cd71a0a829568de86e3a12c4fe8a2ef5d1c05f9465ef56f5ae85b3be7e"
        );
    }
}
