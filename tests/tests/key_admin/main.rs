//! The life of data keys: `KeyAdmin` with key files and file key stores.

mod export;
mod interruption;
mod rewrap;
mod rotate;
mod states;
mod support;
mod verify;
