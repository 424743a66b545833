//! IAM policies, as documentation shows them, decided by the service.

use aws_sdk_kms::{primitives::Blob, types::DataKeySpec};

use crate::support::{REGION, Service, client_of, code, refused, service};

const DENIED: &str = "AccessDeniedException";

fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

async fn generate(service: &Service, purpose: &str) -> Option<String> {
    let call = service.client.generate_data_key().key_id(&service.key).key_spec(DataKeySpec::Aes256);
    let call = call.encryption_context("tenant", "acme").encryption_context("pii:purpose", purpose);
    code(call.send().await)
}

#[tokio::test]
async fn a_writer_makes_keys_for_one_purpose_and_opens_none() {
    let service = service().await;
    let statement = format!(
        r#"{{
            "Sid": "WriteOnly",
            "Effect": "Allow",
            "Action": "kms:GenerateDataKey",
            "Resource": "{}",
            "Condition": {{
                "StringEquals": {{ "kms:EncryptionContext:pii:purpose": "drop" }},
                "ForAllValues:StringEquals": {{
                    "kms:EncryptionContextKeys": ["tenant", "pii:purpose", "pii:epoch"]
                }}
            }}
        }}"#,
        service.key
    );
    service.kms.apply_iam_policy(&policy(&statement)).unwrap();
    assert_eq!(generate(&service, "drop").await, None);
    assert_eq!(generate(&service, "seal").await, refused(DENIED));
    assert_eq!(code(service.encrypt(b"x").send().await), refused(DENIED));
    assert_eq!(service.decrypt_code(&Blob::new("x")).await, refused(DENIED));
    let call = service.client.generate_data_key().key_id(&service.key).key_spec(DataKeySpec::Aes256);
    let call = call.encryption_context("pii:purpose", "drop").encryption_context("more", "x");
    assert_eq!(code(call.send().await), refused(DENIED));
}

#[tokio::test]
async fn a_reader_opens_and_makes_nothing() {
    let service = service().await;
    let reader = service.kms.role("reader");
    let statements = format!(
        r#"{{"Effect":"Allow","Action":["kms:Decrypt","kms:DescribeKey"],"Resource":["{}"]}}"#,
        service.key
    );
    reader.apply_iam_policy(&policy(&statements)).unwrap();
    let server = reader.serve().await.unwrap();
    let client = client_of(&server, REGION);
    let blob = service.encrypted(b"x").await;
    assert_eq!(code(client.decrypt().ciphertext_blob(blob).send().await), None);
    assert_eq!(code(client.describe_key().key_id(&service.key).send().await), None);
    let made = client.generate_data_key().key_id(&service.key).number_of_bytes(32).send().await;
    assert_eq!(code(made), refused(DENIED));
    let sealed = client.encrypt().key_id(&service.key).plaintext(Blob::new("x")).send().await;
    assert_eq!(code(sealed), refused(DENIED));
    // another key is not in the policy
    let other = service.kms.create_key().unwrap();
    assert_eq!(code(client.describe_key().key_id(&other).send().await), refused(DENIED));
}

#[tokio::test]
async fn several_policies_add_up_and_a_denial_wins() {
    let service = service().await;
    let allow = r#"{"Effect":"Allow","Action":"kms:GenerateDataKey*","Resource":"*"}"#;
    service.kms.apply_iam_policy(&policy(allow)).unwrap();
    assert_eq!(generate(&service, "seal").await, None);
    assert_eq!(code(service.encrypt(b"x").send().await), refused(DENIED));
    let encrypt = r#"{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*"}"#;
    service.kms.apply_iam_policy(&policy(encrypt)).unwrap();
    assert_eq!(code(service.encrypt(b"x").send().await), None);
    let deny = r#"{"Effect":"Deny","Action":"kms:*","Resource":"*",
        "Condition":{"StringEquals":{"kms:EncryptionContext:pii:purpose":"seal"}}}"#;
    service.kms.apply_iam_policy(&policy(deny)).unwrap();
    assert_eq!(generate(&service, "seal").await, refused(DENIED));
    assert_eq!(generate(&service, "drop").await, None);
}

#[tokio::test]
async fn rewrapping_needs_both_permissions() {
    let service = service().await;
    let new = service.kms.create_key().unwrap();
    let blob = service.encrypted(b"x").await;
    let from = format!(r#"{{"Effect":"Allow","Action":"kms:ReEncryptFrom","Resource":"{}"}}"#, service.key);
    let to = format!(r#"{{"Effect":"Allow","Action":"kms:ReEncryptTo","Resource":"{new}"}}"#);
    let call = || service.client.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(&new).send();
    service.kms.apply_iam_policy(&policy(&from)).unwrap();
    assert_eq!(code(call().await), refused(DENIED));
    service.kms.apply_iam_policy(&policy(&to)).unwrap();
    assert_eq!(code(call().await), None);
    // not the other way round
    let back = service.client.re_encrypt().ciphertext_blob(call().await.unwrap().ciphertext_blob.unwrap());
    assert_eq!(code(back.destination_key_id(&service.key).send().await), refused(DENIED));
}

#[tokio::test]
async fn a_policy_that_is_not_understood_changes_nothing() {
    let service = service().await;
    let error =
        service.kms.apply_iam_policy(&policy(r#"{"Effect":"Allow","Action":"kms:Decypt","Resource":"*"}"#));
    assert!(error.unwrap_err().to_string().contains("kms:Decypt"));
    assert_eq!(code(service.encrypt(b"x").send().await), None);
}
