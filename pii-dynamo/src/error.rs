//! From the SDK's errors to ours. The messages name tables, attributes and codes; values stay in the
//! SDK's own error, which is kept as the source.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use pii_core::{Error, ErrorKind, ModelSpec};

/// The error of the SDK inside an error of this library, if it is of this operation.
///
/// ```no_run
/// use aws_sdk_dynamodb::operation::put_item::PutItemError;
///
/// # fn show(error: &pii::Error) {
/// if let Some(error) = pii::dynamo_error::<PutItemError>(error).and_then(|error| error.as_service_error()) {
///     println!("is it the table? {}", error.is_resource_not_found_exception());
/// }
/// # }
/// ```
#[must_use]
pub fn dynamo_error<E: std::error::Error + 'static>(error: &Error) -> Option<&SdkError<E>> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The error of this model and table that an error of the SDK stands for.
pub(crate) fn from_sdk<E>(error: SdkError<E>, model: &ModelSpec, table: &str) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    of_request(error, table).model(model.name())
}

/// The same, for a request that is about several models.
pub(crate) fn of_request<E>(error: SdkError<E>, table: &str) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let found = match &error {
        SdkError::ServiceError(service) => of_code(service.err(), table),
        SdkError::TimeoutError(_) => Error::new(ErrorKind::DatabaseUnavailable)
            .message(format!("no answer in time for the table `{table}`")),
        SdkError::DispatchFailure(failure) if failure.is_user() || failure.is_other() => {
            Error::new(ErrorKind::Database)
                .message(format!("the request for the table `{table}` could not be sent"))
                .help("look at the client's configuration: region, credentials, HTTP client")
        }
        SdkError::DispatchFailure(_) => Error::new(ErrorKind::DatabaseUnavailable)
            .message(format!("DynamoDB cannot be reached for the table `{table}`")),
        SdkError::ConstructionFailure(_) => Error::new(ErrorKind::Configuration)
            .message(format!("the SDK could not make a request for the table `{table}`")),
        _ => Error::new(ErrorKind::DatabaseUnavailable)
            .message(format!("an answer for the table `{table}` could not be read")),
    };
    found.source(error)
}

fn of_code<E: ProvideErrorMetadata>(error: &E, table: &str) -> Error {
    from_code(error.code().unwrap_or("unknown"), table)
}

/// The error that a code of the service stands for, also one of the reasons why a transaction was cancelled.
pub(crate) fn from_code(code: &str, table: &str) -> Error {
    match code {
        "ResourceNotFoundException" => Error::new(ErrorKind::Database)
            .message(format!("there is no table `{table}`, or no such index of it"))
            .help(
                "create it, or name another one with `DynamoTable::named`; look at the client's region too",
            ),
        "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "ThrottlingException"
        | "ThrottlingError"
        | "Throttling"
        | "RequestLimitExceeded" => Error::new(ErrorKind::DatabaseThrottled)
            .message(format!("the table `{table}` takes no more requests at the moment")),
        "InternalServerError" | "InternalServerErrorException" | "ServiceUnavailable" => {
            Error::new(ErrorKind::DatabaseUnavailable)
                .message(format!("DynamoDB failed for the table `{table}` (`{code}`)"))
        }
        "ConditionalCheckFailedException" => Error::new(ErrorKind::Conflict)
            .message(format!("a condition does not hold for an item of the table `{table}`")),
        "TransactionConflictException" | "TransactionConflict" => Error::new(ErrorKind::Conflict)
            .message(format!("a transaction is at work on an item of the table `{table}`"))
            .help("send the request again after a moment"),
        "TransactionInProgressException" => Error::new(ErrorKind::DatabaseUnavailable)
            .message(format!("the same transaction is still at work on the table `{table}`")),
        "ItemCollectionSizeLimitExceeded" => Error::new(ErrorKind::TooLarge).message(format!(
            "the items of one partition key of the table `{table}` take 10 GB, which is all that a local index can hold"
        )),
        "AccessDeniedException" | "AccessDenied" | "UnrecognizedClientException" => Error::new(ErrorKind::Database)
            .message(format!("access to the table `{table}` is denied (`{code}`)"))
            .help("look at the policies of the role that the client's credentials stand for"),
        // its own message may quote values
        _ => {
            let is_code = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let code = if is_code { code } else { "unknown" };
            Error::new(ErrorKind::Database)
                .message(format!("DynamoDB refused a request for the table `{table}` (`{code}`)"))
        }
    }
}

/// Names the field of an attribute.
pub(crate) fn at_attribute(error: Error, model: &ModelSpec, attribute: &str) -> Error {
    match model.fields().iter().find(|field| field.attribute() == attribute) {
        Some(field) => error.field(model.name(), field.name()),
        None => error.model(model.name()),
    }
}
