//! What one model's items must look like.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{CurrentPolicies, Error, ErrorKind, FieldPolicies, ModelSpec, Result};

use crate::{
    expression::{Guarded, Meanings, check_condition, check_update},
    item::Item,
};

#[derive(Debug, Clone)]
pub(super) struct Rule {
    table: String,
    /// the attribute that says which model an item is
    entity: Option<String>,
    model: &'static ModelSpec,
}

impl Rule {
    pub(super) fn new(table: &str, entity: Option<&str>, model: &'static ModelSpec) -> Self {
        Self { table: table.to_owned(), entity: entity.map(str::to_owned), model }
    }

    /// Whether it is about this table, given by name or ARN.
    pub(super) fn is_about(&self, table: &str) -> bool {
        name_of(table) == self.table()
    }

    pub(super) fn table(&self) -> &str {
        name_of(&self.table)
    }

    /// The rule as it is at this moment.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if a policy is set that the model can't have.
    pub(super) fn at_this_moment(&self, policies: Option<&FieldPolicies>) -> Result<CurrentRule<'_>> {
        let current =
            policies.map_or_else(|| Ok(CurrentPolicies::default()), |set| set.current(self.model))?;
        Ok(CurrentRule { rule: self, guarded: Guarded::of(self.model, &current) })
    }
}

/// A rule under the policies of one moment.
pub(super) struct CurrentRule<'a> {
    rule: &'a Rule,
    guarded: Guarded,
}

impl CurrentRule<'_> {
    /// The attributes that hold sealed texts.
    pub(super) fn sealed(&self) -> impl Iterator<Item = &'static str> {
        self.guarded.fields().iter().map(|field| field.attribute())
    }

    /// The attributes of blind indexes.
    pub(super) fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.guarded.codes().map(|code| code.attribute())
    }

    /// Refuses an item with something else than sealed texts in a sealed attribute, or than a code in one of a
    /// blind index.
    pub(super) fn item(&self, item: &Item) -> Result<()> {
        if let Some(entity) = &self.rule.entity
            && let Some(AttributeValue::S(name)) = item.get(entity)
            && name != self.rule.model.name()
        {
            return Ok(());
        }
        self.guarded.check_item(item)
    }

    pub(super) fn condition(&self, expression: Option<&str>, meanings: Meanings<'_>) -> Result<()> {
        check_condition(&self.guarded, expression, meanings)
    }

    pub(super) fn update(&self, expression: Option<&str>, meanings: Meanings<'_>) -> Result<()> {
        check_update(&self.guarded, expression, meanings)
    }

    /// Refuses parameters of old that name a guarded attribute.
    pub(super) fn named<'n>(&self, names: impl Iterator<Item = &'n String>) -> Result<()> {
        for name in names {
            if self.sealed().chain(self.codes()).any(|attribute| attribute == name) {
                let message = format!(
                    "the request writes or compares the attribute `{name}`, which is sealed or a blind index, in a \
                     parameter of old"
                );
                return Err(self
                    .at(Error::new(ErrorKind::State).message(message), name)
                    .help("use expressions: these parameters are not looked into"));
            }
        }
        Ok(())
    }

    /// Names the field of an attribute.
    pub(super) fn at(&self, error: Error, attribute: &str) -> Error {
        crate::error::at_attribute(error, self.rule.model, attribute)
    }
}

fn name_of(table: &str) -> &str {
    table.rsplit_once(":table/").map_or(table, |(_, name)| name)
}
