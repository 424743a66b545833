//! Who sealed and opened what: one event per value, through one joint.

use std::{sync::Arc, time::SystemTime};

use futures_core::future::BoxFuture;

use crate::{
    error::{ErrorKind, Result},
    wire::KeyId,
};

/// Why someone works with personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Ordinary work of the application.
    Processing,
    /// A support case.
    Support,
    /// A request of the person the data is about.
    SubjectRequest,
    /// Keeping the data in order: migration, rotation, repair.
    Maintenance,
    /// A legal duty.
    Legal,
    /// Another reason.
    Other(String),
}

/// Who acts, and why. Nothing of it should be personal data of the people in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who acts, such as the id of a user or the name of a job.
    pub actor: String,
    /// Why.
    pub reason: Reason,
    /// The request that this is part of, if any.
    pub request: Option<String>,
}

impl Access {
    /// This actor for this reason.
    #[must_use]
    pub fn new(actor: impl Into<String>, reason: Reason) -> Self {
        Self { actor: actor.into(), reason, request: None }
    }

    /// As part of this request.
    #[must_use]
    pub fn request(mut self, request: impl Into<String>) -> Self {
        self.request = Some(request.into());
        self
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A value was sealed.
    Seal,
    /// A value was opened.
    Open,
    /// Stored plaintext was accepted by a policy.
    AcceptPlaintext,
    /// A value was written in the form of another system.
    SealLegacy,
    /// A value in the form of another system was opened, which is bound to no field and no row.
    OpenLegacy,
}

/// One operation on one value. It holds names, never values.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When.
    pub at: SystemTime,
    /// Who and why, if the cryptor knows.
    pub access: Option<Arc<Access>>,
    /// What.
    pub operation: Operation,
    /// Stable name of the model.
    pub model: &'static str,
    /// Stable names from the model to the value; `*` where a whole row or call was refused.
    pub field: String,
    /// The row's id, unless values are not bound to rows.
    pub row: Option<String>,
    /// The field's level; 0 where a whole row or call was refused.
    pub level: u8,
    /// The data key, for values that have one.
    pub key_id: Option<KeyId>,
    /// `None` if it was done, otherwise why it was refused.
    pub refused: Option<ErrorKind>,
}

/// Where audit events go.
pub trait AuditSink: Send + Sync + 'static {
    /// Records events. When this returns, they are as durable as the sink promises: opened
    /// plaintext is handed out only then.
    ///
    /// # Errors
    /// Whatever kept the sink from recording; see [`AuditFailure`] for what follows.
    fn record<'a>(&'a self, events: &'a [AuditEvent]) -> BoxFuture<'a, Result<()>>;
}

/// What happens when the sink fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditFailure {
    /// The operation fails, and no plaintext or sealed text is handed out.
    #[default]
    Refuse,
    /// The operation goes on; the failure is logged.
    GoOn,
}
