//! The formats of other systems, to move data in and out. Each is named by configuration: none is
//! ever guessed for a field of ours.

#[cfg(feature = "amsdal")]
mod amsdal;
#[cfg(any(feature = "amsdal", feature = "pydynox"))]
mod cipher;
#[cfg(feature = "aws-encryption-sdk")]
mod encryption_sdk;
mod key_service;
#[cfg(any(feature = "amsdal", feature = "pydynox"))]
mod named_keys;
#[cfg(feature = "pydynox")]
mod pydynox;

#[cfg(feature = "amsdal")]
pub use amsdal::Amsdal;
#[cfg(feature = "aws-encryption-sdk")]
pub use encryption_sdk::{ContextMatch, EncryptionSdk, EncryptionSdkBuilder, Powertools};
pub use key_service::{KeyService, ServiceBlob, ServiceContext, ServiceDataKey};
#[cfg(feature = "pydynox")]
pub use pydynox::{Pydynox, PydynoxFormat};
