//! Blind indexes: what is stored beside the sealed values, and what a search looks for.

use pii::{
    Cryptor, EncryptedStr, ErrorKind, FileKeyStore, IndexEntry, IndexText, LocalKeyring, Mode, PiiModel,
    TestKeyring, ctx,
    index::{IndexSearch, IndexSize, Normalizer},
};

const PHONE: Normalizer = Normalizer::custom("phone", 1, |text| {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').to_owned()
});

#[derive(PiiModel)]
#[pii(
    name = "customer",
    context(app = "billing", tenant = self.tenant),
    blind_index(name = "full_name", fields(first_name(normalize = "casefold"), last_name(normalize = "casefold")), bits = 24)
)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(
        blind_index(normalize = "email", unique, versions(1, 2)),
        blind_index(name = "login", normalize = "email", scope = "global")
    )]
    email: EncryptedStr,
    #[pii(blind_index(normalize(PHONE, "last4"), bits = 12))]
    phone: Option<EncryptedStr>,
    #[pii(mode = "WriteOnly", blind_index)]
    ssn: Option<EncryptedStr>,
    first_name: EncryptedStr,
    last_name: EncryptedStr,
}

impl Customer {
    fn ada(tenant: &str) -> Self {
        Self {
            id: 1,
            tenant: tenant.to_owned(),
            email: EncryptedStr::new("Ada@Example.com "),
            phone: Some(EncryptedStr::new("+44 20 7946 0123")),
            ssn: None,
            first_name: EncryptedStr::new("Ada"),
            last_name: EncryptedStr::new("LOVELACE"),
        }
    }
}

/// A cryptor with a key store in a folder of its own.
struct Program {
    folder: tempfile::TempDir,
    cryptor: Cryptor,
}

impl Program {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cryptor = cryptor(folder.path());
        Self { folder, cryptor }
    }

    /// Another process on the same keys.
    fn another(&self) -> Cryptor {
        cryptor(self.folder.path())
    }
}

fn cryptor(folder: &std::path::Path) -> Cryptor {
    let path = folder.join("pii.key");
    let keyring = if path.exists() { LocalKeyring::open(&path) } else { LocalKeyring::create(&path) };
    let store = FileKeyStore::open(folder.join("keys")).unwrap();
    Cryptor::envelope().keyring(keyring.unwrap()).key_store(store).build().unwrap()
}

/// The value as it comes from storage.
fn loaded(value: &EncryptedStr) -> EncryptedStr {
    EncryptedStr::from_stored(value.stored_text().unwrap().to_string())
}

fn text<'a>(entries: &'a [IndexEntry], column: &str) -> &'a str {
    match &entries.iter().find(|entry| entry.version.column == column).unwrap().text {
        IndexText::Text(text) => text,
        other => panic!("{column}: {other:?}"),
    }
}

async fn entries(cryptor: &Cryptor, model: &Customer) -> Vec<IndexEntry> {
    cryptor.index_entries([model]).await.unwrap().remove(0)
}

async fn terms(cryptor: &Cryptor, search: &IndexSearch<Customer>) -> Vec<(String, String)> {
    let terms = cryptor.index_terms(search).await.unwrap();
    terms.iter().map(|term| (term.version.column.to_owned(), term.texts[0].to_string())).collect()
}

