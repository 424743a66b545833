//! The facts of models and fields, all of them known at compile time.

use crate::{context::EncryptionContext, error::Result, index::IndexSpec, mask::Mask};

/// Who may do what with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// New values are sealed, stored ones are opened on request.
    #[default]
    ReadWrite,
    /// New values are sealed; stored ones stay sealed.
    WriteOnly,
    /// Stored values are opened on request; new ones are refused.
    ReadOnly,
}

impl Mode {
    /// Whether new values may be sealed.
    #[must_use]
    pub const fn can_seal(self) -> bool {
        !matches!(self, Self::ReadOnly)
    }

    /// Whether stored values may be opened.
    #[must_use]
    pub const fn can_open(self) -> bool {
        !matches!(self, Self::WriteOnly)
    }

    /// The name, as in `#[pii(mode = "...")]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "ReadWrite",
            Self::WriteOnly => "WriteOnly",
            Self::ReadOnly => "ReadOnly",
        }
    }
}

/// How much a field needs protecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Personal, stored plain: masked in Debug, listed.
    One,
    /// Sealed under a data key.
    Two,
    /// Sealed under an application key, then under a data key: either key alone opens nothing.
    Three,
}

impl Level {
    /// 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// What happens to stored text of a sealed field that is not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PlaintextPolicy {
    /// It is an error.
    #[default]
    Reject,
    /// It is accepted when read, which is an audit event, and sealed when saved.
    AcceptAndSeal,
    /// It is accepted when read, and the field is still written as plaintext: for the time in which
    /// programs that know nothing of this library use the table too.
    Prepare,
}

impl PlaintextPolicy {
    /// The name, as in `#[pii(plaintext = "...")]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::AcceptAndSeal => "accept_and_seal",
            Self::Prepare => "prepare",
        }
    }
}

/// A format of another system, in which stored values of a field may be: `#[pii(legacy = "...")]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LegacyFormat {
    /// That of pydynox.
    Pydynox,
}

impl LegacyFormat {
    /// The name, as in `#[pii(legacy = "...")]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pydynox => "pydynox",
        }
    }
}

/// The type of a plaintext, as it is authenticated. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeCode(pub(crate) u8);

impl TypeCode {
    /// Text.
    pub const UTF8: Self = Self(1);
    /// Bytes.
    pub const BYTES: Self = Self(2);
    /// A truth value.
    pub const BOOL: Self = Self(3);
    /// An integer.
    pub const INTEGER: Self = Self(4);
    /// A calendar date.
    pub const DATE: Self = Self(5);
    /// A JSON value.
    pub const JSON: Self = Self(6);
    /// A floating-point number.
    pub const FLOAT: Self = Self(7);
    /// A UUID.
    pub const UUID: Self = Self(8);
    /// A time of day.
    pub const TIME: Self = Self(9);
    /// An instant.
    pub const INSTANT: Self = Self(10);
    /// A date and time without a zone.
    pub const LOCAL_DATE_TIME: Self = Self(11);
    /// A decimal number.
    pub const DECIMAL: Self = Self(12);
    /// The name of an enum's variant.
    pub const ENUM: Self = Self(13);
    /// An instant with an offset from UTC.
    pub const ZONED: Self = Self(14);

