//! Rows that hold several models.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use pii::{
    AuditFailure, Columns, Cryptor, DecryptPii as _, ErrorKind, FromPrefixedRow as _, Joined, Other,
    SqlTable, TestKeyring, ValueState,
    testing::{CollectingSink, FailingKeyring},
};
use sqlx::{AssertSqlSafe, Row as _};

use super::{super::Db, TestDatabase, sql};
use crate::{
    models::{CUSTOMERS, Customer, EMAIL, ORDERS, Order},
    support::{cryptor, with_keyring},
};

type CustomerAndOrder = Joined<(Customer, Option<Order>)>;

/// Customers 1 to 3, of whom the second has no order and the third has two.
async fn database(cryptor: &Cryptor) -> TestDatabase {
    let db = TestDatabase::new(2, &[CUSTOMERS, ORDERS]).await;
    let rows = [1, 2, 3].map(Customer::new);
    SqlTable::<Customer, Db>::new(&db.pool, cryptor).insert_many(&rows).await.unwrap();
    let rows = [Order::new(10, 1), Order::new(30, 3), Order::new(31, 3)];
    SqlTable::<Order, Db>::new(&db.pool, cryptor).insert_many(&rows).await.unwrap();
    db
}

fn statement(join: &str) -> String {
    let customer = Columns::<Customer, Db>::new().of("c").joined();
    let order = Columns::<Order, Db>::new().of("o").joined();
    format!(
        "select {customer}, {order} from customers c {join} orders o on o.customer = c.id order by c.id, o.id"
    )
}

#[tokio::test]
async fn two_models_are_opened_in_one_batch() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = with_keyring(keyring.clone());
    let db = database(&cryptor).await;
    cryptor.evict_all();
    let before = keyring.calls();
    let rows: Vec<CustomerAndOrder> = sqlx::query_as(AssertSqlSafe(statement("left join")))
        .decrypt_pii(&cryptor)
        .fetch_all(&db.pool)
        .await
        .unwrap();
    // customers and orders were sealed under the same key, which is unwrapped once
    assert_eq!(keyring.calls() - before, 1);
    let rows: Vec<_> = rows
        .iter()
        .map(|Joined((customer, order))| {
            assert_eq!((customer.email.expose().unwrap(), customer.city.as_str()), (EMAIL, "London"));
            let order =
                order.as_ref().map(|order| (order.id, order.city.as_str(), order.address.expose().unwrap()));
            (customer.id, order)
        })
        .collect();
    assert_eq!(
        rows,
        [
            (1, Some((10, "Paris", "10 canary road"))),
            (2, None),
            (3, Some((30, "Paris", "30 canary road"))),
            (3, Some((31, "Paris", "31 canary road"))),
        ]
    );
}

#[tokio::test]
async fn joined_rows_come_one_by_one_and_in_streams() {
    let cryptor = cryptor();
    let db = database(&cryptor).await;
    let query = |join: &str| {
        sqlx::query_as::<_, CustomerAndOrder>(AssertSqlSafe(statement(join))).decrypt_pii(&cryptor)
    };
    let Joined((customer, order)) = query("join").fetch_one(&db.pool).await.unwrap();
    assert_eq!((customer.id, order.unwrap().id), (1, 10));
    let mut stream = query("left join").chunk_size(2).fetch(&db.pool);
    let mut seen = 0;
    while let Some(Joined((customer, _))) = stream.try_next().await.unwrap() {
        assert_eq!(customer.email.expose().unwrap(), EMAIL);
        seen += 1;
    }
    assert_eq!(seen, 4);
    drop(stream);
    // rows are saved again by the tables of their models
    let Joined((customer, order)) = query("join").fetch_one(&db.pool).await.unwrap();
    let mut order = order.unwrap();
    order.address.set("moved");
    SqlTable::<Order, Db>::new(&db.pool, &cryptor).update(&order).await.unwrap();
    SqlTable::<Customer, Db>::new(&db.pool, &cryptor).update(&customer).await.unwrap();
    let Joined((_, order)) = query("join").fetch_one(&db.pool).await.unwrap();
    assert_eq!(order.unwrap().address.expose().unwrap(), "moved");
}

#[tokio::test]
async fn a_field_of_a_joined_row_is_chosen_with_its_model() {
    let cryptor = cryptor();
    let db = database(&cryptor).await;
    let query =
        || sqlx::query_as::<_, CustomerAndOrder>(AssertSqlSafe(statement("join"))).decrypt_pii(&cryptor);
    let Joined((customer, order)) = query().fields(["customer.email"]).fetch_one(&db.pool).await.unwrap();
    assert_eq!(customer.email.expose().unwrap(), EMAIL);
    assert_eq!(customer.ssn.as_ref().unwrap().state(), ValueState::Sealed);
    assert_eq!(order.unwrap().address.state(), ValueState::Sealed);
    let both = query().fields(["customer.email", "order.address"]).fetch_one(&db.pool).await.unwrap();
    assert_eq!(both.0.1.unwrap().address.expose().unwrap(), "10 canary road");
    for (name, named) in [("email", "email"), ("customer.emial", "emial"), ("client.email", "client.email")] {
        let error = query().fields([name]).fetch_one(&db.pool).await.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some(named)));
    }
}

