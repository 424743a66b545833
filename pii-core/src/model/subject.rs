//! The person whom the values of a row are about.

use super::ModelSpec;
use crate::context::SUBJECT;

impl ModelSpec {
    /// Whether each row's values are about one person, whose id is the pair `subject` of the
    /// encryption context: `#[pii(subject = self.person_id)]`. They are sealed under data keys of
    /// that person alone, and need a key store.
    #[must_use]
    pub fn has_subject(&self) -> bool {
        self.context().iter().any(|part| part.name == SUBJECT)
    }
}
