//! Whether the columns can hold what the fields do.

use pii_core::{FieldSpec, PlaintextPolicy, Result};

use super::{Examination, Finding, FindingKind as Kind, Severity};
use crate::{
    catalogue::{Catalogue, Column, Form},
    column_field::ColumnField,
    error::from_sqlx,
    index_columns::{self, IndexColumn},
    model::ColumnKind,
    statement::{quoted_name, quoted_table},
};

impl<DB: Catalogue> Examination<'_, '_, DB> {
    pub(super) fn columns(&mut self) {
        for (index, column) in self.patient.columns.iter().enumerate() {
            let field = self.patient.field(column.name);
            let is_nested = field.as_ref().is_some_and(ColumnField::is_nested);
            let Some(found) = self.table.column(column.name) else {
                let other = if is_nested {
                    "choose another `prefix`"
                } else {
                    "name another one with `#[pii(column = \"...\")]`"
                };
                self.find(
                    Finding::error(Kind::ColumnMissing)
                        .column(column.name)
                        .message("the column does not exist")
                        .help(format!("add it (`Ddl::alter` gives the statement), or {other}")),
                );
                continue;
            };
            let is_optional = self.patient.types.get(index).is_some_and(|of_type| of_type.is_optional);
            match (column.kind, field) {
                (ColumnKind::Sealed | ColumnKind::SealedJson, Some(field)) => {
                    self.form(found);
                    self.nullability(found, is_optional, is_nested);
                    if column.kind == ColumnKind::Sealed {
                        self.room(&field, found);
                        self.check(field.spec, found);
                    }
                }
                (ColumnKind::Id | ColumnKind::GeneratedId, _) => self.id(found),
                _ => {}
            }
        }
        self.id_is_unique();
        for column in self.index_columns() {
            self.index_column(&column);
        }
    }

    /// Types of plain columns, as sqlx will compare them.
    pub(super) async fn types(&mut self, connection: &mut DB::Connection, name: &str) -> Result<()> {
        let is_there = |column: &str| self.table.column(column).is_some();
        let wanted: Vec<_> = self
            .patient
            .columns
            .iter()
            .zip(&self.patient.types)
            .filter(|(column, _)| is_there(column.name))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = wanted.iter().map(|(column, _)| quoted_name::<DB>(column.name)).collect();
        let query = format!("SELECT {} FROM {} WHERE 1 = 0", names.join(", "), quoted_table::<DB>(name)?);
        let found = DB::types_of(connection, query).await;
        let found = found.map_err(|error| from_sqlx(error, self.patient.model))?;
        for ((column, wanted), found) in wanted.iter().zip(found) {
            if matches!(column.kind, ColumnKind::Sealed | ColumnKind::SealedJson)
                || DB::is_any_type(&found)
                || (wanted.is_compatible)(&found)
            {
                continue;
            }
            let declared = self.table.column(column.name).map_or("", |column| column.declared.as_str());
            self.find(
                Finding::error(Kind::WrongType)
                    .column(column.name)
                    .message(format!(
                        "the column is `{declared}`, and the field is read as `{}`",
                        wanted.info
                    ))
                    .help("change the type of the column or of the field"),
            );
        }
        Ok(())
    }

    /// Blind indexes: those that the model declares, and others that the table has.
    pub(super) fn index_columns(&self) -> Vec<IndexColumn> {
        let mut columns = index_columns::declared(self.patient.model);
        for found in &self.table.columns {
            let is_index =
                self.patient.sealed().any(|(column, _)| index_columns::is_index_of(&found.name, column.name));
            if is_index
                && !self.is_retired(&found.name)
                && !columns.iter().any(|column| column.name == found.name)
            {
                columns.push(IndexColumn::new(&found.name));
            }
        }
        columns
    }

