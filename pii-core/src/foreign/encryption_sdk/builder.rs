//! Putting a reader and writer of messages together.

use std::sync::Arc;

use super::{
    EncryptionSdk,
    context::ContextMatch,
    data_keys::{DataKeys, PinnedKey},
};
use crate::{
    cryptor::{CacheLimits, envelope::Clock},
    error::{Error, ErrorKind, Result},
    foreign::key_service::KeyService,
};

/// Messages that are longer are refused, unless the builder says otherwise.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Messages with more encrypted data keys are refused, unless the builder says otherwise.
const MAX_ENCRYPTED_DATA_KEYS: usize = 20;
/// Longer than the ARN of any KMS key.
const MAX_ARN_BYTES: usize = 2048;

/// Puts an [`EncryptionSdk`] together; begun by [`EncryptionSdk::builder`].
///
/// Keys are named by their key ARN, as messages name them: an alias or an id is refused, because only the
/// key service knows what it stands for. Ask it (`kms:DescribeKey`), and name the ARN that it answers.
#[must_use]
pub struct EncryptionSdkBuilder {
    service: Arc<dyn KeyService>,
    keys: Vec<PinnedKey>,
    limits: CacheLimits,
    clock: Clock,
    context_match: ContextMatch,
    max_message_bytes: usize,
    max_encrypted_data_keys: usize,
}

impl EncryptionSdkBuilder {
    pub(super) fn new(service: Arc<dyn KeyService>) -> Self {
        Self {
            service,
            keys: Vec::new(),
            limits: EncryptionSdk::CACHE_LIMITS,
            clock: Clock::new(),
            context_match: ContextMatch::Exact,
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_encrypted_data_keys: MAX_ENCRYPTED_DATA_KEYS,
        }
    }

    /// A KMS key under which data keys are wrapped, and unwrapped. The first one makes the data keys of
    /// new messages, the others wrap them too ([`KeyService::encrypt`]): any one of them opens. Keys are
    /// asked in the order in which they are named.
    pub fn key(self, arn: impl Into<String>) -> Self {
        let service = Arc::clone(&self.service);
        self.key_of(service, arn)
    }

    /// As [`key`](Self::key), at another key service: that of another region or account.
    pub fn key_of(self, service: Arc<dyn KeyService>, arn: impl Into<String>) -> Self {
        self.pin(service, arn.into(), true)
    }

    /// A KMS key that opens messages, and is not used for new ones.
    pub fn decrypt_only(self, arn: impl Into<String>) -> Self {
        let service = Arc::clone(&self.service);
        self.decrypt_only_of(service, arn)
    }

    /// As [`decrypt_only`](Self::decrypt_only), at another key service.
    pub fn decrypt_only_of(self, service: Arc<dyn KeyService>, arn: impl Into<String>) -> Self {
        self.pin(service, arn.into(), false)
    }

    /// How long, for how many messages and for how many bytes data keys are kept, each way;
    /// [`EncryptionSdk::CACHE_LIMITS`] by default.
    pub fn cache_limits(mut self, limits: CacheLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Which contexts messages may have besides the expected one; [`ContextMatch::Exact`] by default.
    pub fn context_match(mut self, context_match: ContextMatch) -> Self {
        self.context_match = context_match;
        self
    }

    /// The bytes that a message, or the plaintext of a new one, may have; 16 MiB by default.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// How many encrypted data keys a message may carry; 20 by default.
    pub fn max_encrypted_data_keys(mut self, data_keys: usize) -> Self {
        self.max_encrypted_data_keys = data_keys;
        self
    }

    /// The clock by which data keys grow old in the cache.
    #[cfg(feature = "testing")]
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// The reader and writer. No key is asked for yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if no key is named, one is named twice or not by its ARN, there are
    /// more keys for new messages than a message may carry, or a limit is zero.
    pub fn build(self) -> Result<EncryptionSdk> {
        let wrong = |message: &str| Error::new(ErrorKind::Configuration).message(message);
        if self.keys.is_empty() {
            return Err(wrong("no KMS key is named").help("name the keys of the messages: `key(arn)`"));
        }
        for (index, key) in self.keys.iter().enumerate() {
            if !is_key_arn(&key.arn) {
                return Err(wrong("a key of messages must be named by its key ARN")
                    .key(&key.arn)
                    .help("an alias or an id has to be looked up at the key service: `kms:DescribeKey` tells the ARN"));
            }
            if self.keys.iter().take(index).any(|other| other.arn == key.arn) {
                return Err(wrong("a KMS key is named twice").key(&key.arn));
            }
        }
        if self.keys.iter().filter(|key| key.is_for_writing).count() > self.max_encrypted_data_keys {
            return Err(wrong("new messages would carry more data keys than are accepted")
                .help("raise `max_encrypted_data_keys`"));
        }
        if self.max_message_bytes == 0 {
            return Err(wrong("`max_message_bytes` is zero"));
        }
        self.limits.check()?;
        Ok(EncryptionSdk {
            keys: Arc::new(DataKeys::new(self.keys, self.limits, self.clock)),
            context_match: self.context_match,
            max_message_bytes: self.max_message_bytes,
            max_encrypted_data_keys: self.max_encrypted_data_keys,
        })
    }

    fn pin(mut self, service: Arc<dyn KeyService>, arn: String, is_for_writing: bool) -> Self {
        self.keys.push(PinnedKey { arn, service, is_for_writing });
        self
    }
}

/// `arn:partition:kms:region:account:key/id`.
fn is_key_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let &["arn", partition, "kms", region, account, resource] = parts.as_slice() else { return false };
    let id = resource.strip_prefix("key/").unwrap_or_default();
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= MAX_ARN_BYTES && [partition, region, account, id].into_iter().all(is_plain)
}
