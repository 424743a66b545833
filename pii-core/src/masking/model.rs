//! The rules that a model stands for.

use super::rule::{Origin, Rule};
use crate::{
    error::Result,
    json::{JsonPath, quoted_key},
    model::{FieldSpec, Holds, PiiModel},
};

/// A rule for each personal field of a model, those of nested structs included.
pub(super) fn rules<M: PiiModel>(at: &str, key: &impl Fn(&FieldSpec) -> String) -> Result<Vec<Rule>> {
    JsonPath::parse(at)?;
    let mut rules = Vec::new();
    collect(at, M::MODEL.fields(), key, &mut rules).map_err(|error| error.model(M::MODEL.name()))?;
    Ok(rules)
}

fn collect(
    at: &str,
    fields: &'static [FieldSpec],
    key: &impl Fn(&FieldSpec) -> String,
    out: &mut Vec<Rule>,
) -> Result<()> {
    for field in fields {
        let path = format!("{at}{}", quoted_key(&key(field)));
        match field.holds() {
            Holds::Nested(nested) => collect(&path, nested, key, out)?,
            Holds::NestedMany(nested) => collect(&format!("{path}[*]"), nested, key, out)?,
            _ if !field.is_personal() => {}
            holds => {
                let origin = if matches!(holds, Holds::Values(_)) { Origin::Values } else { Origin::Field };
                out.push(Rule::new(JsonPath::parse(&path)?, field.mask().into(), origin));
            }
        }
    }
    Ok(())
}
