//! The format alone: everything that pydynox wrote opens, and nothing else does.

use std::{collections::HashSet, sync::atomic::Ordering};

use pii::{ErrorKind, Pydynox, PydynoxFormat, ServiceContext};
use sha2::{Digest as _, Sha256};

use super::support::{Emulator, MAIN, OTHER, base64, decoded, parts, read_as_pydynox, text_of, vectors};

const FORMATS: [PydynoxFormat; 3] = [PydynoxFormat::Envelope, PydynoxFormat::Direct, PydynoxFormat::Either];

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn every_envelope_opens() {
    let (emulator, vectors) = (Emulator::new(), vectors());
    assert_eq!(vectors.envelope_v1.len(), 14);
    for vector in &vectors.envelope_v1 {
        let key = if vector.name == "other_key" { OTHER } else { MAIN };
        for format in [PydynoxFormat::Envelope, PydynoxFormat::Either] {
            let pydynox = Pydynox::new(emulator.clone(), key).context(vector.context.clone()).format(format);
            let opened = pydynox.decrypt(&vector.stored).await.unwrap();
            assert_eq!(
                hash(text_of(&opened)),
                vector.plaintext_sha256.as_deref().unwrap(),
                "{}",
                vector.name
            );
        }
    }
    assert_eq!(emulator.decrypted(), 28, "one call for each, for no format more");
}

#[tokio::test]
async fn direct_values_open_where_they_are_expected() {
    let (emulator, vectors) = (Emulator::new(), vectors());
    for vector in &vectors.legacy_direct_kms {
        for format in [PydynoxFormat::Direct, PydynoxFormat::Either] {
            let pydynox = emulator.of(vector.context.clone()).format(format);
            assert_eq!(text_of(&pydynox.decrypt(&vector.stored).await.unwrap()), vector.plaintext);
        }
        let error = emulator.of(vector.context.clone()).decrypt(&vector.stored).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownVersion);
        assert!(error.to_string().contains("PydynoxFormat::Direct"), "{error}");
    }
    for vector in &vectors.envelope_v1 {
        let direct = emulator.of(vector.context.clone()).format(PydynoxFormat::Direct);
        assert!(direct.decrypt(&vector.stored).await.is_err(), "{}", vector.name);
    }
}

#[tokio::test]
async fn every_negative_case_is_refused() {
    use ErrorKind::{ContextMismatch, Integrity, KeyMissing, Malformed, NotEncrypted, UnknownVersion};
    let (emulator, vectors) = (Emulator::new(), vectors());
    assert_eq!(vectors.negative.len(), 14);
    for case in &vectors.negative {
        let pydynox = emulator.of(case.context.clone());
        let opened = pydynox.decrypt(&case.stored).await;
        let expected = match case.name.as_str() {
            "context_key_order_irrelevant" => {
                let expected = case.pydynox["returns"].as_str().unwrap();
                assert_eq!(text_of(&opened.unwrap()), expected);
                continue;
            }
            "version_2" => UnknownVersion,
            "dek_len_too_big" | "prefix_only" | "urlsafe_base64" | "truncate_inside_nonce" => Malformed,
            // no such key
            "flip_dek_key_id" => KeyMissing,
            "flip_nonce" => Integrity,
            "flip_dek_blob" | "context_missing" | "context_wrong_value" | "context_extra" => ContextMismatch,
            // pydynox takes these for plaintext
            "no_prefix" | "lowercase_prefix" => NotEncrypted,
            other => panic!("{other} has no expectation"),
        };
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), expected, "{}: {error:?}", case.name);
        assert!(!format!("{error} {error:?}").contains("acme"), "{error:?}");
        for format in FORMATS {
            let refused = emulator.of(case.context.clone()).format(format).decrypt(&case.stored).await;
            assert!(refused.is_err(), "{} {format:?}", case.name);
        }
    }
}

/// The first vector with a context, its bytes and its plaintext.
fn sample() -> (Emulator, ServiceContext, String) {
    let vector = vectors().envelope_v1.into_iter().find(|vector| vector.name == "ascii/ctx2").unwrap();
    (Emulator::new(), vector.context, vector.stored)
}

