//! Persons, and erasing one of them.

use std::{fs, path::Path, sync::Arc};

use pii::{
    CacheLimits, Confirm, KeyAdmin, KeyState, KeyStore, ModelSpec, Purpose, Retention, ShredReceipt,
    ShredScope,
};

use super::*;

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "person", context(app = "billing", tenant = self.tenant), subject = self.person_id)]
struct Person {
    #[pii(id)]
    id: i64,
    tenant: String,
    person_id: String,
    email: EncryptedStr,
}

/// Another model with values of the same persons, under another keyring.
#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "visit", keyring = "high", subject = self.patient.id)]
struct Visit {
    #[pii(id)]
    id: i64,
    patient: Patient,
    diagnosis: EncryptedStr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Patient {
    id: String,
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(view_of = Person, context(tenant = self.tenant, app = "billing"), subject = self.owner)]
struct PersonView {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(name = "person_id", column = "person_id")]
    #[serde(rename = "person_id")]
    owner: String,
    email: EncryptedStr,
}

fn person(id: i64) -> Person {
    Person {
        id,
        tenant: "acme".into(),
        person_id: format!("random-{id}"),
        email: EncryptedStr::new(format!("person{id}@example.com")),
    }
}

fn visit(id: i64) -> Visit {
    Visit {
        id,
        patient: Patient { id: format!("random-{id}") },
        diagnosis: EncryptedStr::new("in good health"),
    }
}

fn store(folder: &Path) -> Arc<FileKeyStore> {
    Arc::new(FileKeyStore::open(folder).unwrap())
}

/// A cryptor that asks the key store for each batch again.
fn forgetful(folder: &Path) -> Cryptor {
    let limits = CacheLimits { max_messages: 1, ..CacheLimits::default() };
    Cryptor::envelope()
        .keyring(TestKeyring::new())
        .named_keyring("high", TestKeyring::new())
        .shared_key_store(store(folder))
        .cache_limits(limits)
        .build()
        .unwrap()
}

/// A cryptor that keeps what it has.
fn process(folder: &Path) -> Cryptor {
    Cryptor::envelope()
        .keyring(TestKeyring::new())
        .named_keyring("high", TestKeyring::new())
        .shared_key_store(store(folder))
        .build()
        .unwrap()
}

fn admin(folder: &Path) -> KeyAdmin {
    KeyAdmin::new(store(folder))
        .keyring("default", Arc::new(TestKeyring::new()))
        .keyring("high", Arc::new(TestKeyring::new()))
}

async fn sealed(cryptor: &Cryptor) -> (Vec<Person>, Vec<Visit>) {
    let mut persons: Vec<Person> = (1..=3).map(person).collect();
    let mut visits: Vec<Visit> = (1..=3).map(visit).collect();
    cryptor.seal(&mut persons).await.unwrap();
    cryptor.seal(&mut visits).await.unwrap();
    (persons.iter().map(through_storage).collect(), visits.iter().map(through_storage).collect())
}

async fn shred(folder: &Path, scope: ShredScope) -> ShredReceipt {
    let confirm = Confirm::i_know_values_become_unreadable();
    admin(folder).shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap()
}

fn person_scope(id: i64) -> ShredScope {
    ShredScope::Containing(ctx!(subject = format!("random-{id}")).unwrap())
}

/// Person 2 is erased for this cryptor, and the others are not.
async fn assert_only_2_is_erased(cryptor: &Cryptor, persons: &[Person], visits: &[Visit]) {
    let (mut persons, mut visits) = (persons.to_vec(), visits.to_vec());
    let kind = |result: &pii::Result<()>| result.as_ref().err().map(pii::Error::kind);
    let erased = [None, Some(ErrorKind::Erased), None];
    let opened = cryptor.open_each(&mut persons, &FieldSelection::All).await.unwrap();
    assert_eq!(opened.iter().map(kind).collect::<Vec<_>>(), erased);
    assert_eq!(persons[0].email.expose().unwrap(), "person1@example.com");
    assert_eq!(persons[2].email.expose().unwrap(), "person3@example.com");
    assert_sealed(&persons[1].email);
    let opened = cryptor.open_each(&mut visits, &FieldSelection::All).await.unwrap();
    assert_eq!(opened.iter().map(kind).collect::<Vec<_>>(), erased);
}

