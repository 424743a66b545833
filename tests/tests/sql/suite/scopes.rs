//! Statements that write by id, and lists, with a scoped cryptor.

use futures_util::TryStreamExt as _;
use pii::{Adoption, EncryptedStr, ErrorKind, PiiModel, SqlTable, ctx};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, LOOSE_COLLATION, LOOSE_TEXT, UUID},
    TestDatabase, customers, database, stored,
};
use crate::{
    models::{Customer, EMAIL},
    support::cryptor,
};

#[tokio::test]
async fn a_scoped_cryptor_writes_no_row_of_another_tenant() {
    let (db, cryptor) = (database().await, cryptor());
    let rows = [Customer::new(1), Customer::of(2, "zeta")];
    customers(&db, &cryptor).insert_many(&rows).await.unwrap();
    let of_zeta = stored(&db, 2).await;
    let table = customers(&db, &cryptor.scoped(ctx!(tenant = "acme")));
    let taken_over = Customer::new(2);
    let updated = table.update(&taken_over).await.unwrap_err();
    let deleted = table.delete(2).await.unwrap_err();
    let upserted = table.upsert(&taken_over).await.unwrap_err();
    assert_eq!([updated.kind(), deleted.kind()], [ErrorKind::RowNotFound; 2]);
    assert_eq!(upserted.kind(), ErrorKind::ContextMismatch);
    for error in [updated, deleted, upserted] {
        assert_eq!((error.model_name(), error.row_id()), (Some("customer"), Some("2")));
        assert!(error.to_string().contains("the scope of the cryptor"), "{error}");
        assert!(!format!("{error:?}").contains("zeta") && !format!("{error:?}").contains("acme"));
    }
    assert_eq!(stored(&db, 2).await, of_zeta);
    let read = customers(&db, &cryptor).get(2).decrypt_pii().await.unwrap();
    assert_eq!((read.tenant.as_str(), read.email.expose().unwrap()), ("zeta", EMAIL));

    let own = Customer { city: "Paris".into(), ..Customer::new(1) };
    table.update(&own).await.unwrap();
    table.upsert(&own).await.unwrap();
    table.upsert(&Customer::new(3)).await.unwrap();
    assert_eq!(table.get(1).await.unwrap().city, "Paris");
    table.delete(1).await.unwrap();
    table.delete(3).await.unwrap();
    assert_eq!(table.delete(1).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    // who has no scope writes all rows
    customers(&db, &cryptor).upsert(&taken_over).await.unwrap();
    assert_eq!(customers(&db, &cryptor).get(2).await.unwrap().tenant, "acme");
    customers(&db, &cryptor).delete(2).await.unwrap();
}

/// Contexts that are no text, in columns of other names than their fields, beside a version.
#[derive(PiiModel)]
#[pii(name = "claim", table = "claims", context(owner = self.tenant, branch = &self.branch), from_row)]
struct Claim {
    #[pii(id)]
    id: i64,
    #[pii(column = "of tenant")]
    tenant: Uuid,
    branch: i32,
    note: EncryptedStr,
    #[pii(version)]
    revision: i64,
}

const ACME: Uuid = Uuid::from_u128(0x0190_2f5e_8c3a_7bcd_8e01_2345_6789_abcd);

async fn claims() -> TestDatabase {
    let ddl = format!(
        "create table claims (id bigint primary key, \"of tenant\" {UUID} not null, branch integer not null, \
         note text not null, revision bigint not null)"
    );
    TestDatabase::new(2, &[&ddl]).await
}

fn claim(id: i64, tenant: Uuid, branch: i32) -> Claim {
    Claim { id, tenant, branch, note: EncryptedStr::new("hail"), revision: 1 }
}

#[tokio::test]
async fn every_pair_of_the_scope_counts_whatever_its_type() {
    let (db, cryptor) = (claims().await, cryptor());
    let all = SqlTable::<Claim, Db>::new(&db.pool, &cryptor);
    let rows = [claim(1, ACME, -7), claim(2, ACME, 8), claim(3, Uuid::nil(), -7), claim(4, Uuid::max(), 8)];
    all.insert_many(&rows).await.unwrap();
    let branch = SqlTable::<Claim, Db>::new(&db.pool, &cryptor.scoped(ctx!(owner = ACME, branch = -7)));
    for id in 2..=4 {
        assert_eq!(branch.update(&claim(id, ACME, -7)).await.unwrap_err().kind(), ErrorKind::RowNotFound);
        assert_eq!(branch.upsert(&claim(id, ACME, -7)).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
        assert_eq!(branch.delete(id).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    }
    branch.update(&claim(1, ACME, -7)).await.unwrap();
    let error = branch.update(&claim(1, ACME, -7)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "an older version of a row of this scope");
    branch.upsert(&claim(1, ACME, -7)).await.unwrap();
    assert_eq!(all.get(1).await.unwrap().revision, 3);
    branch.delete(1).await.unwrap();
    // the scope says nothing of the branch: a row may move to another one
    let tenant = SqlTable::<Claim, Db>::new(&db.pool, &cryptor.scoped(ctx!(owner = ACME)));
    tenant.update(&claim(2, ACME, 9)).await.unwrap();
    tenant.upsert(&claim(2, ACME, 10)).await.unwrap();
    assert_eq!(tenant.get(2).await.unwrap().branch, 10);
    tenant.delete(2).await.unwrap();
    let left: Vec<_> = all.list().await.unwrap().iter().map(|row| (row.id, row.revision)).collect();
    assert_eq!(left, [(3, 1), (4, 1)]);
}

/// The tenant is a part of the id.
#[derive(PiiModel)]
#[pii(name = "seat", table = "seats", context(app = "tests", tenant = self.tenant), from_row)]
struct Seat {
    #[pii(id)]
    tenant: String,
    #[pii(id)]
    number: i64,
    holder: EncryptedStr,
}

#[tokio::test]
async fn an_id_with_another_tenant_in_it_is_outside_the_scope() {
    let ddl = "create table seats (tenant varchar(40), number bigint, holder text not null, \
               primary key (tenant, number))";
    let (db, cryptor) = (TestDatabase::new(2, &[ddl]).await, cryptor());
    let seat = |tenant: &str| Seat { tenant: tenant.into(), number: 1, holder: EncryptedStr::new(EMAIL) };
    let all = SqlTable::<Seat, Db>::new(&db.pool, &cryptor);
    all.insert_many(&[seat("acme"), seat("zeta")]).await.unwrap();
    let acme = SqlTable::<Seat, Db>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "acme")));
    let id = |tenant: &str| (tenant.to_owned(), 1);
    assert_eq!(acme.delete(id("zeta")).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    acme.update(&seat("acme")).await.unwrap();
    acme.upsert(&seat("acme")).await.unwrap();
    acme.delete(id("acme")).await.unwrap();
    assert!(all.get(id("zeta")).optional().await.unwrap().is_some());
    // scopes in which no row of the model can be, and one that is none
    for scope in [ctx!(app = "other"), ctx!(region = "eu"), ctx!(tenant = "")] {
        let nothing = SqlTable::<Seat, Db>::new(&db.pool, &cryptor.scoped(scope));
        let error = nothing.delete(id("zeta")).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ContextMismatch | ErrorKind::InvalidContext), "{error}");
        assert_eq!(error.model_name(), Some("seat"));
    }
    assert!(all.get(id("zeta")).optional().await.unwrap().is_some());
}

