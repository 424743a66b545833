//! Throttling, outages, latency, counters.

use std::time::{Duration, Instant};

use aws_sdk_kms::{Client, config::retry::RetryConfig, error::SdkError, primitives::Blob};
use futures_util::future::join_all;
use pii_kms::testing::{ErrorCode, Fault, Operation};
use tokio::task::JoinSet;

use crate::support::{REGION, code, config, refused, service};

const THROTTLED: &str = "ThrottlingException";

#[tokio::test]
async fn the_next_calls_are_throttled() {
    let service = service().await;
    service.kms.inject(Fault::Throttled.times(2));
    assert_eq!(code(service.encrypt(b"x").send().await), refused(THROTTLED));
    assert_eq!(code(service.client.list_aliases().send().await), refused(THROTTLED));
    assert_eq!(code(service.encrypt(b"x").send().await), None);
    assert_eq!(service.kms.total_calls(), 3);
}

#[tokio::test]
async fn one_operation_is_throttled_and_the_others_are_not() {
    let service = service().await;
    let blob = service.encrypted(b"x").await;
    service.kms.inject(Fault::Throttled.until_cleared().on(Operation::Decrypt));
    for _ in 0..3 {
        assert_eq!(service.decrypt_code(&blob).await, refused(THROTTLED));
        assert_eq!(code(service.encrypt(b"x").send().await), None);
    }
    service.kms.clear_faults();
    assert_eq!(service.decrypt_code(&blob).await, None);
}

#[tokio::test]
async fn a_fault_ends_with_its_time() {
    let service = service().await;
    // an hour does not pass in a test; no time at all is over at once
    service.kms.inject(Fault::Throttled.during(Duration::ZERO));
    assert_eq!(code(service.encrypt(b"x").send().await), None);
    service.kms.inject(Fault::Throttled.during(Duration::from_secs(3600)));
    assert_eq!(code(service.encrypt(b"x").send().await), refused(THROTTLED));
    service.kms.clear_faults();
    service.kms.inject(Fault::Throttled.during(Duration::MAX));
    assert_eq!(code(service.encrypt(b"x").send().await), refused(THROTTLED));
    service.kms.clear_faults();
    service.kms.inject(Fault::Throttled.during(Duration::from_millis(50)));
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(code(service.encrypt(b"x").send().await), None);
}

#[tokio::test]
async fn outages_are_what_the_sdk_takes_for_outages() {
    let service = service().await;
    for (fault, code) in [
        (Fault::Internal, "KMSInternalException"),
        (Fault::DependencyTimeout, "DependencyTimeoutException"),
        (Fault::KeyUnavailable, "KeyUnavailableException"),
    ] {
        service.kms.inject(fault.times(1));
        let error = service.encrypt(b"x").send().await.unwrap_err();
        assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
        let error = error.into_service_error();
        let typed = match fault {
            Fault::Internal => error.is_kms_internal_exception(),
            Fault::DependencyTimeout => error.is_dependency_timeout_exception(),
            _ => error.is_key_unavailable_exception(),
        };
        assert!(typed, "{code}");
        assert_eq!(error.meta().code(), Some(code));
    }
}

#[tokio::test]
async fn a_dropped_connection_gives_no_answer() {
    let service = service().await;
    assert_eq!(code(service.encrypt(b"x").send().await), None);
    service.kms.inject(Fault::ConnectionDropped.until_cleared());
    let error = service.encrypt(b"x").send().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    service.kms.clear_faults();
    assert_eq!(code(service.encrypt(b"x").send().await), None);
    let errors: Vec<_> = service.kms.call_log().iter().map(|call| call.error).collect();
    assert_eq!(errors.first(), Some(&None));
    assert_eq!(errors.get(1), Some(&Some(ErrorCode::ConnectionDropped)));
}

