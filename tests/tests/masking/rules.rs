//! What rules do to a document, alone and together.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pii::{ErrorKind, FieldMask, Mask, MaskReport, Masker, MissingPath, Unmatched};
use serde_json::{Value, json};

fn masker(rules: &[(&str, FieldMask)]) -> Masker {
    let add =
        |builder: pii::MaskerBuilder, (path, mask): &(&str, FieldMask)| builder.rule(path, mask.clone());
    rules.iter().try_fold(Masker::builder(), add).unwrap().build()
}

fn counts(report: &MaskReport) -> Vec<(&str, usize, usize)> {
    report.rules().iter().map(|rule| (rule.path(), rule.masked(), rule.covered())).collect()
}

#[test]
fn every_way_in_gives_the_same() {
    let masker = masker(&[("a[*].b", FieldMask::last(2))]);
    let document = json!({ "a": [{ "b": "abcd" }, { "b": 12345, "c": 1.5 }], "d": null });
    let expected = json!({ "a": [{ "b": "*****cd" }, { "b": "*****45", "c": 1.5 }], "d": null });

    let mut changed = document.clone();
    let report = masker.mask(&mut changed).unwrap();
    assert_eq!(changed, expected);
    assert_eq!(counts(&report), [("a[*].b", 2, 0)]);
    assert_eq!(masker.masked(&document).unwrap(), expected);
    assert_eq!(masker.mask_serialize(&document).unwrap(), expected);
    let (text, from_text) = masker.mask_json_with_report(document.to_string()).unwrap();
    assert_eq!(text, expected.to_string());
    assert_eq!(from_text, report);
    assert_eq!(masker.mask_json(document.to_string().as_bytes()).unwrap(), text);
}

#[test]
fn lists_keep_their_shape_and_objects_do_not() {
    let document =
        json!({ "l": ["a", ["b", 1], { "c": "d" }, [], null], "o": { "p": "q" }, "n": null, "e": [] });
    let masked = masker(&[("l", FieldMask::full()), ("o", Mask::Email.into()), ("n", FieldMask::fixed("-"))]);
    assert_eq!(
        masked.masked(&document).unwrap(),
        json!({ "l": ["*****", ["*****", "*****"], "*****", [], "*****"], "o": "*****", "n": "-", "e": [] })
    );
    assert_eq!(Masker::everything().masked(&document).unwrap(), json!("*****"));
    assert_eq!(Masker::builder().build().masked(&document).unwrap(), json!("*****"));
    assert_eq!(Masker::everything().masked(&json!([1, { "a": 2 }])).unwrap(), json!(["*****", "*****"]));
    assert_eq!(
        Masker::everything_with(FieldMask::dynamic()).masked(&document).unwrap(),
        json!({ "l": ["*", ["*", "*"], { "c": "*" }, [], "*****"], "o": { "p": "*" }, "n": "*****", "e": [] })
    );
}

#[test]
fn rules_that_meet_show_what_both_allow_in_any_order() {
    let document = json!({ "a": { "b": "12345678", "c": "12345678" }, "l": ["12345678", "12345678"] });
    let last = FieldMask::last(4);
    let cases: &[(&[(&str, FieldMask)], Value)] = &[
        // the same mask twice
        (&[("a.b", last.clone()), ("$..b", Mask::Last4.into())], json!("*****5678")),
        // different masks
        (&[("a.b", last.clone()), ("$..b", FieldMask::last(3))], json!("*****")),
        (
            &[("a.b", FieldMask::custom(str::to_owned)), ("$.a.b", FieldMask::custom(str::to_owned))],
            json!("*****"),
        ),
        // what holds it is replaced
        (&[("a.b", FieldMask::dynamic()), ("a", last.clone())], Value::Null),
        (&[("a.b", FieldMask::dynamic()), ("$", FieldMask::full())], Value::Null),
        // what holds it keeps its shape
        (&[("a.b", last.clone()), ("$", FieldMask::dynamic())], json!("*****")),
    ];
    for (rules, shown) in cases {
        let mut backwards = rules.to_vec();
        backwards.reverse();
        let one = masker(rules).masked(&document).unwrap();
        assert_eq!(one, masker(&backwards).masked(&document).unwrap());
        assert_eq!(one["a"]["b"], *shown, "{rules:?}");
    }
    // an element with a rule of its own is not shown by that of the list
    let rules = [("l", last.clone()), ("l[0]", FieldMask::full())];
    assert_eq!(masker(&rules).masked(&document).unwrap()["l"], json!(["*****", "*****5678"]));
}

