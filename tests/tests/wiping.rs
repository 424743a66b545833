//! Memory that held a key or a plaintext is wiped when it is freed: an allocator looks into every
//! block that is given back, and a scan of the process looks for what is left at the end.
//!
//! The searched bytes are kept masked, so that neither the list nor the search holds a copy. One
//! test in one process: what other tests free would be looked at too.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "an allocator can't be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    hint::black_box,
    io::{Read as _, Seek as _, SeekFrom},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use pii::{
    BoxFuture, Cryptor, DataKey, EncryptedStr, FileKeyStore, GeneratedKey, KeyBinding, Keyring, LocalKeyring,
    PiiModel, Result, WrappedKey,
};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

const MASK: u8 = 0x5a;
/// So much of a secret is searched for: enough that nothing else is met by chance.
const SEARCHED: usize = 16;

/// What is searched for, each with a name and masked.
static SECRETS: OnceLock<Vec<(&'static str, [u8; SEARCHED])>> = OnceLock::new();
static IS_LOOKING: AtomicBool = AtomicBool::new(false);
static FOUND: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

struct LookingAllocator;

#[global_allocator]
static ALLOCATOR: LookingAllocator = LookingAllocator;

// SAFETY: everything is passed on to the system's allocator; a block is only read, in its whole
// size, before it is given back. `realloc` is the default one: it copies and gives the old block back.
unsafe impl GlobalAlloc for LookingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // zeroed, so that looking at a block never reads what nobody wrote
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if IS_LOOKING.load(SeqCst) {
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            note(bytes, &FOUND);
        }
        unsafe { System.dealloc(block, layout) }
    }
}

/// Counts the secrets that occur in `bytes`.
fn note(bytes: &[u8], found: &[AtomicUsize; 8]) {
    let secrets = SECRETS.get().map_or(&[][..], Vec::as_slice);
    for window in bytes.windows(SEARCHED) {
        for ((_, masked), count) in secrets.iter().zip(found) {
            if window.iter().zip(masked).all(|(byte, masked)| *byte ^ MASK == *masked) {
                count.fetch_add(1, SeqCst);
            }
        }
    }
}

fn names(found: &[AtomicUsize; 8]) -> Vec<(&'static str, usize)> {
    let secrets = SECRETS.get().unwrap().iter().zip(found);
    secrets.map(|((name, _), count)| (*name, count.load(SeqCst))).filter(|(_, count)| *count > 0).collect()
}

/// What is left in writable memory, but for the stacks: those hold what is being worked on.
fn left_in_memory() -> Vec<(&'static str, usize)> {
    let found = [const { AtomicUsize::new(0) }; 8];
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = fs::File::open("/proc/self/mem").unwrap();
    let mut page = Zeroizing::new(vec![0; 1 << 20]);
    for map in maps.lines().filter(|map| map.contains(" rw") && !map.contains("[stack]")) {
        let (start, end) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let buffer = page.as_ptr().expose_provenance() as u64;
        let mut at = start;
        while at < end {
            let length = usize::try_from((end - at).min(page.len() as u64)).unwrap();
            // not the buffer that the memory is read into, whose mapping may be one with others
            let is_own = at < buffer + page.len() as u64 && buffer < at + length as u64;
            let is_read = !is_own
                && memory.seek(SeekFrom::Start(at)).is_ok()
                && memory.read_exact(&mut page[..length]).is_ok();
            if is_read {
                note(&page[..length], &found);
            }
            page.zeroize_contents();
            at += length as u64;
        }
    }
    names(&found)
}

trait ZeroizeContents {
    fn zeroize_contents(&mut self);
}

impl ZeroizeContents for Zeroizing<Vec<u8>> {
    /// `zeroize` would empty the vector too.
    fn zeroize_contents(&mut self) {
        self.as_mut_slice().zeroize();
    }
}

/// A secret that stands nowhere in the program: made of its masked form, byte by byte.
fn secret<const N: usize>(seed: u8) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    for (index, byte) in (0_u8..).zip(out.iter_mut()) {
        // letters, digits and the like: the secret may stand in texts
        *byte = black_box(b'!' + (index.wrapping_mul(37).wrapping_add(seed) % 90));
    }
    out
}

fn masked(secret: &[u8]) -> [u8; SEARCHED] {
    let mut masked = [0; SEARCHED];
    masked.iter_mut().zip(secret).for_each(|(masked, byte)| *masked = byte ^ MASK);
    masked
}

const KEY_ENCRYPTION_KEY: u8 = 3;
const DATA_KEY: u8 = 29;
const PLAINTEXT: u8 = 61;

fn plaintext() -> Zeroizing<String> {
    let bytes = secret::<40>(PLAINTEXT);
    Zeroizing::new(std::str::from_utf8(&*bytes).unwrap().to_owned())
}

fn expand(key: &[u8; 32], label: &str) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::from_prk(key).unwrap().expand(label.as_bytes(), &mut *out).unwrap();
    out
}

