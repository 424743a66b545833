//! Compare and swap: values that take the place of others, unless someone else was faster.

use std::time::Duration;

use pii::{
    EncryptedStr, ErrorKind, FieldPolicies, PlaintextPolicy, SqlTable, Swap, ctx, testing::assert_sealed_text,
};
use sqlx::AssertSqlSafe;

use super::{
    super::{Db, LOOSE_COLLATION, LOOSE_TEXT},
    TestDatabase, customers, database, sql, stored,
};
use crate::{
    models::{
        AcceptingCustomer, Customer, DOCUMENTS, Document, EMAIL, MEMBERS, Member, PEOPLE, Person, READINGS,
        Reading, SSN,
    },
    support::{cryptor, is_send},
};

#[tokio::test]
async fn a_row_that_nobody_touched_gets_the_new_values() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    let before = stored(&db, 1).await;
    let other = stored(&db, 2).await;

    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Same);
    row.email.set("new@example.com");
    row.city = "Paris".into();
    assert_eq!(is_send(std::future::IntoFuture::into_future(table.swap(&row))).await.unwrap(), Swap::Swapped);

    let after = stored(&db, 1).await;
    assert_ne!(after.0, before.0);
    assert_eq!(after.1, before.1, "a value that is the same is not written");
    assert_eq!(stored(&db, 2).await, other);
    let opened = table.get(1).decrypt_pii().await.unwrap();
    assert_eq!(opened.email.expose().unwrap(), "new@example.com");
    assert_eq!(opened.city, "London", "what is not sealed is not written");
    // the texts of the loaded row are the old ones now
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Changed);
    assert_eq!(row.into_model().email.expose().unwrap(), "new@example.com");
}

#[tokio::test]
async fn nobody_elses_change_is_overwritten() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    row.email.set("mine@example.com");

    let mut theirs = table.get(1).decrypt_pii().await.unwrap();
    theirs.email.set("theirs@example.com");
    table.update(&theirs).await.unwrap();
    let stays = stored(&db, 1).await;
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Changed);
    assert_eq!(table.swap_many(std::slice::from_ref(&row)).await.unwrap(), [Swap::Changed]);
    assert_eq!(stored(&db, 1).await, stays);

    // a change of another column does not matter, if nothing is bound to it
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    row.email.set("mine@example.com");
    sql(&db, "update customers set city = 'Oslo', ssn = null").await;
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Swapped);
    let opened = table.get(1).decrypt_pii().await.unwrap();
    assert_eq!((opened.city.as_str(), opened.ssn.is_none()), ("Oslo", true));
    assert_eq!(opened.email.expose().unwrap(), "mine@example.com");
}

#[tokio::test]
async fn a_row_that_moved_to_another_tenant_is_not_written() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    row.email.set("new@example.com");
    sql(&db, "update customers set tenant = 'zeta'").await;
    let stays = stored(&db, 1).await;
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Changed);
    assert_eq!(table.swap_many(std::slice::from_ref(&row)).await.unwrap(), [Swap::Changed]);
    assert_eq!(stored(&db, 1).await, stays);
    // outside the scope there is no such row
    let scoped = customers(&db, &cryptor.scoped(ctx!(tenant = "acme")));
    assert_eq!(scoped.swap(&row).await.unwrap(), Swap::Gone);
    assert_eq!(scoped.swap_many(std::slice::from_ref(&row)).await.unwrap(), [Swap::Gone]);
    sql(&db, "update customers set tenant = 'acme'").await;
    assert_eq!(scoped.swap_many(std::slice::from_ref(&row)).await.unwrap(), [Swap::Swapped]);
}

#[tokio::test]
async fn a_row_that_was_deleted_does_not_come_back() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    row.email.set("new@example.com");
    table.delete(1).await.unwrap();
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Gone);
    assert_eq!(table.swap_many(std::slice::from_ref(&row)).await.unwrap(), [Swap::Gone]);
    assert_eq!(super::count(&db).await, 0);
}

#[tokio::test]
async fn null_is_a_value_to_compare_with() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    for many in [false, true] {
        table.upsert(&Customer { ssn: None, ..Customer::new(1) }).await.unwrap();
        let swap = async |row: &pii::Stored<Customer>| match many {
            true => table.swap_many(std::slice::from_ref(row)).await.unwrap()[0],
            false => table.swap(row).await.unwrap(),
        };
        let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
        row.ssn = Some(EncryptedStr::new(SSN));
        sql(&db, "update customers set ssn = 'someone was faster'").await;
        assert_eq!(swap(&row).await, Swap::Changed);
        sql(&db, "update customers set ssn = null").await;
        assert_eq!(swap(&row).await, Swap::Swapped);
        let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
        assert_eq!(row.ssn.as_ref().unwrap().expose().unwrap(), SSN);
        row.ssn = None;
        assert_eq!(swap(&row).await, Swap::Swapped);
        assert_eq!(stored(&db, 1).await.1, None);
    }
}

