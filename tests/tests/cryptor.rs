//! The invariants of sealing and opening, without any database.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pii::{
    Access, AuditFailure, CacheLimits, Cryptor, Encrypted, EncryptedStr, ErrorKind, FieldSelection,
    FileKeyStore, Json, LocalKeyring, Mode, Operation, PiiModel, Reason, TestKeyring, ValueState, ctx,
    testing::{CollectingSink, DelayingKeyring, FailingKeyring, assert_all_sealed, assert_sealed},
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

// ---- swaps -------------------------------------------------------------------------------------

macro_rules! swap_models {
    ($($ty:ident $name:literal),*) => {$(
        #[derive(PiiModel, Clone)]
        #[pii(name = $name, context(tenant = self.tenant))]
        struct $ty {
            #[pii(id)]
            id: i64,
            tenant: String,
            a: EncryptedStr,
            b: EncryptedStr,
            c: EncryptedStr,
            d: EncryptedStr,
        }

        impl SwapModel for $ty {
            fn at(tenant: &str, id: i64, values: [EncryptedStr; 4]) -> Self {
                let [a, b, c, d] = values;
                Self { id, tenant: tenant.to_owned(), a, b, c, d }
            }
            fn values(&self) -> [&EncryptedStr; 4] { [&self.a, &self.b, &self.c, &self.d] }
        }
    )*};
}

trait SwapModel: PiiModel + Clone {
    fn at(tenant: &str, id: i64, values: [EncryptedStr; 4]) -> Self;
    fn values(&self) -> [&EncryptedStr; 4];
}

swap_models!(Customer4 "customer", Order4 "order", Invoice4 "invoice", Payment4 "payment");

const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// Where a value was sealed: model, tenant, row, field; and its text.
type Sealed = ((usize, usize, i64, usize), EncryptedStr);

async fn seal_all<M: SwapModel>(cryptor: &Cryptor, model: usize, out: &mut Vec<Sealed>) {
    for (tenant_index, tenant) in TENANTS.iter().enumerate() {
        for row in 0..4 {
            let mut models = [M::at(tenant, row, std::array::from_fn(|_| EncryptedStr::new("same text")))];
            cryptor.seal(&mut models).await.unwrap();
            for (field, value) in models[0].values().into_iter().enumerate() {
                let text = value.ciphertext().unwrap().clone();
                out.push(((model, tenant_index, row, field), EncryptedStr::from_ciphertext(text)));
            }
        }
    }
}

/// Puts every sealed value in every place of this model and checks where it opens.
async fn try_all<M: SwapModel>(cryptor: &Cryptor, model: usize, sealed: &[Sealed]) -> usize {
    let mut opened = 0;
    for (tenant_index, tenant) in TENANTS.iter().enumerate() {
        for row in 0..4 {
            for field in 0..4 {
                let mut rows: Vec<M> = Vec::new();
                for (_, value) in sealed {
                    rows.push(M::at(
                        tenant,
                        row,
                        std::array::from_fn(
                            |f| {
                                if f == field { value.clone() } else { EncryptedStr::new("x") }
                            },
                        ),
                    ));
                }
                let results = cryptor.open_each(&mut rows, &FieldSelection::All).await.unwrap();
                for ((from, _), result) in sealed.iter().zip(results) {
                    let at_home = *from == (model, tenant_index, row, field);
                    assert_eq!(
                        result.is_ok(),
                        at_home,
                        "{from:?} at {:?}",
                        (model, tenant_index, row, field)
                    );
                    opened += usize::from(at_home);
                    if let Err(error) = result {
                        let expected = if from.1 == tenant_index {
                            ErrorKind::Integrity
                        } else {
                            ErrorKind::ContextMismatch
                        };
                        assert_eq!(error.kind(), expected, "{error}");
                    }
                }
            }
        }
    }
    opened
}

