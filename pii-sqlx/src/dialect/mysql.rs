//! MySQL and MariaDB.

use std::sync::Arc;

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt as _;
use sqlx::{
    Arguments as _, Decode, Either, Executor as _, MySql, MySqlConnection, Row as _, Type, TypeInfo as _,
    error::BoxDynError, mysql,
};

use super::{Cases, Dialect, ExactText, ManyUpdates, Measure, Returned, Upsert, Upserted};
use crate::{
    connection::Source,
    mysql_error::number,
    statement::{Finished, Statement},
};

/// `ER_SUBQUERY_NO_1_ROW`: what [`REFUSE`] answers.
const REFUSED: u16 = 1242;

/// An error wherever it is evaluated, whatever `sql_mode` says: it gives two rows where one is expected.
const REFUSE: &str = "(SELECT 1 UNION SELECT 2)";

impl Dialect for MySql {
    const QUOTE: char = '`';

    /// The wire protocol counts them in 16 bits.
    const MAX_PARAMETERS: usize = 65_535;

    /// A server refuses what is larger than its `max_allowed_packet`: 4 MiB by default in MySQL 5.7, 16 MiB in
    /// MariaDB, 64 MiB in MySQL 8. That leaves room for a large row.
    const MAX_BYTES: Option<Measure<Self>> = Some(Measure {
        limit: 1 << 20,
        buffer: Vec::new,
        take: |buffer| {
            let length = buffer.len();
            buffer.clear();
            length
        },
    });

    /// sqlx 0.9.0 counts it when the server's answer is there.
    const LEAVES_BEGIN_OPEN: bool = true;

    /// sqlx 0.9.0 takes what is left of the answer to a PREPARE for rows, and waits for their end for ever.
    const LEAVES_ANSWERS_UNREAD: bool = true;

    /// The default collations take `Ada`, `ADA` and `Ada ` for equal.
    const EXACT_TEXT: Option<ExactText<Self>> = Some(ExactText {
        is_text: <str as Type<Self>>::compatible,
        around: [" AND CAST(CONVERT(", " USING utf8mb4) AS BINARY) = CAST(", " AS BINARY)"],
    });

    /// No alias can stand there.
    const UPSERT_ALIAS: &'static str = "";

    /// ``ON DUPLICATE KEY UPDATE `a` = IF(.., VALUES(`a`), ..), `version` = `version` + 1``
    ///
    /// That is done where any unique value is taken, not the id alone: the row may have another id. It has no
    /// condition either, and the number of rows does not tell an insert from an update that changes nothing.
    /// So the first assignment, which still sees the stored row as it was, fails the statement if that row
    /// has another id, or is outside the scope.
    fn push_upsert(statement: &mut Statement<Self>, upsert: &Upsert<'_>) {
        statement.push(" ON DUPLICATE KEY UPDATE ");
        let first = upsert.others.first().or(upsert.ids.first());
        let others = upsert.others.iter().skip(1);
        statement.push_each(first.into_iter().chain(others).copied(), |statement, name| {
            statement.push_name(name);
            statement.push(" = ");
            if Some(&name) != first {
                push_new(statement, name, upsert);
                return;
            }
            statement.push("IF(IF(");
            for (index, name) in upsert.ids.iter().chain(upsert.scope).enumerate() {
                statement.push(if index > 0 { " AND CAST(" } else { "CAST(" });
                statement.push_name(name);
                statement.push(" AS BINARY) = CAST(VALUES(");
                statement.push_name(name);
                statement.push(") AS BINARY)");
            }
            statement.push(", 1, ");
            statement.push(REFUSE);
            statement.push(") = 1, ");
            push_new(statement, name, upsert);
            statement.push(", ");
            statement.push_name(name);
            statement.push(")");
        });
    }

    /// MySQL and MariaDB write a list of values in different ways, and the texts in it get a collation that may
    /// not go together with the column's, and a length that may be that of others.
    const MANY_UPDATES: ManyUpdates<Self> = ManyUpdates::ByCases(Cases { rows: 50, around });

