//! The key store on Postgres.

use pii_core::Result;
use sqlx::{
    Postgres, Row as _,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgRow},
};

use super::database::{KeyDatabase, Trouble};

impl KeyDatabase for Postgres {
    const COLUMNS: &'static str = r#"
    key_id   text COLLATE "C" PRIMARY KEY,
    keyring  text NOT NULL,
    purpose  text NOT NULL,
    epoch    bigint NOT NULL,
    state    text NOT NULL,
    created  text NOT NULL,
    context  text NOT NULL,
    slot     text NOT NULL,
    election text COLLATE "C" UNIQUE,
    copies   text NOT NULL
"#;

    /// Two `CREATE TABLE IF NOT EXISTS` at once fail in the catalogue; the number is `pii` and 1.
    const BEFORE_CREATE: &'static [&'static str] = &["SELECT pg_advisory_xact_lock(1885956353)"];

    const BEFORE_BEGIN: &'static [&'static str] = &[];

    /// Under a stricter level, whoever loses an election to a later snapshot gets an error instead.
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    /// For the transaction only: other users of the connection, also behind a pooler, are left alone.
    const AFTER_BEGIN: &'static [&'static str] = &[
        "SELECT set_config('synchronous_commit', 'on', true) \
         WHERE current_setting('synchronous_commit') <> 'remote_apply'",
        "SELECT set_config('lock_timeout', '10s', true) WHERE current_setting('lock_timeout') = '0'",
    ];

    const UNLESS_TAKEN: &'static str = "ON CONFLICT DO NOTHING";

    const BY_BYTES: &'static str = "COLLATE \"C\"";

    const IS_KEY_ID: &'static str = "key_id ~ '^[0-9a-f]{32}$'";

    fn check_shareable(_: &PgConnectOptions) -> Result<()> {
        Ok(())
    }

    fn text(row: &PgRow, index: usize) -> sqlx::Result<Option<String>> {
        row.try_get(index)
    }

    fn trouble(error: &dyn DatabaseError) -> Option<Trouble> {
        match error.code()?.as_ref() {
            "42P01" | "3F000" => Some(Trouble::NoTable),
            "42501" => Some(Trouble::Denied),
            "55P03" => Some(Trouble::Locked),
            "40P01" => Some(Trouble::Deadlock),
            "25006" => Some(Trouble::ReadOnly),
            _ => None,
        }
    }
}
