//! The state of a value, apart from its type.

use std::borrow::Cow;

use crate::{
    secret::SecretBytes,
    wire::{Ciphertext, FormatError},
};

/// A hash of the place that a value was loaded from: model, path, row, context, type and level.
/// It is keyed anew in each process and never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64);

#[derive(Clone)]
pub(crate) enum Cell {
    /// Set by the program.
    Plain(SecretBytes),
    /// Came from storage.
    Sealed { text: Ciphertext, place: Option<Place> },
    /// Came from storage and was decrypted; the text is kept for saving it unchanged.
    Opened { text: Ciphertext, place: Option<Place>, plain: SecretBytes },
    /// Stored text without `ENC:`, until the policy of its field is applied.
    Legacy(SecretBytes),
    /// Stored text with `ENC:` of a version that is not ours, until the `legacy` of its field is applied.
    Foreign(Ciphertext),
    /// Stored text with `ENC:` that is no value; kept for its error.
    Malformed(FormatError),
}

impl Cell {
    /// What a text from storage is. A text of the program's never comes here.
    pub(crate) fn from_stored(text: Cow<'_, str>) -> Self {
        match Ciphertext::parse(&text) {
            Ok(text) => Self::Sealed { text, place: None },
            Err(FormatError::NotEncrypted) => Self::Legacy(match text {
                Cow::Owned(text) => SecretBytes::from_vec(text.into_bytes()),
                Cow::Borrowed(text) => SecretBytes::copy_from(text.as_bytes()),
            }),
            Err(FormatError::UnknownVersion) => Self::Foreign(Ciphertext::foreign(&text)),
            Err(error) => Self::Malformed(error),
        }
    }

    #[inline]
    pub(crate) fn sealed_text(&self) -> Option<&Ciphertext> {
        match self {
            Self::Sealed { text, .. } | Self::Opened { text, .. } => Some(text),
            Self::Plain(_) | Self::Legacy(_) | Self::Foreign(_) | Self::Malformed(_) => None,
        }
    }

    #[inline]
    pub(crate) fn plain(&self) -> Option<&SecretBytes> {
        match self {
            Self::Plain(plain) | Self::Opened { plain, .. } => Some(plain),
            Self::Sealed { .. } | Self::Legacy(_) | Self::Foreign(_) | Self::Malformed(_) => None,
        }
    }

    /// Notes where the value was loaded from. One of another system counts as sealed from here on.
    #[inline]
    pub(crate) fn stamp(&mut self, at: Place) {
        match self {
            Self::Sealed { place, .. } | Self::Opened { place, .. } => *place = Some(at),
            Self::Foreign(_) => {
                *self = match self.take() {
                    Self::Foreign(text) => Self::Sealed { text, place: Some(at) },
                    other => other,
                };
            }
            Self::Plain(_) | Self::Legacy(_) | Self::Malformed(_) => {}
        }
    }

    /// Whether the value was loaded from another place than this one.
    #[inline]
    pub(crate) fn is_from_elsewhere(&self, here: Place) -> bool {
        match self {
            Self::Sealed { place, .. } | Self::Opened { place, .. } => place.is_some_and(|from| from != here),
            Self::Plain(_) | Self::Legacy(_) | Self::Foreign(_) | Self::Malformed(_) => false,
        }
    }

    #[inline]
    pub(crate) fn is_stamped(&self) -> bool {
        matches!(self, Self::Sealed { place: Some(_), .. } | Self::Opened { place: Some(_), .. })
    }

    /// The sealed text of a value that came from nobody knows where.
    #[inline]
    pub(crate) fn of_unknown_origin(&self) -> Option<&Ciphertext> {
        self.sealed_text().filter(|_| !self.is_stamped())
    }

    /// Adds the plaintext to a sealed value.
    #[inline]
    pub(crate) fn open(&mut self, at: Place, plain: SecretBytes) {
        *self = match self.take() {
            Self::Sealed { text, .. } | Self::Opened { text, .. } | Self::Foreign(text) => {
                Self::Opened { text, place: Some(at), plain }
            }
            other => other,
        };
    }

    /// Adds the sealed text to a plain value.
    pub(crate) fn seal(&mut self, at: Option<Place>, text: Ciphertext) {
        *self = match self.take() {
            Self::Plain(plain) | Self::Legacy(plain) => Self::Opened { text, place: at, plain },
            Self::Foreign(text) => Self::Sealed { text, place: at },
            other => other,
        };
    }

    /// Makes an opened value plain, and says whether it was one.
    pub(crate) fn forget_text(&mut self) -> bool {
        if !matches!(self, Self::Opened { .. }) {
            return false;
        }
        *self = match self.take() {
            Self::Opened { plain, .. } => Self::Plain(plain),
            other => other,
        };
        true
    }

    /// Forgets the sealed text, and says whether the plaintext is known.
    pub(crate) fn reseal(&mut self) -> bool {
        *self = match self.take() {
            Self::Opened { plain, .. } => Self::Plain(plain),
            other => other,
        };
        matches!(self, Self::Plain(_))
    }

    /// Makes accepted legacy text a plain value: these bytes of its type.
    pub(crate) fn accept_legacy(&mut self, plain: SecretBytes) {
        *self = match self.take() {
            Self::Legacy(_) => Self::Plain(plain),
            other => other,
        };
    }

    #[inline]
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Malformed(FormatError::Malformed))
    }
}

impl PartialEq for Cell {
    /// Plaintext against plaintext in constant time, stored text against stored text; a value
    /// whose plaintext is known and one whose is not are unequal.
    fn eq(&self, other: &Self) -> bool {
        match (self.plain(), other.plain()) {
            (Some(a), Some(b)) => a.constant_time_eq(b),
            (None, None) => match (self, other) {
                (Self::Sealed { text: a, .. }, Self::Sealed { text: b, .. }) => a == b,
                (Self::Legacy(a), Self::Legacy(b)) => a.constant_time_eq(b),
                (Self::Foreign(a), Self::Foreign(b)) => a == b,
                (Self::Malformed(a), Self::Malformed(b)) => a == b,
                _ => false,
            },
            _ => false,
        }
    }
}