#[tokio::test]
async fn a_search_looks_for_what_is_stored() {
    let program = Program::new();
    let stored = entries(&program.cryptor, &Customer::ada("acme")).await;
    let columns: Vec<&str> = stored.iter().map(|entry| entry.version.column).collect();
    assert_eq!(
        columns,
        ["email_bidx", "email_bidx_v2", "login_bidx", "phone_bidx", "ssn_bidx", "full_name_bidx"]
    );
    assert_eq!(stored[4].text, IndexText::Null);
    assert_eq!(text(&stored, "email_bidx").len(), 64);
    assert_eq!(text(&stored, "phone_bidx").len(), 4);
    assert!(text(&stored, "phone_bidx").ends_with('0'));
    assert_ne!(text(&stored, "email_bidx"), text(&stored, "email_bidx_v2"));
    assert_ne!(text(&stored, "email_bidx"), text(&stored, "login_bidx"));

    let other = program.another();
    let found = terms(&other, &Customer::by_email("acme", "ada@EXAMPLE.com")).await;
    let stored_email = |column: &str| (column.to_owned(), text(&stored, column).to_owned());
    assert_eq!(found, [stored_email("email_bidx"), stored_email("email_bidx_v2")]);
    for (search, column) in [
        (Customer::by_login(" ADA@example.com"), "login_bidx"),
        (Customer::by_phone("acme", "0044-20-7946-0123"), "phone_bidx"),
        (Customer::by_full_name("acme", "ADA", "lovelace"), "full_name_bidx"),
    ] {
        assert_eq!(terms(&other, &search).await, [stored_email(column)]);
    }
    let elsewhere = terms(&other, &Customer::by_email("other", "ada@example.com")).await;
    assert_ne!(elsewhere[0].1, text(&stored, "email_bidx"));
}

#[tokio::test]
async fn tenants_share_codes_in_global_indexes_only() {
    let program = Program::new();
    let (acme, other) = (
        entries(&program.cryptor, &Customer::ada("acme")).await,
        entries(&program.cryptor, &Customer::ada("other")).await,
    );
    assert_eq!(text(&acme, "login_bidx"), text(&other, "login_bidx"));
    for column in ["email_bidx", "email_bidx_v2", "phone_bidx", "full_name_bidx"] {
        assert_ne!(text(&acme, column), text(&other, column));
    }
}

#[tokio::test]
async fn values_that_are_the_same_after_normalising_have_one_code() {
    let program = Program::new();
    let mut same = Customer::ada("acme");
    same.id = 2;
    same.email.set("ADA@example.COM");
    same.first_name.set("\u{ff21}da");
    let (first, second) =
        (entries(&program.cryptor, &Customer::ada("acme")).await, entries(&program.cryptor, &same).await);
    for column in ["email_bidx", "login_bidx", "full_name_bidx"] {
        assert_eq!(text(&first, column), text(&second, column));
    }
}

#[tokio::test]
async fn nothing_is_not_indexed_and_not_searched_for() {
    let program = Program::new();
    let mut ada = Customer::ada("acme");
    ada.phone = Some(EncryptedStr::new("ask Ada"));
    ada.email.set("  ");
    ada.last_name.set("");
    let stored = entries(&program.cryptor, &ada).await;
    assert!(stored.iter().all(|entry| entry.text == IndexText::Null), "{stored:?}");
    for search in [
        Customer::by_email("acme", " "),
        Customer::by_phone("acme", "none"),
        Customer::by_ssn("acme", ""),
        Customer::by_full_name("acme", "Ada", ""),
    ] {
        let error = program.cryptor.index_terms(&search).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSearch);
        assert!(!format!("{error:?} {search:?}").contains("none"));
    }
}

#[tokio::test]
async fn what_is_written_back_unopened_keeps_its_code() {
    let program = Program::new();
    let mut rows = [Customer::ada("acme")];
    rows[0].ssn = Some(EncryptedStr::new("123-45-6789"));
    program.cryptor.seal(&mut rows).await.unwrap();
    let [sealed] = &mut rows;
    sealed.email = loaded(&sealed.email);
    sealed.ssn = sealed.ssn.as_ref().map(loaded);
    sealed.phone = sealed.phone.as_ref().map(loaded);

    // values of unknown origin are verified where they can be opened
    program.cryptor.open_each(std::slice::from_mut(sealed), &pii::FieldSelection::Nothing).await.unwrap();
    let changes = program.cryptor.seal_changes([&*sealed]).await.unwrap().remove(0);
    let kept: Vec<bool> = changes.indexes().iter().map(|entry| entry.text == IndexText::Unchanged).collect();
    assert_eq!(kept, [true, true, true, true, true, false]);

    // a whole row needs all codes: what may be opened is, and the rest is refused
    let error = program.cryptor.seal_texts([&*sealed]).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Mode, Some("ssn")));
    sealed.ssn = None;
    let stored = program.cryptor.seal_texts([&*sealed]).await.unwrap().remove(0);
    let fresh = entries(&program.cryptor, &Customer::ada("acme")).await;
    assert_eq!(text(stored.indexes(), "email_bidx"), text(&fresh, "email_bidx"));
}

