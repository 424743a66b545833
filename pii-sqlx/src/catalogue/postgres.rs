//! Postgres, 12 and later.

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::StreamExt as _;
use pii_core::Result;
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, PgConnection, Postgres, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
    postgres::{PgRow, PgTypeInfo},
};

use super::{Catalogue, Check, Column, Dependent, DependentKind, Form, Index, Room, Rows, Table};
use crate::statement::quoted_table;

/// Columns, with the type below a domain.
const COLUMNS: &str = "\
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod)::text, coalesce(b.typname, t.typname)::text, \
       (CASE WHEN a.atttypmod > 4 THEN a.atttypmod ELSE t.typtypmod END - 4)::text, (NOT a.attnotnull)::text, \
       (CASE WHEN NOT c.collisdeterministic THEN c.collname END)::text, \
       (CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END)::text \
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = nullif(t.typbasetype, 0) \
LEFT JOIN pg_collation c ON c.oid = a.attcollation \
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ";

const INDEXES: &str = "\
SELECT c.relname::text, \
       array_to_string(ARRAY(SELECT a.attname FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (n, place) \
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n \
           WHERE k.place <= i.indnkeyatts ORDER BY k.place), chr(31))::text, \
       pg_get_indexdef(i.indexrelid)::text, i.indisunique::text, i.indisvalid::text, \
       (i.indexprs IS NULL AND i.indpred IS NULL)::text \
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ";

const CHECKS: &str = "\
SELECT conname::text, pg_get_constraintdef(oid)::text, convalidated::text \
FROM pg_constraint WHERE contype = 'c' AND conrelid = ";

/// Both ends of foreign keys.
const FOREIGN_KEYS: &str = "\
SELECT k.conname::text, array_to_string(ARRAY(SELECT a.attname FROM pg_attribute a \
    WHERE a.attrelid = k.relid AND a.attnum = ANY (k.columns)), chr(31))::text \
FROM (SELECT conname, conrelid AS relid, conkey AS columns FROM pg_constraint WHERE contype = 'f' \
      UNION ALL SELECT conname, confrelid, confkey FROM pg_constraint WHERE contype = 'f') k WHERE k.relid = ";

const VIEWS: &str = "\
SELECT DISTINCT v.oid::regclass::text, a.attname::text FROM pg_depend d \
JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class AND v.oid <> d.refobjid \
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 \
AND d.refobjid = ";

const TRIGGERS: &str = "\
SELECT t.tgname::text, pg_get_triggerdef(t.oid)::text, p.prosrc::text \
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND t.tgrelid = ";

const POLICIES: &str = "\
SELECT polname::text, concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))::text \
FROM pg_policy WHERE polrelid = ";

/// Lists of columns came with Postgres 15: before, the view has no such column, and a publication has all.
const PUBLICATIONS: &str = "\
SELECT p.pubname::text, a.attname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
JOIN pg_publication_tables p ON p.schemaname = n.nspname AND p.tablename = c.relname \
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
WHERE coalesce(to_jsonb(p) -> 'attnames' ? a.attname::text, true) AND c.oid = ";

const SEPARATOR: char = '\u{1f}';

impl Catalogue for Postgres {
    fn bytes(text: &str) -> String {
        format!("octet_length({text})")
    }

    fn describe<'c>(connection: &'c mut PgConnection, name: &'c str) -> BoxFuture<'c, Result<Option<Table>>> {
        Box::pin(describe(connection, name))
    }

    fn types_of<'c>(
        connection: &'c mut PgConnection,
        query: String,
    ) -> BoxFuture<'c, sqlx::Result<Vec<PgTypeInfo>>> {
        Box::pin(async move {
            let statement = connection.prepare(AssertSqlSafe(query).into_sql_str()).await?;
            Ok(statement.columns().iter().map(|column| column.type_info().clone()).collect())
        })
    }

    fn stream<'c>(connection: &'c mut PgConnection, query: String) -> BoxStream<'c, sqlx::Result<PgRow>> {
        sqlx::query(AssertSqlSafe(query)).persistent(false).fetch(connection).boxed()
    }

    fn is_any_type(info: &PgTypeInfo) -> bool {
        info.is_null()
    }
}

