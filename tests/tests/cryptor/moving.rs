//! What jobs need that move tables: counts by state, and the way back to plaintext.

use pii::{
    FieldPolicies,
    PlaintextPolicy::{AcceptAndSeal, Prepare, Reject},
    StateCounts,
};

use super::*;

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(nested)]
struct Home {
    street: EncryptedStr,
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "mover", context(tenant = self.tenant))]
struct Mover {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
    #[pii(nested)]
    homes: Vec<Home>,
    #[pii(level = 3)]
    card: Option<EncryptedStr>,
}

fn stored(email: &str, phone: Option<&str>, streets: &[&str]) -> Mover {
    Mover {
        id: 1,
        tenant: "acme".into(),
        email: EncryptedStr::from_stored(email),
        phone: phone.map(EncryptedStr::from_stored),
        homes: streets.iter().map(|street| Home { street: EncryptedStr::from_stored(*street) }).collect(),
        card: None,
    }
}

async fn sealed_text() -> String {
    let mut rows = [Mover { email: EncryptedStr::new("a"), ..stored("", None, &[]) }];
    cryptor().seal(&mut rows).await.unwrap();
    rows[0].email.ciphertext().unwrap().as_str().to_owned()
}

#[tokio::test]
async fn values_are_counted_by_field_and_state() {
    let sealed = sealed_text().await;
    let rows = [
        stored("plain", Some(&sealed), &["plain", &sealed, "ENC:damaged"]),
        stored(&sealed, None, &["plain"]),
        stored("ENC:AQEAAAAA", None, &[]),
    ];
    let mut counts = BTreeMap::new();
    StateCounts::add(&rows[..1], &mut counts);
    StateCounts::add(&rows[1..], &mut counts);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["email", "homes.street", "phone"]);
    let of = |field: &str| {
        let counts = counts[field];
        [counts.plaintext, counts.sealed, counts.foreign, counts.malformed, counts.total()]
    };
    assert_eq!(of("email"), [1, 1, 1, 0, 3]);
    assert_eq!(of("homes.street"), [2, 1, 0, 1, 4]);
    assert_eq!(of("phone"), [0, 1, 0, 0, 1]);
}

#[test]
fn the_policies_of_the_moment_are_told() {
    let policies = FieldPolicies::new();
    let cryptor = cryptor().with_policies(&policies);
    let of = || cryptor.plaintext_policies(Mover::MODEL).unwrap().into_iter().collect::<BTreeMap<_, _>>();
    assert!(of().values().all(|policy| *policy == Reject));
    policies.set_model("mover", AcceptAndSeal);
    policies.set("mover", "homes.street", Prepare);
    let now = of();
    assert_eq!(now["email"], AcceptAndSeal);
    assert_eq!(now["homes.street"], Prepare);
    assert_eq!(now["card"], Reject, "level 3");
    policies.set("mover", "nothing", Prepare);
    assert_eq!(cryptor.plaintext_policies(Mover::MODEL).unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn opened_values_of_prepared_fields_become_plain() {
    let policies = FieldPolicies::new();
    let cryptor = cryptor().with_policies(&policies);
    let mut row = stored("", Some(""), &[]);
    row.email.set("ada@example.com");
    row.phone = Some(EncryptedStr::new("555"));
    row.homes = vec![Home { street: EncryptedStr::new("1 Main St") }];
    let mut rows = [row];
    cryptor.seal(&mut rows).await.unwrap();
    let sealed = [through_storage(&rows[0])];
    let texts = async |rows: &[Mover]| {
        let texts = cryptor.seal_texts(rows).await.unwrap().remove(0);
        texts.map(|text| text.as_str().to_owned()).collect::<Vec<_>>()
    };

    // sealed values stay, and so do opened ones that no policy lets out
    let mut rows = sealed.clone();
    policies.set_model("mover", Prepare);
    assert_eq!(cryptor.reseal_prepared(&mut rows).unwrap(), 0);
    cryptor.open(&mut rows).await.unwrap();
    policies.set_model("mover", AcceptAndSeal);
    assert_eq!(cryptor.reseal_prepared(&mut rows).unwrap(), 0);
    assert!(texts(&rows).await.iter().all(|text| text.starts_with("ENC:")));

    policies.set("mover", "email", Prepare);
    policies.set("mover", "homes.street", Prepare);
    let elsewhere = cryptor.scoped(ctx!(tenant = "zeta"));
    assert_eq!(elsewhere.reseal_prepared(&mut rows).unwrap(), 0);
    assert_eq!(cryptor.reseal_prepared(&mut rows).unwrap(), 2);
    let texts = texts(&rows).await;
    assert_eq!((texts[0].as_str(), texts[2].as_str()), ("ada@example.com", "1 Main St"));
    assert!(texts[1].starts_with("ENC:"));
}
