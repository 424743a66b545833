//! Where an item of the table is: its two key attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{KeyId, KeySlot};

/// The partition key.
pub(super) const PARTITION: &str = "pk";
/// The sort key.
pub(super) const SORT: &str = "sk";

/// Sixteen partitions hold the records, by the first digit of the key id: few enough to read all of them in
/// order, and enough for the writes of sixteen partitions.
const DIGITS: &str = "0123456789abcdef";

/// The place of one item.
pub(super) struct Place {
    pub(super) partition: String,
    pub(super) sort: String,
}

impl Place {
    pub(super) fn of_record(key_id: KeyId) -> Self {
        let sort = key_id.to_string();
        Self { partition: partition(sort.chars().next().unwrap_or_default()), sort }
    }

    pub(super) fn of_election(slot: &KeySlot, epoch: u32) -> Self {
        Self { partition: elections(slot), sort: format!("{epoch:08x}") }
    }

    pub(super) fn into_key(self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PARTITION.to_owned(), AttributeValue::S(self.partition)),
            (SORT.to_owned(), AttributeValue::S(self.sort)),
        ])
    }
}

/// The partition of a slot's elections, sorted by their epochs.
pub(super) fn elections(slot: &KeySlot) -> String {
    format!("slot-{}", slot.digest())
}

/// The partitions of the records, in the order of their key ids.
pub(super) fn records() -> impl Iterator<Item = String> {
    DIGITS.chars().map(partition)
}

fn partition(digit: char) -> String {
    format!("key-{digit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_one_of_the_partitions_in_their_order() {
        let partitions: Vec<_> = records().collect();
        assert!(partitions.is_sorted());
        for digit in 0..=255_u8 {
            let place = Place::of_record(KeyId::from_bytes([digit; 16]));
            assert_eq!(place.partition, partitions[usize::from(digit >> 4)]);
        }
    }
}
