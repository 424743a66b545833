//! From the text of a path to its segments.

use super::{
    cursor::{Cursor, shown},
    filter::Filter,
    path::{Segment, Selector},
};
use crate::error::{Error, ErrorKind, Result};

const MAX_BYTES: usize = 1024;
const MAX_SEGMENTS: usize = 128;
const MAX_SELECTORS: usize = 32;
const MAX_DESCENTS: usize = 16;
/// Integers that every JSON reader keeps exactly: RFC 9535, section 2.1.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// The segments of a path.
pub(super) fn segments(text: &str) -> Result<Vec<Segment>> {
    if text.len() > MAX_BYTES {
        let why = format!("{}: a path has at most {MAX_BYTES} bytes", shown(text));
        return Err(Error::new(ErrorKind::InvalidPath).message(why));
    }
    let mut cursor = Cursor::new(text);
    let mut segments = Vec::new();
    if !cursor.eat("$") {
        segments.push(Segment::Children(first(&mut cursor)?));
    }
    let mut descents = 0;
    while !cursor.rest().is_empty() {
        let before = cursor.rest().len();
        if cursor.rest().starts_with("..") {
            descents += 1;
        }
        if descents > MAX_DESCENTS {
            return Err(cursor.error(&format!("a path has at most {MAX_DESCENTS} times `..`")));
        }
        segments.extend(segment(&mut cursor)?);
        if segments.len() > MAX_SEGMENTS {
            return Err(cursor.error(&format!("a path has at most {MAX_SEGMENTS} segments")));
        }
        debug_assert!(cursor.rest().len() < before, "every segment has text");
    }
    Ok(segments)
}

/// What a path without `$` begins with.
fn first(cursor: &mut Cursor<'_>) -> Result<Vec<Selector>> {
    match cursor.peek() {
        None => Err(cursor.error("a path can't be empty").help("`$` is the whole document")),
        Some('[') => brackets(cursor),
        Some('.') => Err(cursor.error("a path can't begin with a dot").help("write `$` in front of it")),
        Some(_) => members(cursor),
    }
}

/// The next segment; none for the operator that stays where it is.
fn segment(cursor: &mut Cursor<'_>) -> Result<Option<Segment>> {
    if cursor.eat("..") {
        return member_or_brackets(cursor).map(|selectors| Some(Segment::Descendants(selectors)));
    }
    if cursor.peek() == Some('[') {
        return brackets(cursor).map(|selectors| Some(Segment::Children(selectors)));
    }
    if !cursor.eat(".") {
        let why = "here `.`, `..` or `[` must follow, or nothing";
        return Err(cursor.error(why).help("keys with other characters are quoted: `$['first name']`"));
    }
    if cursor.eat("`parent`") {
        return Ok(Some(Segment::Parent));
    }
    if cursor.eat("`this`") {
        return Ok(None);
    }
    if cursor.peek() == Some('`') {
        return Err(cursor.error("the only operators are `parent` and `this`"));
    }
    member_or_brackets(cursor).map(|selectors| Some(Segment::Children(selectors)))
}

fn member_or_brackets(cursor: &mut Cursor<'_>) -> Result<Vec<Selector>> {
    if cursor.peek() == Some('[') { brackets(cursor) } else { members(cursor) }
}

/// `*`, or one or more keys with commas between them.
fn members(cursor: &mut Cursor<'_>) -> Result<Vec<Selector>> {
    if cursor.eat("*") {
        return Ok(vec![Selector::Wildcard]);
    }
    let mut selectors = Vec::new();
    loop {
        let key = match cursor.peek() {
            Some('\'' | '"') => quoted(cursor)?,
            _ => name(cursor)?,
        };
        add(cursor, &mut selectors, Selector::Key(key.into()))?;
        if !cursor.eat(",") {
            return Ok(selectors);
        }
        cursor.skip_blanks();
    }
}

/// A key without quotes.
fn name(cursor: &mut Cursor<'_>) -> Result<String> {
    let begins =
        |character: char| character.is_alphabetic() || "_@".contains(character) || !character.is_ascii();
    match cursor.peek() {
        Some(character) if begins(character) => {}
        Some('0'..='9' | '-') => {
            return Err(cursor
                .error("a key can't begin with this")
                .help("quote a key, as in `$['2024']`; an index stands in brackets, as in `list[0]`"));
        }
        Some(_) => {
            return Err(cursor
                .error("here a key must follow")
                .help("other keys are quoted: `$['first name']`"));
        }
        None => return Err(cursor.error("it ends where a key must follow")),
    }
    let fits = |character: char| character.is_ascii_digit() || character == '-' || begins(character);
    Ok(cursor.take_while(fits).to_owned())
}

