//! The list of keys, in the order of their ids.

use aws_sdk_dynamodb::{operation::query::QueryOutput, types::AttributeValue};
use pii_core::{__private::silently, KeyId, ListedKey, Result};

use super::{
    DynamoKeyStore,
    item::{Item, Stored, key_of_record},
    place::{self, PARTITION, Place, SORT},
};

/// What one query asks for at most. An answer has 1 MB in any case.
const MAX_QUERY: usize = 1_000;

impl DynamoKeyStore {
    pub(super) async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<ListedKey>> {
        let mut keys = Vec::new();
        let after = after.map(Place::of_record);
        let is_done = |partition: &String| after.as_ref().is_some_and(|after| *partition < after.partition);
        for partition in place::records().skip_while(is_done) {
            let after = after.as_ref().filter(|after| after.partition == partition);
            let mut begin = None;
            loop {
                let wanted = limit.saturating_sub(keys.len());
                if wanted == 0 {
                    return Ok(keys);
                }
                let answer = self.query(&partition, after, begin, wanted).await?;
                // items that are no records of ours are left out
                keys.extend(answer.items().iter().filter_map(|item| {
                    let key_id = key_of_record(item)?;
                    Some((key_id, Stored::read(item, key_id).map(|stored| stored.record)))
                }));
                begin = answer.last_evaluated_key;
                if begin.is_none() {
                    break;
                }
            }
        }
        Ok(keys)
    }

    async fn query(
        &self,
        partition: &str,
        after: Option<&Place>,
        begin: Option<Item>,
        wanted: usize,
    ) -> Result<QueryOutput> {
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", PARTITION)
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()))
            .consistent_read(true)
            .limit(i32::try_from(wanted.min(MAX_QUERY)).unwrap_or(i32::MAX))
            .set_exclusive_start_key(begin);
        if let Some(after) = after {
            request = request
                .key_condition_expression("#partition = :partition AND #sort > :after")
                .expression_attribute_names("#sort", SORT)
                .expression_attribute_values(":after", AttributeValue::S(after.sort.clone()));
        }
        silently(request.send()).await.map_err(|error| self.failed("dynamodb:Query", &error))
    }
}
