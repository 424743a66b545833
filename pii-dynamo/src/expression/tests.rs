use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pii::{EncryptedStr, PiiModel};
use pii_core::{
    CurrentPolicies, Error, ErrorKind, FieldPolicies, FieldSpec, Holds, LegacyFormat, LegacyPolicy,
    ModelSpec, PlaintextPolicy, RowBinding, TypeCode,
};

use super::{Guarded, Meanings, check_condition, check_update};

/// Well formed, and of no key.
const SEALED: &str =
    "ENC:AgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// As long as a code of 12 bits.
const CODE: &str = "0af0";

#[derive(PiiModel)]
#[pii(nested)]
struct Address {
    city: String,
    #[pii]
    street: EncryptedStr,
}

#[allow(dead_code, reason = "only its facts are asked for")]
#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: String,
    tenant: String,
    city: String,
    #[pii(column = "mail", name = "email", blind_index(name = "mail", normalize = "email", bits = 12))]
    mail: EncryptedStr,
    #[pii(plaintext = "prepare")]
    phone: EncryptedStr,
    #[pii]
    notes: Vec<EncryptedStr>,
    #[pii(nested)]
    address: Address,
    #[pii(nested)]
    places: HashMap<String, Address>,
}

static PLAIN: ModelSpec = ModelSpec::new("plain", &[], RowBinding::Field);

/// With texts of another system.
static CARD: ModelSpec = ModelSpec::new(
    "customer",
    &[FieldSpec::new("card", "card", Holds::Value(TypeCode::UTF8)).with_legacy(LegacyFormat::Pydynox)],
    RowBinding::Field,
);

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn list(values: impl IntoIterator<Item = AttributeValue>) -> AttributeValue {
    AttributeValue::L(values.into_iter().collect())
}

