//! What one model's items must look like.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, FieldSpec, ModelSpec, Result};

use crate::{
    error::at_attribute,
    expression::{Meanings, check_condition, check_update, is_sealed, not_sealed, sealed_fields_of},
    item::Item,
};

#[derive(Debug, Clone)]
pub(super) struct Rule {
    table: String,
    /// the attribute that says which model an item is
    entity: Option<String>,
    model: &'static ModelSpec,
    fields: Vec<&'static FieldSpec>,
}

impl Rule {
    pub(super) fn new(table: &str, entity: Option<&str>, model: &'static ModelSpec) -> Self {
        Self {
            table: table.to_owned(),
            entity: entity.map(str::to_owned),
            model,
            fields: sealed_fields_of(model.fields()),
        }
    }

    /// Whether it is about this table, given by name or ARN.
    pub(super) fn is_about(&self, table: &str) -> bool {
        let name =
            |table: &str| table.rsplit_once(":table/").map_or(table.to_owned(), |(_, name)| name.to_owned());
        name(table) == name(&self.table)
    }

    pub(super) fn table(&self) -> &str {
        self.table.rsplit_once(":table/").map_or(&self.table, |(_, name)| name)
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.attribute())
    }

    /// Refuses an item with something else than sealed texts in a sealed attribute.
    pub(super) fn item(&self, item: &Item) -> Result<()> {
        if let Some(entity) = &self.entity
            && let Some(AttributeValue::S(name)) = item.get(entity)
            && name != self.model.name()
        {
            return Ok(());
        }
        for field in &self.fields {
            if item.get(field.attribute()).is_some_and(|value| !is_sealed(field, value)) {
                return Err(self.at(not_sealed(field.attribute()), field.attribute()));
            }
        }
        Ok(())
    }

    pub(super) fn condition(&self, expression: Option<&str>, meanings: Meanings<'_>) -> Result<()> {
        check_condition(&self.fields, expression, meanings).map_err(|error| error.model(self.model.name()))
    }

    pub(super) fn update(&self, expression: Option<&str>, meanings: Meanings<'_>) -> Result<()> {
        check_update(&self.fields, expression, meanings).map_err(|error| error.model(self.model.name()))
    }

    /// Refuses parameters of old that name a sealed attribute.
    pub(super) fn named<'a>(&self, names: impl Iterator<Item = &'a String>) -> Result<()> {
        for name in names {
            if self.attributes().any(|attribute| attribute == name) {
                let error = not_sealed(name).help("use expressions: these parameters are not looked into");
                return Err(self.at(error, name));
            }
        }
        Ok(())
    }

    pub(super) fn at(&self, error: Error, attribute: &str) -> Error {
        at_attribute(error, self.model, attribute)
    }
}
