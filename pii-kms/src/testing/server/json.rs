//! Members of requests, each taken once; what is left over is an error.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::testing::error::{Answer, ErrorCode, FakeError};

pub(super) struct Members(Map<String, Value>);

impl Members {
    pub(super) fn parse(body: &[u8]) -> Answer<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(serialization("the body is no JSON object")),
        }
    }

    pub(super) fn text(&mut self, member: &str) -> Answer<Option<String>> {
        self.take(member, |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn bytes(&mut self, member: &str) -> Answer<Option<Vec<u8>>> {
        self.take(member, |value| STANDARD.decode(value.as_str()?).ok())
    }

    pub(super) fn flag(&mut self, member: &str) -> Answer<bool> {
        Ok(self.take(member, Value::as_bool)?.unwrap_or_default())
    }

    pub(super) fn number(&mut self, member: &str) -> Answer<Option<usize>> {
        self.take(member, |value| usize::try_from(value.as_u64()?).ok())
    }

    pub(super) fn texts(&mut self, member: &str) -> Answer<Vec<String>> {
        let texts = self.take(member, |value| {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        })?;
        Ok(texts.unwrap_or_default())
    }

    pub(super) fn pairs(&mut self, member: &str) -> Answer<BTreeMap<String, String>> {
        let pairs = self.take(member, |value| {
            let pairs = value.as_object()?.iter();
            pairs.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        })?;
        Ok(pairs.unwrap_or_default())
    }

    /// Says that every member was taken.
    pub(super) fn finish(self) -> Answer<()> {
        match self.0.keys().next() {
            Some(member) => Err(serialization(format!("the operation has no member {member}"))),
            None => Ok(()),
        }
    }

    fn take<T>(&mut self, member: &str, read: impl FnOnce(&Value) -> Option<T>) -> Answer<Option<T>> {
        match self.0.remove(member) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(&value) {
                Some(read) => Ok(Some(read)),
                None => Err(serialization(format!("{member} is of the wrong type"))),
            },
        }
    }
}

pub(super) fn required<T>(value: Option<T>, member: &str) -> Answer<T> {
    value.ok_or_else(|| FakeError::validation(format!("{member} is missing")))
}

pub(super) fn base64(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes))
}

/// Seconds since 1970, as the protocol writes times.
pub(super) fn timestamp(time: SystemTime) -> Value {
    Value::from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
}

fn serialization(message: impl Into<String>) -> FakeError {
    FakeError::new(ErrorCode::Serialization, message)
}
