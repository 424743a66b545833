//! diesel codecs: a sealed value is text for any backend; an unsealed one refuses to be written.

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql},
    serialize::{self, Output, ToSql},
    sql_types::Text,
};

use super::encrypted::Encrypted;
use crate::wire::Ciphertext;

impl<DB: Backend> ToSql<Text, DB> for Ciphertext
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.as_str().to_sql(out)
    }
}

impl<DB: Backend> FromSql<Text, DB> for Ciphertext
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::parse(String::from_sql(bytes)?)?)
    }
}

impl<DB: Backend, T> ToSql<Text, DB> for Encrypted<T>
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.stored_text()?.as_str().to_sql(out)
    }
}

impl<DB: Backend, T> FromSql<Text, DB> for Encrypted<T>
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::from_stored(String::from_sql(bytes)?))
    }
}
