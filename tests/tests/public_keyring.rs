//! The keyring of those who write and can't read.

use std::{sync::Arc, time::Duration};

use pii::{
    DataKey, EncryptionContext, Error, ErrorKind, FileKeyStore, GeneratedKey, HierarchicalKeyring,
    KeyBinding, KeyId, Keyring, LocalKeyring, PrivateKey, Provider, PublicKey, PublicKeyring, Purpose,
    SenderPolicy, TestKeyring, WrappedKey, WrappedPrivateKey, testing::FailingKeyring,
};

fn binding(tenant: &str, purpose: Purpose, epoch: u32) -> KeyBinding {
    let context = EncryptionContext::new([("tenant", tenant)]).unwrap();
    KeyBinding { context: Arc::new(context), purpose, epoch }
}

fn acme() -> KeyBinding {
    binding("acme", Purpose::Drop, 0)
}

fn key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}

fn public(key: &PrivateKey) -> PublicKey {
    key.public_key().clone()
}

fn base_writer(recipient: &PrivateKey) -> PublicKeyring {
    PublicKeyring::writer([public(recipient)]).unwrap()
}

fn auth_writer(recipient: &PrivateKey, sender: &PrivateKey) -> PublicKeyring {
    base_writer(recipient).authenticated(sender.clone()).unwrap()
}

fn base_reader(key: &PrivateKey) -> PublicKeyring {
    PublicKeyring::reader([key.clone()], SenderPolicy::AnyoneWithThePublicKey).unwrap()
}

fn auth_reader(key: &PrivateKey, senders: &[&PrivateKey]) -> PublicKeyring {
    let accepted = senders.iter().map(|sender| public(sender)).collect();
    PublicKeyring::reader([key.clone()], SenderPolicy::Authenticated(accepted)).unwrap()
}

async fn unwrap(
    keyring: &PublicKeyring,
    copies: &[WrappedKey],
    binding: &KeyBinding,
) -> Result<KeyId, Error> {
    keyring.unwrap(copies, binding, &|_| true).await.map(|data_key| data_key.id())
}

async fn generate(keyring: &PublicKeyring) -> GeneratedKey {
    keyring.generate(&acme()).await.unwrap()
}

#[tokio::test]
async fn what_is_sealed_to_a_public_key_opens_with_its_private_key() {
    let (reader, other, sender) = (key(), key(), key());
    let made = generate(&base_writer(&reader)).await;
    assert_eq!(made.copies.len(), 1);
    assert_eq!((made.copies[0].provider, made.copies[0].blob.len()), (Provider::PUBLIC_KEY, 114));
    assert_eq!(made.copies[0].key_name, reader.public_key().id().to_string());
    assert_eq!(unwrap(&base_reader(&reader), &made.copies, &acme()).await.unwrap(), made.data_key.id());
    let not_for_me = unwrap(&base_reader(&other), &made.copies, &acme()).await.unwrap_err();
    assert_eq!(not_for_me.kind(), ErrorKind::KeyMissing);

    let made = generate(&auth_writer(&reader, &sender)).await;
    assert_eq!(made.copies[0].blob.len(), 130);
    let accepting = auth_reader(&reader, &[&other, &sender]);
    assert_eq!(unwrap(&accepting, &made.copies, &acme()).await.unwrap(), made.data_key.id());

    let several = PublicKeyring::writer([public(&other), public(&reader)]).unwrap();
    let copies = several.wrap(&made.data_key, &acme()).await.unwrap();
    for key in [&reader, &other] {
        assert_eq!(unwrap(&base_reader(key), &copies, &acme()).await.unwrap(), made.data_key.id());
    }
    let again = base_writer(&reader).wrap(&made.data_key, &acme()).await.unwrap();
    assert_ne!(again[0].blob, several.wrap(&made.data_key, &acme()).await.unwrap()[1].blob);
}

#[tokio::test]
async fn a_writer_can_not_read_and_a_reader_does_not_write() {
    let reader = key();
    let writer = base_writer(&reader);
    assert!(!writer.can_unwrap() && base_reader(&reader).can_unwrap());
    let copies = generate(&writer).await.copies;
    assert_eq!(unwrap(&writer, &copies, &acme()).await.unwrap_err().kind(), ErrorKind::Mode);
    assert_eq!(base_reader(&reader).generate(&acme()).await.unwrap_err().kind(), ErrorKind::Mode);
    let data_key = DataKey::generate().unwrap();
    assert_eq!(base_reader(&reader).wrap(&data_key, &acme()).await.unwrap_err().kind(), ErrorKind::Mode);
}