/// The codes have no place in the model, and are asked for apart.
#[tokio::test]
async fn sealing_in_place_computes_no_codes() {
    let program = Program::new();
    let mut rows = [Customer::ada("acme")];
    program.cryptor.seal(&mut rows).await.unwrap();
    assert_eq!(program.cryptor.stats().keys_generated, 1, "that of the values");
    let sealed = entries(&program.cryptor, &rows[0]).await;
    assert!(program.cryptor.stats().keys_generated > 1, "those of the indexes");
    let found = terms(&program.cryptor, &Customer::by_email("acme", "ada@example.com")).await;
    assert_eq!(text(&sealed, "email_bidx"), found[0].1);

    // a row as it was loaded is opened for it
    let [row] = &mut rows;
    row.email = loaded(&row.email);
    assert_eq!(text(&entries(&program.cryptor, row).await, "email_bidx"), found[0].1);
    assert!(row.email.expose().is_err(), "and stays sealed");
}

#[tokio::test]
async fn rows_found_by_chance_are_told() {
    let program = Program::new();
    let mut rows = [Customer::ada("acme")];
    let search = Customer::by_full_name("acme", "ada", "Lovelace");
    assert_eq!(search.matches(&rows[0]), Some(true));
    assert_eq!(Customer::by_full_name("acme", "ada", "Byron").matches(&rows[0]), Some(false));
    program.cryptor.seal(&mut rows).await.unwrap();
    rows[0].last_name = EncryptedStr::from_stored(rows[0].last_name.stored_text().unwrap().to_string());
    assert_eq!(search.matches(&rows[0]), None);
    assert_eq!(Customer::by_ssn("acme", "123").matches(&rows[0]), Some(false));
}

/// As `Customer` was called earlier, and its fields.
mod earlier {
    use super::*;

    #[derive(PiiModel)]
    #[pii(name = "client", context(tenant = self.tenant),
        blind_index(name = "who", fields(name, mail)))]
    pub(super) struct Client {
        #[pii(id)]
        pub(super) id: i64,
        pub(super) tenant: String,
        #[pii(blind_index(normalize = "email"))]
        pub(super) mail: EncryptedStr,
        pub(super) name: EncryptedStr,
    }
}

#[derive(PiiModel)]
#[pii(name = "customer", was = "client", context(tenant = self.tenant),
    blind_index(name = "who", fields(name, email)))]
struct Renamed {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(was = "mail", blind_index(normalize = "email"))]
    email: EncryptedStr,
    name: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "client", context(tenant = self.tenant),
    blind_index(name = "who", fields(name, address)))]
struct RenamedInCode {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(name = "mail", blind_index(normalize = "email"))]
    address: EncryptedStr,
    name: EncryptedStr,
}

