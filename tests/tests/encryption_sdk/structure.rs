//! Messages whose parts are authentic, put together wrongly.

use pii::{EncryptionSdk, ErrorKind, ServiceContext};

use super::{
    reference::Draft,
    service::{KEY, Service, context},
};

struct Case {
    service: Service,
    context: ServiceContext,
    draft: Draft,
}

impl Case {
    fn new(is_signed: bool) -> Self {
        let (service, context) = (Service::default(), context(&[("tenant", "acme")]));
        let make = if is_signed { Draft::signed } else { Draft::new };
        let draft = make(&service, &context);
        Self { service, context, draft }
    }

    async fn opens(&self, draft: &Draft, parts: &[Vec<u8>]) -> Result<Vec<u8>, ErrorKind> {
        let message = draft.message(&parts.concat());
        let opened = self.service.messages().decrypt(&message, &self.context).await;
        opened.map(|opened| opened.expose().to_vec()).map_err(|error| error.kind())
    }
}

#[tokio::test]
async fn frames_are_numbered_whole_and_in_their_order() {
    for is_signed in [false, true] {
        let case = Case::new(is_signed);
        let draft = &case.draft;
        let frame = |number, plaintext| draft.frame(number, plaintext);
        let last = |number, plaintext| draft.last(number, plaintext);
        let (one, two) = (frame(1, b"8 bytes."), frame(2, b"8 more.."));
        for (parts, plaintext) in [
            (vec![last(1, b"")], &b""[..]),
            (vec![last(1, b"8 bytes.")], b"8 bytes."),
            (vec![one.clone(), last(2, b"")], b"8 bytes."),
            (vec![one.clone(), two.clone(), last(3, b"end")], b"8 bytes.8 more..end"),
        ] {
            assert_eq!(case.opens(draft, &parts).await.unwrap(), plaintext);
        }
        for parts in [
            vec![],
            vec![one.clone()],
            vec![one.clone(), two.clone()],
            vec![two.clone(), one.clone(), last(3, b"end")],
            vec![one.clone(), one.clone(), last(3, b"end")],
            vec![one.clone(), last(3, b"end")],
            vec![two.clone(), last(3, b"end")],
            vec![last(2, b"end")],
            vec![last(0, b"end")],
            vec![last(1, b"end"), last(2, b"end")],
            vec![last(1, b"end"), vec![0]],
            vec![last(1, b"9 bytes..")],
            vec![frame(1, b"7 bytes"), last(2, b"end")],
            vec![frame(u32::MAX, b"8 bytes."), last(1, b"end")],
            vec![last(1, b"end")[4..].to_vec()],
            vec![draft.block(b"8 bytes.")],
        ] {
            assert_eq!(case.opens(draft, &parts).await, Err(ErrorKind::Malformed));
        }
        // of the right shape, and something else: a frame in place of the last one, the other way
        // round, another number, another message
        let renumbered = |mut part: Vec<u8>, number: u8, at: usize| {
            part[at + 3] = number;
            part[at + 15] = number;
            part
        };
        let as_last =
            |frame: Vec<u8>| [&[0xff; 4], &frame[..16], &8_u32.to_be_bytes(), &frame[16..]].concat();
        let full = last(2, b"8 more..");
        let as_frame = [&full[4..20], &full[24..]].concat();
        let other = Draft { message_id: [8; 32], ..draft.clone() };
        for parts in [
            vec![as_last(one.clone())],
            vec![one.clone(), as_frame, last(3, b"end")],
            vec![renumbered(two.clone(), 1, 0), last(2, b"end")],
            vec![renumbered(last(2, b"end"), 1, 4)],
            vec![other.last(1, b"end")],
            vec![one.clone(), other.frame(2, b"8 more.."), last(3, b"end")],
            vec![one.clone(), other.last(2, b"end")],
        ] {
            assert_eq!(case.opens(draft, &parts).await, Err(ErrorKind::Integrity));
        }
    }
}