async fn describe(connection: &mut PgConnection, name: &str) -> Result<Option<Table>> {
    let quoted = quoted_table::<Postgres>(name)?;
    let found = rows::<2>(connection, "SELECT relkind::text, '' FROM pg_class WHERE oid = ", &quoted).await?;
    let Some([kind, _]) = found.first() else { return Ok(None) };
    let mut table = Table { is_view: matches!(kind.as_deref(), Some("v" | "m")), ..Table::default() };
    let mut generated = Vec::new();
    for row in rows::<7>(connection, COLUMNS, &quoted).await? {
        let [Some(name), Some(declared), Some(base), size, nullable, collation, expression] = row else {
            continue;
        };
        generated.extend(expression.map(|expression| (name.clone(), expression)));
        table.columns.push(column(name, declared, &base, size, is_true(&nullable), collation));
    }
    for row in rows::<6>(connection, INDEXES, &quoted).await? {
        let [Some(name), key, Some(definition), unique, valid, whole] = row else { continue };
        let key = split(key);
        // what stands before the parenthesis is the name of the index and the table's
        let body = definition.split_once(" USING ").map_or("", |(_, body)| body);
        let mut columns = table.mentioned_in(body);
        columns.extend(key.iter().filter(|name| !columns.contains(name)).cloned().collect::<Vec<_>>());
        let loose = |name: &String| table.column(name).is_some_and(|column| column.loose_collation.is_some());
        table.indexes.push(Index {
            name,
            loose_columns: key.iter().filter(|name| loose(name)).cloned().collect(),
            key: is_true(&whole).then_some(key),
            columns,
            is_unique: is_true(&unique),
            is_valid: is_true(&valid),
        });
    }
    for row in rows::<3>(connection, CHECKS, &quoted).await? {
        let [Some(name), Some(definition), validated] = row else { continue };
        let columns = table.mentioned_in(&definition);
        table.checks.push(Check { name, definition, columns, is_validated: is_true(&validated) });
    }
    for row in rows::<2>(connection, FOREIGN_KEYS, &quoted).await? {
        let [Some(name), columns] = row else { continue };
        let columns = split(columns);
        table.dependents.push(Dependent { kind: DependentKind::ForeignKey, name, columns });
    }
    for (kind, query) in [(DependentKind::View, VIEWS), (DependentKind::Publication, PUBLICATIONS)] {
        for row in rows::<2>(connection, query, &quoted).await? {
            let [Some(name), Some(column)] = row else { continue };
            table.dependents.push(Dependent { kind, name, columns: vec![column] });
        }
    }
    for row in rows::<3>(connection, TRIGGERS, &quoted).await? {
        let [Some(name), Some(definition), source] = row else { continue };
        let columns = table.mentioned_in(&[definition, source.unwrap_or_default()].join(" "));
        table.dependents.push(Dependent { kind: DependentKind::Trigger, name, columns });
    }
    for row in rows::<2>(connection, POLICIES, &quoted).await? {
        let [Some(name), Some(expressions)] = row else { continue };
        let columns = table.mentioned_in(&expressions);
        table.dependents.push(Dependent { kind: DependentKind::Policy, name, columns });
    }
    for (name, expression) in generated {
        let columns = table.mentioned_in(&expression);
        table.dependents.push(Dependent { kind: DependentKind::GeneratedColumn, name, columns });
    }
    Ok(Some(table))
}

/// The rows of a query that ends with the table's oid.
async fn rows<const N: usize>(
    connection: &mut PgConnection,
    query: &str,
    quoted: &str,
) -> Result<Vec<[Option<String>; N]>> {
    let of_table = [query, "to_regclass("].concat();
    Rows::<Postgres>::of(connection, &[&of_table, ") ORDER BY 1, 2"], &[quoted]).await?.texts()
}

fn column(
    name: String,
    declared: String,
    base: &str,
    size: Option<String>,
    is_nullable: bool,
    collation: Option<String>,
) -> Column {
    let size = size.and_then(|size| size.parse::<usize>().ok()).filter(|size| *size > 0);
    let (form, room) = match base {
        "text" | "citext" => (Form::Text, None),
        "varchar" => (Form::Text, size.map(Room::Chars)),
        "bpchar" => (Form::Padded, size.map(Room::Chars)),
        "name" => (Form::Text, Some(Room::Bytes(63))),
        _ => (Form::Unfit, None),
    };
    let loose_collation = collation.or_else(|| (base == "citext").then(|| "citext".to_owned()));
    Column { name, declared, form, room, is_nullable, loose_collation }
}

fn split(names: Option<String>) -> Vec<String> {
    let names = names.unwrap_or_default();
    names.split(SEPARATOR).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn is_true(text: &Option<String>) -> bool {
    text.as_deref() == Some("true")
}
