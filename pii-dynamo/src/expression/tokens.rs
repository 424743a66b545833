//! The words of an expression.

use super::Meanings;

/// DynamoDB takes no longer one.
const MOST_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// an attribute by its placeholder
    Name(String),
    /// a name that stands there itself, a keyword or a function
    Word(String),
    /// a placeholder of a value, with its colon
    Value(String),
    /// `[0]`
    Index,
    Dot,
    Open,
    Close,
    Comma,
    /// `=`, `<>`, `<`, `<=`, `>`, `>=`, `+`, `-`
    Operator(&'static str),
}

/// The tokens, or nothing if that is no expression of DynamoDB.
pub(super) fn tokens(expression: &str, meanings: Meanings<'_>) -> Option<Vec<Token>> {
    if expression.len() > MOST_BYTES {
        return None;
    }
    let mut rest = expression.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '.' => (Token::Dot, 1),
            '[' => {
                let end = rest.find(']')?;
                let digits = rest.get(1..end)?.trim();
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                (Token::Index, end + 1)
            }
            '=' | '<' | '>' | '+' | '-' => {
                let operators = ["<>", "<=", ">=", "=", "<", ">", "+", "-"];
                let operator = operators.into_iter().find(|operator| rest.starts_with(operator))?;
                (Token::Operator(operator), operator.len())
            }
            '#' => {
                let length = 1 + word_length(rest.get(1..)?)?;
                let name = meanings.names?.get(rest.get(..length)?)?;
                (Token::Name(name.clone()), length)
            }
            ':' => {
                let length = 1 + word_length(rest.get(1..)?)?;
                (Token::Value(rest.get(..length)?.to_owned()), length)
            }
            _ => {
                let length = word_length(rest)?;
                (Token::Word(rest.get(..length)?.to_owned()), length)
            }
        };
        tokens.push(token);
        rest = rest.get(length..)?.trim_start();
    }
    Some(tokens)
}

fn word_length(text: &str) -> Option<usize> {
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(text.len());
    (end > 0).then_some(end)
}
