//! Keys and the cipher, composed of RustCrypto crates.

mod data_key;
mod random;
mod sealing_key;
pub(crate) mod xaes;

pub use data_key::DataKey;
pub(crate) use data_key::{KeyLabel, expand};
pub(crate) use random::fill_random;
pub(crate) use sealing_key::{Lease, SealingKey};
