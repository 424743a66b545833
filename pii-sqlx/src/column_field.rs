//! Which field stands in a column: the model's own, or that of a nested struct with columns of its own.

use pii_core::FieldSpec;

/// The field of a column.
#[derive(Debug, Clone)]
pub(crate) struct ColumnField {
    pub(crate) spec: &'static FieldSpec,
    /// stable names, joined by dots: `address.street`
    pub(crate) path: String,
    /// what nested structs put before the column's name
    pub(crate) prefix: String,
}

impl ColumnField {
    /// Whether it is one of a nested struct.
    pub(crate) fn is_nested(&self) -> bool {
        self.path.contains('.')
    }
}

/// The field that stands in this column.
pub(crate) fn column_field(fields: &'static [FieldSpec], column: &str) -> Option<ColumnField> {
    fields.iter().find_map(|field| {
        let Some(prefix) = field.prefix() else {
            let own = || ColumnField { spec: field, path: field.name().to_owned(), prefix: String::new() };
            return (field.column() == column).then(own);
        };
        let inner = column_field(field.holds().nested()?, column.strip_prefix(prefix)?)?;
        Some(ColumnField {
            path: format!("{}.{}", field.name(), inner.path),
            prefix: format!("{prefix}{}", inner.prefix),
            ..inner
        })
    })
}