/// One or more selectors in brackets.
fn brackets(cursor: &mut Cursor<'_>) -> Result<Vec<Selector>> {
    cursor.expect("[", "here `[` must follow")?;
    let mut selectors = Vec::new();
    loop {
        cursor.skip_blanks();
        let selector = selector(cursor)?;
        add(cursor, &mut selectors, selector)?;
        cursor.skip_blanks();
        if cursor.eat("]") {
            return Ok(selectors);
        }
        cursor.expect(",", "here `,` or `]` must follow")?;
    }
}

fn add(cursor: &Cursor<'_>, selectors: &mut Vec<Selector>, selector: Selector) -> Result<()> {
    if selectors.contains(&selector) {
        return Ok(());
    }
    selectors.push(selector);
    if selectors.len() <= MAX_SELECTORS {
        return Ok(());
    }
    Err(cursor.error(&format!("a path selects at most {MAX_SELECTORS} things at once")))
}

fn selector(cursor: &mut Cursor<'_>) -> Result<Selector> {
    match cursor.peek() {
        Some('\'' | '"') => quoted(cursor).map(|key| Selector::Key(key.into())),
        Some('*') => {
            cursor.next();
            Ok(Selector::Wildcard)
        }
        Some('?') => {
            cursor.next();
            Filter::read(cursor).map(Selector::Filter)
        }
        Some('0'..='9' | '-' | ':') => index_or_slice(cursor),
        Some(_) => Err(cursor
            .error("this can't stand in brackets")
            .help("quote a key: `['name']`; an index, a slice, `*` and `?` have no quotes")),
        None => Err(cursor.error("it ends within brackets")),
    }
}

fn index_or_slice(cursor: &mut Cursor<'_>) -> Result<Selector> {
    let start = integer(cursor)?;
    cursor.skip_blanks();
    if !cursor.eat(":") {
        return start.map(Selector::Index).ok_or_else(|| cursor.error("here a number must follow"));
    }
    cursor.skip_blanks();
    let end = integer(cursor)?;
    cursor.skip_blanks();
    let mut step = 1;
    if cursor.eat(":") {
        cursor.skip_blanks();
        step = integer(cursor)?.unwrap_or(1);
    }
    if step == 0 {
        return Err(cursor.error("a slice with step 0 selects nothing"));
    }
    Ok(Selector::Slice { start, end, step })
}

/// A whole number in its one form: no leading zeros, no `-0`.
fn integer(cursor: &mut Cursor<'_>) -> Result<Option<i64>> {
    if !matches!(cursor.peek(), Some('0'..='9' | '-')) {
        return Ok(None);
    }
    let negative = cursor.eat("-");
    let digits = cursor.take_while(|character| character.is_ascii_digit());
    let has_one_form = digits == "0" && !negative || !digits.starts_with('0');
    let number = digits.parse::<i64>().ok().filter(|number| has_one_form && *number <= MAX_INTEGER);
    match number {
        Some(number) if negative => Ok(Some(-number)),
        Some(number) => Ok(Some(number)),
        None => Err(cursor.error("this is no whole number below 2^53 without leading zeros")),
    }
}

/// A key in single or double quotes, with the escapes of RFC 9535, section 2.3.1.
fn quoted(cursor: &mut Cursor<'_>) -> Result<String> {
    let quote = cursor.next();
    let mut key = String::new();
    loop {
        match cursor.next() {
            None => return Err(cursor.error("it ends within quotes")),
            end if end == quote => return Ok(key),
            Some('\\') => key.push(escaped(cursor, quote)?),
            Some(character) if character < ' ' => {
                return Err(cursor.error("a control character must be escaped"));
            }
            Some(character) => key.push(character),
        }
    }
}

fn escaped(cursor: &mut Cursor<'_>, quote: Option<char>) -> Result<char> {
    let character = match cursor.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(itself @ ('/' | '\\')) => itself,
        Some('u') => return unicode(cursor),
        Some(itself) if Some(itself) == quote => itself,
        _ => return Err(cursor.error("this escape is unknown")),
    };
    Ok(character)
}

fn unicode(cursor: &mut Cursor<'_>) -> Result<char> {
    let first = four_digits(cursor)?;
    let code = match first {
        0xd800..=0xdbff if cursor.eat("\\u") => match four_digits(cursor)? {
            second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
            _ => first,
        },
        _ => first,
    };
    char::from_u32(code).ok_or_else(|| cursor.error("half of a character"))
}

fn four_digits(cursor: &mut Cursor<'_>) -> Result<u32> {
    let digits = cursor.take(4);
    let are_hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| are_hex);
    code.ok_or_else(|| cursor.error("four hexadecimal digits must follow `\\u`"))
}
