//! Requests that write one item, alike for single calls and transactions.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{
    Error, ErrorKind, FieldRole, FieldSelection, FieldSpec, Holds, IndexEntry, IndexText, PiiModel, Result,
    Sealed,
    index::{IndexPart, IndexSpec},
};
use serde::Serialize;

use super::DynamoTable;
use crate::{
    error,
    item::{Item, to_item},
    key::Key,
    model::DynamoModel,
    placeholders::{Placeholders, all},
    scope, size,
};

/// A request that writes one item, ready to be sent.
pub(crate) struct Write {
    pub(crate) key: Key,
    /// the whole item, for a put
    pub(crate) item: Option<Item>,
    /// what is set and removed, for an update
    pub(crate) update: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) placeholders: Placeholders,
    pub(crate) wants: Wants,
}

/// What the condition of a request wants of the item that is there, to tell why it does not hold.
pub(crate) struct Wants {
    pub(crate) existence: Existence,
    /// the name of the version's attribute, and the version
    pub(crate) version: Option<(&'static str, AttributeValue)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existence {
    Absent,
    Present,
    Either,
}

impl<M: DynamoModel> DynamoTable<M> {
    pub(super) fn failed(error: Error) -> Error {
        error.model(M::MODEL.name())
    }

    /// A whole item, in place of one that is there or not.
    pub(crate) async fn write_put(&self, model: &M, if_absent: bool) -> Result<Write>
    where
        M: Serialize,
    {
        let name = self.name()?;
        let key = Key::of_model(model)?;
        let bounds = scope::bounds::<M>(&self.cryptor)?;
        let sealed = self.cryptor.sealed(model).await.map_err(Self::failed)?;
        let mut item = self.item(&sealed)?;
        let mut placeholders = Placeholders::default();
        let absent = format!("attribute_not_exists({})", placeholders.name(key.partition_name()));
        let mut version = None;
        let condition = if if_absent {
            Some(absent)
        } else {
            let mut conditions = Vec::new();
            if let Some(field) = version_of::<M>() {
                let current = version_in(&item, field)?;
                conditions.push(equals(&mut placeholders, field.attribute(), current.clone()));
                item.insert(field.attribute().to_owned(), next_version(&current, field)?);
                version = Some((field.attribute(), current));
            }
            conditions.extend(bounds.iter().map(|bound| bound.condition(&mut placeholders)));
            conditions.extend(self.is_entity(&mut placeholders));
            all(conditions).map(|conditions| format!("{absent} OR ({conditions})"))
        };
        if condition.is_none() {
            placeholders = Placeholders::default();
        }
        size::check(&item, M::MODEL, name)?;
        let existence = if if_absent { Existence::Absent } else { Existence::Either };
        let wants = Wants { existence, version };
        Ok(Write { key, item: Some(item), update: None, condition, placeholders, wants })
    }

    /// The item of a model as it will be stored, with the entity that it is.
    pub(super) fn item(&self, sealed: &Sealed<'_, M>) -> Result<Item>
    where
        M: Serialize,
    {
        if M::MODEL.is_view() {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("a view has a part of the item only: put whole, it would delete the rest")
                .help("put the model itself, or `update` the view"));
        }
        let mut item = to_item(sealed)?;
        check_sealed(sealed, &item)?;
        for entry in sealed.indexes() {
            if let IndexText::Text(text) = &entry.text {
                item.insert(entry.version.attribute.to_owned(), AttributeValue::S(text.to_string()));
            }
        }
        if let Some(entity) = &self.entity {
            item.entry(entity.to_string()).or_insert_with(|| AttributeValue::S(M::MODEL.name().to_owned()));
            if !self.is_of_entity(&item) {
                return Err(error::at_attribute(
                    Error::new(ErrorKind::Configuration)
                        .message(format!("the attribute `{entity}` must hold the stable name of the model"))
                        .help(
                            "the item could not be found again; set the field to that name, or leave it out",
                        ),
                    M::MODEL,
                    entity,
                ));
            }
        }
        Ok(item)
    }

