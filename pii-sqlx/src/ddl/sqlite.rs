//! SQLite.

use sqlx::{Sqlite, TypeInfo as _, sqlite::SqliteTypeInfo};

use super::{
    DdlKind, DdlStatement,
    database::{ColumnToSeal, DdlDatabase, NOT_SEALED, OWN_TRIGGERS, bounded, in_schema_of},
};
use crate::statement::quoted_name;

impl DdlDatabase for Sqlite {
    const MAX_NAME: usize = 1000;

    const SEALED: &'static str = "TEXT";

    fn digits(_: usize) -> String {
        "TEXT".to_owned()
    }

    fn column_type(info: &SqliteTypeInfo, _: bool) -> String {
        match info.is_null() {
            true => "BLOB".to_owned(),
            false => info.name().to_owned(),
        }
    }

    /// The row's number, if it is the only id.
    fn generated(column_type: &str) -> String {
        column_type.to_owned()
    }

    /// Its LIKE does not tell upper from lower case.
    fn is_sealed(column: &str) -> String {
        format!("{column} GLOB 'ENC:*'")
    }

    /// A table that exists gets no check any more: triggers do the same.
    fn keep_sealed(column: &ColumnToSeal) -> Vec<DdlStatement> {
        if column.check.is_some() {
            return Vec::new();
        }
        // the name of a trigger may have a schema, the one of its table may not
        let table = without_schema(&column.table);
        let name = &column.column;
        let condition =
            format!("NEW.{name} IS NOT NULL AND NOT ({})", Self::is_sealed(&format!("NEW.{name}")));
        let events = ["INSERT".to_owned(), format!("UPDATE OF {name}")];
        let triggers = events.into_iter().zip(OWN_TRIGGERS).map(|(event, end)| {
            let trigger =
                in_schema_of(&column.table, &quoted_name::<Self>(&bounded::<Self>(&column.stem, end)));
            let sql = format!(
                "CREATE TRIGGER IF NOT EXISTS {trigger} BEFORE {event} ON {table}\nWHEN {condition}\n\
                 BEGIN SELECT RAISE(ABORT, '{NOT_SEALED}'); END"
            );
            DdlStatement::new(DdlKind::AddCheck, sql).note("holds for new values only")
        });
        triggers.collect()
    }

    fn change_to_text(_: &ColumnToSeal) -> Option<DdlStatement> {
        None
    }

    fn drop_not_null(_: &ColumnToSeal) -> Option<DdlStatement> {
        None
    }

    fn create_index(table: &str, name: &str, column: &str, is_unique: bool) -> DdlStatement {
        let unique = if is_unique { "UNIQUE " } else { "" };
        // the index is in the schema of its table, whose name has none here
        let (name, table) = (in_schema_of(table, name), without_schema(table));
        let sql = format!("CREATE {unique}INDEX IF NOT EXISTS {name} ON {table} ({column})");
        DdlStatement::new(DdlKind::CreateIndex, sql).note("nobody else writes meanwhile")
    }
}

fn without_schema(table: &str) -> String {
    table.split_once("`.`").map_or_else(|| table.to_owned(), |(_, table)| format!("`{table}"))
}
