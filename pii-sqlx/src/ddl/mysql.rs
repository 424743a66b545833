//! MySQL 8 and MariaDB.

use sqlx::{MySql, TypeInfo as _, mysql::MySqlTypeInfo};

use super::{
    DdlKind, DdlStatement,
    database::{ColumnToSeal, DdlDatabase, NOT_SEALED, OWN_TRIGGERS, bounded, in_schema_of},
};
use crate::statement::quoted_name;

impl DdlDatabase for MySql {
    const MAX_NAME: usize = 64;

    /// A `TEXT` has room for 65,535 bytes, and cuts longer values where the strict mode is off.
    const SEALED: &'static str = "mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

    const UUID: Option<&'static str> = Some("binary(16)");

    fn digits(count: usize) -> String {
        format!("varchar({count}) CHARACTER SET ascii COLLATE ascii_bin")
    }

    fn column_type(info: &MySqlTypeInfo, is_key: bool) -> String {
        match (info.name(), is_key) {
            ("VARCHAR" | "CHAR" | "TEXT", true) => {
                "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin".to_owned()
            }
            ("VARCHAR" | "CHAR" | "TEXT", false) => "text CHARACTER SET utf8mb4".to_owned(),
            ("BLOB" | "VARBINARY", true) => "varbinary(255)".to_owned(),
            ("BLOB" | "VARBINARY", false) => "longblob".to_owned(),
            // JSON, as sqlx has it
            ("BINARY", _) => "json".to_owned(),
            ("DECIMAL", _) => "decimal(65, 30)".to_owned(),
            (time @ ("TIME" | "DATETIME" | "TIMESTAMP"), _) => format!("{}(6)", time.to_ascii_lowercase()),
            (other, _) => other.to_ascii_lowercase(),
        }
    }

    fn generated(column_type: &str) -> String {
        match column_type.contains("int") {
            true => format!("{column_type} AUTO_INCREMENT"),
            false => column_type.to_owned(),
        }
    }

    /// The usual collations do not tell upper from lower case.
    fn is_sealed(column: &str) -> String {
        format!("CAST({column} AS BINARY) LIKE 'ENC:%'")
    }

    /// Adding a check copies the whole table while nobody writes: triggers do the same.
    fn keep_sealed(column: &ColumnToSeal) -> Vec<DdlStatement> {
        if column.check.is_some() {
            return Vec::new();
        }
        let ColumnToSeal { table, column: name, stem, .. } = column;
        let is_plain =
            format!("NEW.{name} IS NOT NULL AND NOT ({})", Self::is_sealed(&format!("NEW.{name}")));
        let is_changed = format!("NOT (CAST(NEW.{name} AS BINARY) <=> CAST(OLD.{name} AS BINARY)) AND ");
        let events = [("INSERT", ""), ("UPDATE", is_changed.as_str())];
        let triggers = events.into_iter().zip(OWN_TRIGGERS).map(|((event, is_changed), end)| {
            let trigger = in_schema_of(table, &quoted_name::<Self>(&bounded::<Self>(stem, end)));
            let sql = format!(
                "CREATE TRIGGER {trigger} BEFORE {event} ON {table} FOR EACH ROW\n\
                 IF {is_changed}{is_plain} THEN\n    \
                 SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{NOT_SEALED}';\n\
                 END IF"
            );
            DdlStatement::new(DdlKind::AddCheck, sql).note("a short lock; holds for new values only")
        });
        triggers.collect()
    }

    fn change_to_text(column: &ColumnToSeal) -> Option<DdlStatement> {
        let null = if column.is_nullable { "NULL" } else { "NOT NULL" };
        let sql =
            format!("ALTER TABLE {} MODIFY COLUMN {} {} {null}", column.table, column.column, Self::SEALED);
        Some(DdlStatement::new(DdlKind::ChangeType, sql).note("copies the whole table, while nobody writes"))
    }

    fn drop_not_null(column: &ColumnToSeal) -> Option<DdlStatement> {
        let sql =
            format!("ALTER TABLE {} MODIFY COLUMN {} {} NULL", column.table, column.column, Self::SEALED);
        Some(DdlStatement::new(DdlKind::DropNotNull, sql).note("copies the whole table"))
    }

    fn create_index(table: &str, name: &str, column: &str, is_unique: bool) -> DdlStatement {
        let unique = if is_unique { "UNIQUE " } else { "" };
        let sql =
            format!("CREATE {unique}INDEX {name} ON {table} ({column}) ALGORITHM = INPLACE LOCK = NONE");
        DdlStatement::new(DdlKind::CreateIndex, sql).note("others read and write meanwhile")
    }
}
