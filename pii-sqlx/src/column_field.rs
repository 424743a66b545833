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

#[cfg(test)]
mod tests {
    use pii_core::{Holds, TypeCode};

    use super::*;

    const TEXT: Holds = Holds::Value(TypeCode::UTF8);
    static ADDRESS: &[FieldSpec] =
        &[FieldSpec::new("city", "city", Holds::Plain), FieldSpec::new("road", "street", TEXT)];
    static PERSON: &[FieldSpec] = &[
        FieldSpec::new("name", "name", TEXT),
        FieldSpec::new("home", "home", Holds::Nested(ADDRESS)).with_prefix("home_"),
        FieldSpec::new("work", "work", Holds::Nested(ADDRESS)),
    ];
    static MODEL: &[FieldSpec] = &[
        FieldSpec::new("id", "id", Holds::Plain),
        FieldSpec::new("who", "who", Holds::Nested(PERSON)).with_prefix("by_"),
        // a longer prefix that begins as the other one does
        FieldSpec::new("place", "place", Holds::Nested(ADDRESS)).with_prefix("by_home_at_"),
        FieldSpec::new("bare", "bare", Holds::Nested(ADDRESS)).with_prefix(""),
    ];

    #[test]
    fn a_column_is_known_by_the_prefixes_around_it() {
        for (column, path, prefix) in [
            ("id", "id", ""),
            ("by_name", "who.name", "by_"),
            ("by_home_street", "who.home.road", "by_home_"),
            ("by_home_at_street", "place.road", "by_home_at_"),
            ("by_work", "who.work", "by_"),
            ("city", "bare.city", ""),
        ] {
            let found = column_field(MODEL, column).unwrap();
            assert_eq!((found.path.as_str(), found.prefix.as_str()), (path, prefix), "{column}");
            assert_eq!(found.is_nested(), path.contains('.'));
        }
        for none in ["who", "by_", "by_home", "by_home_", "by_work_street", "place", "by_home_at_road", ""] {
            assert!(column_field(MODEL, none).is_none(), "{none}");
        }
    }
}
