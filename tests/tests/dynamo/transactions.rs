//! Several items, written or read together.

use std::sync::Arc;

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException,
    types::AttributeValue,
};
use pii::{DynamoTable, DynamoTransaction, EncryptedStr, ErrorKind, PiiModel, ValueState, ctx, dynamo_error};
use serde::{Deserialize, Serialize};

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, is_send, stored, table},
};

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(name = "purse", context(tenant = self.tenant))]
#[serde(deny_unknown_fields)]
struct Purse {
    #[pii(partition_key)]
    owner: String,
    #[pii(sort_key)]
    currency: String,
    tenant: String,
    holder: EncryptedStr,
    cents: i64,
    #[pii(version)]
    version: u64,
}

fn purse(owner: &str, cents: i64) -> Purse {
    Purse {
        owner: owner.into(),
        currency: "EUR".into(),
        tenant: "acme".into(),
        holder: EncryptedStr::new("Ada Lovelace"),
        cents,
        version: 1,
    }
}

fn id(owner: &str) -> (String, String) {
    (owner.into(), "EUR".into())
}

fn customer(id: &str) -> Customer {
    Customer { id: id.into(), ..ada() }
}

#[tokio::test]
async fn items_of_several_tables_and_models_are_written_together_with_one_key_call() {
    let (client, cryptor) = (client(), cryptor());
    let (people, money) = (table(&client, "id", None).await, table(&client, "owner", Some("currency")).await);
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &people);
    let purses = DynamoTable::<Purse>::named(&client, &cryptor, &money);
    let (ada, old, new) = (customer("c-1"), customer("c-2"), customer("c-3"));
    let (first, second) = (purse("c-1", 10), purse("c-2", 20));
    let transaction = DynamoTransaction::new(&client)
        .put(&customers, &ada)
        .put(&customers, &old)
        .put_if_absent(&purses, &first)
        .put_if_absent(&purses, &second);
    is_send(transaction.into_future()).await.unwrap();
    assert_eq!(cryptor.stats().key_calls(), 1);
    assert_eq!(ada.email.expose().unwrap(), "ada@example.com");
    let items = stored(&client, &people).await;
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|item| item["email"].as_s().unwrap().starts_with("ENC:")));

    let mut paid = purses.get(id("c-1")).decrypt_pii().await.unwrap();
    paid.cents = 5;
    paid.holder.set("Ada King");
    let calls = cryptor.stats().key_calls();
    DynamoTransaction::new(&client)
        .delete(&customers, "c-2".to_owned())
        .put(&customers, &new)
        .check(&customers, "c-1".to_owned())
        .update_fields(&purses, &paid, ["cents"])
        .check_version(&purses, &second)
        .await
        .unwrap();
    assert_eq!(cryptor.stats().key_calls(), calls);
    assert!(customers.get("c-2".to_owned()).optional().await.unwrap().is_none());
    assert_eq!(
        customers.get("c-3".to_owned()).decrypt_pii().await.unwrap().email.expose().unwrap(),
        "ada@example.com"
    );
    let read = purses.get(id("c-1")).decrypt_pii().await.unwrap();
    assert_eq!((read.cents, read.version, read.holder.expose().unwrap()), (5, 2, "Ada Lovelace"));
    assert_eq!(purses.get(id("c-2")).await.unwrap().version, 1);
    DynamoTransaction::new(&client).await.unwrap();
}