    /// The number that is authenticated.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// A name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 & 0x7f {
            1 => "text",
            2 => "bytes",
            3 => "bool",
            4 => "integer",
            5 => "date",
            6 => "json",
            7 => "float",
            8 => "uuid",
            9 => "time",
            10 => "instant",
            11 => "local date-time",
            12 => "decimal",
            13 => "enum",
            14 => "zoned instant",
            _ => "unknown",
        }
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Holds {
    /// No sealed value.
    Plain,
    /// One sealed value of this type, or none.
    Value(TypeCode),
    /// A list or map of sealed values of this type.
    Values(TypeCode),
    /// A nested struct with these fields, or none.
    Nested(&'static [FieldSpec]),
    /// A list or map of nested structs.
    NestedMany(&'static [FieldSpec]),
}

impl Holds {
    /// The same, several times.
    #[must_use]
    pub const fn many(self) -> Self {
        match self {
            Self::Value(code) | Self::Values(code) => Self::Values(code),
            Self::Nested(fields) | Self::NestedMany(fields) => Self::NestedMany(fields),
            Self::Plain => Self::Plain,
        }
    }

    /// The type of the sealed values.
    #[must_use]
    pub const fn type_code(self) -> Option<TypeCode> {
        match self {
            Self::Value(code) | Self::Values(code) => Some(code),
            _ => None,
        }
    }

    /// The fields of the nested struct.
    #[must_use]
    pub const fn nested(self) -> Option<&'static [FieldSpec]> {
        match self {
            Self::Nested(fields) | Self::NestedMany(fields) => Some(fields),
            _ => None,
        }
    }

    /// Whether there is anything sealed in it.
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// What a plain field is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldRole {
    /// Nothing special.
    #[default]
    Data,
    /// Part of the row's id.
    Id,
    /// The partition key of an item, which is part of its id.
    PartitionKey,
    /// The sort key of an item, which is part of its id.
    SortKey,
    /// The version number for optimistic locking.
    Version,
}

impl FieldRole {
    /// Whether the field is a part of the row's id.
    #[must_use]
    pub const fn is_id(self) -> bool {
        matches!(self, Self::Id | Self::PartitionKey | Self::SortKey)
    }
}

/// The facts of one field.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    name: &'static str,
    column: &'static str,
    prefix: Option<&'static str>,
    attribute: &'static str,
    was: &'static [&'static str],
    holds: Holds,
    role: FieldRole,
    level: Option<Level>,
    mode: Mode,
    mask: Mask,
    keyring: Option<&'static str>,
    plaintext: PlaintextPolicy,
    legacy: Option<LegacyFormat>,
    pad: Option<u32>,
    was_unpadded: bool,
    in_context: bool,
}

/// Builders for the derive.
#[doc(hidden)]
impl FieldSpec {
    #[must_use]
    pub const fn new(name: &'static str, column: &'static str, holds: Holds) -> Self {
        Self {
            name,
            column,
            prefix: None,
            attribute: column,
            was: &[],
            holds,
            role: FieldRole::Data,
            level: if holds.is_sealed() { Some(Level::Two) } else { None },
            mode: Mode::ReadWrite,
            mask: Mask::Full,
            keyring: None,
            plaintext: PlaintextPolicy::Reject,
            legacy: None,
            pad: None,
            was_unpadded: false,
            in_context: false,
        }
    }

    #[must_use]
    pub const fn with_was(mut self, was: &'static [&'static str]) -> Self {
        self.was = was;
        self
    }

    #[must_use]
    pub const fn with_prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    #[must_use]
    pub const fn with_attribute(mut self, attribute: &'static str) -> Self {
        self.attribute = attribute;
        self
    }

    #[must_use]
    pub const fn with_role(mut self, role: FieldRole) -> Self {
        self.role = role;
        self
    }

    #[must_use]
    pub const fn with_level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    #[must_use]
    pub const fn with_mask(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    #[must_use]
    pub const fn with_keyring(mut self, keyring: &'static str) -> Self {
        self.keyring = Some(keyring);
        self
    }

    #[must_use]
    pub const fn with_plaintext(mut self, policy: PlaintextPolicy) -> Self {
        self.plaintext = policy;
        self
    }

    #[must_use]
    pub const fn with_legacy(mut self, format: LegacyFormat) -> Self {
        self.legacy = Some(format);
        self
    }

    #[must_use]
    pub const fn with_pad(mut self, bucket: u32) -> Self {
        self.pad = Some(bucket);
        self
    }

    /// Where the field says nothing of its own.
    #[must_use]
    pub const fn with_pad_of_type(mut self, bucket: Option<u32>) -> Self {
        if self.pad.is_none() {
            self.pad = bucket;
        }
        self
    }

    #[must_use]
    pub const fn with_unpadded_before(mut self) -> Self {
        self.was_unpadded = true;
        self
    }

    #[must_use]
    pub const fn with_context(mut self) -> Self {
        self.in_context = true;
        self
    }
}

