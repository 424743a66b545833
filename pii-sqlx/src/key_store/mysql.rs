//! The key store on MySQL and MariaDB.

use pii_core::Result;
use sqlx::{
    MySql, Row as _,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlRow},
};

use super::database::{KeyDatabase, Trouble};
use crate::mysql_error::number;

impl KeyDatabase for MySql {
    /// A unique column may hold NULL many times.
    const COLUMNS: &'static str = "
    key_id   varchar(32) NOT NULL PRIMARY KEY,
    keyring  text NOT NULL,
    purpose  text NOT NULL,
    epoch    bigint NOT NULL,
    state    text NOT NULL,
    created  text NOT NULL,
    context  mediumtext NOT NULL,
    slot     text NOT NULL,
    election varchar(100) UNIQUE,
    copies   mediumtext NOT NULL
";

    /// Comparisons are by bytes, and commits are durable.
    const TABLE_OPTIONS: &'static str =
        " ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin";

    const TEXT: &'static str = "CHAR";

    const BEFORE_CREATE: &'static [&'static str] = &[];

    const BEFORE_BEGIN: &'static [&'static str] = &[];

    const BEGIN: &'static str = "START TRANSACTION";

    /// How durable a commit is, the server says for all: by default, it is on the disk.
    const AFTER_BEGIN: &'static [&'static str] = &[];

    /// `INSERT IGNORE` would cut off what is too long for its column.
    const UNLESS_TAKEN: &'static str = "";

    const BY_BYTES: &'static str = "COLLATE utf8mb4_bin";

    const IS_KEY_ID: &'static str =
        "CHAR_LENGTH(key_id) = 32 AND key_id COLLATE utf8mb4_bin REGEXP '^[0-9a-f]{32}$'";

    fn check_shareable(_: &MySqlConnectOptions) -> Result<()> {
        Ok(())
    }

    fn text(row: &MySqlRow, index: usize) -> sqlx::Result<Option<String>> {
        row.try_get(index)
    }

    fn trouble(error: &dyn DatabaseError) -> Option<Trouble> {
        match number(error)? {
            // no such table, no such database
            1146 | 1049 => Some(Trouble::NoTable),
            // database, user, statement, column, statement for the server
            1044 | 1045 | 1142 | 1143 | 1227 => Some(Trouble::Denied),
            // waited for too long, deadlock
            1205 | 1213 => Some(Trouble::Locked),
            // server, transaction, engine
            1290 | 1792 | 1836 => Some(Trouble::ReadOnly),
            _ => None,
        }
    }
}
