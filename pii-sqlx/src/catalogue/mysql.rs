//! MySQL 8 and MariaDB.

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::StreamExt as _;
use pii_core::Result;
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, MySql, MySqlConnection, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
    mysql::{MySqlRow, MySqlTypeInfo},
};

use super::{
    Catalogue, Check, Column, Dependent, DependentKind, Form, Index, Room, Rows, Table, checks, mentions,
};
use crate::{ddl::OWN_TRIGGERS, statement::quoted_table};

/// What each query ends with: a schema, or nothing for that of the connection, and a table.
const OF_TABLE: [&str; 3] = [" = COALESCE(NULLIF(", ", ''), DATABASE()) AND ", " ORDER BY 1, 2"];

const COLUMNS: &str = "SELECT CAST(COLUMN_NAME AS CHAR), CAST(COLUMN_TYPE AS CHAR), CAST(DATA_TYPE AS CHAR), \
    CAST(CHARACTER_MAXIMUM_LENGTH AS CHAR), CAST(IS_NULLABLE AS CHAR), CAST(COLLATION_NAME AS CHAR), \
    CAST(GENERATION_EXPRESSION AS CHAR) FROM information_schema.COLUMNS";

const INDEXES: &str = "SELECT CAST(INDEX_NAME AS CHAR), CAST(LPAD(SEQ_IN_INDEX, 5, '0') AS CHAR), \
    CAST(COLUMN_NAME AS CHAR), CAST(NON_UNIQUE AS CHAR), CAST(SUB_PART AS CHAR) FROM information_schema.STATISTICS";

const TRIGGERS: &str = "SELECT CAST(TRIGGER_NAME AS CHAR), CAST(ACTION_STATEMENT AS CHAR) \
    FROM information_schema.TRIGGERS";

const REFERENCES: &str = "SELECT CAST(CONSTRAINT_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR) \
    FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL AND";

const REFERENCED: &str = "SELECT CAST(CONSTRAINT_NAME AS CHAR), CAST(REFERENCED_COLUMN_NAME AS CHAR) \
    FROM information_schema.KEY_COLUMN_USAGE WHERE";

const VIEWS: &str = "SELECT CAST(CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS CHAR), CAST(VIEW_DEFINITION AS CHAR) \
    FROM information_schema.VIEWS WHERE NOT (TABLE_SCHEMA";

impl Catalogue for MySql {
    fn bytes(text: &str) -> String {
        format!("LENGTH({text})")
    }

    fn describe<'c>(
        connection: &'c mut MySqlConnection,
        name: &'c str,
    ) -> BoxFuture<'c, Result<Option<Table>>> {
        Box::pin(describe(connection, name))
    }

    fn types_of<'c>(
        connection: &'c mut MySqlConnection,
        query: String,
    ) -> BoxFuture<'c, sqlx::Result<Vec<MySqlTypeInfo>>> {
        Box::pin(async move {
            let statement = connection.prepare(AssertSqlSafe(query).into_sql_str()).await?;
            Ok(statement.columns().iter().map(|column| column.type_info().clone()).collect())
        })
    }

    fn stream<'c>(
        connection: &'c mut MySqlConnection,
        query: String,
    ) -> BoxStream<'c, sqlx::Result<MySqlRow>> {
        sqlx::query(AssertSqlSafe(query)).persistent(false).fetch(connection).boxed()
    }

    fn is_any_type(info: &MySqlTypeInfo) -> bool {
        info.is_null()
    }
}

