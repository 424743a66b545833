//! What stands in the columns of blind indexes, counted by the database: no code leaves it.

use pii_core::{
    KeyId, Result,
    index::{IndexSize, IndexSpec, plan},
};

use super::{Examination, Finding, FindingKind as Kind, IndexCodes, keys::KnownKeys, report::numbered};
use crate::{
    catalogue::{Catalogue, Rows},
    statement::{quoted_name, quoted_table},
};

/// `ENC:` and the part that all values under one data key share.
const KEY_PREFIX: usize = 28;

/// So many keys are asked for at a time.
const PAGE: usize = 10_000;

/// Fewer codes than this say nothing about how often values occur.
const TELLING_CODES: u64 = 100;

/// Values that occur so often, on average, can be told by how often.
const REPEATED: u64 = 4;

/// Fewer codes than this say nothing about how many bits are needed: there will be more.
const PLANNED_CODES: u64 = 1_000;

impl<DB: Catalogue> Examination<'_, '_, DB> {
    pub(super) async fn codes(
        &mut self,
        connection: &mut DB::Connection,
        table: &str,
        known: Option<&KnownKeys>,
    ) -> Result<Vec<IndexCodes>> {
        let quoted = quoted_table::<DB>(table)?;
        let mut columns = Vec::new();
        for index in self.patient.model.indexes() {
            let fields = index.parts().iter().filter_map(|part| self.patient.model.field(part.field));
            let parts: Vec<&str> = fields.map(|field| field.column()).collect();
            let is_there = |column: &&str| self.table.column(column).is_some();
            // a view may lack some
            if parts.len() < index.parts().len() || !parts.iter().all(is_there) {
                continue;
            }
            for version in index.versions().iter().filter(|version| is_there(&version.column)) {
                let mut codes = count::<DB>(connection, &quoted, index, version.column, &parts).await?;
                if let (Some(known), Some(part), true) = (known, parts.first(), codes.missing > 0) {
                    codes.erased = erased::<DB>(connection, &quoted, version.column, part, known)
                        .await?
                        .min(codes.missing);
                    codes.missing -= codes.erased;
                }
                self.judge_codes(index, &codes);
                columns.push(codes);
            }
        }
        Ok(columns)
    }

    fn judge_codes(&mut self, index: &IndexSpec, codes: &IndexCodes) {
        let mut find = |finding: Finding| self.findings.push(finding.column(&codes.column));
        if codes.missing > 0 {
            find(
                Finding::warning(Kind::CodesMissing)
                    .count(codes.missing)
                    .message(format!("{} without a code: no search finds them", numbered(codes.missing, "value")))
                    .help(
                        "fill them in: `SqlTable::fill_indexes`; those of which nothing is left after normalising stay \
                         without",
                    ),
            );
        }
        if codes.left > 0 {
            find(
                Finding::warning(Kind::CodesLeft)
                    .count(codes.left)
                    .message(format!(
                        "{} beside no value: of values that are gone",
                        numbered(codes.left, "code")
                    ))
                    .help(
                        "`SqlTable::fill_indexes` removes them; look for programs that do not know the index",
                    ),
            );
        }
        if codes.damaged > 0 {
            find(
                Finding::error(Kind::DamagedCodes)
                    .count(codes.damaged)
                    .message(format!(
                        "{} that are not {} lower-case hexadecimal digits: no search finds them",
                        numbered(codes.damaged, "code"),
                        index.size().text_length()
                    ))
                    .help("correct them: `SqlTable::fill_indexes` with `every_row`"),
            );
        }
        let values = values(index.size(), codes.distinct);
        let is_few = |values: &u64| {
            codes.codes >= TELLING_CODES
                && plan(codes.codes, *values).is_tiny_domain
                && codes.codes / REPEATED >= *values
        };
        if let Some(values) = values.filter(is_few) {
            find(
                Finding::warning(Kind::FewValues)
                    .count(values)
                    .message(format!(
                        "about {} in {}: who reads the column can tell them by how often they occur",
                        numbered(values, "different value"),
                        numbered(codes.codes, "row")
                    ))
                    .help(
                        "search by something else and compare in the program, or make the field a part of an index over \
                         several fields; fewer bits are no remedy",
                    ),
            );
        }
        if let (IndexSize::Bits(bits), true) = (index.size(), codes.codes >= PLANNED_CODES) {
            let least = plan(codes.codes, codes.codes).min_bits;
            let most = values.map(|values| plan(codes.codes, values).max_bits);
            if bits < least {
                find(
                    Finding::note(Kind::IndexBits)
                        .message(format!(
                            "{bits} bits for {}: a search reads more than a thousand rows too many",
                            numbered(codes.codes, "row")
                        ))
                        .help(format!(
                            "a second index by another name with {least} bits: see `pii::index::plan`"
                        )),
                );
            } else if let Some(most) = most.filter(|most| bits > *most) {
                find(
                    Finding::note(Kind::IndexBits)
                        .message(format!(
                            "{bits} bits for about {}: most codes stand for one value alone",
                            numbered(values.unwrap_or_default(), "different value")
                        ))
                        .help(format!(
                            "{most} bits at most hide values behind each other: see `pii::index::plan`"
                        )),
                );
            }
        }
    }
}

