//! The attributes, as they are written: `#[pii(...)]` on structs and fields, and the renames of
//! serde and sqlx.

mod blind_index;
mod container;
mod field;
mod foreign;
mod suggest;
mod value;
mod variant;

use proc_macro2::TokenTree;
use quote::ToTokens;
use syn::{Attribute, Ident, LitStr, Meta, Token, ext::IdentExt, parse::ParseStream};

use crate::ctxt::Ctxt;

pub(crate) use blind_index::{BlindIndex, Normalize};
pub(crate) use container::{Container, ContextPair, SUBJECT, crate_alone};
pub(crate) use field::{Field, Mask};
pub(crate) use foreign::{RenameAll, Renames, SerdeRenameAll};
pub(crate) use value::Choice;
pub(crate) use variant::Variant;

/// A value with the key that gave it, for errors about either.
#[derive(Clone)]
pub(crate) struct Given<T> {
    pub(crate) key: Ident,
    pub(crate) value: T,
}

/// What `was` lists.
pub(crate) type Was = Given<Vec<LitStr>>;

impl<T> Given<T> {
    /// Sets `slot`, which must be empty.
    fn set(slot: &mut Option<Self>, key: &Ident, value: T) -> syn::Result<()> {
        if slot.is_some() {
            return Err(syn::Error::new_spanned(key, format!("`{key}` is given twice")));
        }
        *slot = Some(Self { key: key.clone(), value });
        Ok(())
    }
}

/// The keys of all `#[pii(...)]` attributes of one item, those with errors too.
#[derive(Default)]
pub(crate) struct Keys {
    keys: Vec<Ident>,
    /// whether there is a `#[pii]` without keys
    bare: bool,
}

impl Keys {
    /// Reads the attributes. `parse` reads what follows a key; one bad key does not hide the next.
    fn read(
        cx: &Ctxt,
        attributes: &[Attribute],
        mut parse: impl FnMut(&Ident, ParseStream<'_>) -> syn::Result<()>,
    ) -> Self {
        let mut keys = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("pii")) {
            let arguments = match &attribute.meta {
                Meta::Path(_) => {
                    keys.bare = true;
                    continue;
                }
                Meta::NameValue(_) => {
                    cx.error(&attribute.meta, "write `#[pii(...)]`");
                    continue;
                }
                Meta::List(_) => attribute.parse_args_with(|input: ParseStream<'_>| {
                    while !input.is_empty() {
                        let key = input.call(Ident::parse_any)?;
                        let parsed = parse(&key, input).and_then(|()| end_of_item(input));
                        keys.keys.push(key);
                        if let Err(error) = parsed {
                            cx.push(error);
                            skip_to_comma(input)?;
                        }
                        input.parse::<Option<Token![,]>>()?;
                    }
                    Ok(())
                }),
            };
            if let Err(error) = arguments {
                cx.push(error);
            }
        }
        keys
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Ident> {
        self.keys.iter().find(|key| *key == name)
    }

    /// Those that have one of these names.
    pub(crate) fn among(&self, names: &[&str]) -> impl Iterator<Item = &Ident> {
        self.keys.iter().filter(|key| names.iter().any(|name| *key == name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ident> {
        self.keys.iter()
    }

    /// Whether there is a `#[pii]` without keys.
    pub(crate) fn bare(&self) -> bool {
        self.bare
    }
}

fn end_of_item(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(input.error("expected `,`"))
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// The path without spaces between its tokens, for messages.
pub(crate) fn display(tokens: impl ToTokens) -> String {
    tokens.into_token_stream().to_string().replace(' ', "")
}
