//! Keys and the cipher, composed of RustCrypto crates.

mod app_key;
mod data_key;
mod index_key;
mod random;
mod sealing_key;
mod stack;
pub(crate) mod xaes;

pub(crate) use app_key::app_key;
pub use data_key::DataKey;
pub(crate) use data_key::{KeyLabel, expand};
pub(crate) use index_key::{CODE_BYTES, CodeKey, IndexKey};
pub(crate) use random::fill_random;
pub(crate) use sealing_key::{Lease, SealingKey};
pub(crate) use stack::without_traces;