/// A customer whose tenant no column tells as it is in the context.
#[derive(PiiModel)]
#[pii(
    name = "customer",
    table = "customers",
    context(app = "tests", tenant = self.tenant.to_uppercase()),
    from_row
)]
struct Loud {
    #[pii(id)]
    id: i64,
    tenant: String,
    city: String,
    email: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

#[tokio::test]
async fn lists_leave_rows_of_other_tenants_out() {
    let (db, cryptor) = (database().await, cryptor());
    let rows: Vec<_> =
        (0..1_300).map(|id| Customer::of(id, if id % 100 == 7 { "acme" } else { "zeta" })).collect();
    customers(&db, &cryptor).insert_many(&rows).await.unwrap();
    let own: Vec<i64> = (0..13).map(|hundred| hundred * 100 + 7).collect();
    let acme = customers(&db, &cryptor.scoped(ctx!(tenant = "acme")));
    let listed = acme.list().decrypt_pii().await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), own);
    assert!(listed.iter().all(|row| row.tenant == "acme" && row.email.expose().unwrap() == EMAIL));
    let streamed: Vec<Customer> = acme.list().decrypt_pii().stream().try_collect().await.unwrap();
    assert_eq!(streamed.iter().map(|row| row.id).collect::<Vec<_>>(), own);
    assert!(streamed.iter().all(|row| row.email.expose().unwrap() == EMAIL));
    let nobody = customers(&db, &cryptor.scoped(ctx!(tenant = "nobody")));
    assert!(nobody.list().await.unwrap().is_empty());
    assert!(nobody.list().stream().try_next().await.unwrap().is_none());
    let elsewhere = customers(&db, &cryptor.scoped(ctx!(app = "other")));
    assert_eq!(elsewhere.list().await.unwrap_err().kind(), ErrorKind::ContextMismatch);
    let error = elsewhere.list().stream().try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert_eq!(customers(&db, &cryptor).list().await.unwrap().len(), 1_300);
}

