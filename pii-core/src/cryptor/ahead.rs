//! Rows that are opened on another thread, while whoever reads them goes on.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
    thread,
};

use futures_channel::oneshot;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use rayon_core::{ThreadPool, ThreadPoolBuilder};

use super::{Cryptor, Opening, PiiRow, Wanted};
use crate::error::{Error, ErrorKind, Result};

/// One thread for each core, from the first use on; none where there is no other core to use.
static THREADS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads =
        ThreadPoolBuilder::new().num_threads(cores).thread_name(|number| format!("pii-open-{number}"));
    (cores > 1).then(|| threads.build().ok()).flatten()
});

impl Cryptor {
    /// As [`Cryptor::open_wanted`], on another thread and from now on: for adapters that read rows meanwhile.
    /// The rows come back with what became of each.
    ///
    /// Where something has to be waited for, which [`Cryptor::open_at_hand`] describes, nothing is to be opened, or
    /// there is no other core, this is done by whoever awaits the result. A result that is dropped is not waited for.
    pub fn open_ahead<R>(&self, rows: Vec<R>, wanted: &Wanted) -> OpeningAhead<R>
    where
        R: PiiRow + Send + 'static,
    {
        let (cryptor, wanted) = (self.clone(), wanted.clone());
        let is_work = !self.is_audited() && !wanted.is_nothing();
        let Some(threads) = THREADS.as_ref().filter(|_| is_work) else {
            return OpeningAhead(State::Here(open_here(cryptor, rows, wanted)));
        };
        let (done, opened) = oneshot::channel();
        threads.spawn_fifo(move || {
            // nobody waits any more
            if done.is_canceled() {
                return;
            }
            let opened = catch_unwind(AssertUnwindSafe(|| {
                let mut rows = rows;
                match cryptor.wanted_at_hand(&mut rows, &wanted) {
                    Some(opening) => Opened::Done(rows, opening),
                    None => Opened::Waits(cryptor, rows, wanted),
                }
            }));
            // who has gone meanwhile does not get it
            let _ = done.send(opened);
        });
        OpeningAhead(State::Elsewhere(opened))
    }
}

/// Rows on their way to being opened; made by [`Cryptor::open_ahead`].
#[must_use = "rows are opened by whoever awaits this"]
pub struct OpeningAhead<R>(State<R>);

enum State<R> {
    Elsewhere(oneshot::Receiver<Outcome<R>>),
    Back(Outcome<R>),
    Here(BoxFuture<'static, (Vec<R>, Result<Opening>)>),
    Over,
}

/// What came of it, or what code of a model panicked with.
type Outcome<R> = std::result::Result<Opened<R>, Box<dyn Any + Send>>;

enum Opened<R> {
    Done(Vec<R>, Opening),
    /// Something has to be waited for.
    Waits(Cryptor, Vec<R>, Wanted),
}

/// Nothing in it is pinned but a future in a box.
impl<R> Unpin for OpeningAhead<R> {}

impl<R> OpeningAhead<R> {
    /// Whether the other thread is done with them.
    pub fn is_back(&mut self) -> bool {
        if let State::Elsewhere(opened) = &mut self.0
            && let Ok(Some(outcome)) = opened.try_recv()
        {
            self.0 = State::Back(outcome);
        }
        !matches!(self.0, State::Elsewhere(_))
    }
}

impl<R: PiiRow + Send + 'static> Future for OpeningAhead<R> {
    type Output = (Vec<R>, Result<Opening>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let outcome = match &mut self.0 {
                State::Here(opening) => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    self.0 = State::Over;
                    return Poll::Ready(opened);
                }
                State::Elsewhere(opened) => match ready!(opened.poll_unpin(cx)) {
                    Ok(outcome) => outcome,
                    Err(oneshot::Canceled) => return Poll::Ready((Vec::new(), Err(gone()))),
                },
                State::Back(_) | State::Over => match std::mem::replace(&mut self.0, State::Over) {
                    State::Back(outcome) => outcome,
                    _ => return Poll::Ready((Vec::new(), Err(gone()))),
                },
            };
            match outcome {
                Ok(Opened::Done(rows, opening)) => {
                    self.0 = State::Over;
                    return Poll::Ready((rows, Ok(opening)));
                }
                Ok(Opened::Waits(cryptor, rows, wanted)) => {
                    self.0 = State::Here(open_here(cryptor, rows, wanted));
                }
                Err(panicked) => resume_unwind(panicked),
            }
        }
    }
}

fn open_here<R: PiiRow + Send + 'static>(
    cryptor: Cryptor,
    mut rows: Vec<R>,
    wanted: Wanted,
) -> BoxFuture<'static, (Vec<R>, Result<Opening>)> {
    Box::pin(async move {
        let opening = cryptor.open_wanted(&mut rows, &wanted).await;
        (rows, opening)
    })
}

#[cold]
fn gone() -> Error {
    Error::new(ErrorKind::Configuration).message("these rows were handed out already")
}
