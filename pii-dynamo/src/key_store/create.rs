//! The table itself.

use std::time::Duration;

use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata as _,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
        ScalarAttributeType, TableDescription, TableStatus,
    },
};
use pii_core::{__private::silently, ErrorKind, Result};

use super::{
    DynamoKeyStore,
    place::{PARTITION, SORT},
    write::incomplete,
};

/// How often it is looked whether something is ready: for about a minute.
const LOOKS: u32 = 60;
const MAX_PAUSE: Duration = Duration::from_secs(1);

impl DynamoKeyStore {
    /// Creates the table if it does not exist, and waits until it can be used; also when several processes do
    /// so at once. It gets on-demand capacity, protection against being deleted, and recovery to any point
    /// in time. A table that exists stays as it is: it is only checked that its keys are those of a key
    /// store.
    ///
    /// This needs `dynamodb:DescribeTable`, and where there is no table `dynamodb:CreateTable` and
    /// `dynamodb:UpdateContinuousBackups`. In production, have Terraform or CloudFormation do it: `docs/aws` of
    /// the repository has both.
    ///
    /// ```no_run
    /// # async fn run(client: &aws_sdk_dynamodb::Client) -> pii::Result<()> {
    /// pii::DynamoKeyStore::new(client).create_table().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) if there is a table of this name with other keys,
    /// [`KeyDenied`](ErrorKind::KeyDenied) without permission,
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if DynamoDB can't be reached or the table is not ready
    /// within a minute. Where recovery can't be turned on the table is there all the same; a warning is logged
    /// where the server has no such thing, as DynamoDB Local.
    pub async fn create_table(&self) -> Result<()> {
        let is_new = match self.description().await? {
            Some(_) => false,
            None => self.create().await?,
        };
        self.until_active().await?;
        if is_new { self.let_recover().await } else { Ok(()) }
    }

    /// Says whether the table was created here, and not by somebody else meanwhile.
    async fn create(&self) -> Result<bool> {
        let mut request = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .deletion_protection_enabled(true);
        for (name, kind) in [(PARTITION, KeyType::Hash), (SORT, KeyType::Range)] {
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .map_err(incomplete)?;
            let key = KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
                .map_err(incomplete)?;
            request = request.attribute_definitions(attribute).key_schema(key);
        }
        match silently(request.send()).await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(CreateTableError::ResourceInUseException(_)) => Ok(false),
                _ => Err(self.failed("dynamodb:CreateTable", &error)),
            },
        }
    }

    async fn until_active(&self) -> Result<()> {
        for look in 0..LOOKS {
            // one that was created a moment ago may not be known everywhere
            if let Some(table) = self.description().await? {
                self.check(&table)?;
                if matches!(table.table_status(), Some(TableStatus::Active | TableStatus::Updating)) {
                    return Ok(());
                }
            }
            self.look_again(look).await?;
        }
        Err(self
            .wrong(ErrorKind::KeyUnavailable, "the table is not ready after a minute")
            .help("look at its status in the AWS console, and try again"))
    }

    /// Has the table recover to any point in time.
    async fn let_recover(&self) -> Result<()> {
        let specification = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .build()
            .map_err(incomplete)?;
        for look in 0..LOOKS {
            let request = self
                .client
                .update_continuous_backups()
                .table_name(&self.table)
                .point_in_time_recovery_specification(specification.clone());
            let Err(error) = silently(request.send()).await else { return Ok(()) };
            match error.code() {
                // of a new table, backups are being set up
                Some("ContinuousBackupsUnavailableException") => self.look_again(look).await?,
                Some("UnknownOperationException") => {
                    tracing::warn!(table = %self.table, "this server can't recover the key store to a point in time");
                    return Ok(());
                }
                _ => return Err(self.failed("dynamodb:UpdateContinuousBackups", &error)),
            }
        }
        Err(self
            .wrong(
                ErrorKind::KeyUnavailable,
                "recovery to a point in time could not be turned on within a minute",
            )
            .help("turn it on by hand: what the table loses is lost with all values under its keys"))
    }

    async fn description(&self) -> Result<Option<TableDescription>> {
        let request = self.client.describe_table().table_name(&self.table);
        match silently(request.send()).await {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(self.failed("dynamodb:DescribeTable", &error)),
        }
    }

    fn check(&self, table: &TableDescription) -> Result<()> {
        let mut keys: Vec<_> =
            table.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
        keys.sort_by_key(|(name, _)| *name);
        let are_texts = table
            .attribute_definitions()
            .iter()
            .filter(|attribute| [PARTITION, SORT].contains(&attribute.attribute_name()))
            .all(|attribute| *attribute.attribute_type() == ScalarAttributeType::S);
        if keys == [(PARTITION, &KeyType::Hash), (SORT, &KeyType::Range)] && are_texts {
            return Ok(());
        }
        Err(self
            .wrong(ErrorKind::Configuration, "there is a table of this name that is made for something else")
            .help(
                "name another one with `DynamoKeyStore::table`; the partition key of a key store is `pk` and \
                 its sort key `sk`, both of the type S",
            ))
    }

    async fn look_again(&self, look: u32) -> Result<()> {
        let pause = Duration::from_millis(50).saturating_mul(1 << look.min(16)).min(MAX_PAUSE);
        if self.pause(pause).await {
            return Ok(());
        }
        Err(self
            .wrong(ErrorKind::Configuration, "the client has no async runtime to wait with")
            .help("give its configuration a `sleep_impl`, or the SDK's feature `rt-tokio`"))
    }
}
