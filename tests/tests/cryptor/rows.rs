//! Single rows and chosen fields.

use super::*;

#[tokio::test]
async fn one_bad_value_does_not_hide_the_good_rows() {
    let cryptor = cryptor();
    let mut rows = Vec::new();
    for id in 0..5 {
        rows.push(stored(&cryptor, &Customer { id, ..ada() }).await);
    }
    rows[2].email = rows[1].email.clone();
    let results = cryptor.open_each(&mut rows, &FieldSelection::All).await.unwrap();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true, true]);
    let error = results[2].as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.row_id(), error.field_name()),
        (ErrorKind::Integrity, Some("2"), Some("email"))
    );
    assert_eq!(rows[3].email.expose().unwrap(), "ada@example.com");
    assert_all_sealed(&rows[2]);
}

#[tokio::test]
async fn chosen_fields_only_are_opened() {
    let cryptor = cryptor();
    let mut rows = [stored(&cryptor, &ada()).await];
    cryptor.open_each(&mut rows, &FieldSelection::only(["email"])).await.unwrap();
    assert_eq!(rows[0].email.expose().unwrap(), "ada@example.com");
    assert_sealed(rows[0].ssn.as_ref().unwrap());
}
