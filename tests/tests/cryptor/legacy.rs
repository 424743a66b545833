//! Plaintext that is in the table already.

use super::*;

macro_rules! legacy_models {
    ($($ty:ident $policy:literal),*) => {$(
        #[derive(PiiModel, Clone, Serialize, Deserialize)]
        #[pii(name = "legacy")]
        pub(crate) struct $ty {
            #[pii(id)]
            id: i64,
            #[pii(plaintext = $policy)]
            pub(crate) email: EncryptedStr,
        }
    )*};
}
legacy_models!(Reject "reject", Accept "accept_and_seal", Prepare "prepare");

pub(crate) fn row<M: for<'de> Deserialize<'de>>(email: &str) -> [M; 1] {
    [serde_json::from_value(serde_json::json!({ "id": 1, "email": email })).unwrap()]
}

async fn text_of<M: PiiModel>(cryptor: &Cryptor, model: &M) -> String {
    cryptor.seal_texts([model]).await.unwrap().remove(0).next().unwrap().as_str().to_owned()
}

#[tokio::test]
async fn policies_for_plaintext_in_the_table() {
    let cryptor = cryptor();
    let sink = CollectingSink::new();
    let audited = cryptor.audited(Arc::new(sink.clone()), AuditFailure::Refuse);

    let mut rows = row::<Reject>("ada@example.com");
    let error = cryptor.open(&mut rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);
    assert!(error.to_string().contains("legacy.email") && !format!("{error:?}").contains("ada"), "{error}");
    assert_eq!(cryptor.seal_texts(&rows).await.unwrap_err().kind(), ErrorKind::NotEncrypted);

    let mut rows = row::<Accept>("ada@example.com");
    assert_eq!(rows[0].email.expose().unwrap_err().kind(), ErrorKind::NotEncrypted);
    audited.open(&mut rows).await.unwrap();
    assert_eq!(cryptor.stats().plaintexts_accepted, 1);
    assert_eq!(sink.take()[0].operation, Operation::AcceptPlaintext);
    assert_eq!(rows[0].email.expose().unwrap(), "ada@example.com");
    let sealed = text_of(&cryptor, &rows[0]).await;
    assert!(sealed.starts_with("ENC:"));

    let mut rows = row::<Prepare>("ada@example.com");
    cryptor.open(&mut rows).await.unwrap();
    assert_eq!(text_of(&cryptor, &rows[0]).await, "ada@example.com");
    let mut rows = row::<Prepare>(&sealed);
    cryptor.open(&mut rows).await.unwrap();
    assert_eq!(rows[0].email.expose().unwrap(), "ada@example.com", "both kinds are read");
    rows[0].email.set("ENC:typed by a person");
    assert_eq!(cryptor.seal_texts(&rows).await.unwrap_err().kind(), ErrorKind::State);

    for damaged in ["ENC:", "ENC:AgEA", "ENC:not base64", "ENC:AQEAAAAA"] {
        assert!(cryptor.open(&mut row::<Accept>(damaged)).await.unwrap_err().is_integrity(), "{damaged}");
    }
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "numbers")]
struct Numbers {
    #[pii(id)]
    id: i64,
    #[pii(plaintext = "accept_and_seal")]
    email: Encrypted<Json<Vec<u32>>>,
}

#[tokio::test]
async fn plaintext_of_another_type_is_not_sealed() {
    let cryptor = cryptor();
    let mut rows = row::<Numbers>("n/a, ask Ada");
    let error = cryptor.open(&mut rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(!error.to_string().contains("Ada"), "{error}");
    assert_eq!(
        cryptor.seal_texts(&rows).await.unwrap_err().kind(),
        ErrorKind::Malformed,
        "the table keeps its text"
    );
    cryptor.open(&mut row::<Numbers>("[1, 2]")).await.unwrap();
}
