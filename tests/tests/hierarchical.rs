//! The hierarchical keyring over real keyrings and a real key store.

use std::{fs, path::Path, sync::Arc, time::Duration};

use pii::{
    Cryptor, DataKey, EncryptedStr, EncryptionContext, Error, ErrorKind, FileKeyStore, HierarchicalKeyring,
    KeyBinding, KeyId, KeyRecord, KeySlot, KeyState, KeyStore, Keyring, LocalKeyring, PiiModel, Provider,
    Purpose, TestKeyring, WrappedKey, ctx,
    testing::{DelayingKeyring, FailingKeyring},
};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

struct Setup {
    folder: TempDir,
    inner: FailingKeyring<LocalKeyring>,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = FailingKeyring::new(LocalKeyring::create(folder.path().join("pii.key")).unwrap());
        Self { folder, inner }
    }

    fn keys(&self) -> std::path::PathBuf {
        self.folder.path().join("keys")
    }

    fn store(&self) -> FileKeyStore {
        FileKeyStore::open(self.keys()).unwrap()
    }

    /// What another process would build.
    fn keyring(&self) -> HierarchicalKeyring {
        HierarchicalKeyring::new(self.inner.clone(), self.store())
    }

    /// Asks the inner keyring at every use.
    fn forgetful(&self) -> HierarchicalKeyring {
        self.keyring().max_age(Duration::ZERO).grace(HOUR)
    }
}

fn binding(tenant: &str, purpose: Purpose, epoch: u32) -> KeyBinding {
    let context = EncryptionContext::new([("tenant", tenant)]).unwrap();
    KeyBinding { context: Arc::new(context), purpose, epoch }
}

fn acme() -> KeyBinding {
    binding("acme", Purpose::Seal, 0)
}

async fn unwrap(keyring: &impl Keyring, copies: &[WrappedKey], binding: &KeyBinding) -> Result<KeyId, Error> {
    keyring.unwrap(copies, binding, &|_| true).await.map(|data_key| data_key.id())
}