#[tokio::test]
async fn no_value_opens_in_the_place_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let with_store = Cryptor::envelope()
        .keyring(TestKeyring::new())
        .key_store(FileKeyStore::open(folder.path()).unwrap())
        .build()
        .unwrap();
    for cryptor in [cryptor(), with_store] {
        let mut sealed = Vec::new();
        seal_all::<Customer4>(&cryptor, 0, &mut sealed).await;
        seal_all::<Order4>(&cryptor, 1, &mut sealed).await;
        seal_all::<Invoice4>(&cryptor, 2, &mut sealed).await;
        seal_all::<Payment4>(&cryptor, 3, &mut sealed).await;
        assert_eq!(sealed.len(), 256);
        let mut opened = try_all::<Customer4>(&cryptor, 0, &sealed).await;
        opened += try_all::<Order4>(&cryptor, 1, &sealed).await;
        opened += try_all::<Invoice4>(&cryptor, 2, &sealed).await;
        opened += try_all::<Payment4>(&cryptor, 3, &sealed).await;
        assert_eq!(opened, 256, "each opens in its own place and nowhere else");
    }
}

// ---- paths ---------------------------------------------------------------------------------------

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(nested)]
struct Address {
    street: EncryptedStr,
    city: String,
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "person")]
struct Person {
    #[pii(id)]
    id: String,
    phones: Vec<EncryptedStr>,
    labels: BTreeMap<String, EncryptedStr>,
    #[pii(nested)]
    home: Address,
    #[pii(nested)]
    others: Vec<Address>,
    card: Encrypted<Json<Vec<u32>>>,
    boxed: Option<Box<EncryptedStr>>,
}

fn address(street: &str) -> Address {
    Address { street: EncryptedStr::new(street), city: "Berlin".into() }
}

fn person() -> Person {
    Person {
        id: "p1".into(),
        phones: vec![EncryptedStr::new("1"), EncryptedStr::new("2")],
        labels: BTreeMap::from([("a".into(), EncryptedStr::new("A")), ("b".into(), EncryptedStr::new("B"))]),
        home: address("Home 1"),
        others: vec![address("Other 1"), address("Other 2")],
        card: Encrypted::json(&vec![4, 1, 1]).unwrap(),
        boxed: Some(Box::new(EncryptedStr::new("boxed"))),
    }
}

async fn store_person(cryptor: &Cryptor, person: &Person) -> Person {
    let sealed = cryptor.sealed(person).await.unwrap();
    serde_json::from_str(&serde_json::to_string(&sealed).unwrap()).unwrap()
}

#[tokio::test]
async fn values_in_lists_maps_and_nested_structs_are_sealed() {
    let cryptor = cryptor();
    let mut loaded = store_person(&cryptor, &person()).await;
    assert_all_sealed(&loaded);
    cryptor.open(std::slice::from_mut(&mut loaded)).await.unwrap();
    assert_eq!(loaded.phones[1].expose().unwrap(), "2");
    assert_eq!(loaded.labels["b"].expose().unwrap(), "B");
    assert_eq!(loaded.home.street.expose().unwrap(), "Home 1");
    assert_eq!(loaded.others[1].street.expose().unwrap(), "Other 2");
    assert_eq!(loaded.card.expose().unwrap(), [4, 1, 1]);
    assert_eq!(loaded.boxed.unwrap().expose().unwrap(), "boxed");
}

#[tokio::test]
async fn a_path_binds_fields_and_map_keys_and_not_the_position_in_a_list() {
    let cryptor = cryptor();
    let loaded = store_person(&cryptor, &person()).await;
    let opens = async |change: fn(&mut Person)| {
        let mut changed = loaded.clone();
        change(&mut changed);
        cryptor.open(std::slice::from_mut(&mut changed)).await
    };
    opens(|p| p.phones.reverse()).await.unwrap();
    opens(|p| drop(p.phones.remove(0))).await.unwrap();
    let swaps: [fn(&mut Person); 4] = [
        |p| {
            let a = p.labels["a"].clone();
            p.labels.insert("b".into(), a);
        },
        |p| p.phones[0] = p.labels["a"].clone(),
        |p| p.home = p.others[0].clone(),
        |p| p.boxed = Some(Box::new(p.phones[0].clone())),
    ];
    for swap in swaps {
        assert_eq!(opens(swap).await.unwrap_err().kind(), ErrorKind::Integrity);
    }
}

