//! The texts of one row, small and without a block of their own for most models.

use std::collections::VecDeque;

use super::sealed_texts::StoredText;
use crate::wire::Ciphertext;

/// Rows with up to this many values, all of them sealed, need no block of their own.
const INLINE_TEXTS: usize = 4;

/// Texts that are taken in the order in which they were put in.
#[derive(Debug, Clone)]
pub(super) enum Texts {
    /// from the front, without gaps, until the first is taken
    Few([Option<Ciphertext>; INLINE_TEXTS]),
    Many(VecDeque<StoredText>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Few([const { None }; INLINE_TEXTS])
    }
}

impl Texts {
    /// So many, all of them sealed.
    #[inline]
    pub(super) fn of_sealed(sealed: &mut impl Iterator<Item = Ciphertext>, count: usize) -> Self {
        if count <= INLINE_TEXTS {
            Self::Few(std::array::from_fn(|place| if place < count { sealed.next() } else { None }))
        } else {
            Self::Many(sealed.take(count).map(StoredText::Sealed).collect())
        }
    }

    /// Adds a text, before any is taken.
    #[inline]
    pub(super) fn push(&mut self, text: StoredText) {
        match (&mut *self, text) {
            (Self::Many(texts), text) => texts.push_back(text),
            (Self::Few(sealed), StoredText::Sealed(text)) => {
                match sealed.iter_mut().find(|place| place.is_none()) {
                    Some(place) => *place = Some(text),
                    None => self.push_beyond(StoredText::Sealed(text)),
                }
            }
            (Self::Few(_), text) => self.push_beyond(text),
        }
    }

    fn push_beyond(&mut self, text: StoredText) {
        let before: Vec<_> = std::iter::from_fn(|| self.next()).collect();
        *self = Self::Many(before.into_iter().chain([text]).collect());
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<StoredText> {
        match self {
            Self::Few(sealed) => sealed.iter_mut().find_map(Option::take).map(StoredText::Sealed),
            Self::Many(texts) => texts.pop_front(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(sealed) => sealed.iter().flatten().count(),
            Self::Many(texts) => texts.len(),
        }
    }

    /// Whether all are sealed.
    pub(super) fn are_sealed(&self) -> bool {
        match self {
            Self::Few(_) => true,
            Self::Many(texts) => texts.iter().all(|text| matches!(text, StoredText::Sealed(_))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretBytes;

    /// Puts texts in and takes them out again; `p` stands for a plaintext.
    fn there_and_back(given: &str) {
        let text = |(at, kind): (usize, char)| match kind {
            'p' => StoredText::Plaintext(SecretBytes::copy_from(at.to_string().as_bytes())),
            _ => StoredText::Sealed(Ciphertext::foreign(&at.to_string())),
        };
        let mut texts = Texts::default();
        given.chars().enumerate().map(text).for_each(|text| texts.push(text));
        assert_eq!(texts.are_sealed(), !given.contains('p'), "{given}");
        for (at, kind) in given.chars().enumerate() {
            assert_eq!(texts.len(), given.len() - at, "{given}");
            let text = texts.next().unwrap();
            assert_eq!(text.as_str(), at.to_string(), "{given}");
            assert_eq!(matches!(text, StoredText::Plaintext(_)), kind == 'p', "{given}");
        }
        assert!(texts.next().is_none() && texts.len() == 0, "{given}");
    }

    #[test]
    fn sealed_texts_are_taken_row_by_row() {
        let mut sealed = (0..100).map(|at: usize| Ciphertext::foreign(&at.to_string()));
        let mut expected = 0..100_usize;
        for count in [1, 0, INLINE_TEXTS, 2, INLINE_TEXTS + 1, 9, 3] {
            let mut texts = Texts::of_sealed(&mut sealed, count);
            assert!(texts.are_sealed() && texts.len() == count, "{count}");
            for at in expected.by_ref().take(count) {
                assert_eq!(texts.next().unwrap().as_str(), at.to_string(), "{count}");
            }
            assert!(texts.next().is_none(), "{count}");
        }
    }

    #[test]
    fn texts_come_out_in_the_order_in_which_they_went_in() {
        for given in ["", "s", "ssss", "sssss", "ssssssss", "p", "sp", "ssssp", "pssssss", "spsps"] {
            there_and_back(given);
        }
    }
}
