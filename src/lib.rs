//! Personal data encrypted in the database, field by field.
//!
//! With this library, "this field is personal data" is a property of the field's type. A value is sealed
//! when its row is saved, stays sealed when the row is loaded, is opened when the program asks for it, and
//! is never shown: `Debug`, `Display`, errors and logs mask it.
//!
#![cfg_attr(all(feature = "derive", feature = "sqlite"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "derive", feature = "sqlite")), doc = "```ignore")]
//! use pii::{Cryptor, DecryptPii, EncryptedStr, LocalKeyring, PiiModel, SqlTable, ctx};
//! use sqlx::SqlitePool;
//!
//! #[derive(PiiModel)]
//! #[pii(name = "customer", table = "customers", context(app = "billing", tenant = self.tenant), from_row)]
//! struct Customer {
//!     #[pii(id)]
//!     id: i64,
//!     tenant: String,
//!     #[pii(level = 1, mask = "name")]
//!     name: String,
//!     email: EncryptedStr,
//!     #[pii(mode = "WriteOnly", mask = "last4")]
//!     ssn: Option<EncryptedStr>,
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // once, when the program starts
//! let cryptor = Cryptor::envelope().keyring(LocalKeyring::open("pii.key")?).build()?;
//! let pool = SqlitePool::connect("sqlite:billing.db").await?;
//!
//! // for each request: rows of other tenants are refused
//! let cryptor = cryptor.scoped(ctx!(tenant = "acme"));
//! let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
//!
//! let ada = Customer {
//!     id: 1,
//!     tenant: "acme".into(),
//!     name: "Ada Lovelace".into(),
//!     email: EncryptedStr::new("ada@example.com"),
//!     ssn: None,
//! };
//! customers.insert(&ada).await?; // `ada` keeps its plaintext, the row gets `ENC:...`
//!
//! let sealed = customers.get(1).await?; // asks for no key
//! let opened = customers.get(1).decrypt_pii().await?;
//! println!("{opened:?}"); // masks
//! println!("{}", opened.email.expose()?); // the one door to the plaintext
//!
//! let named_ada = sqlx::query_as::<_, Customer>("SELECT * FROM customers WHERE name LIKE 'Ada %'")
//!     .decrypt_pii(&cryptor)
//!     .fetch_all(&pool)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it is designed
//!
//! **Models.** [`#[derive(PiiModel)]`](derive@PiiModel) makes a struct a model. It writes down which fields
//! are sealed and what their values belong to, and a `Debug` that masks. A sealed field that it
//! can't see, an unknown attribute or personal data in an id is a compile error.
//!
//! **Values.** An [`Encrypted<T>`](Encrypted) knows what it is: *plain* (set by the program), *sealed* (came
//! from the database) or *opened* (sealed, and its plaintext is known too). Nothing is guessed from the text.
//! [`expose`](Encrypted::expose) is the only way to the plaintext; whatever stores a value refuses a plain
//! one.
//!
//! **Cryptor.** A [`Cryptor`] seals and opens models, a whole batch at a time. It is a cheap handle:
//! [`scoped`](Cryptor::scoped), [`acting_as`](Cryptor::acting_as) and [`limited_to`](Cryptor::limited_to)
//! give handles that may do less. Below it is one joint, [`CryptorBackend`], for implementations of your own.
//!
//! **Keys.** Values are sealed under data keys, and data keys are wrapped by a [`Keyring`]. There is one
//! data key for each encryption context, such as a tenant. So a thousand rows of one tenant need one call to
//! the keyring, and loading and saving unchanged rows needs none. A [`KeyStore`] keeps the wrapped data
//! keys; without one they travel in the values. [`KeyAdmin`] is for those who look after them: new keys,
//! backups, and erasing a tenant or person by destroying their keys.
//!
//! **Places.** A value is bound to its model, field, type, encryption context and row. None of that is read
//! from the value. Copied to another row, field, table or tenant, it does not open.
//!
//! **Databases.** `SqlTable` makes the statements for simple rows, and `DecryptPii` adds `.decrypt_pii()` to
//! the queries of sqlx that you write yourself. Neither knows any cryptography. For another database or ORM, use
//! [`Cryptor::seal`] and [`Cryptor::open`], or serialise what [`Cryptor::sealed`] gives.
//!
//! What is stored, byte for byte, is written in `FORMAT.md` of the repository; what is protected against
//! whom, and what is not, in `SECURITY.md`; how to use all this in a project, in `docs/guide.md`.
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `derive` (default) | the derives of [`PiiModel`], [`RowId`] and [`ContextValue`] |
//! | `sqlite` | tables and queries on SQLite, by sqlx; compiles SQLite in |
//! | `postgres` | tables and queries on Postgres, by sqlx |
//! | `mysql` | tables and queries on MySQL and MariaDB, by sqlx |
//! | `any` | `.decrypt_pii()` on queries of `sqlx::Any`, beside one of the drivers |
//! | `dynamo` | tables, requests and the key store of DynamoDB, by the AWS SDK |
//! | `kms` | the keyring of AWS KMS, `KmsKeyring`, with a client or an `SdkConfig` of yours |
//! | `kms-from-env` | `KmsKeyring::from_env`: region and credentials as the AWS command line finds them |
//! | `secrets-manager` | `SecretsManagerAppKeys`: the application keys of level 3 from AWS Secrets Manager |
//! | `diesel`, `sea-orm` | sealed columns of these ORMs, on any backend |
//! | `blocking` | the module `blocking`: calls that wait, for programs without async |
//! | `uuid` | UUIDs as row ids, in encryption contexts and in columns, and sealed |
//! | `chrono`, `time`, `jiff` | sealed dates and times of these crates |
//! | `rust_decimal` | sealed decimals |
//! | `public-keyring` | `PublicKeyring`, for programs that write and can't read; compiles elliptic curves in |
//! | `amsdal` | `Amsdal`: values of AMSDAL's PII fields |
//! | `aws-encryption-sdk` | `EncryptionSdk` and `Powertools`: messages of the AWS Encryption SDK, and JSON values in them; compiles elliptic curves in |
//! | `pydynox` | `Pydynox`: values that pydynox wrote, alone and in fields that say `legacy = "pydynox"` |
//! | `testing` | the module `testing`: assertions, made-up people, keyrings and key stores that wait or fail, a sink that collects audit events; with `kms`, a fake KMS |
//!
//! No feature changes what another one does. This crate chooses no async runtime and no TLS library: choose
//! them on your own dependencies on sqlx and, for KMS, on `aws-config`, whose default features are a choice.
//!
//! # Every attribute at work
//!
//! What each of them means is listed at [`derive(PiiModel)`](derive@PiiModel).
//!
#![cfg_attr(all(feature = "derive", feature = "sqlite"), doc = "```")]
#![cfg_attr(not(all(feature = "derive", feature = "sqlite")), doc = "```ignore")]
//! use std::collections::BTreeMap;
//!
//! use pii::{Cryptor, Encrypted, EncryptedStr, Json, PiiModel, SqlTable, TestKeyring, ctx};
//! use serde::{Deserialize, Serialize};
//! use sqlx::sqlite::SqlitePoolOptions;
//!
//! type Email = EncryptedStr;
//!
//! fn initials(text: &str) -> String {
//!     text.split(' ').filter_map(|word| word.chars().next()).collect()
//! }
//!
//! #[derive(PiiModel)]
//! #[pii(
//!     name = "customer",              // every sealed value is bound to it
//!     was("client", "lead"),          // its names before
//!     table = "customers",
//!     context(app = "billing", tenant = self.tenant, "data-region" = self.region.trim()),
//!     from_row,                       // sqlx::FromRow too
//!     plaintext = "accept_and_seal",  // for all sealed fields that say nothing else
//!     keyring = "main",               // the same
//!     crate = ::pii,                  // where this library is; this is the default
//! )]
//! struct Customer {
//!     #[pii(id)]
//!     id: i64,
//!     tenant: String,
//!     region: String,
//!     #[pii(level = 1, mask = "name", column = "full_name")]
//!     name: String,
//!     #[pii(level = 1, mask = initials)]
//!     nickname: Option<String>,
//!     #[pii(name = "mail", was = "e_mail", mask = "email")]
//!     email: EncryptedStr,
//!     #[pii] // sealed, which the alias hides
//!     second_email: Option<Email>,
//!     #[pii(mode = "WriteOnly", mask = "last4", keyring = "high", plaintext = "reject")]
//!     ssn: Option<EncryptedStr>,
//!     #[pii(level = 2)] // what a sealed field has anyway
//!     phones: Vec<EncryptedStr>,
//!     answers: BTreeMap<String, EncryptedStr>,
//!     preferences: Encrypted<Json<Preferences>>,
//!     #[pii(nested)]
//!     address: Address,
//!     #[pii(version)]
//!     version: i64,
//!     #[pii(skip)]
//!     cache: Vec<u8>,
//! }
//!
//! /// Sealed whole.
//! #[derive(Serialize, Deserialize)]
//! struct Preferences {
//!     language: String,
//! }
//!
//! /// Some of it is sealed.
//! #[derive(PiiModel, Serialize, Deserialize)]
//! #[pii(nested)]
//! struct Address {
//!     street: EncryptedStr,
//!     country: String,
//! }
//!
//! /// A part of the same table, for those who need no more.
//! #[derive(PiiModel)]
//! #[pii(view_of = Customer, from_row, plaintext = "accept_and_seal", keyring = "main")]
//! #[pii(context(app = "billing", tenant = self.tenant, "data-region" = self.region.trim()))]
//! struct Contact {
//!     #[pii(id)]
//!     id: i64,
//!     tenant: String,
//!     region: String,
//!     #[pii(name = "mail", was = "e_mail")]
//!     email: EncryptedStr,
//! }
//!
//! /// The database makes up the id, so values can't be bound to it.
//! #[derive(PiiModel)]
//! #[pii(name = "note", table = "notes", from_row, debug = "manual")]
//! struct Note {
//!     #[pii(id, bind = "field")]
//!     id: Option<i64>,
//!     text: EncryptedStr,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cryptor = Cryptor::envelope()
//!     .named_keyring("main", TestKeyring::new())
//!     .named_keyring("high", TestKeyring::new())
//!     .keyring(TestKeyring::new()) // for fields that name none
//!     .build()?;
//! # let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
//! # sqlx::query("CREATE TABLE customers (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, region TEXT NOT NULL, \
//! #     full_name TEXT NOT NULL, nickname TEXT, email TEXT NOT NULL, second_email TEXT, ssn TEXT, \
//! #     phones TEXT NOT NULL, answers TEXT NOT NULL, preferences TEXT NOT NULL, address TEXT NOT NULL, \
//! #     version INTEGER NOT NULL)").execute(&pool).await?;
//! # sqlx::query("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)").execute(&pool).await?;
//! let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
//! let ada = Customer {
//!     id: 7,
//!     tenant: "acme".into(),
//!     region: "eu".into(),
//!     name: "Ada Lovelace".into(),
//!     nickname: Some("Enchantress of Numbers".into()),
//!     email: EncryptedStr::new("ada@example.com"),
//!     second_email: None,
//!     ssn: Some(EncryptedStr::new("900-12-3456")),
//!     phones: vec![EncryptedStr::new("555-0100")],
//!     answers: BTreeMap::from([("pet".into(), EncryptedStr::new("Puff"))]),
//!     preferences: Encrypted::json(&Preferences { language: "en".into() })?,
//!     address: Address { street: EncryptedStr::new("12 St James's Square"), country: "GB".into() },
//!     version: 1,
//!     cache: vec![],
//! };
//! customers.insert(&ada).await?;
//! let ada = customers.get(7).decrypt_pii().await?;
//! assert_eq!(ada.preferences.expose()?.language, "en");
//! assert!(ada.ssn.as_ref().is_some_and(|ssn| ssn.expose().is_err())); // WriteOnly
//! let shown = format!("{ada:?}");
//! assert!(shown.contains("name: A**** L****, nickname: Some(EoN), email: <opened a****@example.com>"));
//!
//! let contact = SqlTable::<Contact, _>::new(&pool, &cryptor).get(7).decrypt_pii().await?;
//! assert_eq!(contact.email.expose()?, "ada@example.com");
//!
//! let notes = SqlTable::<Note, _>::new(&pool, &cryptor);
//! let id = notes.insert(&Note { id: None, text: EncryptedStr::new("call back") }).returning_id().await?;
//! assert_eq!(notes.get(id).decrypt_pii().await?.text.expose()?, "call back");
//!
//! let personal: Vec<String> = Contact::pii_fields().into_iter().map(|field| field.path).collect();
//! assert_eq!(personal, ["mail"]);
//! # let elsewhere = cryptor.scoped(ctx!(tenant = "initech"));
//! # assert!(SqlTable::<Contact, _>::new(&pool, &elsewhere).get(7).await.is_err());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "blocking")]
pub mod blocking;
mod environment;