// ---- modes, scopes, levels ---------------------------------------------------------------------

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "modal")]
struct Modal {
    #[pii(id)]
    id: i64,
    both: EncryptedStr,
    #[pii(mode = "WriteOnly")]
    drop: EncryptedStr,
    #[pii(mode = "ReadOnly")]
    report: Option<EncryptedStr>,
}

fn modal() -> Modal {
    Modal { id: 1, both: EncryptedStr::new("both"), drop: EncryptedStr::new("drop"), report: None }
}

#[tokio::test]
async fn modes_hold_before_any_key_is_asked_for() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let mut with_report = modal();
    with_report.report = Some(EncryptedStr::new("report"));
    let error = cryptor.sealed(&with_report).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mode);
    assert!(
        error.to_string().contains("modal.report")
            && error.to_string().contains("Cannot encrypt in ReadOnly mode")
    );
    assert_eq!(keyring.calls(), 0);

    let mut models = [modal()];
    cryptor.seal(&mut models).await.unwrap();
    let mut loaded = [through_storage(&models[0])];
    cryptor.open(&mut loaded).await.unwrap();
    assert_eq!(loaded[0].both.expose().unwrap(), "both");
    assert_sealed(&loaded[0].drop);
    let error = cryptor.open_each(&mut loaded, &FieldSelection::only(["drop"])).await.unwrap_err();
    assert!(error.to_string().contains("Cannot decrypt in WriteOnly mode"), "{error}");
    let error = cryptor.open_each(&mut loaded, &FieldSelection::only(["dorp"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    // loaded through the library, a write-only value is written back without being opened
    assert!(cryptor.sealed(&loaded[0]).await.is_ok());
    let untracked = through_storage(&models[0]);
    assert_eq!(cryptor.sealed(&untracked).await.err().unwrap().kind(), ErrorKind::Mode);
}

#[tokio::test]
async fn a_limited_cryptor_keeps_its_limit() {
    let cryptor = cryptor();
    let (writer, reader) = (cryptor.limited_to(Mode::WriteOnly), cryptor.limited_to(Mode::ReadOnly));
    let mut models = [ada()];
    assert_eq!(reader.seal(&mut models).await.unwrap_err().kind(), ErrorKind::Mode);
    writer.seal(&mut models).await.unwrap();
    let mut loaded = [through_storage(&models[0])];
    assert_eq!(writer.open(&mut loaded).await.unwrap_err().kind(), ErrorKind::Mode);
    reader.open(&mut loaded).await.unwrap();
    assert_eq!(
        writer.limited_to(Mode::ReadWrite).open(&mut loaded).await.unwrap_err().kind(),
        ErrorKind::Mode
    );
    assert_eq!(
        writer.limited_to(Mode::ReadOnly).open(&mut loaded).await.unwrap_err().kind(),
        ErrorKind::Mode
    );
}

#[tokio::test]
async fn a_scope_refuses_every_other_context() {
    let cryptor = cryptor();
    let mut loaded = stored(&cryptor, &ada()).await;
    let acme = cryptor.scoped(ctx!(tenant = "acme"));
    let globex = cryptor.scoped(ctx!(tenant = "globex"));
    assert!(acme.sealed(&ada()).await.is_ok());
    let error = globex.sealed(&ada()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert!(error.to_string().contains("`tenant`") && !format!("{error:?}").contains("globex"), "{error:?}");
    assert!(!format!("{globex:?}").contains("globex"));
    assert_eq!(
        globex.open(std::slice::from_mut(&mut loaded)).await.unwrap_err().kind(),
        ErrorKind::ContextMismatch
    );
    acme.open(std::slice::from_mut(&mut loaded)).await.unwrap();
    let none = acme.scoped(ctx!(tenant = "globex"));
    assert_eq!(none.sealed(&ada()).await.err().unwrap().kind(), ErrorKind::ContextMismatch);
    let broken = cryptor.scoped(ctx!(tenant = ""));
    assert_eq!(broken.sealed(&ada()).await.err().unwrap().kind(), ErrorKind::InvalidContext);
    let other = cryptor.scoped(ctx!(region = "eu"));
    assert_eq!(
        other.sealed(&ada()).await.err().unwrap().kind(),
        ErrorKind::ContextMismatch,
        "a missing pair differs"
    );
}

#[tokio::test]
async fn an_invalid_context_is_refused_and_named() {
    let cryptor = cryptor();
    for tenant in [String::new(), "x".repeat(1025)] {
        let error = cryptor.sealed(&Customer { tenant, ..ada() }).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidContext);
        assert!(error.to_string().contains("customer") && error.to_string().contains("row 7"), "{error}");
    }
}

// ---- legacy plaintext --------------------------------------------------------------------------

macro_rules! legacy_models {
    ($($ty:ident $policy:literal),*) => {$(
        #[derive(PiiModel, Clone, Serialize, Deserialize)]
        #[pii(name = "legacy")]
        struct $ty {
            #[pii(id)]
            id: i64,
            #[pii(plaintext = $policy)]
            email: EncryptedStr,
        }
    )*};
}
legacy_models!(Reject "reject", Accept "accept_and_seal", Prepare "prepare");

fn row<M: for<'de> Deserialize<'de>>(email: &str) -> [M; 1] {
    [serde_json::from_value(serde_json::json!({ "id": 1, "email": email })).unwrap()]
}

async fn text_of<M: PiiModel>(cryptor: &Cryptor, model: &M) -> String {
    cryptor.seal_texts([model]).await.unwrap().remove(0).next().unwrap().as_str().to_owned()
}

#[tokio::test]
async fn policies_for_plaintext_in_the_table() {
    let cryptor = cryptor();
    let sink = CollectingSink::new();
    let audited = cryptor.audited(Arc::new(sink.clone()), AuditFailure::Refuse);

    let mut rows = row::<Reject>("ada@example.com");
    let error = cryptor.open(&mut rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);
    assert!(error.to_string().contains("legacy.email") && !format!("{error:?}").contains("ada"), "{error}");
    assert_eq!(cryptor.seal_texts(&rows).await.unwrap_err().kind(), ErrorKind::NotEncrypted);

    let mut rows = row::<Accept>("ada@example.com");
    assert_eq!(rows[0].email.expose().unwrap_err().kind(), ErrorKind::NotEncrypted);
    audited.open(&mut rows).await.unwrap();
    assert_eq!(sink.take()[0].operation, Operation::AcceptPlaintext);
    assert_eq!(rows[0].email.expose().unwrap(), "ada@example.com");
    let sealed = text_of(&cryptor, &rows[0]).await;
    assert!(sealed.starts_with("ENC:"));

    let mut rows = row::<Prepare>("ada@example.com");
    cryptor.open(&mut rows).await.unwrap();
    assert_eq!(text_of(&cryptor, &rows[0]).await, "ada@example.com");
    let mut rows = row::<Prepare>(&sealed);
    cryptor.open(&mut rows).await.unwrap();
    assert_eq!(rows[0].email.expose().unwrap(), "ada@example.com", "both kinds are read");
    rows[0].email.set("ENC:typed by a person");
    assert_eq!(cryptor.seal_texts(&rows).await.unwrap_err().kind(), ErrorKind::State);

    for damaged in ["ENC:", "ENC:AgEA", "ENC:not base64", "ENC:AQEAAAAA"] {
        assert!(cryptor.open(&mut row::<Accept>(damaged)).await.unwrap_err().is_integrity(), "{damaged}");
    }
}

// ---- one bad value ---------------------------------------------------------------------------------

#[tokio::test]
async fn one_bad_value_does_not_hide_the_good_rows() {
    let cryptor = cryptor();
    let mut rows = Vec::new();
    for id in 0..5 {
        rows.push(stored(&cryptor, &Customer { id, ..ada() }).await);
    }
    rows[2].email = rows[1].email.clone();
    let results = cryptor.open_each(&mut rows, &FieldSelection::All).await.unwrap();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true, true]);
    let error = results[2].as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.row_id(), error.field_name()),
        (ErrorKind::Integrity, Some("2"), Some("email"))
    );
    assert_eq!(rows[3].email.expose().unwrap(), "ada@example.com");
    assert_all_sealed(&rows[2]);
}

