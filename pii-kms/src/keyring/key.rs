//! One KMS key of a keyring: its name, its client, and the ARN it is pinned to.

use std::sync::OnceLock;

use aws_sdk_kms::Client;
use futures_util::lock::Mutex;
use pii_core::{Error, ErrorKind, Result};

use super::{calls, clients::Clients};
use crate::key_reference::{KeyArn, KeyReference};

pub(super) struct KmsKey {
    reference: KeyReference,
    /// Whether new data keys are wrapped with it; otherwise it only opens copies.
    pub(super) wraps: bool,
    client: OnceLock<Client>,
    arn: OnceLock<KeyArn>,
    /// Whether this key may be described; told once, for one caller at a time.
    may_describe: Mutex<bool>,
}

impl KmsKey {
    pub(super) fn new(reference: KeyReference, wraps: bool, client: Option<Client>) -> Self {
        let arn = match &reference {
            KeyReference::Arn(arn) => OnceLock::from(arn.clone()),
            _ => OnceLock::new(),
        };
        let client = client.map_or_else(OnceLock::new, OnceLock::from);
        Self { reference, wraps, client, arn, may_describe: Mutex::new(true) }
    }

    pub(super) fn reference(&self) -> &KeyReference {
        &self.reference
    }

    /// What calls name the key by: its ARN as soon as that is known.
    pub(super) fn name(&self) -> &str {
        self.arn.get().map_or_else(|| self.reference.text(), KeyArn::as_str)
    }

    /// Whether copies of this name may open with this key. Before the key is pinned, any may.
    pub(super) fn may_open(&self, name: &KeyArn) -> bool {
        self.arn.get().is_none_or(|own| own.opens_copies_of(name))
    }

    pub(super) async fn client(&self, clients: &Clients) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = clients.of(self.reference.region()).await.map_err(|error| error.key(self.name()))?;
        Ok(self.client.get_or_init(|| made))
    }

    /// Finds out which key the name stands for, once. Where that may not be asked, the first
    /// successful call tells.
    pub(super) async fn resolve(&self, client: &Client, tokens: &[String]) -> Result<()> {
        if self.arn.get().is_some() {
            return Ok(());
        }
        let mut may_describe = self.may_describe.lock().await;
        if self.arn.get().is_some() || !*may_describe {
            return Ok(());
        }
        match calls::describe(client, self.reference.text(), tokens).await {
            Ok(answered) => self.pin("kms:DescribeKey", &answered).map(drop),
            Err(error) if error.kind() == ErrorKind::KeyDenied => {
                *may_describe = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the ARN that KMS answered with for the key's own; afterwards no other is accepted.
    pub(super) fn pin(&self, action: &str, answered: &str) -> Result<&KeyArn> {
        let unexpected = |why: &str| {
            Error::new(ErrorKind::Integrity)
                .key(self.name())
                .message(format!("{action} was answered by {why}"))
                .help("check what stands between this process and AWS KMS; an alias may have been moved at this moment")
        };
        let answered = KeyArn::parse(answered).ok_or_else(|| unexpected("something that is no KMS key"))?;
        let own = self.arn.get_or_init(|| answered.clone());
        if *own == answered { Ok(own) } else { Err(unexpected("another KMS key than the one asked for")) }
    }
}