fn records(folder: &Path) -> Vec<KeyRecord> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| KeyRecord::from_json(&fs::read(path).unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn ten_thousand_contexts_cost_one_inner_call_per_process() {
    let setup = Setup::new();
    let writer = setup.keyring();
    let bindings: Vec<KeyBinding> =
        (0..10_000).map(|tenant| binding(&format!("tenant-{tenant}"), Purpose::Seal, 0)).collect();
    let mut made = Vec::new();
    for binding in &bindings {
        made.push(writer.generate(binding).await.unwrap());
    }
    assert_eq!(setup.inner.calls(), 1, "one generate on an empty store");
    let reader = setup.keyring();
    for (made, binding) in made.iter().zip(&bindings) {
        assert_eq!(unwrap(&reader, &made.copies, binding).await.unwrap(), made.data_key.id());
    }
    assert_eq!(setup.inner.calls(), 2, "one unwrap in the second process");
    for binding in &bindings {
        reader.generate(binding).await.unwrap();
    }
    assert_eq!(setup.inner.calls(), 2, "and none more to write");
    let branch = records(&setup.keys()).pop().unwrap();
    assert!(made.iter().all(|made| made.copies.len() == 1
        && made.copies[0].provider == Provider::HIERARCHICAL
        && made.copies[0].key_name == branch.key_id.to_string()
        && made.copies[0].blob.len() == 72));
    assert_eq!((branch.slot.purpose, branch.epoch, records(&setup.keys()).len()), (Purpose::Branch, 0, 1));
}

#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

fn customers(tenants: i64) -> Vec<Customer> {
    let customer =
        |id| Customer { id, tenant: format!("tenant-{id}"), email: EncryptedStr::new(format!("{id}@x.org")) };
    (0..tenants).map(customer).collect()
}

#[tokio::test]
async fn models_of_a_thousand_tenants_are_sealed_and_opened_by_one_inner_call_each() {
    let setup = Setup::new();
    let mut rows = customers(1000);
    let build = || Cryptor::envelope().keyring(setup.keyring()).build().unwrap();
    build().seal(&mut rows).await.unwrap();
    assert_eq!(setup.inner.calls(), 1);
    for row in &mut rows {
        let text = row.email.ciphertext().unwrap().clone();
        row.email = EncryptedStr::from_ciphertext(text);
    }
    build().open(&mut rows).await.unwrap();
    assert_eq!(setup.inner.calls(), 2);
    assert!(rows.iter().all(|row| *row.email.expose().unwrap() == format!("{}@x.org", row.id)));
}

#[tokio::test]
async fn one_tenant_is_erased_by_destroying_its_data_key() {
    let setup = Setup::new();
    let build = || Cryptor::envelope().keyring(setup.keyring()).key_store(setup.store()).build().unwrap();
    let mut rows = customers(2);
    build().seal(&mut rows).await.unwrap();
    let stored = records(&setup.keys());
    assert_eq!(stored.len(), 3, "a branch key and two data keys share the store");
    let tenant = |record: &&KeyRecord| record.slot.context.get("tenant") == Some("tenant-0");
    let current = stored.iter().find(tenant).unwrap();
    let destroyed = KeyRecord { state: KeyState::Destroyed, copies: Vec::new(), ..current.clone() };
    assert!(setup.store().replace(current, &destroyed).await.unwrap());
    for row in &mut rows {
        row.email = EncryptedStr::from_ciphertext(row.email.ciphertext().unwrap().clone());
    }
    let (first, second) = rows.split_at_mut(1);
    assert_eq!(build().open(first).await.unwrap_err().kind(), ErrorKind::Erased);
    build().open(second).await.unwrap();
}

#[tokio::test]
async fn a_copy_opens_under_its_own_binding_only_and_no_bit_of_it_may_change() {
    let setup = Setup::new();
    let keyring = setup.keyring();
    let bound = binding("acme", Purpose::Subject, 3);
    let made = keyring.generate(&bound).await.unwrap();
    assert_eq!(unwrap(&keyring, &made.copies, &bound).await.unwrap(), made.data_key.id());
    let others = [
        binding("initech", Purpose::Subject, 3),
        binding("acme", Purpose::Seal, 3),
        binding("acme", Purpose::Subject, 4),
    ];
    for other in &others {
        let error = unwrap(&keyring, &made.copies, other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextMismatch, "{other:?}");
        assert!(!error.to_string().contains("initech"), "{error}");
    }
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    for bit in 0..72 * 8 {
        let mut blob = made.copies[0].blob.clone();
        blob[bit / 8] ^= 1 << (bit % 8);
        damaged.push(blob);
    }
    damaged.push(made.copies[0].blob[..71].to_vec());
    damaged.push([made.copies[0].blob.as_slice(), &[0]].concat());
    for blob in damaged {
        let copies = [WrappedKey { blob, ..made.copies[0].clone() }];
        assert!(unwrap(&keyring, &copies, &bound).await.is_err());
    }
    let good = made.copies[0].clone();
    let bad = WrappedKey { blob: vec![0; 72], ..good.clone() };
    let foreign = WrappedKey { provider: Provider::AWS_KMS, ..good.clone() };
    assert!(unwrap(&keyring, &[foreign.clone(), bad, good], &bound).await.is_ok(), "the next copy is tried");
    assert_eq!(unwrap(&keyring, &[foreign], &bound).await.unwrap_err().kind(), ErrorKind::KeyMissing);
    let nothing = keyring.unwrap(&made.copies, &bound, &|_| false).await;
    assert!(nothing.is_err(), "a key that is not wanted is not given");
}

#[tokio::test]
async fn the_mark_of_the_test_keyring_goes_along() {
    let setup = Setup::new();
    let under_test = || HierarchicalKeyring::new(TestKeyring::new(), setup.store()).branch_name("test");
    let made = under_test().generate(&acme()).await.unwrap();
    assert_eq!(made.copies[0].provider, Provider::TEST);
    assert_eq!(unwrap(&under_test(), &made.copies, &acme()).await.unwrap(), made.data_key.id());
    let wrapped = under_test().wrap(&made.data_key, &acme()).await.unwrap();
    assert_eq!(wrapped[0].provider, Provider::TEST);

    assert!(unwrap(&TestKeyring::new(), &made.copies, &acme()).await.is_err());
    let under_test_name = setup.keyring().branch_name("test");
    let refusing: [&dyn Keyring; 2] = [&setup.inner, &under_test_name];
    for keyring in refusing {
        let error = keyring.unwrap(&made.copies, &acme(), &|_| true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyMissing);
        assert!(error.to_string().contains("sealed with a test keyring"), "{error}");
    }
    let other_name = unwrap(&setup.keyring(), &made.copies, &acme()).await.unwrap_err();
    assert_eq!(other_name.kind(), ErrorKind::KeyMissing);
    // neither without its mark, nor a real one with the mark, nor a real one beside a marked one
    let unmarked = [WrappedKey { provider: Provider::HIERARCHICAL, ..made.copies[0].clone() }];
    assert!(unwrap(&under_test(), &unmarked, &acme()).await.is_err());
    let real = setup.keyring().wrap(&made.data_key, &acme()).await.unwrap();
    assert!(unwrap(&setup.keyring(), &real, &acme()).await.is_ok());
    let marked = [WrappedKey { provider: Provider::TEST, ..real[0].clone() }];
    assert!(unwrap(&setup.keyring(), &marked, &acme()).await.is_err());
    let beside = [real[0].clone(), made.copies[0].clone()];
    assert!(unwrap(&setup.keyring(), &beside, &acme()).await.is_err());
}

#[tokio::test]
async fn rotation_wraps_new_keys_and_rewraps_old_ones_under_the_new_branch_key() {
    let setup = Setup::new();
    let keyring = setup.keyring();
    let first = keyring.branch_key_id().await.unwrap();
    let old = keyring.generate(&acme()).await.unwrap();
    let second = keyring.rotate_branch_key().await.unwrap();
    assert_ne!(first, second);
    assert_eq!(keyring.branch_key_id().await.unwrap(), second);
    assert_eq!(unwrap(&keyring, &old.copies, &acme()).await.unwrap(), old.data_key.id());
    let wanted = |data_key: &DataKey| data_key.id() == old.data_key.id();
    let moved = keyring.rewrap(&old.copies, &acme(), &wanted).await.unwrap();
    assert_eq!(moved[0].key_name, second.to_string());
    let elsewhere = setup.keyring();
    assert_eq!(elsewhere.branch_key_id().await.unwrap(), second);
    for copies in [&old.copies, &moved] {
        assert_eq!(unwrap(&elsewhere, copies, &acme()).await.unwrap(), old.data_key.id());
    }
    let mut epochs: Vec<u32> = records(&setup.keys()).iter().map(|record| record.epoch).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [0, 1]);
}

