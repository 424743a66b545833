//! An expression as tokens.

/// A token. Keywords are names here; where they stand tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// letters, digits and `_`
    Word(&'a str),
    /// `#name`, with its sign
    NamePlaceholder(&'a str),
    /// `:value`, with its sign
    ValuePlaceholder(&'a str),
    Symbol(&'static str),
}

/// DynamoDB takes no longer expression.
const MOST_BYTES: usize = 4096;

/// Longer ones first, where one begins another.
const SYMBOLS: [&str; 14] = ["<>", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ",", ".", "+", "-"];

/// All tokens; nothing, if there is something else between them.
pub(super) fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    if text.len() > MOST_BYTES {
        return None;
    }
    let mut tokens = Vec::new();
    let mut rest = text.trim_ascii_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '#' | ':' => {
                let sign = first;
                let (_, after_sign) = rest.split_at_checked(sign.len_utf8())?;
                let length = sign.len_utf8() + word(after_sign)?;
                let (placeholder, after) = rest.split_at_checked(length)?;
                let token = match sign {
                    '#' => Token::NamePlaceholder(placeholder),
                    _ => Token::ValuePlaceholder(placeholder),
                };
                (token, after)
            }
            _ => match word(rest) {
                Some(length) => {
                    let (word, after) = rest.split_at_checked(length)?;
                    (Token::Word(word), after)
                }
                None => SYMBOLS
                    .into_iter()
                    .find_map(|symbol| Some((Token::Symbol(symbol), rest.strip_prefix(symbol)?)))?,
            },
        };
        tokens.push(token);
        rest = after.trim_ascii_start();
    }
    Some(tokens)
}

/// How long the word is with which a text begins, if it begins with one.
fn word(text: &str) -> Option<usize> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let length = text.find(|character| !is_part(character)).unwrap_or(text.len());
    (length > 0).then_some(length)
}
