//! AWS KMS for the formats of other systems.

use std::{collections::HashMap, fmt};

use aws_sdk_kms::{Client, primitives::Blob, types::DataKeySpec};
use pii_core::{
    BoxFuture, Error, ErrorKind, KeyService, Result, SecretBytes, ServiceBlob, ServiceContext, ServiceDataKey,
};

use crate::{
    error::{Call, error_of},
    key_reference::{KeyArn, KeyReference},
    sdk::silently,
};

/// What errors name a key by where the call names none.
const ANY_KEY: &str = "that of the blob";

/// Keys of AWS KMS, through a client of yours, for the formats of other systems. For fields of this
/// library's own format use [`KmsKeyring`](crate::KmsKeyring).
///
/// Each call is one call to KMS, with the context as it is given. What KMS answers is checked: a key that
/// was named by its ARN must have been the one that was used. Retries and timeouts are those of the
/// client. Encrypting needs `kms:GenerateDataKey`, under several keys also `kms:Encrypt`, opening
/// `kms:Decrypt`.
///
/// ```
/// # use pii_core as pii; // in a program: use pii::KmsKeyService;
/// # use pii_kms::KmsKeyService;
/// # fn with(client: aws_sdk_kms::Client) {
/// let kms = KmsKeyService::with_client(client);
/// # }
/// ```
#[derive(Clone)]
pub struct KmsKeyService {
    client: Client,
    grant_tokens: Vec<String>,
}

impl KmsKeyService {
    /// The keys that this client reaches.
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self { client, grant_tokens: Vec::new() }
    }

    /// Grant tokens for every call.
    #[must_use]
    pub fn grant_tokens(mut self, tokens: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.grant_tokens.extend(tokens.into_iter().map(Into::into));
        self
    }

    async fn generate(&self, key_id: &str, context: &ServiceContext) -> Result<ServiceDataKey> {
        let call = Call::kms("kms:GenerateDataKey");
        let reference = KeyReference::parse(key_id)?;
        let request = self
            .client
            .generate_data_key()
            .key_id(reference.text())
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(pairs(context))
            .set_grant_tokens(self.tokens());
        let answer = silently(request.send()).await.map_err(|error| error_of(call, key_id, &error))?;
        let plaintext = secret(answer.plaintext);
        let key_arn = used(call, &reference, answer.key_id.as_deref())?;
        match (plaintext, answer.ciphertext_blob.map(Blob::into_inner)) {
            (Some(plaintext), Some(blob)) if plaintext.expose().len() == 32 && !blob.is_empty() => {
                Ok(ServiceDataKey { plaintext, blob, key_arn })
            }
            _ => Err(unusable(call, key_id, "something that is no data key of 32 bytes")),
        }
    }

    async fn open(&self, key_id: Option<&str>, blob: &[u8], context: &ServiceContext) -> Result<SecretBytes> {
        let call = Call::kms("kms:Decrypt");
        let reference = key_id.map(KeyReference::parse).transpose()?;
        let named = key_id.unwrap_or(ANY_KEY);
        let request = self
            .client
            .decrypt()
            .set_key_id(key_id.map(str::to_owned))
            .ciphertext_blob(Blob::new(blob))
            .set_encryption_context(pairs(context))
            .set_grant_tokens(self.tokens());
        let answer = silently(request.send()).await.map_err(|error| error_of(call, named, &error))?;
        let plaintext = secret(answer.plaintext);
        if let Some(reference) = &reference {
            used(call, reference, answer.key_id.as_deref())?;
        }
        plaintext.ok_or_else(|| unusable(call, named, "no plaintext"))
    }

    async fn seal(
        &self,
        key_id: &str,
        plaintext: &SecretBytes,
        context: &ServiceContext,
    ) -> Result<ServiceBlob> {
        let call = Call::kms("kms:Encrypt");
        let reference = KeyReference::parse(key_id)?;
        let request = self
            .client
            .encrypt()
            .key_id(reference.text())
            .plaintext(Blob::new(plaintext.expose()))
            .set_encryption_context(pairs(context))
            .set_grant_tokens(self.tokens());
        let answer = silently(request.send()).await.map_err(|error| error_of(call, key_id, &error))?;
        let key_arn = used(call, &reference, answer.key_id.as_deref())?;
        match answer.ciphertext_blob.map(Blob::into_inner) {
            Some(blob) if !blob.is_empty() => Ok(ServiceBlob { blob, key_arn }),
            _ => Err(unusable(call, key_id, "no ciphertext")),
        }
    }

    fn tokens(&self) -> Option<Vec<String>> {
        (!self.grant_tokens.is_empty()).then(|| self.grant_tokens.clone())
    }
}

