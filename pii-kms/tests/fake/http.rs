//! The protocol below the SDK: requests that no SDK would send, and a server that stops.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use aws_sdk_kms::error::SdkError;
use pii_kms::testing::Operation;

use crate::support::{REGION, Service, client_of, code, refused, service};

const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-central-1/kms/aws4_request, \
                      SignedHeaders=host, Signature=00\r\n";
const JSON: &str = "Content-Type: application/x-amz-json-1.1\r\n";

/// Sends a request and gives the whole answer.
fn send(service: &Service, method: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", service.server.port())).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} / HTTP/1.1\r\nHost: kms\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn error_of(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\r\nx-amzn-requestid: "), "{answer}");
    answer.split("\r\nx-amzn-errortype: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap()
}

#[tokio::test]
async fn requests_that_are_not_of_the_protocol() {
    let service = service().await;
    let target = |name: &str| format!("X-Amz-Target: {name}\r\n");
    let describe = target("TrentService.DescribeKey");
    let body = format!(r#"{{"KeyId":"{}"}}"#, service.key);

    let good = send(&service, "POST", &format!("{describe}{JSON}{SIGNED}"), &body);
    assert!(good.starts_with("HTTP/1.1 200 ") && good.contains(&service.key), "{good}");
    assert!(good.contains("content-type: application/x-amz-json-1.1"), "{good}");

    let unknown = "UnknownOperationException";
    for (method, headers, error) in [
        ("GET", format!("{describe}{JSON}{SIGNED}"), unknown),
        ("POST", format!("{JSON}{SIGNED}"), unknown),
        ("POST", format!("{describe}{SIGNED}"), unknown),
        ("POST", format!("{}{JSON}{SIGNED}", target("TrentService.CreateKey")), unknown),
        ("POST", format!("{}{JSON}{SIGNED}", target("TrentService.GetSecretValue")), unknown),
        ("POST", format!("{}{JSON}{SIGNED}", target("secretsmanager.DescribeKey")), unknown),
        ("POST", format!("{describe}{JSON}"), "MissingAuthenticationTokenException"),
        (
            "POST",
            format!("{describe}{JSON}Authorization: Basic x\r\n"),
            "MissingAuthenticationTokenException",
        ),
        (
            "POST",
            format!("{describe}{JSON}{}", SIGNED.replace("eu-central-1", "us-east-1")),
            "InvalidSignatureException",
        ),
        (
            "POST",
            format!("{describe}{JSON}{}", SIGNED.replace("/kms/", "/secretsmanager/")),
            "InvalidSignatureException",
        ),
        ("POST", format!("{describe}{JSON}{}", SIGNED.replace("AKID/", "")), "InvalidSignatureException"),
    ] {
        assert_eq!(error_of(&send(&service, method, &headers, &body)), error, "{method} {headers}");
    }
    // what has an operation is counted
    assert_eq!(service.kms.calls(Operation::DescribeKey), 6);
}

#[tokio::test]
async fn bodies_that_are_not_of_the_operation() {
    let service = service().await;
    let key = &service.key;
    for (operation, body, error) in [
        ("DescribeKey", String::new(), "SerializationException"),
        ("DescribeKey", "[]".to_owned(), "SerializationException"),
        ("DescribeKey", "{}".to_owned(), "ValidationException"),
        ("DescribeKey", format!(r#"{{"KeyId":"{key}","More":1}}"#), "SerializationException"),
        ("DescribeKey", r#"{"KeyId":7}"#.to_owned(), "SerializationException"),
        ("Encrypt", format!(r#"{{"KeyId":"{key}"}}"#), "ValidationException"),
        ("Encrypt", format!(r#"{{"KeyId":"{key}","Plaintext":"%"}}"#), "SerializationException"),
        (
            "Encrypt",
            format!(r#"{{"KeyId":"{key}","Plaintext":"eA==","EncryptionContext":{{"a":1}}}}"#),
            "SerializationException",
        ),
        (
            "Encrypt",
            format!(r#"{{"KeyId":"{key}","Plaintext":"eA==","CiphertextBlob":"eA=="}}"#),
            "SerializationException",
        ),
        ("Decrypt", "{}".to_owned(), "ValidationException"),
        ("Decrypt", " ".repeat(300 * 1024), "SerializationException"),
    ] {
        let headers = format!("X-Amz-Target: TrentService.{operation}\r\n{JSON}{SIGNED}");
        assert_eq!(error_of(&send(&service, "POST", &headers, &body)), error, "{operation}");
    }
}

#[tokio::test]
async fn a_client_of_another_region_is_refused() {
    let service = service().await;
    let client = client_of(&service.server, "us-east-1");
    assert_eq!(code(client.list_aliases().send().await), refused("InvalidSignatureException"));
}

#[tokio::test]
async fn a_server_that_is_dropped_is_gone_and_can_come_back() {
    let Service { kms, key, client, server } = service().await;
    let call = || client.describe_key().key_id(&key).send();
    assert_eq!(code(call().await), None);
    let port = server.port();
    drop(server);
    assert!(matches!(call().await.unwrap_err(), SdkError::DispatchFailure(_)));
    assert_eq!(kms.total_calls(), 1);
    let server = kms.serve_on(port).await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(code(client_of(&server, REGION).describe_key().key_id(&key).send().await), None);
    assert!(kms.serve_on(port).await.is_err());
}

#[test]
fn one_server_serves_clients_of_several_runtimes() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = runtime().block_on(service());
    for _ in 0..2 {
        let client = client_of(&service.server, REGION);
        let described = runtime().block_on(client.describe_key().key_id(&service.key).send());
        assert_eq!(code(described), None);
    }
}
