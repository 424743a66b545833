//! How an expression uses the attributes that it names.

use super::tokens::Token;

/// An attribute, by its way from the top of the item without positions in lists, and its use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) path: Vec<String>,
    pub(super) how: How,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum How {
    /// asked whether it is there, or of which type
    Tested,
    /// held against this value with `=` or `<>`
    EqualTo(String),
    /// compared in another way, or by a function
    Compared,
    /// set to what is made of these values, and of other attributes
    Set { values: Vec<String>, attributes: Vec<Vec<String>> },
    /// removed
    Removed,
    /// changed by ADD or DELETE
    Added,
}

const TESTS: &[&str] = &["attribute_exists", "attribute_not_exists", "attribute_type"];
const FUNCTIONS: &[&str] = &[
    "attribute_exists",
    "attribute_not_exists",
    "attribute_type",
    "begins_with",
    "contains",
    "size",
    "if_not_exists",
    "list_append",
];
const KEYWORDS: &[&str] = &["and", "or", "not", "in", "between"];

/// The uses in a condition: of keys, a filter, or a write.
pub(super) fn in_condition(tokens: &[Token]) -> Vec<Use> {
    let mut uses = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some((path, end)) = path_at(tokens, at) else {
            at += 1;
            continue;
        };
        let before = |back: usize| at.checked_sub(back).and_then(|index| tokens.get(index));
        let function = match (before(2), before(1)) {
            (Some(Token::Word(function)), Some(Token::Open)) if is_one_of(function, FUNCTIONS) => {
                Some(function)
            }
            _ => None,
        };
        let how = match (function, tokens.get(end), tokens.get(end + 1)) {
            (Some(function), ..) if is_one_of(function, TESTS) => How::Tested,
            (Some(_), ..) => How::Compared,
            (None, Some(Token::Operator("=" | "<>")), Some(Token::Value(value))) => {
                How::EqualTo(value.clone())
            }
            _ => match (before(2), before(1)) {
                (Some(Token::Value(value)), Some(Token::Operator("=" | "<>"))) => How::EqualTo(value.clone()),
                _ => How::Compared,
            },
        };
        uses.push(Use { path, how });
        at = end;
    }
    uses
}

/// The uses in an update, or nothing if it has no verb.
pub(super) fn in_update(tokens: &[Token]) -> Option<Vec<Use>> {
    let mut uses = Vec::new();
    let mut rest = tokens;
    while let [Token::Word(verb), after @ ..] = rest {
        let end = after.iter().position(is_verb).unwrap_or(after.len());
        let (actions, next) = after.split_at_checked(end)?;
        for action in split(actions) {
            let (path, end) = path_at(action, 0)?;
            let operand = action.get(end..)?;
            let how = match verb.to_ascii_lowercase().as_str() {
                "set" => match operand {
                    [Token::Operator("="), operand @ ..] => set(operand),
                    _ => return None,
                },
                "remove" if operand.is_empty() => How::Removed,
                "add" | "delete" => How::Added,
                _ => return None,
            };
            uses.push(Use { path, how });
        }
        rest = next;
    }
    rest.is_empty().then_some(uses)
}

fn set(operand: &[Token]) -> How {
    let (mut values, mut attributes) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(token) = operand.get(at) {
        if let Some((path, end)) = path_at(operand, at) {
            attributes.push(path);
            at = end;
            continue;
        }
        if let Token::Value(value) = token {
            values.push(value.clone());
        }
        at += 1;
    }
    How::Set { values, attributes }
}

/// The parts between commas that stand in no parentheses.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            *token == Token::Comma && depth == 0
        })
        .collect()
}

/// The attribute that begins here, and where it ends.
fn path_at(tokens: &[Token], start: usize) -> Option<(Vec<String>, usize)> {
    let first = match tokens.get(start)? {
        Token::Name(name) => name,
        Token::Word(word) if !is_one_of(word, KEYWORDS) && !is_function(tokens, start, word) => word,
        _ => return None,
    };
    let (mut path, mut at) = (vec![first.clone()], start + 1);
    loop {
        match (tokens.get(at), tokens.get(at + 1)) {
            (Some(Token::Index), _) => at += 1,
            (Some(Token::Dot), Some(Token::Name(name) | Token::Word(name))) => {
                path.push(name.clone());
                at += 2;
            }
            _ => return Some((path, at)),
        }
    }
}

fn is_function(tokens: &[Token], at: usize, word: &str) -> bool {
    tokens.get(at + 1) == Some(&Token::Open) && is_one_of(word, FUNCTIONS)
}

fn is_verb(token: &Token) -> bool {
    matches!(token, Token::Word(word) if is_one_of(word, &["set", "remove", "add", "delete"]))
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}
