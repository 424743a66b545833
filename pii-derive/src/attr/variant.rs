//! `#[pii(...)]` on the variants of an enum.

use syn::{Attribute, Ident, LitStr, parse::ParseStream};

use super::{Given, Keys, Was, suggest, value};
use crate::ctxt::Ctxt;

const KEYS: &[&str] = &["name", "was"];

#[derive(Default)]
pub(crate) struct Variant {
    pub(crate) name: Option<Given<LitStr>>,
    pub(crate) was: Option<Was>,
}

impl Variant {
    pub(crate) fn parse(cx: &Ctxt, attributes: &[Attribute]) -> Self {
        let mut variant = Self::default();
        Keys::read(cx, attributes, |key, input| variant.item(key, input));
        variant
    }

    fn item(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match key.to_string().as_str() {
            "name" => Given::set(&mut self.name, key, value::text(key, input)?),
            "was" => Given::set(&mut self.was, key, value::texts(key, input)?),
            name => {
                let meant = suggest::nearest(name, KEYS)
                    .map(|near| format!(" did you mean `{near}`?"))
                    .unwrap_or_default();
                let message =
                    format!("unknown attribute `{name}`;{meant} a variant takes {}", suggest::list(KEYS));
                Err(syn::Error::new_spanned(key, message))
            }
        }
    }
}