#[tokio::test]
async fn every_altered_bit_and_every_truncation_is_refused() {
    let (emulator, context, stored) = sample();
    let bytes = decoded(&stored);
    let mut altered: Vec<String> = (0..bytes.len() * 8)
        .map(|bit| {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            base64(bytes)
        })
        .collect();
    altered.extend((0..bytes.len()).map(|length| base64(&bytes[..length])));
    altered.extend((0..stored.len()).map(|length| stored[..length].to_owned()));
    altered.push(base64([&*bytes, b"\0"].concat()));
    altered.push(format!("{stored}\n"));
    altered.push(format!(" {stored}"));
    altered.push(stored.replacen("ENC:", "ENC: ", 1));
    let texts: Vec<&str> = altered.iter().map(String::as_str).collect();
    for format in FORMATS {
        let pydynox = emulator.of(context.clone()).format(format);
        let results = pydynox.decrypt_each(&texts).await;
        assert_eq!(results.len(), texts.len());
        for (result, text) in results.iter().zip(&texts) {
            let error = result.as_ref().unwrap_err();
            assert!(error.is_integrity() || error.kind() == ErrorKind::KeyMissing, "{text}: {error:?}");
        }
        let is_read = pydynox.decrypt(&stored).await.is_ok();
        assert_eq!(is_read, format != PydynoxFormat::Direct, "the unaltered text");
    }
}

#[tokio::test]
async fn what_is_written_reads_as_pydynox_reads() {
    let (emulator, context, _) = sample();
    let pydynox = emulator.of(context.clone());
    let plaintexts = ["", "x", "123-45-6789", "Zoë 世界 🔐", "ENC:aGVsbG8=", &"long ".repeat(2000)];
    let bytes: Vec<&[u8]> = plaintexts.iter().map(|text| text.as_bytes()).collect();
    let texts = pydynox.encrypt_all(&bytes).await.unwrap();
    for (text, plaintext) in texts.iter().zip(plaintexts) {
        assert_eq!(read_as_pydynox(&emulator, text, &context), plaintext);
        assert_eq!(text_of(&pydynox.decrypt(text).await.unwrap()), plaintext);
        let (blob, _, message) = parts(text);
        assert_eq!((blob.len(), message.len()), (96, plaintext.len() + 16));
    }
    assert_eq!(emulator.generated(), plaintexts.len(), "a data key for each value");
    let again = pydynox.encrypt_all(&bytes).await.unwrap();
    let all: HashSet<&String> = texts.iter().chain(&again).collect();
    assert_eq!(all.len(), 2 * plaintexts.len());
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_before_any_call() {
    let (emulator, context, _) = sample();
    let pydynox = emulator.of(context);
    let kind = |plaintexts: Vec<Vec<u8>>| {
        let pydynox = pydynox.clone();
        async move {
            let plaintexts: Vec<&[u8]> = plaintexts.iter().map(Vec::as_slice).collect();
            pydynox.encrypt_all(&plaintexts).await.unwrap_err().kind()
        }
    };
    assert_eq!(kind(vec![b"fine".to_vec(), vec![0xff]]).await, ErrorKind::Malformed);
    assert_eq!(kind(vec![vec![b'a'; 1024 * 1024 + 1]]).await, ErrorKind::TooLarge);
    let direct = pydynox.clone().format(PydynoxFormat::Direct).encrypt(b"fine").await;
    assert_eq!(direct.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(emulator.generated(), 0);
    pydynox.encrypt(&vec![b'a'; 1024 * 1024]).await.unwrap();
}

#[tokio::test]
async fn a_batch_asks_at_once_within_its_bound_and_for_equal_blobs_once() {
    let (emulator, context, stored) = sample();
    let pydynox = emulator.of(context).concurrent_calls(4);
    let plaintexts: Vec<String> = (0..20).map(|number| format!("value {number}")).collect();
    let bytes: Vec<&[u8]> = plaintexts.iter().map(|text| text.as_bytes()).collect();
    let written = pydynox.encrypt_all(&bytes).await.unwrap();
    assert_eq!(emulator.most_at_once.swap(0, Ordering::SeqCst), 4);

    let texts: Vec<&str> = written.iter().chain(&written).map(String::as_str).chain([&*stored]).collect();
    let opened = pydynox.decrypt_each(&texts).await;
    for (opened, expected) in opened.iter().zip(plaintexts.iter().chain(&plaintexts)) {
        assert_eq!(text_of(opened.as_ref().unwrap()), expected);
    }
    assert_eq!(text_of(opened[40].as_ref().unwrap()), "123-45-6789");
    assert_eq!((emulator.decrypted(), emulator.most_at_once.load(Ordering::SeqCst)), (21, 4));
}

#[tokio::test]
async fn one_bad_value_hides_no_other_and_an_outage_ends_the_calls() {
    let (emulator, context, stored) = sample();
    let pydynox = emulator.of(context).concurrent_calls(1);
    let mut bytes = decoded(&stored);
    bytes[80] ^= 1;
    let bad = base64(bytes);
    let results = pydynox.decrypt_each(&[&bad, "plain", &stored]).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::ContextMismatch);
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::NotEncrypted);
    assert_eq!(text_of(results[2].as_ref().unwrap()), "123-45-6789");

    for kind in [ErrorKind::KeyUnavailable, ErrorKind::KeyDenied, ErrorKind::KeyThrottled] {
        *emulator.fault.lock().unwrap() = Some(kind);
        let before = emulator.decrypted();
        let results = pydynox.decrypt_each(&[&bad, &stored]).await;
        assert!(results.iter().all(|result| result.as_ref().unwrap_err().kind() == kind));
        assert_eq!(emulator.decrypted() - before, 1);
    }
}

