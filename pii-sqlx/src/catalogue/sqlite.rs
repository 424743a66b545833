//! SQLite. What its pragmas don't tell is read from the statements that made the table.

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::StreamExt as _;
use pii_core::Result;
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, SqlSafeStr as _, Sqlite, SqliteConnection, Statement as _,
    TypeInfo as _,
    sqlite::{SqliteRow, SqliteTypeInfo},
};

use super::{
    Catalogue, Check, Column, Dependent, DependentKind, Form, Index, Rows, Table, Word, checks, mentions,
    words,
};
use crate::{
    ddl::OWN_TRIGGERS,
    statement::{quoted_name, quoted_table},
};

impl Catalogue for Sqlite {
    fn bytes(text: &str) -> String {
        format!("length(CAST({text} AS BLOB))")
    }

    fn describe<'c>(
        connection: &'c mut SqliteConnection,
        name: &'c str,
    ) -> BoxFuture<'c, Result<Option<Table>>> {
        Box::pin(describe(connection, name))
    }

    fn types_of<'c>(
        connection: &'c mut SqliteConnection,
        query: String,
    ) -> BoxFuture<'c, sqlx::Result<Vec<SqliteTypeInfo>>> {
        Box::pin(async move {
            let statement = connection.prepare(AssertSqlSafe(query).into_sql_str()).await?;
            Ok(statement.columns().iter().map(|column| column.type_info().clone()).collect())
        })
    }

    fn stream<'c>(
        connection: &'c mut SqliteConnection,
        query: String,
    ) -> BoxStream<'c, sqlx::Result<SqliteRow>> {
        sqlx::query(AssertSqlSafe(query)).persistent(false).fetch(connection).boxed()
    }

    /// A column may have no type, or one that says nothing, such as `DECIMAL`.
    fn is_any_type(info: &SqliteTypeInfo) -> bool {
        info.is_null()
    }
}

/// An object of the database: its type, its name, the table that it belongs to, and how it was made.
struct Object {
    kind: String,
    name: String,
    of: String,
    sql: String,
}

async fn describe(connection: &mut SqliteConnection, name: &str) -> Result<Option<Table>> {
    quoted_table::<Sqlite>(name)?;
    let (schema, name) = name.split_once('.').unwrap_or(("main", name));
    let objects = objects(connection, schema).await?;
    let is_it = |object: &&Object| {
        matches!(object.kind.as_str(), "table" | "view") && object.name.eq_ignore_ascii_case(name)
    };
    let Some(made) = objects.iter().find(is_it) else { return Ok(None) };
    let definition = words(&made.sql);
    let is_strict =
        definition.iter().rev().take_while(|word| **word != Word::Sign(')')).any(|word| word.is("strict"));
    let parts = parts(&definition);
    let mut table = Table { is_view: made.kind == "view", ..Table::default() };

    let query = "SELECT name, type, CAST(\"notnull\" = 0 AND pk = 0 AS TEXT), CAST(hidden AS TEXT) FROM pragma_table_xinfo(";
    let rows = Rows::<Sqlite>::of(connection, &[query, ", ", ")"], &[name, schema]).await?;
    let mut generated = Vec::new();
    for row in rows.texts::<4>()? {
        let [Some(name), declared, nullable, hidden] = row else { continue };
        let part =
            parts.iter().find(|part| part.first().and_then(Word::name).is_some_and(|word| word == name));
        if matches!(hidden.as_deref(), Some("2" | "3")) {
            generated.extend(part.map(|part| (name.clone(), part.to_vec())));
        }
        let declared = declared.unwrap_or_default();
        table.columns.push(Column {
            form: form(&declared, is_strict),
            declared,
            room: None,
            is_nullable: nullable.as_deref() == Some("1"),
            loose_collation: part.and_then(|part| collation(part)).filter(|name| is_loose(name)),
            name,
        });
    }
    indexes(connection, schema, name, &objects, &mut table).await?;
    for (number, check) in checks(&made.sql).into_iter().enumerate() {
        let columns = table.mentioned_in(&check);
        let name = format!("check {}", number + 1);
        table.checks.push(Check { name, definition: check, columns, is_validated: true });
    }
    for (name, part) in generated {
        let names = |column: &&String| {
            **column != name
                && part.iter().filter_map(Word::name).any(|word| word.eq_ignore_ascii_case(column))
        };
        let columns = table.columns.iter().map(|column| &column.name).filter(names).cloned().collect();
        table.dependents.push(Dependent { kind: DependentKind::GeneratedColumn, name, columns });
    }
    for object in objects.iter().filter(|object| object.name.ends_with(OWN_TRIGGERS[0])) {
        let other = object.name.replace(OWN_TRIGGERS[0], OWN_TRIGGERS[1]);
        if object.of.eq_ignore_ascii_case(name) && objects.iter().any(|object| object.name == other) {
            let columns = table.mentioned_in(&object.sql);
            let (name, definition) = (object.name.clone(), object.sql.clone());
            // rows from before were not looked at, and SQLite has no way to do so later
            table.checks.push(Check { name, definition, columns, is_validated: true });
        }
    }
    for object in &objects {
        let kind = match object.kind.as_str() {
            "view" if mentions(&object.sql, name) && !object.name.eq_ignore_ascii_case(name) => {
                DependentKind::View
            }
            "trigger" if object.of.eq_ignore_ascii_case(name) || mentions(&object.sql, name) => {
                DependentKind::Trigger
            }
            _ => continue,
        };
        let shows_all = kind == DependentKind::View && words(&object.sql).contains(&Word::Sign('*'));
        let columns = match shows_all {
            true => table.columns.iter().map(|column| column.name.clone()).collect(),
            false => table.mentioned_in(&object.sql),
        };
        table.dependents.push(Dependent { kind, name: object.name.clone(), columns });
    }
    foreign_keys(connection, schema, name, &mut table).await?;
    Ok(Some(table))
}

