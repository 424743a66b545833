//! Which fields a model's `Serialize` leaves out, as `skip_serializing_if` makes it do.

use std::{collections::HashSet, fmt};

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::masked_values;
use crate::model::PiiModel;

/// The ways to the fields that were left out.
#[derive(Default)]
pub(super) struct Skipped(HashSet<Vec<&'static str>>);

impl Skipped {
    /// Of a model that can be serialised; of another one, none.
    pub(super) fn of<M: PiiModel + Serialize>(model: &M) -> Self {
        let mut probe = Probe::default();
        let probed = masked_values(model).during(|| model.serialize(&mut probe));
        match probed {
            Ok(Ok(())) => probe.skipped,
            _ => Self::default(),
        }
    }

    pub(super) fn contains(&self, way: &[&'static str]) -> bool {
        self.0.contains(way)
    }
}

/// Writes nothing, and remembers what was left out.
#[derive(Default)]
struct Probe {
    at: Vec<&'static str>,
    skipped: Skipped,
}

#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value can't be serialised")
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    /// The message may quote the value.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

type Done = Result<(), Failed>;

macro_rules! ignored {
    ($($method:ident($ty:ty))*) => {
        $(fn $method(self, _: $ty) -> Done { Ok(()) })*
    };
}

impl Serializer for &mut Probe {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    ignored! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128) serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_str(&str)
        serialize_bytes(&[u8]) serialize_unit_struct(&'static str)
    }

    fn serialize_none(self) -> Done {
        Ok(())
    }

    fn serialize_unit(self) -> Done {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Done {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Done {
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Failed> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Failed> {
        Ok(self)
    }
}

impl SerializeStruct for &mut Probe {
    type Ok = ();
    type Error = Failed;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.at.push(key);
        let done = value.serialize(&mut **self);
        self.at.pop();
        done
    }

    fn skip_field(&mut self, key: &'static str) -> Done {
        let mut way = self.at.clone();
        way.push(key);
        self.skipped.0.insert(way);
        Ok(())
    }

    fn end(self) -> Done {
        Ok(())
    }
}

impl SerializeStructVariant for &mut Probe {
    type Ok = ();
    type Error = Failed;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, _: &T) -> Done {
        Ok(())
    }

    fn end(self) -> Done {
        Ok(())
    }
}

impl SerializeMap for &mut Probe {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Done {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}

macro_rules! elements {
    ($($of:ident::$method:ident)*) => {$(
        impl $of for &mut Probe {
            type Ok = ();
            type Error = Failed;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                value.serialize(&mut **self)
            }

            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}
elements! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}
