//! Values in the form of another system: who reads and writes them.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::future::join_all;

use super::{Cryptor, place::ValuePlace, seal::too_few};
use crate::{
    error::{Error, ErrorKind, Result},
    model::{LegacyFormat, ModelSpec, sealed_field},
    secret::SecretBytes,
    value::wrong_type,
    wire::Ciphertext,
};

/// A form of another system.
pub(crate) trait LegacyCodec: Send + Sync {
    /// Whether a text has the structure of this form. Asks nobody.
    fn check(&self, text: &str) -> Result<()>;

    /// Whether values can be written in this form.
    fn check_writing(&self) -> Result<()>;

    /// Opens texts; one result for each.
    fn open_each<'a>(&'a self, texts: Vec<&'a str>) -> BoxFuture<'a, Vec<Result<SecretBytes>>>;

    /// The texts for all plaintexts, or none.
    fn seal_all<'a>(&'a self, plaintexts: Vec<&'a [u8]>) -> BoxFuture<'a, Result<Vec<String>>>;
}

/// The forms that a cryptor knows, for all fields and for single ones.
#[derive(Clone, Default)]
pub(super) struct Legacies(Vec<Registered>);

#[derive(Clone)]
struct Registered {
    format: LegacyFormat,
    /// stable name of the model, and path of the field
    only: Option<(String, String)>,
    codec: Arc<dyn LegacyCodec>,
}

impl Legacies {
    #[cfg(feature = "pydynox")]
    fn register(
        &mut self,
        format: LegacyFormat,
        only: Option<(String, String)>,
        codec: Arc<dyn LegacyCodec>,
    ) {
        self.0.retain(|other| other.format != format || other.only != only);
        self.0.push(Registered { format, only, codec });
    }

    /// The one for a field at a place of a model that `is_it` knows.
    pub(super) fn find(
        &self,
        format: LegacyFormat,
        model: &ModelSpec,
        is_it: impl Fn(&str) -> bool,
    ) -> Option<&Arc<dyn LegacyCodec>> {
        let mut of_all = None;
        for registered in self.0.iter().filter(|registered| registered.format == format) {
            match &registered.only {
                Some((of, path)) if of == model.name() && is_it(path) => return Some(&registered.codec),
                Some(_) => {}
                None => of_all = Some(&registered.codec),
            }
        }
        of_all
    }

    /// Whether the single fields are fields of this kind.
    pub(super) fn check(&self, model: &ModelSpec) -> Result<()> {
        for registered in &self.0 {
            let Some((_, path)) = registered.only.as_ref().filter(|(of, _)| of == model.name()) else {
                continue;
            };
            let fits = match sealed_field(model.fields(), path) {
                Some(field) => field.legacy() == Some(registered.format),
                None => model.is_view(),
            };
            if !fits {
                let format = registered.format.name();
                return Err(Error::new(ErrorKind::Configuration)
                    .field(model.name(), path)
                    .message(format!("{format} is registered for a field that does not say so"))
                    .help(format!(
                        "write `#[pii(legacy = \"{format}\")]` on the field, and use its stable name"
                    )));
            }
        }
        Ok(())
    }
}

/// A value of another system to open.
pub(super) struct LegacyOpen<'a> {
    pub(super) place: ValuePlace<'a>,
    pub(super) text: &'a Ciphertext,
    pub(super) codec: &'a Arc<dyn LegacyCodec>,
}

/// A value to write in the form of another system.
pub(super) struct LegacySeal<'a> {
    pub(super) place: ValuePlace<'a>,
    pub(super) plaintext: &'a [u8],
    pub(super) codec: &'a Arc<dyn LegacyCodec>,
}

