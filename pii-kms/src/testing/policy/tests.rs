use super::*;

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-4333-8444-555555555555";

fn decide(policy: &str, action: &'static str, pairs: &[(&str, &str)]) -> Decision {
    let context = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Policy::parse(policy).unwrap().decide(&AccessRequest {
        role: "tests",
        operation: Operation::Decrypt,
        action,
        resource: KEY,
        context: &context,
    })
}

/// Whether a statement with this condition applies to a request with these pairs.
fn applies(condition: &str, pairs: &[(&str, &str)]) -> bool {
    let policy = statement(&format!(
        r#"{{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{condition}}}"#
    ));
    decide(&policy, "kms:Decrypt", pairs) == Decision::Allow
}

fn statement(statement: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)
}

#[test]
fn string_equals_needs_the_pair_with_a_listed_value() {
    let condition = r#"{"StringEquals":{"kms:EncryptionContext:pii:purpose":["seal","drop"]}}"#;
    assert!(applies(condition, &[("pii:purpose", "seal")]));
    assert!(applies(condition, &[("pii:purpose", "drop"), ("tenant", "acme")]));
    assert!(!applies(condition, &[("pii:purpose", "index")]));
    assert!(!applies(condition, &[("pii:purpose", "SEAL")]));
    assert!(!applies(condition, &[("purpose", "seal")]));
    assert!(!applies(condition, &[]));
}

#[test]
fn string_not_equals_holds_without_the_pair() {
    let condition = r#"{"StringNotEquals":{"kms:EncryptionContext:tenant":["acme","initech"]}}"#;
    assert!(!applies(condition, &[("tenant", "acme")]));
    assert!(!applies(condition, &[("tenant", "initech")]));
    assert!(applies(condition, &[("tenant", "hooli")]));
    assert!(applies(condition, &[]));
}

#[test]
fn string_like_knows_both_wildcards() {
    let condition = r#"{"StringLike":{"kms:EncryptionContext:tenant":"ac?e-*"}}"#;
    assert!(applies(condition, &[("tenant", "acme-")]));
    assert!(applies(condition, &[("tenant", "acne-eu-1")]));
    assert!(!applies(condition, &[("tenant", "ace-eu")]));
    assert!(!applies(condition, &[("tenant", "my-acme-eu")]));
    assert!(!applies(condition, &[]));
}

#[test]
fn null_asks_whether_a_pair_is_there() {
    let absent = r#"{"Null":{"kms:EncryptionContext:tenant":"true"}}"#;
    assert!(applies(absent, &[("app", "x")]) && !applies(absent, &[("tenant", "x")]));
    let present = r#"{"Null":{"kms:EncryptionContext:tenant":false}}"#;
    assert!(!applies(present, &[("app", "x")]) && applies(present, &[("tenant", "x")]));
    let any = r#"{"Null":{"kms:EncryptionContextKeys":"false"}}"#;
    assert!(!applies(any, &[]) && applies(any, &[("tenant", "x")]));
}

#[test]
fn sets_of_names() {
    let all = r#"{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["app","tenant"]}}"#;
    assert!(applies(all, &[("app", "x"), ("tenant", "y")]));
    assert!(!applies(all, &[("app", "x"), ("other", "y")]));
    assert!(applies(all, &[]));
    let any = r#"{"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":["app","tenant"]}}"#;
    assert!(applies(any, &[("app", "x"), ("other", "y")]));
    assert!(!applies(any, &[("other", "y")]));
    assert!(!applies(any, &[]));
}

#[test]
fn all_operators_and_keys_must_hold() {
    let condition = r#"{
        "StringEquals": {"kms:EncryptionContext:app": "a", "kms:EncryptionContext:tenant": "t"},
        "Null": {"kms:EncryptionContext:other": "true"}
    }"#;
    assert!(applies(condition, &[("app", "a"), ("tenant", "t")]));
    assert!(!applies(condition, &[("app", "a")]));
    assert!(!applies(condition, &[("app", "a"), ("tenant", "t"), ("other", "")]));
}

