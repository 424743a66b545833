//! Postgres.

use sqlx::{Postgres, Row as _, postgres::PgRow};

use super::database::{AdoptionDatabase, REFUSAL, ShadowNames, UNFIT};
use crate::statement::quoted_name;

impl AdoptionDatabase for Postgres {
    const SWAPS_BY_VALUES: bool = true;

    const SEALED_TYPE: &'static str = "text";

    fn number(row: &PgRow) -> sqlx::Result<i64> {
        row.try_get::<i32, _>(0).map(i64::from)
    }

    /// Assigning a text to the plain column converts it, or fails, as the column's type demands.
    fn add_triggers(shadow: &ShadowNames) -> Vec<String> {
        let ShadowNames { table, plain, sealed, flag, .. } = shadow;
        let (function, trigger) = names(shadow);
        let text = |row: &str| text(shadow, &format!("{row}.{plain}"));
        let (new, old) = (text("NEW"), text("OLD"));
        let value = match shadow.is_json {
            true => format!("NEW.{sealed}::json #>> '{{}}'"),
            false => format!("NEW.{sealed}"),
        };
        let constraint = shadow.trigger.replace('\'', "''");
        let from_sealed = format!(
            "IF {is_sealed} THEN\n      \
               RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = '{constraint}', MESSAGE = '{REFUSAL}';\n    \
             END IF;\n    \
             BEGIN\n      \
               NEW.{plain} := {value};\n    \
             EXCEPTION WHEN data_exception THEN\n      \
               RAISE EXCEPTION USING ERRCODE = 'data_exception', MESSAGE = '{UNFIT}';\n    \
             END;\n    \
             NEW.{sealed} := {new};",
            is_sealed = Self::is_sealed(&format!("NEW.{sealed}")),
        );
        let body = format!(
            "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $pii$\nBEGIN\n  \
             IF TG_OP = 'INSERT' THEN\n    \
               IF NEW.{sealed} IS NULL THEN\n    \
                 NEW.{sealed} := {new};\n    \
               ELSE\n    {from_sealed}\n    \
               END IF;\n  \
             ELSIF {exact_new} IS DISTINCT FROM {old} THEN\n    \
               NEW.{sealed} := {new};\n  \
             ELSIF (NEW.{flag} IS NULL OR OLD.{flag} IS NOT NULL)\n      \
                   AND {exact_sealed} IS DISTINCT FROM OLD.{sealed}\n      \
                   AND {exact_sealed} IS DISTINCT FROM {new} THEN\n    \
               {from_sealed}\n  \
             END IF;\n  \
             NEW.{flag} := NULL;\n  \
             RETURN NEW;\nEND $pii$",
            exact_new = Self::exact(&format!("({new})")),
            exact_sealed = Self::exact(&format!("NEW.{sealed}")),
        );
        vec![
            body,
            format!(
                "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
            ),
        ]
    }

    fn drop_triggers(shadow: &ShadowNames) -> Vec<String> {
        let (function, trigger) = names(shadow);
        vec![
            format!("DROP TRIGGER IF EXISTS {trigger} ON {}", shadow.table),
            format!("DROP FUNCTION IF EXISTS {function}()"),
        ]
    }

    fn let_be_null(shadow: &ShadowNames, column: &str) -> Vec<String> {
        vec![format!("ALTER TABLE {} ALTER COLUMN {column} DROP NOT NULL", shadow.table)]
    }

    fn fill(shadow: &ShadowNames, rows: u32) -> String {
        let ShadowNames { table, plain, sealed, .. } = shadow;
        let ids = shadow.ids.join(", ");
        let is_due = shadow.is_due();
        format!(
            "UPDATE {table} SET {sealed} = {text} WHERE {is_due} AND ({ids}) IN \
             (SELECT {ids} FROM {table} WHERE {is_due} ORDER BY {ids} LIMIT {rows})",
            text = text(shadow, plain),
        )
    }
}

/// The text that stands for a plain value.
fn text(shadow: &ShadowNames, value: &str) -> String {
    match shadow.is_json {
        true => format!("to_json({value})::text"),
        false => format!("{value}::text"),
    }
}

/// The function and the trigger.
fn names(shadow: &ShadowNames) -> (String, String) {
    let trigger = quoted_name::<Postgres>(&shadow.trigger);
    (format!("{}{trigger}", shadow.schema), trigger)
}
