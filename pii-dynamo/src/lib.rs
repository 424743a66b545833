//! Sealed fields in DynamoDB through the AWS SDK.
//!
//! [`DynamoTable`] reads and writes the items of one table as models. A model has
//! `#[derive(PiiModel, Serialize, Deserialize)]`; serde says which attribute a field is, and a sealed
//! field is an attribute of the type `S` with `ENC:...` in it.
//!
//! ```no_run
//! use pii::{Cryptor, DynamoTable, EncryptedStr, LocalKeyring, PiiModel};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(PiiModel, Serialize, Deserialize)]
//! #[pii(name = "customer", table = "customers")]
//! struct Customer {
//!     #[pii(partition_key)]
//!     id: String,
//!     city: String,
//!     email: EncryptedStr,
//! }
//!
//! # async fn run(client: aws_sdk_dynamodb::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let cryptor = Cryptor::envelope().keyring(LocalKeyring::open("pii.key")?).build()?;
//! let customers = DynamoTable::<Customer>::new(&client, &cryptor);
//!
//! let ada = Customer { id: "c-1".into(), city: "London".into(), email: EncryptedStr::new("ada@example.com") };
//! customers.put(&ada).await?; // the item gets `ENC:...`
//!
//! let sealed = customers.get("c-1".to_owned()).await?; // no key was asked for
//! let opened = customers.get("c-1".to_owned()).decrypt_pii().await?;
//! assert_eq!(opened.email.expose()?, "ada@example.com");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod attributes;
mod backoff;
mod decrypt;
mod error;
mod expression;
mod guard;
mod item;
mod key;
mod key_store;
mod model;
mod open;
mod placeholders;
mod scope;
mod size;
mod table;
mod transaction;

pub use decrypt::{DecryptItems, Opened};
pub use error::dynamo_error;
pub use guard::PlaintextGuard;
pub use item::Item;
pub use key_store::DynamoKeyStore;
pub use model::DynamoModel;
pub use table::{DynamoTable, Page, Written};
pub use transaction::{DynamoTransaction, SealedTransaction};

/// What stands between a call and its `.await`: types that are rarely named.
pub mod builder {
    pub use crate::decrypt::{Decrypting, EachItem, ReadItems, ReadOnce, ReadPages};
    pub use crate::table::{
        ClearIndexes, Delete, DeleteMany, Exists, FillIndexes, Find, FindDuplicates, FindOne, FindOptional,
        Get, GetMany, GetOptional, GetTogether, Put, PutMany, Query, Scan, Update,
    };
}

/// What generated code uses; no part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::{key::KeyWriter, model::DynamoModel};
}
