//! Documents whose texts are wiped when they are dropped.

use serde_json::Value;
use zeroize::Zeroize as _;

/// Overwrites the texts and keys of a value, and drops it.
///
/// Numbers stay in memory until it is used again: a `Value` gives no access to theirs.
pub(crate) fn wipe(value: Value) {
    match value {
        Value::String(mut text) => text.zeroize(),
        Value::Array(list) => list.into_iter().for_each(wipe),
        Value::Object(map) => {
            for (mut key, value) in map {
                key.zeroize();
                wipe(value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A document of ours, which is wiped when dropped. It is nested no deeper than documents may be.
pub(crate) struct WipedValue(pub(crate) Value);

impl WipedValue {
    /// Gives the document away: wiping it becomes the receiver's.
    pub(crate) fn release(mut self) -> Value {
        self.0.take()
    }
}

impl Drop for WipedValue {
    fn drop(&mut self) {
        wipe(self.0.take());
    }
}
