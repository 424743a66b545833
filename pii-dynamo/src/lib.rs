//! Sealed fields in DynamoDB through the AWS SDK.
#![forbid(unsafe_code)]