#[tokio::test]
async fn chosen_fields_only_are_opened() {
    let cryptor = cryptor();
    let mut rows = [stored(&cryptor, &ada()).await];
    cryptor.open_each(&mut rows, &FieldSelection::only(["email"])).await.unwrap();
    assert_eq!(rows[0].email.expose().unwrap(), "ada@example.com");
    assert_sealed(rows[0].ssn.as_ref().unwrap());
}

// ---- keys ------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_thousand_rows_cost_one_key_call_each_way() {
    let folder = tempfile::tempdir().unwrap();
    let build = || {
        Cryptor::envelope()
            .keyring(TestKeyring::new())
            .key_store(FileKeyStore::open(folder.path()).unwrap())
            .build()
            .unwrap()
    };
    let writer = build();
    let mut rows: Vec<Customer> = (0..1000).map(|id| Customer { id, ..ada() }).collect();
    writer.seal(&mut rows).await.unwrap();
    assert_eq!((writer.stats().key_calls(), writer.stats().sealed), (1, 2000));
    let reader = build();
    let mut loaded: Vec<Customer> = rows.iter().map(through_storage).collect();
    reader.open(&mut loaded).await.unwrap();
    assert_eq!((reader.stats().key_calls(), reader.stats().opened), (1, 2000));
    let prefix = rows[0].email.ciphertext().unwrap().key_prefix();
    assert!(rows.iter().all(|row| row.email.ciphertext().unwrap().as_str().starts_with(prefix)));
    assert_eq!(prefix.len(), 28);
}

