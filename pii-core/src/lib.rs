//! Types, wire format, cryptor and keyrings of pii.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod __private;
mod app_keys;
mod audit;
#[cfg(test)]
mod conformance;
mod context;
mod crypto;
mod cryptor;
mod documents;
mod durable_file;
mod error;
#[cfg(feature = "key-service")]
mod foreign;
pub mod index;
mod json;
mod key_admin;
mod key_store;
mod keyring;
mod mask;
mod masking;
mod model;
mod policies;
mod query;
mod row;
mod schema;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
mod value;
mod views;
mod wire;

pub use app_keys::{AppKeyFile, AppKeySource, AppKeyVariable, AppKeys};
pub use audit::{Access, AuditEvent, AuditFailure, AuditSink, Operation, Reason};
pub use context::{ContextText, ContextValue, ContextWriter, EncryptionContext, IntoContext, context_text};
pub use crypto::DataKey;
#[cfg(feature = "threads")]
pub use cryptor::OpeningAhead;
pub use cryptor::{
    CacheLimits, Cryptor, CryptorBackend, CryptorStats, CryptorStatus, DataKeyRotation, EnvelopeBuilder,
    FieldSelection, IndexEntry, IndexItem, IndexTerm, IndexText, KeptKey, OpenItem, Opening, Other, PiiRow,
    SealItem, SealedTexts, StateCounts, StoredText, ValuePlace, Wanted,
};
/// The future of the traits that you may implement: of the crate `futures-core`.
pub use futures_core::future::BoxFuture;

pub use documents::Documents;
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "amsdal")]
pub use foreign::Amsdal;
#[cfg(feature = "aws-encryption-sdk")]
pub use foreign::{ContextMatch, EncryptionSdk, EncryptionSdkBuilder, Powertools};
#[cfg(feature = "key-service")]
pub use foreign::{KeyService, ServiceBlob, ServiceContext, ServiceDataKey};
#[cfg(feature = "pydynox")]
pub use foreign::{Pydynox, PydynoxFormat};
pub use json::{JsonPath, NodePath, NodeStep};
pub use key_admin::{
    AccountReport, Confirm, ElectionProblem, ExportReport, ImportOptions, ImportReport, KeyAdmin, KeyProblem,
    Progress, ReplayReport, Retention, RewrapOptions, RewrapReport, Rotation, ShredReceipt, ShredScope,
    VerifyReport,
};
pub use key_store::{FileKeyStore, KeyRecord, KeySlot, KeyState, KeyStore, ListedKey};
pub use keyring::{
    GeneratedKey, HierarchicalKeyring, KeyBinding, Keyring, LocalKeyring, TestKeyring, refuse_test_copies,
};
#[cfg(feature = "public-keyring")]
pub use keyring::{PrivateKey, PrivateKeySource, PublicKey, PublicKeyring, SenderPolicy, WrappedPrivateKey};
pub use mask::Mask;
#[cfg(feature = "regex")]
pub use masking::Unmatched;
pub use masking::{FieldMask, MaskReport, Masker, MaskerBuilder, MissingPath, RuleReport};
pub use model::{
    ContextPart, FieldRole, FieldSpec, Holds, LegacyFormat, Level, Mode, ModelSpec, PiiField, PiiFieldInfo,
    PiiModel, PiiSchema, PiiSchemaContext, PiiSchemaField, PiiSchemaIndex, PiiSchemaIndexField,
    PiiSchemaIndexVersion, PlaintextPolicy, RowBinding, TypeCode, Walk, WalkMut,
};
pub use policies::{CurrentPolicies, FieldPolicies, LegacyPolicy};
pub use query::{Comparable, Comparison, Condition, Filter, Operand, PlainColumn, SealedColumn};
pub use row::{NoId, RowId, RowWriter};
pub use schema::{UPDATE_VARIABLE as SCHEMA_UPDATE_VARIABLE, check_schema, schema_of};
pub use secret::SecretBytes;
#[cfg(feature = "sea-orm")]
pub use value::ToActiveValue;
pub use value::{
    Encrypted, EncryptedStr, IntoPii, Json, PiiEnum, PiiScalar, PiiValue, Sealed, SealedField, ValueState,
};
pub use views::{Masked, MaskedView, Revealed, RevealedField, RevealedOrMasked, masked, revealed};
pub use wire::{Ciphertext, FormatError, KeyId, Layout, Provider, Purpose, WrappedKey};