#[test]
fn a_report_counts_what_each_rule_masked() {
    let mut document = json!({ "a": { "b": 1, "c": [1, 2] }, "d": 1 });
    let masker = masker(&[
        ("a.b", FieldMask::full()),
        ("a.*", FieldMask::full()),
        ("a", FieldMask::full()),
        ("d", FieldMask::full()),
        ("$.d", FieldMask::full()),
    ]);
    let report = masker.mask(&mut document).unwrap();
    assert_eq!(document, json!({ "a": "*****", "d": "*****" }));
    assert_eq!(counts(&report), [("a.b", 0, 1), ("a.*", 0, 3), ("a", 1, 0), ("d", 1, 0), ("$.d", 0, 1)]);
    assert_eq!(report.masked(), 2);
}

#[test]
fn missing_paths_are_an_error_unless_allowed() {
    let rules = || Masker::builder().path("a").unwrap().path("b[*].c").unwrap().path("d").unwrap();
    let before = json!({ "a": "ada", "b": [] });
    let mut document = before.clone();
    let error = rules().build().mask(&mut document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PathNotFound);
    assert!(error.to_string().contains("`b[*].c`, and 1 more"), "{error}");
    assert_eq!(document, before, "all or nothing");

    for missing in [MissingPath::Warn, MissingPath::Ignore] {
        let mut document = before.clone();
        let report = rules().missing(missing).build().mask(&mut document).unwrap();
        assert_eq!(document, json!({ "a": "*****", "b": [] }));
        assert_eq!(report.missing().collect::<Vec<_>>(), ["b[*].c", "d"]);
        assert!(!report.rules()[0].is_missing());
    }
}

#[test]
fn a_warning_names_the_path_and_no_value() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let warn = Masker::builder().path("a").unwrap().path("d").unwrap().missing(MissingPath::Warn).build();
    tracing::subscriber::with_default(subscriber, || {
        // another test may have met the event first, in a thread without a subscriber, which turns it off
        warn.masked(&json!({ "a": "ada" })).unwrap();
        tracing::callsite::rebuild_interest_cache();
        log.0.lock().unwrap().clear();
        warn.masked(&json!({ "a": "ada" })).unwrap();
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("WARN") && text.contains("path=\"d\"") && !text.contains("ada"), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_mask_that_panics_leaves_the_document_as_it_was() {
    let refuses_b = |text: &str| if text == "b" { panic!("refused") } else { "-".to_owned() };
    let masker = masker(&[("$.*", FieldMask::custom(refuses_b))]);
    let mut document = json!({ "a": "a", "b": "b" });
    assert!(catch_unwind(AssertUnwindSafe(|| masker.mask(&mut document))).is_err());
    assert_eq!(document, json!({ "a": "a", "b": "b" }));
    assert_eq!(masker.masked(&json!({ "a": "a" })).unwrap(), json!({ "a": "-" }));
}

#[test]
fn a_regex_without_a_match_masks_in_full() {
    let document = json!({ "n": ["call 555-0100", "ada@example.com", 42, true] });
    let digits = FieldMask::regex(r"\d+", "#").unwrap();
    assert_eq!(
        masker(&[("n", digits)]).masked(&document).unwrap(),
        json!({ "n": ["call #-#", "*****", "#", "*****"] })
    );
    let show = FieldMask::regex_or(r"\d+", "#", Unmatched::ShowValue).unwrap();
    assert_eq!(
        masker(&[("n", show)]).masked(&document).unwrap(),
        json!({ "n": ["call #-#", "ada@example.com", "#", "*****"] })
    );
}

#[test]
fn masking_twice_changes_nothing_more() {
    let masker =
        masker(&[("$..email", Mask::Email.into()), ("$..card", Mask::Card.into()), ("x", FieldMask::full())]);
    let document = json!({ "email": "ada@example.com", "c": { "card": "short" }, "x": [1] });
    let once = masker.masked(&document).unwrap();
    assert_eq!(masker.masked(&once).unwrap(), once);
}

#[test]
fn debug_shows_rules_and_no_fixed_texts() {
    let masker = masker(&[("a.b", FieldMask::fixed("ada"))]);
    assert_eq!(format!("{masker:?}"), "Masker { rules: [a.b: FieldMask(fixed)], missing: Error }");
}
