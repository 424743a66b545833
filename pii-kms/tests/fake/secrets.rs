//! Secrets Manager on the same server.

use aws_sdk_secretsmanager::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    operation::get_secret_value::GetSecretValueError,
};
use pii_kms::testing::{FakeKmsServer, Fault, Operation};

use crate::support::{REGION, service};

fn client_of(server: &FakeKmsServer) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(server.endpoint())
        .credentials_provider(Credentials::new("AKIDTEST", "secret", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

async fn error(client: &Client, id: &str) -> GetSecretValueError {
    client.get_secret_value().secret_id(id).send().await.unwrap_err().into_service_error()
}

#[tokio::test]
async fn versions_and_stages() {
    let service = service().await;
    let client = client_of(&service.server);
    let (arn, first) = service.kms.put_secret("app/keys", "one").unwrap();
    let (same_arn, second) = service.kms.put_secret("app/keys", "two").unwrap();
    assert_eq!(arn, same_arn);
    assert!(arn.starts_with("arn:aws:secretsmanager:eu-central-1:111122223333:secret:app/keys-"));

    for id in ["app/keys", arn.as_str()] {
        let current = client.get_secret_value().secret_id(id).send().await.unwrap();
        assert_eq!(current.secret_string(), Some("two"));
        assert_eq!(current.name(), Some("app/keys"));
        assert_eq!(current.arn(), Some(arn.as_str()));
        assert_eq!(current.version_id(), Some(second.as_str()));
        assert_eq!(current.version_stages(), ["AWSCURRENT"]);
    }
    let get = |version: Option<&str>, stage: Option<&str>| {
        let call = client.get_secret_value().secret_id("app/keys");
        let call = call.set_version_id(version.map(str::to_owned));
        call.set_version_stage(stage.map(str::to_owned)).send()
    };
    let text = |version: Option<&'static str>, stage: Option<&'static str>| async move {
        get(version, stage).await.map(|value| value.secret_string.unwrap()).ok()
    };
    assert_eq!(text(None, Some("AWSPREVIOUS")).await.as_deref(), Some("one"));
    assert_eq!(get(Some(&first), None).await.unwrap().secret_string(), Some("one"));
    assert_eq!(get(Some(&first), Some("AWSPREVIOUS")).await.unwrap().secret_string(), Some("one"));
    assert!(get(Some(&first), Some("AWSCURRENT")).await.is_err());
    assert_eq!(text(None, Some("OTHER")).await, None);

    service.kms.put_secret("app/keys", "three").unwrap();
    assert_eq!(text(None, Some("AWSPREVIOUS")).await.as_deref(), Some("two"));
    assert_eq!(get(Some(&first), None).await.unwrap().secret_string(), Some("one"));
}

#[tokio::test]
async fn what_is_not_there() {
    let service = service().await;
    let client = client_of(&service.server);
    service.kms.put_secret("app", "x").unwrap();
    assert!(error(&client, "app2").await.is_resource_not_found_exception());
    let only_one = client.get_secret_value().secret_id("app").version_stage("AWSPREVIOUS").send().await;
    assert!(only_one.unwrap_err().into_service_error().is_resource_not_found_exception());
    service.kms.delete_secret("app").unwrap();
    assert!(error(&client, "app").await.is_resource_not_found_exception());
    assert!(service.kms.put_secret("a b", "x").is_err());
    assert_eq!(service.kms.calls(Operation::GetSecretValue), 3);
}

#[tokio::test]
async fn denials_policies_and_faults() {
    let service = service().await;
    let client = client_of(&service.server);
    let (arn, _) = service.kms.put_secret("app", "x").unwrap();
    service.kms.put_secret("other", "y").unwrap();
    service.kms.deny(Operation::GetSecretValue, {
        let arn = arn.clone();
        move |request| request.resource() == arn
    });
    assert_eq!(error(&client, "app").await.code(), Some("AccessDeniedException"));
    assert!(client.get_secret_value().secret_id("other").send().await.is_ok());
    service.kms.clear_rules();

    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
        "Action":"secretsmanager:GetSecretValue",
        "Resource":"arn:aws:secretsmanager:eu-central-1:111122223333:secret:app-??????"}}"#;
    service.kms.apply_iam_policy(policy).unwrap();
    assert!(client.get_secret_value().secret_id("app").send().await.is_ok());
    assert_eq!(error(&client, "other").await.code(), Some("AccessDeniedException"));

    service.kms.inject(Fault::Internal.times(1));
    assert!(error(&client, "app").await.is_internal_service_error());
    service.kms.inject(Fault::Throttled.times(1).on(Operation::GetSecretValue));
    assert_eq!(error(&client, "app").await.code(), Some("ThrottlingException"));
    assert!(client.get_secret_value().secret_id("app").send().await.is_ok());
}