#[tokio::test]
async fn a_condition_that_does_not_hold_names_its_item_and_nothing_is_written() {
    let (client, cryptor) = (client(), cryptor());
    let (people, money) = (table(&client, "id", None).await, table(&client, "owner", Some("currency")).await);
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &people);
    let purses = DynamoTable::<Purse>::named(&client, &cryptor, &money);
    customers.put(&customer("c-1")).await.unwrap();
    purses.put(&purse("c-1", 10)).if_absent().await.unwrap();
    let stale = purses.get(id("c-1")).await.unwrap();
    purses.update(&stale).await.unwrap();
    let before = (stored(&client, &people).await, stored(&client, &money).await);

    let (new, taken, absent) = (customer("c-9"), customer("c-1"), purse("c-7", 1));
    let begun = || DynamoTransaction::new(&client).put(&customers, &new);
    let cases = [
        (begun().update(&purses, &stale), ErrorKind::Conflict, "c-1/EUR", "another version than the model"),
        (begun().put(&purses, &stale), ErrorKind::Conflict, "c-1/EUR", "another version than the model"),
        (begun().check_version(&purses, &stale), ErrorKind::Conflict, "c-1/EUR", "another version"),
        (begun().put_if_absent(&customers, &taken), ErrorKind::Conflict, "c-1", "has this key already"),
        (begun().update(&purses, &absent), ErrorKind::RowNotFound, "c-7/EUR", ""),
        (begun().delete(&purses, id("c-7")), ErrorKind::RowNotFound, "c-7/EUR", ""),
        (begun().check(&purses, id("c-7")), ErrorKind::RowNotFound, "c-7/EUR", ""),
        (begun().check_version(&purses, &absent), ErrorKind::RowNotFound, "c-7/EUR", ""),
    ];
    for (transaction, kind, row, reason) in cases {
        let error = transaction.await.unwrap_err();
        let printed = error.to_string();
        assert_eq!((error.kind(), error.row_id()), (kind, Some(row)), "{error}");
        assert!(printed.contains(reason), "{error}");
        let (model, name) = if row == "c-1" { ("customer", &people) } else { ("purse", &money) };
        assert_eq!(error.model_name(), Some(model));
        assert!(printed.contains(&format!("an item of the table `{name}`")), "{error}");
        let cause = dynamo_error(&error).unwrap().as_service_error().unwrap();
        let TransactionCanceledException(cancelled) = cause else { panic!("{cause}") };
        assert_eq!(cancelled.cancellation_reasons().len(), 2);
    }
    assert_eq!((stored(&client, &people).await, stored(&client, &money).await), before);
    begun().check(&purses, id("c-1")).await.unwrap();
    assert_eq!(stored(&client, &people).await.len(), 2);
}

#[tokio::test]
async fn a_transaction_stays_in_the_scope_of_its_tables_cryptors() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let acme = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    acme.put(&ada()).await.unwrap();
    let before = stored(&client, &name).await;
    let other = cryptor.scoped(ctx!(tenant = "initech"));
    let initech = DynamoTable::<Customer>::named(&client, &other, &name);
    let mine = Customer { tenant: "initech".into(), ..ada() };
    let begin = || DynamoTransaction::new(&client);
    for (transaction, kind) in [
        (begin().put(&initech, &mine), ErrorKind::ContextMismatch),
        (begin().update(&initech, &mine), ErrorKind::RowNotFound),
        (begin().delete(&initech, "c-1".to_owned()), ErrorKind::RowNotFound),
        (begin().check(&initech, "c-1".to_owned()), ErrorKind::RowNotFound),
    ] {
        let error = transaction.await.unwrap_err();
        assert_eq!((error.kind(), error.row_id()), (kind, Some("c-1")), "{error}");
        assert!(!format!("{error} {error:?}").contains("initech"), "{error:?}");
    }
    // a model outside the scope gets no further than the cryptor
    let foreign = ada();
    let error = begin().put(&initech, &foreign).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert!(
        dynamo_error::<aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError>(&error)
            .is_none()
    );
    assert_eq!(stored(&client, &name).await, before);
    let inside = Customer { id: "c-2".into(), ..mine };
    begin().put(&initech, &inside).await.unwrap();
    begin().update(&initech, &inside).await.unwrap();
    begin().delete(&initech, "c-2".to_owned()).await.unwrap();
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_it_is_sent() {
    let (client, cryptor) = (client(), cryptor());
    // whatever is sent fails with another error
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, "no-such-table");
    let many: Vec<Customer> = (0..101).map(|number| customer(&format!("c-{number}"))).collect();
    let all = |many| many_puts(&client, &customers, many);
    let error = all(&many).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("this one has 101"), "{error}");
    assert_eq!(cryptor.stats().key_calls(), 0);
    // a hundred get as far as the server, though old releases of DynamoDB Local take no more than 10
    assert_eq!(all(&many[..100]).await.unwrap_err().kind(), ErrorKind::Database);
    let error = all(&many[..10]).await.unwrap_err();
    assert!(error.to_string().contains("there is no table `no-such-table`"), "{error}");

    let large: Vec<Customer> = (0..14)
        .map(|number| Customer { city: "x".repeat(310_000), ..customer(&format!("c-{number}")) })
        .collect();
    let error = all(&large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("4194304 bytes"), "{error}");
    let updates = large.iter().fold(DynamoTransaction::new(&client), |all, one| all.update(&customers, one));
    assert_eq!(updates.await.unwrap_err().kind(), ErrorKind::TooLarge);
    let error = all(&large[..13]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database, "{error}");

    let one = Customer { city: "x".repeat(420_000), ..ada() };
    let error = DynamoTransaction::new(&client).put(&customers, &one).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::TooLarge, Some("city")));

    let calls = cryptor.stats().key_calls();
    let ada = ada();
    let twice = DynamoTransaction::new(&client).put(&customers, &ada).check(&customers, "c-1".to_owned());
    let error = twice.await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Configuration, Some("c-1")));
    let same = customers.get_together(["c-1".to_owned(), "c-1".to_owned()]).await.map(drop).unwrap_err();
    assert_eq!((same.kind(), same.row_id()), (ErrorKind::Configuration, Some("c-1")));
    let ids = (0..101).map(|number| format!("c-{number}"));
    assert_eq!(customers.get_together(ids).await.map(drop).unwrap_err().kind(), ErrorKind::TooLarge);
    let error = DynamoTransaction::new(&client).check_version(&customers, &ada).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(cryptor.stats().key_calls(), calls);
}

