//! The id of a row, in the form in which it is bound into every sealed field of the row.

use std::{borrow::Cow, fmt, fmt::Write as _, rc::Rc, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    wire::encode::{hex, put_lp},
};

/// A type that identifies a row: text, bytes, integers up to the range of `i128`, UUIDs,
/// references and tuples of them.
///
/// Newtypes get it by `#[derive(RowId)]`. Integers of every width are bound alike, so that an id
/// may grow from `i32` to `i64`. An `Option` has none: an id that the database makes up is not
/// known when the value is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be bound as the id of a row",
    label = "needs an integer, text, bytes, `Uuid` (feature `uuid`), or a newtype with `#[derive(RowId)]`",
    note = "an id that the database generates is not known when the row is sealed: fetch the sequence value \
            first, or write `#[pii(id, bind = \"field\")]` to bind values to the field only, not to the row"
)]
pub trait RowId {
    /// Writes the id, one part after the other.
    fn write_row(&self, out: &mut RowWriter);
}

/// Where a [`RowId`] writes its parts. Two are equal if the same id was written to both; shown, it is
/// the id as a person reads it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RowWriter {
    bytes: Vec<u8>,
    parts: u8,
    failed: Option<&'static str>,
    unbound: bool,
}

const TEXT: u8 = 1;
const BYTES: u8 = 2;
const INTEGER: u8 = 3;
const UUID: u8 = 4;

impl RowWriter {
    /// Adds a text part.
    #[inline]
    pub fn text(&mut self, text: &str) {
        self.part(TEXT);
        put_lp(&mut self.bytes, text.as_bytes());
    }

    /// Adds a part of bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.part(BYTES);
        put_lp(&mut self.bytes, bytes);
    }

    /// Adds an integer part.
    #[inline]
    pub fn integer(&mut self, integer: i128) {
        self.part(INTEGER);
        self.bytes.extend_from_slice(&integer.to_be_bytes());
    }

    /// Adds the 16 bytes of a UUID.
    #[inline]
    pub fn uuid(&mut self, uuid: &[u8; 16]) {
        self.part(UUID);
        self.bytes.extend_from_slice(uuid);
    }

    #[inline]
    fn part(&mut self, kind: u8) {
        match self.parts.checked_add(1) {
            Some(parts) => self.parts = parts,
            None => self.failed = Some("an id has more than 255 parts"),
        }
        self.bytes.push(kind);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.parts == 0
    }

    /// What was written, as it is.
    #[cfg(test)]
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// With room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Forgets what was written.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Begins another id after those that were written, and says where. An id that is copied at once from where it is
    /// written keeps the processor waiting.
    #[inline]
    pub(crate) fn begin_next(&mut self) -> usize {
        self.parts = 0;
        self.failed = None;
        self.unbound = false;
        self.bytes.push(0);
        self.bytes.len() - 1
    }

    /// Ends the id that begins there: its canonical form is the rest of the bytes.
    #[inline]
    pub(crate) fn end(&mut self, start: usize) -> Result<()> {
        if let Some(parts) = self.bytes.get_mut(start) {
            *parts = self.parts;
        }
        self.check()
    }

    /// What was written.
    #[inline]
    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn check(&self) -> Result<()> {
        match self.failed {
            Some(message) => Err(Error::new(ErrorKind::Configuration).message(message)),
            None => Ok(()),
        }
    }

    /// Whether [`NoId`] was written.
    pub(crate) fn is_unbound(&self) -> bool {
        self.unbound
    }

    /// Appends the canonical form, `00` if nothing was written: an unbound row.
    #[inline]
    pub(crate) fn finish_into(&self, out: &mut Vec<u8>) -> Result<()> {
        self.check()?;
        out.push(self.parts);
        out.extend_from_slice(&self.bytes);
        Ok(())
    }
}

/// The canonical bytes of an id, as a person reads them in an error.
pub(crate) fn display(row: &[u8]) -> Option<String> {
    let (&parts, mut rest) = row.split_first()?;
    let mut out = String::new();
    for part in 0..parts {
        if part > 0 {
            out.push('/');
        }
        let (&kind, after) = rest.split_first()?;
        rest = match kind {
            TEXT | BYTES => {
                let (length, after) = after.split_first_chunk::<4>()?;
                let (bytes, after) =
                    after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
                match std::str::from_utf8(bytes) {
                    Ok(text) if kind == TEXT => out.push_str(text),
                    _ => out.push_str(&hex(bytes)),
                }
                after
            }
            INTEGER => {
                let (integer, after) = after.split_first_chunk::<16>()?;
                let _ = write!(out, "{}", i128::from_be_bytes(*integer));
                after
            }
            UUID => {
                let (uuid, after) = after.split_first_chunk::<16>()?;
                for (index, byte) in uuid.iter().enumerate() {
                    if matches!(index, 4 | 6 | 8 | 10) {
                        out.push('-');
                    }
                    let _ = write!(out, "{byte:02x}");
                }
                after
            }
            _ => return None,
        };
    }
    (parts > 0).then_some(out)
}