#[tokio::test]
async fn each_person_has_data_keys_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (persons, visits) = sealed(&process(folder.path())).await;
    let keys: std::collections::BTreeSet<_> = persons
        .iter()
        .map(|row| row.email.ciphertext().unwrap().key_id())
        .chain(visits.iter().map(|row| row.diagnosis.ciphertext().unwrap().key_id()))
        .collect();
    assert_eq!(keys.len(), 6);
    for (_, record) in store(folder.path()).list(None, 100).await.unwrap() {
        let record = record.unwrap();
        assert_eq!(record.slot.purpose, Purpose::Subject);
        assert!(record.slot.context.get("subject").unwrap().starts_with("random-"));
    }
    // and all values of one person in a model share one
    let mut again = [Person { id: 10, ..person(1) }];
    process(folder.path()).seal(&mut again).await.unwrap();
    assert_eq!(
        again[0].email.ciphertext().unwrap().key_id(),
        persons[0].email.ciphertext().unwrap().key_id()
    );
    let report = admin(folder.path()).verify(|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn the_model_says_that_it_has_a_subject() {
    assert!(Person::MODEL.has_subject() && Visit::MODEL.has_subject() && PersonView::MODEL.has_subject());
    assert!(!Customer::MODEL.has_subject());
    let schema = pii::schema_of(&[Person::MODEL as &'static ModelSpec]);
    assert!(schema.contains("context(app=\"billing\", subject, tenant)"), "{schema}");
    let shown = format!("{:?}", person(7));
    assert!(!shown.contains("random-7"), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let (persons, _) = sealed(&process(folder.path())).await;
    let mut view: PersonView = through_storage_as(&persons[0]);
    process(folder.path()).open(std::slice::from_mut(&mut view)).await.unwrap();
    assert_eq!(view.email.expose().unwrap(), "person1@example.com");
}

fn through_storage_as<A: Serialize, B: for<'de> Deserialize<'de>>(model: &A) -> B {
    serde_json::from_str(&serde_json::to_string(model).unwrap()).unwrap()
}

#[tokio::test]
async fn without_a_key_store_nothing_is_asked_for() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let inline = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let mut rows = [person(1)];
    let error = inline.seal(&mut rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(".key_store("), "{error}");
    assert_eq!(error.model_name(), Some("person"));
    assert_eq!(rows[0].email.state(), ValueState::Plain);
    let folder = tempfile::tempdir().unwrap();
    let (mut persons, _) = sealed(&process(folder.path())).await;
    let error = inline.open(&mut persons).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(keyring.calls(), 0);
    // the other models go on as before
    inline.seal(&mut [ada()]).await.unwrap();
}

#[tokio::test]
async fn erasing_one_person_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, same_process) = (process(folder.path()), forgetful(folder.path()));
    let (persons, visits) = sealed(&writer).await;
    same_process.open(&mut persons.clone()).await.unwrap();
    // an older generation goes too
    let slot = store(folder.path())
        .load(persons[1].email.ciphertext().unwrap().key_id())
        .await
        .unwrap()
        .unwrap()
        .slot;
    admin(folder.path()).rotate(&slot, true).await.unwrap();

    let receipt = shred(folder.path(), person_scope(2)).await;
    assert_eq!(receipt.key_ids().len(), 3);
    assert!(receipt.key_ids().any(|id| id == persons[1].email.ciphertext().unwrap().key_id()));
    assert_eq!(receipt.names(), ["subject"]);
    assert!(receipt.complete_after().unwrap() >= receipt.shredded() + Duration::from_secs(600));
    for cryptor in [&same_process, &process(folder.path())] {
        assert_only_2_is_erased(cryptor, &persons, &visits).await;
        // rows still load, and are written back as they are
        let loaded = cryptor.open_each(&mut persons.clone(), &FieldSelection::Nothing).await.unwrap();
        assert!(loaded.iter().all(Result::is_ok));
        // nothing new of an erased person
        let error = cryptor.seal(&mut [person(2)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Erased);
        cryptor.seal(&mut [person(1), person(4)]).await.unwrap();
    }
    let report = admin(folder.path()).verify(|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.destroyed, 3);
    // a second time it finds the same
    assert_eq!(shred(folder.path(), person_scope(2)).await.key_ids().len(), 3);
}

#[tokio::test]
async fn a_scope_is_exact_or_contained() {
    let folder = tempfile::tempdir().unwrap();
    let cryptor = process(folder.path());
    sealed(&cryptor).await;
    cryptor.seal(&mut [ada(), Customer { id: 8, tenant: "globex".into(), ..ada() }]).await.unwrap();
    let exact =
        shred(folder.path(), ShredScope::Exactly(ctx!(app = "billing", tenant = "acme").unwrap())).await;
    assert_eq!(exact.key_ids().len(), 1, "not the persons of the tenant");
    let contained = shred(folder.path(), ShredScope::Containing(ctx!(tenant = "acme").unwrap())).await;
    assert_eq!(contained.key_ids().len(), 4);
    let none = shred(folder.path(), ShredScope::Exactly(ctx!(tenant = "acme").unwrap())).await;
    assert_eq!(none.key_ids().len(), 0);
    let everything = ShredScope::Containing(ctx!().unwrap());
    let confirm = Confirm::i_know_values_become_unreadable();
    let error = admin(folder.path()).shred(&everything, &Retention::default(), confirm, |_| ()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Configuration);
    let report = admin(folder.path()).verify(|_| ()).await.unwrap();
    assert_eq!((report.active, report.destroyed), (4, 4));
}

#[tokio::test]
async fn a_damaged_record_may_be_of_the_person() {
    let folder = tempfile::tempdir().unwrap();
    let (persons, visits) = sealed(&process(folder.path())).await;
    let damaged = persons[1].email.ciphertext().unwrap().key_id();
    let file = folder.path().join(format!("{damaged}.json"));
    let text = fs::read(&file).unwrap();
    fs::write(&file, "?").unwrap();
    let receipt = shred(folder.path(), person_scope(2)).await;
    assert_eq!((receipt.unreadable(), receipt.complete_after()), (&[damaged][..], None));
    assert!(receipt.to_string().contains("NOT COMPLETE"), "{receipt}");
    fs::write(&file, text).unwrap();
    let receipt = shred(folder.path(), person_scope(2)).await;
    assert!(receipt.complete_after().is_some());
    assert_only_2_is_erased(&process(folder.path()), &persons, &visits).await;
}

#[tokio::test]
async fn whoever_still_holds_a_key_can_not_put_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let holder = process(folder.path());
    let (persons, visits) = sealed(&holder).await;
    holder.open(&mut persons.clone()).await.unwrap();
    let key_id = persons[1].email.ciphertext().unwrap().key_id();
    let record = store(folder.path()).load(key_id).await.unwrap().unwrap();
    shred(folder.path(), person_scope(2)).await;
    // for as long as its cache keeps the key, that process opens; the receipt counts that in
    holder.open(&mut persons.clone()).await.unwrap();
    // what it would do to a record that it finds missing
    let stored = store(folder.path()).insert(&record).await.unwrap();
    assert_eq!((stored.state, stored.copies.len()), (KeyState::Destroyed, 0));
    let tombstone = store(folder.path()).load(key_id).await.unwrap().unwrap();
    assert!(store(folder.path()).replace(&tombstone, &record).await.is_err());
    assert!(!store(folder.path()).replace(&record, &record).await.unwrap());
    assert_only_2_is_erased(&process(folder.path()), &persons, &visits).await;
}

/// The rehearsal of an emergency: a backup, a shred, a disaster, a restore, and the receipt.
#[tokio::test]
async fn a_receipt_is_replayed_after_a_restore() {
    let (live, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = live.path();
    let copy = |from: &Path, to: &Path| {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    let writer = process(folder);
    let mut persons: Vec<Person> = (1..=3).map(person).collect();
    writer.seal(&mut persons).await.unwrap();
    copy(folder, backup.path());
    // younger than the backup: the visits, and a second generation of person 2
    let mut visits: Vec<Visit> = (1..=3).map(visit).collect();
    writer.seal(&mut visits).await.unwrap();
    let persons: Vec<Person> = persons.iter().map(through_storage).collect();
    let visits: Vec<Visit> = visits.iter().map(through_storage).collect();
    let key_of_2 = persons[1].email.ciphertext().unwrap().key_id();
    let visit_of_2 = visits[1].diagnosis.ciphertext().unwrap().key_id();
    let young = store(folder).load(visit_of_2).await.unwrap().unwrap();
    let slot = store(folder).load(key_of_2).await.unwrap().unwrap().slot;
    admin(folder).rotate(&slot, false).await.unwrap();

    let receipt = shred(folder, person_scope(2)).await;
    let kept = live.path().with_extension("receipt");
    fs::write(&kept, receipt.to_json().unwrap()).unwrap();

    // the disaster, and the restore
    for entry in fs::read_dir(folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    copy(backup.path(), folder);
    process(folder).open(&mut persons.clone()).await.unwrap();
    // somebody writes before the receipt is replayed
    process(folder).seal(&mut [visit(2)]).await.unwrap();

    let receipt = ShredReceipt::from_json(&fs::read(&kept).unwrap()).unwrap();
    fs::remove_file(&kept).unwrap();
    let confirm = Confirm::i_know_values_become_unreadable();
    let report = admin(folder).replay(&receipt, confirm, |_| ()).await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.destroyed, report.buried, report.already, report.newer), (1, 2, 0, 1), "{report}");

    // the keys of others that are younger than the backup come back from those who hold them
    for visit in [&visits[0], &visits[2]] {
        let key_id = visit.diagnosis.ciphertext().unwrap().key_id();
        assert!(store(folder).load(key_id).await.unwrap().is_none());
    }
    let mut opened = persons.clone();
    let results = process(folder).open_each(&mut opened, &FieldSelection::All).await.unwrap();
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::Erased);
    let error = process(folder).open(&mut visits[1..2].to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased, "not only missing");
    assert_eq!(store(folder).insert(&young).await.unwrap().state, KeyState::Destroyed);
    for error in [
        process(folder).seal(&mut [person(2)]).await.unwrap_err(),
        process(folder).seal(&mut [visit(2)]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Erased);
    }
    process(folder).seal(&mut [person(1), person(3)]).await.unwrap();
    let report = admin(folder).replay(&receipt, confirm, |_| ()).await.unwrap();
    assert_eq!((report.destroyed, report.buried, report.already, report.newer), (0, 0, 3, 0), "{report}");
    let report = admin(folder).verify(|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
