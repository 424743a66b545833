//! Rows one after the other.

use futures_util::{StreamExt as _, TryStreamExt as _};
use pii::{Cryptor, DecryptPii, ErrorKind};

use super::{super::in_dialect, TestDatabase, customers, database, sql};
use crate::{
    models::{Customer, EMAIL},
    support::{cryptor, is_send},
};

const ALL: &str = "select * from customers order by id";

async fn rows(count: i64, cryptor: &Cryptor) -> TestDatabase {
    let db = database().await;
    let rows: Vec<_> = (0..count).map(Customer::new).collect();
    customers(&db, cryptor).insert_many(&rows).await.unwrap();
    db
}

#[tokio::test]
async fn every_row_comes_once_and_in_order() {
    let cryptor = cryptor();
    let db = rows(700, &cryptor).await;
    for chunk in [0, 1, 7, 256, 10_000] {
        let query = sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor).chunk_size(chunk);
        let mut stream = is_stream_send(query.fetch(&db.pool));
        let mut next = 0;
        while let Some(row) = stream.try_next().await.unwrap() {
            assert_eq!(row.id, next);
            assert_eq!(row.email.expose().unwrap(), EMAIL);
            next += 1;
        }
        assert_eq!(next, 700);
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn columns_are_found_wherever_they_stand() {
    let cryptor = cryptor();
    let db = rows(3, &cryptor).await;
    let select = |columns: &str| {
        let query = in_dialect(&format!("select {columns} from customers order by id"));
        sqlx::query_as::<_, Customer>(query).decrypt_pii(&cryptor).fetch(&db.pool).try_collect::<Vec<_>>()
    };
    for columns in [
        "id, tenant, city, email, ssn",
        "ssn, email, city, tenant, id",
        "id, tenant, email, city, ssn",
        "id, tenant, city, email, ssn, 1 as more",
        // of two with one name the last one counts
        "1 as city, customers.*",
    ] {
        let read = select(columns).await.unwrap();
        assert_eq!(read.iter().map(|row| row.id).collect::<Vec<_>>(), [0, 1, 2], "{columns}");
        assert!(read.iter().all(|row| row.city == "London" && row.email.expose().unwrap() == EMAIL));
    }
    for columns in ["id, tenant, null as city, email, ssn", "null as city, id, tenant, email, ssn"] {
        let error = select(columns).await.unwrap_err();
        assert!(error.to_string().contains("customer.city"), "{error}");
    }
}

fn is_stream_send<S: Send>(stream: S) -> S {
    stream
}

#[tokio::test]
async fn a_stream_ends_at_its_first_error() {
    let cryptor = cryptor();
    let db = rows(20, &cryptor).await;
    sql(&db, "update customers set email = 'plain' where id in (5, 9)").await;
    for chunk in [1, 3, 100] {
        let query = sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor).chunk_size(chunk);
        let got: Vec<_> = query.fetch(&db.pool).collect().await;
        assert_eq!(got.len(), 6, "five good rows and an error");
        assert!(got[..5].iter().all(Result::is_ok));
        assert_eq!(got[5].as_ref().unwrap_err().kind(), ErrorKind::NotEncrypted);
    }
}

#[tokio::test]
async fn a_stream_of_results_goes_on() {
    let cryptor = cryptor();
    let db = rows(20, &cryptor).await;
    sql(&db, "update customers set email = 'plain' where id in (5, 9)").await;
    for chunk in [1, 3, 100] {
        let query = sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor).chunk_size(chunk).each_row();
        let got: Vec<_> = query.fetch(&db.pool).collect().await;
        let bad: Vec<_> = (0..).zip(&got).filter(|(_, row)| row.is_err()).map(|(index, _)| index).collect();
        assert_eq!((got.len(), bad), (20, vec![5, 9]));
    }
}

#[tokio::test]
async fn what_concerns_all_rows_is_one_error_and_no_statement() {
    let cryptor = cryptor();
    let db = rows(3, &cryptor).await;
    db.pool.close().await;
    let query = || sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor);
    for got in [
        query().fields(["emial"]).fetch(&db.pool).collect::<Vec<_>>().await,
        query().fields(["emial"]).each_row().fetch(&db.pool).collect::<Vec<_>>().await,
    ] {
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].as_ref().unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn a_stream_runs_in_a_transaction_and_may_be_dropped() {
    let cryptor = cryptor();
    let db = rows(500, &cryptor).await;
    let mut tx = db.pool.begin().await.unwrap();
    {
        let mut stream =
            sqlx::query_as::<_, Customer>(ALL).decrypt_pii(&cryptor).chunk_size(10).fetch(&mut *tx);
        assert_eq!(is_send(stream.try_next()).await.unwrap().unwrap().id, 0);
    }
    customers(&db, &cryptor).delete(1).on(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(customers(&db, &cryptor).get(1).optional().await.unwrap().is_none());
}

#[tokio::test]
async fn a_table_gives_its_rows_as_a_stream() {
    let cryptor = cryptor();
    let db = rows(700, &cryptor).await;
    let table = customers(&db, &cryptor);
    let mut stream = is_stream_send(table.list().decrypt_pii().stream());
    for id in 0..700 {
        let row = stream.try_next().await.unwrap().unwrap();
        assert_eq!((row.id, row.email.expose().unwrap()), (id, EMAIL));
    }
    assert!(stream.next().await.is_none());
    let sealed: Vec<Customer> = table.list().stream().try_collect().await.unwrap();
    assert!(sealed.iter().all(|row| row.email.expose().is_err()));
    // they know their place
    assert_eq!(table.update_many(&sealed).await.unwrap(), 700);
    let ssn_only: Vec<_> = table.list().decrypt_fields(["ssn"]).stream().try_collect().await.unwrap();
    assert!(ssn_only.iter().all(|row| row.email.expose().is_err()));
    assert!(ssn_only.iter().all(|row| row.ssn.as_ref().unwrap().expose().is_ok()));
}

#[tokio::test]
async fn the_stream_of_a_table_ends_at_its_first_error() {
    let cryptor = cryptor();
    let db = rows(600, &cryptor).await;
    sql(&db, "update customers set email = 'plain' where id in (400, 500)").await;
    let table = customers(&db, &cryptor);
    for list in [table.list(), table.list().decrypt_pii()] {
        let got: Vec<_> = list.stream().collect().await;
        assert_eq!(got.len(), 401);
        assert_eq!(got[400].as_ref().unwrap_err().kind(), ErrorKind::NotEncrypted);
    }
    let got: Vec<_> = table.list().decrypt_fields(["emial"]).stream().collect().await;
    assert!(matches!(got.as_slice(), [Err(error)] if error.kind() == ErrorKind::Configuration));
    db.pool.close().await;
    let got: Vec<_> = table.list().stream().collect().await;
    assert!(matches!(got.as_slice(), [Err(error)] if error.kind() == ErrorKind::Database));
}

#[tokio::test]
async fn the_stream_of_a_table_runs_in_a_transaction_and_may_be_dropped() {
    let cryptor = cryptor();
    let db = rows(500, &cryptor).await;
    let table = customers(&db, &cryptor);
    let mut tx = db.pool.begin().await.unwrap();
    table.insert(&Customer::new(-1)).on(&mut tx).await.unwrap();
    {
        let mut stream = table.list().decrypt_pii().on(&mut tx).stream();
        assert_eq!(stream.try_next().await.unwrap().unwrap().id, -1);
    }
    table.delete(1).on(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(table.get(1).optional().await.unwrap().is_none());
}
