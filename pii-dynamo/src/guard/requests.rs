//! Which parts of a request are looked at.

use aws_sdk_dynamodb::operation::{
    batch_execute_statement::BatchExecuteStatementInput, batch_write_item::BatchWriteItemInput,
    delete_item::DeleteItemInput, execute_statement::ExecuteStatementInput,
    execute_transaction::ExecuteTransactionInput, put_item::PutItemInput, query::QueryInput, scan::ScanInput,
    transact_write_items::TransactWriteItemsInput, update_item::UpdateItemInput,
};
use aws_smithy_runtime_api::client::interceptors::context::Input;
use pii_core::{FieldPolicies, Result};

use super::{
    rule::{CurrentRule, Rule},
    statement,
};
use crate::expression::Meanings;

macro_rules! meanings {
    ($request:expr) => {
        Meanings {
            names: $request.expression_attribute_names.as_ref(),
            values: $request.expression_attribute_values.as_ref(),
        }
    };
}

pub(super) fn check(rules: &[Rule], policies: Option<&FieldPolicies>, input: &Input) -> Result<()> {
    let about = |table: &str| -> Result<Vec<CurrentRule<'_>>> {
        let rules = rules.iter().filter(|rule| rule.is_about(table));
        rules.map(|rule| rule.at_this_moment(policies)).collect()
    };
    let statement = |text: &str| statement::check(rules, policies, text);
    if let Some(put) = input.downcast_ref::<PutItemInput>() {
        for rule in about(put.table_name.as_deref().unwrap_or_default())? {
            put.item.iter().try_for_each(|item| rule.item(item))?;
            rule.condition(put.condition_expression.as_deref(), meanings!(put))?;
            rule.named(put.expected.iter().flatten().map(|(name, _)| name))?;
        }
    } else if let Some(update) = input.downcast_ref::<UpdateItemInput>() {
        for rule in about(update.table_name.as_deref().unwrap_or_default())? {
            rule.update(update.update_expression.as_deref(), meanings!(update))?;
            rule.condition(update.condition_expression.as_deref(), meanings!(update))?;
            rule.named(update.attribute_updates.iter().flatten().map(|(name, _)| name))?;
            rule.named(update.expected.iter().flatten().map(|(name, _)| name))?;
        }
    } else if let Some(delete) = input.downcast_ref::<DeleteItemInput>() {
        for rule in about(delete.table_name.as_deref().unwrap_or_default())? {
            rule.condition(delete.condition_expression.as_deref(), meanings!(delete))?;
            rule.named(delete.expected.iter().flatten().map(|(name, _)| name))?;
        }
    } else if let Some(batch) = input.downcast_ref::<BatchWriteItemInput>() {
        for (table, writes) in batch.request_items.iter().flatten() {
            let items = || writes.iter().filter_map(|write| write.put_request.as_ref()).map(|put| &put.item);
            about(table)?.iter().try_for_each(|rule| items().try_for_each(|item| rule.item(item)))?;
        }
    } else if let Some(transaction) = input.downcast_ref::<TransactWriteItemsInput>() {
        for action in transaction.transact_items.iter().flatten() {
            if let Some(put) = &action.put {
                for rule in about(&put.table_name)? {
                    rule.item(&put.item)?;
                    rule.condition(put.condition_expression.as_deref(), meanings!(put))?;
                }
            }
            if let Some(update) = &action.update {
                for rule in about(&update.table_name)? {
                    rule.update(Some(&update.update_expression), meanings!(update))?;
                    rule.condition(update.condition_expression.as_deref(), meanings!(update))?;
                }
            }
            if let Some(delete) = &action.delete {
                for rule in about(&delete.table_name)? {
                    rule.condition(delete.condition_expression.as_deref(), meanings!(delete))?;
                }
            }
            if let Some(check) = &action.condition_check {
                for rule in about(&check.table_name)? {
                    rule.condition(Some(&check.condition_expression), meanings!(check))?;
                }
            }
        }
    } else if let Some(query) = input.downcast_ref::<QueryInput>() {
        for rule in about(query.table_name.as_deref().unwrap_or_default())? {
            rule.condition(query.key_condition_expression.as_deref(), meanings!(query))?;
            rule.condition(query.filter_expression.as_deref(), meanings!(query))?;
            rule.named(query.key_conditions.iter().flatten().map(|(name, _)| name))?;
            rule.named(query.query_filter.iter().flatten().map(|(name, _)| name))?;
        }
    } else if let Some(scan) = input.downcast_ref::<ScanInput>() {
        for rule in about(scan.table_name.as_deref().unwrap_or_default())? {
            rule.condition(scan.filter_expression.as_deref(), meanings!(scan))?;
            rule.named(scan.scan_filter.iter().flatten().map(|(name, _)| name))?;
        }
    } else if let Some(execute) = input.downcast_ref::<ExecuteStatementInput>() {
        execute.statement.iter().try_for_each(|text| statement(text))?;
    } else if let Some(batch) = input.downcast_ref::<BatchExecuteStatementInput>() {
        batch.statements.iter().flatten().try_for_each(|one| statement(&one.statement))?;
    } else if let Some(transaction) = input.downcast_ref::<ExecuteTransactionInput>() {
        let statements = transaction.transact_statements.iter().flatten();
        statements.map(|one| &one.statement).try_for_each(|text| statement(text))?;
    }
    Ok(())
}
