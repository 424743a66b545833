//! JSON text in and out, so that nothing of it is lost in silence.

use std::{fmt, io};

use serde::{
    Serialize,
    de::{Deserialize as _, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, ser::Formatter};
use zeroize::Zeroize as _;

use super::{MAX_NESTING, WipedValue, too_deep};
use crate::{
    error::{Error, ErrorKind, Result},
    secret::{SecretBytes, WipingBuffer},
};

/// Reads one JSON document.
///
/// # Errors
/// [`ErrorKind::InvalidDocument`] if the bytes are not UTF-8, are not JSON, or something follows the
/// document; if lists and objects are nested more than 127 deep; if an object has a key twice, of which
/// a `Value` would keep one; if a whole number has more than 64 bits, which a `Value` would round.
pub(crate) fn read_json(bytes: &[u8]) -> Result<WipedValue> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| refused(format!("no UTF-8 after {} bytes", error.valid_up_to())))?;
    scan(text)?;
    let mut why = None;
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = Document(&mut why).deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    // the parser's own message may quote what it met
    parsed.map_err(|error| {
        let why = why.unwrap_or("no JSON");
        refused(format!("{why}, at line {}, column {}", error.line(), error.column()))
    })
}

/// Writes any value as JSON, into memory that is wiped.
///
/// # Errors
/// [`ErrorKind::InvalidDocument`] if its `Serialize` fails, has keys that are not text, or nests lists
/// and objects more than 127 deep.
pub(crate) fn write_json(value: &(impl Serialize + ?Sized)) -> Result<SecretBytes> {
    let mut buffer = WipingBuffer::default();
    let mut serializer = serde_json::Serializer::with_formatter(&mut buffer, Nesting(0));
    match value.serialize(&mut serializer) {
        Ok(()) => Ok(buffer.into_secret()),
        Err(error) if error.is_io() => Err(too_deep()),
        // the message is the type's own, and may quote what it refuses
        Err(_) => Err(refused("the value can't be written as JSON".to_owned())
            .help("keys of maps must be text, and a sealed field must be sealed: see `Cryptor::sealed`")),
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidDocument).message(message)
}

/// Finds, before anything is built, what the parser would not tell: nesting, and whole numbers that it
/// would round.
fn scan(text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(too_deep());
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let more = rest.iter().take_while(|byte| is_of_number(**byte)).count();
                let number = text.get(at - 1..at + more).unwrap_or_default();
                if !is_exact(number) {
                    let line = 1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
                    return Err(refused(format!("a whole number has more than 64 bits, at line {line}"))
                        .help("write it as text"));
                }
                at += more;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The position behind the quote that ends a string.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

/// Whether a number is a float, or a whole number of 64 bits. What is no number at all is left to the parser.
fn is_exact(number: &str) -> bool {
    let is_whole = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    // up to 18 digits always fit
    !is_whole || number.len() <= 18 || number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok()
}

/// A value of a document; says why it is refused, if that is for a reason of ours.
struct Document<'w>(&'w mut Option<&'static str>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = WipedValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<WipedValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = WipedValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<WipedValue, E> {
        Ok(WipedValue(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<WipedValue, E> {
        Ok(WipedValue(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<WipedValue, E> {
        Ok(WipedValue(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<WipedValue, E> {
        Ok(WipedValue(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<WipedValue, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("no number"))?;
        Ok(WipedValue(Value::Number(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<WipedValue, E> {
        Ok(WipedValue(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<WipedValue, E> {
        Ok(WipedValue(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<WipedValue, A::Error> {
        let mut list = WipedValue(Value::Array(Vec::new()));
        while let Some(element) = elements.next_element_seed(Document(&mut *self.0))? {
            if let Value::Array(list) = &mut list.0 {
                list.push(element.release());
            }
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<WipedValue, A::Error> {
        let mut object = WipedValue(Value::Object(Map::new()));
        while let Some(mut key) = members.next_key::<String>()? {
            if key == NUMBER {
                return number(members, self.0);
            }
            let Value::Object(map) = &mut object.0 else { break };
            if map.contains_key(&key) {
                key.zeroize();
                *self.0 = Some("an object has a key twice");
                return Err(A::Error::custom("refused"));
            }
            let value = members.next_value_seed(Document(&mut *self.0))?;
            map.insert(key, value.release());
        }
        Ok(object)
    }
}

/// The key by which `serde_json` hands over numbers, if the program has its feature `arbitrary_precision`
/// on, which any crate can do.
const NUMBER: &str = "$serde_json::private::Number";

/// The number, or the refusal of a document that has this key itself.
fn number<'de, A: MapAccess<'de>>(
    mut members: A,
    why: &mut Option<&'static str>,
) -> Result<WipedValue, A::Error> {
    let keeps_digits =
        serde_json::from_str::<Number>("1.10").is_ok_and(|number| number.to_string() == "1.10");
    if !keeps_digits {
        *why = Some("a key is reserved by serde_json");
        return Err(A::Error::custom("refused"));
    }
    let digits = members.next_value::<String>()?;
    let number = Number::deserialize(&mut serde_json::Deserializer::from_str(&digits));
    number.map(|number| WipedValue(Value::Number(number))).map_err(|_| A::Error::custom("no number"))
}

/// Counts lists and objects while they are written, and stops before the stack does.
struct Nesting(usize);

impl Nesting {
    fn enter<W: ?Sized + io::Write>(&mut self, out: &mut W, opens: &[u8]) -> io::Result<()> {
        self.0 += 1;
        if self.0 > MAX_NESTING { Err(io::Error::other("nested too deep")) } else { out.write_all(opens) }
    }

    fn leave<W: ?Sized + io::Write>(&mut self, out: &mut W, closes: &[u8]) -> io::Result<()> {
        self.0 = self.0.saturating_sub(1);
        out.write_all(closes)
    }
}

impl Formatter for Nesting {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.enter(out, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.leave(out, b"]")
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.enter(out, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.leave(out, b"}")
    }
}
