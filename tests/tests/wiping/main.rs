//! Memory that held a key or a plaintext is wiped when it is freed: an allocator looks into every
//! block that is given back, and a scan of the process looks for what is left at the end.
//!
//! One test in one process: what other tests free would be looked at too.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "an allocator can't be written without")]

mod lives;
mod memory;
mod secrets;

use std::hint::black_box;

use memory::{freed_by, left_in_memory};
use secrets::{plaintext, prepare};

const NONE: [&str; 0] = [];

#[test]
fn no_freed_block_and_no_leftover_holds_a_key_or_a_plaintext() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);

    // the search finds what is there to be found
    let careless = freed_by(|| drop(black_box(plaintext().as_str().to_owned())));
    assert_eq!(careless, ["plaintext"], "the allocator sees a freed block");
    let held = plaintext();
    assert_eq!(left_in_memory(), ["plaintext"], "the scan sees a block that is held");
    drop(held);
    freed_by(|| ());
    assert_eq!(left_in_memory(), NONE, "nothing is left of the preparations");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let check = |life: &str, run: &dyn Fn()| {
        assert_eq!(freed_by(run), NONE, "{life}: freed without being wiped");
        assert_eq!(left_in_memory(), NONE, "{life}: left in memory");
    };
    check("masking", &lives::masking);
    check("key file", &|| runtime.block_on(lives::key_file(folder)));
    check("documents", &|| runtime.block_on(lives::documents(folder)));
    check("rotation and rewrap", &|| runtime.block_on(lives::rotation_and_rewrap(folder)));
    check("hierarchical keyring", &|| runtime.block_on(lives::hierarchical_keyring(folder)));
    check("key service", &|| runtime.block_on(lives::key_service(folder)));
    check("level 3", &|| runtime.block_on(lives::level_3(folder)));
    check("public keyring", &|| runtime.block_on(lives::public_keyring(folder)));
    check("values of pydynox", &|| runtime.block_on(lives::pydynox(folder)));
    check("messages of the Encryption SDK", &|| runtime.block_on(lives::encryption_sdk()));
    check("values of AMSDAL", &|| runtime.block_on(lives::amsdal()));
    // the leftovers would be those of the server too, whose threads may not have ended
    let freed = freed_by(|| runtime.block_on(lives::aws_kms(folder)));
    assert_eq!(freed, NONE, "AWS KMS: freed without being wiped");
}
