//! The file of an export: see FORMAT.md, "Receipts and exports".

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::wire::encode::hex;

pub(super) const FORMAT: &str = "pii-key-export-1";
pub(super) const END: &str = "pii-key-export-1-end";

#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) created: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Trailer {
    pub(super) format: String,
    /// lines between header and trailer
    pub(super) records: u64,
    /// of all lines before the trailer, with their ends
    pub(super) sha256: String,
}

/// The hash of lines, each with its end.
#[derive(Default)]
pub(super) struct LinesHash(Sha256);

impl LinesHash {
    pub(super) fn add(&mut self, line: &[u8]) {
        self.0.update(line);
        self.0.update(b"\n");
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}
