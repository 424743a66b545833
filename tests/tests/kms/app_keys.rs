//! Application keys in Secrets Manager.

use aws_sdk_secretsmanager::{
    Client, Config,
    config::{BehaviorVersion, Region, retry::RetryConfig},
};
use pii::{
    AppKeySource as _, Cryptor, EncryptedStr, ErrorKind, PiiModel, SecretsManagerAppKeys, SqlTable,
    testing::kms::{Fault, Operation},
};
use sqlx::sqlite::SqlitePoolOptions;

use super::support::{Kms, OTHER_REGION, REGION, credentials, http, sdk_config};

const NAME: &str = "pii/app-keys";
const SECRET: &str = "canary-secret-of-thirty-two-characters";

fn text(versions: &[u32], current: u32) -> String {
    let keys: String = versions
        .iter()
        .map(|version| format!(r#""level3_app_key_v{version}":"{SECRET}{version}","#))
        .collect();
    format!(r#"{{"app_encryption_keys":{{{keys}"current_version":{current}}}}}"#)
}

fn client(kms: &Kms) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(kms.fake.region()))
        .endpoint_url(kms.server.endpoint())
        .credentials_provider(credentials())
        .http_client(http())
        .retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

fn source(kms: &Kms) -> SecretsManagerAppKeys {
    SecretsManagerAppKeys::with_client(client(kms), NAME).unwrap()
}

#[tokio::test]
async fn keys_are_read_by_name_and_by_arn() {
    let kms = Kms::start().await;
    let (arn, _) = kms.fake.put_secret(NAME, &text(&[1, 2], 2)).unwrap();
    let named = SecretsManagerAppKeys::with_client(client(&kms), NAME).unwrap();
    // the region comes from the ARN
    let config = sdk_config().region(Region::new(OTHER_REGION)).endpoint_url(kms.server.endpoint()).build();
    let by_arn = SecretsManagerAppKeys::from_config(&config, &arn).unwrap();
    for source in [named, by_arn] {
        let keys = source.load().await.unwrap();
        assert_eq!(keys.current_version(), 2);
        assert_eq!(keys.versions().count(), 2);
        assert!(!format!("{source:?} {keys:?}").contains(SECRET));
    }
    kms.fake.put_secret(NAME, &text(&[1, 2, 3], 3)).unwrap();
    assert_eq!(source(&kms).load().await.unwrap().current_version(), 3);
}

#[tokio::test]
async fn failures_have_their_kinds_and_show_nothing() {
    let kms = Kms::start().await;
    let source = source(&kms);
    let failure = async |kind| {
        let error = source.load().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert_eq!(error.key_id(), Some(NAME), "{error:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        assert!(error.to_string().contains("; "), "says what to do: {error}");
    };
    failure(ErrorKind::KeyMissing).await;
    for wrong in [format!("{{\"{SECRET}"), SECRET.to_owned(), r#"{"canary":1}"#.to_owned()] {
        kms.fake.put_secret(NAME, &wrong).unwrap();
        let error = source.load().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    kms.fake.put_secret(NAME, &text(&[1], 2)).unwrap();
    failure(ErrorKind::KeyMissing).await;
    kms.fake.put_secret(NAME, &text(&[1], 1)).unwrap();
    source.load().await.unwrap();
    kms.fake.inject(Fault::Throttled.until_cleared());
    failure(ErrorKind::KeyThrottled).await;
    kms.fake.clear_faults();
    for fault in [Fault::Internal, Fault::ConnectionDropped] {
        kms.fake.inject(fault.until_cleared());
        failure(ErrorKind::KeyUnavailable).await;
        kms.fake.clear_faults();
    }
    kms.fake.allow_only([]);
    failure(ErrorKind::KeyDenied).await;
    kms.fake.clear_rules();
    source.load().await.unwrap();
    kms.fake.delete_secret(NAME).unwrap();
    failure(ErrorKind::KeyMissing).await;
}

#[tokio::test]
async fn mistakes_are_found_early() {
    let kms = Kms::start().await;
    let there = format!("arn:aws:secretsmanager:{OTHER_REGION}:111122223333:secret:x-abcdef");
    for name in ["", &"x".repeat(2049), &there] {
        let error = SecretsManagerAppKeys::with_client(client(&kms), name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    }
    let error = SecretsManagerAppKeys::from_config(&sdk_config().build(), NAME).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("region"), "{error}");
    let config = sdk_config().region(Region::new(REGION)).build();
    assert!(SecretsManagerAppKeys::from_config(&config, NAME).is_ok());
    assert_eq!(kms.fake.calls(Operation::GetSecretValue), 0);
}

#[derive(PiiModel)]
#[pii(name = "patient", table = "patients", context(app = "clinic"), from_row)]
struct Patient {
    #[pii(id)]
    id: i64,
    #[pii(level = 3)]
    diagnosis: EncryptedStr,
}

#[tokio::test]
async fn values_of_level_3_need_the_secret_and_survive_its_rotation() {
    let kms = Kms::start().await;
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::query("create table patients (id integer primary key, diagnosis text)")
        .execute(&pool)
        .await
        .unwrap();
    // a process that starts: the keys of both locks come from AWS
    let start = || Cryptor::envelope().keyring(kms.keyring()).app_keys(source(&kms)).build().unwrap();
    let insert = async |id| {
        let row = Patient { id, diagnosis: EncryptedStr::new(format!("flu {id}")) };
        SqlTable::<Patient, _>::new(&pool, &start()).insert(&row).await.unwrap();
    };
    let read = async |id| {
        let row = SqlTable::<Patient, _>::new(&pool, &start()).get(id).decrypt_pii().await?;
        Ok::<_, pii::Error>(row.diagnosis.expose()?.to_owned())
    };
    kms.fake.put_secret(NAME, &text(&[1], 1)).unwrap();
    insert(1).await;
    kms.fake.put_secret(NAME, &text(&[1, 2], 2)).unwrap();
    insert(2).await;
    assert_eq!(read(1).await.unwrap(), "flu 1");
    assert_eq!(read(2).await.unwrap(), "flu 2");
    // without a version, what it sealed does not open, and the rest does
    kms.fake.put_secret(NAME, &text(&[2], 2)).unwrap();
    let error = read(1).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::KeyMissing, Some("diagnosis")));
    assert_eq!(read(2).await.unwrap(), "flu 2");
    // neither key alone
    kms.fake.deny(Operation::GetSecretValue, |_| true);
    assert_eq!(read(2).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    kms.fake.clear_rules();
    kms.fake.deny(Operation::Decrypt, |_| true);
    assert_eq!(read(2).await.unwrap_err().kind(), ErrorKind::KeyDenied);
}
