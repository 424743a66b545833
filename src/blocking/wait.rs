//! How a thread waits for a future.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Wake, Waker},
    thread::{self, Thread},
};

use pii_core::{Error, ErrorKind, Result};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};

use super::inside::{Waiting, is_blocking_thread_of};

/// A runtime that a [`blocking::Cryptor`](super::Cryptor) waits on.
///
/// Tokio's `Runtime` and `Handle` are such; for another one, call its `block_on`:
///
/// ```
/// use std::pin::Pin;
///
/// struct Smol; // as an example
/// # mod smol { pub fn block_on<F: Future>(_: F) {} }
///
/// impl pii::blocking::Wait for Smol {
///     fn wait(&self, work: Pin<&mut dyn Future<Output = ()>>) -> pii::Result<()> {
///         smol::block_on(work);
///         Ok(())
///     }
/// }
/// ```
pub trait Wait: Send + Sync + 'static {
    /// Runs the work on this thread until it is done.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if it can't be done from here.
    fn wait(&self, work: Pin<&mut dyn Future<Output = ()>>) -> Result<()>;
}

/// Tokio's, of any flavor. It is shut down with the last clone of the cryptor that it was handed to, for which Tokio
/// allows no async code: share an `Arc` of it where the cryptor may come to its end there.
impl Wait for Runtime {
    fn wait(&self, work: Pin<&mut dyn Future<Output = ()>>) -> Result<()> {
        match self.handle().runtime_flavor() {
            // nobody else drives its timers and connections
            RuntimeFlavor::CurrentThread => self.block_on(work),
            _ => wait_within(self.handle(), work),
        }
        Ok(())
    }
}

/// Tokio's, shared with others.
impl Wait for Arc<Runtime> {
    fn wait(&self, work: Pin<&mut dyn Future<Output = ()>>) -> Result<()> {
        (**self).wait(work)
    }
}

/// That of a Tokio runtime which runs elsewhere, and must go on running. The handle of a runtime of the flavor
/// `CurrentThread` serves in its own blocking threads only: elsewhere nothing tells that somebody drives it.
impl Wait for Handle {
    fn wait(&self, work: Pin<&mut dyn Future<Output = ()>>) -> Result<()> {
        if self.runtime_flavor() == RuntimeFlavor::CurrentThread && !is_blocking_thread_of(self) {
            return Err(Error::new(ErrorKind::State)
                .message("the handle of a runtime with one thread does not make it run")
                .help("hand in the `Runtime` itself, or one with threads of its own"));
        }
        wait_within(self, work);
        Ok(())
    }
}

/// No runtime.
pub(super) struct NoRuntime;

impl Wait for NoRuntime {
    fn wait(&self, work: Pin<&mut dyn Future<Output = ()>>) -> Result<()> {
        park_until_done(work);
        Ok(())
    }
}

/// # Errors
/// [`ErrorKind::State`] inside async code; those of the waiter.
pub(super) fn wait_for<F: Future>(waiter: &dyn Wait, future: F) -> Result<F::Output> {
    let _waiting = Waiting::begin()?;
    let mut output = None;
    {
        let mut work = pin!(async { output = Some(future.await) });
        waiter.wait(work.as_mut())?;
    }
    output.ok_or_else(|| {
        Error::new(ErrorKind::Configuration).message("the runtime came back before the work was done")
    })
}

/// As `Handle::block_on`, which panics where it thinks that it must not wait.
fn wait_within(runtime: &Handle, work: Pin<&mut dyn Future<Output = ()>>) {
    let _entered = runtime.enter();
    park_until_done(work);
}

fn park_until_done(mut work: Pin<&mut dyn Future<Output = ()>>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    while work.as_mut().poll(&mut context).is_pending() {
        thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
