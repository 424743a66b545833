//! Reads, all of them strongly consistent.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{__private::silently, Error, ErrorKind, KeyId, KeyRecord, KeySlot, Result};

use super::{
    DynamoKeyStore,
    item::{Item, Stored, winner},
    place::{PARTITION, Place, elections},
};

impl DynamoKeyStore {
    pub(super) async fn read(&self, key_id: KeyId) -> Result<Option<Stored>> {
        let item = self.item(Place::of_record(key_id)).await?;
        item.map(|item| Stored::read(&item, key_id)).transpose()
    }

    /// The winner of this slot and epoch.
    pub(super) async fn elected(&self, slot: &KeySlot, epoch: u32) -> Result<Option<KeyRecord>> {
        match self.item(Place::of_election(slot, epoch)).await? {
            Some(election) => self.winner(&election, slot).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether a slot and epoch has a winner, be its record there or not.
    pub(super) async fn has_winner(&self, slot: &KeySlot, epoch: u32) -> Result<bool> {
        Ok(self.item(Place::of_election(slot, epoch)).await?.is_some())
    }

    /// The winner of the slot's highest epoch.
    pub(super) async fn latest(&self, slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", PARTITION)
            .expression_attribute_values(":partition", AttributeValue::S(elections(slot)))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(1);
        let answer = silently(request.send()).await.map_err(|error| self.failed("dynamodb:Query", &error))?;
        match answer.items().first() {
            Some(election) => self.winner(election, slot).await.map(Some),
            None => Ok(None),
        }
    }

    /// The record that an election names; it must be one of this slot and of the election's epoch.
    async fn winner(&self, election: &Item, slot: &KeySlot) -> Result<KeyRecord> {
        let wrong = |kind, message: &str| {
            Error::new(kind)
                .message(format!("{}: {message}", self.place()))
                .help("restore the table from a backup")
        };
        let (epoch, key_id) = winner(election)
            .ok_or_else(|| wrong(ErrorKind::Malformed, "the election of a slot does not name a key"))?;
        let stored = self.read(key_id).await?.ok_or_else(|| {
            wrong(ErrorKind::KeyMissing, "an election names a key whose record is missing").key(key_id)
        })?;
        if stored.record.slot != *slot || stored.record.epoch != epoch {
            let message = "an election names a key of another slot or epoch";
            return Err(wrong(ErrorKind::ContextMismatch, message).key(key_id));
        }
        Ok(stored.record)
    }

    async fn item(&self, place: Place) -> Result<Option<Item>> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(place.into_key()))
            .consistent_read(true);
        let answer =
            silently(request.send()).await.map_err(|error| self.failed("dynamodb:GetItem", &error))?;
        Ok(answer.item)
    }
}
