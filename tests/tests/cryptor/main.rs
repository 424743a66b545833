//! The invariants of sealing and opening, without any database.

mod ahead;
mod app_keys;
mod audit;
#[path = "../key_stores/dynamo_table.rs"]
mod dynamo_table;
mod key_cache;
mod key_support;
mod keys;
mod legacy;
mod lost_records;
mod modes;
mod moving;
mod names;
mod outages;
mod paths;
mod rotation;
mod rows;
mod sizes;
mod subjects;
mod swaps;
mod write_only;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pii::{
    Access, AuditFailure, CacheLimits, Cryptor, Encrypted, EncryptedStr, ErrorKind, FieldSelection,
    FileKeyStore, Json, LocalKeyring, Mode, Operation, PiiModel, Reason, TestKeyring, ValueState, ctx,
    testing::{Clock, CollectingSink, DelayingKeyring, FailingKeyring, assert_all_sealed, assert_sealed},
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "customer", context(app = "billing", tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

fn ada() -> Customer {
    Customer {
        id: 7,
        tenant: "acme".into(),
        email: EncryptedStr::new("ada@example.com"),
        ssn: Some(EncryptedStr::new("900-12-3456")),
    }
}

fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

/// What a database does to a model: only the stored text comes back.
fn through_storage<M: PiiModel + Serialize + for<'de> Deserialize<'de>>(model: &M) -> M {
    serde_json::from_str(&serde_json::to_string(model).unwrap()).unwrap()
}

async fn stored(cryptor: &Cryptor, model: &Customer) -> Customer {
    let sealed = cryptor.sealed(model).await.unwrap();
    serde_json::from_str(&serde_json::to_string(&sealed).unwrap()).unwrap()
}

#[tokio::test]
async fn a_model_is_sealed_stored_loaded_and_opened() {
    let cryptor = cryptor();
    let original = ada();
    let mut loaded = stored(&cryptor, &original).await;
    assert_eq!(original.email.state(), ValueState::Plain, "the live instance keeps its plaintext");
    assert_all_sealed(&loaded);
    assert_eq!(loaded.email.expose().unwrap_err().kind(), ErrorKind::State);
    cryptor.open(std::slice::from_mut(&mut loaded)).await.unwrap();
    assert_eq!(loaded.email.expose().unwrap(), "ada@example.com");
    assert_eq!(loaded.ssn.as_ref().unwrap().expose().unwrap(), "900-12-3456");
    assert_eq!(loaded.email, original.email);
}

#[tokio::test]
async fn unchanged_values_are_written_back_byte_for_byte_without_a_key_call() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let mut loaded = stored(&cryptor, &ada()).await;
    cryptor.open_each(std::slice::from_mut(&mut loaded), &FieldSelection::Nothing).await.unwrap();
    let text = loaded.email.ciphertext().unwrap().clone();
    let calls = keyring.calls();
    keyring.fail_with(ErrorKind::KeyUnavailable);
    let fresh = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    assert_eq!(stored(&fresh, &loaded).await.email.ciphertext().unwrap(), &text);
    keyring.recover();
    fresh.open(std::slice::from_mut(&mut loaded)).await.unwrap();
    assert_eq!(stored(&fresh, &loaded).await.email.ciphertext().unwrap(), &text);
    assert_eq!(keyring.calls(), calls + 1, "one call to open, none to save");
    loaded.email.set("new@example.com");
    assert_ne!(stored(&fresh, &loaded).await.email.ciphertext().unwrap(), &text);
}

#[tokio::test]
async fn a_value_that_was_loaded_elsewhere_is_not_saved() {
    let cryptor = cryptor();
    let mut loaded = stored(&cryptor, &ada()).await;
    cryptor.open(std::slice::from_mut(&mut loaded)).await.unwrap();
    let mut moved = loaded.clone();
    moved.id = 8;
    let error = cryptor.sealed(&moved).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongPlace);
    assert_eq!((error.model_name(), error.field_name()), (Some("customer"), Some("email")));
    assert!(error.to_string().contains("reseal()"), "{error}");
    moved.email.reseal().unwrap();
    moved.ssn.as_mut().unwrap().reseal().unwrap();
    let mut moved = stored(&cryptor, &moved).await;
    cryptor.open(std::slice::from_mut(&mut moved)).await.unwrap();
    let mut retenanted = loaded;
    retenanted.tenant = "globex".into();
    assert_eq!(cryptor.sealed(&retenanted).await.err().unwrap().kind(), ErrorKind::WrongPlace);
}

#[tokio::test]
async fn a_sealed_value_of_unknown_origin_is_verified_before_it_is_saved() {
    let cryptor = cryptor();
    let mut loaded = stored(&cryptor, &ada()).await;
    assert!(cryptor.sealed(&loaded).await.is_ok(), "it is in its place");
    loaded.id = 8;
    assert_eq!(cryptor.sealed(&loaded).await.err().unwrap().kind(), ErrorKind::Integrity);
}

/// Opens nothing, notes where values come from: what a table does after loading.
async fn load(cryptor: &Cryptor, models: &mut [Customer]) {
    for result in cryptor.open_each(models, &FieldSelection::Nothing).await.unwrap() {
        result.unwrap();
    }
}

#[tokio::test]
async fn opening_is_no_way_to_move_a_value() {
    let cryptor = cryptor();
    let mut loaded = [stored(&cryptor, &ada()).await];
    load(&cryptor, &mut loaded).await;
    // another tenant: refused, opened in vain, and still refused
    let mut moved = [Customer { tenant: "globex".into(), ..loaded[0].clone() }];
    assert_eq!(cryptor.sealed(&moved[0]).await.err().unwrap().kind(), ErrorKind::WrongPlace);
    assert_eq!(cryptor.open(&mut moved).await.unwrap_err().kind(), ErrorKind::WrongPlace);
    assert_eq!(cryptor.sealed(&moved[0]).await.err().unwrap().kind(), ErrorKind::WrongPlace);
    // another row: a field that is not asked for is refused too
    let mut copied = [Customer { id: 8, email: EncryptedStr::new("new@example.com"), ..loaded[0].clone() }];
    let results = cryptor.open_each(&mut copied, &FieldSelection::only(["email"])).await.unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::WrongPlace);
    assert_eq!(cryptor.sealed(&copied[0]).await.err().unwrap().kind(), ErrorKind::WrongPlace);
    // a value that did not open stays one of unknown origin
    let mut foreign = [Customer { id: 9, ..stored(&cryptor, &ada()).await }];
    assert_eq!(cryptor.open(&mut foreign).await.unwrap_err().kind(), ErrorKind::Integrity);
    assert_eq!(cryptor.sealed(&foreign[0]).await.err().unwrap().kind(), ErrorKind::Integrity);
}

/// An id that is not known before the row is stored.
#[derive(Clone, Serialize, Deserialize)]
enum LateId {
    New,
    Known(i64),
}

impl pii::RowId for LateId {
    fn write_row(&self, out: &mut pii::RowWriter) {
        if let Self::Known(id) = self {
            out.integer((*id).into());
        }
    }
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "late", debug = "manual")]
struct Late {
    #[pii(id)]
    id: LateId,
    email: EncryptedStr,
}

#[tokio::test]
async fn an_id_that_writes_nothing_does_not_unbind_the_row() {
    let late = |id| Late { id, email: EncryptedStr::new("ada@example.com") };
    let error = cryptor().sealed(&late(LateId::New)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("bind = \"field\""), "{error}");
    assert!(cryptor().sealed(&late(LateId::Known(1))).await.is_ok());
}
