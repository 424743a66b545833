//! What the audit trail is told.

use std::{sync::Arc, time::SystemTime};

use super::{Cryptor, place::ValuePlace};
use crate::{
    audit::{AuditEvent, Operation},
    error::{Error, ErrorKind, Result},
    model::ModelSpec,
    wire::KeyId,
};

impl Cryptor {
    /// Records that a whole row or call was refused.
    pub(super) async fn record_refusal(
        &self,
        operation: Operation,
        model: &ModelSpec,
        error: &Error,
    ) -> Result<()> {
        if self.is_audited() {
            self.record(vec![self.refusal(operation, model, error)]).await?;
        }
        Ok(())
    }

    /// A refusal that concerns no single value.
    pub(super) fn refusal(&self, operation: Operation, model: &ModelSpec, error: &Error) -> AuditEvent {
        AuditEvent {
            at: SystemTime::now(),
            access: self.access.as_ref().map(Arc::clone),
            operation,
            model: model.name(),
            field: error.field_name().unwrap_or("*").to_owned(),
            row: error.row_id().map(str::to_owned),
            level: 0,
            key_id: None,
            refused: Some(error.kind()),
        }
    }

    pub(super) fn event(
        &self,
        operation: Operation,
        place: &ValuePlace<'_>,
        key_id: Option<KeyId>,
        refused: Option<ErrorKind>,
    ) -> AuditEvent {
        AuditEvent {
            at: SystemTime::now(),
            access: self.access.as_ref().map(Arc::clone),
            operation,
            model: place.model().name(),
            field: place.field_path(),
            row: place.row(),
            level: place.field().level().number(),
            key_id,
            refused,
        }
    }
}
