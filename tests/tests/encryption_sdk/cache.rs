//! Data keys that are kept, both ways.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use pii::{CacheLimits, EncryptionSdk, ErrorKind, testing::Clock};

use super::{
    reference,
    service::{KEY, Service, context},
    vectors::Vector,
};

fn limited(service: &Service, limits: CacheLimits) -> EncryptionSdk {
    EncryptionSdk::builder(service.clone()).key(KEY).cache_limits(limits).build().unwrap()
}

fn data_keys(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut blobs: Vec<_> =
        messages.iter().map(|message| reference::header(message).data_keys[0][2].clone()).collect();
    blobs.sort();
    blobs.dedup();
    blobs
}

#[test]
fn the_limits_are_those_of_powertools() {
    let limits = EncryptionSdk::CACHE_LIMITS;
    assert_eq!((limits.capacity, limits.max_age), (100, Duration::from_secs(300)));
    assert_eq!((limits.max_messages, limits.max_bytes), (4_294_967_296, 9_223_372_036_854_775_807));
    assert_eq!(limits.grace, Duration::ZERO);
    for zero in [
        CacheLimits { capacity: 0, ..EncryptionSdk::CACHE_LIMITS },
        CacheLimits { max_age: Duration::ZERO, ..EncryptionSdk::CACHE_LIMITS },
        CacheLimits { max_messages: 0, ..EncryptionSdk::CACHE_LIMITS },
        CacheLimits { max_bytes: 0, ..EncryptionSdk::CACHE_LIMITS },
    ] {
        let builder = EncryptionSdk::builder(Service::default()).key(KEY).cache_limits(zero);
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn a_thousand_messages_under_one_key_are_one_call_each_way() {
    let service = Service::default();
    let context = context(&[("t", "1")]);
    let writer = service.messages();
    let mut messages = Vec::new();
    for number in 0..1000_u32 {
        messages.push(writer.encrypt(&number.to_be_bytes(), &context).await.unwrap());
    }
    assert_eq!((service.calls(), data_keys(&messages).len()), ([1, 0, 0], 1));
    let reader = service.messages();
    for (number, message) in (0_u32..).zip(&messages) {
        assert_eq!(reader.decrypt(message, &context).await.unwrap().expose(), number.to_be_bytes());
    }
    assert_eq!(service.calls(), [1, 0, 1]);
    // all at once
    let reader = service.messages();
    try_join_all(messages.iter().map(|message| reader.decrypt(message, &context))).await.unwrap();
    let writer = service.messages();
    try_join_all((0..1000).map(|_| writer.encrypt(b"text", &context))).await.unwrap();
    assert_eq!(service.calls(), [2, 0, 2]);
}

#[tokio::test]
async fn each_context_has_a_data_key_of_its_own() {
    let service = Service::default();
    let messages = service.messages();
    // pairs that run together to the same text
    let contexts = [
        context(&[]),
        context(&[("a", "bc")]),
        context(&[("ab", "c")]),
        context(&[("a", "b"), ("c", "d")]),
        context(&[("a", "bcd")]),
    ];
    let mut written = Vec::new();
    for context in contexts.iter().chain(&contexts) {
        written.push(messages.encrypt(b"text", context).await.unwrap());
    }
    assert_eq!((service.calls(), data_keys(&written).len()), ([5, 0, 0], 5));
    for (message, context) in written.iter().zip(contexts.iter().chain(&contexts)) {
        messages.decrypt(message, context).await.unwrap();
    }
    assert_eq!(service.calls(), [5, 0, 5]);
}

#[tokio::test]
async fn an_old_data_key_is_asked_for_again() {
    let service = Service::default();
    let context = context(&[]);
    let clock = Clock::new();
    let messages = EncryptionSdk::builder(service.clone()).key(KEY).clock(&clock).build().unwrap();
    let message = messages.encrypt(b"text", &context).await.unwrap();
    messages.decrypt(&message, &context).await.unwrap();
    clock.advance(Duration::from_secs(200));
    messages.encrypt(b"text", &context).await.unwrap();
    messages.decrypt(&message, &context).await.unwrap();
    assert_eq!(service.calls(), [1, 0, 1]);
    clock.advance(Duration::from_secs(101));
    messages.encrypt(b"text", &context).await.unwrap();
    messages.decrypt(&message, &context).await.unwrap();
    assert_eq!(service.calls(), [2, 0, 2]);
    // no grace
    clock.advance(Duration::from_secs(301));
    service.fail(KEY, Some(ErrorKind::KeyUnavailable));
    for error in [
        messages.encrypt(b"text", &context).await.unwrap_err(),
        messages.decrypt(&message, &context).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    }
    service.fail(KEY, None);
    messages.encrypt(b"text", &context).await.unwrap();
    messages.decrypt(&message, &context).await.unwrap();
}

#[tokio::test]
async fn a_data_key_serves_so_many_messages_and_bytes() {
    let context = context(&[]);
    for (limits, bytes) in [
        (CacheLimits { max_messages: 10, ..EncryptionSdk::CACHE_LIMITS }, 7),
        (CacheLimits { max_bytes: 70, ..EncryptionSdk::CACHE_LIMITS }, 7),
    ] {
        for is_at_once in [false, true] {
            let service = Service::default();
            let messages = limited(&service, limits.clone());
            let plaintext = vec![0; bytes];
            let mut written = Vec::new();
            if is_at_once {
                let all = (0..100).map(|_| messages.encrypt(&plaintext, &context));
                written = try_join_all(all).await.unwrap();
            } else {
                for _ in 0..100 {
                    written.push(messages.encrypt(&plaintext, &context).await.unwrap());
                }
                assert_eq!(service.calls(), [10, 0, 0]);
            }
            let mut blobs: Vec<_> =
                written.iter().map(|message| reference::header(message).data_keys[0][2].clone()).collect();
            blobs.sort();
            assert!(blobs.chunk_by(|a, b| a == b).all(|messages| messages.len() <= 10));
            for message in &written {
                messages.decrypt(message, &context).await.unwrap();
            }
        }
    }
    // one that is over the limit alone is written all the same
    let service = Service::default();
    let messages = limited(&service, CacheLimits { max_bytes: 3, ..EncryptionSdk::CACHE_LIMITS });
    for calls in 1..4 {
        let message = messages.encrypt(b"text", &context).await.unwrap();
        assert_eq!(messages.decrypt(&message, &context).await.unwrap().expose(), b"text");
        assert_eq!(service.calls(), [calls, 0, calls]);
    }
    // one data key, read more often than it may be without asking
    let service = Service::default();
    let message = service.messages().encrypt(b"text", &context).await.unwrap();
    let reader = limited(&service, CacheLimits { max_messages: 10, ..EncryptionSdk::CACHE_LIMITS });
    for _ in 0..100 {
        reader.decrypt(&message, &context).await.unwrap();
    }
    assert_eq!(service.calls(), [1, 0, 10]);
}

#[tokio::test]
async fn no_more_are_kept_than_there_is_room_for() {
    let service = Service::default();
    let messages = limited(&service, CacheLimits { capacity: 2, ..EncryptionSdk::CACHE_LIMITS });
    let contexts = ["1", "2", "3"].map(|value| context(&[("t", value)]));
    for _ in 0..3 {
        for context in &contexts {
            messages.encrypt(b"text", context).await.unwrap();
        }
    }
    assert_eq!(service.calls(), [9, 0, 0]);
    for _ in 0..3 {
        messages.encrypt(b"text", &contexts[2]).await.unwrap();
        messages.encrypt(b"text", &contexts[1]).await.unwrap();
    }
    assert_eq!(service.calls(), [9, 0, 0]);
}

#[tokio::test]
async fn what_is_forgotten_is_asked_for_again() {
    let service = Service::default();
    let context = context(&[]);
    let messages = service.messages();
    let clone = messages.clone();
    let message = messages.encrypt(b"text", &context).await.unwrap();
    clone.decrypt(&message, &context).await.unwrap();
    messages.decrypt(&message, &context).await.unwrap();
    assert_eq!(service.calls(), [1, 0, 1], "clones share what they keep");
    clone.evict();
    messages.encrypt(b"text", &context).await.unwrap();
    messages.decrypt(&message, &context).await.unwrap();
    assert_eq!(service.calls(), [2, 0, 2]);
}

/// Neither a message that is altered nor a context that is wrong gets a key out of the cache, and
/// neither pushes a good one out.
#[tokio::test]
async fn what_is_kept_opens_nothing_that_the_service_would_refuse() {
    let vectors = Vector::all();
    let vector = vectors.iter().find(|vector| vector.name == "roundtrip with context").unwrap();
    let service = vector.service();
    let messages = vector.messages(&service);
    messages.decrypt(&vector.message(), &vector.context).await.unwrap();
    // the value of a pair, altered in the message and in what is expected
    let (mut altered, mut expected) = (vector.message(), vector.context.clone());
    let value = expected.get_mut("data_classification").unwrap();
    let at = altered.windows(value.len()).position(|bytes| bytes == value.as_bytes()).unwrap();
    altered[at] = b'C';
    *value = "Confidential".to_owned();
    let error = messages.decrypt(&altered, &expected).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert_eq!(service.calls(), [0, 0, 2], "the service was asked");
    messages.decrypt(&vector.message(), &vector.context).await.unwrap();
    assert_eq!(service.calls(), [0, 0, 2]);
}

#[tokio::test]
async fn a_page_of_messages_that_are_refused_asks_once() {
    let service = Service::default();
    let context = context(&[]);
    let message = service.messages().encrypt(b"text", &context).await.unwrap();
    service.fail(KEY, Some(ErrorKind::KeyDenied));
    let reader = service.messages();
    let refused = join_all((0..100).map(|_| reader.decrypt(&message, &context))).await;
    assert!(refused.iter().all(|result| result.as_ref().unwrap_err().kind() == ErrorKind::KeyDenied));
    assert_eq!(reader.decrypt(&message, &context).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    assert_eq!(service.calls(), [1, 0, 1]);
}