    /// Chosen fields of an item that is there; all of them, if none are chosen.
    pub(crate) async fn write_update(&self, model: &M, names: Option<&[String]>) -> Result<Write>
    where
        M: Serialize,
    {
        let name = self.name()?;
        let key = Key::of_model(model)?;
        let bounds = scope::bounds::<M>(&self.cryptor)?;
        let chosen = chosen::<M>(names)?;
        let sealed = match names {
            None => self.cryptor.sealed_changes(model).await,
            Some(_) => {
                let sealed = chosen.iter().filter(|field| field.is_sealed()).map(|field| field.name());
                self.cryptor.sealed_fields(model, &FieldSelection::only(sealed)).await
            }
        };
        let sealed = sealed.map_err(Self::failed)?;
        let mut item = to_item(&sealed)?;
        check_sealed(&sealed, &item)?;
        let mut placeholders = Placeholders::default();
        let mut conditions = vec![format!("attribute_exists({})", placeholders.name(key.partition_name()))];
        if names.is_some() || M::MODEL.is_view() {
            // what is sealed here must open beside what is stored there
            for field in M::MODEL.context_fields().filter(|field| field.role() == FieldRole::Data) {
                if let Some(value) = item.get(field.attribute()) {
                    conditions.push(equals(&mut placeholders, field.attribute(), value.clone()));
                }
            }
        }
        if names.is_some() {
            item.retain(|name, _| {
                let is_written = |field: &FieldSpec| field.attribute() == name;
                chosen.iter().any(|field| is_written(field)) || version_of::<M>().is_some_and(is_written)
            });
        }
        size::check(&item, M::MODEL, name)?;
        check_parts::<M>(sealed.indexes(), &chosen)?;
        // of a value that was changed meanwhile the code would be another one
        for field in kept::<M>(sealed.indexes()) {
            if let Some(value) = item.get(field.attribute()) {
                conditions.push(equals(&mut placeholders, field.attribute(), value.clone()));
            }
        }
        let mut version = None;
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        if let Some(field) = version_of::<M>() {
            let current = version_in(&item, field)?;
            conditions.push(equals(&mut placeholders, field.attribute(), current.clone()));
            let next = next_version(&current, field)?;
            set.push(equals(&mut placeholders, field.attribute(), next));
            version = Some((field.attribute(), current));
            item.remove(field.attribute());
        }
        conditions.extend(bounds.iter().map(|bound| bound.condition(&mut placeholders)));
        conditions.extend(self.is_entity(&mut placeholders));
        for (attribute, _) in &key.attributes {
            item.remove(*attribute);
        }
        for field in &chosen {
            match item.remove(field.attribute()) {
                Some(value) => set.push(equals(&mut placeholders, field.attribute(), value)),
                None => removed.push(placeholders.name(field.attribute())),
            }
        }
        for IndexEntry { version, text } in sealed.indexes() {
            match text {
                IndexText::Text(text) => {
                    let value = AttributeValue::S(text.to_string());
                    set.push(equals(&mut placeholders, version.attribute, value));
                }
                IndexText::Null => removed.push(placeholders.name(version.attribute)),
                IndexText::Unchanged => {}
            }
        }
        if names.is_none() {
            // what serde writes beside the model's fields
            set.extend(item.into_iter().map(|(name, value)| equals(&mut placeholders, &name, value)));
        }
        if set.is_empty() && removed.is_empty() {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("there is nothing to update but the key"));
        }
        let mut update = String::new();
        for (verb, parts) in [("SET ", set), ("REMOVE ", removed)] {
            if !parts.is_empty() {
                update.push_str(if update.is_empty() { "" } else { " " });
                update.push_str(verb);
                update.push_str(&parts.join(", "));
            }
        }
        let wants = Wants { existence: Existence::Present, version };
        let condition = all(conditions);
        Ok(Write { key, item: None, update: Some(update), condition, placeholders, wants })
    }

    /// The end of an item that is there, or a check that it is.
    pub(crate) fn write_delete(&self, id: &M::Id) -> Result<Write> {
        self.write_present(Key::of::<M>(id)?)
    }

    fn write_present(&self, key: Key) -> Result<Write> {
        let mut placeholders = Placeholders::default();
        let mut conditions = vec![format!("attribute_exists({})", placeholders.name(key.partition_name()))];
        let bounds = scope::bounds::<M>(&self.cryptor)?;
        conditions.extend(bounds.iter().map(|bound| bound.condition(&mut placeholders)));
        conditions.extend(self.is_entity(&mut placeholders));
        let wants = Wants { existence: Existence::Present, version: None };
        Ok(Write { key, item: None, update: None, condition: all(conditions), placeholders, wants })
    }

