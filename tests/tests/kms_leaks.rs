//! Neither errors nor logs at TRACE show a value of the encryption context or a data key, although the
//! SDK would log whole requests.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_kms::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    primitives::Blob,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use pii::{
    DataKey, Error, KeyBinding, Keyring as _, KmsKeyring, Purpose, ctx,
    testing::{
        assert_no_plaintext,
        kms::{FakeKms, Fault, KeyState},
    },
};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

const TENANT: &str = "canary-tenant";
const TOKEN: &str = "canary-grant-token";

/// A log that everything of the process goes to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn whole_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(&format!(" <- {error} {error:?} {error:#?}"));
        below = error.source();
    }
    text
}

#[derive(Default)]
struct Errors(Vec<String>);

impl Errors {
    fn of<T>(&mut self, result: Result<T, Error>) {
        self.0.push(whole_text(&result.err().expect("an error was provoked")));
    }
}

fn client(endpoint: &str, time_out: bool) -> Client {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(Duration::from_millis(if time_out { 50 } else { 60_000 }))
        .build();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .timeout_config(timeouts)
        // with it, the SDK happens to hide the bodies of requests
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(
            RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(1)),
        );
    Client::from_conf(config.build())
}

#[tokio::test]
async fn logs_and_errors_show_no_context_and_no_key() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let kms = FakeKms::new("eu-central-1", "111122223333");
    let key = kms.create_key().unwrap();
    let new = kms.create_key().unwrap();
    kms.set_alias("alias/pii", &key).unwrap();
    let server = kms.serve().await.unwrap();
    let build = |client: Client| {
        let builder = KmsKeyring::builder().client(client).key(&new).decrypt_only("alias/pii");
        builder.grant_token(TOKEN).build().unwrap()
    };
    let keyring = build(client(&server.endpoint(), false));
    let binding = |tenant: &str| KeyBinding {
        context: Arc::new(ctx!(app = "leaks", tenant = tenant).unwrap()),
        purpose: Purpose::Seal,
        epoch: 0,
    };
    let (right, wrong) = (binding(TENANT), binding("canary-tenant-2"));
    for (arn, operation) in
        [(&key, pii::testing::kms::Operation::Decrypt), (&new, pii::testing::kms::Operation::Encrypt)]
    {
        kms.require_grant_token(arn, operation, TOKEN).unwrap();
    }

    // every operation, with success
    let data_key = DataKey::generate().unwrap();
    let wrapped = keyring.wrap(&data_key, &right).await.unwrap();
    let generated = keyring.generate(&right).await.unwrap();
    keyring.unwrap(&generated.copies, &right, &|_| true).await.unwrap();
    keyring.unwrap(&wrapped, &right, &|_| true).await.unwrap();
    keyring.rewrap(&wrapped, &right, &|_| true).await.unwrap();

    // and every way to fail
    let mut errors = Errors::default();
    let copies = &generated.copies;
    errors.of(keyring.unwrap(copies, &wrong, &|_| true).await);
    errors.of(keyring.rewrap(copies, &wrong, &|_| true).await);
    errors.of(keyring.unwrap(copies, &right, &|_| false).await);
    errors.of(keyring.unwrap(&[], &right, &|_| true).await);
    for fault in [Fault::Throttled, Fault::Internal, Fault::DependencyTimeout, Fault::ConnectionDropped] {
        kms.inject(fault.until_cleared());
        errors.of(keyring.generate(&right).await);
        errors.of(keyring.wrap(&data_key, &right).await);
        errors.of(keyring.unwrap(copies, &right, &|_| true).await);
        kms.clear_faults();
    }
    kms.allow_only([]);
    errors.of(keyring.generate(&right).await);
    errors.of(keyring.wrap(&data_key, &right).await);
    errors.of(keyring.unwrap(copies, &right, &|_| true).await);
    kms.clear_rules();
    kms.set_latency(Duration::from_secs(3600));
    errors.of(build(client(&server.endpoint(), true)).wrap(&data_key, &right).await);
    kms.set_latency(Duration::ZERO);
    kms.set_key_state(&new, KeyState::Disabled).unwrap();
    errors.of(keyring.wrap(&data_key, &right).await);
    kms.delete_key(&new).unwrap();
    errors.of(keyring.wrap(&data_key, &right).await);
    drop(server);
    errors.of(keyring.wrap(&data_key, &right).await);
    assert!(errors.0.len() >= 23, "{}", errors.0.len());

    let keys = [&data_key, &generated.data_key].map(|key| BASE64_STANDARD.encode(key.expose_bytes()));
    let canaries = [TENANT, TOKEN, &keys[0], &keys[1]];
    for text in &errors.0 {
        assert_no_plaintext(text, &canaries);
    }
    assert_no_plaintext(format!("{keyring:?}"), &canaries);
    // what the program itself logs is there, before and after calls
    tracing::trace!("the log is open");
    let text = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
    assert!(text.contains("the log is open"));
    assert!(text.contains("a KMS key did not open a data key"), "our own events are there");
    assert_no_plaintext(&text, &canaries);

    // The counterpart: a program's own calls log what they always did, and that is the lot.
    let server = kms.serve().await.unwrap();
    let _ = client(&server.endpoint(), false)
        .encrypt()
        .key_id("alias/pii")
        .plaintext(Blob::new(data_key.expose_bytes().as_slice()))
        .encryption_context("tenant", TENANT)
        .send()
        .await;
    let text = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
    assert!(text.contains("transmitting request"), "the program's own calls are logged as ever");
    assert!(text.contains(&keys[0]) && text.contains(TENANT), "with all that is in them");
}
