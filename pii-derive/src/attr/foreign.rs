//! What serde and sqlx rename fields to: their attributes give column names.

use proc_macro2::TokenStream;
use syn::{
    Attribute, Expr, Ident, LitStr, Token, ext::IdentExt, meta::ParseNestedMeta, parenthesized, token::Paren,
};

/// The renames of one field.
pub(crate) struct Renames {
    sqlx: Option<String>,
    serde: Option<String>,
    /// what serde writes the field as, where it reads it by another name
    serde_serialize: Option<String>,
}

impl Renames {
    pub(crate) fn of(attributes: &[Attribute]) -> Self {
        Self {
            sqlx: text_of(attributes, "sqlx", "rename"),
            serde: text_of(attributes, "serde", "rename"),
            serde_serialize: serialize_text_of(attributes, "rename"),
        }
    }

    /// The column of a field that has no `#[pii(column)]`.
    pub(crate) fn column(self, all: Option<RenameAll>, field: &Ident) -> String {
        let field = field.unraw().to_string();
        self.sqlx.or_else(|| all.map(|all| all.apply(&field))).or(self.serde).unwrap_or(field)
    }

    /// The attribute of an item that serde writes the field to.
    pub(crate) fn attribute(&self, all: Option<SerdeRenameAll>, field: &Ident) -> String {
        let field = field.unraw().to_string();
        let own = self.serde.as_ref().or(self.serde_serialize.as_ref()).cloned();
        own.or_else(|| all.map(|all| all.apply(&field))).unwrap_or(field)
    }
}

/// `#[sqlx(rename_all = "...")]` on a struct.
#[derive(Clone, Copy)]
pub(crate) enum RenameAll {
    Lower,
    Upper,
    Snake,
    ScreamingSnake,
    Kebab,
    Camel,
    Pascal,
}

impl RenameAll {
    pub(crate) fn of(attributes: &[Attribute]) -> Option<Self> {
        match text_of(attributes, "sqlx", "rename_all")?.as_str() {
            "lowercase" => Some(Self::Lower),
            "UPPERCASE" => Some(Self::Upper),
            "snake_case" => Some(Self::Snake),
            "SCREAMING_SNAKE_CASE" => Some(Self::ScreamingSnake),
            "kebab-case" => Some(Self::Kebab),
            "camelCase" => Some(Self::Camel),
            "PascalCase" => Some(Self::Pascal),
            // sqlx itself refuses it
            _ => None,
        }
    }

    fn apply(self, field: &str) -> String {
        let words = field.split('_').filter(|word| !word.is_empty());
        match self {
            Self::Lower => field.to_lowercase(),
            Self::Upper => field.to_uppercase(),
            Self::Snake => words.collect::<Vec<_>>().join("_").to_lowercase(),
            Self::ScreamingSnake => words.collect::<Vec<_>>().join("_").to_uppercase(),
            Self::Kebab => words.collect::<Vec<_>>().join("-").to_lowercase(),
            Self::Camel => {
                let mut words = words;
                let first = words.next().unwrap_or_default().to_lowercase();
                words.fold(first, |out, word| out + &capitalized(word))
            }
            Self::Pascal => words.map(capitalized).collect(),
        }
    }
}

/// `#[serde(rename_all = "...")]` on a struct, which serde applies to fields in its own way.
#[derive(Clone, Copy)]
pub(crate) enum SerdeRenameAll {
    /// `lowercase` and `snake_case`, which a field has already
    Unchanged,
    Upper,
    Kebab,
    ScreamingKebab,
    Camel,
    Pascal,
}

impl SerdeRenameAll {
    pub(crate) fn of(attributes: &[Attribute]) -> Option<Self> {
        let all = text_of(attributes, "serde", "rename_all")
            .or_else(|| serialize_text_of(attributes, "rename_all"))?;
        match all.as_str() {
            "lowercase" | "snake_case" => Some(Self::Unchanged),
            "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Some(Self::Upper),
            "kebab-case" => Some(Self::Kebab),
            "SCREAMING-KEBAB-CASE" => Some(Self::ScreamingKebab),
            "camelCase" => Some(Self::Camel),
            "PascalCase" => Some(Self::Pascal),
            // serde itself refuses it
            _ => None,
        }
    }