#[tokio::test]
async fn only_data_keys_of_purpose_drop_are_sealed_and_opened() {
    let reader = key();
    let copies = generate(&base_writer(&reader)).await.copies;
    for purpose in [Purpose::Seal, Purpose::Index, Purpose::Subject, Purpose::Branch] {
        let other = binding("acme", purpose, 0);
        let error = base_writer(&reader).generate(&other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let error = unwrap(&base_reader(&reader), &copies, &other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
    }
}

#[tokio::test]
async fn no_bit_of_a_copy_may_change_and_no_binding() {
    let (reader, sender) = (key(), key());
    for (writer, opening) in [
        (base_writer(&reader), base_reader(&reader)),
        (auth_writer(&reader, &sender), auth_reader(&reader, &[&sender])),
    ] {
        let good = generate(&writer).await.copies.remove(0);
        for other in [binding("initech", Purpose::Drop, 0), binding("acme", Purpose::Drop, 1)] {
            let error = unwrap(&opening, std::slice::from_ref(&good), &other).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ContextMismatch);
            assert!(!error.to_string().contains("initech"), "{error}");
        }
        let mut damaged: Vec<Vec<u8>> = Vec::new();
        for bit in 0..good.blob.len() * 8 {
            let mut blob = good.blob.clone();
            blob[bit / 8] ^= 1 << (bit % 8);
            damaged.push(blob);
        }
        for mode in 0..=255 {
            let mut blob = good.blob.clone();
            if blob[0] != mode {
                blob[0] = mode;
                damaged.push(blob);
            }
        }
        damaged.extend((0..good.blob.len()).map(|length| good.blob[..length].to_vec()));
        damaged.push([good.blob.as_slice(), &[0]].concat());
        for blob in damaged {
            let copies = [WrappedKey { blob, ..good.clone() }];
            assert!(unwrap(&opening, &copies, &acme()).await.is_err());
        }
        let bad = WrappedKey { blob: vec![0; good.blob.len()], ..good.clone() };
        assert!(unwrap(&opening, &[bad, good.clone()], &acme()).await.is_ok(), "the next copy is tried");
        assert!(opening.unwrap(std::slice::from_ref(&good), &acme(), &|_| false).await.is_err());
    }
}

#[tokio::test]
async fn a_reader_of_known_writers_refuses_all_others() {
    let (reader, sender, stranger) = (key(), key(), key());
    let opening = auth_reader(&reader, &[&sender]);
    let refused = async |copies: &[WrappedKey]| unwrap(&opening, copies, &acme()).await.unwrap_err().kind();
    // whoever knows the public key can make this; it opens where anyone is accepted
    let forged = generate(&base_writer(&reader)).await.copies;
    assert!(unwrap(&base_reader(&reader), &forged, &acme()).await.is_ok());
    assert_eq!(refused(&forged).await, ErrorKind::Integrity);
    let unlisted = generate(&auth_writer(&reader, &stranger)).await.copies;
    assert_eq!(refused(&unlisted).await, ErrorKind::Integrity);
    // under the name of a writer that is accepted
    let mut named = unlisted.clone();
    named[0].blob[1..17].copy_from_slice(sender.public_key().id().as_bytes());
    assert_eq!(refused(&named).await, ErrorKind::ContextMismatch);
    // without the claim, as a copy of Base mode
    let mut stripped = unlisted.clone();
    stripped[0].blob.drain(1..17);
    stripped[0].blob[0] = 0;
    assert!(unwrap(&base_reader(&reader), &stripped, &acme()).await.is_err());
    // a proof that can't be checked is not taken for none
    let proven = generate(&auth_writer(&reader, &sender)).await.copies;
    assert_eq!(
        unwrap(&base_reader(&reader), &proven, &acme()).await.unwrap_err().kind(),
        ErrorKind::Integrity
    );
    assert!(unwrap(&opening, &proven, &acme()).await.is_ok());
}

#[tokio::test]
async fn what_can_not_work_is_refused_when_it_is_built() {
    let keys: Vec<PublicKey> = (0..9).map(|_| public(&key())).collect();
    let refused = |built: Result<PublicKeyring, Error>| {
        assert_eq!(built.unwrap_err().kind(), ErrorKind::Configuration);
    };
    refused(PublicKeyring::writer([]));
    refused(PublicKeyring::writer(keys.clone()));
    refused(PublicKeyring::writer([keys[0].clone(), keys[0].clone()]));
    PublicKeyring::writer(keys[..8].to_vec()).unwrap();
    let reader = key();
    refused(base_reader(&reader).authenticated(key()));
    refused(PublicKeyring::reader([reader.clone()], SenderPolicy::Authenticated(vec![])));
    refused(PublicKeyring::reader(
        [reader.clone(), reader.clone()],
        SenderPolicy::Authenticated(vec![keys[0].clone()]),
    ));
    refused(PublicKeyring::reader(Vec::<PrivateKey>::new(), SenderPolicy::AnyoneWithThePublicKey));
}

#[tokio::test]
async fn a_wrapped_private_key_is_unwrapped_at_first_use_and_kept_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let inner = Arc::new(FailingKeyring::new(LocalKeyring::create(folder.path().join("pii.key")).unwrap()));
    let (public, wrapped) = PublicKeyring::generate_pair(&*inner).await.unwrap();
    let text = wrapped.to_string();
    let wrapped: WrappedPrivateKey = text.parse().unwrap();
    assert_eq!((wrapped.to_string(), wrapped.public_key()), (text, &public));
    let made = PublicKeyring::writer([public]).unwrap().generate(&acme()).await.unwrap();
    let calls = inner.calls();
    let reader = || {
        let key = wrapped.clone().unwrapped_by(Arc::clone(&inner) as Arc<dyn Keyring>);
        PublicKeyring::reader([key], SenderPolicy::AnyoneWithThePublicKey).unwrap()
    };
    let reading = reader();
    assert_eq!(inner.calls(), calls);
    for _ in 0..3 {
        assert_eq!(unwrap(&reading, &made.copies, &acme()).await.unwrap(), made.data_key.id());
    }
    assert_eq!(inner.calls(), calls + 1);
    let forgetful = reader().max_age(Duration::ZERO);
    unwrap(&forgetful, &made.copies, &acme()).await.unwrap();
    inner.fail_with(ErrorKind::KeyDenied);
    assert_eq!(unwrap(&forgetful, &made.copies, &acme()).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    assert_eq!(unwrap(&reader(), &made.copies, &acme()).await.unwrap_err().kind(), ErrorKind::KeyDenied);
}

#[tokio::test]
async fn a_wrapped_private_key_that_was_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inner = Arc::new(LocalKeyring::create(folder.path().join("pii.key")).unwrap());
    let (public, wrapped) = PublicKeyring::generate_pair(&*inner).await.unwrap();
    let (other, _) = PublicKeyring::generate_pair(&*inner).await.unwrap();
    let made = PublicKeyring::writer([public.clone()]).unwrap().generate(&acme()).await.unwrap();
    let for_other = PublicKeyring::writer([other.clone()]).unwrap().generate(&acme()).await.unwrap();
    let opens = async |wrapped: WrappedPrivateKey, made: &GeneratedKey| {
        let key = wrapped.unwrapped_by(Arc::clone(&inner) as Arc<dyn Keyring>);
        let reader = PublicKeyring::reader([key], SenderPolicy::AnyoneWithThePublicKey).unwrap();
        unwrap(&reader, &made.copies, &acme()).await.is_ok()
    };
    assert!(opens(wrapped.clone(), &made).await);
    let text = wrapped.to_string();
    let relabelled: WrappedPrivateKey =
        text.replace(&public.to_string(), &other.to_string()).parse().unwrap();
    assert!(!opens(relabelled, &for_other).await);
    let mut parsed = 0;
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        if let Ok(changed) = String::from_utf8(changed).unwrap().parse::<WrappedPrivateKey>() {
            parsed += 1;
            assert!(!opens(changed, &made).await, "character {at}");
        }
    }
    assert!(parsed > 100, "{parsed}");
    for text in ["", "{}", &text.replace("key-1", "key-2"), &text[..text.len() - 1]] {
        assert_eq!(text.parse::<WrappedPrivateKey>().unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn the_test_keyring_wraps_no_private_keys_and_marks_nothing_here() {
    let error = PublicKeyring::generate_pair(&TestKeyring::new()).await.unwrap_err();
    assert!(error.to_string().contains("test keyring"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let branches =
        HierarchicalKeyring::new(TestKeyring::new(), FileKeyStore::open(folder.path().join("keys")).unwrap());
    assert!(PublicKeyring::generate_pair(&branches).await.is_err());
    let reader = key();
    let mut copies = generate(&base_writer(&reader)).await.copies;
    copies.extend(TestKeyring::new().generate(&acme()).await.unwrap().copies);
    let error = unwrap(&base_reader(&reader), &copies, &acme()).await.unwrap_err();
    assert!(error.to_string().contains("test keyring"), "{error}");
}

#[tokio::test]
async fn nothing_that_is_shown_holds_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reader.key");
    let reader = PrivateKey::create(&path).unwrap();
    let file = std::fs::read_to_string(&path).unwrap();
    let secret = file.trim_end().rsplit(' ').next().unwrap();
    let shown = [
        format!("{reader:?}"),
        format!("{:?}", base_reader(&reader)),
        format!("{:?}", auth_writer(&reader, &reader)),
        format!("{:?}", auth_reader(&reader, &[&reader])),
    ];
    for shown in shown {
        assert!(
            shown.contains(&reader.public_key().id().to_string()) && !shown.contains(&secret[..8]),
            "{shown}"
        );
    }
}