#[tokio::test]
async fn codes_from_before_a_renaming_are_found() {
    let program = Program::new();
    let cryptor = &program.cryptor;
    let (mail, name) = (EncryptedStr::new("ada@example.com"), EncryptedStr::new("Ada"));
    let before = earlier::Client { id: 1, tenant: "acme".to_owned(), mail, name };
    let codes = cryptor.index_entries([&before]).await.unwrap().remove(0);
    let [mail, who] = ["mail_bidx", "who_bidx"].map(|column| text(&codes, column));

    let email = cryptor.index_terms(&Renamed::by_email("acme", "Ada@example.com")).await.unwrap();
    assert!(email[0].texts.iter().any(|text| **text == *mail), "of model and field");
    let both = cryptor.index_terms(&Renamed::by_who("acme", "Ada", "ada@example.com")).await.unwrap();
    assert!(both[0].texts.iter().any(|text| **text == *who));
    // what is written today has the names of today, which are looked for first
    let (email, name) = (EncryptedStr::new("ada@example.com"), EncryptedStr::new("Ada"));
    let today = Renamed { id: 1, tenant: "acme".to_owned(), email, name };
    let codes = cryptor.index_entries([&today]).await.unwrap().remove(0);
    let email = cryptor.index_terms(&Renamed::by_email("acme", "Ada@example.com")).await.unwrap();
    assert!(*email[0].texts[0] == *text(&codes, "email_bidx") && text(&codes, "email_bidx") != mail);

    // the stable name is what counts, not that in the code
    let of_code = RenamedInCode::by_address("acme", "Ada@example.com");
    assert_eq!(&*cryptor.index_text(&of_code).await.unwrap(), mail);
    assert_eq!(RenamedInCode::MODEL.indexes()[0].versions()[0].column, "address_bidx");
}

#[tokio::test]
async fn a_search_stays_within_the_scope() {
    let program = Program::new();
    let scoped = program.cryptor.scoped(ctx!(tenant = "acme"));
    assert!(scoped.index_terms(&Customer::by_email("acme", "a@b.c")).await.is_ok());
    assert!(scoped.index_terms(&Customer::by_login("a@b.c")).await.is_ok());
    let error = scoped.index_terms(&Customer::by_email("other", "a@b.c")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
}

#[tokio::test]
async fn index_keys_need_a_key_store() {
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap();
    let error = cryptor.seal_texts([&Customer::ada("acme")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("key store"), "{error}");
}

#[tokio::test]
async fn one_key_call_for_each_context_and_version() {
    let program = Program::new();
    let rows: Vec<Customer> = (0..100).map(|id| Customer { id, ..Customer::ada("acme") }).collect();
    program.cryptor.seal_texts(&rows).await.unwrap();
    // the data key of the values, versions 1 and 2 of this context, version 1 of all
    assert_eq!(program.cryptor.stats().key_calls(), 4);
    program.cryptor.seal_texts(&rows).await.unwrap();
    assert_eq!(program.cryptor.stats().key_calls(), 4);
    let other = program.another();
    other.prepare(&rows).await.unwrap();
    let prepared = other.stats().key_calls();
    other.seal_texts(&rows).await.unwrap();
    assert_eq!((prepared, other.stats().key_calls()), (4, 4));
}

#[tokio::test]
async fn a_cryptor_for_writing_can_index() {
    let program = Program::new();
    let writer = program.cryptor.limited_to(Mode::WriteOnly);
    assert!(writer.seal_texts([&Customer::ada("acme")]).await.is_ok());
    // one that can't unwrap keys, not even that of an index, says so
    let keyring = LocalKeyring::open(program.folder.path().join("pii.key")).unwrap();
    let store = FileKeyStore::open(program.folder.path().join("keys")).unwrap();
    let cryptor =
        Cryptor::envelope().keyring(keyring).key_store(store).mode(Mode::WriteOnly).build().unwrap();
    let error = cryptor.seal_texts([&Customer::ada("acme")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("limited_to"), "{error}");
}

#[test]
fn the_facts_are_known() {
    let indexes = Customer::MODEL.indexes();
    let names: Vec<&str> = indexes.iter().map(|index| index.name()).collect();
    assert_eq!(names, ["email", "login", "phone", "ssn", "full_name"]);
    assert_eq!(indexes[2].size(), IndexSize::Bits(12));
    assert_eq!(indexes[4].parts().len(), 2);
}