#[tokio::test]
async fn a_body_in_one_block_is_read_too() {
    for is_signed in [false, true] {
        let case = Case::new(is_signed);
        let draft = Draft { content_type: 1, frame_bytes: 0, ..case.draft.clone() };
        for plaintext in [&b""[..], b"one block, of any length"] {
            assert_eq!(case.opens(&draft, &[draft.block(plaintext)]).await.unwrap(), plaintext);
        }
        let block = draft.block(b"text");
        let with_length = |length: u64| [&block[..12], &length.to_be_bytes(), &block[20..]].concat();
        let with_nonce = |last: u8| [&block[..11], &[last], &block[12..]].concat();
        for parts in [
            vec![],
            vec![block.clone(), vec![0]],
            vec![block.clone(), block.clone()],
            vec![with_length(3)],
            vec![with_length(5)],
            vec![with_length(u64::MAX)],
            vec![with_length(u64::MAX - 20)],
            vec![with_nonce(0)],
            vec![with_nonce(2)],
            vec![draft.last(1, b"text")],
        ] {
            assert_eq!(case.opens(&draft, &parts).await, Err(ErrorKind::Malformed));
        }
        let of_a_frame = draft.frame(1, b"text");
        let as_block = [&of_a_frame[4..16], &4_u64.to_be_bytes(), &of_a_frame[16..]].concat();
        assert_eq!(case.opens(&draft, &[as_block]).await, Err(ErrorKind::Integrity));
    }
}

#[tokio::test]
async fn reserved_and_unknown_values_are_refused() {
    let case = Case::new(false);
    let good = &case.draft;
    let body = |draft: &Draft| [draft.last(1, b"text")];
    assert!(case.opens(good, &body(good)).await.is_ok());
    let variants = |change: &dyn Fn(&mut Draft)| {
        let mut draft = good.clone();
        change(&mut draft);
        draft
    };
    for draft in [
        variants(&|draft| draft.version = 0),
        variants(&|draft| draft.version = 3),
        variants(&|draft| draft.content_type = 0),
        variants(&|draft| draft.content_type = 3),
        variants(&|draft| draft.content_type = 1),
        variants(&|draft| draft.frame_bytes = 0),
        variants(&|draft| draft.data_keys.clear()),
    ] {
        assert_eq!(case.opens(&draft, &body(&draft)).await, Err(ErrorKind::Malformed));
    }
    // message format 1, algorithms without commitment, and what there is not
    let mut draft = good.clone();
    draft.version = 1;
    assert_eq!(case.opens(&draft, &body(&draft)).await, Err(ErrorKind::UnknownVersion));
    for suite in [[0x03, 0x78], [0x01, 0x78], [0x02, 0x14], [0, 0x14], [0x04, 0x79], [0, 0], [0xff, 0xff]] {
        let draft = Draft { suite, ..good.clone() };
        assert_eq!(case.opens(&draft, &body(&draft)).await, Err(ErrorKind::UnknownVersion), "{suite:?}");
    }
    assert_eq!(case.service.calls(), [0, 0, 1]);
}

#[tokio::test]
async fn a_message_commits_to_its_data_key() {
    for is_signed in [false, true] {
        let case = Case::new(is_signed);
        let body = [case.draft.last(1, b"text")];
        assert!(case.opens(&case.draft, &body).await.is_ok());
        // all of it is authentic under the data key, and the header names another one
        let draft = Draft { commitment: Some([0; 32]), ..case.draft.clone() };
        assert_eq!(case.opens(&draft, &body).await, Err(ErrorKind::Integrity));
        // the blob of one data key in a message under another
        let case = Case::new(is_signed);
        let draft = Draft { data_key: [43; 32], ..case.draft.clone() };
        let body = [draft.last(1, b"text")];
        assert_eq!(case.opens(&draft, &body).await, Err(ErrorKind::Integrity));
    }
}

#[tokio::test]
async fn more_data_keys_than_the_limit_are_refused_before_any_is_asked_for() {
    let case = Case::new(false);
    let of_others = |count: usize| {
        let mut draft = case.draft.clone();
        let other = [b"elsewhere".to_vec(), b"key".to_vec(), b"blob".to_vec()];
        draft.data_keys.splice(0..0, std::iter::repeat_n(other, count));
        draft
    };
    let draft = of_others(19);
    assert!(case.opens(&draft, &[draft.last(1, b"text")]).await.is_ok());
    assert_eq!(case.service.calls(), [0, 0, 1]);
    for count in [20, 1000, 65_534] {
        let draft = of_others(count);
        assert_eq!(case.opens(&draft, &[draft.last(1, b"text")]).await, Err(ErrorKind::Malformed));
    }
    assert_eq!(case.service.calls(), [0, 0, 1]);
    let more = EncryptionSdk::builder(case.service.clone()).key(KEY).max_encrypted_data_keys(21).build();
    let draft = of_others(20);
    let message = draft.message(&draft.last(1, b"text"));
    assert!(more.unwrap().decrypt(&message, &case.context).await.is_ok());
}