#[tokio::test]
async fn many_rows_are_told_one_by_one_in_order() {
    let db = TestDatabase::new(4, &[READINGS]).await;
    let cryptor = cryptor();
    let table = SqlTable::<Reading, Db>::new(&db.pool, &cryptor);
    let rows: Vec<_> = (0..1201).map(Reading::new).collect();
    table.insert_many(&rows).await.unwrap();
    let mut loaded = Vec::new();
    for id in 0..1201 {
        let mut row = table.get(id).decrypt_pii().stored().await.unwrap();
        match id % 5 {
            0 => {}
            1 => row.remark = Some(EncryptedStr::new("new remark")),
            _ => row.value.set(format!("new {id}")),
        }
        loaded.push(row);
    }
    sql(&db, "update readings set value = 'changed by someone' where id % 5 = 2; delete from readings where id % 5 = 3")
        .await;
    // not yet: the transaction is rolled back
    let mut tx = db.pool.begin().await.unwrap();
    let within = table.swap_many(&loaded).on(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    let outcomes = table.swap_many(&loaded).await.unwrap();
    assert_eq!(within, outcomes);
    for (id, outcome) in outcomes.iter().enumerate() {
        let expected = [Swap::Same, Swap::Swapped, Swap::Changed, Swap::Gone, Swap::Swapped][id % 5];
        assert_eq!(*outcome, expected, "row {id}");
    }
    assert!(table.swap_many(&[]).await.unwrap().is_empty());
    let opened = table.get(1199).decrypt_pii().await.unwrap();
    assert_eq!(opened.value.expose().unwrap(), "new 1199");
    let opened = table.get(1196).decrypt_pii().await.unwrap();
    assert_eq!(opened.value.expose().unwrap(), "reading 1196");
    assert_eq!(opened.remark.unwrap().expose().unwrap(), "new remark");
}

/// Each task adds 1 to a number inside a sealed value, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_of_many_writers_is_lost() {
    const WRITERS: usize = 6;
    const TIMES: usize = 15;
    for many in [false, true] {
        let (db, cryptor) = (database().await, cryptor());
        let mut row = Customer::new(1);
        row.email.set("0");
        customers(&db, &cryptor).insert(&row).await.unwrap();
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let table = customers(&db, &cryptor);
                tokio::spawn(async move {
                    let mut lost = 0;
                    for _ in 0..TIMES {
                        loop {
                            let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
                            let next = row.email.expose().unwrap().parse::<usize>().unwrap() + 1;
                            row.email.set(next.to_string());
                            let swap = match many {
                                true => table.swap_many(std::slice::from_ref(&row)).await.map(|all| all[0]),
                                false => table.swap(&row).await,
                            };
                            match swap {
                                Ok(Swap::Swapped) => break,
                                Ok(Swap::Changed) => lost += 1,
                                // others write to the file at the moment
                                Err(error) if error.kind() == ErrorKind::Database => {}
                                other => panic!("{other:?}"),
                            }
                            tokio::time::sleep(Duration::from_micros(200)).await;
                        }
                    }
                    lost
                })
            })
            .collect();
        let mut lost = 0;
        for writer in writers {
            lost += writer.await.unwrap();
        }
        let end = customers(&db, &cryptor).get(1).decrypt_pii().await.unwrap();
        assert_eq!(end.email.expose().unwrap(), (WRITERS * TIMES).to_string());
        assert!(lost > 0, "the writers never met");
    }
}

/// Where the database takes two texts for equal, a change from one to the other is a change all the same.
#[tokio::test]
async fn texts_are_compared_by_their_bytes() {
    let db = TestDatabase::new(2, &[]).await;
    let ddl = format!(
        "{LOOSE_COLLATION}; create table customers (id bigint primary key, tenant text not null, \
         city text not null, email {} not null, ssn text)",
        LOOSE_TEXT.replace("40", "400")
    );
    sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&db.pool).await.unwrap();
    sql(&db, "insert into customers values (1, 'acme', 'London', 'Ada', null)").await;
    let table = SqlTable::<AcceptingCustomer, Db>::new(&db.pool, &cryptor());
    let row = table.get(1).stored().await.unwrap();
    sql(&db, "update customers set email = 'ADA'").await;
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Changed);
    assert_eq!(table.swap_many(std::slice::from_ref(&row)).await.unwrap(), [Swap::Changed]);
    assert_eq!(stored(&db, 1).await.0, "ADA");
    let row = table.get(1).stored().await.unwrap();
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Swapped);
    assert_sealed_text(&stored(&db, 1).await.0);
}

