//! Values of AMSDAL: read, written, and refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing unwrap is a failing test")]

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use pii::{
    Amsdal, BoxFuture, Error, ErrorKind, KeyService, Result, SecretBytes, ServiceContext, ServiceDataKey,
};
use proptest::{prelude::*, sample::Index};

const KEY: &str = "alias/client";
const OLD: &str = "alias/before";

/// The key, the context and the plaintext of what was wrapped.
type Wrapped = (String, ServiceContext, Vec<u8>);

/// Clones share keys and counters.
#[derive(Clone, Default)]
struct Service {
    known: Arc<Mutex<HashMap<Vec<u8>, Wrapped>>>,
    generated: Arc<AtomicUsize>,
    decrypted: Arc<AtomicUsize>,
    fault: Arc<Mutex<Option<ErrorKind>>>,
}

impl Service {
    fn fields(&self) -> Amsdal {
        Amsdal::new(self.clone(), KEY)
    }

    fn put(&self, key: &str, blob: &[u8], plaintext: &[u8]) {
        let wrapped = (key.to_owned(), ServiceContext::new(), plaintext.to_vec());
        self.known.lock().unwrap().insert(blob.to_vec(), wrapped);
    }

    fn calls(&self) -> (usize, usize) {
        (self.generated.load(Ordering::SeqCst), self.decrypted.load(Ordering::SeqCst))
    }

    fn check(&self) -> Result<()> {
        self.fault.lock().unwrap().map_or(Ok(()), |kind| Err(Error::new(kind)))
    }
}

