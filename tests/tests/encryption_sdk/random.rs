//! Whatever the bytes are: an error, no panic, and no call for a key.

use futures_util::FutureExt as _;
use pii::{ErrorKind, Powertools, ServiceContext};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{reference::Draft, service::Service};

const KINDS: [ErrorKind; 5] = [
    ErrorKind::Malformed,
    ErrorKind::UnknownVersion,
    ErrorKind::ContextMismatch,
    ErrorKind::KeyMissing,
    ErrorKind::Integrity,
];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #[test]
    fn random_bytes_open_nowhere(bytes in vec(any::<u8>(), 0..400)) {
        let service = Service::default();
        let error = service.messages().decrypt(&bytes, &ServiceContext::new()).now_or_never().unwrap();
        let error = error.unwrap_err();
        prop_assert!(KINDS.contains(&error.kind()), "{}", error);
        prop_assert_eq!(service.calls(), [0; 3]);
    }

    #[test]
    fn nor_do_they_after_the_beginning_of_a_message(
        is_signed: bool,
        end: Index,
        bytes in vec(any::<u8>(), 0..200),
    ) {
        let service = Service::default();
        let context = ServiceContext::new();
        let draft = if is_signed { Draft::signed } else { Draft::new }(&service, &context);
        let good = draft.message(&[draft.frame(1, b"8 bytes."), draft.last(2, b"end")].concat());
        let message = [&good[..end.index(good.len())], &bytes].concat();
        prop_assume!(message != good);
        let error = runtime().block_on(service.messages().decrypt(&message, &context)).unwrap_err();
        prop_assert!(KINDS.contains(&error.kind()), "{}", error);
    }

    #[test]
    fn nor_where_a_few_bytes_are_others(
        is_signed: bool,
        changes in vec((any::<Index>(), 1_u8..), 1..4),
        moved in proptest::option::of((any::<Index>(), any::<Index>())),
    ) {
        let service = Service::default();
        let context = ServiceContext::new();
        let draft = if is_signed { Draft::signed } else { Draft::new }(&service, &context);
        let good = draft.message(&[draft.frame(1, b"8 bytes."), draft.last(2, b"end")].concat());
        let mut message = good.clone();
        for (at, change) in &changes {
            let at = at.index(message.len());
            message[at] ^= change;
        }
        if let Some((from, to)) = moved {
            let byte = message.remove(from.index(message.len()));
            message.insert(to.index(message.len()), byte);
        }
        prop_assume!(message != good);
        let error = runtime().block_on(service.messages().decrypt(&message, &context)).unwrap_err();
        prop_assert!(KINDS.contains(&error.kind()), "{}", error);
    }

    #[test]
    fn random_text_is_no_value_of_powertools(text in "[A-Za-z0-9+/=]{0,200}|\\PC{0,50}") {
        let data_masker = Powertools::new(Service::default().messages());
        let error = data_masker.decrypt(&text, &ServiceContext::new()).now_or_never().unwrap().unwrap_err();
        prop_assert!(KINDS.contains(&error.kind()), "{}", error);
    }

    #[test]
    fn what_is_written_opens(plaintext in vec(any::<u8>(), 0..10_000)) {
        let service = Service::default();
        let (messages, context) = (service.messages(), ServiceContext::new());
        let opened = runtime().block_on(async {
            let message = messages.encrypt(&plaintext, &context).await.unwrap();
            messages.decrypt(&message, &context).await.unwrap()
        });
        prop_assert!(opened.expose() == plaintext);
    }
}