/// For documents that have no id: what is sealed in them is bound to the name of the documents, its
/// path and its encryption context only, so that the same field of two documents can be exchanged
/// unnoticed. Rows of models must have an id: they refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoId;

impl RowId for NoId {
    fn write_row(&self, out: &mut RowWriter) {
        out.unbound = true;
    }
}

impl RowId for str {
    #[inline]
    fn write_row(&self, out: &mut RowWriter) {
        out.text(self);
    }
}

impl RowId for String {
    #[inline]
    fn write_row(&self, out: &mut RowWriter) {
        out.text(self);
    }
}

impl RowId for [u8] {
    #[inline]
    fn write_row(&self, out: &mut RowWriter) {
        out.bytes(self);
    }
}

impl RowId for Vec<u8> {
    #[inline]
    fn write_row(&self, out: &mut RowWriter) {
        out.bytes(self);
    }
}

impl<const N: usize> RowId for [u8; N] {
    #[inline]
    fn write_row(&self, out: &mut RowWriter) {
        out.bytes(self);
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl RowId for $ty {
            #[inline]
            fn write_row(&self, out: &mut RowWriter) { out.integer(i128::from(*self)); }
        }
    )*};
}
integers!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

macro_rules! wide_integers {
    ($($ty:ty),*) => {$(
        impl RowId for $ty {
            #[inline]
            fn write_row(&self, out: &mut RowWriter) {
                match i128::try_from(*self) {
                    Ok(integer) => out.integer(integer),
                    Err(_) => out.failed = Some("an id is beyond the range of i128"),
                }
            }
        }
    )*};
}
wide_integers!(u128, usize, isize);

#[cfg(feature = "uuid")]
impl RowId for uuid::Uuid {
    #[inline]
    fn write_row(&self, out: &mut RowWriter) {
        out.uuid(self.as_bytes());
    }
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<T: RowId + ?Sized> RowId for $pointer {
            #[inline]
            fn write_row(&self, out: &mut RowWriter) { (**self).write_row(out); }
        }
    )*};
}
delegate!(&T, Box<T>, Arc<T>, Rc<T>);

impl<T: RowId + ToOwned + ?Sized> RowId for Cow<'_, T> {
    #[inline]
    fn write_row(&self, out: &mut RowWriter) {
        (**self).write_row(out);
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))*) => {$(
        #[allow(non_snake_case)]
        impl<$($name: RowId),+> RowId for ($($name,)+) {
            #[inline]
            fn write_row(&self, out: &mut RowWriter) {
                let ($($name,)+) = self;
                $($name.write_row(out);)+
            }
        }
    )*};
}
tuples! { (A) (A B) (A B C) (A B C D) }

impl fmt::Display for RowWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(1 + self.bytes.len());
        let _ = self.finish_into(&mut bytes);
        f.write_str(&display(&bytes).unwrap_or_default())
    }
}

impl fmt::Debug for RowWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowWriter({} parts)", self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(id: &(impl RowId + ?Sized)) -> Vec<u8> {
        let mut writer = RowWriter::default();
        id.write_row(&mut writer);
        let mut out = Vec::new();
        writer.finish_into(&mut out).unwrap();
        out
    }

    #[test]
    fn integers_of_every_width_are_bound_alike() {
        assert_eq!(encode(&7_i32), encode(&7_u64));
        assert_ne!(encode(&7_i32), encode("7"));
        assert_eq!(display(&encode(&-7_i8)).unwrap(), "-7");
    }

    #[test]
    fn an_id_is_written_alike_by_itself_and_after_others() {
        let mut writer = RowWriter::default();
        for id in ["acme", "", "x"] {
            let start = writer.begin_next();
            (id, 5_i64).write_row(&mut writer);
            writer.end(start).unwrap();
            assert_eq!(writer.written()[start..], encode(&(id, 5_i64)));
        }
        let start = writer.begin_next();
        assert!(writer.is_empty());
        u128::MAX.write_row(&mut writer);
        assert!(writer.end(start).is_err());
        let start = writer.begin_next();
        7_u8.write_row(&mut writer);
        writer.end(start).unwrap();
        assert_eq!(writer.written()[start..], encode(&7_u8));
        assert!(writer.written().starts_with(&encode(&("acme", 5_i64))));
    }

    #[test]
    fn kinds_and_composites_differ() {
        assert_ne!(encode("ab"), encode(&("a", "b")));
        assert_ne!(encode(b"ab".as_slice()), encode("ab"));
        assert_eq!(display(&encode(&("acme", 5_i64))).unwrap(), "acme/5");
    }

    #[test]
    fn an_unbound_row_has_no_name() {
        assert_eq!(display(&encode(&[0_u8; 0][..])).unwrap(), "");
        assert_eq!(display(&[0]), None);
    }

    #[test]
    fn an_integer_out_of_range_is_refused() {
        let mut writer = RowWriter::default();
        u128::MAX.write_row(&mut writer);
        assert!(writer.finish_into(&mut Vec::new()).is_err());
    }
}