    fn form(&mut self, column: &Column) {
        let declared = &column.declared;
        let shadow = "change the column to text (`Ddl::alter` gives the statement), or seal into a text column beside it";
        let finding = match column.form {
            Form::Text => return,
            Form::Padded => Finding::error(Kind::FixedLength)
                .message(format!(
                    "the column is `{declared}`, which pads shorter texts and has no room for longer ones"
                ))
                .help("change the column to text: `Ddl::alter` gives the statement"),
            Form::Lenient => Finding::warning(Kind::WrongType)
                .message(format!("the column is declared `{declared}`; it takes sealed text nevertheless"))
                .help("declare it as TEXT when the table is made anew"),
            Form::Unfit => Finding::error(Kind::WrongType)
                .message(format!("the column is `{declared}`, which cannot hold sealed text"))
                .help(shadow),
        };
        self.find(finding.column(&column.name));
    }

    fn nullability(&mut self, column: &Column, is_optional: bool, is_nested: bool) {
        let what = if is_nested { "the field, or a struct around it," } else { "the field" };
        let finding = match (column.is_nullable, is_optional) {
            (false, true) => Finding::error(Kind::NotNullable)
                .message(format!("{what} is an `Option`, and the column takes no NULL"))
                .help("drop NOT NULL, or make the field one that is always there"),
            (true, false) if !self.table.is_view => Finding::note(Kind::Nullable)
                .message("the column takes NULL, which is an error where the field is loaded")
                .help("make the column NOT NULL, or the field an `Option`"),
            _ => return,
        };
        self.find(finding.column(&column.name));
    }

    fn room(&mut self, field: &ColumnField, column: &Column) {
        let Some(limit) = column.room else { return };
        let room = limit.chars();
        let path = format!("{}.{}", self.patient.model.name(), field.path);
        let field = field.spec;
        let least = self.sealed_chars(field, 0);
        let longest = self.doctor.longest.get(&path).copied();
        let fits = self.plaintext_bytes_within(field, room);
        let finding = match (fits, longest) {
            (None, _) => Finding::error(Kind::TooShort)
                .message(format!("the column has room for {room} characters, and a sealed value has {least} at least"))
                .help("make the column text: `Ddl::alter` gives the statement"),
            (Some(fits), Some(longest)) if longest > fits => Finding::error(Kind::TooShort)
                .message(format!(
                    "the column has room for {room} characters, and a plaintext of {longest} bytes takes {} when it \
                     is sealed",
                    self.sealed_chars(field, longest)
                ))
                .help("make the column text: `Ddl::alter` gives the statement"),
            (Some(_), Some(_)) => return,
            (Some(fits), None) => Finding::new(if limit.is_roomy() { Severity::Note } else { Severity::Warning }, Kind::TooShort)
                .message(format!(
                    "the column has room for {room} characters: plaintexts of up to {fits} bytes fit, longer ones are \
                     refused or cut by the database"
                ))
                .help(format!("make the column text, or tell the longest plaintext: `.longest(\"{path}\", bytes)`")),
        };
        self.find(finding.column(&column.name));
    }

    /// The check that lets only `ENC:` in. Where plaintext is still to come, there should be none.
    fn check(&mut self, field: &FieldSpec, column: &Column) {
        if self.table.is_view || field.plaintext() != PlaintextPolicy::Reject || field.legacy().is_some() {
            return;
        }
        let mut checks = self.table.checks.iter().filter(|check| check.keeps_sealed(&column.name));
        let finding = match checks.next() {
            None => Finding::note(Kind::CheckMissing)
                .message("nothing in the database keeps plaintext out of the column")
                .help("add the check: `Ddl::checks` gives statements that take no long lock"),
            Some(check) if !check.is_validated => Finding::warning(Kind::CheckNotValidated)
                .name(&check.name)
                .message(format!("the check `{}` holds for new rows only", check.name))
                .help("validate it: `ALTER TABLE ... VALIDATE CONSTRAINT ...`, as `Ddl::checks` gives it"),
            Some(_) => return,
        };
        self.find(finding.column(&column.name));
    }

