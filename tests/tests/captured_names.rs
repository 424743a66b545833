//! Models whose own functions, and traits around them, have the names that generated code uses.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use pii::{Cryptor, ErrorKind, FileKeyStore, SqlTable, TestKeyring, ctx, testing::assert_no_plaintext};
use sqlx::SqlitePool;

use captured::{Captured, Customer, CustomerId, Home, OTHERS, Status, Tenant};

/// Everything here is found before what the library means, if generated code asks for it by its name alone.
mod captured {
    #![allow(
        dead_code,
        clippy::new_ret_no_self,
        clippy::should_implement_trait,
        clippy::wrong_self_convention
    )]

    use pii::{ContextValue, Encrypted, EncryptedStr, PiiEnum, PiiModel, RowId};
    use serde::{Deserialize, Serialize};

    /// What no generated code can use.
    pub(super) struct Captured;

    /// A trait that every type has. Its methods take `self`, so that they come before all that take a reference.
    macro_rules! by_value {
        ($trait:ident: $($method:ident)*) => {
            trait $trait: Sized {
                $(fn $method(self) -> Captured { Captured })*
            }
            impl<T> $trait for T {}
        };
    }

    by_value! { Methods:
        // of what is shown
        debug_struct field finish finish_non_exhaustive mask shown kind apply fmt fmt_masked
        // of rows
        value value_not_null as_deref unwrap_or map_err into_owned get try_get try_get_raw
        // of statements
        bind bind_nested bind_nulls nested_types bind_optional_id generated_id version sealed sealed_json sealed_null null column
        attribute write_row write_context pair
        // of facts
        len with_was with_prefix with_attribute with_role with_level with_mode with_mask with_keyring with_plaintext
        with_legacy with_pad with_pad_of_type with_unpadded_before with_context with_table with_indexes with_size
        with_scope as_unique context term check visit visit_mut name expose to_bytes encode
    }

    /// The same of functions without `self`, of constants and of types.
    trait Functions {
        const FIELDS: Captured = Captured;
        const MODEL: Captured = Captured;
        const COLUMNS: Captured = Captured;
        const HOLDS: Captured = Captured;
        const PAD: Captured = Captured;
        const TYPE: Captured = Captured;
        const NAMES: Captured = Captured;
        fn new() {}
        fn by() {}
        fn kind() {}
        fn copy_from() {}
        fn from_nested() {}
        fn from_row() {}
        fn from_prefixed_row() {}
    }
    impl<T> Functions for T {}

    /// The struct's own, which come before those of any trait.
    macro_rules! own {
        ($($type:ident)*) => {$(
            impl $type {
                pub(super) const OWN: u8 = 1;
                const FIELDS: Captured = Captured;
                const MODEL: Captured = Captured;
                const COLUMNS: Captured = Captured;
                const HOLDS: Captured = Captured;
                const PAD: Captured = Captured;
                const TYPE: Captured = Captured;
                const NAMES: Captured = Captured;
                pub(super) fn fields(&self) -> Captured { Captured }
                pub(super) fn by_email(&self) -> Captured { Captured }
                fn field(self) {}
                fn visit(self) {}
                fn visit_mut(self) {}
                fn write_context(self) {}
                fn write_row(self) {}
                fn write_key(self) {}
                fn write_own_key(self) {}
                fn write_id(self) {}
                fn write_own_id(self) {}
                fn read_id(self) {}
                fn bind(self) {}
                fn bind_columns(self) {}
                fn bind_id(self) {}
                fn bind_own_id(self) {}
                fn bind_operand(self) {}
                fn bind_nested(self) {}
                fn bind_nulls() {}
                fn nested_types() {}
                fn column_types() {}
                fn from_row() {}
                fn from_prefixed_row() {}
                fn from_nested() {}
                fn fmt(self) {}
                fn fmt_masked(self) {}
                fn probes() {}
                fn pii_fields() {}
                fn pii_schema() {}
                fn clone(self) {}
                fn default() {}
                fn name(self) {}
                fn from_name() {}
                fn encode(self) {}
                fn decode() {}
                fn check() {}
                fn term() {}
                fn to_bytes(self) {}
                fn to_plaintext() {}
                fn from_plaintext() {}
            }
        )*};
    }
    own! { Customer Home Extra Status CustomerId Tenant Opaque }

    #[derive(PiiModel)]
    #[pii(
        name = "customer", table = "customers", from_row, fields = "columns",
        context(app = "tests", tenant = &self.tenant)
    )]
    pub(super) struct Customer {
        #[pii(id)]
        pub(super) id: CustomerId,
        pub(super) tenant: Tenant,
        #[pii(level = 1, mask = "name")]
        pub(super) nickname: Option<String>,
        #[pii(level = 1)]
        pub(super) born: i64,
        #[pii(blind_index(normalize = "email", search = "with_email"))]
        pub(super) email: EncryptedStr,
        pub(super) status: Encrypted<Status>,
        pub(super) phones: Vec<EncryptedStr>,
        #[pii(nested, prefix = "home_")]
        pub(super) home: Home,
        #[pii(nested)]
        pub(super) extra: Option<Extra>,
        pub(super) city: String,
        #[pii(version)]
        pub(super) revision: i64,
        #[pii(skip)]
        pub(super) loaded: bool,
    }

    #[derive(PiiModel)]
    #[pii(nested)]
    pub(super) struct Home {
        pub(super) street: EncryptedStr,
        pub(super) country: String,
    }

    #[derive(PiiModel, Serialize, Deserialize)]
    #[pii(nested)]
    pub(super) struct Extra {
        pub(super) remark: EncryptedStr,
    }

    /// Shows nothing of its own, and has no table.
    #[derive(PiiModel)]
    #[pii(name = "opaque", bind = "field", fields = "columns")]
    pub(super) struct Opaque {
        pub(super) word: EncryptedStr,
        pub(super) count: u8,
    }

    #[derive(PiiEnum, Clone, Copy, PartialEq, Debug)]
    pub(super) enum Status {
        Active,
        Closed,
    }

    #[derive(RowId, Clone, PartialEq, Debug, sqlx::Type, Serialize)]
    #[sqlx(transparent)]
    pub(super) struct CustomerId(pub(super) i64);

    #[derive(ContextValue, Clone, PartialEq, Debug, sqlx::Type)]
    #[sqlx(transparent)]
    pub(super) struct Tenant(pub(super) String);

    pub(super) const OTHERS: [u8; 7] =
        [Customer::OWN, Home::OWN, Extra::OWN, Status::OWN, CustomerId::OWN, Tenant::OWN, Opaque::OWN];

    pub(super) fn customer(id: i64) -> Customer {
        Customer {
            id: CustomerId(id),
            tenant: Tenant("acme".into()),
            nickname: Some("Ada Canary".into()),
            born: 1815,
            email: EncryptedStr::new("ada.canary@example.com"),
            status: Encrypted::new(Status::Active),
            phones: vec![EncryptedStr::new("canary 4711")],
            home: Home { street: EncryptedStr::new("1 Canary Road"), country: "GB".into() },
            extra: Some(Extra { remark: EncryptedStr::new("canary remark") }),
            city: "London".into(),
            revision: 0,
            loaded: true,
        }
    }
}