#[tokio::test]
async fn who_asks_while_a_key_is_fetched_shares_it() {
    let keyring = FailingKeyring::new(DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(30)));
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|id| {
            let cryptor = cryptor.clone();
            tokio::spawn(async move { cryptor.seal(&mut [Customer { id, ..ada() }]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(keyring.calls(), 1);
}

#[tokio::test]
async fn fifty_keys_are_asked_for_together() {
    let keyring = FailingKeyring::new(DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(20)));
    let build = || Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let mut rows: Vec<Customer> =
        (0..50).map(|id| Customer { id, tenant: format!("tenant-{id}"), ..ada() }).collect();
    build().seal(&mut rows).await.unwrap();
    let calls = keyring.calls();
    let mut loaded: Vec<Customer> = rows.iter().map(through_storage).collect();
    build().open(&mut loaded).await.unwrap();
    assert_eq!(keyring.calls() - calls, 50);
}

#[tokio::test]
async fn a_key_error_refuses_everything_and_a_later_call_recovers() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    for kind in
        [ErrorKind::KeyDenied, ErrorKind::KeyDisabled, ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable]
    {
        keyring.fail_with(kind);
        let mut rows = [ada()];
        assert_eq!(cryptor.seal(&mut rows).await.unwrap_err().kind(), kind);
        assert_eq!(rows[0].email.state(), ValueState::Plain, "nothing was changed");
    }
    keyring.recover();
    cryptor.seal(&mut [ada()]).await.unwrap();
}

#[tokio::test]
async fn cache_limits_bound_the_use_of_a_key() {
    let limits = CacheLimits { max_messages: 4, ..CacheLimits::default() };
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).cache_limits(limits).build().unwrap();
    for _ in 0..4 {
        cryptor.seal(&mut [ada()]).await.unwrap();
    }
    assert_eq!(cryptor.stats().keys_generated, 2, "two values a row, four values a key");
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "two-keyrings")]
struct TwoKeyrings {
    #[pii(id)]
    id: i64,
    low: EncryptedStr,
    #[pii(keyring = "high")]
    high: EncryptedStr,
}

