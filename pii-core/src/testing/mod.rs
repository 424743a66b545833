//! Help for tests of programs that use this library: assertions about rows, items, documents and files; personal
//! data of nobody; keyrings and key stores that wait or fail; a sink that collects audit events; a clock to
//! put forward.
//!
//! Everything here panics where an assertion does not hold: it has no place outside tests.
#![allow(clippy::panic, reason = "assertions panic")]

mod key_stores;
mod keyrings;
mod people;
mod plaintext;
mod sealed;
mod sink;
mod waiting;

pub use key_stores::{DelayingKeyStore, FailingKeyStore};
pub use keyrings::{DelayingKeyring, FailingKeyring};
pub use people::Person;
pub use plaintext::Haystack;
#[doc(hidden)]
pub use plaintext::Needles;
pub use sealed::LookSealed;
pub use sink::CollectingSink;

#[doc(inline)]
pub use crate::{assert_no_plaintext, assert_sealed};

pub use crate::cryptor::Clock;
use crate::{Encrypted, PiiModel, ValueState, model::Walk, value::Cell};

/// Asserts that a value is sealed and its plaintext is not in memory.
///
/// # Panics
/// If it is in another state.
#[track_caller]
pub fn assert_sealed<T>(value: &Encrypted<T>) {
    let state = value.state();
    assert!(state == ValueState::Sealed, "expected a sealed value, found a value in the state {state:?}");
}

/// Asserts that every value of a model is sealed.
///
/// # Panics
/// If one is in another state; names the field.
#[track_caller]
pub fn assert_all_sealed<M: PiiModel>(model: &M) {
    let mut walk = Walk::default();
    model.visit(&mut walk);
    for slot in walk.slots() {
        assert!(
            matches!(slot.cell, Cell::Sealed { .. }),
            "expected `{}.{}` to be sealed",
            M::MODEL.name(),
            slot.field.name()
        );
    }
}

/// Asserts that stored text is a well-formed sealed value.
///
/// # Panics
/// If it is not. The text itself is not shown: it may be plaintext.
#[track_caller]
pub fn assert_sealed_text(stored: &str) {
    if let Err(error) = crate::Ciphertext::parse(stored) {
        panic!("expected a sealed text: {error}");
    }
}

/// Asserts that none of the plaintexts occurs in `bytes`: a database file, a log, the Debug output
/// of a struct. Plaintexts are named by their position only.
///
/// ```
/// # use pii_core as pii;
/// pii::testing::assert_no_plaintext(b"email: <sealed *****>", &["ada@example.com"]);
/// ```
///
/// # Panics
/// If one occurs, or if one is shorter than four bytes, which would prove nothing.
#[track_caller]
pub fn assert_no_plaintext<S: AsRef<[u8]>>(bytes: impl AsRef<[u8]>, plaintexts: &[S]) {
    let bytes = bytes.as_ref();
    for (index, plaintext) in plaintexts.iter().enumerate() {
        let plaintext = plaintext.as_ref();
        assert!(plaintext.len() >= 4, "plaintext {index} is too short to look for");
        let found = bytes.windows(plaintext.len()).position(|window| window == plaintext);
        if let Some(at) = found {
            panic!("plaintext {index} occurs at byte {at} of {}", bytes.len());
        }
    }
}
