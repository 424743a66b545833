//! What an AWS service answered, as one of our error kinds.
//!
//! Nothing of a request or of an answer's text is kept: both may hold values of the encryption
//! context. Codes, the request id and the SDK's own words about connections are.

use std::{error::Error as StdError, fmt};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use pii_core::{Error, ErrorKind};

/// What the SDK says of a client without an HTTP client, and of one without credentials: neither has
/// a type of its own.
const NO_HTTP_CLIENT: &str = "No HTTP client";
const NO_IDENTITY: &str = "no identity resolver";

/// An AWS service, for what errors say.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// Such as `AWS KMS`.
    pub(crate) service: &'static str,
    /// What the call is about: a key or a secret.
    pub(crate) thing: &'static str,
    /// The IAM action, such as `kms:Decrypt`.
    pub(crate) action: &'static str,
}

impl Call {
    pub(crate) const fn kms(action: &'static str) -> Self {
        Self { service: "AWS KMS", thing: "key", action }
    }
}

/// The source of errors that an AWS service caused: what is safe to show of the SDK's error.
struct Answer {
    action: &'static str,
    said: String,
    request_id: Option<String>,
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

/// Why a call failed: a kind, what happened, what to do.
struct Failure {
    kind: ErrorKind,
    message: String,
    help: &'static str,
}

/// The error of a call that was about `key`.
pub(crate) fn error_of<E>(call: Call, key: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let (failure, said) = match error {
        // a success that can't be read counts as an error of the service too
        SdkError::ServiceError(answer) if answer.raw().status().is_success() => {
            let said = format!("an answer that can't be read (HTTP {})", answer.raw().status().as_u16());
            (unavailable(call), said)
        }
        SdkError::ServiceError(answer) => {
            let code = error.code().unwrap_or("an error without a code");
            let status = answer.raw().status().as_u16();
            (of_code(call, code, status), format!("{} (HTTP {status})", tame(code)))
        }
        SdkError::ResponseError(answer) => {
            let said = format!("an answer that can't be read (HTTP {})", answer.raw().status().as_u16());
            (unavailable(call), said)
        }
        _ => (of_connection(call, error), chain(error)),
    };
    let request_id = error.request_id().map(tame);
    Error::new(failure.kind).key(key).message(failure.message).help(failure.help).source(Answer {
        action: call.action,
        said,
        request_id,
    })
}

/// From the code of an error that the service answered with.
fn of_code(call: Call, code: &str, status: u16) -> Failure {
    let Call { service, thing, action } = call;
    let failure = |kind, message: String, help| Failure { kind, message, help };
    match code {
        "NotFoundException" | "ResourceNotFoundException" => failure(
            ErrorKind::KeyMissing,
            format!("{service} knows no such {thing}"),
            "check the name, the region and the account; what was deleted does not come back, and neither do \
             the values that only it opens",
        ),
        "DisabledException" => failure(
            ErrorKind::KeyDisabled,
            format!("{service} says that the key is disabled"),
            "enable it again in KMS, if that is right",
        ),
        "KMSInvalidStateException" => failure(
            ErrorKind::KeyDisabled,
            format!("{service} says that the key is in a state that forbids {action}"),
            "look at its state in KMS; if its deletion is scheduled, cancel that and enable the key before the \
             date",
        ),
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => failure(
            ErrorKind::KeyDenied,
            format!("{service} refused {action}"),
            "allow this action to this role in its IAM policy, and in the policy of the key or the secret; of a \
             key, for the purpose and the encryption context of the value",
        ),
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "RequestExpired"
        | "OptInRequired" => failure(
            ErrorKind::KeyDenied,
            format!("{service} does not accept the AWS credentials"),
            "look at the code in the source: credentials may be expired or revoked, or the clock of this machine \
             wrong",
        ),
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => failure(
            ErrorKind::Configuration,
            format!("{service} does not accept the signature of the request"),
            "check the secret access key, the region, and the clock of this machine",
        ),
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "LimitExceededException"
        | "SlowDown" => failure(
            ErrorKind::KeyThrottled,
            format!("{service} asks to slow down"),
            "try again later; if it lasts, raise the quota, or make fewer calls: a larger data-key cache, or a \
             hierarchical keyring",
        ),
        "InvalidCiphertextException" => failure(
            ErrorKind::ContextMismatch,
            "the wrapped data key does not open under the expected context, or was altered".to_owned(),
            "check that the row's encryption context is the one it was written with",
        ),
        "IncorrectKeyException" => failure(
            ErrorKind::KeyMissing,
            "the data key was wrapped by another KMS key than the one it names".to_owned(),
            "give the keyring the key with which the value was written",
        ),
        "InvalidKeyUsageException" | "UnsupportedOperationException" => failure(
            ErrorKind::Configuration,
            format!("the KMS key is not made for {action}"),
            "use a symmetric encryption key (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT)",
        ),
        "InvalidGrantTokenException" | "InvalidGrantIdException" => failure(
            ErrorKind::KeyDenied,
            format!("{service} does not accept a grant token"),
            "a grant needs its token for a few minutes only: leave it out, or make a new grant",
        ),
        "InvalidArnException" | "ValidationException" | "InvalidParameterException" => failure(
            ErrorKind::Configuration,
            format!("{service} does not accept the request for this {thing}"),
            "check the name, and that it belongs to this region",
        ),
        // of Secrets Manager
        "InvalidRequestException" => failure(
            ErrorKind::KeyDisabled,
            format!("{service} says that the {thing} is in a state that forbids {action}"),
            "look at its state; if its deletion is scheduled, restore it before the date",
        ),
        "DecryptionFailure" => failure(
            ErrorKind::KeyDenied,
            format!("{service} can't decrypt it with its KMS key"),
            "check the state of the KMS key that protects it, and that this role may use that key",
        ),
        _ if status == 429 => of_code(call, "ThrottlingException", status),
        "KMSInternalException"
        | "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "InternalFailure"
        | "InternalServiceError"
        | "InternalServiceErrorException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => unavailable(call),
        _ if status >= 500 => unavailable(call),
        _ if status == 401 || status == 403 => of_code(call, "AccessDeniedException", status),
        _ => failure(
            ErrorKind::Configuration,
            format!("{service} answered {action} with an unexpected error"),
            "look at the code in the source of this error",
        ),
    }
}

/// From an error that came about before or instead of an answer.
fn of_connection<E: StdError + 'static>(call: Call, error: &SdkError<E>) -> Failure {
    for below in causes(error) {
        match below.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => return no_credentials(),
            Some(CredentialsError::InvalidConfiguration(_)) => {
                return Failure {
                    kind: ErrorKind::Configuration,
                    message: "the AWS credentials are configured wrongly".to_owned(),
                    help: "look at the source of this error, and at ~/.aws/config and the AWS_* variables",
                };
            }
            Some(_) => {
                return Failure {
                    kind: ErrorKind::KeyUnavailable,
                    message: "the AWS credentials can't be had at the moment".to_owned(),
                    help: "try again later; look at what gives this process its role",
                };
            }
            None => {}
        }
    }
    let said = chain(error);
    if said.contains(NO_IDENTITY) {
        return no_credentials();
    }
    if said.contains(NO_HTTP_CLIENT) {
        return Failure {
            kind: ErrorKind::Configuration,
            message: "the AWS SDK has no HTTP client".to_owned(),
            help: "add `aws-config = \"1\"` with its default features to Cargo.toml, or pass a client that has \
                   one",
        };
    }
    if let SdkError::ConstructionFailure(_) = error {
        return Failure {
            kind: ErrorKind::Configuration,
            message: format!("the AWS SDK can't make the request {}", call.action),
            help: "look at the source of this error: region, endpoint or client are configured wrongly",
        };
    }
    unavailable(call)
}