#[tokio::test]
async fn neighbouring_fields_have_different_keyrings() {
    let folder = tempfile::tempdir().unwrap();
    let (low, high) = (folder.path().join("low.key"), folder.path().join("high.key"));
    let model = || TwoKeyrings { id: 1, low: EncryptedStr::new("low"), high: EncryptedStr::new("high") };
    let without = Cryptor::envelope().keyring(LocalKeyring::create(&low).unwrap()).build().unwrap();
    let error = without.seal(&mut [model()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("named_keyring(\"high\""), "{error}");
    let with = Cryptor::envelope()
        .keyring(LocalKeyring::open(&low).unwrap())
        .named_keyring("high", LocalKeyring::create(&high).unwrap())
        .build()
        .unwrap();
    let mut rows = [model()];
    with.seal(&mut rows).await.unwrap();
    assert_ne!(rows[0].low.ciphertext().unwrap().key_id(), rows[0].high.ciphertext().unwrap().key_id());
    let mut swapped = [through_storage(&rows[0])];
    let wrong = Cryptor::envelope()
        .keyring(LocalKeyring::open(&low).unwrap())
        .named_keyring("high", LocalKeyring::open(&low).unwrap())
        .build()
        .unwrap();
    let results = wrong.open_each(&mut swapped, &FieldSelection::only(["low"])).await.unwrap();
    assert!(results[0].is_ok());
    assert_eq!(wrong.open(&mut swapped).await.unwrap_err().kind(), ErrorKind::KeyMissing);
}

#[tokio::test]
async fn test_values_are_refused_by_a_real_keyring() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = [ada()];
    cryptor().seal(&mut rows).await.unwrap();
    let real = Cryptor::envelope()
        .keyring(LocalKeyring::create(folder.path().join("pii.key")).unwrap())
        .build()
        .unwrap();
    let error = real.open(&mut [through_storage(&rows[0])]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
    assert!(error.to_string().contains("test keyring"), "{error}");
}

#[tokio::test]
async fn key_files_and_stores_survive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("pii.key"), folder.path().join("keys"));
    LocalKeyring::create(&file).unwrap();
    let build = || {
        Cryptor::envelope()
            .keyring(LocalKeyring::open(&file).unwrap())
            .key_store(FileKeyStore::open(&store).unwrap())
            .build()
            .unwrap()
    };
    let mut rows = [ada()];
    build().seal(&mut rows).await.unwrap();
    let mut loaded = [through_storage(&rows[0])];
    build().open(&mut loaded).await.unwrap();
    let mut later = [ada()];
    build().seal(&mut later).await.unwrap();
    assert_eq!(
        rows[0].email.ciphertext().unwrap().key_id(),
        later[0].email.ciphertext().unwrap().key_id(),
        "the elected key is used by every process"
    );

    let key_id = rows[0].email.ciphertext().unwrap().key_id();
    let record = store.join(format!("{key_id}.json"));
    let text = std::fs::read_to_string(&record).unwrap();
    let open = async || build().open(&mut [through_storage(&rows[0])]).await.unwrap_err();
    std::fs::write(&record, text.replace("acme", "evil")).unwrap();
    assert_eq!(open().await.kind(), ErrorKind::ContextMismatch, "a relabelled record");
    std::fs::write(&record, text.replace("\"epoch\":0", "\"epoch\":1")).unwrap();
    assert_eq!(open().await.kind(), ErrorKind::ContextMismatch, "a prolonged record");
    std::fs::write(&record, text.replace("\"blob\":\"", "\"blob\":\"AAAA")).unwrap();
    assert!(open().await.is_integrity(), "an altered record");
    std::fs::write(&record, &text[..text.len() / 2]).unwrap();
    assert_eq!(open().await.kind(), ErrorKind::Malformed, "half a record");
    std::fs::remove_file(&record).unwrap();
    let error = open().await;
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
    assert_eq!(error.key_id().unwrap(), key_id.to_string());
    assert_eq!(
        build().seal(&mut [ada()]).await.unwrap_err().kind(),
        ErrorKind::KeyMissing,
        "no second key beside it"
    );
    std::fs::write(&record, text).unwrap();
    build().open(&mut [through_storage(&rows[0])]).await.unwrap();
}

#[test]
fn two_hundred_tasks_in_four_processes_worth_of_cryptors_elect_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let cryptor = Cryptor::envelope()
                .keyring(TestKeyring::new())
                .key_store(FileKeyStore::open(folder.path()).unwrap())
                .build()
                .unwrap();
            for id in 0..50 {
                let cryptor = cryptor.clone();
                tasks.push(tokio::spawn(async move {
                    let mut rows = [Customer { id, ..ada() }];
                    cryptor.seal(&mut rows).await.unwrap();
                    rows[0].email.ciphertext().unwrap().key_id()
                }));
            }
        }
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(task.await.unwrap());
        }
        assert!(ids.iter().all(|id| *id == ids[0]));
    });
    let records = std::fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".json"));
    assert_eq!(records.count(), 1, "losers leave no record behind");
}