impl FieldSpec {
    /// The stable name, which is authenticated with every value of the field.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The name of the column.
    #[must_use]
    pub const fn column(&self) -> &'static str {
        self.column
    }

    /// What stands before the names of a nested struct's columns in SQL, if it has columns of its own and
    /// is not one of JSON.
    #[must_use]
    pub const fn prefix(&self) -> Option<&'static str> {
        self.prefix
    }

    /// The name under which serde writes the field: that of an item's attribute, or a key in JSON.
    #[must_use]
    pub const fn attribute(&self) -> &'static str {
        self.attribute
    }

    /// Earlier stable names, under which stored values may still be.
    #[must_use]
    pub const fn was(&self) -> &'static [&'static str] {
        self.was
    }

    /// What the field holds.
    #[must_use]
    pub const fn holds(&self) -> Holds {
        self.holds
    }

    /// What the field is used for.
    #[must_use]
    pub const fn role(&self) -> FieldRole {
        self.role
    }

    /// The level; fields that are not personal count as level 1 here and are told apart by
    /// [`FieldSpec::is_personal`].
    #[must_use]
    pub const fn level(&self) -> Level {
        match self.level {
            Some(level) => level,
            None => Level::One,
        }
    }

    /// Whether the field is personal data.
    #[must_use]
    pub const fn is_personal(&self) -> bool {
        self.level.is_some()
    }

    /// Whether the field's values are stored sealed.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.holds.is_sealed()
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How the value is shown.
    #[must_use]
    pub const fn mask(&self) -> Mask {
        self.mask
    }

    /// The name of the keyring that wraps the field's data keys, if it is not the default one.
    #[must_use]
    pub const fn keyring(&self) -> Option<&'static str> {
        self.keyring
    }

    /// What happens to stored text that is not encrypted, unless
    /// [`FieldPolicies`](crate::FieldPolicies) say something else. At level 3 it is always an error.
    #[must_use]
    pub const fn plaintext(&self) -> PlaintextPolicy {
        match self.level {
            Some(Level::Three) => PlaintextPolicy::Reject,
            _ => self.plaintext,
        }
    }

    /// The format of another system, in which stored values may be. At level 3 there is none.
    #[must_use]
    pub const fn legacy(&self) -> Option<LegacyFormat> {
        match self.level {
            Some(Level::Three) => None,
            _ => self.legacy,
        }
    }

    /// The multiple of bytes to which values are padded before they are sealed, if they are: it hides their
    /// length.
    #[must_use]
    pub const fn pad(&self) -> Option<u32> {
        self.pad
    }

    /// Whether stored values may be from before the field was padded.
    #[must_use]
    pub const fn was_unpadded(&self) -> bool {
        self.was_unpadded
    }

    /// Whether the field's value is part of the encryption context.
    #[must_use]
    pub const fn is_in_context(&self) -> bool {
        self.in_context
    }
}

/// Whether a model's values are bound to their row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowBinding {
    /// To model, field and row: a value copied to another row does not open.
    Row,
    /// To model and field only: for ids that the database makes up.
    Field,
}

/// One pair of a model's encryption context.
#[derive(Debug, Clone, Copy)]
pub struct ContextPart {
    /// The name.
    pub name: &'static str,
    /// The value, if it is the same for all rows.
    pub literal: Option<&'static str>,
    /// The column that holds the value, if it is that of a field as it is.
    pub column: Option<&'static str>,
    /// Whether a database makes the value of what is in that column: see
    /// [`ContextValue::IS_STORED_TEXT`](crate::ContextValue::IS_STORED_TEXT).
    pub is_stored_text: bool,
}

/// The facts of one model.
#[derive(Debug, Clone, Copy)]
pub struct ModelSpec {
    name: &'static str,
    was: &'static [&'static str],
    table: Option<&'static str>,
    fields: &'static [FieldSpec],
    binding: RowBinding,
    context: &'static [ContextPart],
    indexes: &'static [IndexSpec],
    view: bool,
}

/// Builders for the derive.
#[doc(hidden)]
impl ModelSpec {
    #[must_use]
    pub const fn new(name: &'static str, fields: &'static [FieldSpec], binding: RowBinding) -> Self {
        Self { name, was: &[], table: None, fields, binding, context: &[], indexes: &[], view: false }
    }

    #[must_use]
    pub const fn with_was(mut self, was: &'static [&'static str]) -> Self {
        self.was = was;
        self
    }

    #[must_use]
    pub const fn with_table(mut self, table: &'static str) -> Self {
        self.table = Some(table);
        self
    }

    #[must_use]
    pub const fn with_context(mut self, context: &'static [ContextPart]) -> Self {
        self.context = context;
        self
    }

    #[must_use]
    pub const fn with_indexes(mut self, indexes: &'static [IndexSpec]) -> Self {
        self.indexes = indexes;
        self
    }

    #[must_use]
    pub const fn as_view(mut self) -> Self {
        self.view = true;
        self
    }
}

