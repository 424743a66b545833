//! Decimal numbers of `rust_decimal`.

use rust_decimal::Decimal;

use super::{
    encoding::{self, joined},
    scalars::fixed,
};

fixed!(
    Decimal,
    DECIMAL,
    encoding::DECIMAL,
    |(coefficient, scale): (i128, u32)| Decimal::try_from_i128_with_scale(coefficient, scale).ok(),
    |value: Decimal| -> [u8; 20] { joined(value.mantissa().to_be_bytes(), value.scale().to_be_bytes()) },
    |text: &str| Decimal::from_str_exact(text).ok(),
    Decimal::to_string,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Encrypted, PiiScalar as _};

    #[test]
    fn decimals_keep_their_scale() {
        for text in ["0", "-1.50", "79228162514264337593543950335", "0.0000000000000000000000000001"] {
            let value: Decimal = text.parse().unwrap();
            assert_eq!(Encrypted::<Decimal>::new(value).expose().unwrap().to_string(), text);
            assert_eq!(value.to_bytes().expose().len(), 20);
        }
    }

    #[test]
    fn a_coefficient_that_is_too_large_is_an_error() {
        let too_large: [u8; 20] = joined(i128::MAX.to_be_bytes(), 0_u32.to_be_bytes());
        assert!(<Decimal as crate::PiiValue>::decode(&too_large).is_err());
        assert!(<Decimal as crate::PiiValue>::check(&too_large));
    }
}
