//! From items to models, whoever asked for them.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use pii_core::{Cryptor, Error, FieldSelection, ModelSpec, PiiModel, Result};
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
    batch(cryptor, items, entity, fields).await.map(Batch::each)
}

/// Models of items, opened in one batch.
pub(crate) async fn batch<M: PiiModel + DeserializeOwned>(
    cryptor: &Cryptor,
    items: Vec<Item>,
    entity: Option<&str>,
    fields: &FieldSelection,
) -> Result<Batch<M>> {
    let (mut models, unread) = decode_all(items, entity);
    let opening = cryptor.open_each(&mut models, fields).await;
    let opening = opening.map_err(|error| error.model(M::MODEL.name()))?;
    Ok(Batch { models, opening, unread })
}

/// Models that were opened together.
pub(crate) struct Batch<M> {
    models: Vec<M>,
    /// for each model
    opening: Vec<Result<()>>,
    /// items that are no models, by their place among all
    unread: Vec<(usize, Error)>,
}

impl<M> Batch<M> {
    /// Each with its own result, in the order of the items.
    pub(crate) fn each(self) -> Vec<Result<M>> {
        let Self { models, opening, unread } = self;
        let count = models.len() + unread.len();
        let mut opened = models.into_iter().zip(opening).map(|(model, opening)| opening.map(|()| model));
        if unread.is_empty() {
            return opened.collect();
        }
        let mut unread = unread.into_iter().peekable();
        let in_place = (0..count).map_while(|place| match unread.next_if(|(unread, _)| *unread == place) {
            Some((_, error)) => Some(Err(error)),
            None => opened.next(),
        });
        in_place.collect()
    }

    /// All of them, or the first error.
    pub(crate) fn all(self) -> Result<Vec<M>> {
        if self.unread.is_empty() && self.opening.iter().all(Result::is_ok) {
            // models are large: they stay where they are
            return Ok(self.models);
        }
        self.each().into_iter().collect()
    }
}

/// No part of the future that waits for keys: its variables would be memory.
fn decode_all<M: PiiModel + DeserializeOwned>(
    items: Vec<Item>,
    entity: Option<&str>,
) -> (Vec<M>, Vec<(usize, Error)>) {
    let mut models = Vec::with_capacity(items.len());
    let mut unread = Vec::new();
    let mut row = String::new();
    for (place, mut item) in items.into_iter().enumerate() {
        write_row_of(&item, M::MODEL, &mut row);
        match decode(&mut item, entity) {
            Ok(model) => models.push(model),
            Err(error) => unread.push((place, error.row(&row))),
        }
    }
    (models, unread)
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
    use pii_core::ErrorKind;

    use super::*;

    #[test]
    fn a_batch_is_all_or_each() {
        let error = |text: &'static str| Error::new(ErrorKind::Integrity).message(text);
        let batch = |opening: Vec<Result<()>>, unread: Vec<(usize, Error)>| Batch {
            models: (0..opening.len()).collect(),
            opening,
            unread,
        };
        let shown = |batch: Batch<usize>| -> Vec<std::result::Result<usize, String>> {
            batch.each().into_iter().map(|one| one.map_err(|error| error.to_string())).collect()
        };
        assert_eq!(batch(vec![Ok(()), Ok(())], vec![]).all().unwrap(), [0, 1]);
        assert_eq!(shown(batch(vec![Ok(()), Ok(())], vec![])), [Ok(0), Ok(1)]);
        let bad =
            || batch(vec![Ok(()), Err(error("closed")), Ok(())], vec![(1, error("a")), (4, error("b"))]);
        let each = shown(bad());
        assert_eq!(
            each.iter().map(std::result::Result::is_ok).collect::<Vec<_>>(),
            [true, false, false, true, false]
        );
        assert!(each[1].as_ref().is_err_and(|text| text.contains('a')), "{each:?}");
        assert!(each[2].as_ref().is_err_and(|text| text.contains("closed")), "{each:?}");
        assert!(bad().all().unwrap_err().to_string().contains('a'));
        assert!(batch(vec![Ok(())], vec![(0, error("first"))]).all().is_err());
        assert!(batch(vec![Err(error("closed"))], vec![]).all().is_err());
    }

    #[test]
    fn a_stream_ends_after_its_first_error() {
        let results = vec![Ok(1), Err(Error::new(ErrorKind::Integrity)), Ok(3)];
        let results: Vec<_> = until_error(stream::iter(results).boxed()).collect().now_or_never().unwrap();
        assert!(matches!(results.as_slice(), [Ok(1), Err(_)]), "{results:?}");
    }
}