#[tokio::test]
async fn what_cannot_be_opened_in_a_joined_row_is_told_by_model() {
    let cryptor = cryptor();
    let db = database(&cryptor).await;
    sql(&db, "update orders set address = (select address from orders where id = 30) where id = 31").await;
    let query =
        || sqlx::query_as::<_, CustomerAndOrder>(AssertSqlSafe(statement("left join"))).decrypt_pii(&cryptor);
    let error = query().fetch_all(&db.pool).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.model_name(), error.field_name(), error.row_id()),
        (ErrorKind::Integrity, Some("order"), Some("address"), Some("31"))
    );
    let each = query().each_row().fetch_all(&db.pool).await.unwrap();
    assert_eq!(each.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false]);
    // the value of a customer in the place of an order's
    sql(&db, "update orders set address = (select email from customers where id = 1) where id = 10").await;
    let each = query().each_row().fetch_all(&db.pool).await.unwrap();
    assert_eq!(each.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true, false]);
    // another tenant's order beside a customer of one's own
    let scoped = cryptor.scoped(pii::ctx!(tenant = "acme"));
    let rows = sqlx::query_as::<_, CustomerAndOrder>(AssertSqlSafe(statement("left join")));
    sql(&db, "update orders set tenant = 'initech' where id = 30").await;
    let each = rows.decrypt_pii(&scoped).each_row().fetch_all(&db.pool).await.unwrap();
    let refused: Vec<_> = each.iter().map(|row| row.as_ref().err().map(pii::Error::kind)).collect();
    assert_eq!(refused[2], Some(ErrorKind::ContextMismatch));
}

#[tokio::test]
async fn a_joined_row_is_audited_value_by_value() {
    let cryptor = cryptor();
    let db = database(&cryptor).await;
    sql(&db, "update orders set address = (select address from orders where id = 30) where id = 10").await;
    let sink = CollectingSink::new();
    let audited = cryptor.audited(Arc::new(sink.clone()), AuditFailure::Refuse);
    let query = sqlx::query_as::<_, CustomerAndOrder>(AssertSqlSafe(statement("join"))).decrypt_pii(&audited);
    let each = query.each_row().fetch_all(&db.pool).await.unwrap();
    assert_eq!(each.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true]);
    let events = sink.take();
    let of = |model| events.iter().filter(|event| event.model == model).collect::<Vec<_>>();
    assert_eq!((of("customer").len(), of("order").len()), (6, 3));
    let refused: Vec<_> = of("order").iter().map(|event| event.refused).collect();
    assert_eq!(refused, [Some(ErrorKind::Integrity), None, None]);
}

#[tokio::test]
async fn a_column_that_is_missing_or_null_is_told_by_model_and_field() {
    let cryptor = cryptor();
    let db = database(&cryptor).await;
    let customer = Columns::<Customer, Db>::new().of("c").joined();
    let order = Columns::<Order, Db>::new().of("o").joined();
    for (statement, model, field) in [
        (
            format!("select {customer}, o.* from customers c join orders o on o.customer = c.id"),
            "order",
            "id",
        ),
        (
            format!("select c.*, {order} from customers c join orders o on o.customer = c.id"),
            "customer",
            "id",
        ),
        // an outer join whose model is not optional
        (
            format!(
                "select {customer}, {order} from customers c left join orders o on o.customer = c.id where c.id = 2"
            ),
            "order",
            "id",
        ),
    ] {
        let error = sqlx::query_as::<_, Joined<(Customer, Order)>>(AssertSqlSafe(statement))
            .decrypt_pii(&cryptor)
            .fetch_all(&db.pool)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.model_name(), error.field_name()),
            (ErrorKind::Database, Some(model), Some(field)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_model_may_be_there_twice_and_beside_other_values() {
    let cryptor = cryptor();
    let db = database(&cryptor).await;
    let columns = Columns::<Customer, Db>::new();
    let (one, next) = (columns.of("c").prefixed("c_"), columns.of("n").prefixed("n_"));
    let statement = format!(
        "select {one}, {next}, (select count(*) from orders where customer = c.id) as orders \
         from customers c left join customers n on n.id = c.id + 1 order by c.id"
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .try_map(|row: <Db as sqlx::Database>::Row| {
            let next = Option::<Customer>::from_prefixed_row(&row, "n_")?;
            Ok((Customer::from_prefixed_row(&row, "c_")?, next, Other(row.try_get::<i64, _>("orders")?)))
        })
        .decrypt_pii(&cryptor)
        .fetch_all(&db.pool)
        .await
        .unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|(customer, next, Other(orders))| {
            assert_eq!(customer.email.expose().unwrap(), EMAIL);
            (customer.id, next.as_ref().map(|next| (next.id, next.email.expose().unwrap())), *orders)
        })
        .collect();
    assert_eq!(rows, [(1, Some((2, EMAIL)), 1), (2, Some((3, EMAIL)), 0), (3, None, 2)]);
}
