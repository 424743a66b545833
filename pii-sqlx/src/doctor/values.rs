//! What stands in sealed columns, without opening anything. Of plaintext nothing leaves the database but numbers.

use pii_core::{FieldSpec, KeyId, PlaintextPolicy, Result};

use super::{
    ColumnValues, Examination, Finding, FindingKind as Kind, json_values,
    keys::{KeyCounts, KnownKeys},
    report::numbered,
};
use crate::{
    catalogue::{Catalogue, Rows},
    model::ColumnKind,
    statement::{quoted_name, quoted_table},
};

/// `ENC:` and the part that all values under one data key share.
const KEY_PREFIX: usize = 28;

/// So many keys are asked for at a time.
const PAGE: usize = 10_000;

impl<DB: Catalogue> Examination<'_, '_, DB> {
    pub(super) async fn values(
        &mut self,
        connection: &mut DB::Connection,
        table: &str,
        known: Option<&KnownKeys>,
    ) -> Result<Vec<ColumnValues>> {
        let quoted = quoted_table::<DB>(table)?;
        let mut columns = Vec::new();
        for (column, field) in self.patient.sealed() {
            let field = field.spec;
            if self.table.column(column.name).is_none() {
                continue;
            }
            let mut values = ColumnValues { column: column.name.to_owned(), ..ColumnValues::default() };
            let name = quoted_name::<DB>(column.name);
            let keys = match column.kind {
                ColumnKind::SealedJson => {
                    json_values::count::<DB>(connection, &quoted, &name, field, &mut values).await?
                }
                _ => of_texts::<DB>(connection, &quoted, &name, field, &mut values).await?,
            };
            let findings = keys.judge(&mut values, known);
            self.findings.extend(findings);
            self.judge(field, &values);
            columns.push(values);
        }
        Ok(columns)
    }

    fn judge(&mut self, field: &FieldSpec, values: &ColumnValues) {
        if values.plaintext > 0 {
            let count = values.plaintext;
            let mut message = format!("{} not sealed", numbered(count, "value"));
            if field.plaintext() == PlaintextPolicy::Prepare {
                message.push_str(", as the policy `prepare` wants");
            }
            let finding = match field.plaintext() {
                PlaintextPolicy::Reject => Finding::error(Kind::PlaintextValues)
                    .help("seal them with the policy `accept_and_seal`; loading such a row is an error now"),
                PlaintextPolicy::AcceptAndSeal => Finding::warning(Kind::PlaintextValues)
                    .help("load and save these rows; then set the policy to `reject`"),
                PlaintextPolicy::Prepare => Finding::note(Kind::PlaintextValues)
                    .help("when every program reads sealed values, go on to `accept_and_seal`"),
            };
            self.find(finding.column(&values.column).count(count).message(message));
            self.longest(field, values);
        }
        if values.damaged > 0 {
            self.find(
                Finding::error(Kind::DamagedValues)
                    .column(&values.column)
                    .count(values.damaged)
                    .message(format!("{} with `ENC:` at the beginning and not whole", numbered(values.damaged, "value")))
                    .help("look for a column that cuts long text, or values that were edited by hand; restore them"),
            );
        }
        if values.foreign > 0 {
            let message =
                format!("{} of another system or of a newer release", numbered(values.foreign, "value"));
            let finding = match field.legacy() {
                Some(_) => {
                    Finding::note(Kind::ForeignValues).help("they are read as the field's `legacy` says")
                }
                None => Finding::error(Kind::ForeignValues)
                    .help("name the system with `#[pii(legacy = \"...\")]`, or upgrade this program"),
            };
            self.find(finding.column(&values.column).count(values.foreign).message(message));
        }
    }

    /// Whether the longest plaintext that is there will fit when it is sealed.
    fn longest(&mut self, field: &FieldSpec, values: &ColumnValues) {
        let room = self.table.column(&values.column).and_then(|column| column.room).map(|room| room.chars());
        let Ok(longest) = usize::try_from(values.longest_plaintext) else { return };
        let sealed = self.sealed_chars(field, longest);
        if let Some(room) = room.filter(|room| sealed > *room) {
            self.find(
                Finding::error(Kind::TooShort)
                    .column(&values.column)
                    .message(format!(
                        "the longest of the values that are not sealed has {longest} bytes, and {sealed} characters \
                         when it is sealed; the column has room for {room}"
                    ))
                    .help("make the column text before anything is sealed: `Ddl::alter` gives the statement"),
            );
        }
    }
}

/// Counts the values of a column with one text each, and those under each key.
async fn of_texts<DB: Catalogue>(
    connection: &mut DB::Connection,
    table: &str,
    column: &str,
    field: &FieldSpec,
    values: &mut ColumnValues,
) -> Result<KeyCounts> {
    let text = DB::TEXT;
    let value = format!("CAST({column} AS {text})");
    let begins = format!("substr({value}, 1, 4) {} = 'ENC:'", DB::BY_BYTES);
    // base64 comes in groups of four
    let is_whole = match field.legacy() {
        Some(_) => begins.clone(),
        None => {
            format!("{begins} AND length({value}) >= {} AND length({value}) % 4 = 0", field.sealed_chars(0))
        }
    };
    let number = |expression: &str| format!("CAST(coalesce({expression}, 0) AS {text})");
    let query = format!(
        "SELECT {}, {}, {} FROM {table} WHERE {column} IS NOT NULL",
        number(&format!("sum(CASE WHEN {begins} THEN 0 ELSE 1 END)")),
        number(&format!("max(CASE WHEN {begins} THEN 0 ELSE {} END)", DB::bytes(&value))),
        number(&format!("sum(CASE WHEN {begins} AND NOT ({is_whole}) THEN 1 ELSE 0 END)")),
    );
    let rows = Rows::<DB>::of(connection, &[&query], &[]).await?.texts::<3>()?;
    if let Some([plaintext, longest, damaged]) = rows.first().map(|row| row.each_ref().map(to_number)) {
        (values.plaintext, values.longest_plaintext, values.damaged) = (plaintext, longest, damaged);
    }
    let prefixes = format!(
        "SELECT prefix, CAST(count(*) AS {text}) FROM (SELECT substr({value}, 1, {KEY_PREFIX}) {by_bytes} AS prefix \
         FROM {table} WHERE {is_whole}) found WHERE prefix > ",
        by_bytes = DB::BY_BYTES
    );
    let rest = format!(" GROUP BY prefix ORDER BY prefix LIMIT {PAGE}");
    let (mut keys, mut after) = (KeyCounts::default(), String::new());
    loop {
        let rows = Rows::<DB>::of(connection, &[&prefixes, &rest], &[&after]).await?.texts::<2>()?;
        let is_last = rows.len() < PAGE;
        for [prefix, count] in rows {
            let (prefix, count) = (prefix.unwrap_or_default(), to_number(&count));
            match KeyId::in_prefix(&prefix) {
                Ok((key_id, layout)) => {
                    keys.add(key_id, layout, count);
                    values.sealed += count;
                }
                Err(pii_core::FormatError::UnknownVersion) => values.foreign += count,
                Err(_) => values.damaged += count,
            }
            after = prefix;
        }
        if is_last {
            return Ok(keys);
        }
    }
}

fn to_number(text: &Option<String>) -> u64 {
    text.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}
