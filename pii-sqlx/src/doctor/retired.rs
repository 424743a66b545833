//! Columns of blind indexes that the model has no more, and whether those that it has are kept unique.

use pii_core::{Result, index::IndexScope};

use super::{Examination, Finding, FindingKind as Kind, report::numbered, twins};
use crate::{
    catalogue::Catalogue,
    index_columns::{self, is_index_of, is_version_of},
    statement::{quoted_name, quoted_table},
};

impl<DB: Catalogue> Examination<'_, '_, DB> {
    /// Whether a column of the table is one of a version that is not live. A model without blind indexes may have
    /// them by other means, and a view does not know all of them.
    pub(super) fn is_retired(&self, name: &str) -> bool {
        let model = self.patient.model;
        let declared = index_columns::declared(model);
        if model.is_view() || declared.is_empty() {
            return false;
        }
        let others = self.doctor.patients.iter().filter(|other| other.table == self.patient.table);
        let is_known =
            others.flat_map(|other| index_columns::declared(other.model)).any(|known| known.name == name)
                || self.patient.columns.iter().any(|column| column.name == name);
        let is_like = declared.iter().any(|known| is_version_of(name, &known.name))
            || self.patient.sealed().any(|(column, _)| is_index_of(name, column.name));
        !is_known && is_like
    }

    pub(super) async fn retired(
        &mut self,
        connection: &mut DB::Connection,
        table: &str,
        counts: bool,
    ) -> Result<()> {
        let retired: Vec<_> = self
            .table
            .columns
            .iter()
            .map(|column| &column.name)
            .filter(|name| self.is_retired(name))
            .collect();
        for name in retired {
            let (of_table, column) = (quoted_table::<DB>(table)?, quoted_name::<DB>(name));
            let indexes = self.table.indexes.iter().filter(|index| index.columns.contains(name));
            let indexes: Vec<_> = indexes.map(|index| format!("`{}`", index.name)).collect();
            let first = match indexes.as_slice() {
                [] => String::new(),
                indexes => format!("drop its index {}, then ", indexes.join(" and ")),
            };
            let mut finding = Finding::note(Kind::RetiredIndex).column(name);
            let mut message = "no live version of a blind index has the column: it may be dropped".to_owned();
            if counts {
                let codes = twins::count::<DB>(connection, table, name).await?;
                finding = finding.count(codes);
                message.push_str(&format!(", with the {} in it", numbered(codes, "code")));
            }
            self.find(finding.message(message).help(format!(
                "when no program writes or searches it any more: {first}ALTER TABLE {of_table} DROP COLUMN {column}"
            )));
        }
        Ok(())
    }

    /// Whether a unique index of the database stands for the column of one that is unique in the model. The code
    /// is one of the encryption context, so its columns may be in it too, unless the index is one of all.
    pub(super) fn is_kept_unique(&self, name: &str) -> bool {
        let model = self.patient.model;
        let has_column = |index: &&pii_core::index::IndexSpec| {
            index.versions().iter().any(|version| version.column == name)
        };
        let is_global =
            model.indexes().iter().find(has_column).is_some_and(|index| index.scope() == IndexScope::Global);
        let is_context =
            |column: &str| !is_global && model.context_fields().any(|field| field.column() == column);
        let is_it = |key: &Vec<String>| {
            key.iter().any(|column| column == name)
                && key.iter().all(|column| column == name || is_context(column))
        };
        let mut unique = self.table.indexes.iter().filter(|index| index.is_unique && index.is_valid);
        unique.any(|index| index.key.as_ref().is_some_and(is_it))
    }
}
