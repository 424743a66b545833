//! A last line of defence in the SDK's client: requests that carry plaintext are not sent.

mod requests;
mod rule;
mod statement;

use std::sync::Arc;

use aws_sdk_dynamodb::config::{
    ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeSerializationInterceptorContextMut,
};
use aws_smithy_runtime_api::box_error::BoxError;
use pii_core::{Error, ErrorKind, FieldPolicies, PiiModel, Result};

use rule::Rule;

/// An interceptor for the SDK's client that refuses any request which would store plaintext in a sealed
/// attribute, or compare one with something: also those of code that knows nothing of this library.
///
/// It looks at PutItem, UpdateItem, DeleteItem, BatchWriteItem, TransactWriteItems, Query and Scan, at the
/// parameters that older programs use too, and at statements of PartiQL. A refused request fails with
/// `SdkError::ConstructionFailure`, whose source is an [`Error`]; no value is in it.
///
/// Refused too: an update that copies a sealed value to another attribute, where it would not open; something
/// else than a code in the attribute of a blind index; and an expression that can't be read.
///
/// What it can't see: tables that no rule names, attributes that are no field of the model, and requests
/// of other clients. Fields whose policy is `prepare` are left alone: the declared one, unless there are
/// [`policies`](PlaintextGuard::policies).
///
/// ```
/// use pii::{EncryptedStr, PiiModel, PlaintextGuard};
///
/// #[derive(PiiModel, serde::Serialize, serde::Deserialize)]
/// #[pii(name = "customer", table = "customers")]
/// struct Customer {
///     #[pii(partition_key)]
///     id: String,
///     email: EncryptedStr,
/// }
///
/// # fn guarded(client: aws_sdk_dynamodb::Client) -> pii::Result<aws_sdk_dynamodb::Client> {
/// let guard = PlaintextGuard::new().model::<Customer>()?;
/// let config = client.config().to_builder().interceptor(guard).build();
/// Ok(aws_sdk_dynamodb::Client::from_conf(config))
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct PlaintextGuard {
    rules: Arc<Vec<Rule>>,
    policies: Option<FieldPolicies>,
}

impl PlaintextGuard {
    /// A guard without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Guards the sealed fields of a model in the table that it names.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if it names none.
    pub fn model<M: PiiModel>(self) -> Result<Self> {
        match M::MODEL.table() {
            Some(table) => Ok(self.table::<M>(table)),
            None => Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("the model names no table")
                .help("write `#[pii(table = \"...\")]` on the struct, or use `PlaintextGuard::table`")),
        }
    }

    /// Guards the sealed fields of a model in this table.
    #[must_use]
    pub fn table<M: PiiModel>(self, table: &str) -> Self {
        self.with(Rule::new(table, None, M::MODEL))
    }

    /// The same for a table that several models share: this attribute holds the model's stable name, as with
    /// `DynamoTable::entity`. Items without it, and updates, which don't show it, are held against the rule too.
    #[must_use]
    pub fn entity<M: PiiModel>(self, table: &str, attribute: &str) -> Self {
        self.with(Rule::new(table, Some(attribute), M::MODEL))
    }

    /// Asks policies that are switched while the program runs, for every request: those of its cryptors, see
    /// [`Cryptor::with_policies`](pii_core::Cryptor::with_policies). They take the place of those given before.
    ///
    /// A policy that a model can't have makes every request for the model's table fail.
    ///
    /// ```
    /// # use pii::{EncryptedStr, PiiModel};
    /// # #[derive(PiiModel, serde::Serialize, serde::Deserialize)]
    /// # #[pii(name = "customer", table = "customers")]
    /// # struct Customer { #[pii(partition_key)] id: String, email: EncryptedStr }
    /// use pii::{FieldPolicies, PlaintextGuard, PlaintextPolicy};
    ///
    /// # fn guard() -> pii::Result<()> {
    /// let policies = FieldPolicies::new();
    /// let guard = PlaintextGuard::new().model::<Customer>()?.policies(&policies);
    ///
    /// policies.set("customer", "email", PlaintextPolicy::Prepare); // plaintext passes from here on
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn policies(self, policies: &FieldPolicies) -> Self {
        Self { policies: Some(policies.clone()), ..self }
    }

    fn with(mut self, rule: Rule) -> Self {
        Arc::make_mut(&mut self.rules).push(rule);
        self
    }
}

impl Intercept for PlaintextGuard {
    fn name(&self) -> &'static str {
        "PlaintextGuard"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        requests::check(&self.rules, self.policies.as_ref(), context.input())?;
        Ok(())
    }
}
