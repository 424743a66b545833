//! Data keys in a table of DynamoDB: see FORMAT.md, "DynamoDB key store".

mod create;
mod error;
mod item;
mod page;
mod place;
mod read;
mod store;
#[cfg(test)]
mod tests;
mod write;

use std::{fmt, time::Duration};

use aws_sdk_dynamodb::Client;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, default_async_sleep};
use pii_core::{Error, ErrorKind, Result};

/// The table's name, unless another one is chosen.
const DEFAULT_TABLE: &str = "pii_data_keys";

/// A key store in a table of DynamoDB, for any number of processes and hosts. The copies of data keys in it
/// are wrapped, so the table is no secret; losing it loses every value sealed under its keys. Have it
/// recover to any point in time, as [`create_table`](Self::create_table) does.
///
/// ```no_run
/// use pii::{Cryptor, DynamoKeyStore, LocalKeyring};
///
/// async fn cryptor(client: &aws_sdk_dynamodb::Client) -> pii::Result<Cryptor> {
///     let store = DynamoKeyStore::new(client);
///     store.create_table().await?; // or Terraform, or CloudFormation
///     Cryptor::envelope().keyring(LocalKeyring::open("pii.key")?).key_store(store).build()
/// }
/// ```
///
/// A new key and its election are one transaction of their own, and are read back before the first value is
/// sealed under the key. All reads are strongly consistent: a key is found by whoever reads the first value
/// that was sealed under it. There is no index, since one lags behind.
///
/// The client is yours, with its region, credentials, time limits and retries. While it makes a call for the
/// key store, nothing is logged: requests hold values of encryption contexts.
///
/// # Permissions
/// Programs that only open need `dynamodb:GetItem`. Programs that seal need `dynamodb:Query` and
/// `dynamodb:PutItem` too. `dynamodb:UpdateItem` is for the tools that rotate, rewrap and destroy keys. Nobody
/// needs `dynamodb:DeleteItem` or `dynamodb:Scan`.
///
/// # Several regions
/// An election has one winner in one region. Keep the key store in one region, and give all programs a client
/// of that region: where a global table settles later which of two writes wins, a key that was destroyed in one
/// region can come back from another, and a region may not have the record of a key yet.
#[derive(Clone)]
pub struct DynamoKeyStore {
    client: Client,
    table: String,
}

impl DynamoKeyStore {
    /// Keeps the keys in the table `pii_data_keys` of the client's region.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self { client: client.clone(), table: DEFAULT_TABLE.to_owned() }
    }

    /// Keeps the keys in a table of this name, or of this ARN, with which another account's table can be used.
    ///
    /// ```no_run
    /// use pii::DynamoKeyStore;
    ///
    /// fn store(client: &aws_sdk_dynamodb::Client) -> pii::Result<DynamoKeyStore> {
    ///     DynamoKeyStore::new(client).table("shop-data-keys")
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) for a name that no table can have.
    pub fn table(self, name: &str) -> Result<Self> {
        let is_name = (3..=255).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !is_name && !name.starts_with("arn:") {
            return Err(Error::new(ErrorKind::Configuration)
                .message("no table of DynamoDB can have this name")
                .help("a name has 3 to 255 characters out of a-z, A-Z, 0-9, `_`, `-` and `.`"));
        }
        Ok(Self { table: name.to_owned(), ..self })
    }

    /// Waits with the runtime of the client; says whether it has one.
    async fn pause(&self, duration: Duration) -> bool {
        let Some(sleep) = self.client.config().sleep_impl().or_else(default_async_sleep) else {
            return false;
        };
        sleep.sleep(duration).await;
        true
    }
}

impl fmt::Debug for DynamoKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoKeyStore").field("table", &self.table).finish_non_exhaustive()
    }
}