#[tokio::test]
async fn stored_plaintext_is_swapped_as_the_policy_says() {
    let (db, policies) = (database().await, FieldPolicies::new());
    let cryptor = cryptor().with_policies(&policies);
    let table = customers(&db, &cryptor);
    sql(&db, "insert into customers values (1, 'acme', 'London', 'ada.canary@example.com', '900-12-canary')")
        .await;
    let refused = table.get(1).stored().await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotEncrypted);

    policies.set_model("customer", PlaintextPolicy::AcceptAndSeal);
    let row = table.get(1).stored().await.unwrap();
    assert!(!format!("{row:?}").contains("canary"));
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Swapped);
    assert_sealed_text(&stored(&db, 1).await.0);

    // and back
    policies.set_model("customer", PlaintextPolicy::Prepare);
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    row.email.reseal().unwrap();
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Swapped);
    let (email, ssn) = stored(&db, 1).await;
    assert_eq!(email, EMAIL);
    assert_sealed_text(&ssn.unwrap());
    // where plaintext is not to be written, it is sealed anew
    policies.set_model("customer", PlaintextPolicy::Reject);
    sql(&db, "delete from customers").await;
    table.insert(&Customer::new(1)).await.unwrap();
    let before = stored(&db, 1).await.0;
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    row.email.reseal().unwrap();
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Swapped);
    assert_ne!(stored(&db, 1).await.0, before);
    assert_sealed_text(&stored(&db, 1).await.0);
}

#[tokio::test]
async fn the_version_is_counted_up() {
    let db = TestDatabase::new(2, &[DOCUMENTS]).await;
    let table = SqlTable::<Document, Db>::new(&db.pool, &cryptor());
    table.insert(&Document::new(1)).await.unwrap();
    let loaded = table.get(1).decrypt_pii().await.unwrap();
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    row.body.set("new");
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Swapped);
    assert_eq!(table.update(&loaded).await.unwrap_err().kind(), ErrorKind::Conflict);
    let mut row = table.get(1).decrypt_pii().stored().await.unwrap();
    assert_eq!(row.revision, 2);
    row.body.set("newer");
    assert_eq!(table.swap_many(std::slice::from_ref(&row)).await.unwrap(), [Swap::Swapped]);
    assert_eq!(table.get(1).await.unwrap().revision, 3);
}

#[tokio::test]
async fn lists_and_nested_structs_are_swapped_whole() {
    let db = TestDatabase::new(2, &[PEOPLE]).await;
    let cryptor = cryptor();
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor);
    people.insert(&Person::new(1)).await.unwrap();
    let mut row = people.get(1).decrypt_pii().stored().await.unwrap();
    row.phones.push(EncryptedStr::new("+44 20 canary 3"));
    row.work = Some(row.home.clone());
    row.work.as_mut().unwrap().street = EncryptedStr::new("2 Canary Wharf");
    assert_eq!(people.swap(&row).await.unwrap(), Swap::Swapped);
    assert_eq!(people.swap(&row).await.unwrap(), Swap::Changed);
    let opened = people.get(1).decrypt_pii().await.unwrap();
    assert_eq!(opened.phones.len(), 3);
    assert_eq!(opened.work.unwrap().street.expose().unwrap(), "2 Canary Wharf");
}

#[tokio::test]
async fn ids_of_several_columns_find_their_rows() {
    let db = TestDatabase::new(2, &[MEMBERS]).await;
    let table = SqlTable::<Member, Db>::new(&db.pool, &cryptor());
    let member = |team: &str, number| Member { team: team.into(), number, phone: EncryptedStr::new("1") };
    table.insert_many(&[member("a", 1), member("a", 2), member("b", 1)]).await.unwrap();
    let mut rows = Vec::new();
    for id in [("b", 1), ("a", 1)] {
        let mut row = table.get((id.0.to_owned(), id.1)).decrypt_pii().stored().await.unwrap();
        row.phone.set(format!("{}{}", id.0, id.1));
        rows.push(row);
    }
    assert_eq!(table.swap_many(&rows).await.unwrap(), [Swap::Swapped; 2]);
    let phones: Vec<String> = table
        .list()
        .decrypt_pii()
        .await
        .unwrap()
        .iter()
        .map(|row| row.phone.expose().unwrap().to_owned())
        .collect();
    assert_eq!(phones, ["a1", "1", "b1"]);
}
