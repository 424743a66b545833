//! Plaintext left beside a sealed column.

use pii_core::Result;

use super::{Examination, Finding, FindingKind as Kind, report::numbered};
use crate::{
    catalogue::{Catalogue, Rows},
    statement::{quoted_name, quoted_table},
};

/// What people add to a name when they keep the plaintext.
const PLAIN: &[&str] = &[
    "plain",
    "plaintext",
    "plain_text",
    "clear",
    "cleartext",
    "raw",
    "old",
    "orig",
    "original",
    "legacy",
    "backup",
    "bak",
    "copy",
    "tmp",
    "unencrypted",
    "decrypted",
    "unsealed",
];

/// What they add when they seal beside it.
const SEALED: &[&str] =
    &["sealed", "encrypted", "enc", "cipher", "ciphertext", "crypt", "pii", "secure", "shadow", "new"];

impl<DB: Catalogue> Examination<'_, '_, DB> {
    pub(super) async fn twins(
        &mut self,
        connection: &mut DB::Connection,
        table: &str,
        counts: bool,
    ) -> Result<()> {
        let mut twins = Vec::new();
        for found in &self.table.columns {
            // a column of any model that is examined on this table is known to the program
            let patients =
                self.doctor.patients.iter().filter(|patient| patient.table.as_deref() == Some(table));
            let is_known =
                patients.flat_map(|patient| patient.columns).any(|column| column.name == found.name);
            let original = self.patient.sealed().find(|(column, field)| {
                is_twin(&found.name, column.name, &format!("{}{}", field.prefix, field.spec.name()))
            });
            if let (false, Some((column, field))) = (is_known, original) {
                twins.push((found.name.clone(), column.name, field.path));
            }
        }
        for (twin, column, field) in twins {
            let count = match counts {
                true => Some(count::<DB>(connection, table, &twin).await?),
                false => None,
            };
            let help = "when no program uses it any more, drop it, and think of backups and replicas too";
            let finding = match count {
                Some(0) => Finding::note(Kind::PlaintextTwin)
                    .message(format!("it looks like the plaintext of `{column}`, and is empty"))
                    .help("drop it when no program uses it any more"),
                Some(count) => Finding::error(Kind::PlaintextTwin)
                    .count(count)
                    .message(format!(
                        "it looks like the plaintext of `{column}`, and has {}",
                        numbered(count, "value")
                    ))
                    .help(help),
                None => Finding::warning(Kind::PlaintextTwin)
                    .message(format!("it looks like the plaintext of `{column}`"))
                    .help(help),
            };
            self.find(finding.column(&twin).field(&field).name(column));
        }
        Ok(())
    }
}

pub(super) async fn count<DB: Catalogue>(
    connection: &mut DB::Connection,
    table: &str,
    column: &str,
) -> Result<u64> {
    let (table, column) = (quoted_table::<DB>(table)?, quoted_name::<DB>(column));
    let query = format!("SELECT CAST(count({column}) AS {}) FROM {table}", DB::TEXT);
    let rows = Rows::<DB>::of(connection, &[&query], &[]).await?.texts::<1>()?;
    Ok(rows.into_iter().flatten().flatten().find_map(|count| count.parse().ok()).unwrap_or(0))
}

/// Whether a column of this name is likely to be the plaintext of this sealed one.
fn is_twin(name: &str, sealed: &str, field: &str) -> bool {
    let (name, sealed) = (name.to_ascii_lowercase(), sealed.to_ascii_lowercase());
    let is_with = |whole: &str, part: &str, affixes: &[&str]| {
        let before = whole.strip_suffix(part).and_then(|rest| rest.strip_suffix('_'));
        let after = whole.strip_prefix(part).and_then(|rest| rest.strip_prefix('_'));
        before.or(after).is_some_and(|affix| affixes.contains(&affix))
    };
    name != sealed
        && (name == field.to_ascii_lowercase()
            || is_with(&name, &sealed, PLAIN)
            || is_with(&sealed, &name, SEALED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_known_by_their_names() {
        for (name, sealed) in [
            ("email_plain", "email"),
            ("old_email", "email"),
            ("EMAIL_BAK", "email"),
            ("email", "email_enc"),
            ("email", "enc_email"),
        ] {
            assert!(is_twin(name, sealed, "other"), "{name} {sealed}");
        }
        assert!(is_twin("birthday", "birthday_x", "birthday"), "the field's own name");
        for (name, sealed) in
            [("email", "email"), ("email_bidx", "email"), ("email_verified", "email"), ("old", "email")]
        {
            assert!(!is_twin(name, sealed, "email"), "{name} {sealed}");
        }
    }
}
