//! Values of AMSDAL: those that others make and those that are written, and those that must be refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use aes_gcm::{Aes256Gcm, KeyInit, aead::Aead};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use pii::{Amsdal, Error, ErrorKind, KeyService as _, ServiceContext};
use proptest::prelude::*;

#[path = "encryption_sdk/service.rs"]
#[allow(dead_code, reason = "messages need more of it")]
mod service;

use service::{KEY, OTHER, Service, THIRD, context};

const KINDS: [ErrorKind; 6] = [
    ErrorKind::NotEncrypted,
    ErrorKind::FakeEncryption,
    ErrorKind::Malformed,
    ErrorKind::KeyMissing,
    ErrorKind::ContextMismatch,
    ErrorKind::Integrity,
];
const DATA_KEY: [u8; 32] = [7; 32];
const BLOB: [u8; 40] = [3; 40];
const NONCE: [u8; 12] = [9; 12];

/// A value as its documentation describes it, by the bare crates.
fn made_elsewhere(plaintext: &[u8]) -> [Vec<u8>; 4] {
    let sealed = Aes256Gcm::new(&DATA_KEY.into()).encrypt(&NONCE.into(), plaintext).unwrap();
    let (ciphertext, tag) = sealed.split_at(plaintext.len());
    [BLOB.to_vec(), NONCE.to_vec(), ciphertext.to_vec(), tag.to_vec()]
}

fn text(parts: &[Vec<u8>]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| STANDARD.encode(part)).collect();
    format!("#01#{}#10#", parts.join(":"))
}

fn parts(text: &str) -> Vec<Vec<u8>> {
    let inner = text.strip_prefix("#01#").unwrap().strip_suffix("#10#").unwrap();
    inner.split(':').map(|part| STANDARD.decode(part).unwrap()).collect()
}

/// Knows the data key of [`made_elsewhere`].
fn service() -> Service {
    let service = Service::default();
    service.put(KEY, &BLOB, ServiceContext::new(), &DATA_KEY);
    service
}

async fn kind(fields: &Amsdal, text: &str) -> ErrorKind {
    let began = Instant::now();
    let error: Error = match fields.decrypt(text).await {
        Ok(_) => panic!("{text} opens"),
        Err(error) => error,
    };
    assert!(KINDS.contains(&error.kind()), "{text}: {error}");
    assert!(error.is_integrity() || error.kind() == ErrorKind::KeyMissing, "{text}: {error}");
    assert!(began.elapsed() < Duration::from_secs(2));
    error.kind()
}

#[tokio::test]
async fn a_value_that_was_made_elsewhere_opens() {
    for plaintext in ["", "123-45-6789", "Zoë 東京 👩", "with:colons", "#01#nested#10#", &"x".repeat(100_000)]
    {
        let (service, stored) = (service(), text(&made_elsewhere(plaintext.as_bytes())));
        let opened = Amsdal::new(service.clone(), KEY).decrypt(&stored).await.unwrap();
        assert!(opened.expose() == plaintext.as_bytes());
        assert_eq!(service.calls(), [0, 0, 1]);
    }
}

#[tokio::test]
async fn a_value_that_is_written_opens_elsewhere() {
    let service = Service::default();
    let fields = Amsdal::new(service.clone(), KEY);
    for plaintext in ["", "123-45-6789", "Zoë 東京 👩", &"x".repeat(100_000)] {
        let stored = fields.encrypt(plaintext.as_bytes()).await.unwrap();
        let parts = parts(&stored);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [100, 12, plaintext.len(), 16]);
        let data_key = service.decrypt(Some(KEY), &parts[0], &ServiceContext::new()).await.unwrap();
        let nonce: [u8; 12] = parts[1].as_slice().try_into().unwrap();
        let sealed = [parts[2].as_slice(), &parts[3]].concat();
        let opened = Aes256Gcm::new_from_slice(data_key.expose()).unwrap().decrypt(&nonce.into(), &*sealed);
        assert!(opened.unwrap() == plaintext.as_bytes());
        assert!(fields.decrypt(&stored).await.unwrap().expose() == plaintext.as_bytes());
    }
}

