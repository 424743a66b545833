//! Contexts of messages.

use pii::{ContextMatch, EncryptionSdk, ErrorKind, ServiceContext};

use super::{
    reference::{Draft, PUBLIC_KEY, lp16},
    service::{KEY, Service, context},
};

#[tokio::test]
async fn more_pairs_than_expected_are_accepted_only_where_the_caller_says_so() {
    let service = Service::default();
    let messages = service.messages();
    let at_least = EncryptionSdk::builder(service.clone())
        .key(KEY)
        .context_match(ContextMatch::AtLeast)
        .build()
        .unwrap();
    let written = context(&[("tenant", "acme"), ("time", "12:30")]);
    let message = messages.encrypt(b"text", &written).await.unwrap();
    let tenant = context(&[("tenant", "acme")]);
    let error = messages.decrypt(&message, &tenant).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert_eq!(service.calls(), [1, 0, 0]);
    for expected in [&tenant, &written, &ServiceContext::new()] {
        assert_eq!(at_least.decrypt(&message, expected).await.unwrap().expose(), b"text");
    }
    for expected in [context(&[("tenant", "initech")]), context(&[("tenant", "acme"), ("user", "7")])] {
        let error = at_least.decrypt(&message, &expected).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    }
    assert_eq!(service.calls(), [1, 0, 1]);
}

#[tokio::test]
async fn contexts_that_no_message_can_have_are_refused() {
    let service = Service::default();
    let messages = service.messages();
    let long = "x".repeat(65_536);
    let full = "x".repeat(65_535 - 2 - 4 - 1);
    let most = context(&[("n", &full)]);
    let message = messages.encrypt(b"", &most).await.unwrap();
    messages.decrypt(&message, &most).await.unwrap();
    for wrong in [
        context(&[("", "value")]),
        context(&[(PUBLIC_KEY, "value")]),
        context(&[("aws-crypto-", "value")]),
        context(&[("name", &long)]),
        context(&[("nn", &full)]),
    ] {
        let error = messages.encrypt(b"", &wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidContext);
        let error = messages.decrypt(&message, &wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidContext);
    }
    assert_eq!(service.calls(), [1, 0, 1]);
}

async fn refused(service: &Service, draft: &Draft, expected: &ServiceContext) -> ErrorKind {
    let message = draft.message(&draft.last(1, b"text"));
    let error = service.messages().decrypt(&message, expected).await.unwrap_err();
    assert_eq!(service.calls(), [0; 3], "{error}");
    error.kind()
}

#[tokio::test]
async fn blocks_of_pairs_are_read_strictly() {
    let service = Service::default();
    let expected = context(&[("a", "1"), ("b", "2")]);
    let good = Draft::new(&service, &expected);
    let pair = |name: &str, value: &str| [lp16(name.as_bytes()), lp16(value.as_bytes())].concat();
    let block = |count: u16, pairs: &[Vec<u8>]| lp16(&[&count.to_be_bytes()[..], &pairs.concat()].concat());
    let (a, b) = (pair("a", "1"), pair("b", "2"));
    for raw in [
        block(3, &[a.clone(), b.clone(), a.clone()]),
        block(3, &[a.clone(), b.clone(), pair("a", "2")]),
        block(1, &[a.clone(), b.clone()]),
        block(3, &[a.clone(), b.clone()]),
        block(2, &[a.clone(), b.clone(), vec![0]]),
        block(u16::MAX, &[a.clone(), b.clone()]),
        block(2, &[a.clone(), [lp16(b"b"), lp16(&[0xff])].concat()]),
        block(0, &[]),
        vec![0, 1, 0],
        vec![0xff, 0xff, 0, 2],
    ] {
        let draft = Draft { raw_context: Some(raw.clone()), ..good.clone() };
        assert_eq!(refused(&service, &draft, &expected).await, ErrorKind::Malformed, "{raw:?}");
    }
    // pairs in another order are the same pairs
    for raw in [block(2, &[a.clone(), b.clone()]), block(2, &[b, a])] {
        let draft = Draft { raw_context: Some(raw), ..good.clone() };
        let message = draft.message(&draft.last(1, b"text"));
        let opened = service.messages().decrypt(&message, &expected).await.unwrap();
        assert_eq!(opened.expose(), b"text");
    }
}

#[tokio::test]
async fn the_key_of_signatures_stands_in_signed_messages_only() {
    let service = Service::default();
    let expected = context(&[("a", "1")]);
    let signed = Draft::signed(&service, &expected);
    let message = signed.message(&signed.last(1, b"text"));
    assert_eq!(service.messages().decrypt(&message, &expected).await.unwrap().expose(), b"text");

    let service = Service::default();
    let of_other_suite = Draft { suite: [0x04, 0x78], ..signed.clone() };
    assert_eq!(refused(&service, &of_other_suite, &expected).await, ErrorKind::Malformed);
    let unsigned = Draft { suite: [0x05, 0x78], ..Draft::new(&service, &expected) };
    assert_eq!(refused(&service, &unsigned, &expected).await, ErrorKind::Malformed);
    let index = signed.context.iter().position(|(name, _)| name == PUBLIC_KEY.as_bytes()).unwrap();
    let text = String::from_utf8(signed.context[index].1.clone()).unwrap();
    for wrong in [
        String::new(),
        text.replace('A', "!"),
        text[4..].to_owned(),
        format!("{text}\n"),
        // not on the curve, or not compressed
        format!("{}////", &text[..text.len() - 4]),
        format!("B{}", &text[1..]),
    ] {
        let mut draft = signed.clone();
        draft.context[index].1 = wrong.clone().into_bytes();
        let kind = refused(&service, &draft, &expected).await;
        assert_eq!(kind, ErrorKind::Malformed, "{wrong}");
    }
}