async fn objects(connection: &mut SqliteConnection, schema: &str) -> Result<Vec<Object>> {
    let query = format!(
        "SELECT type, name, tbl_name, sql FROM {}.sqlite_master ORDER BY type, name",
        quoted_name::<Sqlite>(schema)
    );
    let rows = Rows::<Sqlite>::of(connection, &[&query], &[]).await?.texts::<4>()?;
    let object = |row: [Option<String>; 4]| match row {
        [Some(kind), Some(name), Some(of), sql] => {
            Some(Object { kind, name, of, sql: sql.unwrap_or_default() })
        }
        _ => None,
    };
    Ok(rows.into_iter().filter_map(object).collect())
}

async fn indexes(
    connection: &mut SqliteConnection,
    schema: &str,
    name: &str,
    objects: &[Object],
    table: &mut Table,
) -> Result<()> {
    let query = "SELECT i.name, CAST(i.\"unique\" AS TEXT), CAST(i.partial AS TEXT), x.name, x.coll \
                 FROM pragma_index_list(";
    let rest = ") i LEFT JOIN pragma_index_xinfo(i.name, ";
    let order = ") x ON x.key = 1 ORDER BY i.seq, x.seqno";
    let rows = Rows::<Sqlite>::of(connection, &[query, ", ", rest, order], &[name, schema, schema]).await?;
    for row in rows.texts::<5>()? {
        let [Some(index), unique, partial, column, collation] = row else { continue };
        if table.indexes.last().is_none_or(|last| last.name != index) {
            let made = objects.iter().find(|object| object.kind == "index" && object.name == index);
            let body = made.and_then(|made| made.sql.split_once('(')).map_or("", |(_, body)| body);
            table.indexes.push(Index {
                name: index,
                key: (partial.as_deref() == Some("0")).then(Vec::new),
                columns: table.mentioned_in(body),
                is_unique: unique.as_deref() == Some("1"),
                is_valid: true,
                loose_columns: Vec::new(),
            });
        }
        let Some(index) = table.indexes.last_mut() else { continue };
        match column {
            Some(column) => {
                if collation.is_some_and(|name| is_loose(&name)) {
                    index.loose_columns.push(column.clone());
                }
                if !index.columns.contains(&column) {
                    index.columns.push(column.clone());
                }
                if let Some(key) = &mut index.key {
                    key.push(column);
                }
            }
            // an expression
            None => index.key = None,
        }
    }
    // the key that is the row's number has no index
    let query = "SELECT name, name FROM pragma_table_xinfo(";
    let rows =
        Rows::<Sqlite>::of(connection, &[query, ", ", ") WHERE pk > 0 ORDER BY pk"], &[name, schema]).await?;
    let key: Vec<String> = rows.texts::<2>()?.into_iter().filter_map(|[name, _]| name).collect();
    if !key.is_empty() && !table.indexes.iter().any(|index| index.key.as_ref() == Some(&key)) {
        table.indexes.push(Index {
            name: "primary key".to_owned(),
            columns: key.clone(),
            key: Some(key),
            is_unique: true,
            is_valid: true,
            loose_columns: Vec::new(),
        });
    }
    Ok(())
}

