//! The calls to KMS, with everything about an answer that can be checked here.

use std::collections::HashMap;

use aws_sdk_kms::{Client, primitives::Blob, types::DataKeySpec};
use pii_core::{DataKey, Error, ErrorKind, KeyBinding, Result};
use zeroize::Zeroize as _;

use crate::{
    error::{Call, error_of},
    sdk::silently,
};

/// The most that Decrypt and ReEncrypt take (API reference, `CiphertextBlob`).
const MAX_BLOB_BYTES: usize = 6144;

/// What KMS gave for a new data key.
pub(super) struct NewDataKey {
    pub(super) data_key: DataKey,
    pub(super) blob: Vec<u8>,
    pub(super) key: String,
}

/// The encryption context that every call of a binding passes: FORMAT.md, section 9.
pub(super) fn encryption_context(binding: &KeyBinding) -> HashMap<String, String> {
    let pairs = binding.context.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs
        .chain([
            ("pii:purpose".to_owned(), binding.purpose.name().to_owned()),
            ("pii:epoch".to_owned(), binding.epoch.to_string()),
        ])
        .collect()
}

/// Whether KMS may have made this blob, as far as its length tells.
pub(super) fn is_possible_blob(blob: &[u8]) -> bool {
    !blob.is_empty() && blob.len() <= MAX_BLOB_BYTES
}

/// The ARN of the key that this name stands for now.
pub(super) async fn describe(client: &Client, name: &str, tokens: &[String]) -> Result<String> {
    let call = Call::kms("kms:DescribeKey");
    let request = client.describe_key().key_id(name).set_grant_tokens(some(tokens));
    let answer = silently(request.send()).await.map_err(|error| error_of(call, name, &error))?;
    answer.key_metadata.and_then(|key| key.arn).ok_or_else(|| incomplete(call, name))
}

pub(super) async fn generate_data_key(
    client: &Client,
    name: &str,
    binding: &KeyBinding,
    tokens: &[String],
) -> Result<NewDataKey> {
    let call = Call::kms("kms:GenerateDataKey");
    let request = client
        .generate_data_key()
        .key_id(name)
        .key_spec(DataKeySpec::Aes256)
        .set_encryption_context(Some(encryption_context(binding)))
        .set_grant_tokens(some(tokens));
    let answer = silently(request.send()).await.map_err(|error| error_of(call, name, &error))?;
    let data_key = data_key(call, name, answer.plaintext)?;
    let blob = blob(call, name, answer.ciphertext_blob)?;
    Ok(NewDataKey { data_key, blob, key: answer.key_id.ok_or_else(|| incomplete(call, name))? })
}

/// The blob, and the ARN of the key that KMS says it used.
pub(super) async fn encrypt(
    client: &Client,
    name: &str,
    data_key: &DataKey,
    binding: &KeyBinding,
    tokens: &[String],
) -> Result<(Vec<u8>, String)> {
    let call = Call::kms("kms:Encrypt");
    let request = client
        .encrypt()
        .key_id(name)
        .plaintext(Blob::new(data_key.expose_bytes().as_slice()))
        .set_encryption_context(Some(encryption_context(binding)))
        .set_grant_tokens(some(tokens));
    let answer = silently(request.send()).await.map_err(|error| error_of(call, name, &error))?;
    let blob = blob(call, name, answer.ciphertext_blob)?;
    Ok((blob, answer.key_id.ok_or_else(|| incomplete(call, name))?))
}

/// The data key, and the ARN of the key that KMS says it used.
pub(super) async fn decrypt(
    client: &Client,
    name: &str,
    blob: &[u8],
    binding: &KeyBinding,
    tokens: &[String],
) -> Result<(DataKey, String)> {
    let call = Call::kms("kms:Decrypt");
    let request = client
        .decrypt()
        .key_id(name)
        .ciphertext_blob(Blob::new(blob))
        .set_encryption_context(Some(encryption_context(binding)))
        .set_grant_tokens(some(tokens));
    let answer = silently(request.send()).await.map_err(|error| error_of(call, name, &error))?;
    let data_key = data_key(call, name, answer.plaintext)?;
    Ok((data_key, answer.key_id.ok_or_else(|| incomplete(call, name))?))
}

/// What KMS says of a copy that it moved to another key.
pub(super) struct ReEncrypted {
    pub(super) blob: Vec<u8>,
    pub(super) source: String,
    pub(super) destination: String,
}

pub(super) async fn re_encrypt(
    client: &Client,
    source: &str,
    blob_of_source: &[u8],
    destination: &str,
    binding: &KeyBinding,
    tokens: &[String],
) -> Result<ReEncrypted> {
    let call = Call::kms("kms:ReEncrypt");
    let context = encryption_context(binding);
    let request = client
        .re_encrypt()
        .source_key_id(source)
        .destination_key_id(destination)
        .ciphertext_blob(Blob::new(blob_of_source))
        .set_source_encryption_context(Some(context.clone()))
        .set_destination_encryption_context(Some(context))
        .set_grant_tokens(some(tokens));
    let both = format!("{source} to {destination}");
    let answer = silently(request.send()).await.map_err(|error| error_of(call, &both, &error))?;
    Ok(ReEncrypted {
        blob: blob(call, &both, answer.ciphertext_blob)?,
        source: answer.source_key_id.ok_or_else(|| incomplete(call, &both))?,
        destination: answer.key_id.ok_or_else(|| incomplete(call, &both))?,
    })
}

fn some(tokens: &[String]) -> Option<Vec<String>> {
    (!tokens.is_empty()).then(|| tokens.to_vec())
}

fn data_key(call: Call, name: &str, plaintext: Option<Blob>) -> Result<DataKey> {
    let mut bytes = plaintext.map(Blob::into_inner).unwrap_or_default();
    let data_key = DataKey::from_slice(&bytes);
    bytes.zeroize();
    data_key.ok_or_else(|| unusable(call, name, "a data key that is not 32 bytes long"))
}

fn blob(call: Call, name: &str, blob: Option<Blob>) -> Result<Vec<u8>> {
    let blob = blob.map(Blob::into_inner).unwrap_or_default();
    if is_possible_blob(&blob) {
        return Ok(blob);
    }
    Err(unusable(call, name, "a wrapped data key of an impossible length"))
}

fn incomplete(call: Call, name: &str) -> Error {
    unusable(call, name, "no key id")
}

fn unusable(call: Call, name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Integrity)
        .key(name)
        .message(format!("{} was answered with {what}", call.action))
        .help("check what stands between this process and AWS KMS")
}
