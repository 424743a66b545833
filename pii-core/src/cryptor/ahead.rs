//! Rows that are opened on another thread, while whoever reads them goes on.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    process,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    task::{Context, Poll, ready},
    thread,
};

use futures_channel::oneshot;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use rayon_core::{ThreadPool, ThreadPoolBuilder};

use super::{Cryptor, Opening, PiiRow, Wanted};
use crate::error::{Error, ErrorKind, Result};

/// One thread for each core, from the first use on.
struct Threads {
    pool: ThreadPool,
    /// a fork of it has no threads
    process: u32,
}

impl Threads {
    /// None where there is no other core to use.
    fn start() -> Option<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let builder = ThreadPoolBuilder::new()
            .num_threads(cores)
            .thread_name(|number| format!("pii-open-{number}"))
            // what a model drops may panic where nobody waits any more: that ends no process
            .panic_handler(|_| ());
        let pool = (cores > 1).then(|| builder.build().ok()).flatten()?;
        Some(Self { pool, process: process::id() })
    }

    fn usable() -> Option<&'static ThreadPool> {
        static THREADS: LazyLock<Option<Threads>> = LazyLock::new(Threads::start);
        THREADS.as_ref().filter(|threads| threads.process == process::id()).map(|threads| &threads.pool)
    }
}

impl Cryptor {
    /// As [`Cryptor::open_wanted`], on another thread and from now on: for adapters that read rows meanwhile.
    /// The rows come back with what became of each.
    ///
    /// Whoever awaits the result opens them instead where no thread has begun with it, where something has to be
    /// waited for, which [`Cryptor::open_at_hand`] describes, and where there is nothing to be opened. So the threads,
    /// one for each core, run code of models, such as functions in a context, which must not depend on the task that they
    /// are called in; they call no key service and no sink.
    /// The rows of a result that is dropped are dropped with it, or once they are opened.
    ///
    /// ```
    /// # use pii_core as pii;
    /// use pii::{Cryptor, PiiRow, Result, Wanted};
    ///
    /// # struct Pages<R>(Vec<Vec<R>>);
    /// # impl<R> Pages<R> { async fn read(&mut self) -> Option<Vec<R>> { self.0.pop() } }
    /// /// Reads each page while the one before is opened.
    /// async fn all<R: PiiRow + Send + 'static>(
    ///     cryptor: &Cryptor,
    ///     pages: &mut Pages<R>,
    ///     wanted: &Wanted,
    /// ) -> Result<Vec<R>> {
    ///     let (mut opened, mut next) = (Vec::new(), pages.read().await);
    ///     while let Some(page) = next {
    ///         let opening = cryptor.open_ahead(page, wanted);
    ///         next = pages.read().await;
    ///         let (rows, what_became) = opening.await;
    ///         what_became?.into_iter().collect::<Result<()>>()?;
    ///         opened.extend(rows);
    ///     }
    ///     Ok(opened)
    /// }
    /// ```
    pub fn open_ahead<R>(&self, rows: Vec<R>, wanted: &Wanted) -> OpeningAhead<R>
    where
        R: PiiRow + Send + 'static,
    {
        let job = Job { cryptor: self.clone(), rows, wanted: wanted.clone() };
        let is_work = !self.is_audited() && !wanted.is_nothing();
        let Some(threads) = Threads::usable().filter(|_| is_work) else {
            return OpeningAhead(State::Here(job.open()));
        };
        let waiting = Arc::new(Mutex::new(Some(job)));
        let (done, outcome) = oneshot::channel();
        let jobs = Arc::clone(&waiting);
        threads.spawn_fifo(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| take(&jobs).map(Job::open_at_hand)));
            let outcome = match outcome {
                Ok(Some(opened)) => Ok(opened),
                // whoever waits was faster
                Ok(None) => return,
                Err(panicked) => Err(panicked),
            };
            // who has gone meanwhile does not get it
            drop(done.send(outcome));
        });
        OpeningAhead(State::Elsewhere(Elsewhere { waiting, outcome }))
    }
}