#[tokio::test]
async fn older_keys_open_and_do_not_write() {
    let (emulator, _, _) = sample();
    let other = vectors().envelope_v1.into_iter().find(|vector| vector.name == "other_key").unwrap();
    let pydynox = emulator.of(other.context.clone());
    let error = pydynox.decrypt(&other.stored).await.unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (ErrorKind::KeyMissing, Some(MAIN)));
    let both = pydynox.decrypt_only(OTHER);
    assert_eq!(text_of(&both.decrypt(&other.stored).await.unwrap()), "other-key");
    let (blob, ..) = parts(&both.encrypt(b"new").await.unwrap());
    assert!(blob.starts_with(b"11111111-2222"), "under the first key");
}

/// Such a blob begins as those of KMS do, so that a long value may have the structure of an envelope.
#[tokio::test]
async fn a_long_direct_value_is_not_mistaken_for_an_envelope() {
    struct LikeKms(Emulator);
    impl pii::KeyService for LikeKms {
        fn generate_data_key<'a>(
            &'a self,
            key_id: &'a str,
            context: &'a ServiceContext,
        ) -> pii::BoxFuture<'a, pii::Result<pii::ServiceDataKey>> {
            self.0.generate_data_key(key_id, context)
        }
        fn decrypt<'a>(
            &'a self,
            key_id: Option<&'a str>,
            blob: &'a [u8],
            context: &'a ServiceContext,
        ) -> pii::BoxFuture<'a, pii::Result<pii::SecretBytes>> {
            self.0.decrypt(key_id, blob.strip_prefix(&[1, 1, 0]).unwrap_or(blob), context)
        }
    }
    let emulator = Emulator::new();
    let context = ServiceContext::new();
    let plaintext = "ä".repeat(300);
    let blob = [&[1, 1, 0], &*emulator.encrypt(MAIN, plaintext.as_bytes(), &context)].concat();
    let stored = base64(&blob);
    let pydynox = |format| Pydynox::new(LikeKms(emulator.clone()), MAIN).format(format);
    for format in [PydynoxFormat::Direct, PydynoxFormat::Either] {
        assert_eq!(text_of(&pydynox(format).decrypt(&stored).await.unwrap()), plaintext);
    }
    assert_eq!(emulator.decrypted(), 3, "the ambiguous one takes a second call");
    assert!(pydynox(PydynoxFormat::Envelope).decrypt(&stored).await.unwrap_err().is_integrity());
}

/// Whoever writes to the table could otherwise have the data key of an envelope shown as its value.
#[tokio::test]
async fn a_data_key_is_not_handed_out_as_a_direct_value() {
    let (emulator, context, stored) = sample();
    let (blob, ..) = parts(&stored);
    for format in [PydynoxFormat::Direct, PydynoxFormat::Either] {
        let error = emulator.of(context.clone()).format(format).decrypt(&base64(&blob)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn debug_shows_neither_context_values_nor_keys() {
    let (emulator, ..) = sample();
    let shown = format!("{:?}", emulator.of([("tenant", "canary")]));
    assert!(shown.contains("tenant") && shown.contains(MAIN) && !shown.contains("canary"), "{shown}");
}
