//! From pydynox's form to ours, while both programs run.

use std::time::{Duration, SystemTime};

use pii::{Ciphertext, ErrorKind, FieldPolicies, LegacyPolicy, PydynoxFormat};

use super::{
    database::{
        CARD, Customer, NOTE, SSN, as_pydynox, count, item, plain_cryptor, put, stored, table, with_item,
    },
    support::vectors,
};

#[tokio::test]
async fn readers_and_writers_are_moved_one_after_the_other() {
    let (pool, emulator, cryptor) = with_item().await;
    let policies = FieldPolicies::new();
    let cryptor = cryptor.with_policies(&policies);
    let table = table(&pool, &cryptor);
    table.insert(&Customer::new(2)).await.unwrap();
    as_pydynox(&emulator, &stored(&pool, 2).await);

    // the programs that know only pydynox are gone
    policies.set_model_legacy("customer", LegacyPolicy::ReadAndSeal);
    table.insert(&Customer::new(3)).await.unwrap();
    assert!(stored(&pool, 3).await.iter().all(|text| Ciphertext::parse(text.as_str()).is_ok()));
    for id in 1..=3 {
        assert_eq!(table.get(id).decrypt_pii().await.unwrap().exposed(), [SSN, CARD, NOTE]);
    }
    let unchanged = table.get(1).decrypt_pii().await.unwrap();
    table.update(&unchanged).await.unwrap();
    assert_eq!(stored(&pool, 1).await, item(), "what is not changed stays");

    // back again, and on
    policies.set_legacy("customer", "ssn", LegacyPolicy::ReadAndWrite);
    table.insert(&Customer::new(4)).await.unwrap();
    let texts = stored(&pool, 4).await;
    assert_eq!(texts.each_ref().map(|text| Ciphertext::parse(text.as_str()).is_ok()), [false, true, true]);
    policies.clear("customer", "ssn");

    // the values that are left are moved
    for id in [1, 2, 4] {
        let mut row = table.get(id).decrypt_pii().await.unwrap();
        row.ssn.reseal().unwrap();
        row.card.as_mut().unwrap().reseal().unwrap();
        row.note.reseal().unwrap();
        table.update(&row).await.unwrap();
    }
    put(&pool, 9, &item()).await;
    let left = table.get(9).await.unwrap();
    policies.set_model_legacy("customer", LegacyPolicy::Reject);
    for id in 1..=4 {
        assert_eq!(table.get(id).decrypt_pii().await.unwrap().exposed(), [SSN, CARD, NOTE]);
    }
    for error in [
        table.get(9).await.unwrap_err(),
        table.get(9).decrypt_pii().await.unwrap_err(),
        table.list().await.unwrap_err(),
        table.update(&left).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::UnknownVersion, Some("ssn")), "{error}");
        assert!(error.to_string().contains("LegacyPolicy::ReadAndSeal"), "{error}");
    }

    // nobody needs the key service any more
    let without = plain_cryptor().with_policies(&policies);
    let of_ours = super::database::table(&pool, &without);
    of_ours.insert(&Customer::new(5)).await.unwrap();
    assert_eq!(of_ours.get(5).decrypt_pii().await.unwrap().exposed(), [SSN, CARD, NOTE]);
}

#[tokio::test]
async fn reading_may_end_by_itself() {
    let (pool, _, cryptor) = with_item().await;
    let policies = FieldPolicies::new();
    let cryptor = cryptor.with_policies(&policies);
    let table = table(&pool, &cryptor);
    let later = SystemTime::now() + Duration::from_secs(3600);
    policies.set_legacy_until("customer", "ssn", LegacyPolicy::ReadAndSeal, later);
    table.get(1).decrypt_pii().await.unwrap();
    policies.set_legacy_until("customer", "ssn", LegacyPolicy::ReadAndSeal, SystemTime::now());
    assert_eq!(table.get(1).await.unwrap_err().kind(), ErrorKind::UnknownVersion);
    table.insert(&Customer::new(2)).await.unwrap();
    let [ssn, card, _] = stored(&pool, 2).await;
    assert!(Ciphertext::parse(ssn).is_ok() && Ciphertext::parse(card).is_err());
}

#[tokio::test]
async fn the_direct_form_is_read_and_not_written() {
    let (pool, emulator, cryptor) = with_item().await;
    let vector = vectors().legacy_direct_kms.remove(0);
    let direct = emulator.of(vector.context.clone()).format(PydynoxFormat::Direct);
    let cryptor = cryptor.with_legacy_of("customer", "ssn", direct);
    let [_, card, note] = item();
    put(&pool, 2, &[vector.stored.clone(), card, note]).await;
    let row = table(&pool, &cryptor).get(2).decrypt_pii().await.unwrap();
    assert_eq!(row.ssn.expose().unwrap(), vector.plaintext);
    table(&pool, &cryptor).update(&row).await.unwrap();
    assert_eq!(stored(&pool, 2).await[0], vector.stored);
    let error = table(&pool, &cryptor).insert(&Customer::new(3)).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("ssn")));
    assert_eq!(count(&pool).await, 2);

    let policies = FieldPolicies::new();
    policies.set_legacy("customer", "ssn", LegacyPolicy::ReadAndSeal);
    let cryptor = cryptor.with_policies(&policies);
    table(&pool, &cryptor).insert(&Customer::new(3)).await.unwrap();
    assert_eq!(table(&pool, &cryptor).list().decrypt_pii().await.unwrap_err().field_name(), Some("ssn"));
    let both =
        cryptor.with_legacy_of("customer", "ssn", emulator.of(vector.context).format(PydynoxFormat::Either));
    table(&pool, &both).get(2).decrypt_pii().await.unwrap();
}