#[tokio::test]
async fn values_of_one_request_share_a_data_key_and_no_iv() {
    let service = Service::default();
    let fields = Amsdal::new(service.clone(), KEY);
    let plaintexts = vec![&b"the same"[..]; 200];
    let stored = fields.encrypt_all(&plaintexts).await.unwrap();
    assert_eq!(service.calls(), [1, 0, 0]);
    let ivs: HashSet<Vec<u8>> = stored.iter().map(|text| parts(text).remove(1)).collect();
    let blobs: HashSet<Vec<u8>> = stored.iter().map(|text| parts(text).remove(0)).collect();
    assert_eq!((ivs.len(), blobs.len()), (200, 1));

    let mut texts: Vec<&str> = stored.iter().map(String::as_str).collect();
    texts.insert(100, "#01#fake#10#");
    let opened = fields.decrypt_each(&texts).await;
    for (at, opened) in opened.iter().enumerate() {
        match opened {
            Ok(opened) => assert_eq!(opened.expose(), b"the same"),
            Err(error) => assert_eq!((at, error.kind()), (100, ErrorKind::FakeEncryption)),
        }
    }
    assert!(opened[100].is_err());
    assert_eq!(service.calls(), [1, 0, 1], "one call for all of them");

    fields.encrypt(b"the same").await.unwrap();
    assert_eq!(service.calls()[0], 2, "another request, another data key");
    assert!(fields.encrypt_all(&[]).await.unwrap().is_empty());
    assert!(fields.decrypt_each(&[]).await.is_empty());
    assert_eq!(service.calls(), [2, 0, 1]);
}

