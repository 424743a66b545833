//! What is searched for, in every block that is freed and in all memory of the process.

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

use zeroize::{Zeroize as _, Zeroizing};

const MASK: u8 = 0x5a;
/// So much of a secret is searched for: enough that nothing else is met by chance.
const SEARCHED: usize = 16;
const SLOTS: usize = 64;

/// A secret's name, and its first bytes masked: neither the list nor the search holds a copy.
type Secret = (&'static str, [u8; SEARCHED]);

/// Filled from the front, without allocating: the allocator reads it.
static SECRETS: [OnceLock<Secret>; SLOTS] = [const { OnceLock::new() }; SLOTS];
/// With which bytes a secret begins: most places are passed over by one look.
static BEGINS: [AtomicBool; 256] = [const { AtomicBool::new(false) }; 256];
static IS_LOOKING: AtomicBool = AtomicBool::new(false);
static FOUND: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];

/// Searches for this secret from now on.
pub(crate) fn watch(name: &'static str, secret: &[u8]) {
    let mut masked = [0; SEARCHED];
    masked.copy_from_slice(&secret[..SEARCHED]);
    masked.iter_mut().for_each(|byte| *byte ^= MASK);
    let slot = SECRETS.iter().find(|slot| slot.set((name, masked)).is_ok());
    assert!(slot.is_some(), "there are more secrets than slots");
    BEGINS[usize::from(secret[0])].store(true, SeqCst);
}

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
fn note(bytes: &[u8], found: &[AtomicUsize; SLOTS]) {
    for window in bytes.windows(SEARCHED) {
        if !BEGINS[usize::from(window[0])].load(SeqCst) {
            continue;
        }
        for (secret, count) in SECRETS.iter().zip(found) {
            let Some((_, masked)) = secret.get() else { break };
            if window.iter().zip(masked).all(|(byte, masked)| *byte ^ MASK == *masked) {
                count.fetch_add(1, SeqCst);
            }
        }
    }
}

fn names(found: &[AtomicUsize; SLOTS]) -> Vec<&'static str> {
    let secrets = SECRETS.iter().filter_map(OnceLock::get).zip(found);
    secrets.filter(|(_, count)| count.load(SeqCst) > 0).map(|((name, _), _)| *name).collect()
}

/// The secrets left in writable memory, but for the main stack: it holds what is being worked on.
pub(crate) fn left_in_memory() -> Vec<&'static str> {
    let found = [const { AtomicUsize::new(0) }; SLOTS];
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
            // `zeroize` of the vector would empty it too
            page.as_mut_slice().zeroize();
            at += length as u64;
        }
    }
    names(&found)
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

/// The secrets in blocks that were freed meanwhile.
#[inline(never)]
pub(crate) fn freed_by(run: impl FnOnce()) -> Vec<&'static str> {
    FOUND.iter().for_each(|count| count.store(0, SeqCst));
    IS_LOOKING.store(true, SeqCst);
    run();
    IS_LOOKING.store(false, SeqCst);
    overwrite_stack(100);
    names(&FOUND)
}