#[tokio::test]
async fn a_branch_key_that_is_old_is_rotated_and_a_young_one_is_not() {
    let setup = Setup::new();
    let first = setup.keyring().rotate_after(HOUR).branch_key_id().await.unwrap();
    assert_eq!(setup.keyring().rotate_after(HOUR).branch_key_id().await.unwrap(), first);
    let second = setup.keyring().rotate_after(Duration::ZERO).branch_key_id().await.unwrap();
    assert_ne!(second, first);
    // a key service that is down for a while is no reason to stop
    let keyring = setup.forgetful().rotate_after(Duration::ZERO);
    let third = keyring.branch_key_id().await.unwrap();
    assert_ne!(third, second);
    setup.inner.fail_with(ErrorKind::KeyThrottled);
    assert_eq!(keyring.branch_key_id().await.unwrap(), third);
}

#[tokio::test]
async fn an_answer_that_may_pass_has_a_grace_and_a_refusal_has_none() {
    let setup = Setup::new();
    let keyring = setup.forgetful();
    let made = keyring.generate(&acme()).await.unwrap();
    for kind in [ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable] {
        setup.inner.fail_with(kind);
        unwrap(&keyring, &made.copies, &acme()).await.unwrap();
        keyring.generate(&acme()).await.unwrap();
    }
    for kind in [ErrorKind::KeyDenied, ErrorKind::KeyDisabled] {
        setup.inner.fail_with(kind);
        assert_eq!(unwrap(&keyring, &made.copies, &acme()).await.unwrap_err().kind(), kind);
        setup.inner.fail_with(ErrorKind::KeyThrottled);
        let error = unwrap(&keyring, &made.copies, &acme()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyThrottled, "{kind:?} takes the branch key out of memory");
        setup.inner.recover();
        unwrap(&keyring, &made.copies, &acme()).await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_record_is_put_back_and_a_destroyed_one_is_not() {
    let setup = Setup::new();
    let keyring = setup.forgetful();
    let made = keyring.generate(&acme()).await.unwrap();
    let branch = records(&setup.keys()).pop().unwrap();
    let wipe = || {
        fs::read_dir(setup.keys()).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    };
    wipe();
    unwrap(&keyring, &made.copies, &acme()).await.unwrap();
    assert_eq!(records(&setup.keys()), std::slice::from_ref(&branch));
    wipe();
    assert_eq!(keyring.branch_key_id().await.unwrap(), branch.key_id, "no second key of epoch 0");
    assert_eq!(setup.store().active(&branch.slot).await.unwrap().unwrap(), branch);

    wipe();
    let stranger = unwrap(&setup.keyring(), &made.copies, &acme()).await.unwrap_err();
    assert_eq!(stranger.kind(), ErrorKind::KeyMissing);
    setup.store().insert(&branch).await.unwrap();
    let destroyed = KeyRecord { state: KeyState::Destroyed, copies: Vec::new(), ..branch.clone() };
    assert!(setup.store().replace(&branch, &destroyed).await.unwrap());
    assert_eq!(unwrap(&keyring, &made.copies, &acme()).await.unwrap_err().kind(), ErrorKind::Erased);
    assert_eq!(keyring.generate(&acme()).await.unwrap_err().kind(), ErrorKind::Erased);
    fs::remove_file(setup.keys().join(format!("{}.json", branch.key_id))).unwrap();
    assert_eq!(unwrap(&keyring, &made.copies, &acme()).await.unwrap_err().kind(), ErrorKind::KeyMissing);
    assert!(records(&setup.keys()).is_empty());
}

#[tokio::test]
async fn a_record_of_another_slot_is_no_branch_key() {
    let setup = Setup::new();
    let context = || ctx!(app = "billing").unwrap();
    let made = setup.keyring().branch_context(context()).generate(&acme()).await.unwrap();
    let branch = records(&setup.keys()).pop().unwrap();
    let expecting = |keyring: HierarchicalKeyring, kind| {
        let copies = made.copies.clone();
        async move {
            let error = unwrap(&keyring, &copies, &acme()).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!error.to_string().contains("billing"), "{error}");
        }
    };
    let keyring = || setup.keyring().branch_context(context());
    expecting(setup.keyring(), ErrorKind::ContextMismatch).await;
    expecting(keyring().branch_name("other"), ErrorKind::KeyMissing).await;
    // whoever can write to the store changes the record: the wrap of the branch key gives it away
    let file = setup.keys().join(format!("{}.json", branch.key_id));
    let moved = |slot, epoch| {
        let record = KeyRecord { slot, epoch, ..branch.clone() };
        fs::write(&file, record.to_json().unwrap()).unwrap();
    };
    moved(KeySlot { context: Arc::new(EncryptionContext::empty()), ..branch.slot.clone() }, 0);
    expecting(setup.keyring(), ErrorKind::ContextMismatch).await;
    moved(branch.slot.clone(), 1);
    expecting(keyring(), ErrorKind::ContextMismatch).await;
    moved(KeySlot { purpose: Purpose::Seal, ..branch.slot.clone() }, 0);
    expecting(keyring(), ErrorKind::Integrity).await;
    moved(branch.slot.clone(), 0);
    unwrap(&keyring(), &made.copies, &acme()).await.unwrap();
}

/// Someone who may wrap under the inner keyring, but for another purpose, plants no branch key.
#[tokio::test]
async fn a_data_key_does_not_serve_as_a_branch_key() {
    let setup = Setup::new();
    let slot = KeySlot {
        keyring: "branch".into(),
        context: Arc::new(EncryptionContext::empty()),
        purpose: Purpose::Branch,
    };
    let seal = KeyBinding { context: Arc::clone(&slot.context), purpose: Purpose::Seal, epoch: 0 };
    let made = setup.inner.generate(&seal).await.unwrap();
    let planted = KeyRecord {
        key_id: made.data_key.id(),
        slot,
        epoch: 0,
        state: KeyState::Active,
        created: "2026-01-01T00:00:00Z".into(),
        copies: made.copies,
    };
    setup.store().elect(&planted).await.unwrap();
    assert_eq!(setup.keyring().generate(&acme()).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
}

#[tokio::test]
async fn processes_that_start_together_agree_on_one_branch_key() {
    let setup = Setup::new();
    let slow = || DelayingKeyring::new(setup.inner.clone(), Duration::from_millis(10));
    let processes: Vec<Arc<HierarchicalKeyring>> =
        (0..4).map(|_| Arc::new(HierarchicalKeyring::new(slow(), setup.store()))).collect();
    let tasks: Vec<_> = (0..200)
        .map(|task| {
            let keyring = Arc::clone(&processes[task % 4]);
            tokio::spawn(async move { keyring.generate(&acme()).await.unwrap().copies.remove(0).key_name })
        })
        .collect();
    let branch = setup.keyring().branch_key_id().await.unwrap().to_string();
    for task in tasks {
        assert_eq!(task.await.unwrap(), branch);
    }
    assert_eq!(records(&setup.keys()).len(), 1, "the losers of the election are gone");
    assert!(setup.inner.calls() <= 2 * 5, "{}: each made a key or unwrapped the winner", setup.inner.calls());
}

#[tokio::test]
async fn what_can_not_work_is_refused() {
    let setup = Setup::new();
    let nameless = setup.keyring().branch_name("").generate(&acme()).await.unwrap_err();
    assert_eq!(nameless.kind(), ErrorKind::Configuration);
    let nested = HierarchicalKeyring::new(setup.keyring(), setup.store());
    assert_eq!(nested.generate(&acme()).await.unwrap_err().kind(), ErrorKind::Configuration);
    let shown = format!("{:?}", setup.keyring().branch_context(ctx!(app = "billing").unwrap()));
    assert_eq!(shown, "HierarchicalKeyring(KeySlot(branch, EncryptionContext(app), branch))");
}
