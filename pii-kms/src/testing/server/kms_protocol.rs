//! Requests and answers of KMS in its JSON protocol.

use serde_json::{Value, json};

use super::json::{Members, base64, required, timestamp};
use crate::testing::{
    FakeKms, KeyState, Operation,
    context::CallContext,
    control::Seen,
    error::{Answer, ErrorCode, FakeError},
    keys::Key,
    lock,
    operations::{Call, Input, Output},
};

const ALGORITHM: &str = "SYMMETRIC_DEFAULT";
const KEY_PAIR_SPEC: &str = "ECC_NIST_P256";

pub(super) fn answer(kms: &FakeKms, operation: Operation, body: &[u8], seen: &mut Seen) -> Answer<Value> {
    let mut members = Members::parse(body)?;
    if operation == Operation::ListAliases {
        return list_aliases(kms, members, seen);
    }
    let call = read(operation, &mut members)?;
    members.finish()?;
    let output = kms.perform(&call, seen)?;
    let account = kms.account();
    Ok(write(operation, output, &account))
}

fn read(operation: Operation, members: &mut Members) -> Answer<Call> {
    let re_encrypts = operation == Operation::ReEncrypt;
    let (key_member, context_member) = match operation {
        Operation::ReEncrypt => ("DestinationKeyId", "DestinationEncryptionContext"),
        _ => ("KeyId", "EncryptionContext"),
    };
    let key_id = members.text(key_member)?;
    if operation != Operation::Decrypt {
        required(key_id.as_ref(), key_member)?;
    }
    let describes = operation == Operation::DescribeKey;
    Ok(Call {
        operation,
        key_id,
        context: if describes { CallContext::default() } else { CallContext(members.pairs(context_member)?) },
        grant_tokens: members.texts("GrantTokens")?,
        dry_run: !describes && members.flag("DryRun")?,
        input: match operation {
            Operation::Encrypt => {
                check_algorithm(members, "EncryptionAlgorithm")?;
                let plaintext = required(members.bytes("Plaintext")?, "Plaintext")?;
                Input::Plaintext(pii_core::SecretBytes::from_vec(plaintext))
            }
            Operation::Decrypt => {
                check_algorithm(members, "EncryptionAlgorithm")?;
                Input::Blob(required(members.bytes("CiphertextBlob")?, "CiphertextBlob")?)
            }
            Operation::GenerateDataKey | Operation::GenerateDataKeyWithoutPlaintext => {
                Input::DataKeyLength(data_key_length(members)?)
            }
            Operation::GenerateDataKeyPair | Operation::GenerateDataKeyPairWithoutPlaintext => {
                let spec = required(members.text("KeyPairSpec")?, "KeyPairSpec")?;
                if spec != KEY_PAIR_SPEC {
                    return Err(FakeError::new(
                        ErrorCode::UnsupportedOperation,
                        "the fake makes key pairs of the spec ECC_NIST_P256 only",
                    ));
                }
                Input::Nothing
            }
            _ if re_encrypts => {
                check_algorithm(members, "SourceEncryptionAlgorithm")?;
                check_algorithm(members, "DestinationEncryptionAlgorithm")?;
                Input::ReEncrypt {
                    blob: required(members.bytes("CiphertextBlob")?, "CiphertextBlob")?,
                    source_key_id: members.text("SourceKeyId")?,
                    source_context: CallContext(members.pairs("SourceEncryptionContext")?),
                }
            }
            _ => Input::Nothing,
        },
    })
}

fn check_algorithm(members: &mut Members, member: &str) -> Answer<()> {
    match members.text(member)? {
        Some(other) if other != ALGORITHM => Err(FakeError::new(
            ErrorCode::InvalidKeyUsage,
            format!("{member} must be {ALGORITHM} for a symmetric key"),
        )),
        _ => Ok(()),
    }
}