#[tokio::test]
async fn lists_leave_rows_out_that_no_column_tells() {
    let (db, cryptor) = (database().await, cryptor());
    let all = SqlTable::<Loud, Db>::new(&db.pool, &cryptor);
    let of = |id: i64| Loud {
        id,
        tenant: if id % 300 == 299 { "acme".into() } else { "zeta".into() },
        city: "London".into(),
        email: EncryptedStr::new(EMAIL),
        ssn: None,
    };
    all.insert_many(&(0..1_000).map(of).collect::<Vec<_>>()).await.unwrap();
    let acme = SqlTable::<Loud, Db>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "ACME")));
    let listed = acme.list().decrypt_pii().await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [299, 599, 899]);
    let streamed: Vec<Loud> = acme.list().decrypt_pii().stream().try_collect().await.unwrap();
    assert_eq!(streamed.iter().map(|row| row.id).collect::<Vec<_>>(), [299, 599, 899]);
    assert!(streamed.iter().all(|row| row.email.expose().unwrap() == EMAIL));
    let nobody = SqlTable::<Loud, Db>::new(&db.pool, &cryptor.scoped(ctx!(tenant = "acme")));
    assert!(nobody.list().await.unwrap().is_empty());
    assert!(nobody.list().stream().try_next().await.unwrap().is_none());
}

/// A pair that not every database stores as its text.
#[derive(PiiModel)]
#[pii(name = "patient", table = "patients", context(app = "tests", ward = self.private), from_row)]
struct Patient {
    #[pii(id)]
    id: i64,
    private: bool,
    name: EncryptedStr,
}

#[tokio::test]
async fn rows_are_found_whose_context_is_not_stored_as_its_text() {
    let ddl = "create table patients (id bigint primary key, private boolean not null, name text not null)";
    let (db, cryptor) = (TestDatabase::new(2, &[ddl]).await, cryptor());
    let rows: Vec<_> =
        (0..6).map(|id| Patient { id, private: id % 3 == 1, name: EncryptedStr::new(EMAIL) }).collect();
    SqlTable::<Patient, Db>::new(&db.pool, &cryptor).insert_many(&rows).await.unwrap();
    for (ward, own) in [("true", vec![1, 4]), ("false", vec![0, 2, 3, 5])] {
        let table = SqlTable::<Patient, Db>::new(&db.pool, &cryptor.scoped(ctx!(ward = ward)));
        let ids = |rows: &[Patient]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(&table.list().decrypt_pii().await.unwrap()), own);
        assert_eq!(ids(&table.list().stream().try_collect::<Vec<_>>().await.unwrap()), own);
        assert_eq!(ids(&table.find(Patient::fields().id.ge(0)).await.unwrap()), own);
        assert_eq!(ids(&table.find(Patient::fields().id.ge(0)).limit(1).await.unwrap()), own[..1]);
        let verified = Adoption::of(&table).verify().await.unwrap();
        assert!(verified.is_all_sealed() && verified.rows == own.len() as u64, "{verified}");
    }
}

#[tokio::test]
async fn tenants_that_a_collation_takes_for_one_are_two() {
    let ddl = format!(
        "{LOOSE_COLLATION}; create table customers (id bigint primary key, tenant {LOOSE_TEXT} not null, city text not null, \
         email text not null, ssn text)"
    );
    let (db, cryptor) = (TestDatabase::new(2, &[]).await, cryptor());
    sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&db.pool).await.unwrap();
    let rows = [Customer::of(1, "acme"), Customer::of(2, "ACME"), Customer::of(3, "acme")];
    customers(&db, &cryptor).insert_many(&rows).await.unwrap();
    let acme = customers(&db, &cryptor.scoped(ctx!(tenant = "acme")));
    assert_eq!(acme.list().await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(acme.list().stream().try_collect::<Vec<_>>().await.unwrap().len(), 2);
    assert_eq!(acme.delete(2).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    acme.delete(1).await.unwrap();
    let left = customers(&db, &cryptor).list().await.unwrap();
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [2, 3]);
}
