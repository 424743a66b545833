//! Values as they are shown in bodies and on screens: in clear, or masked.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use serde::{Serialize as _, Serializer, ser};

use super::{
    cell::Cell,
    pii_value::TypeOps,
    serde_impls::{address, is_sealing},
};
use crate::{
    error::{Error, ErrorKind, Result},
    json::read_json,
    model::TypeCode,
    secret::SecretBytes,
};

thread_local! {
    /// How the values that are being serialised are shown.
    static SCOPE: RefCell<Option<Arc<HashMap<usize, Shown>>>> = const { RefCell::new(None) };
}

/// How one value is shown.
pub(crate) enum Shown {
    /// Its plaintext, which is of this type.
    InClear(&'static TypeOps),
    /// This text in its place.
    Masked(String),
}

/// How values are shown, by where their state is.
#[derive(Default)]
pub(crate) struct ShownValues(HashMap<usize, Shown>);

impl ShownValues {
    pub(crate) fn add(&mut self, cell: &Cell, shown: Shown) {
        self.0.insert(address(cell), shown);
    }

    /// Serialises with the values shown; the scope before is put back, also when `f` panics.
    ///
    /// # Errors
    /// [`ErrorKind::State`] while a model is serialised to be stored: what is shown must not get there.
    pub(crate) fn during<R>(self, f: impl FnOnce() -> R) -> Result<R> {
        struct PutBack(Option<Arc<HashMap<usize, Shown>>>);
        impl Drop for PutBack {
            fn drop(&mut self) {
                SCOPE.set(self.0.take());
            }
        }
        if is_sealing() {
            return Err(Error::new(ErrorKind::State)
                .message("a value is shown while its model is written to be stored")
                .help("keep `Revealed` and `Masked` out of structs that are stored"));
        }
        let _put_back = PutBack(SCOPE.replace(Some(Arc::new(self.0))));
        Ok(f())
    }
}

/// Serialises a value if it is to be shown; gives the serializer back if not.
pub(super) fn serialize<S: Serializer>(cell: &Cell, serializer: S) -> Result<Result<S::Ok, S::Error>, S> {
    let Some(scope) = SCOPE.with_borrow(Clone::clone) else { return Err(serializer) };
    match scope.get(&address(cell)) {
        None => Err(serializer),
        Some(Shown::Masked(text)) => Ok(serializer.serialize_str(text)),
        Some(Shown::InClear(ops)) => Ok(match cell.plain() {
            Some(plain) => in_clear(ops.code, ops.to_plaintext, plain.expose(), serializer),
            None => Err(ser::Error::custom(not_shown())),
        }),
    }
}

pub(crate) fn not_shown() -> Error {
    Error::new(ErrorKind::State).message("the value is sealed, so it can't be shown in clear").help(
        "load it with `.decrypt_pii()`; a field in WriteOnly mode is never opened: show it with \
         `Revealed(..).or_masked()`",
    )
}

/// The plaintext as serde writes a value of that type: see FORMAT.md, "Types".
///
/// What serde has no type for is written as its text.
fn in_clear<S: Serializer>(
    code: TypeCode,
    to_text: fn(&[u8]) -> Option<SecretBytes>,
    bytes: &[u8],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let wrong = || ser::Error::custom(super::wrong_type(code));
    match code {
        TypeCode::UTF8 | TypeCode::ENUM => {
            serializer.serialize_str(std::str::from_utf8(bytes).map_err(|_| wrong())?)
        }
        TypeCode::BYTES => serializer.serialize_bytes(bytes),
        TypeCode::BOOL => match bytes {
            [0] => serializer.serialize_bool(false),
            [1] => serializer.serialize_bool(true),
            _ => Err(wrong()),
        },
        TypeCode::INTEGER => {
            let number = i128::from_be_bytes(bytes.try_into().map_err(|_| wrong())?);
            match (i64::try_from(number), u64::try_from(number)) {
                (Ok(number), _) => serializer.serialize_i64(number),
                (_, Ok(number)) => serializer.serialize_u64(number),
                _ => serializer.serialize_i128(number),
            }
        }
        TypeCode::FLOAT => {
            serializer.serialize_f64(f64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?))
        }
        TypeCode::UUID => {
            let uuid = u128::from_be_bytes(bytes.try_into().map_err(|_| wrong())?);
            serializer.collect_str(&format_args!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                uuid >> 96,
                uuid >> 80 & 0xffff,
                uuid >> 64 & 0xffff,
                uuid >> 48 & 0xffff,
                uuid & 0xffff_ffff_ffff
            ))
        }
        TypeCode::JSON => read_json(bytes).map_err(ser::Error::custom)?.0.serialize(serializer),
        _ => {
            let text = to_text(bytes).ok_or_else(wrong)?;
            serializer.serialize_str(std::str::from_utf8(text.expose()).map_err(|_| wrong())?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: TypeCode, bytes: &[u8]) -> Option<serde_json::Value> {
        in_clear(code, |_| None, bytes, serde_json::value::Serializer).ok()
    }

    #[test]
    fn each_type_is_shown_as_serde_writes_it() {
        let integer = |number: i128| shown(TypeCode::INTEGER, &number.to_be_bytes()).unwrap().to_string();
        assert_eq!(shown(TypeCode::UTF8, b"Ada").unwrap(), "Ada");
        assert_eq!(shown(TypeCode::ENUM, b"Married").unwrap(), "Married");
        assert_eq!(shown(TypeCode::BOOL, &[1]).unwrap(), true);
        assert_eq!(integer(-42), "-42");
        assert_eq!(integer(i128::from(u64::MAX)), u64::MAX.to_string());
        assert_eq!(shown(TypeCode::FLOAT, &1.5_f64.to_be_bytes()).unwrap(), 1.5);
        let uuid: Vec<u8> = (0..16).collect();
        assert_eq!(shown(TypeCode::UUID, &uuid).unwrap(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(shown(TypeCode::JSON, b"{\"a\":[1]}").unwrap(), serde_json::json!({ "a": [1] }));
    }

    #[test]
    fn what_is_of_no_such_type_is_refused() {
        for (code, bytes) in [
            (TypeCode::UTF8, &[0xff][..]),
            (TypeCode::BOOL, &[2]),
            (TypeCode::INTEGER, &[0; 8]),
            (TypeCode::FLOAT, &[0; 4]),
            (TypeCode::UUID, &[0; 15]),
            (TypeCode::JSON, b"{"),
            (TypeCode::DATE, &[0; 4]),
        ] {
            assert!(shown(code, bytes).is_none(), "{}", code.name());
        }
    }
}
