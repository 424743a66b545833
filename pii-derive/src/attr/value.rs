//! What may stand behind a key.

use syn::{
    Expr, ExprLit, ExprPath, Ident, Lit, LitInt, LitStr, Token, parenthesized,
    parse::{Parse, ParseStream},
    token::Paren,
};

use super::suggest::{list, nearest};

/// One of a few words, and the Rust variant that it stands for.
#[derive(Clone)]
pub(crate) struct Choice {
    pub(crate) literal: LitStr,
    pub(crate) variant: &'static str,
}

/// Words of string literals with their Rust variants.
pub(super) type Choices = [(&'static str, &'static str)];

/// Nothing: the key says it all.
pub(super) fn flag(key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
    if input.peek(Token![=]) || input.peek(Paren) {
        return Err(syn::Error::new_spanned(key, format!("`{key}` takes no value: write `{key}` alone")));
    }
    Ok(())
}

/// `= "..."`, not empty.
pub(super) fn text(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitStr> {
    let expression = equals::<Expr>(key, input, "\"...\"")?;
    match string(&expression) {
        Some(literal) => not_empty(key, literal),
        None => Err(syn::Error::new_spanned(
            expression,
            format!("`{key}` takes a string literal: `{key} = \"...\"`"),
        )),
    }
}

/// `= "..."`, what a function can be called.
pub(super) fn function(key: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    let name = text(key, input)?;
    name.parse().map_err(|_| {
        syn::Error::new_spanned(
            &name,
            format!("`{key}` takes the name of a function: `{key} = \"other_name\"`"),
        )
    })
}

/// `= "..."` or `("...", "...")`.
pub(super) fn texts(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    if !input.peek(Paren) {
        return text(key, input).map(|one| vec![one]);
    }
    let content;
    parenthesized!(content in input);
    let names = content.parse_terminated(Expr::parse, Token![,])?;
    if names.is_empty() {
        return Err(syn::Error::new_spanned(
            key,
            format!("`{key}` needs at least one name: `{key}(\"...\")`"),
        ));
    }
    let one = |expression: Expr| match string(&expression) {
        Some(literal) => not_empty(key, literal),
        None => Err(syn::Error::new_spanned(
            expression,
            format!("`{key}` takes string literals: `{key}(\"...\")`"),
        )),
    };
    names.into_iter().map(one).collect()
}

/// `= "word"`, one of a few.
pub(super) fn choice(key: &Ident, input: ParseStream<'_>, choices: &Choices) -> syn::Result<Choice> {
    let expression =
        equals::<Expr>(key, input, &format!("\"{}\"", choices.first().map_or("...", |first| first.0)))?;
    choose(key, &expression, choices)
}

/// As [`choice`], of an expression.
pub(super) fn choose(key: &Ident, expression: &Expr, choices: &Choices) -> syn::Result<Choice> {
    let words: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let takes = format!("`{key}` takes {}", list(&quoted));
    let Some(literal) = string(expression) else {
        let message = match unquoted(expression, &words) {
            Some(word) => format!("`{key}` takes a string literal: write `{key} = \"{word}\"`"),
            None => takes,
        };
        return Err(syn::Error::new_spanned(expression, message));
    };
    let word = literal.value();
    if let Some((_, variant)) = choices.iter().find(|choice| choice.0 == word) {
        return Ok(Choice { literal, variant });
    }
    let meant =
        nearest(&word, &words).map(|near| format!("; did you mean `\"{near}\"`?")).unwrap_or_default();
    Err(syn::Error::new_spanned(&literal, format!("{takes}{meant}")))
}

/// The word that was written without its quotes.
fn unquoted<'a>(expression: &Expr, words: &[&'a str]) -> Option<&'a str> {
    let Expr::Path(ExprPath { path, .. }) = expression else { return None };
    let last = path.segments.last()?.ident.to_string();
    words.iter().find(|word| word.eq_ignore_ascii_case(&last)).copied()
}

/// `= 2`, or another example.
pub(super) fn integer(key: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<LitInt> {
    let expression = equals::<Expr>(key, input, example)?;
    match literal(&expression) {
        Some(Lit::Int(integer)) => Ok(integer.clone()),
        _ => {
            Err(syn::Error::new_spanned(expression, format!("`{key}` takes an integer: `{key} = {example}`")))
        }
    }
}

/// What follows the `=`.
pub(super) fn equals<T: Parse>(key: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<T> {
    if input.parse::<Option<Token![=]>>()?.is_none() {
        return Err(syn::Error::new_spanned(key, format!("`{key}` needs a value: `{key} = {example}`")));
    }
    input.parse()
}

/// The string literal that the expression is.
pub(super) fn string(expression: &Expr) -> Option<LitStr> {
    match literal(expression) {
        Some(Lit::Str(text)) => Some(text.clone()),
        _ => None,
    }
}

fn literal(expression: &Expr) -> Option<&Lit> {
    match expression {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

fn not_empty(key: &Ident, literal: LitStr) -> syn::Result<LitStr> {
    if literal.value().is_empty() {
        return Err(syn::Error::new_spanned(literal, format!("`{key}` must not be empty")));
    }
    Ok(literal)
}
