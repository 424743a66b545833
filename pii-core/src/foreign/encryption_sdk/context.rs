//! The encryption context, in messages and in calls.

use std::collections::btree_map::Entry;

use super::suite::Suite;
use crate::{
    error::{Error, ErrorKind, Result},
    foreign::key_service::ServiceContext,
    wire::encode::{Reader, put_lp16, put_u16},
};

/// Names that begin so are the format's own.
const RESERVED: &str = "aws-crypto-";
/// The key that signed the message: a compressed point of P-384, in base64.
pub(super) const PUBLIC_KEY: &str = "aws-crypto-public-key";

/// Which contexts a message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ContextMatch {
    /// Exactly the pairs that the caller expects, as Powertools demands.
    #[default]
    Exact,
    /// At least these pairs, as the SDK demands. For messages whose writer adds pairs that the reader
    /// can't know, such as a time.
    AtLeast,
}

/// Refuses a context that no message can have, and pairs that are the format's own.
pub(super) fn check_own(context: &ServiceContext) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidContext).message(message));
    if context.keys().any(String::is_empty) {
        return invalid("a name is empty".to_owned());
    }
    if let Some(name) = context.keys().find(|name| name.starts_with(RESERVED)) {
        return invalid(format!("`{name}` is reserved: names must not begin with `{RESERVED}`"));
    }
    let lengths = context.iter().map(|(name, value)| 4 + name.len() + value.len());
    if 2 + lengths.sum::<usize>() > usize::from(u16::MAX) {
        return invalid(format!("it is longer than a message can hold, {} bytes", u16::MAX));
    }
    Ok(())
}

/// Refuses a message that was made for another context than the expected one.
pub(super) fn check_found(
    found: &ServiceContext,
    expected: &ServiceContext,
    suite: Suite,
    rule: ContextMatch,
) -> Result<()> {
    let is_signed = found.contains_key(PUBLIC_KEY);
    if is_signed != (suite == Suite::Signed) {
        return Err(Error::new(ErrorKind::Malformed).message(match is_signed {
            true => "the message names a key for signatures and has none",
            false => "the message does not name the key of its signature",
        }));
    }
    let differing: Vec<&str> = expected
        .iter()
        .filter(|(name, value)| found.get(*name) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    if !differing.is_empty() {
        return Err(mismatch(format!(
            "the message lacks these pairs or has other values for them: `{}`",
            differing.join("`, `")
        )));
    }
    let more = found.len().saturating_sub(expected.len()).saturating_sub(usize::from(is_signed));
    if more > 0 && rule == ContextMatch::Exact {
        return Err(mismatch(format!("the message has {more} pairs more than expected")).help(
            "give all pairs of the writer; where it adds some that can't be known, use `ContextMatch::AtLeast`",
        ));
    }
    Ok(())
}

fn mismatch(message: String) -> Error {
    Error::new(ErrorKind::ContextMismatch).message(message)
}

/// Appends length and pairs, sorted by the bytes of their names.
pub(super) fn put(out: &mut Vec<u8>, context: &ServiceContext) {
    let mut pairs = Vec::new();
    if !context.is_empty() {
        put_u16(&mut pairs, context.len());
        for (name, value) in context {
            put_lp16(&mut pairs, name.as_bytes());
            put_lp16(&mut pairs, value.as_bytes());
        }
    }
    put_lp16(out, &pairs);
}

/// The pairs of a header; `None` where a name comes twice, text is not UTF-8 or a length is wrong.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<ServiceContext> {
    let mut context = ServiceContext::new();
    let mut pairs = Reader(reader.lp16()?);
    if pairs.0.is_empty() {
        return Some(context);
    }
    let count = pairs.array().map(u16::from_be_bytes)?;
    for _ in 0..count {
        let name = std::str::from_utf8(pairs.lp16()?).ok()?;
        let value = std::str::from_utf8(pairs.lp16()?).ok()?;
        match context.entry(name.to_owned()) {
            Entry::Vacant(entry) => entry.insert(value.to_owned()),
            Entry::Occupied(_) => return None,
        };
    }
    // the empty context has no count
    (pairs.0.is_empty() && count > 0).then_some(context)
}
