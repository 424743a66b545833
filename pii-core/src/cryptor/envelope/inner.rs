//! The inner envelope of level 3, under an application key.

use super::{
    layer::{OpeningLayer, Scratch, SealingLayer},
    seal::Nonces,
};
use crate::{
    app_keys::{AppKeys, LoadedAppKeys},
    cryptor::ValuePlace,
    error::{Error, ErrorKind, Result},
    model::Level,
    wire::{Envelope, KeyId, TAG_BYTES, inner},
};

/// How many bytes longer than the plaintext an inner envelope is.
pub(super) const OVERHEAD: usize = inner::FRONT_BYTES + TAG_BYTES;

/// Whether a value at this place has an inner envelope; refuses what can't be sealed or opened.
#[inline]
pub(super) fn is_needed(place: &ValuePlace<'_>, app_keys: Option<&LoadedAppKeys>) -> Result<bool> {
    match place.field().level() {
        Level::Two => Ok(false),
        Level::Three if app_keys.is_some() => Ok(true),
        Level::Three => Err(place.locate(no_source())),
        Level::One => Err(place.locate(no_level())),
    }
}

#[cold]
fn no_level() -> Error {
    Error::new(ErrorKind::Configuration).message("values of level 1 are stored plain")
}

/// Seals the inner envelopes of one batch.
pub(super) struct InnerSealer<'a>(SealingLayer<'a>);

impl<'a> InnerSealer<'a> {
    pub(super) fn new(keys: &AppKeys, messages: u64) -> Self {
        let key = keys.current().clone();
        let head = inner::head(key.id());
        Self(SealingLayer::new(Envelope::Inner, key, &head, messages))
    }

    /// Appends the inner envelope of a plaintext.
    pub(super) fn seal(
        &mut self,
        place: &ValuePlace<'a>,
        plaintext: &[u8],
        nonces: &mut Nonces,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.0.seal(place, nonces, scratch, |scratch, _| {
            scratch.bytes.extend_from_slice(plaintext);
            Ok(())
        })
    }
}

/// Why a value does not open.
pub(super) enum Failure {
    Refused(Error),
    /// Its application key is not among the loaded ones; the source may know it by now.
    UnknownAppKey(KeyId),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Opens the inner envelopes of one batch.
pub(super) struct InnerOpener<'a> {
    keys: Result<AppKeys>,
    layers: Vec<OpeningLayer<'a>>,
}

impl<'a> InnerOpener<'a> {
    /// What is wrong with the keys concerns values of level 3 only.
    pub(super) fn new(keys: Result<AppKeys>) -> Self {
        Self { keys, layers: Vec::new() }
    }

    /// Decrypts in place and gives the plaintext. The outer envelope was sealed for this alternative
    /// of the place, so the inner one must be too.
    pub(super) fn open<'b>(
        &mut self,
        place: &ValuePlace<'a>,
        alternative: usize,
        envelope: &'b mut [u8],
        associated_data: &mut Vec<u8>,
        refused: impl Fn(ErrorKind) -> Error,
    ) -> Result<&'b mut [u8], Failure> {
        let keys = self.keys.as_ref().map_err(Clone::clone)?;
        let parts = inner::parse(envelope).ok_or_else(|| {
            refused(ErrorKind::Malformed).message("there is no inner envelope of level 3 in it")
        })?;
        let known = self.layers.iter().position(|layer| layer.key().id() == parts.key_id);
        let index = match known {
            Some(index) => index,
            None => {
                let key = keys.find(parts.key_id).ok_or(Failure::UnknownAppKey(parts.key_id))?;
                self.layers.push(OpeningLayer::new(Envelope::Inner, key.clone()));
                self.layers.len() - 1
            }
        };
        let layer = self.layers.get_mut(index).ok_or_else(|| refused(ErrorKind::Integrity))?;
        let only = alternative..alternative + 1;
        layer
            .open(place, only, &parts.nonce, parts.body, &parts.tag, associated_data)
            .ok_or_else(|| refused(ErrorKind::Integrity))?;
        Ok(parts.body)
    }
}

/// There is nowhere to take an application key from.
#[cold]
pub(super) fn no_source() -> Error {
    Error::new(ErrorKind::Configuration)
        .message("a field of level 3 needs an application key, and this cryptor has none")
        .help("say where application keys come from: `.app_keys(...)`")
}

/// The application key that a value names is not known.
pub(super) fn unknown_key(key_id: KeyId) -> Error {
    Error::new(ErrorKind::KeyMissing)
        .key(key_id)
        .message("the application key of the value is not among those that the source gave")
        .help("put the version of the key that sealed it back into the secret")
}

/// The application key that a value names is not known, and the source could not be asked.
pub(super) fn no_news(error: &Error, key_id: KeyId) -> Error {
    let whole =
        format!("the application key {key_id} of the value is not known, and the source cannot be asked");
    error.clone().key(key_id).within(&whole)
}
