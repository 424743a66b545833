//! What someone who can write to the table may try.

use pii::{DecryptPii, EncryptedStr, ErrorKind, ctx};

use super::{super::in_dialect, count, customers, database, sql, stored};
use crate::{
    models::{Customer, EMAIL},
    support::cryptor,
};

#[tokio::test]
async fn a_value_copied_to_another_row_does_not_open() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    sql(&db, "update customers set email = (select email from (select email from customers where id = 1) as one) where id = 2").await;
    let error = table.get(2).decrypt_pii().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert_eq!((error.field_name(), error.row_id()), (Some("email"), Some("2")));
    assert!(table.get(2).decrypt_fields(["ssn"]).await.is_ok(), "the other field is whole");
    assert!(table.get(1).decrypt_pii().await.is_ok());
}

#[tokio::test]
async fn a_value_copied_to_another_field_does_not_open() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    sql(&db, "update customers set ssn = email").await;
    let error = table.get(1).decrypt_pii().await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("ssn")));
}

#[tokio::test]
async fn a_row_moved_to_another_tenant_does_not_open() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert_many(&[Customer::new(1), Customer::of(2, "zeta")]).await.unwrap();
    sql(&db, "update customers set tenant = 'zeta' where id = 1").await;
    let error = table.get(1).decrypt_pii().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Integrity | ErrorKind::ContextMismatch), "{error}");
    assert!(error.is_integrity());
    sql(&db, "update customers set tenant = 'acme' where id = 1").await;
    assert!(table.get(1).decrypt_pii().await.is_ok());
}

#[tokio::test]
async fn a_scoped_cryptor_refuses_other_tenants() {
    let (db, cryptor) = (database().await, cryptor());
    let rows = [Customer::new(1), Customer::of(2, "zeta")];
    customers(&db, &cryptor).insert_many(&rows).await.unwrap();
    let acme = cryptor.scoped(ctx!(tenant = "acme"));
    let table = customers(&db, &acme);
    assert_eq!(table.get(1).decrypt_pii().await.unwrap().email.expose().unwrap(), EMAIL);
    let query = || sqlx::query_as::<_, Customer>("select * from customers order by id").decrypt_pii(&acme);
    for error in [
        table.get(2).await.unwrap_err(),
        table.get(2).decrypt_pii().await.unwrap_err(),
        table.insert(&Customer::of(3, "zeta")).await.unwrap_err(),
        table.update(&rows[1]).await.unwrap_err(),
        table.upsert(&rows[1]).await.unwrap_err(),
        query().fetch_all(&db.pool).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ContextMismatch);
        assert!(error.to_string().contains("`tenant`"), "{error}");
        assert!(!format!("{error} {error:?}").contains("zeta"), "{error:?}");
    }
    let each = query().each_row().fetch_all(&db.pool).await.unwrap();
    assert!(matches!(each.as_slice(), [Ok(_), Err(_)]));
    // what asks for no row by name leaves it out
    assert_eq!(table.list().await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [1]);
    assert_eq!(count(&db).await, 2);
}

#[tokio::test]
async fn damaged_values_are_refused_when_loaded() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    let whole = stored(&db, 1).await.0;
    // a character of the tag, at the end of the value: the copies before it are not authenticated
    let (front, tag) = whole.split_at(whole.len() - 12);
    let bits = format!("{front}{}{}", if tag.starts_with('A') { "B" } else { "A" }, &tag[1..]);
    for (damaged, kind) in [
        (whole[..whole.len() - 4].to_owned(), ErrorKind::Integrity),
        (whole[..whole.len() - 3].to_owned(), ErrorKind::Malformed),
        (whole[..40].to_owned(), ErrorKind::Malformed),
        (format!("{whole} "), ErrorKind::Malformed),
        ("ENC:".to_owned(), ErrorKind::Malformed),
        ("ENC:not base64!".to_owned(), ErrorKind::Malformed),
        ("ENC:AAAA".to_owned(), ErrorKind::UnknownVersion),
        (whole.to_lowercase(), ErrorKind::NotEncrypted),
        (format!(" {whole}"), ErrorKind::NotEncrypted),
        (String::new(), ErrorKind::NotEncrypted),
        (bits, ErrorKind::Integrity),
    ] {
        sqlx::query(in_dialect("update customers set email = $1"))
            .bind(&damaged)
            .execute(&db.pool)
            .await
            .unwrap();
        let opened = table.get(1).decrypt_pii().await.unwrap_err();
        // a change in the key id or in the copies shows as a key that is not known
        let is_key = matches!(opened.kind(), ErrorKind::KeyMissing | ErrorKind::Malformed);
        assert!(opened.kind() == kind || (kind == ErrorKind::Integrity && is_key), "{damaged}: {opened}");
        assert!(opened.to_string().starts_with("customer.email: "), "{opened}");
        if kind != ErrorKind::Integrity {
            assert_eq!(table.get(1).await.unwrap_err().kind(), kind, "{damaged}");
            assert_eq!(table.list().await.unwrap_err().kind(), kind, "{damaged}");
        }
    }
    sqlx::query(in_dialect("update customers set email = $1")).bind(&whole).execute(&db.pool).await.unwrap();
    assert!(table.get(1).decrypt_pii().await.is_ok());
}

#[tokio::test]
async fn a_plain_value_bound_by_hand_refuses_to_be_encoded() {
    let (db, cryptor) = (database().await, cryptor());
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    let plain = EncryptedStr::new("canary@example.com");
    for value in [Some(plain.clone()), Some(plain)] {
        let bound =
            sqlx::query(in_dialect("update customers set email = $1")).bind(&value).execute(&db.pool).await;
        let error = bound.unwrap_err();
        assert!(matches!(error, sqlx::Error::Encode(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    assert!(stored(&db, 1).await.0.starts_with("ENC:"));
    // what is sealed can be bound
    let sealed = customers(&db, &cryptor).get(1).await.unwrap();
    sqlx::query(in_dialect("update customers set email = $1"))
        .bind(&sealed.email)
        .execute(&db.pool)
        .await
        .unwrap();
    sqlx::query(in_dialect("update customers set email = $1"))
        .bind(sealed.email.ciphertext())
        .execute(&db.pool)
        .await
        .unwrap();
    assert!(customers(&db, &cryptor).get(1).decrypt_pii().await.is_ok());
}