    /// That the item which has the model's key is there and has the model's version.
    pub(crate) async fn write_check_version(&self, model: &M) -> Result<Write>
    where
        M: Serialize,
    {
        let Some(field) = version_of::<M>() else {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("the model has no version to check")
                .help("write `#[pii(version)]` on a field, or check that the item is there"));
        };
        let key = Key::of_model(model)?;
        // no sealed field: the version alone is read from it
        let nothing = FieldSelection::Only(Vec::new());
        let sealed = self.cryptor.sealed_fields(model, &nothing).await.map_err(Self::failed)?;
        let version = version_in(&to_item(&sealed)?, field)?;
        let Write { condition, mut placeholders, .. } = self.write_present(key.clone())?;
        let has_version = equals(&mut placeholders, field.attribute(), version.clone());
        let condition = all(condition.into_iter().chain([has_version]).collect());
        let wants = Wants { existence: Existence::Present, version: Some((field.attribute(), version)) };
        Ok(Write { key, item: None, update: None, condition, placeholders, wants })
    }

    /// That an item is of the entity which this table is about.
    pub(super) fn is_entity(&self, placeholders: &mut Placeholders) -> Option<String> {
        let entity = self.entity.as_deref()?;
        Some(equals(placeholders, entity, AttributeValue::S(M::MODEL.name().to_owned())))
    }

    /// Why the condition of a request does not hold, told from the item that is there. It is asked for if
    /// the answer does not have it.
    pub(crate) async fn why_not(&self, write: &Wants, key: &Key, found: Option<Item>) -> Error {
        let found = match found {
            Some(item) => Some(item),
            None => self.stored(key).await.unwrap_or_default(),
        };
        self.reason(write, key, found.as_ref())
    }

    /// The same, where it can't be asked for.
    pub(super) fn reason(&self, write: &Wants, key: &Key, found: Option<&Item>) -> Error {
        let at = |error: Error| error.model(M::MODEL.name()).row(&key.row);
        let Some(item) = found else {
            return match write.existence {
                Existence::Present => at(self.not_written()),
                Existence::Absent => {
                    at(Error::new(ErrorKind::Conflict).message("an item has this key already"))
                }
                Existence::Either => at(Error::new(ErrorKind::Conflict).message(
                    "the item has another version than the model, or is outside the scope of the cryptor",
                )),
            };
        };
        if write.existence == Existence::Absent {
            return at(Error::new(ErrorKind::Conflict)
                .message("an item has this key already")
                .help("to replace it, put without `if_absent`; to change it, use `update`"));
        }
        let bounds = scope::bounds::<M>(&self.cryptor).unwrap_or_default();
        if bounds.iter().any(|bound| !bound.holds(item)) {
            return match write.existence {
                Existence::Either => at(Error::new(ErrorKind::ContextMismatch)
                    .message("the item that has this key is outside the scope of the cryptor")),
                _ => at(self.not_written()),
            };
        }
        if write.existence == Existence::Either && !self.is_of_entity(item) {
            return at(Error::new(ErrorKind::Conflict).message("an item of another model has this key"));
        }
        if write.version.as_ref().is_some_and(|(name, version)| item.get(*name) != Some(version)) {
            return at(Error::new(ErrorKind::Conflict)
                .message("the item has another version than the model")
                .help("load the item, make the change again and save it"));
        }
        if write.existence == Existence::Present && !self.is_of_entity(item) {
            return at(self.not_written());
        }
        at(Error::new(ErrorKind::Conflict)
            .message("the item changed while it was written")
            .help("load the item, make the change again and save it"))
    }

    fn not_written(&self) -> Error {
        let error = Error::new(ErrorKind::RowNotFound);
        match self.cryptor.scope() {
            Ok(None) => error,
            _ => error.message("there is no item with this key in the scope of the cryptor"),
        }
    }

    /// The item as it is stored now.
    async fn stored(&self, key: &Key) -> Result<Option<Item>> {
        let name = self.name()?;
        let request = self.client.get_item().table_name(name).consistent_read(true);
        let found = request.set_key(Some(key.clone().into_item())).send().await;
        found.map(|found| found.item).map_err(|failed| error::from_sdk(failed, M::MODEL, name))
    }
}

/// `#name = :value`
fn equals(placeholders: &mut Placeholders, name: &str, value: AttributeValue) -> String {
    let name = placeholders.name(name);
    format!("{name} = {}", placeholders.value(value))
}

fn version_of<M: PiiModel>() -> Option<&'static FieldSpec> {
    M::MODEL.fields().iter().find(|field| field.role() == FieldRole::Version)
}

fn version_in(item: &Item, field: &FieldSpec) -> Result<AttributeValue> {
    match item.get(field.attribute()) {
        Some(AttributeValue::N(version)) => Ok(AttributeValue::N(version.clone())),
        _ => Err(no_version(field)),
    }
}

