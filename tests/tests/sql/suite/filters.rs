//! Rows by conditions on their plain fields.

use pii::{Cryptor, ErrorKind, Filter, SqlTable, ctx};

use super::{Db, TestDatabase};
use crate::{
    models::{EMAIL, MEETINGS, Meeting},
    support::{self, is_send},
};

/// Visits 1 to 6 of `acme`, and 7 of `initech`.
pub(super) async fn meetings(cryptor: &Cryptor) -> (TestDatabase, SqlTable<Meeting, Db>) {
    let ddl: &'static str = MEETINGS.replace("UUID", super::super::UUID).leak();
    let db = TestDatabase::new(4, &[ddl]).await;
    let meetings = SqlTable::<Meeting, _>::new(&db.pool, cryptor);
    let mut rows: Vec<Meeting> = (1..=6).map(Meeting::new).collect();
    rows.push(Meeting { tenant: "initech".into(), ..Meeting::new(7) });
    meetings.insert_many(&rows).await.unwrap();
    (db, meetings)
}

async fn found(meetings: &SqlTable<Meeting, Db>, filter: Filter<Meeting>) -> Vec<u8> {
    meetings.find(filter).await.unwrap().into_iter().map(|visit| visit.id.as_bytes()[0]).collect()
}

#[tokio::test]
async fn each_comparison_is_made_by_the_database() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    let fields = Meeting::fields();
    assert_eq!(found(&meetings, Filter::all()).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(found(&meetings, fields.name.eq("Ada 2")).await, [2]);
    assert_eq!(found(&meetings, fields.name.ne("Ada 2")).await, [1, 3, 4, 5, 6, 7]);
    assert_eq!(found(&meetings, fields.name.is_in(["Ada 1", "Ada 4", "nobody"])).await, [1, 4]);
    assert_eq!(found(&meetings, fields.name.is_in(Vec::<String>::new())).await, [0_u8; 0]);
    assert_eq!(found(&meetings, fields.name.like("%5")).await, [5]);
    assert_eq!(found(&meetings, fields.id.eq(Meeting::new(3).id)).await, [3]);
    assert_eq!(found(&meetings, fields.paid.eq(true)).await, [2, 4, 6]);
    assert_eq!(found(&meetings, fields.ratio.gt(1.0)).await, [5, 6, 7]);
    assert_eq!(found(&meetings, fields.ratio.ge(1.0)).await, [4, 5, 6, 7]);
    assert_eq!(found(&meetings, fields.ratio.lt(0.5)).await, [1]);
    assert_eq!(found(&meetings, fields.ratio.le(0.5)).await, [1, 2]);
}

#[tokio::test]
async fn optional_fields_are_compared_as_what_they_hold() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    let fields = Meeting::fields();
    assert_eq!(found(&meetings, fields.score.eq(4_i16)).await, [4]);
    assert_eq!(found(&meetings, fields.score.ne(4_i16)).await, [1, 2, 5, 7], "NULL is unequal to nothing");
    assert_eq!(found(&meetings, fields.score.is_absent()).await, [3, 6]);
    assert_eq!(found(&meetings, fields.score.is_present()).await, [1, 2, 4, 5, 7]);
}

#[tokio::test]
async fn whether_a_sealed_field_is_there_can_be_asked() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    assert_eq!(found(&meetings, Meeting::fields().who.is_absent()).await, [5]);
    assert_eq!(found(&meetings, Meeting::fields().who.is_present()).await, [1, 2, 3, 4, 6, 7]);
}

#[tokio::test]
async fn conditions_are_joined_as_they_are_written() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    let fields = Meeting::fields();
    let one_or_paid = fields.name.eq("Ada 1").or(fields.paid.eq(true));
    assert_eq!(found(&meetings, one_or_paid.clone()).await, [1, 2, 4, 6]);
    assert_eq!(found(&meetings, one_or_paid.clone().and(fields.ratio.lt(1.0))).await, [1, 2]);
    let nested = fields.name.eq("Ada 1").or(fields.paid.eq(true).and(fields.ratio.gt(1.0)));
    assert_eq!(found(&meetings, nested).await, [1, 6]);
    assert_eq!(found(&meetings, Filter::all().and(one_or_paid.clone())).await, [1, 2, 4, 6]);
    assert_eq!(found(&meetings, Filter::all().or(one_or_paid)).await.len(), 7);
}