#[tokio::test]
async fn the_sdk_retries_what_can_be_retried() {
    let service = service().await;
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let client = Client::from_conf(config(&service.server, REGION).retry_config(retries).build());
    let call = || client.encrypt().key_id(&service.key).plaintext(Blob::new("x")).send();
    for fault in [
        Fault::Throttled,
        Fault::Internal,
        Fault::DependencyTimeout,
        Fault::KeyUnavailable,
        Fault::ConnectionDropped,
    ] {
        service.kms.reset_counters();
        service.kms.inject(fault.times(2));
        assert_eq!(code(call().await), None, "{fault:?}");
        assert!(service.kms.calls(Operation::Encrypt) >= 3, "{fault:?}");
        service.kms.clear_faults();
    }
    service.kms.reset_counters();
    service.kms.allow_only([]);
    assert_eq!(code(call().await), refused("AccessDeniedException"));
    assert_eq!(service.kms.calls(Operation::Encrypt), 1);
}

#[tokio::test]
async fn latency_is_added_to_calls() {
    let service = service().await;
    let long = Duration::from_millis(100);
    service.kms.set_latency_of(Operation::Encrypt, long);
    let started = Instant::now();
    service.encrypted(b"x").await;
    assert!(started.elapsed() >= long);
}

#[tokio::test]
async fn slow_calls_do_not_hold_up_others() {
    let service = service().await;
    service.kms.set_latency(Duration::from_secs(3600));
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        waiting.spawn(service.client.list_aliases().send());
    }
    // they all arrive although none of them ends
    while service.kms.calls(Operation::ListAliases) < 50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    service.kms.set_latency_of(Operation::Encrypt, Duration::ZERO);
    assert_eq!(code(service.encrypt(b"x").send().await), None);
    // a server does not wait for them
    drop(service.server);
    assert!(waiting.join_all().await.iter().all(Result::is_err));
}

#[tokio::test]
async fn two_hundred_calls_at_once_are_counted() {
    let service = service().await;
    let calls = (0..200_u32).map(|number| {
        let call = service.encrypt(&number.to_be_bytes()).encryption_context("n", number.to_string());
        let client = &service.client;
        async move {
            let blob = call.send().await.unwrap().ciphertext_blob.unwrap();
            let open = client.decrypt().ciphertext_blob(blob).encryption_context("n", number.to_string());
            assert_eq!(open.send().await.unwrap().plaintext.unwrap().as_ref(), number.to_be_bytes());
        }
    });
    join_all(calls).await;
    assert_eq!(service.kms.calls(Operation::Encrypt), 200);
    assert_eq!(service.kms.calls(Operation::Decrypt), 200);
    assert_eq!(service.kms.calls(Operation::GenerateDataKey), 0);
    assert_eq!(service.kms.total_calls(), 400);
    assert_eq!(service.kms.call_log().len(), 400);
    service.kms.reset_counters();
    assert_eq!(service.kms.total_calls(), 0);
    assert!(service.kms.call_log().is_empty());
}

#[tokio::test]
async fn the_log_tells_everything_but_the_secrets() {
    let service = service().await;
    let call = service.encrypt(b"plaintext-canary").encryption_context("tenant", "context-canary");
    assert_eq!(code(call.send().await), None);
    assert_eq!(code(service.encrypt(b"x").key_id("alias/none").send().await), refused("NotFoundException"));
    let log = service.kms.call_log();
    assert_eq!(log[0].operation, Operation::Encrypt);
    assert_eq!(log[0].resource.as_deref(), Some(service.key.as_str()));
    assert_eq!(log[0].context.get("tenant").map(String::as_str), Some("context-canary"));
    assert_eq!(log[0].error, None);
    assert_eq!(log[1].resource.as_deref(), Some("alias/none"));
    assert_eq!(log[1].error, Some(ErrorCode::NotFound));
    let shown = format!("{log:?} {:?}", service.kms);
    assert!(shown.contains("tenant") && !shown.contains("canary"));
}
