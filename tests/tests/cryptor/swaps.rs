//! No value opens in the place of another.

use super::*;

macro_rules! swap_models {
    ($($ty:ident $name:literal),*) => {$(
        #[derive(PiiModel, Clone)]
        #[pii(name = $name, context(tenant = self.tenant))]
        struct $ty {
            #[pii(id)]
            id: i64,
            tenant: String,
            a: EncryptedStr,
            b: EncryptedStr,
            c: EncryptedStr,
            d: EncryptedStr,
        }

        impl SwapModel for $ty {
            fn at(tenant: &str, id: i64, values: [EncryptedStr; 4]) -> Self {
                let [a, b, c, d] = values;
                Self { id, tenant: tenant.to_owned(), a, b, c, d }
            }
            fn values(&self) -> [&EncryptedStr; 4] { [&self.a, &self.b, &self.c, &self.d] }
        }
    )*};
}

trait SwapModel: PiiModel + Clone {
    fn at(tenant: &str, id: i64, values: [EncryptedStr; 4]) -> Self;
    fn values(&self) -> [&EncryptedStr; 4];
}

swap_models!(Customer4 "customer", Order4 "order", Invoice4 "invoice", Payment4 "payment");

const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// Where a value was sealed: model, tenant, row, field; and its text.
type Sealed = ((usize, usize, i64, usize), EncryptedStr);

async fn seal_all<M: SwapModel>(cryptor: &Cryptor, model: usize, out: &mut Vec<Sealed>) {
    for (tenant_index, tenant) in TENANTS.iter().enumerate() {
        for row in 0..4 {
            let mut models = [M::at(tenant, row, std::array::from_fn(|_| EncryptedStr::new("same text")))];
            cryptor.seal(&mut models).await.unwrap();
            for (field, value) in models[0].values().into_iter().enumerate() {
                let text = value.ciphertext().unwrap().clone();
                out.push(((model, tenant_index, row, field), EncryptedStr::from_ciphertext(text)));
            }
        }
    }
}

/// Puts every sealed value in every place of this model and checks where it opens.
async fn try_all<M: SwapModel>(cryptor: &Cryptor, model: usize, sealed: &[Sealed]) -> usize {
    let mut opened = 0;
    for (tenant_index, tenant) in TENANTS.iter().enumerate() {
        for row in 0..4 {
            for field in 0..4 {
                let mut rows: Vec<M> = Vec::new();
                for (_, value) in sealed {
                    rows.push(M::at(
                        tenant,
                        row,
                        std::array::from_fn(
                            |f| {
                                if f == field { value.clone() } else { EncryptedStr::new("x") }
                            },
                        ),
                    ));
                }
                let results = cryptor.open_each(&mut rows, &FieldSelection::All).await.unwrap();
                for ((from, _), result) in sealed.iter().zip(results) {
                    let at_home = *from == (model, tenant_index, row, field);
                    assert_eq!(
                        result.is_ok(),
                        at_home,
                        "{from:?} at {:?}",
                        (model, tenant_index, row, field)
                    );
                    opened += usize::from(at_home);
                    if let Err(error) = result {
                        let expected = if from.1 == tenant_index {
                            ErrorKind::Integrity
                        } else {
                            ErrorKind::ContextMismatch
                        };
                        assert_eq!(error.kind(), expected, "{error}");
                    }
                }
            }
        }
    }
    opened
}

#[tokio::test]
async fn no_value_opens_in_the_place_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let with_store = Cryptor::envelope()
        .keyring(TestKeyring::new())
        .key_store(FileKeyStore::open(folder.path()).unwrap())
        .build()
        .unwrap();
    for cryptor in [cryptor(), with_store] {
        let mut sealed = Vec::new();
        seal_all::<Customer4>(&cryptor, 0, &mut sealed).await;
        seal_all::<Order4>(&cryptor, 1, &mut sealed).await;
        seal_all::<Invoice4>(&cryptor, 2, &mut sealed).await;
        seal_all::<Payment4>(&cryptor, 3, &mut sealed).await;
        assert_eq!(sealed.len(), 256);
        let mut opened = try_all::<Customer4>(&cryptor, 0, &sealed).await;
        opened += try_all::<Order4>(&cryptor, 1, &sealed).await;
        opened += try_all::<Invoice4>(&cryptor, 2, &sealed).await;
        opened += try_all::<Payment4>(&cryptor, 3, &sealed).await;
        assert_eq!(opened, 256, "each opens in its own place and nowhere else");
    }
}
