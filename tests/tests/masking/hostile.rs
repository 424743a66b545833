//! Documents that want too much: depth, size, and what JSON can't keep.

use std::time::{Duration, Instant};

use pii::{ErrorKind, FieldMask, Masker};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("ada"), |inner, _| Value::Array(vec![inner]))
}

/// Takes a document apart without recursion, which its own drop would need.
fn dismantle(mut document: Value) -> usize {
    let mut depth = 0;
    while let Value::Array(list) = &mut document {
        depth += 1;
        document = list.pop().unwrap_or_default();
    }
    depth
}

#[test]
fn values_nested_beyond_the_limit_are_refused_whatever_their_depth() {
    let masker = Masker::everything();
    assert_eq!(dismantle(masker.masked(&nested(127)).unwrap()), 127);
    for depth in [128, 10_000, 1_000_000] {
        let mut document = nested(depth);
        assert_eq!(masker.mask(&mut document).unwrap_err().kind(), ErrorKind::InvalidDocument);
        assert_eq!(masker.masked(&document).unwrap_err().kind(), ErrorKind::InvalidDocument);
        assert_eq!(masker.mask_serialize(&document).unwrap_err().kind(), ErrorKind::InvalidDocument);
        assert_eq!(dismantle(document), depth, "it is as it was");
    }
}

#[test]
fn text_that_is_no_document_is_refused() {
    let masker = Masker::builder().path("a").unwrap().build();
    assert_eq!(masker.mask_json(r#" {"a": 1} "#).unwrap(), r#"{"a":"*****"}"#);
    for text in [
        &b"{\"a\": 1"[..],
        b"{\"a\": 1} x",
        b"{\"a\": 1}{}",
        b"{\"a\": 1, \"a\": 2}",
        b"{\"a\": 18446744073709551616}",
        b"{\"a\": 1, \"b\": -99999999999999999999}",
        b"{\"a\": \"\xff\"}",
        b"{\"a\": NaN}",
        b"",
    ] {
        assert_eq!(masker.mask_json(text).unwrap_err().kind(), ErrorKind::InvalidDocument, "{text:?}");
    }
    // kept exactly, or as exactly as floats are
    let numbers = r#"{"a":"*****","f":[1e300,0.1,-0.0],"i":-9223372036854775808,"u":18446744073709551615}"#;
    assert_eq!(
        serde_json::from_str::<Value>(&masker.mask_json(numbers).unwrap()).unwrap(),
        serde_json::from_str::<Value>(numbers).unwrap()
    );
}

#[test]
fn errors_of_the_values_own_serialize_are_not_quoted() {
    struct Secretive;
    impl Serialize for Secretive {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("ada@example.com"))
        }
    }
    let error = Masker::everything().mask_serialize(&Secretive).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidDocument);
    assert!(!format!("{error} {error:?}").contains("ada"));
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn large_documents_take_time_in_proportion() {
    let element = json!({ "street": "12 St James's Square", "tags": ["a", "b"], "postcode": 10115, "geo": { "lat": 1.5 } });
    let text = |count: usize| format!("[{}]", vec![element.to_string(); count].join(","));
    let masker = Masker::builder()
        .rule("$..street", FieldMask::first(2))
        .unwrap()
        .rule("$[*].tags", FieldMask::last(1))
        .unwrap()
        .rule("$..lat", FieldMask::full())
        .unwrap()
        .build();
    let time = |count: usize| {
        let text = text(count);
        let start = Instant::now();
        let (_, report) = masker.mask_json_with_report(&text).unwrap();
        assert_eq!(report.masked(), 4 * count);
        start.elapsed()
    };
    let (small, large) = (time(2_000), time(64_000));
    // 32 times as much; the machine does other things too
    assert!(large < small * 32 * 8 + Duration::from_secs(1), "{small:?} {large:?}");
}

#[test]
fn many_descents_are_no_way_to_spend_time() {
    let mut document = json!({ "a": "ada" });
    for _ in 0..100 {
        document = json!({ "a": document, "l": [1, 2, 3, [4, 5]] });
    }
    let path = format!("${}", "..*".repeat(16));
    let start = Instant::now();
    let report = Masker::builder().path(&path).unwrap().build().mask(&mut document).unwrap();
    assert!(report.masked() > 0);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let endless = "..a".repeat(5000);
    assert_eq!(Masker::builder().path(&endless).unwrap_err().kind(), ErrorKind::InvalidPath);
}