// The public interface is:

// values
#[cfg(feature = "sea-orm")]
#[doc(inline)]
pub use pii_core::ToActiveValue;
#[doc(inline)]
pub use pii_core::{
    Ciphertext, Encrypted, EncryptedStr, IntoPii, Json, Mask, PiiEnum, PiiScalar, PiiValue, Sealed,
    SealedField, SecretBytes, ValueState,
};
// models
#[doc(inline)]
pub use pii_core::{
    ContextPart, ContextText, ContextValue, ContextWriter, FieldRole, FieldSpec, Holds, LegacyFormat, Level,
    Mode, ModelSpec, PiiField, PiiFieldInfo, PiiModel, PlaintextPolicy, RowBinding, RowId, RowWriter,
    TypeCode, Walk, WalkMut,
};
#[cfg(feature = "derive")]
#[doc(inline)]
pub use pii_derive::{ContextValue, PiiEnum, PiiModel, RowId};
// what models say, as JSON
#[doc(inline)]
pub use pii_core::{
    PiiSchema, PiiSchemaContext, PiiSchemaField, PiiSchemaIndex, PiiSchemaIndexField, PiiSchemaIndexVersion,
};
// what is shown
#[doc(inline)]
pub use pii_core::{Masked, MaskedView, Revealed, RevealedField, RevealedOrMasked, masked, revealed};
// conditions on rows
#[doc(inline)]
pub use pii_core::{Comparable, Comparison, Condition, Filter, Operand, PlainColumn, SealedColumn};
// the schema snapshot
#[doc(inline)]
pub use pii_core::{SCHEMA_UPDATE_VARIABLE, assert_schema, check_schema, schema_of};
// sealing and opening
pub use environment::envelope_from_env;
#[doc(inline)]
pub use pii_core::{
    CacheLimits, Cryptor, CryptorStats, CryptorStatus, DataKeyRotation, EncryptionContext, EnvelopeBuilder,
    FieldPolicies, FieldSelection, IntoContext, KeptKey, LegacyPolicy, Opening, Other, PiiRow, SealedTexts,
    StateCounts, StoredText, ctx,
};
#[cfg(feature = "threads")]
#[doc(inline)]
pub use pii_core::{OpeningAhead, Wanted};
// what holds at one moment
#[doc(inline)]
pub use pii_core::CurrentPolicies;
// documents
#[doc(inline)]
pub use pii_core::{Documents, NoId};
// blind indexes
#[doc(inline)]
pub use pii_core::{IndexEntry, IndexTerm, IndexText, index};
// a cryptor of your own
#[doc(inline)]
pub use pii_core::{BoxFuture, CryptorBackend, IndexItem, OpenItem, SealItem, ValuePlace};
// keys
#[doc(inline)]
pub use pii_core::{
    DataKey, FileKeyStore, GeneratedKey, HierarchicalKeyring, KeyBinding, KeyId, KeyRecord, KeySlot,
    KeyState, KeyStore, Keyring, Layout, ListedKey, LocalKeyring, Provider, Purpose, TestKeyring, WrappedKey,
    refuse_test_copies,
};
// the formats of other systems
#[cfg(feature = "amsdal")]
#[doc(inline)]
pub use pii_core::Amsdal;
#[cfg(feature = "aws-encryption-sdk")]
#[doc(inline)]
pub use pii_core::{ContextMatch, EncryptionSdk, EncryptionSdkBuilder, Powertools};
#[cfg(any(feature = "pydynox", feature = "aws-encryption-sdk", feature = "amsdal"))]
#[doc(inline)]
pub use pii_core::{KeyService, ServiceBlob, ServiceContext, ServiceDataKey};
#[cfg(feature = "pydynox")]
#[doc(inline)]
pub use pii_core::{Pydynox, PydynoxFormat};
#[cfg(all(
    feature = "kms",
    any(feature = "pydynox", feature = "aws-encryption-sdk", feature = "amsdal")
))]
#[doc(inline)]
pub use pii_kms::KmsKeyService;
#[cfg(feature = "kms")]
#[doc(inline)]
pub use pii_kms::{KmsKeyring, KmsKeyringBuilder};
// application keys, the second lock of level 3
#[doc(inline)]
pub use pii_core::{AppKeyFile, AppKeySource, AppKeyVariable, AppKeys};
#[cfg(feature = "public-keyring")]
#[doc(inline)]
pub use pii_core::{PrivateKey, PrivateKeySource, PublicKey, PublicKeyring, SenderPolicy, WrappedPrivateKey};
// the life of keys
#[doc(inline)]
pub use pii_core::{
    AccountReport, Confirm, ElectionProblem, ExportReport, ImportOptions, ImportReport, KeyAdmin, KeyProblem,
    Progress, ReplayReport, Retention, RewrapOptions, RewrapReport, Rotation, ShredReceipt, ShredScope,
    VerifyReport,
};
#[cfg(feature = "secrets-manager")]
#[doc(inline)]
pub use pii_kms::SecretsManagerAppKeys;
// audit
#[doc(inline)]
pub use pii_core::{Access, AuditEvent, AuditFailure, AuditSink, Operation, Reason};
// masking
#[cfg(feature = "regex")]
#[doc(inline)]
pub use pii_core::Unmatched;
#[doc(inline)]
pub use pii_core::{FieldMask, MaskReport, Masker, MaskerBuilder, MissingPath, RuleReport};
// paths into JSON documents
#[doc(inline)]
pub use pii_core::{JsonPath, NodePath, NodeStep};
// errors
#[doc(inline)]
pub use pii_core::{Error, ErrorKind, FormatError, Result};
// SQL
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[doc(inline)]
pub use pii_sqlx::{
    Adoption, AdoptionCensus, AdoptionReport, Columns, DecryptPii, Dialect, FromPrefixedRow, Interrupted,
    Joined, SealedRows, ShadowColumn, SqlKeyStore, SqlModel, SqlTable, Stored, Swap, builder, sqlx_error,
};
// examining and defining tables
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[doc(inline)]
pub use pii_sqlx::{
    Catalogue, ColumnLimits, Ddl, DdlKind, DdlStatement, DdlStatements, DdlTransaction, Doctor, DoctorReport,
    Finding, FindingKind, Severity, doctor,
};
// DynamoDB
#[cfg(feature = "dynamo")]
#[doc(inline)]
pub use pii_dynamo::{
    DecryptItems, DynamoKeyStore, DynamoModel, DynamoTable, DynamoTransaction, Item, Opened, Page,
    PlaintextGuard, SealedTransaction, Written, dynamo_error,
};
// tests
/// Help for the tests of programs that use this library.
#[cfg(feature = "testing")]
pub mod testing {
    #[doc(inline)]
    pub use pii_core::testing::*;
    #[cfg(any(feature = "kms", feature = "secrets-manager"))]
    #[doc(inline)]
    pub use pii_kms::testing as kms;
}

