//! Calls that leave nothing in logs.

use std::{future::Future, sync::LazyLock};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    instrument::WithSubscriber as _,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// Makes a call of the AWS SDK while nobody listens: at TRACE, some clients (those without protection
/// against stalled streams) log whole requests, with the values of the encryption context, and with
/// Encrypt the data key itself; with `LOG_SENSITIVE_BODIES` set, they log data keys in answers too.
pub async fn silently<F: Future>(call: F) -> F::Output {
    static NOBODY: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Nobody));
    call.with_subscriber(NOBODY.clone()).await
}

/// Hears nothing. `Dispatch::none()` would do more than that: where a program has one subscriber, the
/// SDK's events that first come about under it would be off in the whole process from then on.
struct Nobody;

impl Subscriber for Nobody {
    /// The answer that leaves the events of the rest of the program as cheap as they are.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
