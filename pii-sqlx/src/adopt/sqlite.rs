//! SQLite.

use sqlx::{Row as _, Sqlite, sqlite::SqliteRow};

use super::database::{AdoptionDatabase, REFUSAL, ShadowNames};
use crate::statement::quoted_name;

impl AdoptionDatabase for Sqlite {
    /// Its RETURNING knows the columns of the table alone.
    const SWAPS_BY_VALUES: bool = false;

    const SEALED_TYPE: &'static str = "text";

    fn number(row: &SqliteRow) -> sqlx::Result<i64> {
        row.try_get(0)
    }

    /// A trigger can't change the row that is being written: it writes to it again. The affinity of the plain
    /// column makes a number of a text that is one. In a trigger, tables have no schema.
    fn add_triggers(shadow: &ShadowNames) -> Vec<String> {
        let ShadowNames { bare_table: table, plain, sealed, flag, ids, .. } = shadow;
        let (inserted, updated) = names(shadow);
        let text_of = |row: &str| text(shadow, &format!("{row}{plain}"));
        let (new, old, stored) = (text_of("NEW."), text_of("OLD."), text_of(""));
        let value = match shadow.is_json {
            true => format!("json_extract(NEW.{sealed}, '$')"),
            false => format!("NEW.{sealed}"),
        };
        let row = ids.iter().map(|id| format!("{id} = NEW.{id}")).collect::<Vec<_>>().join(" AND ");
        let refuse = format!("SELECT RAISE(ABORT, '{REFUSAL}') WHERE");
        let is_sealed = Self::is_sealed(&format!("NEW.{sealed}"));
        let plain_changed = format!("({new}) COLLATE BINARY IS NOT {old}");
        let sealed_changed = format!(
            "({new}) COLLATE BINARY IS {old} AND (NEW.{flag} IS NULL OR OLD.{flag} IS NOT NULL) \
             AND NEW.{sealed} COLLATE BINARY IS NOT OLD.{sealed} AND NEW.{sealed} COLLATE BINARY IS NOT {new}"
        );
        vec![
            format!(
                "CREATE TRIGGER {inserted} AFTER INSERT ON {table} FOR EACH ROW BEGIN\n  \
                 {refuse} {is_sealed};\n  \
                 UPDATE {table} SET {plain} = {value}, {flag} = 1 WHERE {row} AND NEW.{sealed} IS NOT NULL;\n  \
                 UPDATE {table} SET {sealed} = {stored}, {flag} = 1 WHERE {row};\n\
                 END"
            ),
            format!(
                "CREATE TRIGGER {updated} AFTER UPDATE ON {table} FOR EACH ROW\n\
                 WHEN {plain_changed} OR NEW.{sealed} COLLATE BINARY IS NOT OLD.{sealed} OR NEW.{flag} IS NOT NULL\n\
                 BEGIN\n  \
                 {refuse} {sealed_changed} AND {is_sealed};\n  \
                 UPDATE {table} SET {plain} = {value} WHERE {row} AND {sealed_changed};\n  \
                 UPDATE {table} SET {sealed} = {stored} WHERE {row} AND (({plain_changed}) OR ({sealed_changed}));\n  \
                 UPDATE {table} SET {flag} = NULL WHERE {row} AND {flag} IS NOT NULL;\n\
                 END"
            ),
        ]
    }

    fn drop_triggers(shadow: &ShadowNames) -> Vec<String> {
        let (inserted, updated) = names(shadow);
        vec![format!("DROP TRIGGER IF EXISTS {inserted}"), format!("DROP TRIGGER IF EXISTS {updated}")]
    }

    fn fill(shadow: &ShadowNames, rows: u32) -> String {
        let ShadowNames { table, plain, sealed, flag, .. } = shadow;
        let ids = shadow.ids.join(", ");
        let is_due = shadow.is_due();
        format!(
            "UPDATE {table} SET {sealed} = {text}, {flag} = 1 WHERE {is_due} AND ({ids}) IN \
             (SELECT {ids} FROM {table} WHERE {is_due} ORDER BY {ids} LIMIT {rows})",
            text = text(shadow, plain),
        )
    }
}

/// The text that stands for a plain value.
fn text(shadow: &ShadowNames, value: &str) -> String {
    match shadow.is_json {
        // of NULL it would be the text `null`
        true => format!("CASE WHEN {value} IS NOT NULL THEN json_quote({value}) END"),
        false => format!("CAST({value} AS text)"),
    }
}

/// The triggers for new and for changed rows.
fn names(shadow: &ShadowNames) -> (String, String) {
    let of = |event| {
        let trigger = quoted_name::<Sqlite>(&format!("{}_{event}", shadow.trigger));
        format!("{}{trigger}", shadow.schema)
    };
    (of("insert"), of("update"))
}