fn many_puts<'a>(
    client: &aws_sdk_dynamodb::Client,
    customers: &'a DynamoTable<Customer>,
    many: &'a [Customer],
) -> DynamoTransaction<'a> {
    many.iter().fold(DynamoTransaction::new(client), |all, one| all.put(customers, one))
}

#[tokio::test]
async fn one_that_was_sealed_and_sent_twice_happens_once() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "owner", Some("currency")).await;
    let purses = DynamoTable::<Purse>::named(&client, &cryptor, &name);
    let new = purse("c-1", 10);
    let sealed = DynamoTransaction::new(&client).put_if_absent(&purses, &new).seal().await.unwrap();
    assert!(stored(&client, &name).await.is_empty());
    sealed.send().await.unwrap();
    let after = stored(&client, &name).await;
    // without its token the condition would not hold any more
    sealed.send().await.unwrap();
    assert_eq!(stored(&client, &name).await, after);
    let another = DynamoTransaction::new(&client).put_if_absent(&purses, &new).await.unwrap_err();
    assert_eq!(another.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn nothing_is_sent_if_one_value_is_refused() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    customers.put(&ada()).await.unwrap();
    let good = customer("c-2");
    let mut moved = customers.get("c-1".to_owned()).await.unwrap();
    moved.id = "c-3".into();
    let error =
        DynamoTransaction::new(&client).put(&customers, &good).put(&customers, &moved).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::WrongPlace, Some("email")));
    assert_eq!(stored(&client, &name).await.len(), 1);
}

#[tokio::test]
async fn entities_keep_their_names_in_a_transaction() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name).entity("entity");
    let ada = ada();
    DynamoTransaction::new(&client).put(&customers, &ada).await.unwrap();
    client
        .put_item()
        .table_name(&name)
        .item("id", AttributeValue::S("v-1".into()))
        .item("entity", AttributeValue::S("visit".into()))
        .send()
        .await
        .unwrap();
    let read = customers.get_together(["c-1".to_owned(), "v-1".to_owned()]).await.unwrap();
    assert!(read[0].is_some() && read[1].is_none());
    let (same_key, begin) = (customer("v-1"), || DynamoTransaction::new(&client));
    for error in [
        begin().delete(&customers, "v-1".to_owned()).await.unwrap_err(),
        begin().check(&customers, "v-1".to_owned()).await.unwrap_err(),
        begin().update(&customers, &same_key).await.unwrap_err(),
        customers.update(&same_key).fields(["email"]).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.row_id()), (ErrorKind::RowNotFound, Some("v-1")), "{error}");
    }
    begin().update(&customers, &ada).await.unwrap();
    DynamoTransaction::new(&client).delete(&customers, "c-1".to_owned()).await.unwrap();
    assert_eq!(stored(&client, &name).await.len(), 1);
}

