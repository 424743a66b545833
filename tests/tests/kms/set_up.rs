//! Clients, configurations, regions, endpoints, and mistakes with them.

use aws_sdk_kms::config::{Credentials, ProvideCredentials, Region, SharedCredentialsProvider};
use pii::{ErrorKind, Keyring as _, KmsKeyring};

use super::support::{
    ACCOUNT, Kms, OTHER_REGION, REGION, assert_error, binding, client, copies_of, names, sdk_config, unwrap,
};

#[tokio::test]
async fn a_configuration_and_an_endpoint_are_enough() {
    let kms = Kms::start().await;
    let config = sdk_config().region(Region::new(REGION)).endpoint_url(kms.server.endpoint()).build();
    let keyring = KmsKeyring::from_config(&config, "alias/pii").unwrap();
    let (copies, data_key) = copies_of(&keyring).await;
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
    // region and endpoint given to the keyring alone
    let keyring = KmsKeyring::builder()
        .config(&sdk_config().build())
        .region(REGION)
        .endpoint_url(kms.server.endpoint())
        .key("alias/pii")
        .build()
        .unwrap();
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
}

/// The fake refuses requests that are signed for another region than its own.
#[tokio::test]
async fn the_region_comes_from_the_arn() {
    let there = Kms::start_in(OTHER_REGION).await;
    let alias_arn = format!("arn:aws:kms:{OTHER_REGION}:{ACCOUNT}:alias/pii");
    let config = sdk_config().region(Region::new(REGION)).build();
    for name in [&there.key, &alias_arn] {
        for builder in [
            KmsKeyring::builder().config(&config),
            KmsKeyring::builder().config(&sdk_config().build()),
            KmsKeyring::builder().config(&config).region(REGION),
            KmsKeyring::builder().client(client(REGION, "http://127.0.0.1:9")),
        ] {
            let keyring = builder.endpoint_url(there.server.endpoint()).key(name).build().unwrap();
            assert_eq!(names(&copies_of(&keyring).await.0), [&there.key]);
        }
    }
    // a bare name is of the region that was given
    let builder = KmsKeyring::builder().config(&config).endpoint_url(there.server.endpoint());
    let error = builder.key("alias/pii").build().unwrap().generate(&binding()).await.unwrap_err();
    assert_error(&error, ErrorKind::Configuration, "alias/pii");
    let builder = KmsKeyring::builder().config(&config).endpoint_url(there.server.endpoint());
    assert!(builder.region(OTHER_REGION).key("alias/pii").build().unwrap().resolve().await.is_ok());
}

#[tokio::test]
async fn no_region() {
    let error = KmsKeyring::from_config(&sdk_config().build(), "alias/pii").unwrap_err();
    assert_error(&error, ErrorKind::Configuration, "alias/pii");
    assert!(error.to_string().contains("region"), "{error}");
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(aws_sdk_kms::config::BehaviorVersion::latest())
        .build();
    let client = aws_sdk_kms::Client::from_conf(config);
    let error = KmsKeyring::with_client(client.clone(), "alias/pii").unwrap_err();
    assert_error(&error, ErrorKind::Configuration, "alias/pii");
    let error = KmsKeyring::builder().key_with_client("alias/pii", client).build().unwrap_err();
    assert_error(&error, ErrorKind::Configuration, "alias/pii");
}

/// What a provider says when the environment has nothing for it.
#[derive(Debug)]
struct Nothing(fn() -> aws_credential_types::provider::error::CredentialsError);

impl ProvideCredentials for Nothing {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let answer: Result<Credentials, _> = Err((self.0)());
        aws_credential_types::provider::future::ProvideCredentials::ready(answer)
    }
}

#[tokio::test]
async fn no_credentials() {
    use aws_credential_types::provider::error::CredentialsError;
    let kms = Kms::start().await;
    let cases: [(fn() -> CredentialsError, ErrorKind); 4] = [
        (|| CredentialsError::not_loaded("nothing here"), ErrorKind::Configuration),
        (|| CredentialsError::invalid_configuration("a loop of profiles"), ErrorKind::Configuration),
        (|| CredentialsError::provider_error("503 from STS"), ErrorKind::KeyUnavailable),
        (
            || CredentialsError::provider_timed_out(std::time::Duration::from_secs(1)),
            ErrorKind::KeyUnavailable,
        ),
    ];
    for (says, kind) in cases {
        let config = sdk_config()
            .region(Region::new(REGION))
            .endpoint_url(kms.server.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(Nothing(says)))
            .build();
        let keyring = KmsKeyring::from_config(&config, &kms.key).unwrap();
        let error = keyring.generate(&binding()).await.unwrap_err();
        assert_error(&error, kind, &kms.key);
        assert!(error.to_string().contains("credentials"), "{error}");
    }
    // not even a provider
    let mut config = sdk_config().region(Region::new(REGION)).endpoint_url(kms.server.endpoint());
    config.set_credentials_provider(None);
    let keyring = KmsKeyring::from_config(&config.build(), &kms.key).unwrap();
    let error = keyring.generate(&binding()).await.unwrap_err();
    assert_error(&error, ErrorKind::Configuration, &kms.key);
    assert!(error.to_string().contains("no AWS credentials"), "{error}");
    assert_eq!(kms.fake.total_calls(), 0);
}

#[tokio::test]
async fn mistakes_are_found_when_the_keyring_is_built() {
    let kms = Kms::start().await;
    let builder = || KmsKeyring::builder().client(kms.client());
    let many = (0..9).fold(builder(), |builder, n| builder.key(format!("alias/k{n}")));
    let wrong_region = client(OTHER_REGION, &kms.server.endpoint());
    let mistakes = [
        builder().build(),
        builder().decrypt_only(&kms.key).build(),
        builder().key("").build(),
        builder().key("my key").build(),
        builder().key("arn:aws:kms:eu-central-1:111122223333:grant/1").build(),
        builder().key(&kms.key).key(&kms.key).build(),
        builder().key("alias/pii").decrypt_only("alias/pii").build(),
        builder().key(&kms.key).required_copies(0).build(),
        builder().key(&kms.key).decrypt_only("alias/pii").required_copies(2).build(),
        builder().config(&sdk_config().build()).key(&kms.key).build(),
        builder().key_with_client(&kms.key, wrong_region).build(),
        many.build(),
    ];
    for (n, mistake) in mistakes.into_iter().enumerate() {
        let error = mistake.expect_err(&n.to_string());
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("; "), "says what to do: {error}");
    }
    assert!(builder().key(&kms.key).decrypt_only("alias/pii").required_copies(1).build().is_ok());
    assert_eq!(kms.fake.total_calls(), 0);
}

/// This program chose no TLS stack, which `from_env` leaves to the program. Whatever the environment of
/// a developer says, nothing can be asked.
#[tokio::test]
async fn the_environment_is_asked_at_the_first_use() {
    let keyring = KmsKeyring::from_env("alias/pii").unwrap();
    let error = keyring.resolve().await.unwrap_err();
    assert_error(&error, ErrorKind::Configuration, "alias/pii");
    let keyring = KmsKeyring::builder().region(REGION).key("alias/pii").build().unwrap();
    assert_error(&keyring.resolve().await.unwrap_err(), ErrorKind::Configuration, "alias/pii");
}
