//! Values in JSON documents, which no model holds.

use std::{ops::Range, sync::Arc};

use super::{
    Cryptor, FieldSelection,
    backend::OpenItem,
    indexing::Written,
    open::{Keys, cannot_decrypt},
    place::RowPlaces,
    seal::{Visited, too_few},
    sealed_texts::StoredText,
};
use crate::{
    audit::Operation,
    context::EncryptionContext,
    error::{Error, Result},
    model::{FieldSpec, ModelSpec, NodeName, Walk},
    row::RowId,
    secret::SecretBytes,
    value::{Cell, HasTypeOps as _, Json},
    wire::Ciphertext,
};

/// Nodes of documents that are sealed or opened together.
pub(crate) struct NodeBatch {
    model: &'static ModelSpec,
    /// the field that all nodes belong to
    field: &'static FieldSpec,
    context: Arc<EncryptionContext>,
    places: RowPlaces,
    nodes: Vec<Node>,
    /// for each document its place, and where its nodes end
    documents: Vec<(usize, usize)>,
}

struct Node {
    name: NodeName,
    cell: Cell,
}

impl NodeBatch {
    pub(crate) fn new(
        model: &'static ModelSpec,
        field: &'static FieldSpec,
        context: Arc<EncryptionContext>,
    ) -> Self {
        let (places, nodes, documents) = Default::default();
        Self { model, field, context, places, nodes, documents }
    }

    /// Begins a document, to which the nodes that follow belong.
    ///
    /// # Errors
    /// Those of an id that can't be bound, and of a context outside the scope of the cryptor.
    pub(crate) fn document(&mut self, cryptor: &Cryptor, id: &impl RowId) -> Result<()> {
        let place = self.places.add_document(self.model, id, &self.context, cryptor.usable_scope()?)?;
        self.documents.push((place, self.nodes.len()));
        Ok(())
    }

    /// Adds a node to seal, by its JSON text.
    pub(crate) fn plain(&mut self, name: NodeName, json: SecretBytes) {
        self.push(name, Cell::Plain(json));
    }

    /// Adds a node to open.
    pub(crate) fn sealed(&mut self, name: NodeName, text: Ciphertext) {
        self.push(name, Cell::Sealed { text, place: None });
    }

    /// Names the document that was begun last in an error.
    pub(crate) fn locate(&self, error: Error) -> Error {
        self.places.locate(self.model, error)
    }

    fn push(&mut self, name: NodeName, cell: Cell) {
        self.nodes.push(Node { name, cell });
        if let Some((_, end)) = self.documents.last_mut() {
            *end = self.nodes.len();
        }
    }
}

impl Cryptor {
    /// The sealed texts of all nodes, or none.
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`].
    pub(crate) async fn seal_nodes(&self, batch: NodeBatch) -> Result<Vec<Ciphertext>> {
        let NodeBatch { model, field, places, nodes, documents, .. } = batch;
        let visited = Visited { places, walk: walk(field, &nodes), rows: Ok(rows(&documents)) };
        let texts = self
            .seal_visited(model, visited, &FieldSelection::All, Written::Row)
            .await?
            .into_iter()
            .flatten();
        texts
            .map(|text| match text {
                StoredText::Sealed(text) => Ok(text),
                // the policy of documents is never `prepare`
                StoredText::Plaintext(_) => Err(too_few()),
            })
            .collect()
    }

    /// The JSON texts of all nodes, or none.
    ///
    /// # Errors
    /// As [`Cryptor::open`].
    pub(crate) async fn open_nodes(&self, batch: NodeBatch) -> Result<Vec<SecretBytes>> {
        let NodeBatch { model, field, places, nodes, documents, .. } = batch;
        if !self.mode.can_open() {
            let error = cannot_decrypt().model(model.name()).help("this cryptor was limited to writing");
            self.record_refusal(Operation::Open, model, &error).await?;
            return Err(error);
        }
        let walk = walk(field, &nodes);
        let mut items = Vec::with_capacity(nodes.len());
        for (row, slots) in rows(&documents) {
            for slot in walk.slots().get(slots).unwrap_or_default() {
                let place = places.place(row, &walk, slot).ok_or_else(too_few)?;
                let text = slot.cell.sealed_text().ok_or_else(too_few)?;
                items.push(OpenItem { place, text });
            }
        }
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let mut events = Vec::new();
        let opened = self.open_items(&items, Keys::AskedFor, &mut events).await?;
        self.record(events).await?;
        let located = opened.into_iter().zip(&items);
        located.map(|(opened, item)| opened.map_err(|error| item.place.locate(error))).collect()
    }

    /// Records that documents were refused before any value of them was touched.
    ///
    /// # Errors
    /// `error`, or that of an audit sink that fails.
    pub(crate) async fn refuse_documents<T>(
        &self,
        operation: Operation,
        model: &'static ModelSpec,
        error: Error,
    ) -> Result<T> {
        let error = error.model(model.name());
        self.record_refusal(operation, model, &error).await?;
        Err(error)
    }
}

fn walk<'a>(field: &'static FieldSpec, nodes: &'a [Node]) -> Walk<'a> {
    let mut walk = Walk::default();
    for Node { name, cell } in nodes {
        walk.field(field, |walk| walk.node(name, |walk| walk.value(cell, Json::<serde_json::Value>::OPS)));
    }
    walk
}

/// The place of each document, and the slots that its nodes have.
fn rows(documents: &[(usize, usize)]) -> Vec<(usize, Range<usize>)> {
    let starts = std::iter::once(0).chain(documents.iter().map(|(_, end)| *end));
    documents.iter().zip(starts).map(|(&(place, end), start)| (place, start..end)).collect()
}
