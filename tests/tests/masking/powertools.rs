//! The cases of Powertools for AWS Lambda, as it answers them, and where we answer otherwise on purpose.

use std::collections::BTreeSet;

use pii::{Error, ErrorKind, FieldMask, Masker, MissingPath};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    input: Value,
    fields: Option<Vec<String>>,
    options: Map<String, Value>,
    raise_on_missing_field: bool,
    #[serde(default)]
    input_is_json_string: bool,
    output: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    r#type: String,
}

/// What comes of a case.
#[derive(Debug, PartialEq)]
enum Answer {
    Document(Value),
    Refused(ErrorKind),
    /// Our types have no way to ask for it.
    CannotBeAsked,
}

/// Where we differ: the case, what we answer, and why.
fn differences() -> Vec<(&'static str, Answer, &'static str)> {
    use Answer::{CannotBeAsked, Document};
    vec![
        (
            "probe root $",
            Document(json!("*****")),
            "the root was left unmasked: we mask what the path leads to",
        ),
        (
            "probe regex_pattern without mask_format = dynamic mask",
            CannotBeAsked,
            "half of a mask became another one that tells the length: a regex has a format",
        ),
        (
            "probe mask_format without regex_pattern = dynamic mask",
            CannotBeAsked,
            "half of a mask became another one that tells the length: a format has a regex",
        ),
        (
            "probe masking_rules unknown option ignored (typo = default mask)",
            CannotBeAsked,
            "a mistyped option is no mask: masks are functions, and the compiler knows them",
        ),
        (
            "probe masking_rules on dict value masks its Python repr",
            Document(json!({ "a": { "b": "***" } })),
            "the text of a Python object is not JSON: its values are masked one by one",
        ),
        (
            "probe masking_rules on list value",
            Document(json!({ "a": ["*", "**"] })),
            "the text of a Python list is not JSON: its elements are masked one by one",
        ),
        (
            "probe fields on top-level list input",
            Document(json!([{ "a": "*****" }])),
            "a list is a document like any other, as it is there too when it comes as text",
        ),
        (
            "probe non-ascii key unquoted",
            Document(json!({ "prénom": "*****" })),
            "RFC 9535 allows letters of all scripts in keys without quotes",
        ),
        (
            "probe set no fields collapses",
            Document(json!(["*****", "*****", "*****"])),
            "JSON has no sets: serde writes a list, whose shape is kept",
        ),
        (
            "probe bytes with dynamic_mask falls to default",
            Document(json!(["**", "**", "**"])),
            "JSON has no bytes: serde writes a list of numbers",
        ),
        (
            "probe datetime inside dict with fields",
            Document(json!({ "t": "2020-01-01", "k": "*****" })),
            "serde writes dates as text, so there is nothing to refuse",
        ),
    ]
}

#[test]
fn every_case_is_answered_as_there_or_differs_for_a_reason() {
    let text = include_str!("../../vectors/masking-powertools.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert_eq!(vectors.cases.len(), 53);
    let differences = differences();
    let mut seen = BTreeSet::new();
    for case in &vectors.cases {
        let theirs = theirs(case);
        let ours = ours(case);
        match differences.iter().find(|(name, ..)| *name == case.name) {
            Some((name, expected, reason)) => {
                assert_eq!(ours, *expected, "{name}");
                assert_ne!(ours, theirs, "{name} does not differ");
                assert!(!reason.is_empty() && seen.insert(*name), "{name}");
            }
            None => assert_eq!(ours, theirs, "{}", case.name),
        }
    }
    assert_eq!(seen.len(), differences.len(), "a difference names no case");
}

fn theirs(case: &Case) -> Answer {
    match case.error.as_ref().map(|error| &*error.r#type) {
        None => Answer::Document(from_python(&case.output)),
        Some("JsonPathParserError" | "JsonPathLexerError") => Answer::Refused(ErrorKind::InvalidPath),
        Some("DataMaskingFieldNotFoundError") => Answer::Refused(ErrorKind::PathNotFound),
        Some(_) => Answer::Refused(ErrorKind::InvalidDocument),
    }
}

fn ours(case: &Case) -> Answer {
    let masker = match masker(case) {
        Ok(Some(masker)) => masker,
        Ok(None) => return Answer::CannotBeAsked,
        Err(error) => return Answer::Refused(error.kind()),
    };
    let masked = match &case.input {
        Value::String(text) if case.input_is_json_string && serde_json::from_str::<Value>(text).is_ok() => {
            let masked = masker.mask_json(text);
            masked.map(|text| serde_json::from_str(&text).unwrap())
        }
        input => masker.mask_serialize(&from_python(input)),
    };
    masked.map_or_else(|error| Answer::Refused(error.kind()), Answer::Document)
}

/// What serde makes of the same data in Rust.
fn from_python(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("$py") => match map["$py"].as_str().unwrap() {
            "tuple" | "set" => map["items"].as_array().unwrap().iter().map(from_python).collect(),
            "bytes" => json!(b"abc"),
            "date" => json!("2020-01-01"),
            // which is null: JSON has no NaN
            "float" => json!(f64::NAN),
            other => panic!("{other} is not known"),
        },
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), from_python(value))).collect(),
        Value::Array(list) => list.iter().map(from_python).collect(),
        other => other.clone(),
    }
}

/// The masker that a case asks for; `None` if it can't be asked for.
fn masker(case: &Case) -> Result<Option<Masker>, Error> {
    let mut builder = Masker::builder();
    if !case.raise_on_missing_field {
        builder = builder.missing(MissingPath::Warn);
    }
    let mut options = case.options.clone();
    let rules = options.remove("masking_rules");
    let Some(mask) = mask(&options) else { return Ok(None) };
    match (&case.fields, rules) {
        (None, None) => return Ok(Some(Masker::everything_with(mask))),
        (None, Some(rules)) => {
            for (path, options) in rules.as_object().unwrap() {
                let Some(mask) = self::mask(options.as_object().unwrap()) else { return Ok(None) };
                builder = builder.rule(path, mask)?;
            }
        }
        (Some(paths), None) => {
            for path in paths {
                builder = builder.rule(path, mask.clone())?;
            }
        }
        (Some(_), Some(_)) => panic!("no case has both"),
    }
    Ok(Some(builder.build()))
}

fn mask(options: &Map<String, Value>) -> Option<FieldMask> {
    let text = |name: &str| options[name].as_str().unwrap();
    match options.keys().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(FieldMask::full()),
        ["dynamic_mask"] => Some(FieldMask::dynamic()),
        ["custom_mask"] => Some(FieldMask::fixed(text("custom_mask"))),
        ["mask_format", "regex_pattern"] => {
            Some(FieldMask::regex(text("regex_pattern"), text("mask_format")).unwrap())
        }
        _ => None,
    }
}