// ---- former names ------------------------------------------------------------------------------------

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "client", was = "customer", context(app = "billing", tenant = self.tenant))]
struct Client {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[serde(rename = "email")]
    #[pii(was = "email")]
    mail: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

#[tokio::test]
async fn former_names_open_and_new_values_get_the_new_names() {
    let cryptor = cryptor();
    let mut rows = [ada()];
    cryptor.seal(&mut rows).await.unwrap();
    let json = serde_json::to_string(&rows[0]).unwrap();
    let mut renamed: [Client; 1] = [serde_json::from_str(&json).unwrap()];
    cryptor.open(&mut renamed).await.unwrap();
    assert_eq!(renamed[0].mail.expose().unwrap(), "ada@example.com");
    renamed[0].mail.reseal().unwrap();
    cryptor.seal(&mut renamed).await.unwrap();
    let mut old: [Customer; 1] =
        [serde_json::from_str(&serde_json::to_string(&renamed[0]).unwrap()).unwrap()];
    assert_eq!(cryptor.open(&mut old).await.unwrap_err().kind(), ErrorKind::Integrity);
}

// ---- audit --------------------------------------------------------------------------------------------

#[tokio::test]
async fn every_operation_is_recorded_with_its_actor_before_plaintext_is_handed_out() {
    let sink = CollectingSink::new();
    let cryptor = cryptor()
        .audited(Arc::new(sink.clone()), AuditFailure::Refuse)
        .acting_as(Access::new("alice", Reason::Support).request("ticket 7"));
    let mut rows = [ada()];
    cryptor.seal(&mut rows).await.unwrap();
    let events = sink.take();
    assert_eq!(events.len(), 2);
    assert_eq!(
        (events[0].operation, events[0].model, events[0].field.as_str()),
        (Operation::Seal, "customer", "email")
    );
    assert_eq!((events[0].row.as_deref(), events[0].level, events[0].refused), (Some("7"), 2, None));
    assert_eq!(events[0].access.as_ref().unwrap().actor, "alice");
    assert_eq!(events[0].key_id, Some(rows[0].email.ciphertext().unwrap().key_id()));

    let mut moved = [Customer { id: 8, ..through_storage(&rows[0]) }];
    assert!(cryptor.open(&mut moved).await.is_err());
    assert!(sink.take().iter().all(|event| event.refused == Some(ErrorKind::Integrity)));

    // refusals of whole rows and calls are recorded too
    let refused = |event: &pii::AuditEvent| (event.operation, event.refused, event.field.clone());
    assert!(cryptor.scoped(ctx!(tenant = "globex")).sealed(&ada()).await.is_err());
    assert_eq!(refused(&sink.take()[0]), (Operation::Seal, Some(ErrorKind::ContextMismatch), "*".into()));
    assert!(cryptor.limited_to(Mode::WriteOnly).open(&mut [through_storage(&rows[0])]).await.is_err());
    assert_eq!(refused(&sink.take()[0]), (Operation::Open, Some(ErrorKind::Mode), "*".into()));
    assert!(cryptor.limited_to(Mode::ReadOnly).seal(&mut [ada()]).await.is_err());
    assert_eq!(refused(&sink.take()[0]), (Operation::Seal, Some(ErrorKind::Mode), "email".into()));

    sink.set_failing(true);
    let mut loaded = [through_storage(&rows[0])];
    assert_eq!(cryptor.open(&mut loaded).await.unwrap_err().kind(), ErrorKind::Audit);
    assert_all_sealed(&loaded[0]);
    let lenient = cryptor.audited(Arc::new(sink), AuditFailure::GoOn);
    lenient.open(&mut loaded).await.unwrap();
}

// ---- size and content ------------------------------------------------------------------------------

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