    fn id(&mut self, column: &Column) {
        let of_index = || self.table.indexes.iter().any(|index| index.loose_columns.contains(&column.name));
        if column.loose_collation.is_some() || of_index() {
            self.find(
                Finding::warning(Kind::LooseCollation)
                    .column(&column.name)
                    .message("ids that differ, such as by upper and lower case, are equal in the column's collation")
                    .help("use a collation that compares bytes: values are bound to the id as it is written"),
            );
        }
    }

    fn id_is_unique(&mut self) {
        let ids: Vec<&str> = self
            .patient
            .columns
            .iter()
            .filter(|column| column.kind.is_id())
            .map(|column| column.name)
            .collect();
        let is_key = |key: &Vec<String>| key.iter().all(|name| ids.contains(&name.as_str()));
        let mut keys = self.table.indexes.iter().filter(|index| index.is_unique && index.is_valid);
        let is_unique = keys.any(|index| index.key.as_ref().is_some_and(is_key));
        if !ids.is_empty() && !self.table.is_view && !is_unique {
            self.find(
                Finding::error(Kind::IdNotUnique)
                    .message(format!("the id ({}) is no primary or unique key", ids.join(", ")))
                    .help("make it one: an update by id could touch several rows"),
            );
        }
    }

    fn index_column(&mut self, wanted: &IndexColumn) {
        let Some(column) = self.table.column(&wanted.name) else {
            self.find(
                Finding::error(Kind::ColumnMissing)
                    .column(&wanted.name)
                    .message("the column of the blind index does not exist")
                    .help("add it: `Ddl::alter` gives the statement"),
            );
            return;
        };
        let mut indexes = self.table.indexes.iter().filter(|index| index.columns.contains(&column.name));
        let is_loose = column.loose_collation.is_some()
            || indexes.clone().any(|index| index.loose_columns.contains(&column.name));
        let has_index = indexes.any(|index| index.is_valid);
        if wanted.is_unique && !self.table.is_view && !self.is_kept_unique(&column.name) {
            self.find(
                Finding::error(Kind::UniqueMissing)
                    .column(&column.name)
                    .message("the blind index is unique in the model, and no unique index keeps it so")
                    .help(
                        "look for duplicates with `SqlTable::index_duplicates`, then create one: `Ddl::indexes` gives the \
                         statement",
                    ),
            );
        }
        if is_loose {
            self.find(
                Finding::error(Kind::LooseCollation)
                    .column(&column.name)
                    .message("the blind index has a collation in which texts that differ are equal")
                    .help("use a collation that compares bytes"),
            );
        }
        if column.form == Form::Unfit {
            self.find(
                Finding::error(Kind::WrongType)
                    .column(&column.name)
                    .message(format!("the column is `{}`, and a blind index is text", column.declared))
                    .help("change the column to text"),
            );
        }
        if let Some(room) = column.room.map(|room| room.chars()).filter(|room| *room < wanted.chars) {
            self.find(
                Finding::error(Kind::TooShort)
                    .column(&column.name)
                    .message(format!(
                        "the column has room for {room} characters, and the blind index has {}",
                        wanted.chars
                    ))
                    .help("make the column text"),
            );
        } else if column.form == Form::Padded && column.room.map(|room| room.chars()) != Some(wanted.chars) {
            self.find(
                Finding::error(Kind::FixedLength)
                    .column(&column.name)
                    .message(format!("the column is `{}`, which pads the blind index", column.declared))
                    .help("make the column text"),
            );
        }
        if !has_index && !self.table.is_view {
            self.find(
                Finding::warning(Kind::IndexMissing)
                    .column(&column.name)
                    .message("the blind index has no index: each search reads the whole table")
                    .help("create one: `Ddl::indexes` gives statements that take no long lock"),
            );
        }
    }
}
