//! Random bytes of the operating system, and ids made of them.

use zeroize::Zeroizing;

use super::error::{Answer, ErrorCode, FakeError};

pub(super) fn random<const N: usize>() -> Answer<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn random_secret(length: usize) -> Answer<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    fill(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn fill(bytes: &mut [u8]) -> Answer<()> {
    getrandom::fill(bytes)
        .map_err(|_| FakeError::new(ErrorCode::Internal, "the system's random generator gave no bytes"))
}

pub(super) fn random_uuid() -> Answer<uuid::Uuid> {
    Ok(uuid::Builder::from_random_bytes(random()?).into_uuid())
}
