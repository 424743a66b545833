//! Messages that were cut, lengthened or altered.

use std::time::{Duration, Instant};

use pii::{EncryptionSdk, ErrorKind, Powertools, ServiceContext};

use super::{
    reference::Draft,
    service::{KEY, Service, context},
    vectors::Vector,
};

const KINDS: [ErrorKind; 5] = [
    ErrorKind::Malformed,
    ErrorKind::UnknownVersion,
    ErrorKind::ContextMismatch,
    ErrorKind::KeyMissing,
    ErrorKind::Integrity,
];

struct Victim {
    name: String,
    messages: EncryptionSdk,
    message: Vec<u8>,
    context: ServiceContext,
    plaintext: Vec<u8>,
}

impl Victim {
    async fn refuses(&self, message: &[u8], what: &str) -> ErrorKind {
        let began = Instant::now();
        let error = match self.messages.decrypt(message, &self.context).await {
            Ok(_) => panic!("{}: {what} opens", self.name),
            Err(error) => error,
        };
        assert!(KINDS.contains(&error.kind()), "{}: {what}: {error}", self.name);
        assert!(began.elapsed() < Duration::from_secs(2), "{}: {what}", self.name);
        error.kind()
    }

    async fn still_opens(&self) {
        let opened = self.messages.decrypt(&self.message, &self.context).await.unwrap();
        assert!(opened.expose() == self.plaintext, "{}", self.name);
    }
}

fn powertools() -> Vec<Victim> {
    let victim = |vector: Vector| Victim {
        messages: vector.messages(&vector.service()),
        message: vector.message(),
        plaintext: vector.plaintext_json.clone().into_bytes(),
        context: vector.context,
        name: vector.name,
    };
    Vector::all().into_iter().map(victim).collect()
}

/// Framed, in one block, with and without signature.
fn short() -> Vec<Victim> {
    let mut victims = Vec::new();
    for is_signed in [false, true] {
        for is_framed in [false, true] {
            let (service, context) = (Service::default(), context(&[("t", "1")]));
            let draft = if is_signed { Draft::signed } else { Draft::new }(&service, &context);
            let (draft, body) = match is_framed {
                true => (draft.clone(), [draft.frame(1, b"8 bytes."), draft.last(2, b"end")].concat()),
                false => {
                    let draft = Draft { content_type: 1, frame_bytes: 0, ..draft };
                    (draft.clone(), draft.block(b"8 bytes.end"))
                }
            };
            victims.push(Victim {
                name: format!("signed: {is_signed}, framed: {is_framed}"),
                messages: service.messages(),
                message: draft.message(&body),
                context,
                plaintext: b"8 bytes.end".to_vec(),
            });
        }
    }
    victims
}

#[tokio::test]
async fn cut_anywhere_or_lengthened_it_is_refused() {
    for victim in powertools().into_iter().chain(short()) {
        victim.still_opens().await;
        for length in 0..victim.message.len() {
            let kind = victim.refuses(&victim.message[..length], &format!("{length} bytes")).await;
            assert_eq!(kind, ErrorKind::Malformed, "{}: {length} bytes", victim.name);
        }
        for more in [&[0][..], &[0xff], &[0; 4], &[0; 200], &victim.message] {
            let long = [&victim.message, more].concat();
            assert_eq!(victim.refuses(&long, "more bytes").await, ErrorKind::Malformed);
            victim.refuses(&[more, &victim.message].concat(), "bytes in front").await;
        }
        victim.still_opens().await;
    }
}

#[tokio::test]
async fn every_bit_of_a_short_message_counts() {
    for victim in short() {
        victim.still_opens().await;
        for bit in 0..victim.message.len() * 8 {
            let mut altered = victim.message.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            victim.refuses(&altered, &format!("with bit {bit} flipped")).await;
        }
        victim.still_opens().await;
    }
}

#[tokio::test]
async fn every_byte_that_powertools_wrote_counts() {
    for victim in powertools() {
        victim.still_opens().await;
        for at in 0..victim.message.len() {
            for change in [1 << (at % 8), 0xff] {
                let mut altered = victim.message.clone();
                altered[at] ^= change;
                victim.refuses(&altered, &format!("with byte {at} altered")).await;
            }
        }
        victim.still_opens().await;
    }
}