#[cfg(feature = "pydynox")]
impl Cryptor {
    /// The same cryptor for tables that pydynox uses too: how it reads and writes the fields that say
    /// `#[pii(legacy = "pydynox")]`.
    ///
    /// Such a field's stored values may be of both forms. One of pydynox is loaded sealed, and written
    /// back as it is while it is not changed; `decrypt_pii()` opens it. New values are written in the
    /// form of pydynox, whose programs go on, until [`FieldPolicies`](crate::FieldPolicies) say
    /// [`ReadAndSeal`](crate::LegacyPolicy::ReadAndSeal).
    ///
    /// **A value of pydynox is bound to no field, row or tenant**: whoever can write to the table can copy it
    /// to where it does not belong, and it opens there. So each one that is opened is counted
    /// ([`legacy_opened`](crate::CryptorStats::legacy_opened)) and has an audit event of its own
    /// ([`OpenLegacy`](crate::Operation::OpenLegacy)), and a
    /// [scope](Cryptor::scoped) says nothing about it.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # use pii::{Cryptor, KeyService, Pydynox};
    /// # fn with(cryptor: Cryptor, kms: impl KeyService + Clone) {
    /// let cryptor = cryptor
    ///     .with_legacy(Pydynox::new(kms.clone(), "alias/pii-main"))
    ///     .with_legacy_of("customer", "card", Pydynox::new(kms, "alias/cards").context([("purpose", "payment")]));
    /// # }
    /// ```
    #[must_use]
    pub fn with_legacy(&self, pydynox: crate::Pydynox) -> Self {
        self.register(None, pydynox)
    }

    /// As [`Cryptor::with_legacy`], for one field, by the stable names of its model and its own: pydynox has
    /// key and context per attribute.
    #[must_use]
    pub fn with_legacy_of(&self, model: &str, field: &str, pydynox: crate::Pydynox) -> Self {
        self.register(Some((model.to_owned(), field.to_owned())), pydynox)
    }

    fn register(&self, only: Option<(String, String)>, pydynox: crate::Pydynox) -> Self {
        let mut with = self.clone();
        Arc::make_mut(&mut with.legacies).register(LegacyFormat::Pydynox, only, Arc::new(pydynox));
        with
    }
}

impl Cryptor {
    /// Opens values of other systems; one result for each, in order.
    pub(super) async fn open_legacy(&self, items: &[LegacyOpen<'_>]) -> Vec<Result<SecretBytes>> {
        let groups = groups(items, |item| item.codec);
        let calls = groups.iter().map(|(codec, members)| {
            codec.open_each(members.iter().map(|(_, item)| item.text.as_str()).collect())
        });
        let mut results: Vec<Result<SecretBytes>> = items.iter().map(|_| Err(too_few())).collect();
        for (opened, (_, members)) in join_all(calls).await.into_iter().zip(&groups) {
            for (opened, (index, item)) in opened.into_iter().zip(members) {
                let opened = opened.and_then(|plain| {
                    let is_fine = item.place.is_of_its_type(plain.expose());
                    if is_fine { Ok(plain) } else { Err(wrong_type(item.place.type_code())) }
                });
                self.counters.legacy_opened(opened.is_ok());
                if let Some(result) = results.get_mut(*index) {
                    *result = opened;
                }
            }
        }
        results
    }

    /// Writes values in the forms of other systems: all or none.
    pub(super) async fn seal_legacy(&self, items: &[LegacySeal<'_>]) -> Result<Vec<Ciphertext>> {
        let groups = groups(items, |item| item.codec);
        let calls = groups
            .iter()
            .map(|(codec, members)| codec.seal_all(members.iter().map(|(_, item)| item.plaintext).collect()));
        let mut sealed: Vec<(usize, String)> = Vec::with_capacity(items.len());
        for (texts, (_, members)) in join_all(calls).await.into_iter().zip(&groups) {
            let first = members.first().map(|(_, item)| item.place);
            let texts = texts.map_err(|error| first.map_or(error.clone(), |place| place.locate(error)))?;
            sealed.extend(members.iter().map(|(index, _)| *index).zip(texts));
        }
        if sealed.len() != items.len() {
            return Err(too_few());
        }
        self.counters.legacy_sealed(sealed.len());
        sealed.sort_unstable_by_key(|(index, _)| *index);
        Ok(sealed.into_iter().map(|(_, text)| Ciphertext::foreign(&text)).collect())
    }
}

/// Items with their positions, by who is to do them.
type Groups<'i, T> = Vec<(&'i Arc<dyn LegacyCodec>, Vec<(usize, &'i T)>)>;

fn groups<'i, T>(items: &'i [T], codec: impl Fn(&'i T) -> &'i Arc<dyn LegacyCodec>) -> Groups<'i, T> {
    let mut groups: Groups<'i, T> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let of = codec(item);
        match groups.iter_mut().find(|(other, _)| Arc::ptr_eq(other, of)) {
            Some((_, members)) => members.push((index, item)),
            None => groups.push((of, vec![(index, item)])),
        }
    }
    groups
}
