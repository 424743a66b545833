//! Paths and the reader, on good and hostile input.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;

fn found(path: &str, document: &Value) -> Vec<String> {
    let path = JsonPath::parse(path).unwrap_or_else(|error| panic!("{error}"));
    path.resolve(document).unwrap().iter().map(ToString::to_string).collect()
}

fn refused(path: &str) -> String {
    let error = JsonPath::parse(path).expect_err(path);
    assert_eq!(error.kind(), ErrorKind::InvalidPath, "{path}");
    error.to_string()
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
}

#[test]
fn every_form_leads_to_its_places() {
    let document =
        json!({ "a": { "b": [10, 20, 30, 40], "x y": 1, "é": 2 }, "c": [{ "b": 5 }, { "d": 6 }], "e": 7 });
    let cases: &[(&str, &[&str])] = &[
        ("$", &["$"]),
        ("e", &["$['e']"]),
        ("$.e", &["$['e']"]),
        ("$['e']", &["$['e']"]),
        ("'e'", &["$['e']"]),
        ("a.\"x y\"", &["$['a']['x y']"]),
        ("a['x y']", &["$['a']['x y']"]),
        ("$.a.é", &["$['a']['é']"]),
        (r"a['\u00e9']", &["$['a']['é']"]),
        ("a.b[0]", &["$['a']['b'][0]"]),
        ("a.b[-1]", &["$['a']['b'][3]"]),
        ("a.b.[1]", &["$['a']['b'][1]"]),
        ("a.b[4]", &[]),
        ("a.b[-5]", &[]),
        ("a.b[1:3]", &["$['a']['b'][1]", "$['a']['b'][2]"]),
        ("a.b[ :: 2 ]", &["$['a']['b'][0]", "$['a']['b'][2]"]),
        ("a.b[::-2]", &["$['a']['b'][3]", "$['a']['b'][1]"]),
        ("a.b[-2:]", &["$['a']['b'][2]", "$['a']['b'][3]"]),
        ("a.b[2:0:-1]", &["$['a']['b'][2]", "$['a']['b'][1]"]),
        ("a.b[3:1]", &[]),
        (
            "a.b[0:9007199254740991]",
            &["$['a']['b'][0]", "$['a']['b'][1]", "$['a']['b'][2]", "$['a']['b'][3]"],
        ),
        ("a.b[-9007199254740991:1]", &["$['a']['b'][0]"]),
        ("a.b[0,-4,0:2]", &["$['a']['b'][0]", "$['a']['b'][1]"]),
        ("$['a','e'].b", &["$['a']['b']"]),
        ("e,a", &["$['e']", "$['a']"]),
        ("c[*].b", &["$['c'][0]['b']"]),
        ("c.*.*", &["$['c'][0]['b']", "$['c'][1]['d']"]),
        ("$..b", &["$['a']['b']", "$['c'][0]['b']"]),
        ("c..b", &["$['c'][0]['b']"]),
        ("$..[1]", &["$['a']['b'][1]", "$['c'][1]"]),
        ("c[0].b.`parent`", &["$['c'][0]"]),
        ("c[*].*.`parent`.`parent`", &["$['c']"]),
        ("a.`this`.b[0]", &["$['a']['b'][0]"]),
        ("$.`parent`", &[]),
        ("e.f", &[]),
        ("e[0]", &[]),
        ("a[0]", &[]),
        ("zz", &[]),
    ];
    for (path, expected) in cases {
        assert_eq!(&found(path, &document), expected, "{path}");
    }
}

#[test]
fn a_place_reached_twice_is_told_once() {
    let document = json!({ "a": { "a": { "a": 1 } } });
    assert_eq!(found("$..a", &document).len(), 3);
    assert_eq!(found("$..a..a", &document).len(), 2);
    assert_eq!(found("$..*..*..*", &document), ["$['a']['a']['a']"]);
}

#[test]
fn a_normalized_path_leads_back() {
    let document = json!({ "it's": { "\\ \n\u{1}\u{7f}\"": [{ "é": true }] } });
    for path in JsonPath::parse("$..*").unwrap().resolve(&document).unwrap() {
        let again = JsonPath::parse(&path.to_string()).unwrap().resolve(&document).unwrap();
        assert_eq!(again, [path]);
    }
    let deepest = JsonPath::parse("$..é").unwrap().resolve(&document).unwrap();
    assert_eq!(deepest[0].get(&document), Some(&json!(true)));
    assert_eq!(deepest[0].get(&json!({})), None);
}

