//! The facade names what it re-exports one by one: nothing that is public below may be missing there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing unwrap is a failing test")]

use std::{collections::BTreeSet, fs, path::Path};

/// The names that `pub use` brings into the root of a crate. `#[doc(hidden)]` ones stand in `except`.
fn exported(file: &str, except: &[&str]) -> BTreeSet<String> {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
    // modules of the root are not the root
    let root = source.lines().filter(|line| !line.starts_with("    ") || !line.contains("pub use"));
    let root = root.collect::<Vec<_>>().join("\n");
    let uses = root.split("\npub use ").skip(1).map(|rest| rest.split_once(';').unwrap().0);
    let names = uses.flat_map(|list| {
        let list = list.split_once('{').map_or(list, |(_, list)| list.trim_end_matches('}'));
        list.split(',').map(str::trim).filter(|item| !item.is_empty())
    });
    let name_of = |item: &str| item.rsplit([' ', ':']).next().unwrap().to_owned();
    names.map(name_of).filter(|name| !except.contains(&name.as_str())).collect()
}

fn missing(below: &BTreeSet<String>) -> Vec<String> {
    let facade = exported("src/lib.rs", &[]);
    assert!(facade.len() > 60 && facade.contains("SqlTable") && facade.contains("ctx"), "{facade:?}");
    below.difference(&facade).cloned().collect()
}

#[test]
fn everything_of_the_core_is_exported() {
    let core = exported("pii-core/src/lib.rs", &["context_text"]);
    assert!(core.contains("Cryptor") && core.contains("SCHEMA_UPDATE_VARIABLE"), "{core:?}");
    assert_eq!(missing(&core), [""; 0], "add these to the list in src/lib.rs");
}

#[test]
fn everything_of_the_sql_adapter_is_exported() {
    let sql = exported("pii-sqlx/src/lib.rs", &[]);
    assert!(sql.contains("SqlTable") && sql.contains("sqlx_error"), "{sql:?}");
    assert_eq!(missing(&sql), [""; 0], "add these to the list in src/lib.rs");
}