    fn apply(self, field: &str) -> String {
        match self {
            Self::Unchanged => field.to_owned(),
            Self::Upper => field.to_ascii_uppercase(),
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_ascii_uppercase().replace('_', "-"),
            Self::Camel => {
                let pascal = Self::Pascal.apply(field);
                let mut letters = pascal.chars();
                let first = letters.next().map(|first| first.to_ascii_lowercase());
                first.into_iter().chain(letters).collect()
            }
            Self::Pascal => {
                let mut begins_word = true;
                let mut pascal = String::new();
                for letter in field.chars() {
                    match letter {
                        '_' => begins_word = true,
                        letter if begins_word => {
                            pascal.push(letter.to_ascii_uppercase());
                            begins_word = false;
                        }
                        letter => pascal.push(letter),
                    }
                }
                pascal
            }
        }
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + &letters.as_str().to_lowercase()
}

/// The text of `key = "..."` in the attributes of another derive, whose own errors are not ours.
fn text_of(attributes: &[Attribute], attribute: &str, key: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|candidate| candidate.path().is_ident(attribute)) {
        let _ = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident(key) && meta.input.peek(Token![=]) {
                found = Some(meta.value()?.parse::<LitStr>()?.value());
                return Ok(());
            }
            skip_value(&meta)
        });
    }
    found
}

/// The text of `key(serialize = "...")` in serde's attributes.
fn serialize_text_of(attributes: &[Attribute], key: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|candidate| candidate.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident(key) && meta.input.peek(Paren) {
                return meta.parse_nested_meta(|inner| {
                    let text = inner.value()?.parse::<LitStr>()?.value();
                    if inner.path.is_ident("serialize") {
                        found = Some(text);
                    }
                    Ok(())
                });
            }
            skip_value(&meta)
        });
    }
    found
}

fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(Paren) {
        let content;
        parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn column(all: Option<RenameAll>, field: &syn::Field) -> String {
        Renames::of(&field.attrs).column(all, field.ident.as_ref().unwrap())
    }

    #[test]
    fn renames_are_found_beside_other_keys() {
        let field = parse_quote!(#[serde(default = "x", with("a", b = 1), rename = "mail")] email: String);
        assert_eq!(column(None, &field), "mail");
        let field = parse_quote!(#[serde(rename = "mail")] #[sqlx(rename = "e_mail")] email: String);
        assert_eq!(column(None, &field), "e_mail");
        assert_eq!(column(None, &parse_quote!(r#type: String)), "type");
    }

    fn attribute(all: Option<SerdeRenameAll>, field: &syn::Field) -> String {
        Renames::of(&field.attrs).attribute(all, field.ident.as_ref().unwrap())
    }

    #[test]
    fn attributes_are_named_by_serde_alone() {
        let field = parse_quote!(#[serde(rename = "mail")] #[sqlx(rename = "e_mail")] email: String);
        assert_eq!(attribute(None, &field), "mail");
        let field = parse_quote!(#[serde(rename(serialize = "mail", deserialize = "email"))] email: String);
        assert_eq!(attribute(None, &field), "mail");
        let cases = [
            ("lowercase", "first_name"),
            ("UPPERCASE", "FIRST_NAME"),
            ("snake_case", "first_name"),
            ("SCREAMING_SNAKE_CASE", "FIRST_NAME"),
            ("kebab-case", "first-name"),
            ("SCREAMING-KEBAB-CASE", "FIRST-NAME"),
            ("camelCase", "firstName"),
            ("PascalCase", "FirstName"),
        ];
        for (case, expected) in cases {
            let all = SerdeRenameAll::of(&[parse_quote!(#[serde(rename_all = #case)])]);
            assert_eq!(attribute(all, &parse_quote!(first_name: String)), expected);
            let all = SerdeRenameAll::of(&[parse_quote!(#[serde(rename_all(serialize = #case))])]);
            assert_eq!(attribute(all, &parse_quote!(first_name: String)), expected);
        }
    }

    #[test]
    fn cases_are_those_of_sqlx() {
        let cases = [
            ("lowercase", "first_name"),
            ("UPPERCASE", "FIRST_NAME"),
            ("snake_case", "first_name"),
            ("SCREAMING_SNAKE_CASE", "FIRST_NAME"),
            ("kebab-case", "first-name"),
            ("camelCase", "firstName"),
            ("PascalCase", "FirstName"),
        ];
        for (case, expected) in cases {
            let all = RenameAll::of(&[parse_quote!(#[sqlx(rename_all = #case)])]);
            assert_eq!(column(all, &parse_quote!(first_name: String)), expected);
        }
    }
}
