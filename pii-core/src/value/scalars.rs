//! Numbers, truth values, bytes and UUIDs.

use super::{
    encoding::{self, float_bytes},
    encrypted::Encrypted,
    pii_value::PiiValue,
};
use crate::{error::Result, index::IndexedValue, model::TypeCode, secret::SecretBytes};

/// A type of which every value can be sealed: integers, floats, `bool`, UUIDs, dates, decimals.
///
/// ```
/// # use pii_core as pii;
/// use pii::Encrypted;
///
/// let mut salary = Encrypted::<i64>::new(52_000);
/// salary.set(54_000);
/// assert_eq!(salary.expose()?, 54_000);
/// assert_eq!(format!("{salary}"), "*****");
/// # Ok::<(), pii::Error>(())
/// ```
pub trait PiiScalar: PiiValue {
    /// The bytes to seal. All values of a type have as many of them, so that their length says nothing; those of
    /// an enum are padded to its longest name when they are sealed.
    fn to_bytes(&self) -> SecretBytes;
}

/// What becomes a plain value by [`Encrypted::new`] and [`Encrypted::set`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not become an `Encrypted<{T}>` by itself",
    label = "not every value of this type can be sealed",
    note = "use `Encrypted::from_value(value)?`, and for JSON `Encrypted::json(&value)?`"
)]
pub trait IntoPii<T> {
    /// The bytes to seal.
    fn into_pii(self) -> SecretBytes;
}

impl<T: PiiScalar> IntoPii<T> for T {
    fn into_pii(self) -> SecretBytes {
        self.to_bytes()
    }
}

impl<S: Into<String>> IntoPii<String> for S {
    fn into_pii(self) -> SecretBytes {
        SecretBytes::from_vec(self.into().into_bytes())
    }
}

impl<B: Into<Vec<u8>>> IntoPii<Vec<u8>> for B {
    fn into_pii(self) -> SecretBytes {
        SecretBytes::from_vec(self.into())
    }
}

impl<T: PiiScalar + Default> Default for Encrypted<T> {
    /// A plain value of the type's default. For a column that may not be loaded use `Option`.
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// `PiiValue` of a type with a fixed number of bytes: what reads them, the value of what was read (or none,
/// if it does not fit), the bytes of a value, and its text.
macro_rules! fixed {
    ($ty:ty, $code:ident, $read:expr, $value:expr, $bytes:expr, $parse:expr, $print:expr $(,)?) => {
        impl $crate::value::PiiValue for $ty {
            const TYPE: $crate::model::TypeCode = $crate::model::TypeCode::$code;
            type Exposed<'a> = Self;

            fn encode(self) -> $crate::error::Result<$crate::secret::SecretBytes> {
                Ok($crate::value::PiiScalar::to_bytes(&self))
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
                Some($crate::value::PiiScalar::to_bytes(&value))
            }

            fn to_plaintext(bytes: &[u8]) -> Option<$crate::secret::SecretBytes> {
                let value = <Self as $crate::value::PiiValue>::decode(bytes).ok()?;
                let text: String = $print(&value);
                Some($crate::secret::SecretBytes::from_vec(text.into_bytes()))
            }
        }

        impl $crate::value::PiiScalar for $ty {
            fn to_bytes(&self) -> $crate::secret::SecretBytes {
                $crate::secret::SecretBytes::copy_from(&$bytes(*self))
            }
        }

        impl $crate::index::IndexedValue for $ty {
            type Term = Self;

            fn term(term: &Self) -> $crate::error::Result<$crate::secret::SecretBytes> {
                Ok($crate::value::PiiScalar::to_bytes(term))
            }
        }
    };
}
#[cfg(feature = "rust_decimal")]
pub(super) use fixed;

macro_rules! integers {
    ($($ty:ty),*) => {$(
        fixed!(
            $ty,
            INTEGER,
            encoding::INTEGER,
            |read: i128| <$ty>::try_from(read).ok(),
            |value: $ty| i128::from(value).to_be_bytes(),
            |text: &str| text.parse().ok(),
            <$ty as ToString>::to_string,
        );
    )*};
}
integers!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

fixed!(
    bool,
    BOOL,
    encoding::BOOL,
    Some,
    |value: bool| [u8::from(value)],
    // as SQLite and MySQL, and as Postgres print them
    |text: &str| match text {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    },
    bool::to_string,
);

fixed!(f64, FLOAT, encoding::FLOAT, Some, float_bytes, |text: &str| text.parse().ok(), f64::to_string,);

fixed!(
    f32,
    FLOAT,
    encoding::FLOAT,
    to_f32,
    |value: f32| float_bytes(f64::from(value)),
    |text: &str| text.parse().ok(),
    f32::to_string,
);

/// Only without loss.
#[allow(clippy::cast_possible_truncation, reason = "what was lost is seen")]
fn to_f32(read: f64) -> Option<f32> {
    let single = read as f32;
    (read.is_nan() || f64::from(single).to_bits() == read.to_bits()).then_some(single)
}

#[cfg(feature = "uuid")]
fixed!(
    uuid::Uuid,
    UUID,
    encoding::UUID,
    |read| Some(uuid::Uuid::from_bytes(read)),
    uuid::Uuid::into_bytes,
    |text: &str| uuid::Uuid::try_parse(text).ok(),
    uuid::Uuid::to_string,
);

impl PiiValue for Vec<u8> {
    const TYPE: TypeCode = TypeCode::BYTES;
    type Exposed<'a> = &'a [u8];

