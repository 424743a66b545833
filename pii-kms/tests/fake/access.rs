//! Deny rules, allow-lists, roles and grant tokens.

use aws_sdk_kms::{error::ProvideErrorMetadata as _, primitives::Blob};
use pii_kms::testing::{ErrorCode, Operation};

use crate::support::{REGION, client_of, code, refused, service};

const DENIED: &str = "AccessDeniedException";

#[tokio::test]
async fn a_denial_looks_at_operation_and_context() {
    let service = service().await;
    service.kms.deny(Operation::Decrypt, |request| request.context("pii:purpose") == Some("drop"));
    for (purpose, expected) in [("drop", refused(DENIED)), ("seal", None)] {
        let sealed = service.encrypt(b"x").encryption_context("pii:purpose", purpose).send().await.unwrap();
        let blob = sealed.ciphertext_blob.unwrap();
        let opened = service.client.decrypt().ciphertext_blob(blob);
        assert_eq!(code(opened.encryption_context("pii:purpose", purpose).send().await), expected);
    }
    service.kms.clear_rules();
    let blob = service.encrypted(b"x").await;
    assert_eq!(service.decrypt_code(&blob).await, None);
}

#[tokio::test]
async fn the_sdk_knows_a_denial_by_its_code() {
    let service = service().await;
    service.kms.allow_only([Operation::Decrypt]);
    let error = service.encrypt(b"x").encryption_context("tenant", "acme-corp").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    assert_eq!(error.raw_response().unwrap().headers().get("x-amzn-errortype"), Some(DENIED));
    let error = error.into_service_error();
    assert_eq!(error.code(), Some(DENIED));
    assert!(
        error.message().unwrap().contains("kms:Encrypt") && !error.message().unwrap().contains("acme-corp")
    );
    let is_typed = error.is_disabled_exception() || error.is_not_found_exception();
    assert!(!is_typed);
}

#[tokio::test]
async fn a_denial_looks_at_the_key() {
    let service = service().await;
    let other = service.kms.create_key().unwrap();
    let allowed = service.key.clone();
    service.kms.deny(Operation::Encrypt, move |request| request.resource() != allowed);
    assert_eq!(code(service.encrypt(b"x").send().await), None);
    let sealed = service.client.encrypt().key_id(&other).plaintext(Blob::new("x")).send().await;
    assert_eq!(code(sealed), refused(DENIED));
}

#[tokio::test]
async fn a_denial_comes_before_state_and_ciphertext() {
    let service = service().await;
    service.kms.deny(Operation::Decrypt, |_| true);
    assert_eq!(service.decrypt_code(&Blob::new("rubbish")).await, refused(DENIED));
    service.kms.set_key_state(&service.key, pii_kms::testing::KeyState::Disabled).unwrap();
    assert_eq!(service.decrypt_code(&Blob::new("rubbish")).await, refused(DENIED));
}

#[tokio::test]
async fn re_encrypt_asks_for_both_sides() {
    let service = service().await;
    let other = service.kms.create_key().unwrap();
    let blob = service.encrypt(b"x").encryption_context("side", "from").send().await.unwrap();
    let blob = blob.ciphertext_blob.unwrap();
    let call = || {
        let call = service.client.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(&other);
        call.source_encryption_context("side", "from").destination_encryption_context("side", "to").send()
    };
    assert_eq!(code(call().await), None);
    let sides = [("kms:ReEncryptFrom", "from", &service.key), ("kms:ReEncryptTo", "to", &other)];
    for (action, side, key) in sides {
        let key = key.clone();
        service.kms.deny(Operation::ReEncrypt, move |request| {
            request.action() == action && request.context("side") == Some(side) && request.resource() == key
        });
        assert_eq!(code(call().await), refused(DENIED), "{action}");
        service.kms.clear_rules();
    }
}

#[tokio::test]
async fn roles_have_rules_of_their_own() {
    let service = service().await;
    let writer = service.kms.role("writer");
    writer.allow_only([Operation::Encrypt]);
    let server = writer.serve().await.unwrap();
    let client = client_of(&server, REGION);
    let sealed = client.encrypt().key_id(&service.key).plaintext(Blob::new("x")).send().await.unwrap();
    let blob = sealed.ciphertext_blob.unwrap();
    assert_eq!(code(client.decrypt().ciphertext_blob(blob.clone()).send().await), refused(DENIED));
    assert_eq!(service.decrypt_code(&blob).await, None);

    let log = service.kms.call_log();
    let seen: Vec<_> = log.iter().map(|call| (call.role.as_str(), call.operation, call.error)).collect();
    assert_eq!(
        seen,
        [
            ("writer", Operation::Encrypt, None),
            ("writer", Operation::Decrypt, Some(ErrorCode::AccessDenied)),
            ("default", Operation::Decrypt, None),
        ]
    );
}

#[tokio::test]
async fn a_key_may_ask_for_a_grant_token() {
    let service = service().await;
    let blob = service.encrypted(b"x").await;
    service.kms.require_grant_token(&service.key, Operation::Decrypt, "for-decrypt").unwrap();
    service.kms.require_grant_token(&service.key, Operation::Decrypt, "for-decrypt-too").unwrap();
    service.kms.require_grant_token(&service.key, Operation::Encrypt, "for-encrypt").unwrap();
    let decrypt = |token: Option<&str>| {
        let call = service.client.decrypt().ciphertext_blob(blob.clone());
        call.set_grant_tokens(token.map(|token| vec![token.to_owned()])).send()
    };
    assert_eq!(code(decrypt(None).await), refused(DENIED));
    assert_eq!(code(decrypt(Some("for-encrypt")).await), refused(DENIED));
    assert_eq!(code(decrypt(Some("for-decrypt")).await), None);
    assert_eq!(code(decrypt(Some("for-decrypt-too")).await), None);
    let unknown = decrypt(Some("made-up")).await.unwrap_err().into_service_error();
    assert!(unknown.is_invalid_grant_token_exception());
    let made = service.client.generate_data_key().key_id(&service.key).number_of_bytes(32).send().await;
    assert_eq!(code(made), None);
}

#[tokio::test]
async fn list_aliases_and_describe_key_can_be_denied() {
    let service = service().await;
    assert_eq!(code(service.client.list_aliases().send().await), None);
    service.kms.allow_only([Operation::Encrypt]);
    assert_eq!(code(service.client.list_aliases().send().await), refused(DENIED));
    assert_eq!(code(service.client.describe_key().key_id(&service.key).send().await), refused(DENIED));
}
