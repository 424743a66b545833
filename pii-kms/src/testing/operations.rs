//! The operations of KMS.

use std::collections::BTreeMap;

use p256::{
    SecretKey,
    elliptic_curve::Generate as _,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _},
};
use pii_core::SecretBytes;

use super::{
    FakeKms,
    blob::Blob,
    context::CallContext,
    control::Seen,
    error::{Answer, ErrorCode, FakeError},
    keys::Key,
    operation::{Operation, RE_ENCRYPT_FROM, RE_ENCRYPT_TO},
    secrets::{Secret, SecretVersion},
};

const MAX_PLAINTEXT: usize = 4096;
const MAX_BLOB: usize = 6144;
const MAX_DATA_KEY: usize = 1024;
const MAX_GRANT_TOKENS: usize = 10;

/// A call of an operation with a key.
pub(super) struct Call {
    pub(super) operation: Operation,
    /// May be missing for `Decrypt` alone; of `ReEncrypt` the destination.
    pub(super) key_id: Option<String>,
    pub(super) context: CallContext,
    pub(super) grant_tokens: Vec<String>,
    pub(super) dry_run: bool,
    pub(super) input: Input,
}

pub(super) enum Input {
    Nothing,
    DataKeyLength(usize),
    Plaintext(SecretBytes),
    Blob(Vec<u8>),
    ReEncrypt { blob: Vec<u8>, source_key_id: Option<String>, source_context: CallContext },
}

pub(super) enum Output {
    DataKey { arn: String, plaintext: SecretBytes, blob: Vec<u8> },
    Blob { arn: String, blob: Vec<u8> },
    Plaintext { arn: String, plaintext: SecretBytes },
    ReEncrypted { source_arn: String, arn: String, blob: Vec<u8> },
    KeyPair { arn: String, public_key: Vec<u8>, private_key: SecretBytes, blob: Vec<u8> },
    Description(Key),
}

/// The name of an alias, its ARN, and the id of its key.
pub(super) struct Alias {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) key_id: String,
}

impl FakeKms {
    pub(super) fn perform(&self, call: &Call, seen: &mut Seen) -> Answer<Output> {
        seen.resource.clone_from(&call.key_id);
        seen.context.clone_from(&call.context.0);
        call.context.check()?;
        self.check_grant_tokens(&call.grant_tokens)?;
        let output = match &call.input {
            Input::ReEncrypt { blob, source_key_id, source_context } => {
                self.re_encrypt(call, seen, blob, source_key_id.as_deref(), source_context)
            }
            Input::Blob(blob) => self.decrypt(call, seen, blob),
            Input::Plaintext(plaintext) => {
                let key = self.named_key(call, seen)?;
                check_length("Plaintext", plaintext.expose().len(), MAX_PLAINTEXT)?;
                Ok(Output::Blob { blob: key.seal(&call.context, plaintext.expose())?, arn: key.arn })
            }
            Input::DataKeyLength(length) => {
                let key = self.named_key(call, seen)?;
                check_length("NumberOfBytes", *length, MAX_DATA_KEY)?;
                let plaintext = super::random::random_secret(*length)?;
                let blob = key.seal(&call.context, &plaintext)?;
                Ok(Output::DataKey { arn: key.arn, plaintext: SecretBytes::copy_from(&plaintext), blob })
            }
            Input::Nothing if call.operation == Operation::DescribeKey => {
                self.describe(call, seen).map(Output::Description)
            }
            Input::Nothing => key_pair(self.named_key(call, seen)?, &call.context),
        }?;
        if call.dry_run {
            return Err(FakeError::new(
                ErrorCode::DryRun,
                "The request would have succeeded, but the DryRun option is set.",
            ));
        }
        Ok(output)
    }

    /// The key that the call names, if the caller may use it and it can be used.
    fn named_key(&self, call: &Call, seen: &mut Seen) -> Answer<Key> {
        let key = self.find_key(call.key_id.as_deref().unwrap_or_default())?;
        seen.resource = Some(key.arn.clone());
        for action in call.operation.actions() {
            self.authorise(call, action, &key, &call.context)?;
        }
        key.check_state()?;
        Ok(key)
    }

    fn describe(&self, call: &Call, seen: &mut Seen) -> Answer<Key> {
        let key = self.registry().resolve(call.key_id.as_deref().unwrap_or_default())?.clone();
        seen.resource = Some(key.arn.clone());
        self.authorise(call, "kms:DescribeKey", &key, &call.context)?;
        Ok(key)
    }

    fn decrypt(&self, call: &Call, seen: &mut Seen, blob: &[u8]) -> Answer<Output> {
        let (key, blob) = self.key_of_blob(call.key_id.as_deref(), blob)?;
        seen.resource = Some(key.arn.clone());
        self.authorise(call, "kms:Decrypt", &key, &call.context)?;
        key.check_state()?;
        let plaintext = key.open(&call.context, &blob?)?;
        Ok(Output::Plaintext { arn: key.arn, plaintext })
    }

    fn re_encrypt(
        &self,
        call: &Call,
        seen: &mut Seen,
        blob: &[u8],
        source_key_id: Option<&str>,
        source_context: &CallContext,
    ) -> Answer<Output> {
        source_context.check()?;
        let (source, blob) = self.key_of_blob(source_key_id, blob)?;
        let destination = self.find_key(call.key_id.as_deref().unwrap_or_default())?;
        seen.resource = Some(destination.arn.clone());
        self.authorise(call, RE_ENCRYPT_FROM, &source, source_context)?;
        self.authorise(call, RE_ENCRYPT_TO, &destination, &call.context)?;
        source.check_state()?;
        destination.check_state()?;
        let plaintext = source.open(source_context, &blob?)?;
        let blob = destination.seal(&call.context, plaintext.expose())?;
        Ok(Output::ReEncrypted { source_arn: source.arn, arn: destination.arn, blob })
    }