fn no_credentials() -> Failure {
    Failure {
        kind: ErrorKind::Configuration,
        message: "no AWS credentials".to_owned(),
        help: "give this process a role (instance profile, task role, IRSA), set AWS_ACCESS_KEY_ID and \
               AWS_SECRET_ACCESS_KEY, or pass a client that has credentials",
    }
}

fn unavailable(call: Call) -> Failure {
    Failure {
        kind: ErrorKind::KeyUnavailable,
        message: format!("{} did not do {}", call.service, call.action),
        help: "try again later; if it lasts, check the network, the region and the service's status page",
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The errors of a connection, from the outside in.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    tame(&texts.join(": "))
}

/// What comes from a network may not forge lines of a log or fill it.
fn tame(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(400).collect()
}

/// The most telling of several errors: that of the highest rank, and of those the first.
///
/// What takes access away comes first: were one key disabled while another can't be reached, a
/// cache must not bridge that as an outage. What stays wrong whatever is repeated comes before what
/// passes; that one key does not exist comes last, since another may open the value later.
pub(crate) fn most_telling(errors: impl IntoIterator<Item = Error>) -> Option<Error> {
    errors.into_iter().reduce(|best, error| if rank(&error) > rank(&best) { error } else { best })
}

fn rank(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::KeyDisabled => 6,
        ErrorKind::KeyDenied => 5,
        ErrorKind::Integrity => 4,
        ErrorKind::ContextMismatch => 3,
        ErrorKind::Configuration => 2,
        ErrorKind::KeyThrottled | ErrorKind::KeyUnavailable => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str, status: u16) -> ErrorKind {
        of_code(Call::kms("kms:Decrypt"), code, status).kind
    }

    #[test]
    fn unknown_codes_are_judged_by_their_status() {
        assert_eq!(kind("SomethingNew", 400), ErrorKind::Configuration);
        assert_eq!(kind("SomethingNew", 403), ErrorKind::KeyDenied);
        assert_eq!(kind("SomethingNew", 429), ErrorKind::KeyThrottled);
        assert_eq!(kind("SomethingNew", 503), ErrorKind::KeyUnavailable);
        assert_eq!(kind("ThrottlingException", 400), ErrorKind::KeyThrottled);
        assert_eq!(kind("KMSInternalException", 500), ErrorKind::KeyUnavailable);
    }

    #[test]
    fn what_takes_access_away_outranks_an_outage() {
        use ErrorKind::{
            Configuration, ContextMismatch, KeyDenied, KeyDisabled, KeyMissing, KeyThrottled, KeyUnavailable,
        };
        for (kinds, expected) in [
            (&[KeyUnavailable, KeyDisabled][..], KeyDisabled),
            (&[KeyDenied, KeyUnavailable], KeyDenied),
            (&[KeyDenied, KeyDisabled], KeyDisabled),
            (&[KeyUnavailable, ContextMismatch], ContextMismatch),
            (&[KeyThrottled, Configuration], Configuration),
            (&[KeyMissing, KeyUnavailable], KeyUnavailable),
            (&[KeyThrottled, KeyUnavailable], KeyThrottled),
            (&[KeyMissing], KeyMissing),
        ] {
            let errors = kinds.iter().map(|kind| Error::new(*kind));
            assert_eq!(most_telling(errors).map(|error| error.kind()), Some(expected));
        }
        assert!(most_telling([]).is_none());
    }
}