impl ModelSpec {
    /// The stable name, which is authenticated with every value of the model.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Earlier stable names.
    #[must_use]
    pub const fn was(&self) -> &'static [&'static str] {
        self.was
    }

    /// The name of the table.
    #[must_use]
    pub const fn table(&self) -> Option<&'static str> {
        self.table
    }

    /// All fields in their order, the plain ones too.
    #[must_use]
    pub const fn fields(&self) -> &'static [FieldSpec] {
        self.fields
    }

    /// Whether values are bound to their row.
    #[must_use]
    pub const fn binding(&self) -> RowBinding {
        self.binding
    }

    /// The pairs of the encryption context, sorted by name.
    #[must_use]
    pub const fn context(&self) -> &'static [ContextPart] {
        self.context
    }

    /// The blind indexes.
    #[must_use]
    pub const fn indexes(&self) -> &'static [IndexSpec] {
        self.indexes
    }

    /// Whether this is a view of another model, which may lack some of its fields.
    #[must_use]
    pub const fn is_view(&self) -> bool {
        self.view
    }

    /// Those pairs of the encryption context that are the same for all rows.
    pub(crate) fn literal_context(&self) -> Result<EncryptionContext> {
        EncryptionContext::new(self.context.iter().filter_map(|part| Some((part.name, part.literal?))))
    }

    /// The plain fields that the encryption context is made of.
    pub fn context_fields(&self) -> impl Iterator<Item = &'static FieldSpec> {
        let context = self.context;
        let is_part = move |field: &FieldSpec| context.iter().any(|part| part.column == Some(field.column));
        self.fields.iter().filter(move |field| field.in_context || is_part(field))
    }

    /// The field of this stable name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static FieldSpec> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// The sealed field at a path of stable names, joined by dots, if it is no nested struct.
pub(crate) fn sealed_field(fields: &'static [FieldSpec], path: &str) -> Option<&'static FieldSpec> {
    fields.iter().find_map(|field| match path.strip_prefix(field.name)? {
        "" => Some(field).filter(|field| field.holds.type_code().is_some()),
        rest => sealed_field(field.holds.nested()?, rest.strip_prefix('.')?),
    })
}

/// Visits all sealed fields with their paths, those of nested structs too.
pub(crate) fn sealed_fields(fields: &'static [FieldSpec], visit: &mut impl FnMut(&str, &'static FieldSpec)) {
    fn within<V: FnMut(&str, &'static FieldSpec)>(prefix: &str, fields: &'static [FieldSpec], visit: &mut V) {
        for field in fields.iter().filter(|field| field.is_sealed()) {
            let path = format!("{prefix}{}", field.name);
            match field.holds.nested() {
                Some(nested) => within(&format!("{path}."), nested, visit),
                None => visit(&path, field),
            }
        }
    }
    within("", fields, visit);
}

/// A personal field with its way from the model: what [`PiiModel::pii_fields`](crate::PiiModel::pii_fields) lists.
#[derive(Debug, Clone)]
pub struct PiiFieldInfo {
    /// Stable names, joined by dots.
    pub path: String,
    /// The field.
    pub spec: &'static FieldSpec,
    /// Whether its values are bound to the row.
    pub binding: RowBinding,
    /// The pairs of the encryption context under which its values are sealed, sorted by name.
    pub context: &'static [ContextPart],
}

impl PiiFieldInfo {
    pub(crate) fn of(model: &ModelSpec) -> Vec<Self> {
        fn collect(
            prefix: &str,
            fields: &'static [FieldSpec],
            model: &ModelSpec,
            out: &mut Vec<PiiFieldInfo>,
        ) {
            for spec in fields {
                let path =
                    if prefix.is_empty() { spec.name.to_owned() } else { format!("{prefix}.{}", spec.name) };
                match spec.holds.nested() {
                    Some(nested) => collect(&path, nested, model, out),
                    None if spec.is_personal() => {
                        let (binding, context) = (model.binding, model.context);
                        out.push(PiiFieldInfo { path, spec, binding, context });
                    }
                    None => {}
                }
            }
        }
        let mut out = Vec::new();
        collect("", model.fields, model, &mut out);
        out
    }
}
