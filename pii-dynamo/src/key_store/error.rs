//! From the SDK's errors to those of a key store.
//!
//! Nothing of a request or of an answer's text is kept: both may hold values of the encryption context.
//! Codes, the request id and the SDK's own words about connections are.

use std::{error::Error as StdError, fmt};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{RequestId, transact_write_items::TransactWriteItemsError},
};
use pii_core::{Error, ErrorKind};

use super::DynamoKeyStore;

const THROTTLED: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "ProvisionedThroughputExceeded",
    "ThrottlingException",
    "ThrottlingError",
    "Throttling",
    "RequestLimitExceeded",
    "LimitExceededException",
];

/// What the SDK says of a client without an HTTP client, and of one without credentials: neither has a type
/// of its own.
const LACKING: &[&str] = &["No HTTP client", "no identity resolver"];

/// Why a transaction did not take place, as far as the key store can do something about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An item is not what the condition says.
    Condition,
    /// Somebody else writes one of the items at this moment, or the table is busy.
    Busy,
    /// Anything else.
    Other,
}

pub(super) fn refusal(error: &SdkError<TransactWriteItemsError>) -> Refusal {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(_)) => {
            let has = |wanted: &str| reasons(error).any(|code| code == wanted);
            if has("ConditionalCheckFailed") {
                Refusal::Condition
            } else if has("TransactionConflict") || reasons(error).any(|code| THROTTLED.contains(&code)) {
                Refusal::Busy
            } else {
                Refusal::Other
            }
        }
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => Refusal::Busy,
        _ => Refusal::Other,
    }
}

/// The codes of what kept a transaction from taking place.
fn reasons(error: &SdkError<TransactWriteItemsError>) -> impl Iterator<Item = &str> {
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            canceled.cancellation_reasons()
        }
        _ => &[],
    };
    reasons.iter().filter_map(|reason| reason.code()).filter(|code| *code != "None")
}

impl DynamoKeyStore {
    /// What an operator should know of a transaction that did not take place.
    pub(super) fn not_written(
        &self,
        action: &'static str,
        error: &SdkError<TransactWriteItemsError>,
    ) -> Error {
        match reasons(error).next() {
            Some(reason) => self.answered(action, reason, 400, error.request_id()),
            None => self.failed(action, error),
        }
    }

    /// What an operator should know of a call that failed.
    pub(super) fn failed<E>(&self, action: &'static str, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status());
        match (error, status) {
            // a success that can't be read counts as an error of the service too
            (SdkError::ServiceError(_), Some(status)) if !status.is_success() => {
                let code = error.code().unwrap_or("unknown");
                self.answered(action, code, status.as_u16(), error.request_id())
            }
            (SdkError::ServiceError(_) | SdkError::ResponseError(_), _) => {
                self.unavailable("its answer can't be read").source(Answer::new(action, "no error", None))
            }
            _ => self.not_sent(error).source(Answer::new(action, &chain(error), None)),
        }
    }

    pub(super) fn place(&self) -> String {
        format!("the key store in the table `{}` of DynamoDB", self.table)
    }

    /// From the code of an error that the service answered with.
    fn answered(&self, action: &'static str, code: &str, status: u16, request_id: Option<&str>) -> Error {
        let told = match code {
            "ResourceNotFoundException" => self
                .wrong(ErrorKind::Configuration, "the table does not exist in the client's region and account")
                .help("create it: `DynamoKeyStore::create_table`, Terraform or CloudFormation; or check region and name"),
            "AccessDeniedException" | "AccessDenied" => self
                .wrong(ErrorKind::KeyDenied, &format!("the role of this program may not do {action}"))
                .help(
                    "allow dynamodb:GetItem on the table to who opens values, dynamodb:Query and dynamodb:PutItem \
                     too to who seals, and dynamodb:UpdateItem to who manages keys",
                ),
            "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken" => self
                .wrong(ErrorKind::KeyDenied, "DynamoDB does not accept the credentials of the client")
                .help("look at the code in the source: they may be expired, or the clock of this machine wrong"),
            "TransactionConflict" | "TransactionInProgressException" | "TransactionConflictException" => {
                self.unavailable("others keep writing the same record").help("try again later")
            }
            "ValidationException" | "ValidationError" => self
                .wrong(ErrorKind::Configuration, "the table does not take the requests of a key store")
                .help(
                    "its partition key must be `pk` and its sort key `sk`, both of the type S; a global table \
                     with strong consistency has no transactions and can't be used",
                ),
            _ if status == 429 || THROTTLED.contains(&code) => self
                .wrong(ErrorKind::KeyThrottled, "DynamoDB takes no more requests at the moment")
                .help("try again later; if it lasts, give the table on-demand capacity, or more of it"),
            _ if status >= 500 => self.unavailable("DynamoDB failed").help("try again later"),
            _ => self
                .wrong(ErrorKind::Configuration, &format!("DynamoDB refused {action}"))
                .help("look at the code in the source of this error"),
        };
        told.source(Answer::new(action, &format!("{} (HTTP {status})", tame(code)), request_id))
    }

    /// From an error that came about before or instead of an answer.
    fn not_sent<E: StdError + 'static>(&self, error: &SdkError<E>) -> Error {
        let credentials = causes(error).find_map(|below| below.downcast_ref::<CredentialsError>());
        let has_none = matches!(credentials, Some(CredentialsError::CredentialsNotLoaded(_)));
        let is_wrong = matches!(error, SdkError::ConstructionFailure(_))
            || matches!(credentials, Some(CredentialsError::InvalidConfiguration(_)));
        if is_wrong || has_none || LACKING.iter().any(|what| chain(error).contains(what)) {
            return self
                .wrong(ErrorKind::Configuration, "the client can't send requests")
                .help("look at the source, and at its configuration: region, credentials, HTTP client");
        }
        if credentials.is_some() {
            return self
                .unavailable("the AWS credentials can't be had at the moment")
                .help("try again later; look at what gives this process its role");
        }
        self.unavailable("DynamoDB cannot be reached, or does not answer in time")
            .help("try again later; check the network, the region and the client's time limits")
    }

    fn unavailable(&self, what: &str) -> Error {
        self.wrong(ErrorKind::KeyUnavailable, what)
    }

    pub(super) fn wrong(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind).message(format!("{}: {what}", self.place()))
    }
}

/// The source of errors that a call caused: what is safe to show of the SDK's error.
struct Answer {
    action: &'static str,
    said: String,
    request_id: Option<String>,
}

impl Answer {
    fn new(action: &'static str, said: &str, request_id: Option<&str>) -> Self {
        Self { action, said: said.to_owned(), request_id: request_id.map(tame) }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.said)?;
        match &self.request_id {
            Some(id) => write!(f, " (request id {id})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({self})")
    }
}

impl StdError for Answer {}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The errors of a connection, from the outside in.
fn chain(error: &(dyn StdError + 'static)) -> String {
    tame(&causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

/// What comes from a network may not forge lines of a log or fill it.
fn tame(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(400).collect()
}