#[test]
fn what_is_no_path_is_refused_with_its_place() {
    assert_eq!(refused("a["), "invalid path: `a[`: it ends within brackets, at character 3");
    for path in [
        "",
        ".",
        "..",
        "..name",
        "a.",
        "a..",
        "a b",
        "card number",
        "$a",
        "a]",
        "a[]",
        "a[,]",
        "a[1,]",
        "a[1 2]",
        "a['b]",
        "a['b'",
        "a[b]",
        "a[01]",
        "a[-0]",
        "a[-]",
        "a[9007199254740992]",
        "a[99999999999999999999]",
        "a[::0]",
        "a[1:2:3:4]",
        "a.0",
        "a.-b",
        "a.$",
        "a.'b",
        r"a['\q']",
        r"a['\ud800']",
        r"a['\u12']",
        "a['\n']",
        "a.`len`",
        "a.`parent",
        "a|b",
        "a where b",
        "(a)",
        "a[?",
        "a[?]",
        "a[?@.b",
        "a[?(@.b]",
        "a[?@.b)]",
        "$ ",
        "\u{7}",
    ] {
        let error = refused(path);
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn hostile_paths_are_refused_at_once() {
    let start = Instant::now();
    for path in [
        "a".repeat(1025),
        "$..a".repeat(1_000_000),
        "..".repeat(100),
        format!("$.a{}", ".a".repeat(200)),
        format!("$.a{}", "..a".repeat(17)),
        format!("a[{}]", (0..33).map(|index| index.to_string()).collect::<Vec<_>>().join(",")),
        format!("a[?{}@.b{}]", "(".repeat(17), ")".repeat(17)),
        format!("a[?@{}]", "[0".repeat(300)),
        "a[?@[0,0]]".to_owned(),
        "a[?@..b && @..c]".to_owned(),
        "a[?@.b > $.c]".to_owned(),
        "[".repeat(1000),
    ] {
        let error = refused(&path);
        assert!(error.len() < 300, "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(found(&format!("$.a{}", ".a".repeat(100)), &json!({ "a": 1 })), [""; 0]);
}

#[test]
fn descents_take_time_that_the_document_allows() {
    // each `..` alone would multiply the paths to the innermost value
    let mut document = json!(1);
    for _ in 0..120 {
        document = json!({ "a": document, "b": [1, 2, 3] });
    }
    let start = Instant::now();
    assert!(!found(&format!("${}", "..*".repeat(16)), &document).is_empty());
    assert!(!found(&format!("${}", "..[*,*,'a',0:]".repeat(16)), &document).is_empty());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn nesting_is_counted_in_containers() {
    assert!(check_nesting(&nested(127)).is_ok());
    assert_eq!(check_nesting(&nested(128)).unwrap_err().kind(), ErrorKind::InvalidDocument);
    assert!(check_nesting(&(0..127).fold(json!({}), |inner, _| json!({ "a": inner }))).is_err());
    assert_eq!(read("[".repeat(127) + &"]".repeat(127)).unwrap(), nested_empty(127));
}

fn nested_empty(depth: usize) -> Value {
    (1..depth).fold(json!([]), |inner, _| Value::Array(vec![inner]))
}

#[test]
fn a_document_of_any_depth_is_refused_without_following_it() {
    let mut document = nested(1_000_000);
    assert!(check_nesting(&document).is_err());
    assert!(JsonPath::parse("$..a").unwrap().resolve(&document).is_err());
    // its own drop would recurse
    while let Value::Array(list) = &mut document {
        document = list.pop().unwrap_or_default();
    }
}

fn read(text: impl AsRef<[u8]>) -> Result<Value> {
    read_json(text.as_ref()).map(WipedValue::release)
}

fn unread(text: impl AsRef<[u8]>) -> String {
    let error = read(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidDocument);
    assert!(std::error::Error::source(&error).is_none());
    format!("{error} {error:?}")
}

#[test]
fn the_reader_reads_what_serde_json_reads() {
    for text in [
        "null",
        " [1, -2, 3.5, 1e300, true, \"a\\u00e9\\n\", {}] ",
        "{\"a\":{\"b\":[]},\"c\":\"{[9\"}",
        "0",
        "-1",
        "\"\"",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789012345678901.5",
        "1E400000",
        "\"99999999999999999999999\"",
        "{\"\\\"99999999999999999999999\": 1}",
    ] {
        match serde_json::from_str::<Value>(text) {
            Ok(expected) => assert_eq!(read(text).unwrap(), expected, "{text}"),
            Err(_) => drop(unread(text)),
        }
    }
}

#[test]
fn what_would_be_lost_in_silence_is_refused() {
    assert!(unread(r#"{"a": 1, "b": {"ada": 1, "\u0061da": 2}}"#).contains("a key twice"));
    assert!(read(r#"{"a": 1, "b": {"a": 1}}"#).is_ok());
    assert!(unread("[\n18446744073709551616]").contains("more than 64 bits, at line 2"));
    assert!(unread("-9223372036854775809").contains("more than 64 bits"));
    assert!(unread(r#"{"$serde_json::private::Number": "1"}"#).contains("reserved"));
}

#[test]
fn what_is_no_json_is_refused_and_not_quoted() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"ada\" 1}",
        "\"ada",
        "ada",
        "nul",
        "[1] ada",
        "{} {}",
        "'ada'",
        "01",
        "\u{feff}1",
        "--1",
        "1-1",
        "1e",
        "[\"\\ud800ada\"]",
    ] {
        assert!(!unread(text).contains("ada"), "{text}");
    }
    assert!(unread(b"\"ada\xff\"").contains("no UTF-8 after 4 bytes"));
    assert!(unread("[".repeat(128) + &"]".repeat(128)).contains("nested"));
    assert!(unread("[".repeat(5_000_000)).contains("nested"));
    assert!(unread("{\"a\":".repeat(5_000_000)).contains("nested"));
}

#[test]
fn any_serialize_is_written_and_nested_ones_are_refused() {
    let written = write_json(&json!({ "a": [1, { "b": null }], "c": {} })).unwrap();
    assert_eq!(written.expose(), br#"{"a":[1,{"b":null}],"c":{}}"#);
    assert!(write_json(&nested(127)).is_ok());
    assert_eq!(write_json(&nested(128)).unwrap_err().kind(), ErrorKind::InvalidDocument);
    let error = write_json(&std::collections::BTreeMap::from([(vec!["ada"], 1)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidDocument);
    assert!(!format!("{error:?}").contains("ada"));
}

#[cfg(feature = "json-path-filters")]
#[test]
fn conditions_choose_elements_and_members() {
    let document = json!({
        "l": [{ "k": 1, "s": "x" }, { "k": 2, "s": "y" }, { "k": 1.0 }, { "k": "1" }, 5],
        "m": { "p": { "k": 7 }, "q": { "k": 0 } }
    });
    for (path, expected) in [
        ("$.l[?(@.k > 1)].s", &["$['l'][1]['s']"][..]),
        ("l[?@.k == 1]", &["$['l'][0]", "$['l'][2]"]),
        ("l[?(@.k > 0 & @.k < 2)].s", &["$['l'][0]['s']"]),
        ("l[?(@.k > 0 && @.k < 2)].s", &["$['l'][0]['s']"]),
        ("l[?(@.s == 'x' | @.s == \"y\")]", &["$['l'][0]", "$['l'][1]"]),
        ("l[?(@.s)]", &["$['l'][0]", "$['l'][1]"]),
        ("l[?@.s == 'a,]&b', 0]", &["$['l'][0]"]),
        ("l[?(!@.s)].k", &["$['l'][2]['k']", "$['l'][3]['k']"]),
        ("m[?@.k > 1]", &["$['m']['p']"]),
        ("$..[?@.k == 7].k", &["$['m']['p']['k']"]),
        ("l[?@.k > 100]", &[]),
    ] {
        assert_eq!(found(path, &document), expected, "{path}");
    }
    refused("l[?@.k >> 1]");
    refused("l[?@.k > ]");
}

#[cfg(not(feature = "json-path-filters"))]
#[test]
fn conditions_need_their_feature() {
    assert!(refused("l[?@.k > 1]").contains("json-path-filters"));
}