fn data_key_length(members: &mut Members) -> Answer<usize> {
    let spec = members.text("KeySpec")?;
    let length = members.number("NumberOfBytes")?;
    match (spec.as_deref(), length) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        (None, Some(length)) => Ok(length),
        (Some(_), None) => Err(FakeError::validation("KeySpec must be AES_256 or AES_128")),
        _ => Err(FakeError::validation("give exactly one of KeySpec and NumberOfBytes")),
    }
}

fn write(operation: Operation, output: Output, account: &str) -> Value {
    match output {
        Output::DataKey { arn, plaintext, blob } => {
            let mut answer = json!({ "KeyId": arn, "CiphertextBlob": base64(&blob) });
            if operation == Operation::GenerateDataKey {
                insert(&mut answer, "Plaintext", base64(plaintext.expose()));
            }
            answer
        }
        Output::Blob { arn, blob } => {
            json!({ "KeyId": arn, "CiphertextBlob": base64(&blob), "EncryptionAlgorithm": ALGORITHM })
        }
        Output::Plaintext { arn, plaintext } => json!({
            "KeyId": arn,
            "Plaintext": base64(plaintext.expose()),
            "EncryptionAlgorithm": ALGORITHM,
        }),
        Output::ReEncrypted { source_arn, arn, blob } => json!({
            "KeyId": arn,
            "SourceKeyId": source_arn,
            "CiphertextBlob": base64(&blob),
            "SourceEncryptionAlgorithm": ALGORITHM,
            "DestinationEncryptionAlgorithm": ALGORITHM,
        }),
        Output::KeyPair { arn, public_key, private_key, blob } => {
            let mut answer = json!({
                "KeyId": arn,
                "KeyPairSpec": KEY_PAIR_SPEC,
                "PublicKey": base64(&public_key),
                "PrivateKeyCiphertextBlob": base64(&blob),
            });
            if operation == Operation::GenerateDataKeyPair {
                insert(&mut answer, "PrivateKeyPlaintext", base64(private_key.expose()));
            }
            answer
        }
        Output::Description(key) => json!({ "KeyMetadata": metadata(&key, account) }),
    }
}

fn metadata(key: &Key, account: &str) -> Value {
    let mut metadata = json!({
        "AWSAccountId": account,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": timestamp(key.created),
        "Description": key.description,
        "Enabled": key.state == KeyState::Enabled,
        "KeyState": key.state.name(),
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeySpec": ALGORITHM,
        "CustomerMasterKeySpec": ALGORITHM,
        "EncryptionAlgorithms": [ALGORITHM],
        "KeyManager": "CUSTOMER",
        "Origin": "AWS_KMS",
        "MultiRegion": key.regions.is_some(),
    });
    if let Some(regions) = &key.regions {
        let regions = lock(regions).clone();
        let entry = |region: &String| json!({ "Arn": key.arn_in(region, account), "Region": region });
        let own = key.arn.split(':').nth(3);
        let is_primary = regions.first().map(String::as_str) == own;
        let configuration = json!({
            "MultiRegionKeyType": if is_primary { "PRIMARY" } else { "REPLICA" },
            "PrimaryKey": regions.first().map(entry),
            "ReplicaKeys": regions.iter().skip(1).map(entry).collect::<Vec<_>>(),
        });
        insert(&mut metadata, "MultiRegionConfiguration", configuration);
    }
    metadata
}

fn list_aliases(kms: &FakeKms, mut members: Members, seen: &mut Seen) -> Answer<Value> {
    let key_id = members.text("KeyId")?;
    // all of them fit in one answer, whatever limit is asked for
    members.number("Limit")?;
    members.finish()?;
    let aliases = kms.list_aliases(key_id.as_deref(), seen)?;
    let entries = aliases
        .into_iter()
        .map(|alias| json!({ "AliasName": alias.name, "AliasArn": alias.arn, "TargetKeyId": alias.key_id }));
    Ok(json!({ "Aliases": entries.collect::<Vec<_>>(), "Truncated": false }))
}

fn insert(object: &mut Value, member: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}
