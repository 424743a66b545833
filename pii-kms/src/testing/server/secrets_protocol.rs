//! `GetSecretValue` of Secrets Manager in its JSON protocol.

use serde_json::{Value, json};

use super::json::{Members, required, timestamp};
use crate::testing::{
    FakeKms,
    control::Seen,
    error::{Answer, ErrorCode},
};

pub(super) fn answer(kms: &FakeKms, body: &[u8], seen: &mut Seen) -> Answer<Value> {
    let mut members = Members::parse(body)?;
    let secret_id = required(members.text("SecretId")?, "SecretId")?;
    let version_id = members.text("VersionId")?;
    let stage = members.text("VersionStage")?;
    members.finish()?;
    let (secret, version) = kms.secret_value(&secret_id, version_id.as_deref(), stage.as_deref(), seen)?;
    Ok(json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.id,
        "SecretString": version.text.as_str(),
        "VersionStages": version.stages,
        "CreatedDate": timestamp(version.created),
    }))
}

/// The service has names of its own for some errors.
pub(super) fn error_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Validation => "InvalidParameterException",
        ErrorCode::Internal | ErrorCode::DependencyTimeout | ErrorCode::KeyUnavailable => {
            "InternalServiceError"
        }
        other => other.name(),
    }
}
