//! What each failure of KMS is called, and what is done about it.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use aws_sdk_kms::config::{retry::RetryConfig, timeout::TimeoutConfig};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use pii::{
    DataKey, Error, ErrorKind, Keyring as _, KmsKeyring, WrappedKey,
    testing::kms::{Fault, KeyState, Operation},
};

use super::support::{Kms, REGION, assert_error, binding, client, client_with, copies_of, unwrap};

/// The error of every operation of the keyring.
async fn all_errors(keyring: &KmsKeyring, copies: &[WrappedKey]) -> Vec<Error> {
    let data_key = DataKey::generate().unwrap();
    vec![
        keyring.generate(&binding()).await.unwrap_err(),
        keyring.wrap(&data_key, &binding()).await.unwrap_err(),
        unwrap(keyring, copies).await.unwrap_err(),
        keyring.rewrap(copies, &binding(), &|_| true).await.unwrap_err(),
    ]
}

/// Of kms:ReEncrypt, errors name the source and the destination.
#[track_caller]
fn assert_all(errors: &[Error], kind: ErrorKind, key: &str) {
    let (rewrap, others) = errors.split_last().unwrap();
    for error in others {
        assert_error(error, kind, key);
    }
    assert_error(rewrap, kind, &format!("{key} to {key}"));
    for error in errors {
        assert!(error.to_string().contains("; "), "says what to do: {error}");
    }
}

#[tokio::test]
async fn states_of_a_key() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (copies, data_key) = copies_of(&keyring).await;
    for state in [KeyState::Disabled, KeyState::PendingDeletion] {
        kms.fake.set_key_state(&kms.key, state).unwrap();
        let errors = all_errors(&keyring, &copies).await;
        assert_all(&errors, ErrorKind::KeyDisabled, &kms.key);
        assert!(errors.iter().all(|error| error.is_access() && !error.is_retryable()));
    }
    kms.fake.set_key_state(&kms.key, KeyState::Enabled).unwrap();
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
    kms.fake.delete_key(&kms.key).unwrap();
    assert_all(&all_errors(&keyring, &copies).await, ErrorKind::KeyMissing, &kms.key);
    // an alias that does not exist
    let nameless = kms.keyring_of("alias/nothing");
    for error in [nameless.resolve().await.unwrap_err(), unwrap(&nameless, &copies).await.unwrap_err()] {
        assert_error(&error, ErrorKind::KeyMissing, "alias/nothing");
    }
}

#[tokio::test]
async fn faults_of_the_service() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (copies, data_key) = copies_of(&keyring).await;
    for (fault, kind) in [
        (Fault::Throttled, ErrorKind::KeyThrottled),
        (Fault::Internal, ErrorKind::KeyUnavailable),
        (Fault::DependencyTimeout, ErrorKind::KeyUnavailable),
        (Fault::KeyUnavailable, ErrorKind::KeyUnavailable),
        (Fault::ConnectionDropped, ErrorKind::KeyUnavailable),
    ] {
        kms.fake.inject(fault.until_cleared());
        let errors = all_errors(&keyring, &copies).await;
        assert_all(&errors, kind, &kms.key);
        assert!(errors.iter().all(Error::is_retryable));
        kms.fake.clear_faults();
        assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key, "{fault:?}");
    }
}

#[tokio::test]
async fn denied_calls() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (copies, _) = copies_of(&keyring).await;
    kms.fake.allow_only([]);
    let errors = all_errors(&keyring, &copies).await;
    assert_all(&errors, ErrorKind::KeyDenied, &kms.key);
    for (error, action) in
        errors.iter().zip(["kms:GenerateDataKey", "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt"])
    {
        assert!(error.is_access());
        assert!(error.to_string().contains(action), "{error}");
        let source = std::error::Error::source(error).unwrap().to_string();
        assert!(source.contains("AccessDeniedException"), "{source}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_and_comes_back() {
    let kms = Kms::start().await;
    let (copies, data_key) = copies_of(&kms.keyring()).await;
    let (fake, port) = (kms.fake.clone(), kms.server.port());
    let (at_start, midway) = (kms.keyring_of("alias/pii"), kms.keyring());
    drop(kms.server);
    for keyring in [&at_start, &midway] {
        let error = unwrap(keyring, &copies).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error:?}");
        assert!(error.is_retryable());
    }
    let _again = fake.serve_on(port).await.unwrap();
    for keyring in [&at_start, &midway] {
        assert_eq!(unwrap(keyring, &copies).await.unwrap(), data_key);
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer() {
    let kms = Kms::start().await;
    let (copies, _) = copies_of(&kms.keyring()).await;
    let config = kms
        .client()
        .config()
        .to_builder()
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_millis(50)).build())
        .build();
    let keyring = KmsKeyring::with_client(aws_sdk_kms::Client::from_conf(config), &kms.key).unwrap();
    kms.fake.set_latency(Duration::from_secs(3600));
    assert_error(&unwrap(&keyring, &copies).await.unwrap_err(), ErrorKind::KeyUnavailable, &kms.key);
}

