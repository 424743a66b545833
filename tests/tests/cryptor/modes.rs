//! Modes, scopes and contexts.

use super::*;

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "modal")]
struct Modal {
    #[pii(id)]
    id: i64,
    both: EncryptedStr,
    #[pii(mode = "WriteOnly")]
    drop: EncryptedStr,
    #[pii(mode = "ReadOnly")]
    report: Option<EncryptedStr>,
}

fn modal() -> Modal {
    Modal { id: 1, both: EncryptedStr::new("both"), drop: EncryptedStr::new("drop"), report: None }
}

#[tokio::test]
async fn modes_hold_before_any_key_is_asked_for() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let mut with_report = modal();
    with_report.report = Some(EncryptedStr::new("report"));
    let error = cryptor.sealed(&with_report).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mode);
    assert!(
        error.to_string().contains("modal.report")
            && error.to_string().contains("Cannot encrypt in ReadOnly mode")
    );
    assert_eq!(keyring.calls(), 0);

    let mut models = [modal()];
    cryptor.seal(&mut models).await.unwrap();
    let mut loaded = [through_storage(&models[0])];
    cryptor.open(&mut loaded).await.unwrap();
    assert_eq!(loaded[0].both.expose().unwrap(), "both");
    assert_sealed(&loaded[0].drop);
    let error = loaded[0].drop.expose().unwrap_err().to_string();
    assert!(error.contains("WriteOnly"), "{error}");
    let error = cryptor.open_each(&mut loaded, &FieldSelection::only(["drop"])).await.unwrap_err();
    assert!(error.to_string().contains("Cannot decrypt in WriteOnly mode"), "{error}");
    let error = cryptor.open_each(&mut loaded, &FieldSelection::only(["dorp"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    // loaded through the library, a write-only value is written back without being opened
    assert!(cryptor.sealed(&loaded[0]).await.is_ok());
    let untracked = through_storage(&models[0]);
    assert_eq!(cryptor.sealed(&untracked).await.err().unwrap().kind(), ErrorKind::Mode);
}

#[tokio::test]
async fn a_limited_cryptor_keeps_its_limit() {
    let cryptor = cryptor();
    let (writer, reader) = (cryptor.limited_to(Mode::WriteOnly), cryptor.limited_to(Mode::ReadOnly));
    let mut models = [ada()];
    assert_eq!(reader.seal(&mut models).await.unwrap_err().kind(), ErrorKind::Mode);
    writer.seal(&mut models).await.unwrap();
    let mut loaded = [through_storage(&models[0])];
    assert_eq!(writer.open(&mut loaded).await.unwrap_err().kind(), ErrorKind::Mode);
    reader.open(&mut loaded).await.unwrap();
    assert_eq!(
        writer.limited_to(Mode::ReadWrite).open(&mut loaded).await.unwrap_err().kind(),
        ErrorKind::Mode
    );
    assert_eq!(
        writer.limited_to(Mode::ReadOnly).open(&mut loaded).await.unwrap_err().kind(),
        ErrorKind::Mode
    );
}

#[tokio::test]
async fn a_scope_refuses_every_other_context() {
    let cryptor = cryptor();
    let mut loaded = stored(&cryptor, &ada()).await;
    let acme = cryptor.scoped(ctx!(tenant = "acme"));
    let globex = cryptor.scoped(ctx!(tenant = "globex"));
    assert!(acme.sealed(&ada()).await.is_ok());
    let error = globex.sealed(&ada()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert!(error.to_string().contains("`tenant`") && !format!("{error:?}").contains("globex"), "{error:?}");
    assert!(!format!("{globex:?}").contains("globex"));
    assert_eq!(
        globex.open(std::slice::from_mut(&mut loaded)).await.unwrap_err().kind(),
        ErrorKind::ContextMismatch
    );
    acme.open(std::slice::from_mut(&mut loaded)).await.unwrap();
    let none = acme.scoped(ctx!(tenant = "globex"));
    assert_eq!(none.sealed(&ada()).await.err().unwrap().kind(), ErrorKind::ContextMismatch);
    let broken = cryptor.scoped(ctx!(tenant = ""));
    assert_eq!(broken.sealed(&ada()).await.err().unwrap().kind(), ErrorKind::InvalidContext);
    let other = cryptor.scoped(ctx!(region = "eu"));
    assert_eq!(
        other.sealed(&ada()).await.err().unwrap().kind(),
        ErrorKind::ContextMismatch,
        "a missing pair differs"
    );
}

#[tokio::test]
async fn an_invalid_context_is_refused_and_named() {
    let cryptor = cryptor();
    for tenant in [String::new(), "x".repeat(1025)] {
        let error = cryptor.sealed(&Customer { tenant, ..ada() }).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidContext);
        assert!(error.to_string().contains("customer") && error.to_string().contains("row 7"), "{error}");
    }
}
