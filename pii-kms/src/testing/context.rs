//! The encryption context of a call, and how it is bound to a blob.

use std::{collections::BTreeMap, fmt};

use super::error::{Answer, FakeError};

/// More than any context of ours; the service has a limit too, which it does not tell.
const MAX_BYTES: usize = 8192;

/// Pairs of a call, sorted by name. `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct CallContext(pub(super) BTreeMap<String, String>);

impl CallContext {
    /// Empty values are accepted, as the service accepts them; a pair without a name is not.
    pub(super) fn check(&self) -> Answer<()> {
        if self.0.keys().any(String::is_empty) {
            return Err(FakeError::validation("a name in the encryption context is empty"));
        }
        if self.0.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_BYTES {
            return Err(FakeError::validation("the encryption context is too long"));
        }
        Ok(())
    }

    /// Every part after its length: no two contexts, and no context and key, share an encoding.
    pub(super) fn associated_data(&self, key_name: &str, locator: &[u8], version: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in [key_name.as_bytes(), locator, version] {
            put(&mut out, part);
        }
        out.extend_from_slice(&(self.0.len() as u64).to_be_bytes());
        for (name, value) in &self.0 {
            put(&mut out, name.as_bytes());
            put(&mut out, value.as_bytes());
        }
        out
    }
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const WORDS: [&str; 4] = ["", "a", "b", "ab"];

    /// All contexts of up to two pairs of short words.
    fn contexts() -> Vec<CallContext> {
        let pairs: Vec<(&str, &str)> =
            WORDS.into_iter().flat_map(|name| WORDS.map(|value| (name, value))).collect();
        let of = |pairs: &[(&str, &str)]| {
            CallContext(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        let mut contexts = vec![of(&[])];
        for one in &pairs {
            contexts.extend(pairs.iter().map(|other| of(&[*one, *other])));
        }
        contexts
    }

    #[test]
    fn keys_and_contexts_share_an_encoding_only_if_they_are_equal() {
        let mut seen = HashMap::new();
        for key in WORDS {
            for context in contexts() {
                let encoded = context.associated_data(key, b"l", b"v");
                let first = seen.entry(encoded).or_insert_with(|| (key, context.clone()));
                assert!(*first == (key, context), "{first:?}");
            }
        }
        assert!(seen.len() > 400);
    }

    #[test]
    fn names_are_shown_and_values_are_not() {
        let context = CallContext([("tenant".to_owned(), "acme".to_owned())].into());
        assert_eq!(format!("{context:?}"), "{\"tenant\"}");
    }

    #[test]
    fn empty_values_pass_and_empty_names_do_not() {
        let context = |name: &str, value: &str| CallContext([(name.to_owned(), value.to_owned())].into());
        assert!(context("ab", "").check().is_ok());
        assert!(context("", "ab").check().is_err());
        assert!(context("a", &"b".repeat(MAX_BYTES)).check().is_err());
        assert!(context("a", &"b".repeat(MAX_BYTES - 1)).check().is_ok());
    }
}
