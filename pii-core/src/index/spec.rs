//! The facts of blind indexes, all of them known at compile time.

use super::Normalizer;

/// A blind index of a model: a column beside the sealed ones, in which equal values of a field have equal
/// texts, that only who has the index key can compute.
#[derive(Debug, Clone, Copy)]
pub struct IndexSpec {
    name: &'static str,
    parts: &'static [IndexPart],
    versions: &'static [IndexVersion],
    size: IndexSize,
    unique: bool,
    scope: IndexScope,
}

/// A field that an index is computed of.
#[derive(Debug, Clone, Copy)]
pub struct IndexPart {
    /// The stable name of the field.
    pub field: &'static str,
    /// What is done to its value, one after the other.
    pub normalizers: &'static [Normalizer],
}

/// A version of an index: it has a key and a column of its own.
#[derive(Debug, Clone, Copy)]
pub struct IndexVersion {
    /// Its number, from 1 on. Its data key has the epoch before it: epochs count from 0.
    pub number: u32,
    /// The column of a table.
    pub column: &'static str,
    /// The attribute of an item.
    pub attribute: &'static str,
}

/// How much of the code is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexSize {
    /// So many bits, 1 to 255: different values share a text now and then, which hides how often a value
    /// occurs, and searches find some rows too many.
    Bits(u8),
    /// All 256 bits.
    Full,
}

impl IndexSize {
    /// How many bits are stored.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Bits(bits) => bits as usize,
            Self::Full => 256,
        }
    }

    /// The length of the texts: two hexadecimal digits for each byte that is begun.
    #[must_use]
    pub const fn text_length(self) -> usize {
        self.bits().div_ceil(8) * 2
    }
}

/// For which rows equal values have equal texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexScope {
    /// For rows of one encryption context, without its subject. A search names the context.
    Context,
    /// For all rows of the model: only those pairs of the context count that are the same for all. A search
    /// need not know the tenant, and who has the index key sees which tenants share a value.
    Global,
}

/// Builders for the derive.
#[doc(hidden)]
impl IndexSpec {
    #[must_use]
    pub const fn new(
        name: &'static str,
        parts: &'static [IndexPart],
        versions: &'static [IndexVersion],
    ) -> Self {
        Self { name, parts, versions, size: IndexSize::Full, unique: false, scope: IndexScope::Context }
    }

    #[must_use]
    pub const fn with_size(mut self, size: IndexSize) -> Self {
        self.size = size;
        self
    }

    #[must_use]
    pub const fn as_unique(mut self) -> Self {
        self.unique = true;
        self
    }

    #[must_use]
    pub const fn with_scope(mut self, scope: IndexScope) -> Self {
        self.scope = scope;
        self
    }
}

impl IndexSpec {
    /// The stable name, which is part of the key: that of its field, unless another one is declared.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it has had the earlier names of its field, which it is named after.
    pub(crate) fn is_named_after_its_field(&self) -> bool {
        matches!(self.parts, [part] if part.field == self.name)
    }

    /// The fields that it is computed of.
    #[must_use]
    pub const fn parts(&self) -> &'static [IndexPart] {
        self.parts
    }

    /// The live versions: all of them are written and searched.
    #[must_use]
    pub const fn versions(&self) -> &'static [IndexVersion] {
        self.versions
    }

    /// How much of the code is stored.
    #[must_use]
    pub const fn size(&self) -> IndexSize {
        self.size
    }

    /// Whether no two rows may have the same value: the column is to have a unique constraint.
    #[must_use]
    pub const fn is_unique(&self) -> bool {
        self.unique
    }

    /// For which rows equal values have equal texts.
    #[must_use]
    pub const fn scope(&self) -> IndexScope {
        self.scope
    }
}
