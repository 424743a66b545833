//! Traces of keys on the stack.
//!
//! A key that is derived, scheduled or moved leaves bytes in the frames of functions that have
//! returned. From there they can get into the heap: a future that is moved into a box takes along
//! whatever lies in the parts of it that are not used yet.

use std::hint::black_box;

use zeroize::Zeroize as _;

/// Deeper than the frames of the ciphers and hashes go.
const WORDS: usize = 1024;

/// Does work on keys and wipes the part of the stack that it used. What comes back must have its
/// secrets in the heap, as an `Arc`, a `Box` or a [`DataKey`](super::DataKey) has.
pub(crate) fn without_traces<T>(work: impl FnOnce() -> T) -> T {
    let done = in_a_frame_of_its_own(work);
    wipe_below();
    done
}

#[inline(never)]
fn in_a_frame_of_its_own<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Takes the place of the frames that were here before.
#[inline(never)]
fn wipe_below() {
    let mut words = [0_u64; WORDS];
    words.zeroize();
    black_box(&mut words);
}
