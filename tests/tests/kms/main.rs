//! The keyring of AWS KMS: the real SDK, over HTTP, against a KMS of our own that is stricter than the
//! real one.

mod app_keys;
mod costs;
mod failures;
mod key_service;
mod models;
mod moto;
mod persons;
mod policies;
mod policy_files;
mod set_up;
mod several_keys;
mod support;
mod which_key;
mod wrapping;
