//! `blind_index`, alone or with its arguments.

use proc_macro2::{Span, TokenTree};
use syn::{
    Expr, ExprPath, Ident, LitInt, LitStr, Path, Token,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    token::Paren,
};

use super::{Choice, Given, suggest, value};

const ON_FIELDS: &[&str] = &["normalize", "bits", "unique", "scope", "versions", "name", "column", "search"];
const ON_STRUCTS: &[&str] = &["name", "fields", "bits", "unique", "scope", "versions", "column", "search"];

const SCOPES: &value::Choices = &[("context", "Context"), ("global", "Global")];
const NORMALIZERS: &value::Choices = &[
    ("trim", "TRIM"),
    ("lower", "LOWER"),
    ("email", "EMAIL"),
    ("digits", "DIGITS"),
    ("last4", "LAST4"),
    ("first", "FIRST"),
    ("casefold", "CASE_FOLD"),
];

/// One `blind_index`.
pub(crate) struct BlindIndex {
    pub(crate) key: Ident,
    pub(crate) name: Option<Given<LitStr>>,
    pub(crate) column: Option<Given<LitStr>>,
    /// What the function is called that makes a search.
    pub(crate) search: Option<Given<Ident>>,
    pub(crate) normalize: Option<Given<Vec<Normalize>>>,
    pub(crate) bits: Option<Given<Bits>>,
    pub(crate) unique: Option<Given<()>>,
    pub(crate) scope: Option<Given<Choice>>,
    pub(crate) versions: Option<Given<Vec<Version>>>,
    /// Of a struct's: the fields that it is made of.
    pub(crate) fields: Option<Given<Vec<IndexedField>>>,
}

/// A field of an index over several.
pub(crate) struct IndexedField {
    pub(crate) ident: Ident,
    pub(crate) normalize: Option<Given<Vec<Normalize>>>,
}

#[derive(Clone)]
pub(crate) enum Normalize {
    Named(Choice),
    /// a constant of the user's
    Constant(Path),
}

#[derive(Clone)]
pub(crate) struct Bits {
    pub(crate) number: u8,
}

#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) literal: LitInt,
    pub(crate) number: u32,
}

impl BlindIndex {
    /// What follows the key.
    pub(super) fn parse(key: &Ident, input: ParseStream<'_>, on_struct: bool) -> syn::Result<Self> {
        let mut index = Self {
            key: key.clone(),
            name: None,
            column: None,
            search: None,
            normalize: None,
            bits: None,
            unique: None,
            scope: None,
            versions: None,
            fields: None,
        };
        if input.peek(Token![=]) {
            return Err(syn::Error::new_spanned(
                key,
                "`blind_index` stands alone or with arguments: `blind_index(normalize = \"email\")`",
            ));
        }
        if !input.peek(Paren) {
            return Ok(index);
        }
        let content;
        parenthesized!(content in input);
        while !content.is_empty() {
            let parsed = content.call(Ident::parse_any).and_then(|key| {
                index.item(&key, &content, on_struct)?;
                end_of_argument(&content)
            });
            parsed.inspect_err(|_| skip(&content))?;
        }
        Ok(index)
    }

    fn item(&mut self, key: &Ident, input: ParseStream<'_>, on_struct: bool) -> syn::Result<()> {
        match key.to_string().as_str() {
            "name" => Given::set(&mut self.name, key, value::text(key, input)?),
            "column" => Given::set(&mut self.column, key, value::text(key, input)?),
            "search" => Given::set(&mut self.search, key, value::function(key, input)?),
            "bits" => Given::set(&mut self.bits, key, bits(key, input)?),
            "unique" => Given::set(&mut self.unique, key, value::flag(key, input)?),
            "scope" => Given::set(&mut self.scope, key, value::choice(key, input, SCOPES)?),
            "versions" => Given::set(&mut self.versions, key, versions(key, input)?),
            "normalize" if !on_struct => Given::set(&mut self.normalize, key, normalize(key, input)?),
            "fields" if on_struct => Given::set(&mut self.fields, key, fields(key, input)?),
            _ => Err(unknown(key, if on_struct { ON_STRUCTS } else { ON_FIELDS })),
        }
    }

    /// The live versions with the places that name them.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        match &self.versions {
            Some(versions) => versions.value.iter().map(|version| version.number).collect(),
            None => vec![1],
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.key.span()
    }
}

/// A comma, or nothing more.
fn end_of_argument(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() {
        return Ok(());
    }
    input.parse::<Token![,]>().map(drop)
}

/// Takes what is left, which would be an error of its own otherwise.
fn skip(input: ParseStream<'_>) {
    while !input.is_empty() && input.parse::<TokenTree>().is_ok() {}
}

