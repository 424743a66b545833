//! Items by a blind index.

use std::{collections::HashSet, future::IntoFuture};

use futures_core::future::BoxFuture;
use futures_util::TryStreamExt as _;
use pii_core::{Error, ErrorKind, FieldSelection, Result, index::IndexSearch};
use serde::de::DeserializeOwned;

use super::{DynamoTable, Query};
use crate::{key::Key, model::DynamoModel, scope};

/// A Query of the items that a search finds; made by [`DynamoTable::find`]. Awaited, it gives all of them.
///
/// Each live version of the blind index is a global secondary index of the table, whose partition key is the
/// attribute of that version. Global indexes follow the table with a short delay.
#[must_use = "nothing is read before this is awaited"]
pub struct Find<'a, M> {
    table: &'a DynamoTable<M>,
    search: IndexSearch<M>,
    fields: FieldSelection,
    names: Vec<(u32, String)>,
}

impl<'a, M: DynamoModel> Find<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, search: IndexSearch<M>) -> Self {
        Self { table, search, fields: FieldSelection::Nothing, names: Vec::new() }
    }

    /// Opens every field whose mode allows it, and leaves out items that were found by chance: codes of few
    /// bits are shared by different values. Without it, or where the searched field stays sealed, such items
    /// are among those found.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed. Items that were found by
    /// chance are left out if the searched fields are among them.
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// Names the secondary index for a version of the blind index, where it is not called as its attribute is.
    pub fn index(mut self, version: u32, name: &str) -> Self {
        self.names.push((version, name.to_owned()));
        self
    }

    /// Whether there is such an item. With an index of few bits it may be there by chance.
    pub fn exists(self) -> Exists<'a, M> {
        Exists(self)
    }

    /// The one item. None is [`ErrorKind::RowNotFound`], several are [`ErrorKind::SeveralRows`].
    pub fn one(self) -> FindOne<'a, M> {
        FindOne(self)
    }

    /// The one item, or none. Several are [`ErrorKind::SeveralRows`].
    pub fn optional(self) -> FindOptional<'a, M> {
        FindOptional(self)
    }

    /// One query for each version and text.
    async fn queries(&self) -> Result<Vec<Query<'a, M>>> {
        let terms = self.table.cryptor.index_terms(&self.search).await;
        let mut queries = Vec::new();
        for term in terms.map_err(DynamoTable::<M>::failed)? {
            let attribute = term.version.attribute;
            let named = self.names.iter().find(|(version, _)| *version == term.version.number);
            let name = named.map_or(attribute, |(_, name)| name.as_str());
            for text in &term.texts {
                queries.push(Query::new(self.table, &&**text).index(name, attribute).within_scope());
            }
        }
        Ok(queries)
    }
}

impl<M: DynamoModel + DeserializeOwned + Send + Sync> Find<'_, M> {
    async fn run(self) -> Result<Vec<M>> {
        let queries = self.checked_queries().await?;
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        for query in queries {
            for model in query.opening(self.fields.clone()).await? {
                if self.is_another(&model, &mut known)? {
                    found.push(model);
                }
            }
        }
        Ok(found)
    }

    /// Reads no further than the page in which there is a second one.
    async fn run_optional(self) -> Result<Option<M>> {
        let queries = self.checked_queries().await?;
        let (mut one, mut known) = (None, HashSet::new());
        for query in queries {
            let mut items = query.opening(self.fields.clone()).stream()?;
            while let Some(model) = items.try_next().await? {
                if self.is_another(&model, &mut known)? && one.replace(model).is_some() {
                    return Err(Error::new(ErrorKind::SeveralRows).model(M::MODEL.name()).help(
                        "ask for all of them; if there should be one, make the index the key of a table of its own",
                    ));
                }
            }
        }
        Ok(one)
    }

    async fn checked_queries(&self) -> Result<Vec<Query<'_, M>>> {
        scope::bounds::<M>(&self.table.cryptor)?;
        self.table.check(&self.fields).await?;
        self.queries().await
    }

    /// Whether an item is one of those that are searched for, and not known yet: the versions of an index find the
    /// same ones.
    fn is_another(&self, model: &M, known: &mut HashSet<String>) -> Result<bool> {
        let is_new = known.insert(Key::of_model(model)?.row.to_string());
        Ok(is_new && self.search.matches(model) != Some(false))
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync + 'a> IntoFuture for Find<'a, M> {
    type Output = Result<Vec<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A Query of the one item that a search finds; made by [`Find::one`].
#[must_use = "nothing is read before this is awaited"]
pub struct FindOne<'a, M>(Find<'a, M>);

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync + 'a> IntoFuture for FindOne<'a, M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let found = self.0.run_optional().await?;
            found.ok_or_else(|| Error::new(ErrorKind::RowNotFound).model(M::MODEL.name()))
        })
    }
}

/// A Query of the item that a search finds, if there is one; made by [`Find::optional`].
#[must_use = "nothing is read before this is awaited"]
pub struct FindOptional<'a, M>(Find<'a, M>);

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync + 'a> IntoFuture for FindOptional<'a, M> {
    type Output = Result<Option<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run_optional())
    }
}

/// Whether a search finds an item; made by [`Find::exists`].
#[must_use = "nothing is read before this is awaited"]
pub struct Exists<'a, M>(Find<'a, M>);

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync + 'a> IntoFuture for Exists<'a, M> {
    type Output = Result<bool>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            scope::bounds::<M>(&self.0.table.cryptor)?;
            for query in self.0.queries().await? {
                if !query.limit(1).await?.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}
