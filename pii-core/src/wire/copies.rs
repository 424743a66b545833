//! Wrapped copies of a data key, as they travel in layout 2 and stand in key records.

use super::{
    ciphertext::FormatError,
    encode::{Reader, put_lp16},
};

/// What a data key is for. Every wrap binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Purpose {
    /// Sealing field values.
    Seal,
    /// Computing blind indexes.
    Index,
    /// Sealing by services that can write and not read.
    Drop,
    /// Sealing the values of one person.
    Subject,
    /// Wrapping other data keys: a branch key of a hierarchical keyring.
    Branch,
}

impl Purpose {
    /// The byte that stands for it in stored data.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Seal => 1,
            Self::Index => 2,
            Self::Drop => 3,
            Self::Subject => 4,
            Self::Branch => 5,
        }
    }

    /// The text that stands for it in key records and encryption contexts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Index => "index",
            Self::Drop => "drop",
            Self::Subject => "subject",
            Self::Branch => "branch",
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Seal),
            2 => Some(Self::Index),
            3 => Some(Self::Drop),
            4 => Some(Self::Subject),
            5 => Some(Self::Branch),
            _ => None,
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Seal, Self::Index, Self::Drop, Self::Subject, Self::Branch]
            .into_iter()
            .find(|purpose| purpose.name() == name)
    }

    /// Whether values may be sealed under data keys of this purpose.
    #[must_use]
    pub const fn seals_values(self) -> bool {
        matches!(self, Self::Seal | Self::Drop | Self::Subject)
    }

    /// Whether the processes of a slot agree on one active key; under `drop`, each makes its own.
    #[must_use]
    pub const fn is_elected(self) -> bool {
        !matches!(self, Self::Drop)
    }
}

/// Which kind of keyring wrapped a copy. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Provider(pub u8);

impl Provider {
    /// AWS KMS.
    pub const AWS_KMS: Self = Self(1);
    /// A local key file.
    pub const LOCAL: Self = Self(2);
    /// A branch key that a key service wraps.
    pub const HIERARCHICAL: Self = Self(3);
    /// A public key (HPKE).
    pub const PUBLIC_KEY: Self = Self(4);
    /// A test keyring, whose key everybody knows.
    pub const TEST: Self = Self(0x7f);
}

/// A data key wrapped by one key-encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The kind of keyring that wrapped it.
    pub provider: Provider,
    /// The key-encryption key's name, such as an ARN; at most 65,535 bytes.
    pub key_name: String,
    /// What the key service made of the data key; at most 65,535 bytes.
    pub blob: Vec<u8>,
}

pub(crate) const MAX_COPIES: usize = 8;

/// Purpose, epoch and copies: what layout 2 carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopiesBlock {
    pub(crate) purpose: Purpose,
    pub(crate) epoch: u32,
    pub(crate) copies: Vec<WrappedKey>,
}

impl CopiesBlock {
    /// The block with its length in front; `None` if it can't be expressed.
    pub(crate) fn encode(purpose: Purpose, epoch: u32, copies: &[WrappedKey]) -> Option<Vec<u8>> {
        if copies.is_empty() || copies.len() > MAX_COPIES {
            return None;
        }
        let mut block = vec![purpose.byte()];
        block.extend_from_slice(&epoch.to_be_bytes());
        block.push(u8::try_from(copies.len()).ok()?);
        for copy in copies {
            u16::try_from(copy.key_name.len()).ok()?;
            u16::try_from(copy.blob.len()).ok()?;
            block.push(copy.provider.0);
            put_lp16(&mut block, copy.key_name.as_bytes());
            put_lp16(&mut block, &copy.blob);
        }
        let length = u16::try_from(block.len()).ok()?;
        let mut out = length.to_be_bytes().to_vec();
        out.append(&mut block);
        Some(out)
    }

    /// Whether the block is well formed and exactly consumed, without allocating.
    pub(crate) fn check(block: &[u8]) -> Result<(), FormatError> {
        Self::walk(block, |_, _, _| Some(())).map(drop).ok_or(FormatError::Malformed)
    }

    pub(crate) fn parse(block: &[u8]) -> Result<Self, FormatError> {
        let mut copies = Vec::new();
        let (purpose, epoch) = Self::walk(block, |provider, key_name, blob| {
            copies.push(WrappedKey { provider, key_name: key_name.to_owned(), blob: blob.to_owned() });
            Some(())
        })
        .ok_or(FormatError::Malformed)?;
        Ok(Self { purpose, epoch, copies })
    }

    fn walk(
        block: &[u8],
        mut each: impl FnMut(Provider, &str, &[u8]) -> Option<()>,
    ) -> Option<(Purpose, u32)> {
        let mut reader = Reader(block);
        let purpose = Purpose::from_byte(reader.u8()?).filter(|purpose| purpose.seals_values())?;
        let epoch = reader.u32()?;
        let count = reader.u8()?;
        if count == 0 || usize::from(count) > MAX_COPIES {
            return None;
        }
        for _ in 0..count {
            let provider = Provider(reader.u8()?);
            let key_name = std::str::from_utf8(reader.lp16()?).ok()?;
            let blob = reader.lp16()?;
            if provider.0 == 0 || key_name.is_empty() || blob.is_empty() {
                return None;
            }
            each(provider, key_name, blob)?;
        }
        reader.0.is_empty().then_some((purpose, epoch))
    }
}
