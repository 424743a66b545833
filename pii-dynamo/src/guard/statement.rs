//! Statements of PartiQL. They are not parsed: one that names a guarded table and one of its sealed
//! attributes is refused, unless all it does is to select it.

use pii_core::{Error, ErrorKind, FieldPolicies, Result};

use super::rule::Rule;

pub(super) fn check(rules: &[Rule], policies: Option<&FieldPolicies>, statement: &str) -> Result<()> {
    let words: Vec<String> = words(statement);
    let has = |word: &str| words.iter().any(|other| other.eq_ignore_ascii_case(word));
    for rule in rules.iter().filter(|rule| {
        has(rule.table()) || rule.table().contains(['.', '-']) && mentions(statement, rule.table())
    }) {
        let selects = words.first().is_some_and(|word| word.eq_ignore_ascii_case("select"));
        // an attribute after WHERE is compared, and the parameters are not looked into
        let looked_at = match (selects, words.iter().position(|word| word.eq_ignore_ascii_case("where"))) {
            (true, Some(at)) => words.get(at..).unwrap_or_default(),
            (true, None) => &[],
            (false, _) => &words,
        };
        let rule = rule.at_this_moment(policies)?;
        // a code may be searched for
        let codes = rule.codes().filter(|_| !selects);
        for attribute in rule.sealed().chain(codes) {
            if looked_at.iter().any(|word| word.eq_ignore_ascii_case(attribute)) {
                let error = Error::new(ErrorKind::State)
                    .message(format!(
                        "a statement writes or compares the attribute `{attribute}`, which is sealed or a blind index"
                    ))
                    .help("write through `DynamoTable`; search by a blind index of the field");
                return Err(rule.at(error, attribute));
            }
        }
    }
    Ok(())
}

/// Runs of letters, digits, underscores, dots and hyphens: what can be a name, with quotes or without.
fn words(statement: &str) -> Vec<String> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    statement
        .split(|letter: char| !is_part(letter))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn mentions(statement: &str, name: &str) -> bool {
    statement.to_ascii_lowercase().contains(&name.to_ascii_lowercase())
}
