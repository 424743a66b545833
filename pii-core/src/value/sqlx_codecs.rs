//! sqlx codecs: a sealed value is text for any driver; an unsealed one refuses to be encoded.

use sqlx::{
    Database, Decode, Encode, Type, ValueRef,
    encode::IsNull,
    error::{BoxDynError, UnexpectedNullError},
};

use super::encrypted::Encrypted;
use crate::wire::Ciphertext;

macro_rules! text_type {
    ($ty:ident $(<$t:ident>)?) => {
        impl<DB: Database $(, $t)?> Type<DB> for $ty $(<$t>)?
        where
            String: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <String as Type<DB>>::type_info()
            }

            fn compatible(info: &DB::TypeInfo) -> bool {
                <String as Type<DB>>::compatible(info)
            }
        }

        #[cfg(feature = "sqlx-postgres")]
        impl $(<$t>)? sqlx::postgres::PgHasArrayType for $ty $(<$t>)? {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                <String as sqlx::postgres::PgHasArrayType>::array_type_info()
            }

            fn array_compatible(info: &sqlx::postgres::PgTypeInfo) -> bool {
                <String as sqlx::postgres::PgHasArrayType>::array_compatible(info)
            }
        }
    };
}

text_type!(Ciphertext);
text_type!(Encrypted<T>);

impl<'q, DB: Database> Encode<'q, DB> for Ciphertext
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut <DB as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<'q, DB>>::encode(self.as_str().to_owned(), buffer)
    }

    fn size_hint(&self) -> usize {
        self.as_str().len()
    }
}

impl<'r, DB: Database> Decode<'r, DB> for Ciphertext
where
    &'r str: Decode<'r, DB>,
{
    fn decode(value: <DB as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self::parse(text(value)?)?)
    }
}

impl<'q, DB: Database, T> Encode<'q, DB> for Encrypted<T>
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut <DB as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let text = self.stored_text()?.as_str().to_owned();
        <String as Encode<'q, DB>>::encode(text, buffer)
    }

    fn size_hint(&self) -> usize {
        self.ciphertext().map_or(0, |text| text.as_str().len())
    }
}

impl<'r, DB: Database, T> Decode<'r, DB> for Encrypted<T>
where
    &'r str: Decode<'r, DB>,
{
    fn decode(value: <DB as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self::from_stored(text(value)?))
    }
}

/// SQLite takes NULL for an empty text, which a policy could then accept as plaintext.
fn text<'r, DB: Database>(value: DB::ValueRef<'r>) -> Result<&'r str, BoxDynError>
where
    &'r str: Decode<'r, DB>,
{
    if value.is_null() {
        return Err(Box::new(UnexpectedNullError));
    }
    <&'r str as Decode<'r, DB>>::decode(value)
}
