//! Dates and times of the crates that people use. All of them have the same bytes: a value that was sealed as a
//! date of one crate opens as a date of another.

#[cfg(feature = "chrono")]
mod chrono;
#[cfg(feature = "jiff")]
mod jiff;
#[cfg(feature = "time")]
mod time;

/// Seconds and nanoseconds of nanoseconds since midnight.
fn split_nanos(nanos: u64) -> Option<(u32, u32)> {
    const PER_SECOND: u64 = 1_000_000_000;
    Some((u32::try_from(nanos / PER_SECOND).ok()?, u32::try_from(nanos % PER_SECOND).ok()?))
}

/// A value that not every program can hold, or that the format can't express.
macro_rules! dated {
    ($ty:ty, $code:ident, $read:expr, $value:expr, $bytes:expr, $parse:expr, $print:expr $(,)?) => {
        impl $crate::value::PiiValue for $ty {
            const TYPE: $crate::model::TypeCode = $crate::model::TypeCode::$code;
            type Exposed<'a> = Self;

            fn encode(self) -> $crate::error::Result<$crate::secret::SecretBytes> {
                match $bytes(self) {
                    Some(bytes) => Ok($crate::secret::SecretBytes::copy_from(&bytes)),
                    None => Err($crate::value::times::inexpressible(Self::TYPE)),
                }
            }

            fn decode(bytes: &[u8]) -> $crate::error::Result<Self> {
                let read = $read(bytes).ok_or_else(|| $crate::value::wrong_type(Self::TYPE))?;
                $value(read).ok_or_else(|| $crate::value::does_not_fit(Self::TYPE))
            }

            fn check(bytes: &[u8]) -> bool {
                $read(bytes).is_some()
            }

            fn from_plaintext(text: &str) -> Option<$crate::secret::SecretBytes> {
                let value: Self = $parse(text.trim())?;
                $crate::value::PiiValue::encode(value).ok()
            }

            fn to_plaintext(bytes: &[u8]) -> Option<$crate::secret::SecretBytes> {
                let value = <Self as $crate::value::PiiValue>::decode(bytes).ok()?;
                let text: Option<String> = $print(value);
                Some($crate::secret::SecretBytes::from_vec(text?.into_bytes()))
            }
        }

        impl $crate::index::IndexedValue for $ty {
            type Term = Self;

            fn term(term: &Self) -> $crate::error::Result<$crate::secret::SecretBytes> {
                $crate::value::PiiValue::encode(*term)
            }
        }
    };
}
use dated;

/// That a value has no bytes in the format, such as a leap second.
fn inexpressible(code: crate::model::TypeCode) -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::Malformed)
        .message(format!("this {} cannot be sealed: it is too far away, or in a leap second", code.name()))
}