    pub(super) fn list_aliases(&self, key_id: Option<&str>, seen: &mut Seen) -> Answer<Vec<Alias>> {
        seen.resource = key_id.map(str::to_owned);
        self.check_access(Operation::ListAliases, "kms:ListAliases", "*", &BTreeMap::new())?;
        let registry = self.registry();
        let only = key_id.map(|key_id| registry.resolve(key_id).map(|key| key.id.clone())).transpose()?;
        let aliases = registry.aliases().filter(|(_, id)| only.as_ref().is_none_or(|only| only == id));
        let alias = |(name, id): (&str, &str)| Alias {
            name: name.to_owned(),
            arn: registry.alias_arn(name),
            key_id: id.to_owned(),
        };
        Ok(aliases.map(alias).collect())
    }

    pub(super) fn secret_value(
        &self,
        secret_id: &str,
        version_id: Option<&str>,
        stage: Option<&str>,
        seen: &mut Seen,
    ) -> Answer<(Secret, SecretVersion)> {
        seen.resource = Some(secret_id.to_owned());
        let secret = self.registry().secrets.find(secret_id)?.clone();
        seen.resource = Some(secret.arn.clone());
        let action = "secretsmanager:GetSecretValue";
        self.check_access(Operation::GetSecretValue, action, &secret.arn, &BTreeMap::new())?;
        let version = secret.version(version_id, stage)?.clone();
        Ok((secret, version))
    }

    /// Only `DescribeKey` tells a malformed ARN from one that is not found.
    fn find_key(&self, key_id: &str) -> Answer<Key> {
        self.registry().resolve(key_id).cloned().map_err(|error| match error.code() {
            ErrorCode::InvalidArn => FakeError::new(ErrorCode::NotFound, error.message()),
            _ => error,
        })
    }

    /// The key to open a blob with, which is found by the blob where the caller does not name it.
    ///
    /// A blob that does not parse is refused after the permissions were checked, if there is a key
    /// to check them with.
    fn key_of_blob(&self, key_id: Option<&str>, blob: &[u8]) -> Answer<(Key, Answer<Blob>)> {
        check_length("CiphertextBlob", blob.len(), MAX_BLOB)?;
        let named = key_id.map(|key_id| self.find_key(key_id)).transpose()?;
        let blob = Blob::parse(blob);
        let by_blob = match &blob {
            Ok(blob) => self.registry().by_locator(&blob.origin.locator).cloned(),
            Err(error) => Err(error.clone()),
        };
        match (named, by_blob) {
            (None, Ok(key)) => Ok((key, blob)),
            (None, Err(error)) => Err(error),
            (Some(named), Ok(key)) if named.id == key.id => Ok((named, blob)),
            (Some(named), Ok(_)) => Ok((named, Err(incorrect_key()))),
            // made by a key that is gone, so not by this one
            (Some(named), Err(error)) if error.code() == ErrorCode::NotFound => {
                Ok((named, Err(incorrect_key())))
            }
            (Some(named), Err(error)) => Ok((named, Err(error))),
        }
    }

    fn authorise(&self, call: &Call, action: &'static str, key: &Key, context: &CallContext) -> Answer<()> {
        self.check_access(call.operation, action, &key.arn, &context.0)?;
        let mut promised = key.grant_tokens.iter().filter(|(operation, _)| *operation == call.operation);
        let needs_one = promised.clone().next().is_some();
        if needs_one && !promised.any(|(_, token)| call.grant_tokens.contains(token)) {
            return Err(FakeError::new(
                ErrorCode::AccessDenied,
                format!("no grant allows {action} on resource: {}", key.arn),
            ));
        }
        Ok(())
    }

    fn check_grant_tokens(&self, tokens: &[String]) -> Answer<()> {
        if tokens.len() > MAX_GRANT_TOKENS {
            return Err(FakeError::validation("at most 10 grant tokens are allowed"));
        }
        let registry = self.registry();
        if tokens.iter().any(|token| !registry.knows_grant_token(token)) {
            return Err(FakeError::new(ErrorCode::InvalidGrantToken, "a grant token is not known"));
        }
        Ok(())
    }
}

fn key_pair(key: Key, context: &CallContext) -> Answer<Output> {
    let failed = || FakeError::new(ErrorCode::Internal, "no key pair could be made");
    let secret = SecretKey::try_generate().map_err(|_| failed())?;
    let private_key = secret.to_pkcs8_der().map_err(|_| failed())?;
    let public_key = secret.public_key().to_public_key_der().map_err(|_| failed())?;
    let blob = key.seal(context, private_key.as_bytes())?;
    Ok(Output::KeyPair {
        arn: key.arn,
        public_key: public_key.into_vec(),
        private_key: SecretBytes::copy_from(private_key.as_bytes()),
        blob,
    })
}

fn check_length(member: &str, length: usize, most: usize) -> Answer<()> {
    if (1..=most).contains(&length) {
        return Ok(());
    }
    Err(FakeError::validation(format!("{member} has {length} bytes; 1 to {most} are allowed")))
}

fn incorrect_key() -> FakeError {
    FakeError::new(
        ErrorCode::IncorrectKey,
        "The key ID in the request does not identify a CMK that can perform this operation.",
    )
}