fn next_version(version: &AttributeValue, field: &FieldSpec) -> Result<AttributeValue> {
    let next = version.as_n().ok().and_then(|version| version.parse::<i128>().ok()?.checked_add(1));
    next.map(|next| AttributeValue::N(next.to_string())).ok_or_else(|| no_version(field))
}

fn no_version(field: &FieldSpec) -> Error {
    Error::new(ErrorKind::Configuration)
        .message(format!("the version `{}` must be stored as an integer", field.name()))
}

/// The fields that an update writes: neither key nor version.
fn chosen<M: PiiModel>(names: Option<&[String]>) -> Result<Vec<&'static FieldSpec>> {
    let is_data = |field: &&FieldSpec| field.role() == FieldRole::Data;
    let Some(names) = names else { return Ok(M::MODEL.fields().iter().filter(is_data).collect()) };
    let find = |name: &String| match M::MODEL.field(name).filter(is_data) {
        Some(field) => Ok(field),
        None => Err(Error::new(ErrorKind::Configuration)
            .field(M::MODEL.name(), name)
            .message("there is no field of this name to update")
            .help("use the field's stable name; the key can't change, and the version changes by itself")),
    };
    let chosen = names.iter().map(find).collect::<Result<Vec<_>>>()?;
    match chosen.iter().find(|field| M::MODEL.context_fields().any(|other| other.name() == field.name())) {
        None => Ok(chosen),
        Some(field) => Err(Error::new(ErrorKind::Configuration)
            .field(M::MODEL.name(), field.name())
            .message(
                "the field is part of the encryption context, under which all values of the item are sealed",
            )
            .help("load the item with `.decrypt_pii()`, `reseal()` its values and update it whole")),
    }
}

/// The fields whose values are written back unopened, while the codes of their blind indexes stay as they are
/// stored.
fn kept<M: PiiModel>(entries: &[IndexEntry]) -> Vec<&'static FieldSpec> {
    let stays = |index: &&IndexSpec| {
        entries.iter().any(|entry| is_of(entry, index) && entry.text == IndexText::Unchanged)
    };
    let parts = M::MODEL.indexes().iter().filter(stays).flat_map(IndexSpec::parts);
    let mut fields: Vec<&FieldSpec> = Vec::new();
    for field in parts.filter_map(|part| M::MODEL.field(part.field)) {
        if fields.iter().all(|known| known.name() != field.name()) {
            fields.push(field);
        }
    }
    fields
}

/// Refuses to write an index that is made of a value which is not written: the stored one may be another.
fn check_parts<M: PiiModel>(entries: &[IndexEntry], chosen: &[&FieldSpec]) -> Result<()> {
    for index in M::MODEL.indexes() {
        if !entries.iter().any(|entry| is_of(entry, index) && entry.text != IndexText::Unchanged) {
            continue;
        }
        let is_written = |part: &&IndexPart| chosen.iter().any(|field| field.name() == part.field);
        if let Some(part) = index.parts().iter().find(|part| !is_written(part)) {
            return Err(Error::new(ErrorKind::Configuration)
                .field(M::MODEL.name(), part.field)
                .message(format!("the blind index `{}` changes, and is made of this field too", index.name()))
                .help("name all fields of the index, or update the whole item"));
        }
    }
    Ok(())
}

fn is_of(entry: &IndexEntry, index: &IndexSpec) -> bool {
    index.versions().iter().any(|version| version.column == entry.version.column)
}

/// Refuses an item that lacks a sealed value of the model: serde may rename or leave out fields in ways that
/// the derive does not see.
fn check_sealed<M: PiiModel>(sealed: &Sealed<'_, M>, item: &Item) -> Result<()> {
    for field in sealed.fields() {
        let fits = match (field.holds(), item.get(field.attribute())) {
            (Holds::Value(_), Some(value)) => value.is_s(),
            (_, Some(value)) => value.is_l() || value.is_m(),
            (_, None) => false,
        };
        if !fits {
            return Err(error::at_attribute(
                Error::new(ErrorKind::Configuration)
                    .message(format!("serde does not write the field as the attribute `{}`", field.attribute()))
                    .help(
                        "of serde's attributes only `rename` and `rename_all` may change a sealed field; one that is \
                         not stored needs `#[pii(skip)]`",
                    ),
                M::MODEL,
                field.attribute(),
            ));
        }
    }
    Ok(())
}