#[tokio::test]
async fn values_cannot_become_sql() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    for text in ["' or 1 = 1 --", "\"; drop table meetings; --", "$1", "?"] {
        assert!(found(&meetings, Meeting::fields().name.eq(text)).await.is_empty(), "{text}");
        assert!(found(&meetings, Meeting::fields().name.like(text)).await.is_empty(), "{text}");
    }
    assert_eq!(found(&meetings, Filter::all()).await.len(), 7);
}

#[tokio::test]
async fn the_scope_is_a_part_of_every_condition() {
    let cryptor = support::cryptor();
    let (db, _) = meetings(&cryptor).await;
    let of = |tenant: &str| SqlTable::<Meeting, _>::new(&db.pool, &cryptor.scoped(ctx!(tenant = tenant)));
    let fields = Meeting::fields();
    assert_eq!(found(&of("acme"), Filter::all()).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(found(&of("initech"), Filter::all()).await, [7]);
    // an `or` does not lead out of it
    let either = fields.paid.eq(true).or(fields.tenant.eq("acme")).or(Filter::all());
    assert_eq!(found(&of("initech"), either).await, [7]);
    let either = fields.paid.eq(true).or(fields.tenant.eq("acme"));
    assert_eq!(found(&of("initech"), either).await, [0_u8; 0]);
}

#[tokio::test]
async fn rows_are_opened_on_request() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    let filter = Meeting::fields().name.eq("Ada 2");
    let sealed = meetings.find(filter.clone()).one().await.unwrap();
    assert!(sealed.who.as_ref().unwrap().expose().is_err());
    let opened = is_send(meetings.find(filter.clone()).decrypt_pii().into_future()).await.unwrap();
    assert_eq!(opened[0].who.as_ref().unwrap().expose().unwrap(), EMAIL);
    let chosen = meetings.find(filter).decrypt_fields(["who"]).one().await.unwrap();
    assert_eq!(chosen.who.unwrap().expose().unwrap(), EMAIL);
}

#[tokio::test]
async fn one_row_means_one() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    let fields = Meeting::fields();
    assert!(meetings.find(fields.name.eq("nobody")).optional().await.unwrap().is_none());
    let none = meetings.find(fields.name.eq("nobody")).one().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::RowNotFound);
    let several = meetings.find(fields.paid.eq(true)).one().await.unwrap_err();
    assert_eq!(several.kind(), ErrorKind::SeveralRows);
    assert_eq!(meetings.find(fields.paid.eq(true)).limit(1).one().await.unwrap().name, "Ada 2");
    assert_eq!(meetings.find(fields.paid.eq(true)).limit(2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_transaction_is_used_where_one_is_given() {
    let (db, meetings) = meetings(&support::cryptor()).await;
    let mut tx = db.pool.begin().await.unwrap();
    meetings.insert(&Meeting::new(9)).on(&mut tx).await.unwrap();
    let filter = || Meeting::fields().name.eq("Ada 9");
    assert_eq!(meetings.find(filter()).on(&mut tx).await.unwrap().len(), 1);
    tx.rollback().await.unwrap();
    assert!(meetings.find(filter()).await.unwrap().is_empty());
}

#[tokio::test]
async fn too_many_values_are_refused_before_they_are_sent() {
    let (_db, meetings) = meetings(&support::cryptor()).await;
    let many = usize::try_from(super::super::PARAMETERS).unwrap();
    let filter = |count| Meeting::fields().ratio.is_in((0..count).map(|_| 0.25));
    let error = meetings.find(filter(many)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(found(&meetings, filter(1000)).await, [1]);
}

#[test]
fn a_filter_prints_no_values() {
    let fields = Meeting::fields();
    let filter =
        fields.name.eq("Lovelace").and(fields.name.like("Love%")).or(fields.name.is_in(["Lovelace"]));
    let printed = format!("{filter:?}");
    assert!(!printed.contains("Love") && printed.contains("name"), "{printed}");
}