async fn describe(connection: &mut MySqlConnection, name: &str) -> Result<Option<Table>> {
    let quoted = quoted_table::<MySql>(name)?;
    let (schema, name) = name.split_once('.').unwrap_or(("", name));
    let names = [schema, name];
    let mut table = Table::default();
    let mut generated = Vec::new();
    for row in rows::<7>(connection, COLUMNS, " WHERE TABLE_SCHEMA", "TABLE_NAME = ", names).await? {
        let [Some(name), Some(declared), Some(base), size, nullable, collation, expression] = row else {
            continue;
        };
        generated.extend(expression.filter(|text| !text.is_empty()).map(|text| (name.clone(), text)));
        table.columns.push(column(
            name,
            declared,
            &base,
            size,
            nullable.as_deref() == Some("YES"),
            collation,
        ));
    }
    if table.columns.is_empty() {
        return Ok(None);
    }
    let mut views = rows::<2>(connection, VIEWS, "", "TABLE_NAME = ", names).await?;
    let made = Rows::<MySql>::of(connection, &["SHOW CREATE TABLE ", &quoted], &[]).await?.texts::<2>()?;
    let made = made.into_iter().find_map(|[_, sql]| sql).unwrap_or_default();
    table.is_view = !made.trim_start().to_ascii_uppercase().starts_with("CREATE TABLE")
        && !made.trim_start().to_ascii_uppercase().starts_with("CREATE TEMPORARY");
    indexes(connection, names, &mut table).await?;
    if !table.is_view {
        let is_validated = !made.contains("NOT ENFORCED");
        for (number, definition) in checks(&made).into_iter().enumerate() {
            let columns = table.mentioned_in(&definition);
            table.checks.push(Check {
                name: format!("check {}", number + 1),
                definition,
                columns,
                is_validated,
            });
        }
    }
    let triggers =
        rows::<2>(connection, TRIGGERS, " WHERE EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE = ", names).await?;
    for [trigger, body] in &triggers {
        let (Some(name), Some(body)) = (trigger, body) else { continue };
        let columns = table.mentioned_in(body);
        let other = name.strip_suffix(OWN_TRIGGERS[0]).map(|stem| [stem, OWN_TRIGGERS[1]].concat());
        if other.is_some_and(|other| triggers.iter().any(|[name, _]| name.as_ref() == Some(&other))) {
            let (name, definition, columns) = (name.clone(), body.clone(), columns.clone());
            table.checks.push(Check { name, definition, columns, is_validated: true });
        }
        table.dependents.push(Dependent { kind: DependentKind::Trigger, name: name.clone(), columns });
    }
    let out = rows::<2>(connection, REFERENCES, " TABLE_SCHEMA", "TABLE_NAME = ", names).await?;
    let into =
        rows::<2>(connection, REFERENCED, " REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME = ", names)
            .await?;
    for row in out.into_iter().chain(into) {
        let [Some(name), Some(column)] = row else { continue };
        table.dependents.push(Dependent { kind: DependentKind::ForeignKey, name, columns: vec![column] });
    }
    views.retain(|[_, sql]| sql.as_ref().is_some_and(|sql| mentions(sql, name)));
    for row in views {
        let [Some(name), Some(sql)] = row else { continue };
        let columns = table.mentioned_in(&sql);
        table.dependents.push(Dependent { kind: DependentKind::View, name, columns });
    }
    for (name, expression) in generated {
        let columns = table.mentioned_in(&expression);
        table.dependents.push(Dependent { kind: DependentKind::GeneratedColumn, name, columns });
    }
    Ok(Some(table))
}

async fn indexes(connection: &mut MySqlConnection, names: [&str; 2], table: &mut Table) -> Result<()> {
    for row in rows::<5>(connection, INDEXES, " WHERE TABLE_SCHEMA", "TABLE_NAME = ", names).await? {
        let [Some(name), _, column, not_unique, part] = row else { continue };
        if table.indexes.last().is_none_or(|last| last.name != name) {
            table.indexes.push(Index {
                name,
                key: Some(Vec::new()),
                columns: Vec::new(),
                is_unique: not_unique.as_deref() == Some("0"),
                is_valid: true,
                // a column's collation is that of its indexes
                loose_columns: Vec::new(),
            });
        }
        let Some(index) = table.indexes.last_mut() else { continue };
        match (column, part) {
            (Some(column), None) => {
                if let Some(key) = &mut index.key {
                    key.push(column.clone());
                }
                index.columns.push(column);
            }
            (column, _) => {
                index.key = None;
                index.columns.extend(column);
            }
        }
    }
    Ok(())
}

/// The rows of a query that ends with the schema and the table.
async fn rows<const N: usize>(
    connection: &mut MySqlConnection,
    query: &str,
    schema: &str,
    table: &str,
    names: [&str; 2],
) -> Result<Vec<[Option<String>; N]>> {
    let [is_schema, and, order] = OF_TABLE;
    let close = if query == VIEWS { ")" } else { "" };
    let begin = [query, schema, is_schema].concat();
    let middle = [and, table].concat();
    Rows::<MySql>::of(connection, &[&begin, &middle, close, order], &names).await?.texts()
}

fn column(
    name: String,
    declared: String,
    base: &str,
    size: Option<String>,
    is_nullable: bool,
    collation: Option<String>,
) -> Column {
    let size = size.and_then(|size| size.parse::<usize>().ok());
    let (form, room) = match base.to_ascii_lowercase().as_str() {
        "varchar" => (Form::Text, size.map(Room::Chars)),
        "char" => (Form::Padded, size.map(Room::Chars)),
        "tinytext" => (Form::Text, Some(Room::Bytes(255))),
        "text" => (Form::Text, Some(Room::Bytes(65_535))),
        // more than any value has
        "mediumtext" | "longtext" => (Form::Text, None),
        _ => (Form::Unfit, None),
    };
    let is_loose = |name: &String| !(name.ends_with("_bin") || name.ends_with("_cs") || name == "binary");
    Column { name, declared, form, room, is_nullable, loose_collation: collation.filter(is_loose) }
}