fn unknown(key: &Ident, known: &[&str]) -> syn::Error {
    let name = key.unraw().to_string();
    let meant =
        suggest::nearest(&name, known).map(|near| format!(" did you mean `{near}`?")).unwrap_or_default();
    syn::Error::new_spanned(
        key,
        format!("unknown argument `{name}`;{meant} `blind_index` takes {} here", suggest::list(known)),
    )
}

/// `= 16`.
fn bits(key: &Ident, input: ParseStream<'_>) -> syn::Result<Bits> {
    let literal = value::integer(key, input, "16")?;
    match literal.base10_parse() {
        Ok(number @ 1..) => Ok(Bits { number }),
        _ => Err(syn::Error::new_spanned(
            literal,
            "`bits` takes a number from 1 to 255; for all 256 bits write nothing, or `unique` where the column is",
        )),
    }
}

/// `(1, 2)`.
fn versions(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Version>> {
    let usage = "`versions` lists the live versions: `versions(1, 2)`";
    if !input.peek(Paren) {
        return Err(syn::Error::new_spanned(key, usage));
    }
    let content;
    parenthesized!(content in input);
    let literals = Punctuated::<LitInt, Token![,]>::parse_terminated(&content);
    let literals = literals.inspect_err(|_| skip(&content))?;
    if literals.is_empty() {
        return Err(syn::Error::new_spanned(key, usage));
    }
    let version = |literal: LitInt| match literal.base10_parse() {
        Ok(number @ 1..) => Ok(Version { literal, number }),
        _ => Err(syn::Error::new_spanned(literal, "a version is a number from 1 on")),
    };
    literals.into_iter().map(version).collect()
}

/// `= "email"`, or `("digits", my::PHONE)`, one after the other.
fn normalize(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Normalize>> {
    if !input.peek(Paren) {
        let expression = value::equals::<Expr>(key, input, "\"email\"")?;
        return normalizer(key, expression).map(|one| vec![one]);
    }
    let content;
    parenthesized!(content in input);
    let expressions = Punctuated::<Expr, Token![,]>::parse_terminated(&content);
    let expressions = expressions.inspect_err(|_| skip(&content))?;
    if expressions.is_empty() {
        return Err(syn::Error::new_spanned(
            key,
            "`normalize` needs at least one name: `normalize(\"digits\", \"last4\")`",
        ));
    }
    expressions.into_iter().map(|expression| normalizer(key, expression)).collect()
}

fn normalizer(key: &Ident, expression: Expr) -> syn::Result<Normalize> {
    match expression {
        Expr::Path(ExprPath { qself: None, path, .. }) if !is_bare_name(&path) => {
            Ok(Normalize::Constant(path))
        }
        Expr::Closure(_) => Err(syn::Error::new_spanned(
            expression,
            "`normalize` takes a name such as `\"email\"`, or the path of a constant: `const PHONE: Normalizer = \
             Normalizer::custom(\"phone\", 1, |text| ...)`",
        )),
        other => value::choose(key, &other, NORMALIZERS).map(Normalize::Named),
    }
}

/// Whether a normaliser's name was written without quotes.
fn is_bare_name(path: &Path) -> bool {
    path.get_ident().is_some_and(|ident| NORMALIZERS.iter().any(|known| ident == known.0))
}

/// `(first_name(normalize = "casefold"), birthday)`.
fn fields(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<IndexedField>> {
    let usage = "`fields` lists sealed fields: `fields(last_name(normalize = \"casefold\"), birthday)`";
    if !input.peek(Paren) {
        return Err(syn::Error::new_spanned(key, usage));
    }
    let content;
    parenthesized!(content in input);
    let fields = Punctuated::<IndexedField, Token![,]>::parse_terminated(&content);
    let fields = fields.inspect_err(|_| skip(&content))?;
    if fields.is_empty() {
        return Err(syn::Error::new_spanned(key, usage));
    }
    Ok(fields.into_iter().collect())
}

impl Parse for IndexedField {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ident = input.call(Ident::parse_any)?;
        let mut field = Self { ident, normalize: None };
        if !input.peek(Paren) {
            return Ok(field);
        }
        let content;
        parenthesized!(content in input);
        while !content.is_empty() {
            let parsed = content.call(Ident::parse_any).and_then(|key| {
                if key != "normalize" {
                    return Err(unknown(&key, &["normalize"]));
                }
                Given::set(&mut field.normalize, &key, normalize(&key, &content)?)?;
                end_of_argument(&content)
            });
            parsed.inspect_err(|_| skip(&content))?;
        }
        Ok(field)
    }
}
