//! The JSON text of the secret.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use zeroize::Zeroize as _;

use super::refused;
use crate::error::Result;

const MEMBER: &str = "app_encryption_keys";
const CURRENT: &str = "current_version";

/// What the secret says.
pub(super) struct Secret<'a> {
    pub(super) keys: Vec<(u32, Text<'a>)>,
    pub(super) current: u32,
}

/// A text of the secret: part of the caller's text, or wiped when dropped.
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// The parser's own message may quote what it met, so only ours and the line are passed on.
pub(super) fn parse(text: &str) -> Result<Secret<'_>> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let mut why = None;
    let parsed = parser.deserialize_map(Whole(&mut why)).and_then(|secret| parser.end().map(|()| secret));
    parsed.map_err(|error| match why {
        Some(why) => refused(why),
        None => refused(format!(
            "the secret with the application keys is not JSON of the expected shape (line {}, column {})",
            error.line(),
            error.column()
        ))
        .help(
            "it must read {\"app_encryption_keys\": {\"level3_app_key_v1\": \"...\", \"current_version\": 1}}",
        ),
    })
}

/// Why the secret is refused, if it is for a reason that JSON knows nothing of.
type Why = Option<String>;

fn stop<T, E: Error>(why: &mut Why, message: impl Into<String>) -> Result<T, E> {
    *why = Some(message.into());
    Err(E::custom("refused"))
}

/// The object around everything.
struct Whole<'w>(&'w mut Why);

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Secret<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the member `{MEMBER}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut secret = None;
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if *name != *MEMBER {
                return stop(self.0, format!("the secret has another member than `{MEMBER}`"));
            }
            if secret.is_some() {
                return stop(self.0, format!("the secret has the member `{MEMBER}` twice"));
            }
            secret = Some(map.next_value_seed(Members(&mut *self.0))?);
        }
        match secret {
            Some(secret) => Ok(secret),
            None => stop(self.0, format!("the secret has no member `{MEMBER}`")),
        }
    }
}

/// The object with the keys.
struct Members<'w>(&'w mut Why);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Secret<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Secret<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with application keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut keys, mut current) = (Vec::new(), None);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if *name == *CURRENT {
                if current.is_some() {
                    return stop(self.0, format!("`{CURRENT}` is given twice"));
                }
                current = match map.next_value::<Number>()? {
                    Number(Some(version)) => Some(version),
                    Number(None) => return stop(self.0, format!("`{CURRENT}` is not a version number")),
                };
            } else if let Some(version) = version_of(&name) {
                keys.push((version, map.next_value()?));
            } else {
                return stop(
                    self.0,
                    format!("`{MEMBER}` has a member that is neither `<prefix>_v<version>` nor `{CURRENT}`"),
                );
            }
        }
        match current {
            Some(current) => Ok(Secret { keys, current }),
            None => stop(self.0, format!("`{MEMBER}` has no `{CURRENT}`")),
        }
    }
}

/// The version in `<prefix>_v<version>`.
fn version_of(name: &str) -> Option<u32> {
    let (prefix, digits) = name.rsplit_once("_v")?;
    if prefix.is_empty() { None } else { number(digits) }
}

/// Decimal digits without sign and leading zeros, so that each version has one name.
fn number(digits: &str) -> Option<u32> {
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    let has_one_form = digits == "0" || !digits.starts_with('0');
    if is_plain && has_one_form { digits.parse().ok() } else { None }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A version as an integer or as its digits; `None` for everything else that is one of these types.
struct Number(Option<u32>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;

        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version number")
            }

            fn visit_u64<E: Error>(self, version: u64) -> Result<Self::Value, E> {
                Ok(Number(u32::try_from(version).ok()))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Number(None))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Number(None))
            }

            fn visit_str<E: Error>(self, digits: &str) -> Result<Self::Value, E> {
                Ok(Number(number(digits)))
            }
        }

        deserializer.deserialize_any(NumberVisitor)
    }
}