const CUSTOMERS: &str = "create table customers (id integer primary key, tenant text not null, nickname text, \
     born integer not null, email text not null, email_bidx text, status text not null, phones text not null, \
     home_street text not null, home_country text not null, extra text, city text not null, \
     revision integer not null)";

#[tokio::test]
async fn a_model_with_such_names_works() {
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let _ = sqlx::query(CUSTOMERS).execute(&pool).await.unwrap();
    let keys = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(keys.path().join("keys")).unwrap();
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap();
    let cryptor = cryptor.scoped(ctx!(tenant = "acme"));
    let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
    customers.insert_many(&[captured::customer(1), captured::customer(2)]).await.unwrap();

    let read = customers.get(CustomerId(1)).decrypt_pii().await.unwrap();
    assert_eq!((&read.id, &read.tenant, read.born), (&CustomerId(1), &Tenant("acme".into()), 1815));
    assert_eq!(read.email.expose().unwrap(), "ada.canary@example.com");
    assert_eq!(read.status.expose().unwrap(), Status::Active);
    assert_eq!(read.phones.first().unwrap().expose().unwrap(), "canary 4711");
    assert_eq!(read.home.street.expose().unwrap(), "1 Canary Road");
    assert_eq!(read.extra.as_ref().unwrap().remark.expose().unwrap(), "canary remark");
    assert!(!read.loaded);

    // the generated functions have the names that were given to them
    assert_eq!(customers.find(Customer::columns().city.eq("London")).await.unwrap().len(), 2);
    assert_eq!(
        customers
            .find(Customer::with_email(&Tenant("acme".into()), "ADA.canary@example.com"))
            .await
            .unwrap()
            .len(),
        2
    );
    let (Captured, Captured) = (read.fields(), read.by_email());
    assert_eq!(OTHERS, [1; 7]);

    let moved = Customer { home: Home { country: "FR".into(), ..read.home }, ..read };
    customers.update(&moved).await.unwrap();
    assert_eq!(customers.update(&moved).await.unwrap_err().kind(), ErrorKind::Conflict, "an older version");
    customers.delete(CustomerId(2)).await.unwrap();
    let left = customers.list().decrypt_pii().await.unwrap();
    assert_eq!(left.iter().map(|row| row.home.country.as_str()).collect::<Vec<_>>(), ["FR"]);
}

#[test]
fn what_is_printed_of_it_is_masked() {
    let customer = captured::customer(1);
    let printed = format!("{customer:?} {:?} {:?}", customer.home, customer.extra);
    assert_no_plaintext(printed.clone(), &["canary", "Canary", "acme"]);
    for shown in
        ["tenant: <context>", "nickname: Some(A**** C****)", "born: *****", "city: \"London\"", "GB", ".."]
    {
        assert!(printed.contains(shown), "{shown}: {printed}");
    }
}

#[test]
fn its_facts_are_those_of_the_model() {
    let names: Vec<_> =
        <Customer as pii::PiiModel>::pii_fields().iter().map(|field| field.path.to_owned()).collect();
    assert!(names.iter().any(|name| name == "home.street"), "{names:?}");
    assert_eq!(<Status as pii::PiiEnum>::NAMES, ["Active", "Closed"]);
    assert_eq!(pii::PiiEnum::name(&Status::Closed), "Closed");
}
