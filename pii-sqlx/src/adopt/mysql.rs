//! MySQL and MariaDB.

use sqlx::{MySql, Row as _, mysql::MySqlRow};

use super::database::{AdoptionDatabase, REFUSAL, ShadowNames, UNFIT};
use crate::statement::quoted_name;

impl AdoptionDatabase for MySql {
    /// It has no RETURNING for an UPDATE.
    const SWAPS_BY_VALUES: bool = false;

    /// `text` ends at 64 KiB.
    const SEALED_TYPE: &'static str = "mediumtext";

    /// Collations take no notice of case, or of blanks at the end.
    fn exact(text: &str) -> String {
        format!("CAST(CONVERT({text} USING utf8mb4) AS BINARY)")
    }

    fn is_sealed(text: &str) -> String {
        format!("LEFT({}, 4) = 'ENC:'", Self::exact(text))
    }

    fn number(row: &MySqlRow) -> sqlx::Result<i64> {
        row.try_get(0)
    }

    /// Assigning a text to the plain column converts it, or fails, if `sql_mode` is strict as it is by default:
    /// the triggers have the one of the moment in which they are made.
    fn add_triggers(shadow: &ShadowNames) -> Vec<String> {
        let ShadowNames { table, plain, sealed, flag, .. } = shadow;
        let (inserted, updated) = names(shadow);
        let (new, old) = (text(shadow, &format!("NEW.{plain}")), text(shadow, &format!("OLD.{plain}")));
        let value = match shadow.is_json {
            true => format!("JSON_UNQUOTE(JSON_EXTRACT(NEW.{sealed}, '$'))"),
            false => format!("NEW.{sealed}"),
        };
        let differs = |a: &str, b: &str| format!("NOT ({} <=> {})", Self::exact(a), Self::exact(b));
        let from_sealed = format!(
            "IF {is_sealed} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{REFUSAL}'; END IF;\n    \
             BEGIN\n      \
               DECLARE EXIT HANDLER FOR SQLEXCEPTION SIGNAL SQLSTATE '22000' SET MESSAGE_TEXT = '{UNFIT}';\n      \
               SET NEW.{plain} = {value};\n    \
             END;\n    \
             SET NEW.{sealed} = {new};",
            is_sealed = Self::is_sealed(&format!("NEW.{sealed}")),
        );
        let new_sealed = format!("NEW.{sealed}");
        vec![
            format!(
                "CREATE TRIGGER {inserted} BEFORE INSERT ON {table} FOR EACH ROW BEGIN\n  \
                 IF NEW.{sealed} IS NULL THEN\n    \
                   SET NEW.{sealed} = {new};\n  \
                 ELSE\n    {from_sealed}\n  \
                 END IF;\n  \
                 SET NEW.{flag} = NULL;\nEND"
            ),
            format!(
                "CREATE TRIGGER {updated} BEFORE UPDATE ON {table} FOR EACH ROW BEGIN\n  \
                 IF {plain_changed} THEN\n    \
                   SET NEW.{sealed} = {new};\n  \
                 ELSEIF (NEW.{flag} IS NULL OR OLD.{flag} IS NOT NULL) AND {sealed_changed} AND {is_another} THEN\n    \
                   {from_sealed}\n  \
                 END IF;\n  \
                 SET NEW.{flag} = NULL;\nEND",
                plain_changed = differs(&new, &old),
                sealed_changed = differs(&new_sealed, &format!("OLD.{sealed}")),
                is_another = differs(&new_sealed, &new),
            ),
        ]
    }

    fn drop_triggers(shadow: &ShadowNames) -> Vec<String> {
        let (inserted, updated) = names(shadow);
        vec![format!("DROP TRIGGER IF EXISTS {inserted}"), format!("DROP TRIGGER IF EXISTS {updated}")]
    }

    fn fill(shadow: &ShadowNames, rows: u32) -> String {
        let ShadowNames { table, plain, sealed, .. } = shadow;
        format!(
            "UPDATE {table} SET {sealed} = {text} WHERE {is_due} ORDER BY {ids} LIMIT {rows}",
            text = text(shadow, plain),
            is_due = shadow.is_due(),
            ids = shadow.ids.join(", "),
        )
    }
}

/// The text that stands for a plain value.
fn text(shadow: &ShadowNames, value: &str) -> String {
    match shadow.is_json {
        // the array tells numbers from texts, and loses its brackets again
        true => format!(
            "IF({value} IS NULL, NULL, SUBSTR(JSON_ARRAY({value}), 2, CHAR_LENGTH(JSON_ARRAY({value})) - 2))"
        ),
        false => format!("CAST({value} AS char)"),
    }
}

/// The triggers for new and for changed rows.
fn names(shadow: &ShadowNames) -> (String, String) {
    let of = |event| {
        let trigger = quoted_name::<MySql>(&format!("{}_{event}", shadow.trigger));
        format!("{}{trigger}", shadow.schema)
    };
    (of("insert"), of("update"))
}
