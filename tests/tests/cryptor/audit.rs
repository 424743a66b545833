//! The audit joint.

use super::*;

#[tokio::test]
async fn every_operation_is_recorded_with_its_actor_before_plaintext_is_handed_out() {
    let sink = CollectingSink::new();
    let cryptor = cryptor()
        .audited(Arc::new(sink.clone()), AuditFailure::Refuse)
        .acting_as(Access::new("alice", Reason::Support).request("ticket 7"));
    let mut rows = [ada()];
    cryptor.seal(&mut rows).await.unwrap();
    let events = sink.take();
    assert_eq!(events.len(), 2);
    assert_eq!(
        (events[0].operation, events[0].model, events[0].field.as_str()),
        (Operation::Seal, "customer", "email")
    );
    assert_eq!((events[0].row.as_deref(), events[0].level, events[0].refused), (Some("7"), 2, None));
    assert_eq!(events[0].access.as_ref().unwrap().actor, "alice");
    assert_eq!(events[0].key_id, Some(rows[0].email.ciphertext().unwrap().key_id()));

    let mut moved = [Customer { id: 8, ..through_storage(&rows[0]) }];
    assert!(cryptor.open(&mut moved).await.is_err());
    assert!(sink.take().iter().all(|event| event.refused == Some(ErrorKind::Integrity)));

    // refusals of whole rows and calls are recorded too
    let refused = |event: &pii::AuditEvent| (event.operation, event.refused, event.field.clone());
    assert!(cryptor.scoped(ctx!(tenant = "globex")).sealed(&ada()).await.is_err());
    assert_eq!(refused(&sink.take()[0]), (Operation::Seal, Some(ErrorKind::ContextMismatch), "*".into()));
    assert!(cryptor.limited_to(Mode::WriteOnly).open(&mut [through_storage(&rows[0])]).await.is_err());
    assert_eq!(refused(&sink.take()[0]), (Operation::Open, Some(ErrorKind::Mode), "*".into()));
    assert!(cryptor.limited_to(Mode::ReadOnly).seal(&mut [ada()]).await.is_err());
    assert_eq!(refused(&sink.take()[0]), (Operation::Seal, Some(ErrorKind::Mode), "email".into()));

    sink.set_failing(true);
    let mut loaded = [through_storage(&rows[0])];
    assert_eq!(cryptor.open(&mut loaded).await.unwrap_err().kind(), ErrorKind::Audit);
    assert_all_sealed(&loaded[0]);
    let lenient = cryptor.audited(Arc::new(sink), AuditFailure::GoOn);
    lenient.open(&mut loaded).await.unwrap();
}