/// What modules with models and queries need: `use pii::prelude::*;`.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use pii::prelude::*;
///
/// #[derive(PiiModel)]
/// #[pii(name = "customer", table = "customers")]
/// struct Customer {
///     #[pii(id)]
///     id: i64,
///     email: EncryptedStr,
/// }
/// ```
///
/// With a SQL feature, `SqlTable` and the method `.decrypt_pii()` are in it too; with `dynamo`, `DynamoTable`
/// and that method on requests of the AWS SDK.
pub mod prelude {
    pub use crate::{Access, Cryptor, Encrypted, EncryptedStr, Json, Mask, PiiModel, Reason, ctx};
    #[cfg(feature = "dynamo")]
    pub use crate::{DecryptItems as _, DynamoTable};
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub use crate::{DecryptPii as _, SqlTable};
}

/// What generated code uses; no part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use pii_core::__private::*;
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub use pii_sqlx::__private::*;

    #[cfg(feature = "dynamo")]
    pub use pii_dynamo::__private::*;

    pub use crate::{__pii_if_dynamo as if_dynamo, __pii_if_sqlx as if_sqlx};
}

/// Keeps generated sqlx code only where a SQL feature is on: a derive can't see features.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pii_if_sqlx {
    ($($code:tt)*) => { $($code)* };
}

/// Keeps generated sqlx code only where a SQL feature is on: a derive can't see features.
#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pii_if_sqlx {
    ($($code:tt)*) => {};
}

/// Keeps generated code for DynamoDB only where its feature is on: a derive can't see features.
#[cfg(feature = "dynamo")]
#[doc(hidden)]
#[macro_export]
macro_rules! __pii_if_dynamo {
    ($($code:tt)*) => { $($code)* };
}

/// Keeps generated code for DynamoDB only where its feature is on: a derive can't see features.
#[cfg(not(feature = "dynamo"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pii_if_dynamo {
    ($($code:tt)*) => {};
}

/// The programs in README.md.
#[cfg(all(doctest, feature = "derive", feature = "sqlite", feature = "postgres", feature = "uuid"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

/// The examples in the guide.
#[cfg(all(doctest, feature = "derive", feature = "postgres", feature = "testing"))]
#[doc = include_str!("../docs/guide.md")]
struct GuideDoctests;

/// The examples in the page on moving tables.
#[cfg(all(doctest, feature = "derive", feature = "postgres"))]
#[doc = include_str!("../docs/migration.md")]
struct MigrationDoctests;
