//! `.decrypt_pii()` on queries whose driver is chosen by the URL.

use pii::{Columns, DecryptPii as _, ErrorKind, Joined, SqlTable};
use sqlx::{AnyPool, AssertSqlSafe};

use super::{
    super::{Db, in_dialect},
    customers, database, sql,
};
use crate::{
    models::{Customer, EMAIL, ORDERS, Order},
    support::cryptor,
};

#[tokio::test]
async fn queries_of_any_driver_are_opened() {
    sqlx::any::install_default_drivers();
    let cryptor = cryptor();
    let db = database().await;
    customers(&db, &cryptor).insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    sql(&db, ORDERS).await;
    SqlTable::<Order, Db>::new(&db.pool, &cryptor).insert(&Order::new(7, 1)).await.unwrap();
    sql(&db, "update customers set ssn = null where id = 2").await;

    let pool = AnyPool::connect(&db.url()).await.unwrap();
    let query =
        || sqlx::query_as::<sqlx::Any, Customer>("select * from customers order by id").decrypt_pii(&cryptor);
    let rows = query().fetch_all(&pool).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2]);
    assert!(rows.iter().all(|row| row.email.expose().unwrap() == EMAIL));
    assert!(rows[0].ssn.is_some() && rows[1].ssn.is_none());

    let customer = Columns::<Customer, Db>::new().of("c").joined();
    let order = Columns::<Order, Db>::new().of("o").joined();
    let statement = format!(
        "select {customer}, {order} from customers c left join orders o on o.customer = c.id order by c.id"
    );
    let rows = sqlx::query_as::<sqlx::Any, Joined<(Customer, Option<Order>)>>(AssertSqlSafe(statement))
        .decrypt_pii(&cryptor)
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(rows[0].0.1.as_ref().unwrap().address.expose().unwrap(), "7 canary road");
    assert!(rows[1].0.1.is_none());

    // the values that were opened are bound like any other
    let bound =
        sqlx::query_scalar::<sqlx::Any, i64>(in_dialect("select count(*) from customers where email = $1"))
            .bind(&rows[0].0.0.email)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(bound, 1);

    sql(&db, "update customers set email = (select email from customers where id = 1) where id = 2").await;
    let error = query().fetch_all(&pool).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("2")));
    pool.close().await;
}
