//! The associated data: where a value belongs, recomputed wherever it is sealed or opened.

use super::{
    VERSION,
    encode::{put_lp, put_u16},
    header::KeyId,
};

/// Which envelope the associated data is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// Under a data key.
    Outer,
    /// Under an application key, inside the outer one.
    Inner,
}

impl Envelope {
    const fn label(self) -> &'static str {
        match self {
            Self::Outer => "pii/v2/value",
            Self::Inner => "pii/v2/inner",
        }
    }
}

const PATH_FIELD: u8 = 1;
const PATH_KEY: u8 = 2;
const PATH_ELEMENT: u8 = 3;

/// One step of the way from the model to a value, by stable names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step<'a> {
    Field(&'a str),
    Key(&'a str),
    Element,
}

/// What is the same for all values of one field under one key: everything up to the path.
pub(crate) fn write_head<'a>(
    out: &mut Vec<u8>,
    envelope: Envelope,
    key_id: KeyId,
    level: u8,
    type_code: u8,
    model: &str,
    path: impl ExactSizeIterator<Item = Step<'a>>,
) {
    out.push(VERSION);
    out.extend_from_slice(&key_id.0);
    out.push(level);
    out.push(type_code);
    put_lp(out, envelope.label().as_bytes());
    put_lp(out, model.as_bytes());
    put_u16(out, path.len());
    for step in path {
        match step {
            Step::Field(name) => {
                out.push(PATH_FIELD);
                put_lp(out, name.as_bytes());
            }
            Step::Key(key) => {
                out.push(PATH_KEY);
                put_lp(out, key.as_bytes());
            }
            Step::Element => out.push(PATH_ELEMENT),
        }
    }
}
