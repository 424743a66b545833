//! A limit on the calls under way, which cannot bring a program to a halt.
//!
//! With a semaphore it could: a program that has begun some batches, and then waits for another one
//! before it polls those again, would leave the permits with futures that nobody polls. So whoever
//! waits here drives one of the calls that are in the way.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use event_listener::Event;
use futures_core::future::BoxFuture;
use futures_util::{
    FutureExt as _,
    future::{Shared, WeakShared, select},
};

use super::cache::lock;
use crate::error::{Error, ErrorKind, Result};

pub(super) struct Calls {
    limit: usize,
    under_way: Mutex<UnderWay>,
    ended: Event,
}

#[derive(Default)]
struct UnderWay {
    next: usize,
    /// held weakly: a call that all have left ends
    calls: Vec<(usize, WeakShared<Call>)>,
}

type Call = BoxFuture<'static, ()>;

enum Begun {
    Call(Shared<Call>),
    /// There is no room; the call comes back, with one that is under way.
    Full(Call, Shared<Call>),
}

impl Calls {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, under_way: Mutex::default(), ended: Event::new() }
    }

    /// Makes a call when there is room for it.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let answer = Arc::new(Mutex::new(None));
        let mut call = {
            let answer = Arc::clone(&answer);
            // whoever drives it for another one must not be struck by its panic
            let call = AssertUnwindSafe(call).catch_unwind();
            async move { *lock(&answer) = call.await.ok() }.boxed()
        };
        let begun = loop {
            let ended = self.ended.listen();
            call = match self.begin(call) {
                Begun::Call(begun) => break begun,
                Begun::Full(call, other) => {
                    select(ended, other).await;
                    call
                }
            };
        };
        begun.await;
        let answer = lock(&answer).take();
        answer.unwrap_or_else(|| Err(Error::new(ErrorKind::KeyUnavailable).message("a keyring panicked")))
    }

    fn begin(self: &Arc<Self>, call: Call) -> Begun {
        let mut under_way = lock(&self.under_way);
        let id = under_way.next;
        under_way.next = id.wrapping_add(1);
        if under_way.calls.len() >= self.limit {
            // not all wait for the same one; those that can't be had are about to leave
            let (first, second) = under_way.calls.split_at(id % under_way.calls.len());
            if let Some(other) = second.iter().chain(first).find_map(|(_, call)| call.upgrade()) {
                return Begun::Full(call, other);
            }
        }
        let place = Place { calls: Arc::clone(self), id };
        let begun = async move {
            let _place = place;
            call.await;
        };
        let begun = begun.boxed().shared();
        under_way.calls.extend(begun.downgrade().map(|weak| (id, weak)));
        Begun::Call(begun)
    }
}

/// Given back when the call has ended, or everybody has left it.
struct Place {
    calls: Arc<Calls>,
    id: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.calls.under_way).calls.retain(|(id, _)| *id != self.id);
        // one more than were woken before: they may not be polled
        self.calls.ended.notify_additional(1);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll, Waker},
    };

    use futures_util::future::join_all;

    use super::*;

    async fn yield_once() {
        let mut is_second = false;
        std::future::poll_fn(move |context| {
            if std::mem::replace(&mut is_second, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn as_many_calls_are_under_way_as_allowed_and_not_one_more() {
        let (calls, now, most) =
            (Arc::new(Calls::new(3)), Arc::<AtomicUsize>::default(), AtomicUsize::new(0));
        let most = Arc::new(most);
        let all = (0..100).map(|number| {
            let (calls, now, most) = (Arc::clone(&calls), Arc::clone(&now), Arc::clone(&most));
            async move {
                let call = async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    for _ in 0..number % 7 {
                        yield_once().await;
                    }
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(number)
                };
                calls.run(call).await.unwrap()
            }
        });
        let answers = join_all(all).await;
        assert_eq!(answers, (0..100).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 3);
        assert!(lock(&calls.under_way).calls.is_empty());
    }

    #[tokio::test]
    async fn calls_that_their_owners_do_not_poll_are_in_nobodys_way() {
        let calls = Arc::new(Calls::new(2));
        let call = |answer: u32| {
            calls.run(async move {
                yield_once().await;
                yield_once().await;
                Ok(answer)
            })
        };
        let mut context = Context::from_waker(Waker::noop());
        // two hold the room, and three wait for it
        let mut parked: Vec<_> = (0..5).map(|number| Box::pin(call(number))).collect();
        for parked in &mut parked {
            assert!(parked.as_mut().poll(&mut context).is_pending());
        }
        for number in 10..20 {
            assert_eq!(call(number).await.unwrap(), number);
        }
        for (number, parked) in (0..).zip(parked) {
            assert_eq!(parked.await.unwrap(), number);
        }
    }

    #[tokio::test]
    async fn a_call_that_is_left_gives_its_room_back() {
        let calls = Arc::new(Calls::new(1));
        {
            let left = calls.run(std::future::pending::<Result<u32>>());
            assert!(left.now_or_never().is_none());
        }
        assert_eq!(calls.run(async { Ok(1) }).await.unwrap(), 1);
        let panics = calls.run(async { panic!("a keyring's own fault") });
        let answer: Result<u32> = panics.await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert_eq!(calls.run(async { Ok(2) }).await.unwrap(), 2);
    }
}