#[tokio::test]
async fn every_character_of_a_text_counts() {
    let vector = Vector::all().remove(0);
    let data_masker = Powertools::new(vector.messages(&vector.service()));
    let text = vector.ciphertext_b64.as_bytes();
    for at in 0..text.len() {
        for other in [b'A', b'/', b'=', b' ', b'\n', b'-'].into_iter().filter(|other| *other != text[at]) {
            let mut altered = text.to_vec();
            altered[at] = other;
            let altered = String::from_utf8(altered).unwrap();
            let error = data_masker.decrypt(&altered, &vector.context).await.unwrap_err();
            assert!(KINDS.contains(&error.kind()), "character {at}: {error}");
        }
        let cut = std::str::from_utf8(&text[..at]).unwrap();
        let error = data_masker.decrypt(cut, &vector.context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{at} characters");
    }
    data_masker.decrypt(&vector.ciphertext_b64, &vector.context).await.unwrap();
}

#[tokio::test]
async fn parts_of_two_messages_make_none() {
    let service = Service::default();
    let messages = service.messages();
    let context = context(&[("t", "1")]);
    let one = messages.encrypt(&[1; 10_000], &context).await.unwrap();
    let two = messages.encrypt(&[2; 10_000], &context).await.unwrap();
    assert_eq!(one.len(), two.len());
    let (begins, frame) = (super::reference::header(&one).length + 16, 4 + 12 + 4096 + 16);
    let ends = one.len();
    for (from, to) in [
        (3, 35),
        (begins - 48, begins - 16),
        (begins - 16, begins),
        (3, begins),
        (begins, begins + frame),
        (begins + frame, begins + 2 * frame),
        (begins + 2 * frame, ends),
        (begins, ends),
        (ends - 16, ends),
    ] {
        let mut mixed = one.clone();
        mixed[from..to].copy_from_slice(&two[from..to]);
        let error = messages.decrypt(&mixed, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{from}..{to}");
    }
    // frames in another order
    let mut swapped = one.clone();
    swapped[begins..begins + frame].copy_from_slice(&one[begins + frame..begins + 2 * frame]);
    swapped[begins + frame..begins + 2 * frame].copy_from_slice(&one[begins..begins + frame]);
    assert_eq!(messages.decrypt(&swapped, &context).await.unwrap_err().kind(), ErrorKind::Malformed);
    let without = [&one[..begins], &one[begins + frame..]].concat();
    assert_eq!(messages.decrypt(&without, &context).await.unwrap_err().kind(), ErrorKind::Malformed);
    assert!(messages.decrypt(&one, &context).await.unwrap().expose() == [1; 10_000]);
}

#[tokio::test]
async fn a_signature_of_another_message_or_key_is_refused() {
    let vectors = Vector::all();
    let vector = &vectors[0];
    let messages = vector.messages(&vector.service());
    let message = vector.message();
    let footer = |message: &[u8]| {
        let header = super::reference::header(message);
        let length =
            message[header.length + 16 + 20..].first_chunk().copied().map(u32::from_be_bytes).unwrap();
        header.length + 16 + 24 + usize::try_from(length).unwrap() + 16
    };
    let at = footer(&message);
    assert_eq!(usize::from(u16::from_be_bytes([message[at], message[at + 1]])), message.len() - at - 2);
    for other in &vectors[1..] {
        let other = other.message();
        let mixed = [&message[..at], &other[footer(&other)..]].concat();
        let error = messages.decrypt(&mixed, &vector.context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
    }
    // signatures that are none
    for signature in [&[0x30, 6, 2, 1, 0, 2, 1, 0][..], &[0x30, 6, 2, 1, 1, 2, 1, 1], &[], &[0x30, 0]] {
        let footer = [&u16::try_from(signature.len()).unwrap().to_be_bytes(), signature].concat();
        let error = messages.decrypt(&[&message[..at], &footer].concat(), &vector.context).await.unwrap_err();
        assert!([ErrorKind::Malformed, ErrorKind::Integrity].contains(&error.kind()), "{error}");
    }
    // whoever has the data key can write everything but the signature
    let service = Service::default();
    let context = context(&[("t", "1")]);
    let draft = Draft::signed(&service, &context);
    let right = draft.message(&draft.last(1, b"right"));
    let wrong = draft.message(&draft.last(1, b"wrong"));
    let end_of_body = footer(&right);
    let mixed = [&wrong[..end_of_body], &right[end_of_body..]].concat();
    let messages = EncryptionSdk::builder(service.clone()).key(KEY).build().unwrap();
    assert_eq!(messages.decrypt(&right, &context).await.unwrap().expose(), b"right");
    assert_eq!(messages.decrypt(&mixed, &context).await.unwrap_err().kind(), ErrorKind::Integrity);
}