/// A local keyring, but for the data keys that it makes: always the one that is searched for.
struct KnownDataKey(LocalKeyring);

impl Keyring for KnownDataKey {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            let data_key = DataKey::take(&mut secret::<32>(DATA_KEY));
            let copies = self.0.wrap(&data_key, binding).await?;
            Ok(GeneratedKey { data_key, copies })
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        self.0.unwrap(copies, binding, is_wanted)
    }
}

#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(mask = "last4")]
    note: EncryptedStr,
}

fn customers(count: i64) -> Vec<Customer> {
    let customer = |id| Customer { id, tenant: "acme".into(), note: EncryptedStr::new(plaintext().as_str()) };
    (0..count).map(customer).collect()
}

fn loaded(sealed: &[Customer]) -> Vec<Customer> {
    let stored = |row: &Customer| Customer {
        id: row.id,
        tenant: row.tenant.clone(),
        note: EncryptedStr::from_ciphertext(row.note.ciphertext().unwrap().clone()),
    };
    sealed.iter().map(stored).collect()
}

/// A life: keys made and unwrapped, rows sealed, opened, shown, refused, dropped.
async fn live(folder: &std::path::Path) {
    let keyring = || KnownDataKey(LocalKeyring::open(folder.join("pii.key")).unwrap());
    let store = || FileKeyStore::open(folder.join("keys")).unwrap();
    for key_store in [false, true] {
        let cryptor = || {
            let builder = Cryptor::envelope().keyring(keyring());
            let builder = if key_store { builder.key_store(store()) } else { builder };
            builder.build().unwrap()
        };
        let mut rows = customers(50);
        cryptor().seal(&mut rows).await.unwrap();
        let mut opened = loaded(&rows);
        let reader = cryptor();
        reader.open(&mut opened).await.unwrap();
        assert!(opened.iter().all(|row| row.note.expose().unwrap() == plaintext().as_str()));
        black_box(format!("{:?} {}", opened[0], opened[0].note));
        black_box(opened[0].note == opened[1].note);
        let copy = opened[0].note.clone();
        drop((copy, opened));
        // what does not open
        let mut elsewhere = loaded(&rows);
        elsewhere[3].id = 99;
        elsewhere[5].tenant = "initech".into();
        let refused = reader.open_each(&mut elsewhere, &pii::FieldSelection::All).await.unwrap();
        assert_eq!(refused.iter().filter(|row| row.is_err()).count(), 2);
        black_box(format!("{refused:?}"));
    }
}

/// Writes the key file and the list of what is searched for. The frame of the test must not hold
/// any of it.
#[inline(never)]
fn prepare(folder: &std::path::Path) {
    let key = secret::<32>(KEY_ENCRYPTION_KEY);
    let key_text = Zeroizing::new(STANDARD.encode(*key));
    let id = DataKey::from_slice(&*key).unwrap().id();
    let file = Zeroizing::new(format!("pii-key-file 1\nprimary {id}\nkey {id} {}\n", *key_text));
    let path = folder.join("pii.key");
    fs::write(&path, file.as_bytes()).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let data_key = secret::<32>(DATA_KEY);
    SECRETS
        .set(vec![
            ("key-encryption key", masked(&*key)),
            ("key-encryption key in base64", masked(key_text.as_bytes())),
            ("wrapping key", masked(&*expand(&key, "pii/v2/local-wrap"))),
            ("data key", masked(&*data_key)),
            ("seal key", masked(&*expand(&data_key, "pii/v2/seal"))),
            ("plaintext", masked(plaintext().as_bytes())),
        ])
        .unwrap();
}

/// Overwrites the part of the stack that functions which have returned left behind: what is worked
/// on passes through it, and no library can promise to wipe it.
#[inline(never)]
fn overwrite_stack(frames: usize) {
    let mut frame = [0_u8; 8192];
    black_box(&mut frame);
    if frames > 0 {
        overwrite_stack(frames - 1);
    }
    black_box(&mut frame);
}

#[inline(never)]
fn look_while(run: impl FnOnce()) -> Vec<(&'static str, usize)> {
    FOUND.iter().for_each(|count| count.store(0, SeqCst));
    IS_LOOKING.store(true, SeqCst);
    run();
    IS_LOOKING.store(false, SeqCst);
    overwrite_stack(100);
    names(&FOUND)
}

#[test]
fn no_freed_block_and_no_leftover_holds_a_key_or_a_plaintext() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());

    // the search finds what is there to be found
    let careless = look_while(|| drop(black_box(plaintext().as_str().to_owned())));
    assert_eq!(careless, [("plaintext", 1)], "the allocator sees a freed block");
    let held = plaintext();
    assert_eq!(left_in_memory(), [("plaintext", 1)], "the scan sees a block that is held");
    drop(held);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let freed = look_while(|| runtime.block_on(live(folder.path())));
    assert_eq!(freed, [], "freed without being wiped");
    assert_eq!(left_in_memory(), [], "left in memory");
}