struct Job<R> {
    cryptor: Cryptor,
    rows: Vec<R>,
    wanted: Wanted,
}

impl<R: PiiRow + Send + 'static> Job<R> {
    fn open_at_hand(mut self) -> Opened<R> {
        match self.cryptor.wanted_at_hand(&mut self.rows, &self.wanted) {
            Some(opening) => Opened::Done(self.rows, opening),
            None => Opened::Waits(self),
        }
    }

    fn open(mut self) -> BoxFuture<'static, (Vec<R>, Result<Opening>)> {
        Box::pin(async move {
            let opening = self.cryptor.open_wanted(&mut self.rows, &self.wanted).await;
            (self.rows, opening)
        })
    }
}

/// The job is for whoever takes it first.
fn take<R>(waiting: &Mutex<Option<Job<R>>>) -> Option<Job<R>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Rows on their way to being opened; made by [`Cryptor::open_ahead`].
#[must_use = "rows are opened by whoever awaits this"]
pub struct OpeningAhead<R>(State<R>);

enum State<R> {
    Elsewhere(Elsewhere<R>),
    Back(Outcome<R>),
    Here(BoxFuture<'static, (Vec<R>, Result<Opening>)>),
    Over,
}

struct Elsewhere<R> {
    waiting: Arc<Mutex<Option<Job<R>>>>,
    outcome: oneshot::Receiver<Outcome<R>>,
}

impl<R> Drop for Elsewhere<R> {
    fn drop(&mut self) {
        drop(take(&self.waiting));
    }
}

/// What came of it, or what code of a model panicked with.
type Outcome<R> = std::result::Result<Opened<R>, Box<dyn Any + Send>>;

enum Opened<R> {
    Done(Vec<R>, Opening),
    /// Something has to be waited for.
    Waits(Job<R>),
}

/// Nothing in it is pinned but a future in a box.
impl<R> Unpin for OpeningAhead<R> {}

impl<R> OpeningAhead<R> {
    /// Whether this is for another thread to do, and it has not told that it is done.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self.0, State::Elsewhere(_))
    }
}

impl<R: PiiRow + Send + 'static> OpeningAhead<R> {
    /// Whether nothing more is to be waited for from another thread.
    pub fn is_back(&mut self) -> bool {
        if let State::Elsewhere(elsewhere) = &mut self.0
            && let Ok(Some(outcome)) = elsewhere.outcome.try_recv()
        {
            self.0 = State::Back(outcome);
        }
        !self.is_elsewhere()
    }

    /// Waits until nothing more is to be waited for from another thread.
    pub fn poll_back(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Elsewhere(elsewhere) = &mut self.0 {
            self.0 = match ready!(elsewhere.outcome.poll_unpin(cx)) {
                Ok(outcome) => State::Back(outcome),
                Err(oneshot::Canceled) => State::Over,
            };
        }
        Poll::Ready(())
    }

    /// What no thread has begun with is not left to it.
    fn fetch_back(&mut self) {
        if let State::Elsewhere(elsewhere) = &mut self.0
            && let Some(job) = take(&elsewhere.waiting)
        {
            self.0 = State::Here(job.open());
        }
    }
}

impl<R: PiiRow + Send + 'static> Future for OpeningAhead<R> {
    type Output = (Vec<R>, Result<Opening>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.fetch_back();
        ready!(self.poll_back(cx));
        let mut opening = match mem::replace(&mut self.0, State::Over) {
            State::Here(opening) => opening,
            State::Back(Ok(Opened::Done(rows, opening))) => return Poll::Ready((rows, Ok(opening))),
            State::Back(Ok(Opened::Waits(job))) => job.open(),
            State::Back(Err(panicked)) => resume_unwind(panicked),
            State::Elsewhere(_) | State::Over => return Poll::Ready((Vec::new(), Err(gone()))),
        };
        let opened = opening.as_mut().poll(cx);
        if opened.is_pending() {
            self.0 = State::Here(opening);
        }
        opened
    }
}

#[cold]
fn gone() -> Error {
    Error::new(ErrorKind::Configuration).message("the rows were handed out already")
}
