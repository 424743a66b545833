//! The errors of the service, as a client sees them.

use std::fmt;

use pii_core::ErrorKind;

pub(super) type Answer<T> = Result<T, FakeError>;

macro_rules! codes {
    ($($code:ident = $name:literal, $status:literal, $kind:ident, $docs:literal;)*) => {
        /// What the service answers when it refuses, by the names of its API reference.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $docs] $code,)*
        }

        impl ErrorCode {
            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// The HTTP status: 400 where the caller is at fault, 500 where the service is.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            /// The kind of error that a keyring makes of it.
            pub(super) const fn kind(self) -> ErrorKind {
                match self { $(Self::$code => ErrorKind::$kind,)* }
            }
        }
    };
}

codes! {
    AccessDenied = "AccessDeniedException", 400, KeyDenied, "A rule, a policy or a missing grant token forbids the call.";
    AlreadyExists = "AlreadyExistsException", 400, Configuration, "The name is taken.";
    ConnectionDropped = "ConnectionDropped", 500, KeyUnavailable, "The connection ends without an answer; no error of the API.";
    DependencyTimeout = "DependencyTimeoutException", 500, KeyUnavailable, "Something that the service needs did not answer in time.";
    Disabled = "DisabledException", 400, KeyDisabled, "The key is disabled.";
    DryRun = "DryRunOperationException", 400, Configuration, "The call would have succeeded, but `DryRun` was set.";
    IncorrectKey = "IncorrectKeyException", 400, KeyMissing, "The blob was made under another key than the one named.";
    Internal = "KMSInternalException", 500, KeyUnavailable, "The service failed.";
    InvalidArn = "InvalidArnException", 400, Configuration, "An ARN that is none.";
    InvalidCiphertext = "InvalidCiphertextException", 400, ContextMismatch, "The blob was altered, is foreign, or has another context.";
    InvalidGrantToken = "InvalidGrantTokenException", 400, KeyDenied, "A grant token that was never issued.";
    InvalidKeyUsage = "InvalidKeyUsageException", 400, Configuration, "An algorithm that the key is not for.";
    InvalidSignature = "InvalidSignatureException", 400, Configuration, "The request was signed for another region or service.";
    InvalidState = "KMSInvalidStateException", 400, KeyDisabled, "The key waits for its deletion.";
    KeyUnavailable = "KeyUnavailableException", 500, KeyUnavailable, "The key cannot be used just now.";
    MissingAuthentication = "MissingAuthenticationTokenException", 400, Configuration, "The request is not signed.";
    NotFound = "NotFoundException", 400, KeyMissing, "No such key or alias in this region.";
    ResourceNotFound = "ResourceNotFoundException", 400, KeyMissing, "No such secret, or no such version of it.";
    Serialization = "SerializationException", 400, Configuration, "The request is not the JSON that the operation takes.";
    Throttling = "ThrottlingException", 400, KeyThrottled, "Too many calls.";
    UnknownOperation = "UnknownOperationException", 400, Configuration, "An operation that this service does not have.";
    UnsupportedOperation = "UnsupportedOperationException", 400, Configuration, "A part of the API that the fake does not speak.";
    Validation = "ValidationException", 400, Configuration, "A member is missing, too long, or contradicts another.";
}

/// A refusal of the fake service. It never holds plaintext or values of an encryption context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeError {
    code: ErrorCode,
    message: String,
}

impl FakeError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }

    /// KMS says nothing more about it either.
    pub(super) fn invalid_ciphertext() -> Self {
        Self::new(ErrorCode::InvalidCiphertext, "")
    }

    /// What went wrong.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The text for people; empty where the service gives none.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for FakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.name())?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for FakeError {}