impl KeyService for Service {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>> {
        Box::pin(async move {
            self.generated.fetch_add(1, Ordering::SeqCst);
            self.check()?;
            let (mut plaintext, mut blob) = ([0; 32], vec![0; 50]);
            getrandom::fill(&mut plaintext).unwrap();
            getrandom::fill(&mut blob).unwrap();
            let wrapped = (key_id.to_owned(), context.clone(), plaintext.to_vec());
            self.known.lock().unwrap().insert(blob.clone(), wrapped);
            Ok(ServiceDataKey {
                plaintext: SecretBytes::copy_from(&plaintext),
                blob,
                key_arn: key_id.to_owned(),
            })
        })
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>> {
        Box::pin(async move {
            self.decrypted.fetch_add(1, Ordering::SeqCst);
            self.check()?;
            let known = self.known.lock().unwrap().get(blob).cloned();
            let (key, its_context, plaintext) = known.ok_or_else(|| Error::new(ErrorKind::Integrity))?;
            if key_id != Some(&key) {
                return Err(Error::new(ErrorKind::KeyMissing));
            }
            if its_context != *context {
                return Err(Error::new(ErrorKind::ContextMismatch));
            }
            Ok(SecretBytes::copy_from(&plaintext))
        })
    }
}

/// A text as the service of AMSDAL makes it, with no code of the library.
fn text(service: &Service, key: &str, plaintext: &[u8]) -> String {
    let (data_key, iv, blob) = ([9; 32], [3; 12], key.as_bytes());
    service.put(key, blob, &data_key);
    let sealed = Aes256Gcm::new(&data_key.into()).encrypt(&iv.into(), plaintext).unwrap();
    let (ciphertext, tag) = sealed.split_at(sealed.len() - 16);
    let parts = [blob, &iv, ciphertext, tag].map(|part| STANDARD.encode(part));
    format!("#01#{}#10#", parts.join(":"))
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

#[test]
fn what_its_service_wrote_opens() {
    let service = Service::default();
    for plaintext in ["alice@example.com", "", "Žofie 東京 #10#:#01#"] {
        let stored = text(&service, KEY, plaintext.as_bytes());
        let opened = now(service.fields().decrypt(&stored)).unwrap();
        assert_eq!(opened.expose(), plaintext.as_bytes());
    }
    assert_eq!(service.calls(), (0, 3));
    // older keys are named
    let stored = text(&service, OLD, b"text");
    assert_eq!(now(service.fields().decrypt(&stored)).unwrap_err().kind(), ErrorKind::KeyMissing);
    let opened = now(service.fields().decrypt_only(OLD).decrypt(&stored)).unwrap();
    assert_eq!(opened.expose(), b"text");
}

#[test]
fn what_is_written_opens_and_is_of_its_form() {
    let service = Service::default();
    let fields = service.fields();
    let long = "x".repeat(1 << 20);
    let plaintexts: [&[u8]; 4] = [b"alice@example.com", b"", b"alice@example.com", long.as_bytes()];
    let texts = now(fields.encrypt_all(&plaintexts)).unwrap();
    assert_eq!(service.calls(), (1, 0), "one request, one data key");
    let mut ivs = HashSet::new();
    for (stored, plaintext) in texts.iter().zip(plaintexts) {
        let inner = stored.strip_prefix("#01#").unwrap().strip_suffix("#10#").unwrap();
        let parts: Vec<Vec<u8>> = inner.split(':').map(|part| STANDARD.decode(part).unwrap()).collect();
        let [blob, iv, ciphertext, tag] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert_eq!((iv.len(), tag.len(), ciphertext.len()), (12, 16, plaintext.len()));
        ivs.insert(iv.clone());
        let data_key: [u8; 32] = service.known.lock().unwrap()[blob].2.as_slice().try_into().unwrap();
        let iv: [u8; 12] = iv.as_slice().try_into().unwrap();
        let sealed = [ciphertext.as_slice(), tag].concat();
        assert!(Aes256Gcm::new(&data_key.into()).decrypt(&iv.into(), &*sealed).unwrap() == plaintext);
    }
    assert_eq!(ivs.len(), 4, "a nonce for each value");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (opened, plaintext) in now(fields.decrypt_each(&texts)).into_iter().zip(plaintexts) {
        assert!(opened.unwrap().expose() == plaintext);
    }
    assert_eq!(service.calls(), (1, 1));
    let one = now(fields.encrypt(b"text")).unwrap();
    assert_eq!(now(fields.decrypt(&one)).unwrap().expose(), b"text");
    assert!(now(fields.encrypt_all(&[])).unwrap().is_empty());
    assert_eq!(service.calls(), (2, 2));
}

#[test]
fn what_can_not_be_written_is_refused_before_a_key_is_asked_for() {
    let service = Service::default();
    let fields = service.fields();
    let long = vec![b'x'; (1 << 20) + 1];
    let error = now(fields.encrypt_all(&[b"text", &long])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let error = now(fields.encrypt_all(&[b"text", &[0xff]])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(service.calls(), (0, 0));
    *service.fault.lock().unwrap() = Some(ErrorKind::KeyDenied);
    let error = now(fields.encrypt(b"text")).unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (ErrorKind::KeyDenied, Some(KEY)));
}

#[test]
fn its_fake_service_is_never_taken_for_encryption() {
    let service = Service::default();
    let fields = service.fields();
    for fake in ["#01#canary@example.com#10#", "#01##10#", "#01##01#canary#10##10#", "#01#Y2FuYXJ5#10#"] {
        let error = now(fields.decrypt(fake)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FakeEncryption, "{fake}");
        assert!(error.is_integrity() && !format!("{error:?}").contains("canary"), "{error:?}");
    }
    // its text may have colons of its own
    for fake in ["#01#12:30#10#", "#01#a:b:c:d#10#", "#01#canary:one:two:three:four#10#", "#01#:::#10#"] {
        assert_eq!(now(fields.decrypt(fake)).unwrap_err().kind(), ErrorKind::Malformed, "{fake}");
    }
    for plain in
        ["", "canary@example.com", "#01#", "#10#", "#01#10#", "#01#text", " #01#text#10#", "#01#text#10# "]
    {
        assert_eq!(now(fields.decrypt(plain)).unwrap_err().kind(), ErrorKind::NotEncrypted, "{plain}");
    }
    assert_eq!(service.calls(), (0, 0));
}

#[test]
fn parts_are_read_strictly() {
    let service = Service::default();
    let fields = service.fields();
    let good = text(&service, KEY, b"text");
    let inner = good.strip_prefix("#01#").unwrap().strip_suffix("#10#").unwrap();
    let parts: Vec<String> = inner.split(':').map(str::to_owned).collect();
    let with = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part.to_owned();
        format!("#01#{}#10#", parts.join(":"))
    };
    for (index, part) in parts.iter().enumerate() {
        let unpadded = part.trim_end_matches('=').to_owned();
        for wrong in [
            String::new(),
            format!("{part}="),
            format!(" {part}"),
            format!("{part}\n"),
            format!("{part}AAAA"),
            unpadded.clone() + "*",
        ] {
            let error = now(fields.decrypt(&with(index, &wrong))).unwrap_err();
            let is_of_the_format = index == 0 || index == 2;
            match error.kind() {
                ErrorKind::Malformed => {}
                ErrorKind::Integrity | ErrorKind::ContextMismatch => {
                    assert!(is_of_the_format, "{index} {wrong}")
                }
                other => panic!("{other:?}: {index} {wrong}"),
            }
        }
        if unpadded != *part {
            assert_eq!(
                now(fields.decrypt(&with(index, &unpadded))).unwrap_err().kind(),
                ErrorKind::Malformed
            );
        }
    }
    for wrong in [
        with(1, &STANDARD.encode([3; 11])),
        with(1, &STANDARD.encode([3; 13])),
        with(3, &STANDARD.encode([3; 15])),
        with(3, &STANDARD.encode([3; 17])),
        with(0, &STANDARD.encode([3; 6145])),
        with(2, &STANDARD.encode(vec![3; (1 << 20) + 1])),
        with(2, &"A".repeat(100_000_000)),
        with(0, ""),
        format!("#01#{inner}:AAAA#10#"),
        format!("#01#:{inner}#10#"),
        format!("#01#{}#10#", parts[..3].join(":")),
    ] {
        assert_eq!(now(fields.decrypt(&wrong)).unwrap_err().kind(), ErrorKind::Malformed);
    }
    service.put(KEY, b"short", &[9; 31]);
    let error = now(fields.decrypt(&with(0, &STANDARD.encode(b"short")))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert_eq!(now(fields.decrypt(&good)).unwrap().expose(), b"text");
}

#[test]
fn cut_or_altered_anywhere_it_is_refused() {
    let service = Service::default();
    let fields = service.fields();
    let good = text(&service, KEY, b"alice@example.com");
    for length in 0..good.len() {
        let error = now(fields.decrypt(&good[..length])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotEncrypted, "{length} characters");
        let with_end = format!("{}#10#", &good[..length]);
        if with_end != good {
            assert!(now(fields.decrypt(&with_end)).unwrap_err().is_integrity(), "{length} characters");
        }
    }
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut altered = good.clone().into_bytes();
            altered[at] ^= 1 << bit;
            let altered = String::from_utf8(altered).unwrap();
            let error = now(fields.decrypt(&altered)).unwrap_err();
            assert!(error.is_integrity(), "bit {bit} of character {at}: {error}");
        }
    }
    // plaintext that is no text was not made by it
    let bytes = text(&service, KEY, &[0xff]);
    assert_eq!(now(fields.decrypt(&bytes)).unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(now(fields.decrypt(&good)).unwrap().expose(), b"alice@example.com");
}

/// Values of one request share a data key, so its name says nothing of where the other parts belong.
#[test]
fn parts_of_two_values_make_none() {
    let service = Service::default();
    let fields = service.fields();
    let of_one_request = now(fields.encrypt_all(&[b"number one", b"number two"])).unwrap();
    let of_another = now(fields.encrypt(b"number six")).unwrap();
    let parts = |text: &str| -> Vec<String> {
        let inner = text.strip_prefix("#01#").unwrap().strip_suffix("#10#").unwrap();
        inner.split(':').map(str::to_owned).collect()
    };
    let one = parts(&of_one_request[0]);
    for other in [&of_one_request[1], &of_another] {
        let other = parts(other);
        for choice in 1..15_usize {
            let mixed: Vec<&str> =
                (0..4).map(|at| if choice >> at & 1 == 1 { &*other[at] } else { &*one[at] }).collect();
            if mixed == one || mixed == other {
                continue; // they differ in the wrapped data key alone, which is the same
            }
            let mixed = format!("#01#{}#10#", mixed.join(":"));
            assert_eq!(now(fields.decrypt(&mixed)).unwrap_err().kind(), ErrorKind::Integrity, "{choice:04b}");
        }
    }
    for stored in of_one_request.iter().chain([&of_another]) {
        now(fields.decrypt(stored)).unwrap();
    }
}

#[test]
fn one_bad_value_hides_no_good_one_and_an_outage_is_asked_once() {
    let service = Service::default();
    let fields = service.fields();
    let good: Vec<String> = (0..10).map(|_| now(fields.encrypt(b"text")).unwrap()).collect();
    let unknown = text(&Service::default(), KEY, b"text");
    let mut page: Vec<&str> = good.iter().chain(&good).map(String::as_str).collect();
    page.extend(["plain", "#01#fake#10#", &unknown]);
    let opened = now(fields.decrypt_each(&page));
    assert!(opened[..20].iter().all(|result| result.as_ref().unwrap().expose() == b"text"));
    let kinds: Vec<ErrorKind> =
        opened[20..].iter().map(|result| result.as_ref().unwrap_err().kind()).collect();
    assert_eq!(kinds, [ErrorKind::NotEncrypted, ErrorKind::FakeEncryption, ErrorKind::ContextMismatch]);
    assert_eq!(service.calls(), (10, 11));
    *service.fault.lock().unwrap() = Some(ErrorKind::KeyUnavailable);
    let refused = now(fields.decrypt_each(&page));
    assert!(refused[..20].iter().all(|result| result.as_ref().unwrap_err().is_retryable()));
    assert_eq!(service.calls(), (10, 12));
}

#[test]
fn the_context_of_data_keys_can_be_another_one() {
    let service = Service::default();
    let fields = service.fields().context([("client", "canary")]);
    let stored = now(fields.encrypt(b"text")).unwrap();
    assert_eq!(now(fields.decrypt(&stored)).unwrap().expose(), b"text");
    let error = now(service.fields().decrypt(&stored)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert!(!format!("{fields:?} {error:?}").contains("canary"));
}

proptest! {
    #[test]
    fn any_text_is_an_error(text in "(#01#)?[A-Za-z0-9+/=:]{0,120}(#10#)?|#01#\\PC{0,40}#10#") {
        let error = now(Service::default().fields().decrypt(&text)).unwrap_err();
        prop_assert!(error.is_integrity(), "{}", error);
    }

    #[test]
    fn any_change_is_an_error(at: Index, character in "[A-Za-z0-9+/=:#]", removed in 0..3_usize) {
        let service = Service::default();
        let good = text(&service, KEY, b"alice@example.com");
        let at = at.index(good.len() - removed);
        let altered = format!("{}{character}{}", &good[..at], &good[at + removed..]);
        prop_assume!(altered != good);
        prop_assert!(now(service.fields().decrypt(&altered)).unwrap_err().is_integrity());
    }
}