#[tokio::test]
async fn items_are_read_together_in_the_order_of_their_keys() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "owner", Some("currency")).await;
    let purses = DynamoTable::<Purse>::named(&client, &cryptor, &name);
    purses.put(&purse("c-1", 1)).if_absent().await.unwrap();
    purses.put(&purse("c-3", 3)).if_absent().await.unwrap();
    let ids = || [id("c-3"), id("c-2"), id("c-1")];
    let calls = cryptor.stats().key_calls();
    let read = is_send(purses.get_together(ids()).into_future()).await.unwrap();
    assert_eq!(
        read.iter().map(|one| one.as_ref().map(|one| one.cents)).collect::<Vec<_>>(),
        [Some(3), None, Some(1)]
    );
    assert_eq!(read[0].as_ref().unwrap().holder.state(), ValueState::Sealed);
    assert_eq!(cryptor.stats().key_calls(), calls);
    for opened in [
        purses.get_together(ids()).decrypt_pii().await.unwrap(),
        purses.get_together(ids()).decrypt_fields(["holder"]).await.unwrap(),
    ] {
        assert_eq!(opened[2].as_ref().unwrap().holder.expose().unwrap(), "Ada Lovelace");
    }
    let error = purses.get_together(ids()).decrypt_fields(["cents"]).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(purses.get_together([]).await.unwrap().is_empty());
    let gone = DynamoTable::<Purse>::named(&client, &cryptor, "no-such-table");
    let error = gone.get_together(ids()).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("there is no table `no-such-table`"), "{error}");
}

#[tokio::test]
async fn money_that_is_moved_by_many_at_once_is_neither_lost_nor_made() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "owner", Some("currency")).await;
    let purses = Arc::new(DynamoTable::<Purse>::named(&client, &cryptor, &name));
    for owner in ["c-1", "c-2"] {
        purses.put(&purse(owner, 100)).if_absent().await.unwrap();
    }
    let movers = (0..6).map(|mover| {
        let (client, purses) = (client.clone(), Arc::clone(&purses));
        tokio::spawn(async move {
            for _ in 0..4 {
                loop {
                    let read = purses.get_together([id("c-1"), id("c-2")]).await;
                    // another's transaction is at work: nothing to read yet
                    let read = match read {
                        Ok(read) => read,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                            continue;
                        }
                    };
                    let [Some(mut from), Some(mut to)] = <[_; 2]>::try_from(read).ok().unwrap() else {
                        panic!("both are there")
                    };
                    assert_eq!(from.cents + to.cents, 200);
                    let amount = if mover < 4 { 3 } else { -2 };
                    from.cents -= amount;
                    to.cents += amount;
                    let moved = DynamoTransaction::new(&client)
                        .update_fields(&purses, &from, ["cents"])
                        .update(&purses, &to);
                    match moved.await {
                        Ok(()) => break,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                    }
                }
            }
        })
    });
    for mover in movers.collect::<Vec<_>>() {
        mover.await.unwrap();
    }
    let read = purses.get_together([id("c-1"), id("c-2")]).decrypt_pii().await.unwrap();
    let (first, second) = (read[0].as_ref().unwrap(), read[1].as_ref().unwrap());
    // 4 movers, 4 times 3 cents; 2 movers, 4 times 2 cents back
    assert_eq!((first.cents, second.cents), (100 - 48 + 16, 100 + 48 - 16));
    assert_eq!((first.version, second.version), (25, 25));
    assert_eq!(second.holder.expose().unwrap(), "Ada Lovelace");
}
