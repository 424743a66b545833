//! The operating system's random generator; there is no other, no pool and no counter.

use crate::error::{Error, ErrorKind, Result};

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|_| {
        Error::new(ErrorKind::KeyUnavailable).message("the operating system's random generator gave no bytes")
    })
}