    /// Where another row keeps the new one out, the plain INSERT says which unique value it has.
    fn upsert<'c>(
        connection: &'c mut MySqlConnection,
        statement: Finished<Self>,
        insert: Finished<Self>,
        _rows: u64,
    ) -> BoxFuture<'c, sqlx::Result<Upserted>> {
        Box::pin(async move {
            match statement.query.execute(&mut *connection).await {
                Err(sqlx::Error::Database(error)) if number(&*error) == Some(REFUSED) => {}
                done => return done.map(|_| Upserted::Written),
            }
            match insert.query.execute(connection).await {
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                    Ok(Upserted::Refused(sqlx::Error::Database(error)))
                }
                // the row that was in the way is gone
                done => done.map(|_| Upserted::Written),
            }
        })
    }

    /// MariaDB has it since 10.5; MySQL takes it for a comment.
    fn push_returning(statement: &mut Statement<Self>, columns: &[&str]) {
        statement.push(" /*M!100500 RETURNING ");
        statement.push_names(columns.iter().copied());
        statement.push(" */");
    }

    fn insert_returning<'c>(
        connection: &'c mut MySqlConnection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<Returned<Self>>> {
        Box::pin(async move {
            let mut answers = connection.fetch_many(statement.query);
            let (mut row, mut number) = (None, 0);
            while let Some(answer) = answers.try_next().await? {
                match answer {
                    Either::Right(returned) => row = Some(returned),
                    Either::Left(done) => number = done.last_insert_id(),
                }
            }
            Ok(match row {
                Some(row) => Returned::Row(row),
                None => Returned::Number(i64::try_from(number).ok().filter(|number| *number != 0)),
            })
        })
    }

    /// sqlx stores a UUID as its 16 bytes. A number is binary too, but has fewer digits in hex.
    fn context_text(column: &str) -> String {
        let digits = |from, count| format!("SUBSTR(HEX({column}), {from}, {count})");
        let uuid = [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)]
            .map(|(from, count)| digits(from, count))
            .join(", '-', ");
        format!(
            "CAST(CASE WHEN CHARSET({column}) = 'binary' AND LENGTH(HEX({column})) = 32 \
             THEN LOWER(CONCAT({uuid})) ELSE CONVERT({column} USING utf8mb4) END AS BINARY)"
        )
    }

    /// The driver copies it.
    fn bind_text(
        arguments: &mut mysql::MySqlArguments,
        text: Option<Arc<str>>,
    ) -> Result<Option<Arc<str>>, BoxDynError> {
        arguments.add(text.as_deref()).map(|()| None)
    }

    fn bind_number(arguments: &mut mysql::MySqlArguments, number: i64) -> Result<(), BoxDynError> {
        arguments.add(number)
    }

    /// sqlx asks for the rows that were found, also where they hold the new values already.
    fn execute<'c>(
        connection: &'c mut MySqlConnection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<u64>> {
        Box::pin(async move {
            let Finished { query, shared } = statement;
            let done = query.execute(connection).await;
            drop(shared);
            Ok(done?.rows_affected())
        })
    }

    fn fetch<'c>(
        connection: &'c mut MySqlConnection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<Vec<mysql::MySqlRow>>> {
        Box::pin(async move {
            let Finished { query, shared } = statement;
            let rows = query.fetch_all(connection).await;
            drop(shared);
            rows
        })
    }

    fn stream<'c>(
        source: Source<'c, Self>,
        statement: Finished<Self>,
    ) -> BoxStream<'c, sqlx::Result<mysql::MySqlRow>> {
        match source {
            Source::Given(connection) => statement.query.fetch(connection),
            Source::Pool(pool) => statement.query.fetch(pool),
        }
    }

    fn first_column<'r, T>(row: &'r mysql::MySqlRow) -> sqlx::Result<T>
    where
        T: Decode<'r, Self> + Type<Self>,
    {
        row.try_get(0)
    }
}

/// A placeholder takes its type from what is around it, and in a `CASE` there are only others. Texts are what
/// MySQL takes them for then, and are not cut.
fn around(info: &mysql::MySqlTypeInfo) -> Option<[&'static str; 2]> {
    Some(match info.name() {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => ["CAST(", " AS SIGNED)"],
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
        | "BIGINT UNSIGNED" => ["CAST(", " AS UNSIGNED)"],
        "FLOAT" | "DOUBLE" => ["(", " + 0e0)"],
        "DATE" => ["CAST(", " AS DATE)"],
        "TIME" => ["CAST(", " AS TIME(6))"],
        "DATETIME" | "TIMESTAMP" => ["CAST(", " AS DATETIME(6))"],
        "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" => ["", ""],
        "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => ["CAST(", " AS BINARY)"],
        // `BINARY` is what sqlx says of JSON; a UUID is a `BLOB` to it
        _ => return None,
    })
}

/// What an upsert sets a column to: its new value, or the next version. An id stays.
fn push_new(statement: &mut Statement<MySql>, name: &str, upsert: &Upsert<'_>) {
    if Some(name) == upsert.version {
        statement.push_name(name);
        statement.push(" + 1");
    } else {
        statement.push("VALUES(");
        statement.push_name(name);
        statement.push(")");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upsert(others: Vec<&'static str>, version: Option<&'static str>, scope: &[&'static str]) -> String {
        let mut statement = Statement::<MySql>::new("");
        MySql::push_upsert(&mut statement, &Upsert { ids: vec!["id"], others, version, scope });
        statement.sql().to_owned()
    }

    #[test]
    fn the_first_assignment_of_an_upsert_looks_at_the_stored_row() {
        assert_eq!(
            upsert(vec!["tenant", "email", "revision"], Some("revision"), &["tenant"]),
            " ON DUPLICATE KEY UPDATE `tenant` = IF(IF(CAST(`id` AS BINARY) = CAST(VALUES(`id`) AS BINARY) \
             AND CAST(`tenant` AS BINARY) = CAST(VALUES(`tenant`) AS BINARY), 1, (SELECT 1 UNION SELECT 2)) = 1, \
             VALUES(`tenant`), `tenant`), `email` = VALUES(`email`), `revision` = `revision` + 1"
        );
    }

    #[test]
    fn an_upsert_of_an_id_alone_changes_nothing() {
        assert_eq!(
            upsert(vec![], None, &[]),
            " ON DUPLICATE KEY UPDATE `id` = IF(IF(CAST(`id` AS BINARY) = CAST(VALUES(`id`) AS BINARY), 1, \
             (SELECT 1 UNION SELECT 2)) = 1, VALUES(`id`), `id`)"
        );
    }
}
