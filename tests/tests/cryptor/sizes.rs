//! Sizes and arbitrary contents.

use super::{
    legacy::{Reject, row},
    *,
};

#[tokio::test]
async fn the_largest_value_is_one_mebibyte() {
    let cryptor = cryptor();
    let largest = "é".repeat(512 * 1024);
    let mut rows = [Customer { email: EncryptedStr::new(largest.as_str()), ..ada() }];
    cryptor.seal(&mut rows).await.unwrap();
    let mut loaded = [through_storage(&rows[0])];
    cryptor.open(&mut loaded).await.unwrap();
    assert!(loaded[0].email.expose().unwrap() == largest);
    let mut rows = [Customer { email: EncryptedStr::new(largest + "x"), ..ada() }];
    assert_eq!(cryptor.seal(&mut rows).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_social_security_number_takes_96_characters() {
    let folder = tempfile::tempdir().unwrap();
    let cryptor = Cryptor::envelope()
        .keyring(TestKeyring::new())
        .key_store(FileKeyStore::open(folder.path()).unwrap())
        .build()
        .unwrap();
    let mut rows = [ada()];
    cryptor.seal(&mut rows).await.unwrap();
    assert_eq!(rows[0].ssn.as_ref().unwrap().ciphertext().unwrap().as_str().len(), 96);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_comes_back(text in "\\PC{0,200}", long in proptest::collection::vec(any::<char>(), 0..16_384)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let long: String = long.into_iter().collect();
        runtime.block_on(async {
            let cryptor = cryptor();
            let model = Customer { email: EncryptedStr::new(text.as_str()), ssn: Some(EncryptedStr::new(long.as_str())), ..ada() };
            let mut loaded = [stored(&cryptor, &model).await];
            cryptor.open(&mut loaded).await.unwrap();
            assert_eq!(loaded[0].email.expose().unwrap(), text);
            assert!(loaded[0].ssn.as_ref().unwrap().expose().unwrap() == long);
        });
    }

    #[test]
    fn no_stored_text_makes_it_panic(text in "(ENC:)?[A-Za-z0-9+/=]{0,120}|\\PC{0,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut rows = row::<Reject>(&text);
            prop_assert!(cryptor().open(&mut rows).await.is_err());
            prop_assert!(rows[0].email.expose().is_err());
            Ok(())
        })?;
    }
}