    fn encode(self) -> Result<SecretBytes> {
        Ok(SecretBytes::from_vec(self))
    }

    fn decode(bytes: &[u8]) -> Result<&[u8]> {
        Ok(bytes)
    }

    fn check(_: &[u8]) -> bool {
        true
    }
}

impl IndexedValue for Vec<u8> {
    type Term = [u8];

    fn term(term: &[u8]) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from(term))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{error::ErrorKind, mask::Mask};

    fn round_trip<T>(value: T)
    where
        T: PiiScalar + Copy + PartialEq + std::fmt::Debug + for<'a> PiiValue<Exposed<'a> = T>,
    {
        let sealed = Encrypted::<T>::new(value);
        assert_eq!(sealed.expose().unwrap(), value);
        let bytes = value.to_bytes();
        assert!(T::check(bytes.expose()));
        let text = T::to_plaintext(bytes.expose()).unwrap();
        let again = T::from_plaintext(std::str::from_utf8(text.expose()).unwrap()).unwrap();
        assert!(again.constant_time_eq(&bytes));
    }

    proptest! {
        #[test]
        fn every_value_comes_back(
            small in any::<i8>(), long in any::<i64>(), huge in any::<i128>(), unsigned in any::<u64>(),
            truth in any::<bool>(), double in any::<f64>(), single in any::<f32>(),
        ) {
            round_trip(small);
            round_trip(long);
            round_trip(huge);
            round_trip(unsigned);
            round_trip(truth);
            if !double.is_nan() { round_trip(double); }
            if !single.is_nan() { round_trip(single); }
        }

        #[test]
        fn bytes_come_back(bytes in any::<Vec<u8>>()) {
            let sealed = Encrypted::<Vec<u8>>::new(bytes.clone());
            prop_assert_eq!(sealed.expose().unwrap(), bytes.as_slice());
        }
    }

    #[test]
    fn all_values_of_a_type_are_equally_long() {
        assert_eq!(0_i64.to_bytes().expose().len(), i64::MIN.to_bytes().expose().len());
        assert_eq!(1_u8.to_bytes().expose(), 1_i128.to_bytes().expose());
    }

    #[test]
    fn a_number_that_does_not_fit_is_an_error_without_the_number() {
        let large = Encrypted::<i64>::new(70_000);
        let small = Encrypted::<i16>::from_cell(large.cell().clone());
        let error = small.expose().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(!format!("{error} {error:?}").contains("70000"));
        let double = Encrypted::<f64>::new(0.1);
        assert!(Encrypted::<f32>::from_cell(double.cell().clone()).expose().is_err());
        assert!(Encrypted::<bool>::from_cell(large.cell().clone()).expose().is_err());
    }

    #[test]
    fn every_nan_is_the_same() {
        assert!(f64::NAN.to_bytes().constant_time_eq(&(-f64::NAN).to_bytes()));
        assert!(Encrypted::<f32>::new(f32::NAN).expose().unwrap().is_nan());
        assert_eq!(Encrypted::<f64>::new(-0.0).expose().unwrap().to_bits(), (-0.0_f64).to_bits());
    }

    #[test]
    fn text_that_is_no_value_is_not_accepted() {
        assert!(i64::from_plaintext("12a").is_none());
        // sixteen characters are no integer because of their length
        assert!(i64::from_plaintext("abcdefghijklmnop").is_none());
        assert!(bool::from_plaintext("yes").is_none());
        assert!(<Vec<u8>>::from_plaintext("00ff").is_none());
        assert!(i64::from_plaintext(" 42 ").is_some());
    }

    #[test]
    fn numbers_are_masked_in_full() {
        let salary = Encrypted::<i64>::new(52_000);
        assert_eq!(salary.masked(Mask::Last4), "*****");
        assert_eq!(format!("{salary:?} {salary}"), "<plain *****> *****");
    }
}