impl KeyService for KmsKeyService {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>> {
        Box::pin(self.generate(key_id, context))
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>> {
        Box::pin(self.open(key_id, blob, context))
    }

    fn encrypt<'a>(
        &'a self,
        key_id: &'a str,
        plaintext: &'a SecretBytes,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceBlob>> {
        Box::pin(self.seal(key_id, plaintext, context))
    }
}

impl fmt::Debug for KmsKeyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKeyService").finish_non_exhaustive()
    }
}

/// KMS takes no empty context.
fn pairs(context: &ServiceContext) -> Option<HashMap<String, String>> {
    let pairs = || context.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    (!context.is_empty()).then(pairs)
}

fn secret(plaintext: Option<Blob>) -> Option<SecretBytes> {
    plaintext.map(|plaintext| SecretBytes::from_vec(plaintext.into_inner()))
}

/// The ARN of the key that KMS says it used, if it is the one that was asked for.
fn used(call: Call, asked: &KeyReference, answered: Option<&str>) -> Result<String> {
    let Some(arn) = answered.and_then(KeyArn::parse) else {
        return Err(unusable(call, asked.text(), "no key id"));
    };
    let is_right = match asked {
        KeyReference::Arn(asked) => asked.opens_copies_of(&arn),
        KeyReference::Id(id) => arn.as_str().rsplit('/').next() == Some(id),
        // what an alias stands for, only KMS knows
        KeyReference::Alias(_) | KeyReference::AliasArn { .. } => true,
    };
    if is_right {
        Ok(arn.as_str().to_owned())
    } else {
        Err(unusable(call, asked.text(), "another KMS key than the one asked for"))
    }
}

fn unusable(call: Call, key: &str, what: &str) -> Error {
    Error::new(ErrorKind::Integrity)
        .key(key)
        .message(format!("{} was answered with {what}", call.action))
        .help("check what stands between this process and AWS KMS")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    const OTHER: &str = "9999abcd-12ab-34cd-56ef-1234567890ab";

    fn arn(account: &str, id: &str) -> String {
        format!("arn:aws:kms:eu-central-1:{account}:key/{id}")
    }

    fn accepted(asked: &str, answered: Option<&str>) -> bool {
        let answer = used(Call::kms("kms:Decrypt"), &KeyReference::parse(asked).unwrap(), answered);
        assert!(answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Integrity) || answer.is_ok());
        answer.is_ok_and(|arn| Some(arn.as_str()) == answered)
    }

    #[test]
    fn an_answer_of_another_key_is_refused() {
        let own = arn("111122223333", ID);
        for asked in [own.as_str(), ID, "alias/pii", "arn:aws:kms:eu-central-1:111122223333:alias/pii"] {
            assert!(accepted(asked, Some(&own)), "{asked}");
            assert!(!accepted(asked, None), "{asked}");
            assert!(!accepted(asked, Some("alias/pii")), "{asked}");
        }
        assert!(!accepted(&own, Some(&arn("111122223333", OTHER))));
        assert!(!accepted(&own, Some(&arn("999999999999", ID))));
        assert!(!accepted(ID, Some(&arn("111122223333", OTHER))));
    }

    #[test]
    fn an_empty_context_is_none() {
        assert!(pairs(&ServiceContext::new()).is_none());
        let context = ServiceContext::from([("tenant".to_owned(), "acme".to_owned())]);
        assert_eq!(pairs(&context).unwrap()["tenant"], "acme");
    }
}
