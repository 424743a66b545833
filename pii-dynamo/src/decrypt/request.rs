//! What a request says about itself, and what is refused for it before it is sent.

use std::{collections::HashMap, marker::PhantomData};

use pii_core::{
    Cryptor, Error, ErrorKind, FieldSelection, FieldSpec, ModelSpec, PiiModel, Result, RowBinding,
};
use serde::de::DeserializeOwned;

use super::{
    decrypting::Opened,
    keys::Wanted,
    source::{ReadItems, SdkErrorOf},
};
use crate::{
    error::{at_attribute, from_sdk},
    expression::{Guarded, Meanings, check_condition},
    item::Item,
    open::{self, is_of_entity},
};

/// What a request says about itself.
#[derive(Default)]
pub struct Request<'a> {
    pub(super) tables: Vec<&'a str>,
    pub(super) projections: Vec<Projection<'a>>,
    pub(super) wanted: Option<Wanted>,
    pub(super) meanings: Meanings<'a>,
    pub(super) conditions: Vec<&'a str>,
    /// attributes that older parameters compare
    pub(super) compared: Vec<&'a str>,
}

/// Which attributes the items of a request have.
#[derive(Default)]
pub(super) struct Projection<'a> {
    pub(super) expression: Option<&'a str>,
    pub(super) names: Option<&'a HashMap<String, String>>,
    /// the old parameter for the same
    pub(super) attributes: Option<&'a [String]>,
}

impl Projection<'_> {
    /// Whether the attribute comes, and comes whole.
    fn keeps(&self, attribute: &str) -> bool {
        let is_named = |part: &str| {
            let name = self.names.and_then(|names| names.get(part)).map_or(part, String::as_str);
            name == attribute
        };
        match (self.expression, self.attributes) {
            (Some(expression), _) => expression.split(',').any(|part| is_named(part.trim())),
            (None, Some(attributes)) => attributes.iter().any(|name| name == attribute),
            (None, None) => true,
        }
    }

    fn check(&self, model: &'static ModelSpec, entity: Option<&str>) -> Result<()> {
        let bound = needed(model).map(|field| -> &str { field.attribute() });
        let dropped = bound.chain(entity).find(|name| !self.keeps(name));
        let Some(attribute) = dropped else { return Ok(()) };
        let is_entity = entity == Some(attribute);
        let why =
            if is_entity { "says which model an item is" } else { "is what sealed values are bound to" };
        Err(at_attribute(
            Error::new(ErrorKind::Configuration)
                .message(format!("the projection drops the attribute `{attribute}`, which {why}"))
                .help(format!("add `{attribute}` to the projection, whole")),
            model,
            attribute,
        ))
    }
}

