//! The words of a piece of SQL, to see which columns it names.

use std::{iter::Peekable, str::Chars};

/// A part of a piece of SQL. Texts in quotes and comments are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// a keyword or a name without quotes
    Bare(String),
    /// a name in quotes, without them
    Quoted(String),
    Sign(char),
}

impl Word {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Bare(name) | Self::Quoted(name) => Some(name),
            Self::Sign(_) => None,
        }
    }

    pub(crate) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Bare(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// Whether a column of this name stands in it.
pub(crate) fn mentions(sql: &str, name: &str) -> bool {
    words(sql).iter().filter_map(Word::name).any(|word| word.eq_ignore_ascii_case(name))
}

pub(crate) fn words(sql: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut rest = sql.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '\'' => {
                until(&mut rest, '\'');
            }
            '"' | '`' => out.push(Word::Quoted(until(&mut rest, first))),
            '[' => out.push(Word::Quoted(until(&mut rest, ']'))),
            '-' if rest.peek() == Some(&'-') => skip_comment(first, &mut rest),
            '/' if rest.peek() == Some(&'*') => skip_comment(first, &mut rest),
            first if is_part(first) => {
                let mut word = String::from(first);
                while let Some(next) = rest.next_if(|next| is_part(*next)) {
                    word.push(next);
                }
                out.push(Word::Bare(word));
            }
            first if first.is_whitespace() => {}
            sign => out.push(Word::Sign(sign)),
        }
    }
    out
}

/// The same SQL with a space in place of each comment.
fn without_comments(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql.chars().peekable();
    let mut quote = None;
    while let Some(next) = rest.next() {
        match (quote, next, rest.peek()) {
            (Some(mark), ..) => quote = Some(mark).filter(|mark| *mark != next),
            (None, '\'' | '"' | '`', _) => quote = Some(next),
            (None, '-', Some('-')) | (None, '/', Some('*')) => {
                skip_comment(next, &mut rest);
                out.push(' ');
                continue;
            }
            _ => {}
        }
        out.push(next);
    }
    out
}

/// Skips a comment whose first character was this one.
fn skip_comment(first: char, rest: &mut Peekable<Chars<'_>>) {
    if first == '-' {
        while rest.next().is_some_and(|next| next != '\n') {}
        return;
    }
    rest.next();
    let mut before = ' ';
    for next in rest.by_ref() {
        if before == '*' && next == '/' {
            break;
        }
        before = next;
    }
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// What stands before the closing quote, which is doubled inside.
fn until(rest: &mut Peekable<Chars<'_>>, close: char) -> String {
    let mut text = String::new();
    while let Some(next) = rest.next() {
        if next == close && rest.next_if_eq(&close).is_none() {
            break;
        }
        text.push(next);
    }
    text
}

/// The conditions of the CHECKs of a CREATE TABLE, as they are written, without comments.
pub(crate) fn checks(sql: &str) -> Vec<String> {
    let sql = without_comments(sql);
    let mut found = Vec::new();
    let mut rest = sql.as_str();
    let mut is_inside_word = false;
    while let Some(first) = rest.chars().next() {
        let is_check =
            !is_inside_word && rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("check"));
        let body = rest.get(5..).map(str::trim_start).filter(|body| is_check && body.starts_with('('));
        if let Some(body) = body {
            found.push(parenthesis(body).to_owned());
        }
        is_inside_word = is_part(first);
        let skipped = match first {
            '\'' | '"' | '`' => {
                rest.get(1..).and_then(|text| text.find(first)).map_or(rest.len(), |end| end + 2)
            }
            _ => first.len_utf8(),
        };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    found
}

/// From the parenthesis at the beginning to the one that closes it.
fn parenthesis(body: &str) -> &str {
    let (mut depth, mut quote) = (0_u32, None);
    for (index, character) in body.char_indices() {
        match (quote, character) {
            (Some(mark), _) => quote = Some(mark).filter(|mark| *mark != character),
            (None, '\'' | '"' | '`') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return body.get(..=index).unwrap_or(body);
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_texts_and_comments() {
        let sql = "create view v as select lower(\"e mail\"), c.[city] /* ssn */ from c -- phone\n where x = 'it''s email'";
        for there in ["e mail", "CITY", "x", "v"] {
            assert!(mentions(sql, there), "{there}");
        }
        for absent in ["email", "ssn", "phone", "mail", "it"] {
            assert!(!mentions(sql, absent), "{absent}");
        }
    }

    #[test]
    fn names_are_not_found_inside_longer_ones() {
        assert!(!mentions("select email_bidx, myemail from t", "email"));
        assert!(mentions("select t.email from t", "email"));
    }

    #[test]
    fn what_is_cut_off_ends() {
        assert!(mentions("select \"email", "email"));
        assert!(!mentions("/* email", "email"));
        assert_eq!(words("a=-1").len(), 4);
    }

    #[test]
    fn only_checks_are_checks() {
        for none in [
            "t (a /* check (a > 0) */)",
            "t (a -- check (a)\n)",
            "t (a default 'check (a)')",
            "t (recheck (a))",
            "t (check",
        ] {
            assert!(checks(none).is_empty(), "{none}");
        }
        assert_eq!(checks("t (a check(a <> ')')), unfinished check (b"), ["(a <> ')')", "(b"]);
    }
}
