//! The models of the suite.

use pii::{EncryptedStr, PiiModel};
use serde::{Deserialize, Serialize};

/// A simple item with a tenant.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer", context(tenant = self.tenant))]
pub(crate) struct Customer {
    #[pii(partition_key)]
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) city: String,
    pub(crate) email: EncryptedStr,
    #[pii(mode = "WriteOnly")]
    pub(crate) ssn: Option<EncryptedStr>,
}

pub(crate) fn ada() -> Customer {
    Customer {
        id: "c-1".into(),
        tenant: "acme".into(),
        city: "London".into(),
        email: EncryptedStr::new("ada@example.com"),
        ssn: Some(EncryptedStr::new("900-12-3456")),
    }
}
