//! `.decrypt_pii(&cryptor)` on requests that users write with the SDK.

mod decrypting;
mod each;
mod keys;
mod request;
mod source;

use pii_core::Cryptor;

pub use decrypting::{Decrypting, Opened};
pub use each::EachItem;
pub use source::{ReadItems, ReadOnce, ReadPages};

/// Adds `.decrypt_pii(&cryptor)` to the SDK's builders of Query, Scan, GetItem, BatchGetItem and
/// TransactGetItems, and to the paginators of Query and Scan.
///
/// The request is sent as it was written, and its answer keeps everything but the items: where the next page
/// begins, counts, consumed capacity, keys that were left. The items of an answer are opened in one batch.
///
/// ```no_run
/// use aws_sdk_dynamodb::types::AttributeValue;
/// use pii::{Cryptor, DecryptItems, EncryptedStr, PiiModel};
/// use serde::Deserialize;
///
/// #[derive(PiiModel, Deserialize)]
/// #[pii(name = "customer")]
/// struct Customer {
///     #[pii(partition_key)]
///     id: String,
///     city: String,
///     email: EncryptedStr,
/// }
///
/// # async fn run(client: aws_sdk_dynamodb::Client, cryptor: Cryptor) -> pii::Result<()> {
/// let found = client
///     .query()
///     .table_name("customers")
///     .index_name("by_city")
///     .key_condition_expression("city = :city")
///     .expression_attribute_values(":city", AttributeValue::S("London".into()))
///     .decrypt_pii(&cryptor)
///     .send::<Customer>()
///     .await?;
/// println!("{} of {} items read", found.items.len(), found.output.scanned_count);
///
/// let id = AttributeValue::S("c-1".into());
/// let one = client.get_item().table_name("customers").key("id", id).decrypt_pii(&cryptor).send().await?;
/// let ada: Option<Customer> = one.items;
/// # Ok(())
/// # }
/// ```
///
/// The items must have every attribute that values are bound to: the key, and the fields of the encryption
/// context. A projection that drops one is refused before anything is sent.
pub trait DecryptItems: ReadItems {
    /// Opens the sealed fields of the items that the request gives.
    fn decrypt_pii(self, cryptor: &Cryptor) -> Decrypting<'_, Self> {
        Decrypting::new(self, cryptor)
    }
}

impl<Q: ReadItems> DecryptItems for Q {}
