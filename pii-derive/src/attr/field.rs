//! `#[pii(...)]` on a field.

use syn::{Attribute, Expr, ExprPath, Ident, LitInt, LitStr, Path, parse::ParseStream};

use super::{BlindIndex, Choice, Given, Keys, Was, container::BIND, suggest, value};
use crate::ctxt::Ctxt;

pub(super) const KEYS: &[&str] = &[
    "id",
    "partition_key",
    "sort_key",
    "bind",
    "level",
    "mode",
    "mask",
    "name",
    "was",
    "column",
    "nested",
    "prefix",
    "version",
    "keyring",
    "plaintext",
    "legacy",
    "blind_index",
    "pad",
    "was_unpadded",
    "skip",
];

const MODES: &value::Choices =
    &[("ReadWrite", "ReadWrite"), ("WriteOnly", "WriteOnly"), ("ReadOnly", "ReadOnly")];
const MASKS: &value::Choices = &[
    ("full", "Full"),
    ("last4", "Last4"),
    ("first", "First"),
    ("email", "Email"),
    ("name", "Name"),
    ("card", "Card"),
];
pub(super) const PLAINTEXT: &value::Choices =
    &[("reject", "Reject"), ("accept_and_seal", "AcceptAndSeal"), ("prepare", "Prepare")];

const LEGACY: &value::Choices = &[("pydynox", "PYDYNOX")];

#[derive(Default)]
pub(crate) struct Field {
    pub(crate) keys: Keys,
    pub(crate) name: Option<Given<LitStr>>,
    pub(crate) column: Option<Given<LitStr>>,
    pub(crate) prefix: Option<Given<LitStr>>,
    pub(crate) was: Option<Was>,
    pub(crate) level: Option<Given<Level>>,
    pub(crate) mode: Option<Given<Choice>>,
    pub(crate) mask: Option<Given<Mask>>,
    pub(crate) keyring: Option<Given<LitStr>>,
    pub(crate) plaintext: Option<Given<Choice>>,
    pub(crate) legacy: Option<Given<Choice>>,
    pub(crate) bind: Option<Given<Choice>>,
    pub(crate) blind_indexes: Vec<BlindIndex>,
    pub(crate) pad: Option<Given<u32>>,
    pub(crate) was_unpadded: Option<Given<()>>,
    id: Option<Given<()>>,
    partition_key: Option<Given<()>>,
    sort_key: Option<Given<()>>,
    version: Option<Given<()>>,
    nested: Option<Given<()>>,
    skip: Option<Given<()>>,
}

#[derive(Clone)]
pub(crate) struct Level {
    pub(crate) literal: LitInt,
    pub(crate) number: u8,
}

#[derive(Clone)]
pub(crate) enum Mask {
    Named(Choice),
    Function(Path),
}

impl Field {
    pub(crate) fn parse(cx: &Ctxt, attributes: &[Attribute]) -> Self {
        let mut field = Self::default();
        field.keys = Keys::read(cx, attributes, |key, input| field.item(key, input));
        field
    }

    fn item(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match key.to_string().as_str() {
            "id" => Given::set(&mut self.id, key, value::flag(key, input)?),
            "partition_key" => Given::set(&mut self.partition_key, key, value::flag(key, input)?),
            "sort_key" => Given::set(&mut self.sort_key, key, value::flag(key, input)?),
            "bind" => Given::set(&mut self.bind, key, value::choice(key, input, BIND)?),
            "level" => Given::set(&mut self.level, key, level(key, input)?),
            "mode" => Given::set(&mut self.mode, key, value::choice(key, input, MODES)?),
            "mask" => Given::set(&mut self.mask, key, mask(key, input)?),
            "name" => Given::set(&mut self.name, key, value::text(key, input)?),
            "was" => Given::set(&mut self.was, key, value::texts(key, input)?),
            "column" => Given::set(&mut self.column, key, value::text(key, input)?),
            "prefix" => Given::set(&mut self.prefix, key, value::text(key, input)?),
            "nested" => Given::set(&mut self.nested, key, value::flag(key, input)?),
            "version" => Given::set(&mut self.version, key, value::flag(key, input)?),
            "keyring" => Given::set(&mut self.keyring, key, value::text(key, input)?),
            "plaintext" => Given::set(&mut self.plaintext, key, value::choice(key, input, PLAINTEXT)?),
            "legacy" => Given::set(&mut self.legacy, key, value::choice(key, input, LEGACY)?),
            "blind_index" => {
                self.blind_indexes.push(BlindIndex::parse(key, input, false)?);
                Ok(())
            }
            "pad" => Given::set(&mut self.pad, key, pad(key, input)?),
            "was_unpadded" => Given::set(&mut self.was_unpadded, key, value::flag(key, input)?),
            "skip" => Given::set(&mut self.skip, key, value::flag(key, input)?),
            _ => Err(suggest::unknown_key(key, false)),
        }
    }
}

fn level(key: &Ident, input: ParseStream<'_>) -> syn::Result<Level> {
    let literal = value::integer(key, input, "2")?;
    match literal.base10_parse() {
        Ok(number @ 1..=3) => Ok(Level { literal, number }),
        _ => Err(syn::Error::new_spanned(
            literal,
            "unknown level; write `level = 1` for personal data that is stored plain, `level = 2` for a sealed field, \
             or `level = 3` for one that is sealed with an application key too",
        )),
    }
}

fn pad(key: &Ident, input: ParseStream<'_>) -> syn::Result<u32> {
    const MAX_BUCKET: u32 = 65_536;
    let literal = value::integer(key, input, "32")?;
    match literal.base10_parse() {
        Ok(bucket @ 1..=MAX_BUCKET) => Ok(bucket),
        _ => Err(syn::Error::new_spanned(
            literal,
            "`pad` takes the multiple of bytes to which values are padded, 1 to 65536: `pad = 32`",
        )),
    }
}

fn mask(key: &Ident, input: ParseStream<'_>) -> syn::Result<Mask> {
    let expression = value::equals::<Expr>(key, input, "\"full\"")?;
    match expression {
        Expr::Path(ExprPath { qself: None, path, .. }) if !is_bare_name(&path) => Ok(Mask::Function(path)),
        Expr::Closure(_) => Err(syn::Error::new_spanned(
            expression,
            "`mask` takes a name such as `\"last4\"`, or the path of a `fn(&str) -> String`",
        )),
        other => value::choose(key, &other, MASKS).map(Mask::Named),
    }
}

/// Whether a mask's name was written without quotes.
fn is_bare_name(path: &Path) -> bool {
    path.get_ident().is_some_and(|ident| MASKS.iter().any(|mask| ident == mask.0))
}
