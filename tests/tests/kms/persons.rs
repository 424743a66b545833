//! Data keys of persons under a hierarchical keyring over KMS.

use std::sync::Arc;

use pii::{
    Confirm, Cryptor, EncryptedStr, ErrorKind, FileKeyStore, HierarchicalKeyring, KeyAdmin, KeyStore,
    Keyring, PiiModel, Retention, ShredScope, ctx, testing::kms::Operation,
};

use super::support::Kms;

#[derive(PiiModel)]
#[pii(name = "person", context(app = "shop", tenant = self.tenant), subject = self.person)]
struct Person {
    #[pii(id)]
    id: i64,
    tenant: String,
    person: String,
    email: EncryptedStr,
}

fn person(id: i64, email: EncryptedStr) -> Person {
    Person { id, tenant: "acme".to_owned(), person: format!("random-{id}"), email }
}

/// The rows as they come from a database.
fn loaded(rows: &[Person]) -> Vec<Person> {
    let load = |row: &Person| EncryptedStr::from_ciphertext(row.email.ciphertext().unwrap().clone());
    rows.iter().map(|row| person(row.id, load(row))).collect()
}

#[tokio::test]
async fn one_of_three_is_erased_and_all_of_it_costs_one_call() {
    let kms = Kms::start().await;
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn KeyStore> = Arc::new(FileKeyStore::open(folder.path().join("keys")).unwrap());
    let keyring: Arc<dyn Keyring> =
        Arc::new(HierarchicalKeyring::shared(Arc::new(kms.keyring()), Arc::clone(&store)));
    let cryptor = |keyring: &Arc<dyn Keyring>| {
        let builder = Cryptor::envelope().shared_keyring("default", Arc::clone(keyring));
        builder.shared_key_store(Arc::clone(&store)).build().unwrap()
    };
    let mut rows: Vec<Person> =
        (1..=3).map(|id| person(id, EncryptedStr::new(format!("p{id}@example.com")))).collect();
    cryptor(&keyring).seal(&mut rows).await.unwrap();
    let keys: Vec<_> = rows.iter().map(|row| row.email.ciphertext().unwrap().key_id()).collect();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "each has a key of their own");

    let scope = ShredScope::Exactly(ctx!(app = "shop", tenant = "acme", subject = "random-2").unwrap());
    let confirm = Confirm::i_know_values_become_unreadable();
    let admin = KeyAdmin::new(Arc::clone(&store));
    let receipt = admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
    assert_eq!(receipt.key_ids().collect::<Vec<_>>(), [keys[1]]);

    let assert_others_open = async |cryptor: Cryptor| {
        let mut read = loaded(&rows);
        for row in &mut read {
            let opened = cryptor.open(std::slice::from_mut(row)).await;
            if row.id == 2 {
                assert_eq!(opened.unwrap_err().kind(), ErrorKind::Erased);
            } else {
                opened.unwrap();
                assert_eq!(row.email.expose().unwrap(), &format!("p{}@example.com", row.id));
            }
        }
    };
    assert_others_open(cryptor(&keyring)).await;
    assert_eq!(kms.fake.calls(Operation::GenerateDataKey), 1);
    assert_eq!(kms.fake.total_calls(), 1);

    // another process, which unwraps the branch key
    let elsewhere: Arc<dyn Keyring> =
        Arc::new(HierarchicalKeyring::shared(Arc::new(kms.keyring()), Arc::clone(&store)));
    assert_others_open(cryptor(&elsewhere)).await;
    assert_eq!(kms.fake.calls(Operation::Decrypt), 1);
    assert_eq!(kms.fake.total_calls(), 2);
}
