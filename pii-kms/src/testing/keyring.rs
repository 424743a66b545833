//! The fake as a keyring in the same process.

use std::fmt;

use pii_core::{
    BoxFuture, DataKey, Error, ErrorKind, GeneratedKey, KeyBinding, Keyring, Provider, WrappedKey,
};

use super::{
    FakeError, FakeKms, Operation,
    context::CallContext,
    operations::{Call, Input, Output},
    sleep::Sleep,
};

const DATA_KEY_BYTES: usize = 32;

/// Wraps data keys under one key of a [`FakeKms`], without a network and without a runtime.
///
/// What it writes is what `KmsKeyring` reads from the same key over HTTP, and the other way round.
#[derive(Clone)]
pub struct FakeKmsKeyring {
    kms: FakeKms,
    /// The ARN, pinned; what the caller gave if there was no such key.
    key: String,
}

impl FakeKms {
    /// A keyring of one key, named by id, ARN or alias. An alias is resolved now and not again. If
    /// there is no such key, calls fail with [`ErrorKind::KeyMissing`].
    #[must_use]
    pub fn keyring(&self, key: &str) -> FakeKmsKeyring {
        let arn = self.registry().resolve(key).map(|key| key.arn.clone());
        FakeKmsKeyring { kms: self.clone(), key: arn.unwrap_or_else(|_| key.to_owned()) }
    }
}

impl FakeKmsKeyring {
    /// The ARN of the key: the key name of its copies.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    async fn call(
        &self,
        operation: Operation,
        binding: &KeyBinding,
        input: Input,
    ) -> pii_core::Result<Output> {
        let call = Call {
            operation,
            key_id: Some(self.key.clone()),
            context: context_of(binding),
            grant_tokens: Vec::new(),
            dry_run: false,
            input,
        };
        let arrival = self.kms.arrive(operation);
        Sleep::new(arrival.delay).await;
        self.kms
            .complete(arrival, |seen| self.kms.perform(&call, seen))
            .map_err(|refusal| self.error(binding, refusal))
    }

    async fn generate_key(&self, binding: &KeyBinding) -> pii_core::Result<GeneratedKey> {
        let input = Input::DataKeyLength(DATA_KEY_BYTES);
        match self.call(Operation::GenerateDataKey, binding, input).await? {
            Output::DataKey { arn, plaintext, blob } => Ok(GeneratedKey {
                data_key: DataKey::from_slice(plaintext.expose()).ok_or_else(|| self.unexpected())?,
                copies: vec![WrappedKey { provider: Provider::AWS_KMS, key_name: arn, blob }],
            }),
            _ => Err(self.unexpected()),
        }
    }

    async fn unwrap_first(
        &self,
        copies: &[WrappedKey],
        binding: &KeyBinding,
        is_wanted: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> pii_core::Result<DataKey> {
        if copies.iter().any(|copy| copy.provider == Provider::TEST) {
            return Err(Error::new(ErrorKind::KeyMissing)
                .message("the value was sealed with a test keyring, whose key everybody knows")
                .help("seal the data anew with the keyring that reads it"));
        }
        let mut refusal = Error::new(ErrorKind::KeyMissing)
            .key(&self.key)
            .message("no copy of the data key was wrapped by this KMS key")
            .help("use the key that the value was written with");
        let own = |copy: &&WrappedKey| copy.provider == Provider::AWS_KMS && copy.key_name == self.key;
        for copy in copies.iter().filter(own) {
            match self.call(Operation::Decrypt, binding, Input::Blob(copy.blob.clone())).await {
                Ok(Output::Plaintext { plaintext, .. }) => {
                    match DataKey::from_slice(plaintext.expose()).filter(is_wanted) {
                        Some(data_key) => return Ok(data_key),
                        None => refusal = self.error(binding, FakeError::invalid_ciphertext()),
                    }
                }
                Ok(_) => return Err(self.unexpected()),
                Err(error) if error.kind() == ErrorKind::ContextMismatch => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    fn error(&self, binding: &KeyBinding, refusal: FakeError) -> Error {
        let kind = refusal.code().kind();
        let error = Error::new(kind).key(&self.key);
        let error = match kind {
            ErrorKind::ContextMismatch => error.message(format!(
                "the wrapped data key does not open under the expected context ({}), or was altered",
                binding.context.names()
            )),
            ErrorKind::KeyDisabled => error.help("enable the key, or cancel its deletion"),
            ErrorKind::KeyDenied => error.help("see the rules and policies of the fake's role"),
            _ => error,
        };
        error.source(refusal)
    }

    fn unexpected(&self) -> Error {
        Error::new(ErrorKind::KeyUnavailable).key(&self.key).message("the fake gave an unexpected answer")
    }
}

/// The pairs of the context, and what the data key is for.
fn context_of(binding: &KeyBinding) -> CallContext {
    let own = [("pii:purpose", binding.purpose.name().to_owned()), ("pii:epoch", binding.epoch.to_string())];
    let pairs = binding.context.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    CallContext(pairs.chain(own.map(|(name, value)| (name.to_owned(), value))).collect())
}

impl fmt::Debug for FakeKmsKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeKmsKeyring({})", self.key)
    }
}

impl Keyring for FakeKmsKeyring {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, pii_core::Result<GeneratedKey>> {
        Box::pin(self.generate_key(binding))
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, pii_core::Result<DataKey>> {
        Box::pin(self.unwrap_first(copies, binding, is_wanted))
    }
}
