//! The derives of `pii`: use them through that crate, which exports them beside the traits of the
//! same names and shows them in examples that compile.
#![forbid(unsafe_code)]

mod ast;
mod attr;
mod check;
mod ctxt;
mod expand;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a model: which of its fields are sealed, what their values are bound to, and where
/// they are stored.
///
/// ```text
/// #[derive(PiiModel)]
/// #[pii(name = "customer", table = "customers", context(app = "billing", tenant = self.tenant))]
/// struct Customer {
///     #[pii(id)]
///     id: i64,
///     tenant: String,
///     #[pii(level = 1, mask = "name")]
///     name: String,
///     email: EncryptedStr,
///     #[pii(mode = "WriteOnly", mask = "last4")]
///     ssn: Option<EncryptedStr>,
/// }
/// ```
///
/// The documentation of `pii` has the same example with its imports and in use.
///
/// A field is **sealed** if its type names `Encrypted` or `EncryptedStr`, alone or in an `Option`,
/// `Box`, `Vec`, `HashMap<String, _>` or `BTreeMap<String, _>`. Where a type alias hides that, `#[pii]`
/// marks the field; an alias that was forgotten is a compile error. All other fields are plain.
///
/// The derive writes `PiiModel`, a `Debug` that masks personal fields and hides the values of the
/// encryption context (so don't derive `Debug` too), and what tables need, if a SQL feature is on. A
/// plain field whose type no database knows is no error: the model just has no table.
///
/// # On the struct
/// | attribute | |
/// |---|---|
/// | `name = "customer"` | the stable name, authenticated with every value: keep it when the struct is renamed; needed where a field is sealed |
/// | `was = "client"`, `was("client", "lead")` | earlier stable names, under which stored values still open |
/// | `table = "customers"` | the table |
/// | `context(app = "billing", tenant = self.tenant)` | the encryption context: at most 8 pairs of literals or expressions of plain fields; it chooses the data key, and key services log it in clear text |
/// | `subject = self.person_id` | the person whom the values are about: a plain field with a random id, the same in all models, never reused and never made of personal data. It adds the pair `subject` to the encryption context, so that each person has data keys of their own and `KeyAdmin::shred` erases them; the cryptor needs a key store |
/// | `bind = "field"` | a model without an id: values are bound to model and field only |
/// | `from_row` | writes `sqlx::FromRow` too, which also reads lists, maps and nested structs |
/// | `debug = "manual"` | writes no `Debug` |
/// | `fields = "columns"` | what the function `fields` is called, if the struct has one of its own |
/// | `blind_index(name = "full_name", fields(first_name(normalize = "casefold"), last_name))` | a blind index over several fields |
/// | `plaintext = "..."`, `keyring = "..."` | for all sealed fields that do not say otherwise |
/// | `nested` | the struct stands in a field of models, and is no model itself |
/// | `view_of = Customer` | a smaller struct over the same table, with that model's names; at compile time its fields, ids and context are held against it |
/// | `crate = ::path::to::pii` | where `pii` is, if it has another name |
///
/// # On fields
/// | attribute | |
/// |---|---|
/// | `#[pii]` | the field is sealed, although its type is an alias or a parameter |
/// | `id` | the row's id, to which values are bound; several make up one id, in their order |
/// | `partition_key`, `sort_key` | the same for items of DynamoDB, whose id is their key |
/// | `id, bind = "field"` | an id that values are not bound to; it may be an `Option`, for ids that the database makes up |
/// | `level = 1` | personal, but stored plain: masked in `Debug`, and listed |
/// | `level = 2` | sealed, as if marked `#[pii]` |
/// | `level = 3` | sealed with an application key first, then like level 2: either key alone opens nothing; stored plaintext is never accepted |
/// | `mode = "WriteOnly"` | `ReadWrite` (the default), `WriteOnly` or `ReadOnly` |
/// | `mask = "last4"` | how it is shown: `full` (the default), `last4`, `first`, `email`, `name`, `card`, or the path of a `fn(&str) -> String`; what is not text is masked in full |
/// | `name = "email"` | the stable name, if it is not the field's |
/// | `was = "mail"`, `was("mail", "e_mail")` | earlier stable names |
/// | `column = "email_address"` | the column; else sqlx's `rename` or `rename_all`, else serde's `rename`, else the field's name |
/// | `keyring = "high"` | the keyring whose keys it is sealed under |
/// | `plaintext = "accept_and_seal"` | what stored text that is not encrypted means: `reject` (the default), `accept_and_seal` or `prepare` |
/// | `legacy = "pydynox"` | stored values may be those of another system, which `Cryptor::with_legacy` describes; needs the feature of that name |
/// | `pad = 32` | values are padded to a multiple of so many bytes before they are sealed, which hides their length; for text, bytes, JSON and enums. The number may change at any time; to stop padding, write `pad = 1`. Without it, an enum is padded to its longest name |
/// | `pad = 32, was_unpadded` | stored values may be from before the field was padded |
/// | `blind_index`, `blind_index(normalize = "email", ...)` | a column beside it by which rows are found: see `pii::index`. `normalize` says what counts as the same: `trim`, `lower`, `email`, `digits`, `last4`, `first`, `casefold` or a constant of yours, or several in parentheses; `bits = 16` keeps that many bits of the code, `unique` all of them; `scope = "global"` makes one index of all tenants; `versions(1, 2)` lists the live versions; `name` and `column` name it; `search = "with_email"` names the function `by_email`, if the struct has one of its own |
/// | `nested` | a struct with `#[pii(nested)]`, or an `Option`, `Box`, list or map of one, stored as JSON |
/// | `nested, prefix = "address_"` | in SQL, a nested struct or an `Option` of one in columns of its own: `address_street` |
/// | `version` | an integer column by which concurrent changes are noticed |
/// | `skip` | left out of everything; `from_row` gives it its default |
#[proc_macro_derive(PiiModel, attributes(pii))]
pub fn derive_pii_model(input: TokenStream) -> TokenStream {
    expand::derive_model(&parse_macro_input!(input as DeriveInput)).into()
}

/// Lets a newtype, such as `struct CustomerId(i64);`, be the id of a row: it is bound as its one field.
///
/// `#[pii(crate = ::path::to::pii)]` says where `pii` is, if it has another name.
#[proc_macro_derive(RowId, attributes(pii))]
pub fn derive_row_id(input: TokenStream) -> TokenStream {
    expand::newtype(&parse_macro_input!(input as DeriveInput), &expand::RowId).into()
}

/// Lets a newtype, such as `struct TenantId(String);`, be a value of encryption contexts: that of its
/// one field.
///
/// `#[pii(crate = ::path::to::pii)]` says where `pii` is, if it has another name.
#[proc_macro_derive(ContextValue, attributes(pii))]
pub fn derive_context_value(input: TokenStream) -> TokenStream {
    expand::newtype(&parse_macro_input!(input as DeriveInput), &expand::ContextValue).into()
}

/// Lets an enum of unit variants be sealed: `Encrypted<Status>`. A variant is sealed as its stable name.
///
/// `#[pii(name = "active")]` on a variant gives its stable name, if it is not the variant's; `was = "live"` or
/// `was("live", "open")` names that it had earlier. `#[pii(crate = ::path::to::pii)]` on the enum says where `pii`
/// is, if it has another name.
#[proc_macro_derive(PiiEnum, attributes(pii))]
pub fn derive_pii_enum(input: TokenStream) -> TokenStream {
    expand::pii_enum(&parse_macro_input!(input as DeriveInput)).into()
}
