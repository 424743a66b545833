//! From items to models, whoever asked for them.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use pii_core::{Cryptor, FieldSelection, ModelSpec, PiiModel, Result};
use serde::de::DeserializeOwned;

use crate::item::{Item, from_item};

/// Refuses what would be refused for every item, before any is asked for.
pub(crate) async fn check<M: PiiModel>(cryptor: &Cryptor, fields: &FieldSelection) -> Result<()> {
    cryptor.open_each::<M>(&mut [], fields).await.map(drop).map_err(|error| error.model(M::MODEL.name()))
}

/// Models of items, opened in one batch, each with its own result.
pub(crate) async fn items<M: PiiModel + DeserializeOwned>(
    cryptor: &Cryptor,
    items: Vec<Item>,
    entity: Option<&str>,
    fields: &FieldSelection,
) -> Result<Vec<Result<M>>> {
    let count = items.len();
    let mut models = Vec::with_capacity(count);
    let mut unread = Vec::new();
    let mut row = String::new();
    for (place, mut item) in items.into_iter().enumerate() {
        write_row_of(&item, M::MODEL, &mut row);
        match decode(&mut item, entity) {
            Ok(model) => models.push(model),
            Err(error) => unread.push((place, error.row(&row))),
        }
    }
    let opening = cryptor.open_each(&mut models, fields).await;
    let opening = opening.map_err(|error| error.model(M::MODEL.name()))?;
    let mut opened = models.into_iter().zip(opening).map(|(model, opening)| opening.map(|()| model));
    if unread.is_empty() {
        return Ok(opened.collect());
    }
    let mut unread = unread.into_iter().peekable();
    let in_place = (0..count).map_while(|place| match unread.next_if(|(unread, _)| *unread == place) {
        Some((_, error)) => Some(Err(error)),
        None => opened.next(),
    });
    Ok(in_place.collect())
}

/// Whether an item is one of the model, where this attribute says so.
pub(crate) fn is_of_entity(item: &Item, model: &ModelSpec, entity: Option<&str>) -> bool {
    let Some(entity) = entity else { return true };
    matches!(item.get(entity), Some(AttributeValue::S(name)) if name == model.name())
}

/// The model of an item of its entity.
pub(crate) fn decode<M: PiiModel + DeserializeOwned>(item: &mut Item, entity: Option<&str>) -> Result<M> {
    if let Some(entity) = entity
        && !M::MODEL.fields().iter().any(|field| field.attribute() == entity)
    {
        // ours, which a model with `deny_unknown_fields` does not know
        item.remove(entity);
    }
    for index in M::MODEL.indexes() {
        for version in index.versions() {
            item.remove(version.attribute);
        }
    }
    from_item(item)
}

/// The key of an item, as errors show it.
pub(crate) fn row_of(item: &Item, model: &ModelSpec) -> String {
    let mut row = String::new();
    write_row_of(item, model, &mut row);
    row
}

fn write_row_of(item: &Item, model: &ModelSpec, row: &mut String) {
    row.clear();
    for (part, field) in model.fields().iter().filter(|field| field.role().is_id()).enumerate() {
        if part > 0 {
            row.push('/');
        }
        row.push_str(match item.get(field.attribute()) {
            Some(AttributeValue::S(value) | AttributeValue::N(value)) => value,
            _ => "?",
        });
    }
}

/// Ends a stream after its first error.
pub(crate) fn until_error<'a, T: Send + 'a>(results: BoxStream<'a, Result<T>>) -> BoxStream<'a, Result<T>> {
    let ended = results.scan(false, |is_over, result| {
        let was_over = std::mem::replace(is_over, result.is_err());
        std::future::ready((!was_over).then_some(result))
    });
    ended.fuse().boxed()
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use pii_core::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_stream_ends_after_its_first_error() {
        let results = vec![Ok(1), Err(Error::new(ErrorKind::Integrity)), Ok(3)];
        let results: Vec<_> = until_error(stream::iter(results).boxed()).collect().now_or_never().unwrap();
        assert!(matches!(results.as_slice(), [Ok(1), Err(_)]), "{results:?}");
    }
}