#[tokio::test]
async fn only_what_may_pass_is_tried_again() {
    let kms = Kms::start().await;
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let client = client_with(REGION, &kms.server.endpoint(), retries);
    let keyring = KmsKeyring::with_client(client, &kms.key).unwrap();
    let (copies, data_key) = copies_of(&keyring).await;
    for fault in [Fault::Throttled, Fault::Internal, Fault::ConnectionDropped] {
        kms.fake.reset_counters();
        kms.fake.inject(fault.times(2));
        assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key, "{fault:?}");
        assert_eq!(kms.fake.calls(Operation::Decrypt), 3, "{fault:?}");
    }
    kms.fake.reset_counters();
    kms.fake.inject(Fault::Throttled.until_cleared());
    assert_eq!(unwrap(&keyring, &copies).await.unwrap_err().kind(), ErrorKind::KeyThrottled);
    assert_eq!(kms.fake.calls(Operation::Decrypt), 3, "no second layer of retries");
    kms.fake.clear_faults();
    kms.fake.set_key_state(&kms.key, KeyState::Disabled).unwrap();
    kms.fake.reset_counters();
    assert_eq!(unwrap(&keyring, &copies).await.unwrap_err().kind(), ErrorKind::KeyDisabled);
    kms.fake.set_key_state(&kms.key, KeyState::Enabled).unwrap();
    kms.fake.allow_only([]);
    assert_eq!(unwrap(&keyring, &copies).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    assert_eq!(kms.fake.calls(Operation::Decrypt), 2, "once each");
}

#[tokio::test]
async fn a_fault_while_a_name_is_looked_up_is_not_remembered() {
    let kms = Kms::start().await;
    let keyring = kms.keyring_of("alias/pii");
    kms.fake.inject(Fault::Throttled.times(1).on(Operation::DescribeKey));
    let error = keyring.generate(&binding()).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyThrottled, "alias/pii");
    assert!(keyring.generate(&binding()).await.is_ok());
}

/// Something that speaks HTTP, answers the same to everybody, and is no KMS.
fn impostor(status: u16, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // the bodies of these requests are JSON objects without objects behind the last one
            while !request.ends_with(b"}") {
                match connection.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            let _ = write!(
                connection,
                "HTTP/1.1 {status} Whatever\r\ncontent-type: application/x-amz-json-1.1\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn answers_that_cannot_be_are_refused() {
    let kms = Kms::start().await;
    let (copies, _) = copies_of(&kms.keyring()).await;
    let key = &kms.key;
    let other = kms.fake.create_key().unwrap();
    let (plaintext, short) = (BASE64_STANDARD.encode([7; 32]), BASE64_STANDARD.encode([7; 31]));
    let (blob, long) = (BASE64_STANDARD.encode([1; 184]), BASE64_STANDARD.encode([1; 6145]));
    let answer = |key: &str, plaintext: &str, blob: &str| {
        format!(
            r#"{{"KeyId":"{key}","SourceKeyId":"{key}","Plaintext":"{plaintext}","CiphertextBlob":"{blob}"}}"#
        )
    };
    let data_key = DataKey::generate().unwrap();
    // what is accepted, so that the refusals below have one reason each
    let keyring =
        KmsKeyring::with_client(client(REGION, &impostor(200, answer(key, &plaintext, &blob))), key).unwrap();
    assert!(keyring.generate(&binding()).await.is_ok());
    assert!(unwrap(&keyring, &copies).await.is_ok());
    assert!(keyring.wrap(&data_key, &binding()).await.is_ok());
    assert!(keyring.rewrap(&copies, &binding(), &|_| true).await.is_ok());

    for (body, is_of_generate, is_of_unwrap, is_of_wrap) in [
        (answer(&other, &plaintext, &blob), true, true, true),
        (answer("alias/pii", &plaintext, &blob), true, true, true),
        (answer(key, &short, &blob), true, true, false),
        (answer(key, &plaintext, ""), true, false, true),
        (answer(key, &plaintext, &long), true, false, true),
        ("{}".to_owned(), true, true, true),
    ] {
        let keyring = KmsKeyring::with_client(client(REGION, &impostor(200, body.clone())), key).unwrap();
        let kinds = [
            keyring.generate(&binding()).await.err().map(|error| error.kind()),
            unwrap(&keyring, &copies).await.err().map(|error| error.kind()),
            keyring.wrap(&data_key, &binding()).await.err().map(|error| error.kind()),
        ];
        let expected =
            [is_of_generate, is_of_unwrap, is_of_wrap].map(|is| is.then_some(ErrorKind::Integrity));
        assert_eq!(kinds, expected, "{body}");
        if is_of_wrap {
            let error = keyring.rewrap(&copies, &binding(), &|_| true).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{body}");
        }
    }
    for (status, body, kind) in [
        (200, "<html>canary-tenant</html>", ErrorKind::KeyUnavailable),
        (200, r#"{"Plaintext": 5}"#, ErrorKind::KeyUnavailable),
        (502, "<html>canary-tenant</html>", ErrorKind::KeyUnavailable),
        (503, "", ErrorKind::KeyUnavailable),
        (403, "<html>a proxy</html>", ErrorKind::KeyDenied),
        (429, "{}", ErrorKind::KeyThrottled),
        (400, r#"{"__type":"ValidationException","message":"canary-tenant"}"#, ErrorKind::Configuration),
        (400, r#"{"__type":"SomethingNew","message":"canary-tenant"}"#, ErrorKind::Configuration),
        (400, r#"{"__type":"ExpiredTokenException","message":""}"#, ErrorKind::KeyDenied),
    ] {
        let client = client(REGION, &impostor(status, body.to_owned()));
        let keyring = KmsKeyring::with_client(client, key).unwrap();
        assert_error(&unwrap(&keyring, &copies).await.unwrap_err(), kind, key);
    }
}