#[test]
fn a_denial_wins_in_any_order() {
    let allow = r#"{"Effect":"Allow","Action":"kms:*","Resource":"*"}"#;
    let deny = r#"{"Effect":"Deny","Action":"kms:Dec*","Resource":"*"}"#;
    for list in [format!("[{allow},{deny}]"), format!("[{deny},{allow}]")] {
        assert!(decide(&statement(&list), "kms:Decrypt", &[]) == Decision::Deny);
        assert!(decide(&statement(&list), "kms:Encrypt", &[]) == Decision::Allow);
    }
    assert!(decide(&statement(deny), "kms:Encrypt", &[]) == Decision::NoStatement);
}

#[test]
fn actions_and_resources_have_wildcards() {
    let policy = |action: &str, resource: &str| {
        statement(&format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#))
    };
    let allows = |action: &str, resource: &str| {
        decide(&policy(action, resource), "kms:GenerateDataKey", &[]) == Decision::Allow
    };
    assert!(allows("kms:generatedatakey", KEY));
    assert!(allows("kms:GenerateDataKey*", KEY));
    assert!(!allows("kms:GenerateDataKeyWithout*", KEY));
    assert!(!allows("kms:ReEncrypt*", KEY));
    assert!(allows("*", "arn:aws:kms:*:111122223333:key/*"));
    assert!(!allows("*", "arn:aws:kms:us-east-1:111122223333:key/*"));
    assert!(!allows("*", "arn:aws:kms:*:111122223333:alias/*"));
}

#[test]
fn what_is_not_understood_is_an_error() {
    let ok = r#"{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}"#;
    assert!(Policy::parse(&statement(ok)).is_ok());
    let with =
        |element: &str| format!(r#"{{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*",{element}}}"#);
    let condition = |condition: &str| statement(&with(&format!(r#""Condition":{condition}"#)));
    let refused = [
        "no json".to_owned(),
        "[]".to_owned(),
        format!(r#"{{"Statement":{ok}}}"#),
        format!(r#"{{"Version":"2008-10-17","Statement":{ok}}}"#),
        format!(r#"{{"Version":"2012-10-17","Statement":{ok},"More":1}}"#),
        statement("[]"),
        statement(r#"{"Effect":"allow","Action":"kms:Decrypt","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":"kms:Decypt","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#),
        statement(r#"{"Effect":"Allow","Action":"kms:Decrypt"}"#),
        statement(r#"{"Effect":"Allow","Action":"kms:Decrypt","Resource":"key/1"}"#),
        statement(r#"{"Effect":"Allow","NotAction":"kms:Decrypt","Resource":"*"}"#),
        statement(&with(r#""Principal":"*""#)),
        condition(r#"{"StringEqualsIgnoreCase":{"kms:EncryptionContext:a":"b"}}"#),
        condition(r#"{"StringEquals":{"kms:ViaService":"b"}}"#),
        condition(r#"{"StringEquals":{"kms:EncryptionContext:":"b"}}"#),
        condition(r#"{"StringEquals":{"kms:EncryptionContextKeys":"b"}}"#),
        condition(r#"{"ForAllValues:StringEquals":{"kms:EncryptionContext:a":"b"}}"#),
        condition(r#"{"Null":{"kms:EncryptionContext:a":"maybe"}}"#),
        condition(r#"{"Null":{"kms:EncryptionContext:a":["true","false"]}}"#),
        condition(r#"{"StringEquals":{"kms:EncryptionContext:a":"${aws:PrincipalTag/t}"}}"#),
        condition(r#"{"StringEquals":{"kms:EncryptionContext:a":7}}"#),
        condition(r#"{"StringEquals":{}}"#),
        condition("7"),
    ];
    for policy in refused {
        assert!(Policy::parse(&policy).is_err(), "{policy}");
    }
}

#[test]
fn wildcards() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("**", "ab", true),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "aXbY", false),
        ("a*bc", "abcbc", true),
        ("?", "é", true),
        ("?", "", false),
        ("a?", "abc", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