/// The fields that values are bound to.
fn needed(model: &'static ModelSpec) -> impl Iterator<Item = &'static FieldSpec> {
    let is_bound = model.binding() == RowBinding::Row;
    let ids = model.fields().iter().filter(move |field| is_bound && field.role().is_id());
    ids.chain(model.context_fields())
}

/// What is kept of a request until its answer is there.
pub(super) struct Context<M, Q> {
    table: String,
    wanted: Option<Wanted>,
    entity: Option<String>,
    kind: PhantomData<fn() -> (M, Q)>,
}

impl<M: PiiModel + DeserializeOwned + Send, Q: ReadItems> Context<M, Q> {
    /// # Errors
    /// What must not be sent.
    pub(super) fn new(request: &Q, cryptor: &Cryptor, entity: Option<String>) -> Result<Self> {
        let Request { tables, projections, wanted, meanings, conditions, compared } = request.request();
        let guarded = Guarded::of(M::MODEL, &cryptor.current_policies(M::MODEL)?);
        for condition in conditions {
            check_condition(&guarded, Some(condition), meanings)?;
        }
        if let Some(field) = guarded.fields().iter().find(|field| compared.contains(&field.attribute())) {
            return Err(guarded.no_comparison(field));
        }
        projections.iter().try_for_each(|projection| projection.check(M::MODEL, entity.as_deref()))?;
        let table = match tables.as_slice() {
            [] => M::MODEL.table().unwrap_or("of the request").to_owned(),
            tables => tables.join("`, `"),
        };
        Ok(Self { table, wanted, entity, kind: PhantomData })
    }

    pub(super) fn failed(&self, error: SdkErrorOf<Q>) -> Error {
        from_sdk(error, M::MODEL, &self.table)
    }

    /// Opens the items of an answer in one batch.
    pub(super) async fn open(
        &self,
        mut output: Q::Output,
        cryptor: &Cryptor,
        fields: &FieldSelection,
    ) -> Result<Opened<Vec<Option<Result<M>>>, Q::Output>> {
        let entity = self.entity.as_deref();
        let is_ours = |item: &Item| is_of_entity(item, M::MODEL, entity);
        let mut items = Vec::new();
        let mut places = Vec::new();
        for (place, item) in Q::take_items(&mut output, &is_ours).into_iter().enumerate() {
            places.push(match item {
                None => Place::Empty,
                Some(item) if self.wanted.as_ref().is_some_and(|wanted| !wanted.includes(place, &item)) => {
                    Place::Wrong
                }
                Some(item) => {
                    items.push(item);
                    Place::Model
                }
            });
        }
        let mut models = open::items::<M>(cryptor, items, entity, fields).await?.into_iter();
        let items = places.into_iter().map(|place| match place {
            Place::Empty => None,
            Place::Wrong => Some(Err(Error::new(ErrorKind::Integrity)
                .model(M::MODEL.name())
                .message("DynamoDB gave an item with another key"))),
            Place::Model => models.next(),
        });
        let items = items.collect();
        Ok(Opened { items, output })
    }
}

/// What is at one place of an answer.
enum Place {
    Empty,
    Wrong,
    Model,
}

#[cfg(test)]
mod tests {
    use pii_core::{ContextPart, FieldRole, Holds, TypeCode};

    use super::*;

    static FIELDS: [FieldSpec; 4] = [
        FieldSpec::new("id", "id", Holds::Plain).with_role(FieldRole::PartitionKey),
        FieldSpec::new("tenant", "tenant_id", Holds::Plain).with_attribute("tenantId"),
        FieldSpec::new("city", "city", Holds::Plain),
        FieldSpec::new("email", "email", Holds::Value(TypeCode::UTF8)),
    ];
    static MODEL: ModelSpec =
        ModelSpec::new("customer", &FIELDS, RowBinding::Row).with_context(&[ContextPart {
            name: "tenant",
            literal: None,
            column: Some("tenant_id"),
            is_stored_text: true,
        }]);

    fn check(text: &str, entity: Option<&str>) -> Result<()> {
        let names = HashMap::from([("#t".into(), "tenantId".into()), ("#id".into(), "id".into())]);
        Projection { expression: Some(text), names: Some(&names), attributes: None }.check(&MODEL, entity)
    }

    #[test]
    fn a_projection_must_keep_what_values_are_bound_to() {
        Projection::default().check(&MODEL, Some("entity")).unwrap();
        for text in ["id, tenantId, email", "email,#t , #id", "#id,tenantId"] {
            check(text, None).unwrap();
        }
        for (text, field) in [
            ("email, #t", "id"),
            ("id, email", "tenant"),
            ("id, tenantId.part", "tenant"),
            ("id, tenantId[0]", "tenant"),
            ("id, #tenantId", "tenant"),
            ("id, tenant", "tenant"),
            ("", "id"),
        ] {
            let error = check(text, None).unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some(field)), "{text}");
        }
        check("id, tenantId, entity", Some("entity")).unwrap();
        let error = check("id, tenantId", Some("entity")).unwrap_err();
        assert!(error.to_string().contains("`entity`"), "{error}");
        let old = |names: [&str; 2]| {
            let names = names.map(str::to_owned);
            Projection { attributes: Some(&names), ..Projection::default() }.check(&MODEL, None)
        };
        old(["id", "tenantId"]).unwrap();
        old(["id", "email"]).unwrap_err();
    }
}