fn map<const N: usize>(values: [(&str, AttributeValue); N]) -> AttributeValue {
    AttributeValue::M(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn street(street: &str) -> AttributeValue {
    map([("city", text("London")), ("street", text(street))])
}

/// Names and values for all expressions here.
fn with<T>(ask: impl FnOnce(Meanings<'_>) -> T) -> T {
    let names =
        [("#m", "mail"), ("#city", "city"), ("#dotted", "mail.x"), ("#home", "home"), ("#street", "street")];
    let names = names.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let values = HashMap::from([
        (":plain", text("ada@example.com")),
        (":begins", text("ENC:not a value")),
        (":prefix", text("ENC:")),
        (":sealed", text(SEALED)),
        (":null", AttributeValue::Null(true)),
        (":number", AttributeValue::N("1".into())),
        (":bytes", AttributeValue::B(b"ada".to_vec().into())),
        (":type", text("S")),
        (":list", list([text(SEALED), text(SEALED)])),
        (":mixed", list([text(SEALED), text("plain")])),
        (":address", street(SEALED)),
        (":open_address", street("St James's Square")),
        (":places", map([("home", street(SEALED))])),
        (":open_places", map([("home", map([("street", text("St James's Square"))]))])),
        // a key with the name of a field
        (":street_places", map([("street", street(SEALED)), ("home", street(SEALED))])),
        (":open_street_places", map([("street", street("St James's Square"))])),
        (":struct_or_key", map([("street", map([("x", text("St James's Square"))]))])),
        (":struct_and_key", map([("city", text("London")), ("street", street(SEALED))])),
        (":code", text(CODE)),
        (":begin", text("0a")),
        (":long_code", text("0af00")),
        (":upper_code", text("0AF0")),
    ]);
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    ask(Meanings { names: Some(&names), values: Some(&values) })
}

fn guarded() -> Guarded {
    Guarded::of(Customer::MODEL, &CurrentPolicies::default())
}

fn condition(text: &str) -> Result<(), Error> {
    with(|meanings| check_condition(&guarded(), Some(text), meanings))
}

fn update(text: &str) -> Result<(), Error> {
    with(|meanings| check_update(&guarded(), Some(text), meanings))
}

fn accepted(check: impl Fn(&str) -> Result<(), Error>, texts: &[&str]) {
    for text in texts {
        if let Err(error) = check(text) {
            panic!("{text}: {error}");
        }
    }
}

/// All are refused for this field, and say what to do.
fn refused(check: impl Fn(&str) -> Result<(), Error>, kind: ErrorKind, field: Option<&str>, texts: &[&str]) {
    for text in texts {
        let error = check(text).expect_err(text);
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert_eq!(error.model_name(), Some("customer"), "{text}: {error}");
        assert_eq!(error.field_name(), field, "{text}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("; "), "{text}: no help in {shown}");
        for hidden in ["ada", "London", "James", "home", SEALED, CODE] {
            assert!(!shown.contains(hidden), "{text}: {shown}");
        }
    }
}

#[test]
fn plain_attributes_are_compared_as_ever() {
    accepted(
        condition,
        &[
            "city = :plain",
            "#city=:plain AND NOT (tenant <> :plain OR id IN (:plain, :plain))",
            "city between :plain and :plain and size(city) >= :number",
            "((city) = (:plain))",
            "(size(city)) > :number",
            "begins_with(city, :plain) OR contains(city, :plain)",
            "address.city = :plain",
            "places.#home.city = :plain",
            // one attribute, whose name has a dot
            "#dotted = :plain",
            "email = :plain",
            // its policy is `prepare`: it is plaintext still
            "phone = :plain AND begins_with(phone, :plain)",
        ],
    );
}

#[test]
fn sealed_attributes_are_not_compared() {
    let refused = |field, texts: &[&str]| refused(condition, ErrorKind::Configuration, Some(field), texts);
    refused(
        "email",
        &[
            "mail = :plain",
            "#m = :plain",
            ":plain = mail",
            "mail <> :plain",
            "mail = :begins",
            "mail = :bytes",
            "mail = city",
            "city = mail",
            "mail = #m",
            "mail IN (:sealed, :plain)",
            "mail < :sealed",
            "mail BETWEEN :sealed AND :sealed",
            "city BETWEEN :plain AND mail",
            ":plain BETWEEN mail AND city",
            "begins_with(mail, :plain)",
            "contains(mail, :sealed)",
            "contains(city, mail)",
            "size(mail) > :number",
            "unknown(mail)",
            "city = :plain AND ((NOT mail = :plain))",
            "(NOT (mail=:plain))",
            "(mail) = :plain",
        ],
    );
    refused("notes", &["notes = :mixed", "notes[0] = :plain", "contains (notes, :plain)"]);
    refused("address.street", &["address.#street = :plain"]);
    refused("places.street", &["places.#home.street = :plain", "places.street.street = :plain"]);
    refused("address", &["address = :open_address"]);
}

#[test]
fn tests_that_do_not_look_into_sealed_attributes_are_fine() {
    accepted(
        condition,
        &[
            "attribute_exists(mail) AND attribute_not_exists(#m)",
            "attribute_type ( mail, :type)",
            "mail = :sealed",
            ":sealed <> #m OR mail = :null",
            "mail IN (:sealed, :sealed)",
            "NOT begins_with(mail, :prefix)",
            "size(notes) > :number",
            "contains(notes, :sealed)",
            "notes = :list",
            "address = :address",
        ],
    );
}

#[test]
fn blind_indexes_are_compared_with_codes() {
    accepted(
        condition,
        &[
            "mail_bidx = :code",
            "mail_bidx IN (:code, :code) AND city = :plain",
            "begins_with(mail_bidx, :begin)",
            "mail_bidx > :begin OR attribute_not_exists(mail_bidx)",
        ],
    );
    refused(
        condition,
        ErrorKind::Configuration,
        None,
        &[
            "mail_bidx = :plain",
            "mail_bidx = :begin",
            "mail_bidx = :long_code",
            "mail_bidx = :upper_code",
            "mail_bidx IN (:code, :plain)",
            "begins_with(mail_bidx, :plain)",
            "mail_bidx BETWEEN :code AND :plain",
            "mail_bidx = city",
            "city = mail_bidx",
        ],
    );
}

#[test]
fn what_can_not_be_read_is_refused() {
    let unreadable = [
        "",
        " ",
        "mail",
        "mail = ada@example.com",
        "city = 'London'",
        "(city = :plain",
        "city = :plain)",
        "city = :plain AND",
        "city : plain",
        "city ! :plain",
        "city[x] = :plain",
        "city. = :plain",
        "city = :plain city = :plain",
        "city BETWEEN :plain",
        "city IN :plain",
        "#none = :plain",
        "city = :none",
        "attribute_type(mail, :none)",
        "# = :plain",
        "ci\u{e9} = :plain",
    ];
    refused(condition, ErrorKind::Configuration, None, &unreadable);
    let updates =
        ["", "mail = :sealed", "SET city", "SET city = ", "ADD city :none", "ADD city tenant", "SET"];
    refused(update, ErrorKind::Configuration, None, &updates);
    let deep = |deep: usize| format!("{}city{} = :plain", "(".repeat(deep), ")".repeat(deep));
    assert!(condition(&deep(2000)).is_ok());
    assert!(condition(&deep(2050)).is_err());
    assert!(condition(&format!("city = {}:plain{}", "(".repeat(1000), ")".repeat(1000))).is_err());
    // where nothing is sealed, they may name what they like
    let plain = Guarded::of(&PLAIN, &CurrentPolicies::default());
    assert!(check_condition(&plain, Some("!"), Meanings::default()).is_ok());
    assert!(check_update(&plain, Some("!"), Meanings::default()).is_ok());
}

#[test]
fn updates_write_sealed_texts() {
    accepted(
        update,
        &[
            "SET mail = :sealed, city = :plain REMOVE tenant ADD age :number",
            "set #m = :null",
            "SET mail = if_not_exists(mail, :sealed)",
            "REMOVE mail, notes[1], mail_bidx SET city = if_not_exists(city, :plain)",
            "SET notes = :list",
            "SET notes[0] = :sealed, notes[1] = notes[2]",
            "SET notes = list_append(if_not_exists(notes, :list), :list)",
            "SET address = :address, address.street = :sealed, address.city = :plain",
            "SET places = :places, places.#home = :address, places.#home.street = :sealed",
            "SET places.#home.city = :plain",
            "SET places.street = :address",
            "SET places = :street_places",
            "SET age = age + :number - (:number) DELETE labels :number",
            "SET mail_bidx = :code",
            "SET mail_bidx = if_not_exists(mail_bidx, :code)",
            // by its policy it is still written so
            "SET phone = :plain, city = phone",
        ],
    );
}

#[test]
fn updates_do_not_write_plaintext() {
    let refused = |field, texts: &[&str]| refused(update, ErrorKind::State, field, texts);
    refused(
        Some("email"),
        &[
            "SET mail = :plain",
            "SET city = :plain, #m = :plain",
            "REMOVE city SET mail = :begins",
            "SET mail = :number",
            "SET mail = :bytes",
            "SET mail = :list",
            "SET mail = city",
            "SET mail = phone",
            "SET mail = if_not_exists(mail, :plain)",
            "SET mail = if_not_exists(city, :sealed)",
            "SET mail = mail + :number",
            "SET mail = list_append(mail, :list)",
            "ADD mail :sealed",
            "DELETE mail :number",
        ],
    );
    refused(
        Some("notes"),
        &["SET notes = :mixed", "SET notes[0] = :plain", "SET notes = list_append(notes, :mixed)"],
    );
    refused(Some("address"), &["SET address = :open_address", "SET address = :plain"]);
    refused(Some("address.street"), &["SET address.street = :plain"]);
    refused(
        Some("places"),
        &[
            "SET places = :open_places",
            "SET places.#home = :open_address",
            "SET places = :plain",
            // it may be a key or a field, and is good as neither
            "SET places = :open_street_places",
            "SET places = :struct_or_key",
            "SET places = :struct_and_key",
        ],
    );
    refused(Some("places.street"), &["SET places.#home.street = :plain"]);
    refused(
        None,
        &[
            "SET mail_bidx = :plain",
            "SET mail_bidx = :begin",
            "SET mail_bidx = :long_code",
            "SET mail_bidx = :upper_code",
            "SET mail_bidx = :number",
            "SET mail_bidx = city",
            "SET mail_bidx = if_not_exists(city, :code)",
            "ADD mail_bidx :code",
        ],
    );
}

#[test]
fn updates_do_not_move_sealed_values() {
    let refused = |field, texts: &[&str]| refused(update, ErrorKind::State, Some(field), texts);
    refused(
        "email",
        &[
            "SET city = mail",
            "SET city = #m",
            "SET notes[0] = mail",
            "SET phone = mail",
            "SET city = if_not_exists(mail, :plain)",
            "SET city = if_not_exists(city, mail)",
        ],
    );
    refused("notes", &["SET labels = list_append(labels, notes)", "SET city = notes[0]"]);
    refused("places", &["SET city = places.#home", "SET places.#home = places.work"]);
    refused("address", &["SET backup = address"]);
    refused("address.street", &["SET places.#home.street = address.street", "SET city = address.street"]);
    let error = update("SET city = mail").unwrap_err();
    assert!(error.to_string().contains("does not open"), "{error}");
}

#[test]
fn policies_say_what_is_guarded() {
    let policies = FieldPolicies::new();
    let check = |text: &str| {
        let guarded = Guarded::of(Customer::MODEL, &policies.current(Customer::MODEL)?);
        with(|meanings| check_update(&guarded, Some(text), meanings))
    };
    let street = "SET address.street = :plain, places.#home.street = :sealed";
    assert!(check("SET phone = :plain").is_ok() && check("SET mail = :plain").is_err());
    assert!(check(street).is_err());
    policies.set("customer", "phone", PlaintextPolicy::AcceptAndSeal);
    policies.set("customer", "email", PlaintextPolicy::Prepare);
    policies.set("customer", "address.street", PlaintextPolicy::Prepare);
    refused(check, ErrorKind::State, Some("phone"), &["SET phone = :plain"]);
    accepted(check, &["SET mail = :plain", "SET city = mail", "SET address = :open_address", street]);
    refused(check, ErrorKind::State, Some("places.street"), &["SET places.#home.street = :plain"]);
    policies.set_until("customer", "email", PlaintextPolicy::Prepare, std::time::SystemTime::UNIX_EPOCH);
    refused(check, ErrorKind::State, Some("email"), &["SET mail = :plain"]);
    // one that the field can't have lets nothing pass
    policies.set("customer", "city", PlaintextPolicy::Prepare);
    assert_eq!(check("SET city = :plain").unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn texts_of_another_system_are_taken_as_long_as_the_policy_says() {
    let policies = FieldPolicies::new();
    let check = |value: &str| {
        let guarded = Guarded::of(&CARD, &policies.current(&CARD)?);
        guarded.check_item(&[("card".to_owned(), text(value))].into())
    };
    accepted(check, &["ENC:of another system", SEALED]);
    refused(check, ErrorKind::State, Some("card"), &["4111111111111111"]);
    policies.set_legacy("customer", "card", LegacyPolicy::ReadAndSeal);
    accepted(check, &["ENC:of another system", SEALED]);
    policies.set_legacy("customer", "card", LegacyPolicy::Reject);
    refused(check, ErrorKind::State, Some("card"), &["ENC:of another system"]);
    accepted(check, &[SEALED]);
}

#[test]
fn items_hold_sealed_texts_and_codes() {
    let check = |name: &str, value: AttributeValue| guarded().check_item(&[(name.to_owned(), value)].into());
    for (name, value) in [
        ("mail", text(SEALED)),
        ("mail", AttributeValue::Null(true)),
        ("phone", text("555-0100")),
        ("notes", list([text(SEALED)])),
        ("address", street(SEALED)),
        ("places", map([("street", street(SEALED))])),
        ("mail_bidx", text(CODE)),
        ("mail_bidx", AttributeValue::Null(true)),
    ] {
        assert!(check(name, value.clone()).is_ok(), "{name} {value:?}");
    }
    for (name, value) in [
        ("mail", text("ada@example.com")),
        ("mail", list([text(SEALED)])),
        ("notes", list([text("plain")])),
        ("address", street("St James's Square")),
        ("places", map([("street", street("St James's Square"))])),
        ("mail_bidx", text("ada@example.com")),
        ("mail_bidx", text("0af")),
        ("mail_bidx", text("0afg")),
        ("mail_bidx", list([text(CODE)])),
    ] {
        assert_eq!(check(name, value.clone()).unwrap_err().kind(), ErrorKind::State, "{name} {value:?}");
    }
}
