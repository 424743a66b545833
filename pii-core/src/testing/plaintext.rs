//! Looking for plaintext where none must be.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use crate::wire::encode::hex;

/// Where [`assert_no_plaintext!`](macro@super::assert_no_plaintext) can search.
pub trait Haystack {
    /// Calls `look` with each part of it and what to call the part in an error.
    ///
    /// # Errors
    /// If something can't be read, for what can't be read can't be searched.
    fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String>;
}

/// Asserts that none of the plaintexts occurs: in text or bytes (a row, the output of `Debug`, a log), in a JSON
/// value, or by a `Path` in a file, or in all files of a folder.
///
/// They are found as they are, as JSON escapes them, in hex, in base64 at any position, and in UTF-16.
/// Base64 and hex are searched for where they are long enough not to be met by chance.
///
/// ```
/// # use pii_core as pii;
/// use pii::testing::{Person, assert_no_plaintext};
///
/// let ada = Person::numbered(1);
/// let (row, log) = ("ENC:AgHr...", "1 row written");
/// assert_no_plaintext!(row, ada.plaintexts());
/// assert_no_plaintext!(row, log, format!("{ada:?}"); ada.plaintexts());
/// ```
///
/// # Panics
/// If one occurs; names it by its position, and where it is. If one is shorter than four bytes, which would
/// prove nothing, if there is none, or if a file can't be read.
#[macro_export]
macro_rules! assert_no_plaintext {
    ($haystack:expr, $plaintexts:expr $(,)?) => {
        $crate::assert_no_plaintext!($haystack; $plaintexts)
    };
    ($($haystack:expr),+ $(,)?; $plaintexts:expr $(,)?) => {{
        let needles = $crate::testing::Needles::of($plaintexts);
        $(if let ::std::result::Result::Err(why) = needles.check(&$haystack) {
            ::std::panic!("in `{}`: {why}", ::std::stringify!($haystack));
        })+
    }};
}

/// Plaintexts in all forms that are searched for.
#[doc(hidden)]
pub struct Needles(Vec<Needle>);

struct Needle {
    index: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

/// As many characters of hex or base64 are not met by chance in sealed text.
const CERTAIN: usize = 8;

#[doc(hidden)]
impl Needles {
    #[track_caller]
    pub fn of<S: AsRef<[u8]>>(plaintexts: impl IntoIterator<Item = S>) -> Self {
        let mut needles = Vec::new();
        for (index, plaintext) in plaintexts.into_iter().enumerate() {
            let plaintext = plaintext.as_ref();
            assert!(plaintext.len() >= 4, "plaintext {index} is too short to look for");
            let forms = forms(plaintext);
            needles.extend(forms.into_iter().map(|(form, bytes)| Needle { index, form, bytes }));
        }
        assert!(!needles.is_empty(), "there are no plaintexts to look for");
        Self(needles)
    }

    pub fn check(&self, haystack: &(impl Haystack + ?Sized)) -> Result<(), String> {
        let mut found = None;
        haystack.each_part(&mut |part, name| {
            if found.is_none() {
                found = self.0.iter().find_map(|needle| needle.find(part, name));
            }
        })?;
        found.map_or(Ok(()), Err)
    }
}

impl Needle {
    fn find(&self, part: &[u8], name: &str) -> Option<String> {
        let (first, length) = (self.bytes.first()?, self.bytes.len());
        let at =
            part.windows(length).position(|window| window.first() == Some(first) && window == self.bytes)?;
        Some(format!("plaintext {} occurs {}{name}, at byte {at} of {}", self.index, self.form, part.len()))
    }
}

fn forms(plaintext: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("as it is", plaintext.to_vec())];
    let hex = hex(plaintext);
    let mut encoded = vec![("in hex", hex.to_uppercase()), ("in hex", hex)];
    for shift in 0..3 {
        let shifted = [vec![0; shift], plaintext.to_vec()].concat();
        // the characters that hold bits of the plaintext alone
        let inside = (shift * 8).div_ceil(6)..shifted.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            encoded.push(("in base64", text.get(inside.clone()).unwrap_or_default().to_owned()));
        }
    }
    forms.extend(
        encoded
            .into_iter()
            .filter(|(_, text)| text.len() >= CERTAIN)
            .map(|(form, text)| (form, text.into_bytes())),
    );
    if let Ok(text) = std::str::from_utf8(plaintext) {
        let json = Value::from(text).to_string();
        let inside = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
        forms.push(("in JSON", inside.unwrap_or(&json).as_bytes().to_vec()));
        forms.push(("in UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    }
    forms
}

impl Haystack for [u8] {
    fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String> {
        look(self, "");
        Ok(())
    }
}

impl Haystack for str {
    fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String> {
        self.as_bytes().each_part(look)
    }
}

impl Haystack for Value {
    fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String> {
        // escapes are undone in single texts, and numbers are text in the whole
        self.to_string().each_part(look)?;
        each_text(self, look);
        Ok(())
    }
}

fn each_text(value: &Value, look: &mut dyn FnMut(&[u8], &str)) {
    match value {
        Value::String(text) => look(text.as_bytes(), " in a JSON string"),
        Value::Array(elements) => elements.iter().for_each(|element| each_text(element, look)),
        Value::Object(members) => {
            for (name, member) in members {
                look(name.as_bytes(), " in the name of a JSON member");
                each_text(member, look);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Haystack for Path {
    fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String> {
        let failed = |error| format!("{} can't be read: {error}", self.display());
        if fs::symlink_metadata(self).map_err(failed)?.is_dir() {
            for entry in fs::read_dir(self).map_err(failed)? {
                entry.map_err(failed)?.path().each_part(look)?;
            }
            return Ok(());
        }
        look(&fs::read(self).map_err(failed)?, &format!(" in {}", self.display()));
        Ok(())
    }
}

macro_rules! delegate {
    ($($ty:ty),*) => {$(
        impl Haystack for $ty {
            fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String> {
                (**self).each_part(look)
            }
        }
    )*};
}
delegate!(String, Vec<u8>, PathBuf);

impl<const N: usize> Haystack for [u8; N] {
    fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String> {
        self.as_slice().each_part(look)
    }
}

impl<T: Haystack + ?Sized> Haystack for &T {
    fn each_part(&self, look: &mut dyn FnMut(&[u8], &str)) -> Result<(), String> {
        (**self).each_part(look)
    }
}
