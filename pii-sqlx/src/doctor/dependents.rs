//! What else in the database depends on sealed columns.

use super::{Examination, Finding, FindingKind as Kind};
use crate::{
    catalogue::{Catalogue, Dependent, DependentKind, Index},
    ddl::is_own_trigger,
};

impl<DB: Catalogue> Examination<'_, '_, DB> {
    pub(super) fn dependents(&mut self) {
        let sealed: Vec<&str> = self.patient.sealed().map(|(column, _)| column.name).collect();
        let table = self.table;
        for index in &table.indexes {
            for column in &sealed {
                if index.columns.iter().any(|name| name == column) {
                    self.find(on_index(index).column(column).name(&index.name));
                }
            }
            if !index.is_valid {
                self.find(
                    Finding::warning(Kind::InvalidIndex)
                        .name(&index.name)
                        .message(format!(
                            "the index `{}` was not finished: it costs writes and is not used",
                            index.name
                        ))
                        .help("drop it and create it again: `DROP INDEX CONCURRENTLY`"),
                );
            }
        }
        for column in &sealed {
            let others = table.checks.iter().filter(|check| check.columns.iter().any(|name| name == column));
            for check in others.filter(|check| !check.definition.contains("ENC:")) {
                self.find(
                    Finding::warning(Kind::OtherCheck)
                        .column(column)
                        .name(&check.name)
                        .message(format!(
                            "the check `{}` looks at the column, and may refuse sealed text",
                            check.name
                        ))
                        .help("drop it, and check the plaintext in the program"),
                );
            }
        }
        for dependent in &table.dependents {
            if dependent.kind == DependentKind::Trigger && is_own_trigger(&dependent.name) {
                continue;
            }
            let mut is_about_sealed = false;
            for column in sealed.iter().filter(|column| dependent.columns.iter().any(|name| name == *column))
            {
                is_about_sealed = true;
                self.find(on_dependent(dependent, column).column(column).name(&dependent.name));
            }
            if dependent.kind == DependentKind::Trigger && !is_about_sealed && !sealed.is_empty() {
                self.find(
                    Finding::note(Kind::Trigger)
                        .name(&dependent.name)
                        .message(format!(
                            "the trigger `{}` names no sealed column, but may handle whole rows",
                            dependent.name
                        ))
                        .help("look at what it does: tables of history keep the plaintext from before"),
                );
            }
        }
    }
}

fn on_index(index: &Index) -> Finding {
    match index.is_unique {
        true => Finding::error(Kind::UniqueIndex)
            .message(format!("the unique key `{}` hinders no duplicates: equal plaintexts have different sealed texts", index.name))
            .help("drop it; a unique blind index does what it did"),
        false => Finding::warning(Kind::Index)
            .message(format!("the index `{}` finds nothing: equal plaintexts have different sealed texts", index.name))
            .help("drop it; to search, use a blind index. An index from before also keeps plaintext until it is rebuilt"),
    }
}

fn on_dependent(dependent: &Dependent, column: &str) -> Finding {
    let name = &dependent.name;
    match dependent.kind {
        DependentKind::View => Finding::warning(Kind::View)
            .message(format!("the view `{name}` shows the column: sealed text, once it is sealed"))
            .help("leave the column out of the view; a view that stores its rows keeps plaintext until it is refreshed"),
        DependentKind::Trigger => Finding::warning(Kind::Trigger)
            .message(format!("the trigger `{name}` names the column, and gets sealed text"))
            .help("change or drop it; look for plaintext where it writes to"),
        DependentKind::Publication => Finding::warning(Kind::Publication)
            .message(format!("the publication `{name}` sends the column to subscribers, who have the plaintext from before"))
            .help("leave the column out of the publication, or seal what the subscribers have"),
        DependentKind::GeneratedColumn => Finding::error(Kind::GeneratedColumn)
            .message(format!("the column `{name}` is computed from `{column}`: from plaintext it leaks, from sealed text it is of no use"))
            .help("drop it, and compute it in the program"),
        DependentKind::ForeignKey => Finding::error(Kind::ForeignKey)
            .message(format!("the foreign key `{name}` is on the column: sealed texts are never equal to others"))
            .help("refer to an id instead"),
        DependentKind::Policy => Finding::warning(Kind::Policy)
            .message(format!("the policy `{name}` of row-level security names the column, and gets sealed text"))
            .help("decide by a column that is not sealed"),
    }
}
