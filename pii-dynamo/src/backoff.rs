//! Waiting before what was left is asked for again.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep, default_async_sleep};
use pii_core::{Error, ErrorKind, Result};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// About 20 seconds of waiting in all, on average.
pub(crate) const ATTEMPTS: u32 = 10;

/// Exponential back-off with full jitter, with the clock of the client's runtime.
pub(crate) struct Backoff {
    sleep: SharedAsyncSleep,
    attempts: u32,
    made: u32,
}

impl Backoff {
    /// # Errors
    /// [`ErrorKind::Configuration`] if the SDK has no runtime to wait with.
    pub(crate) fn new(client: &Client, attempts: u32) -> Result<Self> {
        let sleep = client.config().sleep_impl().or_else(default_async_sleep).ok_or_else(|| {
            Error::new(ErrorKind::Configuration)
                .message("the AWS SDK has no async runtime to wait with")
                .help("build the client's configuration with `aws-config` and its default features")
        })?;
        Ok(Self { sleep, attempts, made: 0 })
    }

    /// Begins to count anew, because something was got done.
    pub(crate) fn reset(&mut self) {
        self.made = 0;
    }

    /// Waits, and says whether to try again: not after so many attempts in a row that got nothing done.
    pub(crate) async fn again(&mut self) -> Result<bool> {
        self.made += 1;
        if self.made >= self.attempts {
            return Ok(false);
        }
        self.sleep.sleep(jittered(longest(self.made))?).await;
        Ok(true)
    }
}

/// The longest wait before this attempt.
fn longest(attempt: u32) -> Duration {
    let doubled = SHORTEST.saturating_mul(1_u32.checked_shl(attempt.min(16)).unwrap_or(u32::MAX));
    doubled.min(LONGEST)
}

/// Any time up to this.
fn jittered(longest: Duration) -> Result<Duration> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|_| {
        Error::new(ErrorKind::Configuration).message("the operating system gives no random numbers")
    })?;
    Ok(longest.mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_end_and_are_never_longer() {
        let waits: Vec<_> = (1..40).map(longest).collect();
        assert!(waits.is_sorted() && waits[0] == SHORTEST * 2 && *waits.last().unwrap() == LONGEST);
        assert!((0..100).all(|_| jittered(LONGEST).unwrap() <= LONGEST));
        assert_ne!(jittered(LONGEST).unwrap(), jittered(LONGEST).unwrap());
    }
}
