//! `#[pii(...)]` on a struct.

use proc_macro2::Span;
use syn::{
    Attribute, Expr, Ident, LitStr, Path, Token, TypePath,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    token::Paren,
};

use super::{BlindIndex, Choice, Given, Keys, Was, field::PLAINTEXT, suggest, value};
use crate::ctxt::Ctxt;

pub(super) const KEYS: &[&str] = &[
    "name",
    "was",
    "table",
    "context",
    "subject",
    "bind",
    "nested",
    "view_of",
    "debug",
    "from_row",
    "fields",
    "plaintext",
    "keyring",
    "blind_index",
    "crate",
];

pub(super) const BIND: &value::Choices = &[("field", "Field")];
/// The name of the pair that `subject` adds to the encryption context.
pub(crate) const SUBJECT: &str = "subject";
const DEBUG: &value::Choices = &[("manual", "Manual")];

#[derive(Default)]
pub(crate) struct Container {
    pub(crate) keys: Keys,
    pub(crate) name: Option<Given<LitStr>>,
    pub(crate) was: Option<Was>,
    pub(crate) table: Option<Given<LitStr>>,
    pub(crate) context: Option<Given<()>>,
    pub(crate) subject: Option<Given<Expr>>,
    /// The pairs of the context, and that of the subject.
    pairs: Vec<ContextPair>,
    pub(crate) bind: Option<Given<Choice>>,
    pub(crate) view_of: Option<Given<TypePath>>,
    pub(crate) debug: Option<Given<Choice>>,
    /// What the function is called that gives the columns.
    pub(crate) fields: Option<Given<Ident>>,
    pub(crate) plaintext: Option<Given<Choice>>,
    pub(crate) keyring: Option<Given<LitStr>>,
    pub(crate) blind_indexes: Vec<BlindIndex>,
    nested: Option<Given<()>>,
    from_row: Option<Given<()>>,
    krate: Option<Given<Path>>,
}

/// `tenant = self.tenant`.
pub(crate) struct ContextPair {
    pub(crate) name: ContextName,
    pub(crate) value: Expr,
}

/// An identifier, or a string literal where the name is none.
pub(crate) struct ContextName {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Container {
    pub(crate) fn parse(cx: &Ctxt, attributes: &[Attribute]) -> Self {
        let mut container = Self::default();
        container.keys = Keys::read(cx, attributes, |key, input| container.item(key, input));
        if let Some(subject) = &container.subject {
            let name = ContextName { text: SUBJECT.to_owned(), span: subject.key.span() };
            container.pairs.push(ContextPair { name, value: subject.value.clone() });
        }
        container
    }

    pub(crate) fn is_nested(&self) -> bool {
        self.keys.has("nested")
    }

    pub(crate) fn wants_from_row(&self) -> bool {
        self.keys.has("from_row")
    }

    /// Where the items of this library are found.
    pub(crate) fn krate(&self) -> Path {
        self.krate.as_ref().map_or_else(|| syn::parse_quote!(::pii), |given| given.value.clone())
    }

    /// The pairs of the encryption context; that of the subject is the last.
    pub(crate) fn context_pairs(&self) -> &[ContextPair] {
        &self.pairs
    }

    fn item(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match key.to_string().as_str() {
            "name" => Given::set(&mut self.name, key, value::text(key, input)?),
            "was" => Given::set(&mut self.was, key, value::texts(key, input)?),
            "table" => Given::set(&mut self.table, key, value::text(key, input)?),
            "context" => {
                let pairs = context(key, input)?;
                Given::set(&mut self.context, key, ())?;
                self.pairs = pairs;
                Ok(())
            }
            "subject" => Given::set(&mut self.subject, key, value::equals(key, input, "self.person_id")?),
            "bind" => Given::set(&mut self.bind, key, value::choice(key, input, BIND)?),
            "nested" => Given::set(&mut self.nested, key, value::flag(key, input)?),
            "view_of" => Given::set(&mut self.view_of, key, value::equals(key, input, "Customer")?),
            "debug" => Given::set(&mut self.debug, key, value::choice(key, input, DEBUG)?),
            "from_row" => Given::set(&mut self.from_row, key, value::flag(key, input)?),
            "fields" => Given::set(&mut self.fields, key, value::function(key, input)?),
            "plaintext" => Given::set(&mut self.plaintext, key, value::choice(key, input, PLAINTEXT)?),
            "keyring" => Given::set(&mut self.keyring, key, value::text(key, input)?),
            "blind_index" => {
                self.blind_indexes.push(BlindIndex::parse(key, input, true)?);
                Ok(())
            }
            "crate" => Given::set(&mut self.krate, key, krate(key, input)?),
            _ => Err(suggest::unknown_key(key, true)),
        }
    }
}

impl ContextPair {
    /// The value, if it is the same for all rows.
    pub(crate) fn literal(&self) -> Option<LitStr> {
        value::string(&self.value)
    }
}

impl Parse for ContextPair {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = if input.peek(LitStr) {
            let literal: LitStr = input.parse()?;
            ContextName { text: literal.value(), span: literal.span() }
        } else {
            let ident = input.call(Ident::parse_any)?;
            ContextName { text: ident.unraw().to_string(), span: ident.span() }
        };
        if input.parse::<Option<Token![=]>>()?.is_none() {
            let message = format!("`{0}` needs a value: `{0} = self.field` or `{0} = \"...\"`", name.text);
            return Err(syn::Error::new(name.span, message));
        }
        Ok(Self { name, value: input.parse()? })
    }
}

/// `(app = "billing", tenant = self.tenant)`.
fn context(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<ContextPair>> {
    if !input.peek(Paren) {
        let message = "`context` takes pairs: `context(app = \"billing\", tenant = self.tenant)`";
        return Err(syn::Error::new_spanned(key, message));
    }
    let content;
    parenthesized!(content in input);
    let pairs = Punctuated::<ContextPair, Token![,]>::parse_terminated(&content)?;
    Ok(pairs.into_iter().collect())
}

/// A path.
fn krate(key: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    if input.parse::<Option<Token![=]>>()?.is_none() {
        return Err(syn::Error::new_spanned(key, "`crate` needs a path: `crate = ::my_crate::pii`"));
    }
    input.call(Path::parse_mod_style)
}

/// The `crate` of a derive that knows no other attribute.
pub(crate) fn crate_alone(cx: &Ctxt, attributes: &[Attribute]) -> Path {
    let mut path = None;
    Keys::read(cx, attributes, |key, input| {
        if key == "crate" {
            Given::set(&mut path, key, krate(key, input)?)
        } else {
            Err(syn::Error::new_spanned(
                key,
                format!("unknown attribute `{key}`; only `crate` is known here"),
            ))
        }
    });
    path.map_or_else(|| syn::parse_quote!(::pii), |given: Given<Path>| given.value)
}