async fn foreign_keys(
    connection: &mut SqliteConnection,
    schema: &str,
    name: &str,
    table: &mut Table,
) -> Result<()> {
    let mut found = Vec::new();
    let query = "SELECT \"table\", \"from\" FROM pragma_foreign_key_list(";
    let out = Rows::<Sqlite>::of(connection, &[query, ", ", ")"], &[name, schema]).await?;
    for row in out.texts::<2>()? {
        if let [Some(other), Some(column)] = row {
            found.push((format!("the reference to `{other}`"), column));
        }
    }
    let query = format!(
        "SELECT m.name, f.\"to\" FROM {}.sqlite_master m JOIN pragma_foreign_key_list(m.name, ",
        quoted_name::<Sqlite>(schema)
    );
    let condition = ") f ON m.type = 'table' WHERE lower(f.\"table\") = lower(";
    let into = Rows::<Sqlite>::of(connection, &[&query, condition, ")"], &[schema, name]).await?;
    for row in into.texts::<2>()? {
        if let [Some(other), Some(column)] = row {
            found.push((format!("the reference from `{other}`"), column));
        }
    }
    for (name, column) in found {
        table.dependents.push(Dependent { kind: DependentKind::ForeignKey, name, columns: vec![column] });
    }
    Ok(())
}

/// What the type makes of a text: <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>.
fn form(declared: &str, is_strict: bool) -> Form {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if !has("INT") && (has("CHAR") || has("CLOB") || has("TEXT")) || is_strict && declared == "ANY" {
        Form::Text
    } else if is_strict {
        Form::Unfit
    } else {
        Form::Lenient
    }
}

/// The definitions between the outer parentheses of a CREATE TABLE.
fn parts(definition: &[Word]) -> Vec<&[Word]> {
    let Some(open) = definition.iter().position(|word| *word == Word::Sign('(')) else { return Vec::new() };
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, open + 1);
    for (index, word) in definition.iter().enumerate().skip(open + 1) {
        match word {
            Word::Sign('(') => depth += 1,
            Word::Sign(',') if depth == 0 => {
                parts.extend(definition.get(start..index));
                start = index + 1;
            }
            Word::Sign(')') if depth == 0 => {
                parts.extend(definition.get(start..index));
                break;
            }
            Word::Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    parts
}

/// The collation of a column's definition.
fn collation(part: &[Word]) -> Option<String> {
    let mut depth = 0_u32;
    for (index, word) in part.iter().enumerate() {
        match word {
            Word::Sign('(') => depth += 1,
            Word::Sign(')') => depth = depth.saturating_sub(1),
            word if depth == 0 && word.is("collate") => return Some(part.get(index + 1)?.name()?.to_owned()),
            _ => {}
        }
    }
    None
}

fn is_loose(collation: &str) -> bool {
    !collation.eq_ignore_ascii_case("binary")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "create table t (id integer primary key, \"e mail\" varchar(20) collate nocase check (\"e mail\" like 'ENC:%)'), \
                       price decimal(10, 2) default (1, 'collate'), check (price > 0), primary key (a, b)) strict";

    #[test]
    fn a_definition_is_cut_into_its_parts() {
        let words = words(SQL);
        let parts = parts(&words);
        assert_eq!(parts.len(), 5);
        assert_eq!(parts[1][0], Word::Quoted("e mail".into()));
        assert_eq!(collation(parts[1]).as_deref(), Some("nocase"));
        assert_eq!(collation(parts[2]), None);
        assert_eq!(checks(SQL).len(), 2);
    }

    #[test]
    fn types_have_an_affinity() {
        assert_eq!(form("varchar(9)", false), Form::Text);
        assert_eq!(form("charint", false), Form::Lenient);
        assert_eq!(form("", false), Form::Lenient);
        assert_eq!((form("ANY", true), form("INTEGER", true)), (Form::Text, Form::Unfit));
    }
}