#[tokio::test]
async fn values_of_the_fake_service_are_never_taken_for_encrypted() {
    let service = service();
    let fields = Amsdal::new(service.clone(), KEY);
    for plaintext in ["canary@example.com", "", "#", "#01#", "canary-Zoë", "YWJj", "canary\n"] {
        let error = fields.decrypt(&format!("#01#{plaintext}#10#")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FakeEncryption, "{plaintext}");
        assert!(error.is_integrity());
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    // plaintext with colons has not the form of a value either
    for plaintext in ["canary:10:30", "https://example.com/canary", ":", ":::", "a:b:c:d", "canary:b:c:d:e"] {
        let error = fields.decrypt(&format!("#01#{plaintext}#10#")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{plaintext}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    assert_eq!(service.calls(), [0; 3]);
    fields.decrypt(&text(&made_elsewhere(b"canary@example.com"))).await.unwrap();
}

#[tokio::test]
async fn text_without_the_marks_is_not_encrypted() {
    let service = service();
    let fields = Amsdal::new(service.clone(), KEY);
    let stored = text(&made_elsewhere(b"plaintext"));
    for wrong in [
        "",
        "ada@example.com",
        "#01#10#",
        "#01#",
        "#10#",
        "ENC:AgAA",
        &stored[1..],
        &stored[..stored.len() - 1],
        &format!(" {stored}"),
        &format!("{stored}\n"),
        &stored.replace("#01#", "#02#"),
        &stored.replace("#10#", "#11#"),
    ] {
        assert_eq!(kind(&fields, wrong).await, ErrorKind::NotEncrypted, "{wrong}");
    }
    assert_eq!(service.calls(), [0; 3]);
    fields.decrypt(&stored).await.unwrap();
}

#[tokio::test]
async fn parts_of_other_lengths_or_spellings_are_refused_without_a_call() {
    let service = service();
    let fields = Amsdal::new(service.clone(), KEY);
    let good = made_elsewhere(b"plaintext");
    let with = |index: usize, part: Vec<u8>| {
        let mut parts = good.clone();
        parts[index] = part;
        text(&parts)
    };
    let mut wrong = vec![
        with(0, Vec::new()),
        with(0, vec![0; 6145]),
        with(1, vec![0; 11]),
        with(1, vec![0; 13]),
        with(1, vec![0; 16]),
        with(2, vec![0; (1 << 20) + 1]),
        with(3, vec![0; 12]),
        with(3, vec![0; 15]),
        with(3, vec![0; 17]),
        with(3, Vec::new()),
        text(&good[..3]),
        text(&[&good[..], &[Vec::new()]].concat()),
        text(&[&good[..], &good[..1]].concat()),
        format!("#01#{}#10#", ":".repeat(5_000_000)),
        format!("#01#:{}#10#", "A".repeat(5_000_000)),
    ];
    let stored = text(&good);
    // base64 that is not canonical: no padding, more of it, other characters, bits that say nothing
    let padded = STANDARD.encode(&good[0]);
    assert!(padded.ends_with('='));
    let unused = padded.replace("w==", "x==");
    assert_ne!(unused, padded);
    for other in [padded.trim_end_matches('='), &format!("{padded}="), &format!(" {padded}"), &unused, "-_=="]
    {
        wrong.push(stored.replace(&padded, other));
    }
    for wrong in &wrong {
        assert_ne!(wrong, &stored);
        assert_eq!(fields.decrypt(wrong).await.unwrap_err().kind(), ErrorKind::Malformed, "{wrong:.80}");
    }
    assert_eq!(service.calls(), [0; 3]);
    assert_eq!(fields.decrypt(&stored).await.unwrap().expose(), b"plaintext");
}

#[tokio::test]
async fn cut_anywhere_it_is_refused() {
    let fields = Amsdal::new(service(), KEY);
    let stored = text(&made_elsewhere(b"plaintext"));
    for length in 0..stored.len() {
        kind(&fields, &stored[..length]).await;
        // cut within the marks
        if (4..stored.len() - 4).contains(&length) {
            kind(&fields, &format!("{}#10#", &stored[..length])).await;
        }
    }
    // each part cut
    let good = made_elsewhere(b"plaintext");
    for index in 0..4 {
        for length in 0..good[index].len() {
            let mut parts = good.clone();
            parts[index].truncate(length);
            kind(&fields, &text(&parts)).await;
        }
    }
    fields.decrypt(&stored).await.unwrap();
}

#[tokio::test]
async fn every_bit_counts() {
    let fields = Amsdal::new(service(), KEY);
    let good = made_elsewhere(b"plaintext");
    for index in 0..4 {
        for bit in 0..good[index].len() * 8 {
            let mut parts = good.clone();
            parts[index][bit / 8] ^= 1 << (bit % 8);
            let expected = if index == 0 { ErrorKind::ContextMismatch } else { ErrorKind::Integrity };
            assert_eq!(kind(&fields, &text(&parts)).await, expected, "part {index}, bit {bit}");
        }
    }
    // and of the text, where it still is text
    let stored = text(&good);
    for bit in (0..stored.len() * 8).filter(|bit| bit % 8 != 7) {
        let mut altered = stored.clone().into_bytes();
        altered[bit / 8] ^= 1 << (bit % 8);
        kind(&fields, &String::from_utf8(altered).unwrap()).await;
    }
    fields.decrypt(&stored).await.unwrap();
}

#[tokio::test]
async fn parts_of_two_values_make_none() {
    let fields = Amsdal::new(Service::default(), KEY);
    let of_one_request = fields.encrypt_all(&[b"number one", b"number two"]).await.unwrap();
    let of_another = fields.encrypt(b"number six").await.unwrap();
    let one = parts(&of_one_request[0]);
    for other in [&of_one_request[1], &of_another] {
        let other = parts(other);
        for mask in 1..15_usize {
            let mixed: Vec<_> =
                (0..4).map(|at| if mask >> at & 1 == 1 { &other } else { &one }[at].clone()).collect();
            if mixed == one || mixed == other {
                continue;
            }
            assert_eq!(kind(&fields, &text(&mixed)).await, ErrorKind::Integrity, "{mask:04b}");
        }
    }
    for stored in of_one_request.iter().chain([&of_another]) {
        fields.decrypt(stored).await.unwrap();
    }
}

#[tokio::test]
async fn only_the_named_keys_open_and_in_their_context() {
    let service = Service::default();
    let pairs = context(&[("client", "canary-acme")]);
    let acme = Amsdal::new(service.clone(), KEY).context(pairs.clone());
    let stored = acme.encrypt(b"plaintext").await.unwrap();
    assert_eq!(acme.decrypt(&stored).await.unwrap().expose(), b"plaintext");
    let moved = Amsdal::new(service.clone(), OTHER).decrypt_only(THIRD).decrypt_only(KEY).context(pairs);
    assert_eq!(moved.decrypt(&stored).await.unwrap().expose(), b"plaintext");
    let anew = moved.encrypt(b"plaintext").await.unwrap();
    let error = acme.decrypt(&anew).await.unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (ErrorKind::KeyMissing, Some(KEY)));
    for wrong in [
        Amsdal::new(service.clone(), KEY),
        Amsdal::new(service.clone(), KEY).context([("client", "canary-other")]),
    ] {
        let error = wrong.decrypt(&stored).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextMismatch);
        assert!(!format!("{error:?} {wrong:?} {acme:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn failures_of_the_key_service_are_told_and_end_a_batch() {
    let service = Service::default();
    let fields = Amsdal::new(service.clone(), KEY);
    let mut stored = Vec::new();
    for _ in 0..100 {
        stored.push(fields.encrypt(b"plaintext").await.unwrap());
    }
    let texts: Vec<&str> = stored.iter().map(String::as_str).collect();
    let [generated, _, decrypted] = service.calls();
    for fault in [ErrorKind::KeyUnavailable, ErrorKind::KeyDenied, ErrorKind::KeyThrottled] {
        service.fail(KEY, Some(fault));
        assert_eq!(fields.encrypt_all(&[b"plaintext", b"more"]).await.unwrap_err().kind(), fault);
        for opened in fields.decrypt_each(&texts).await {
            let error = opened.unwrap_err();
            assert_eq!((error.kind(), error.key_id()), (fault, Some(KEY)));
        }
    }
    let after = service.calls();
    assert_eq!(after[0], generated + 3);
    assert!(after[2] <= decrypted + 3 * 16, "not one for each of a hundred values: {after:?}");
    service.fail(KEY, None);
    assert!(fields.decrypt_each(&texts).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_data_key_that_is_none_is_refused() {
    for length in [0, 16, 31, 33, 64] {
        let service = Service::default();
        service.put(KEY, &BLOB, ServiceContext::new(), &vec![7; length]);
        let fields = Amsdal::new(service, KEY);
        assert_eq!(kind(&fields, &text(&made_elsewhere(b"plaintext"))).await, ErrorKind::Integrity);
    }
}

#[tokio::test]
async fn what_is_no_text_or_too_long_is_refused_both_ways() {
    let service = service();
    let fields = Amsdal::new(service.clone(), KEY);
    let longest = vec![b'x'; 1 << 20];
    let longer = vec![b'x'; (1 << 20) + 1];
    for (wrong, expected) in [(&[0xff][..], ErrorKind::Malformed), (&longer, ErrorKind::TooLarge)] {
        assert_eq!(fields.encrypt_all(&[b"good", wrong]).await.unwrap_err().kind(), expected);
    }
    assert_eq!(service.calls(), [0; 3], "nothing is written of such a batch");
    assert_eq!(kind(&fields, &text(&made_elsewhere(&[0xff]))).await, ErrorKind::Malformed);
    let stored = fields.encrypt(&longest).await.unwrap();
    assert!(fields.decrypt(&stored).await.unwrap().expose() == longest);
}

proptest! {
    #[test]
    fn random_text_opens_nowhere(inner in "[A-Za-z0-9+/=:]{0,200}|\\PC{0,100}", is_marked: bool) {
        let service = service();
        let text = if is_marked { format!("#01#{inner}#10#") } else { inner };
        let error = Amsdal::new(service.clone(), KEY).decrypt(&text).now_or_never().unwrap().unwrap_err();
        prop_assert!(KINDS.contains(&error.kind()), "{}", error);
        prop_assert_eq!(service.calls(), [0; 3]);
    }

    #[test]
    fn what_is_written_opens(plaintext in "\\PC{0,300}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fields = Amsdal::new(Service::default(), KEY);
        let opened = runtime.block_on(async {
            let stored = fields.encrypt(plaintext.as_bytes()).await.unwrap();
            fields.decrypt(&stored).await.unwrap()
        });
        prop_assert!(opened.expose() == plaintext.as_bytes());
    }
}
