//! Lists, maps and nested structs.

use super::*;

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(nested)]
struct Address {
    street: EncryptedStr,
    city: String,
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "person")]
struct Person {
    #[pii(id)]
    id: String,
    phones: Vec<EncryptedStr>,
    labels: BTreeMap<String, EncryptedStr>,
    #[pii(nested)]
    home: Address,
    #[pii(nested)]
    others: Vec<Address>,
    card: Encrypted<Json<Vec<u32>>>,
    boxed: Option<Box<EncryptedStr>>,
}

fn address(street: &str) -> Address {
    Address { street: EncryptedStr::new(street), city: "Berlin".into() }
}

fn person() -> Person {
    Person {
        id: "p1".into(),
        phones: vec![EncryptedStr::new("1"), EncryptedStr::new("2")],
        labels: BTreeMap::from([("a".into(), EncryptedStr::new("A")), ("b".into(), EncryptedStr::new("B"))]),
        home: address("Home 1"),
        others: vec![address("Other 1"), address("Other 2")],
        card: Encrypted::json(&vec![4, 1, 1]).unwrap(),
        boxed: Some(Box::new(EncryptedStr::new("boxed"))),
    }
}

async fn store_person(cryptor: &Cryptor, person: &Person) -> Person {
    let sealed = cryptor.sealed(person).await.unwrap();
    serde_json::from_str(&serde_json::to_string(&sealed).unwrap()).unwrap()
}

#[tokio::test]
async fn values_in_lists_maps_and_nested_structs_are_sealed() {
    let cryptor = cryptor();
    let mut loaded = store_person(&cryptor, &person()).await;
    assert_all_sealed(&loaded);
    cryptor.open(std::slice::from_mut(&mut loaded)).await.unwrap();
    assert_eq!(loaded.phones[1].expose().unwrap(), "2");
    assert_eq!(loaded.labels["b"].expose().unwrap(), "B");
    assert_eq!(loaded.home.street.expose().unwrap(), "Home 1");
    assert_eq!(loaded.others[1].street.expose().unwrap(), "Other 2");
    assert_eq!(loaded.card.expose().unwrap(), [4, 1, 1]);
    assert_eq!(loaded.boxed.unwrap().expose().unwrap(), "boxed");
}

#[tokio::test]
async fn a_path_binds_fields_and_map_keys_and_not_the_position_in_a_list() {
    let cryptor = cryptor();
    let loaded = store_person(&cryptor, &person()).await;
    let opens = async |change: fn(&mut Person)| {
        let mut changed = loaded.clone();
        change(&mut changed);
        cryptor.open(std::slice::from_mut(&mut changed)).await
    };
    opens(|p| p.phones.reverse()).await.unwrap();
    opens(|p| drop(p.phones.remove(0))).await.unwrap();
    let swaps: [fn(&mut Person); 4] = [
        |p| {
            let a = p.labels["a"].clone();
            p.labels.insert("b".into(), a);
        },
        |p| p.phones[0] = p.labels["a"].clone(),
        |p| p.home = p.others[0].clone(),
        |p| p.boxed = Some(Box::new(p.phones[0].clone())),
    ];
    for swap in swaps {
        assert_eq!(opens(swap).await.unwrap_err().kind(), ErrorKind::Integrity);
    }
}
