//! The associated data: where a value belongs, recomputed wherever it is sealed or opened.

use super::{
    VERSION,
    encode::{put_lp, put_u16},
    header::KeyId,
};

/// The label of the outer envelope.
pub(crate) const VALUE_LABEL: &str = "pii/v2/value";

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

/// Everything that is authenticated except the key id.
pub(crate) struct Binding<'a, Path> {
    pub(crate) level: u8,
    pub(crate) type_code: u8,
    pub(crate) model: &'a str,
    pub(crate) path: Path,
    /// canonical bytes of the encryption context
    pub(crate) context: &'a [u8],
    /// canonical bytes of the row id
    pub(crate) row: &'a [u8],
}

impl<'a, Path: ExactSizeIterator<Item = Step<'a>>> Binding<'a, Path> {
    /// Writes the associated data of a value under this data key into `out`, replacing it.
    pub(crate) fn write(self, key_id: KeyId, out: &mut Vec<u8>) {
        out.clear();
        out.push(VERSION);
        out.extend_from_slice(&key_id.0);
        out.push(self.level);
        out.push(self.type_code);
        put_lp(out, VALUE_LABEL.as_bytes());
        put_lp(out, self.model.as_bytes());
        put_u16(out, self.path.len());
        for step in self.path {
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
        out.extend_from_slice(self.context);
        out.extend_from_slice(self.row);
    }
}
