//! Values inside of JSON: lists, maps and nested structs. The text is read from the database and walked over; nothing
//! of it is kept.

use std::fmt;

use futures_util::TryStreamExt as _;
use pii_core::{Ciphertext, FieldSpec, FormatError, Holds, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{ColumnValues, keys::KeyCounts};
use crate::{
    catalogue::{Catalogue, unread},
    quiet::quiet,
};

/// Counts the values in a column.
pub(super) async fn count<DB: Catalogue>(
    connection: &mut DB::Connection,
    table: &str,
    column: &str,
    field: &FieldSpec,
    values: &mut ColumnValues,
) -> Result<KeyCounts> {
    let mut keys = KeyCounts::default();
    let query = format!("SELECT CAST({column} AS {}) FROM {table} WHERE {column} IS NOT NULL", DB::TEXT);
    let mut rows = <DB as Catalogue>::stream(connection, query);
    while let Some(row) = rows.try_next().await.map_err(|error| unread().source(quiet(error)))? {
        let text = DB::text(&row, 0).map_err(|error| unread().source(quiet(error)))?.unwrap_or_default();
        let mut counting = Counting { values, keys: &mut keys };
        let mut json = serde_json::Deserializer::from_str(&text);
        let walked = Node { holds: field.holds(), counting: &mut counting }.deserialize(&mut json);
        if walked.and_then(|()| json.end()).is_err() {
            // what is no JSON, or of another shape, was not written by this library
            values.plaintext += 1;
            values.longest_plaintext = values.longest_plaintext.max(text.len() as u64);
        }
    }
    Ok(keys)
}

struct Counting<'a> {
    values: &'a mut ColumnValues,
    keys: &'a mut KeyCounts,
}

impl Counting<'_> {
    fn text(&mut self, text: &str) {
        match Ciphertext::parse(text) {
            Ok(value) => {
                self.values.sealed += 1;
                self.keys.add(value.key_id(), value.layout(), 1);
            }
            Err(FormatError::NotEncrypted) => self.plaintext(text.len()),
            Err(FormatError::UnknownVersion) => self.values.foreign += 1,
            Err(_) => self.values.damaged += 1,
        }
    }

    fn plaintext(&mut self, bytes: usize) {
        self.values.plaintext += 1;
        self.values.longest_plaintext = self.values.longest_plaintext.max(bytes as u64);
    }
}

/// What is expected at a node of the JSON.
struct Node<'n, 'c> {
    holds: Holds,
    counting: &'n mut Counting<'c>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.holds {
            Holds::Plain => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sealed values")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.counting.text(text);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.counting.plaintext(0);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.counting.plaintext(0);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.counting.plaintext(0);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.counting.plaintext(0);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let holds = match self.holds {
            Holds::Value(_) => return Err(A::Error::custom("a list in place of one value")),
            Holds::NestedMany(fields) => Holds::Nested(fields),
            other => other,
        };
        while seq.next_element_seed(Node { holds, counting: &mut *self.counting })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(holds) = map.next_key_seed(Key(self.holds))? {
            map.next_value_seed(Node { holds, counting: &mut *self.counting })?;
        }
        Ok(())
    }
}

/// What stands under a key of the JSON.
struct Key(Holds);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Holds;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Holds, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Holds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Holds, E> {
        let of_field =
            |fields: &[FieldSpec]| fields.iter().find(|field| field.attribute() == key).map(FieldSpec::holds);
        Ok(match self.0 {
            Holds::Nested(fields) => of_field(fields).unwrap_or(Holds::Plain),
            Holds::NestedMany(fields) => Holds::Nested(fields),
            other => other,
        })
    }
}