/// How many different values there are, judged by how many codes differ; nothing, if nearly all codes that
/// there can be are taken.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
fn values(size: IndexSize, distinct: u64) -> Option<u64> {
    let bits = i32::try_from(size.bits()).unwrap_or(i32::MAX);
    let (all, distinct_codes) = (2_f64.powi(bits.min(1_000)), distinct as f64);
    if distinct_codes > 0.9 * all {
        return None;
    }
    // so many throws hit so many of all codes, on average
    let thrown = -all * (-distinct_codes / all).ln_1p();
    Some((thrown.round() as u64).max(distinct))
}

async fn count<DB: Catalogue>(
    connection: &mut DB::Connection,
    table: &str,
    index: &IndexSpec,
    column: &str,
    parts: &[&str],
) -> Result<IndexCodes> {
    let text = DB::TEXT;
    let name = quoted_name::<DB>(column);
    let all_there: Vec<_> =
        parts.iter().map(|part| format!("{} IS NOT NULL", quoted_name::<DB>(part))).collect();
    let all_there = all_there.join(" AND ");
    let code = format!("CAST({name} AS {text})");
    let others = "0123456789abcdef"
        .chars()
        .fold(code.clone(), |rest, digit| format!("replace({rest}, '{digit}', '')"));
    let digits = index.size().text_length();
    let number = |expression: &str| format!("CAST(coalesce({expression}, 0) AS {text})");
    let of = |condition: &str| number(&format!("sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"));
    let query = format!(
        "SELECT {}, {}, {}, {}, {} FROM {table}",
        number(&format!("count({name})")),
        number(&format!("count(DISTINCT {name})")),
        of(&format!("{name} IS NULL AND {all_there}")),
        of(&format!("{name} IS NOT NULL AND NOT ({all_there})")),
        of(&format!("{name} IS NOT NULL AND (length({code}) <> {digits} OR length({others}) > 0)")),
    );
    let rows = Rows::<DB>::of(connection, &[&query], &[]).await?.texts::<5>()?;
    let counted = rows.first().map(|row| row.each_ref().map(to_number)).unwrap_or_default();
    let [codes, distinct, missing, left, damaged] = counted;
    Ok(IndexCodes { column: column.to_owned(), codes, distinct, missing, left, damaged, erased: 0 })
}

/// How many values without a code are under a key that was destroyed: they can have none.
async fn erased<DB: Catalogue>(
    connection: &mut DB::Connection,
    table: &str,
    column: &str,
    part: &str,
    known: &KnownKeys,
) -> Result<u64> {
    let (text, by_bytes) = (DB::TEXT, DB::BY_BYTES);
    let (code, value) = (quoted_name::<DB>(column), quoted_name::<DB>(part));
    let prefixes = format!(
        "SELECT prefix, CAST(count(*) AS {text}) FROM (SELECT substr(CAST({value} AS {text}), 1, {KEY_PREFIX}) {by_bytes} \
         AS prefix FROM {table} WHERE {code} IS NULL AND {value} IS NOT NULL) found WHERE prefix > "
    );
    let rest = format!(" GROUP BY prefix ORDER BY prefix LIMIT {PAGE}");
    let (mut erased, mut after) = (0, String::new());
    loop {
        let rows = Rows::<DB>::of(connection, &[&prefixes, &rest], &[&after]).await?.texts::<2>()?;
        let is_last = rows.len() < PAGE;
        for [prefix, count] in rows {
            let prefix = prefix.unwrap_or_default();
            if KeyId::in_prefix(&prefix).is_ok_and(|(key_id, _)| known.is_destroyed(key_id)) {
                erased += to_number(&count);
            }
            after = prefix;
        }
        if is_last {
            return Ok(erased);
        }
    }
}

fn to_number(text: &Option<String>) -> u64 {
    text.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_values_is_judged_by_the_codes() {
        assert_eq!(values(IndexSize::Full, 5), Some(5));
        assert_eq!(values(IndexSize::Bits(16), 2), Some(2));
        assert_eq!(values(IndexSize::Bits(10), 1024), None);
        assert_eq!(values(IndexSize::Bits(1), 2), None);
        // 1,000 values over 1,024 codes take 638 of them, on average
        assert!(values(IndexSize::Bits(10), 638).is_some_and(|values| values.abs_diff(1_000) < 5));
    }
}
