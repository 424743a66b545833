//! Whether this thread may wait.

use std::cell::Cell;

use pii_core::{Error, ErrorKind, Result};
use tokio::{
    runtime::{Handle, worker_index},
    task,
};

thread_local! {
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// That this thread waits already.
pub(super) struct Waiting(());

impl Waiting {
    /// # Errors
    /// [`ErrorKind::State`] inside async code.
    pub(super) fn begin() -> Result<Self> {
        if drives_tasks() || WAITS.get() {
            return Err(Error::new(ErrorKind::State)
                .message("a call of `pii::blocking` inside async code would block its runtime")
                .help("use the async `pii::Cryptor` and `.await` there, or wait in `tokio::task::spawn_blocking`"));
        }
        WAITS.set(true);
        Ok(Self(()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITS.set(false);
    }
}

/// Whether a Tokio runtime polls tasks on this thread, as far as can be told.
fn drives_tasks() -> bool {
    Handle::try_current().is_ok() && !is_blocking_thread()
}

/// Whether Tokio made this thread for work that blocks. It is a task there, and no worker; what `Runtime::block_on`
/// runs is no task.
fn is_blocking_thread() -> bool {
    worker_index().is_none() && task::try_id().is_some()
}

/// Whether this thread is one for blocking work of that runtime.
pub(super) fn is_blocking_thread_of(runtime: &Handle) -> bool {
    is_blocking_thread() && Handle::try_current().is_ok_and(|current| current.id() == runtime.id())
}
