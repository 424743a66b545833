//! HTTP: connections, headers, and the envelope of answers and errors.

use std::{io, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use super::{kms_protocol, secrets_protocol};
use crate::testing::{
    FakeKms, Operation,
    error::{Answer, ErrorCode, FakeError},
    random::random_uuid,
};

const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TARGET: &str = "x-amz-target";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// Far more than any request of ours.
const MAX_BODY: usize = 256 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Kms,
    SecretsManager,
}

pub(super) async fn accept(kms: FakeKms, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        // what ended is forgotten
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // too many open files, for one: others must get the time to close theirs
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        // an answer is one small packet, which must not wait for another
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let kms = kms.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(&kms, request));
            // a connection that breaks is the client's to notice
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error ends the connection without an answer.
async fn answer(kms: &FakeKms, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    // whatever becomes of it: an answer to a request that was not read to its end may be lost
    let body = read(body).await;
    let (service, outcome) = match target(&head) {
        Ok((service, operation)) => (service, perform(kms, service, operation, &head.headers, body).await),
        Err(error) => (Service::Kms, Err(error)),
    };
    let (status, body, error_type) = match outcome {
        Ok(body) => (StatusCode::OK, body, None),
        Err(error) if error.code() == ErrorCode::ConnectionDropped => {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Err(error) => {
            let name = match service {
                Service::Kms => error.code().name(),
                Service::SecretsManager => secrets_protocol::error_name(error.code()),
            };
            let status = StatusCode::from_u16(error.code().status());
            let body = json!({ "__type": name, "message": error.message() });
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body, Some(HeaderValue::from_static(name)))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Some(error_type) = error_type {
        headers.insert(ERROR_TYPE, error_type);
    }
    let id = random_uuid().map_err(io::Error::other)?;
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id.to_string()).map_err(io::Error::other)?);
    Ok(response)
}

/// What the request asks for: `TrentService.Decrypt`.
fn target(head: &Parts) -> Answer<(Service, Operation)> {
    let unknown = || FakeError::new(ErrorCode::UnknownOperation, "no such operation here");
    let target = head.headers.get(TARGET).and_then(|target| target.to_str().ok());
    let (service, name) = target.and_then(|target| target.split_once('.')).ok_or_else(unknown)?;
    let service = match service {
        "TrentService" => Service::Kms,
        "secretsmanager" => Service::SecretsManager,
        _ => return Err(unknown()),
    };
    let operation = Operation::named(name).ok_or_else(unknown)?;
    let is_of_service = (operation == Operation::GetSecretValue) == (service == Service::SecretsManager);
    let is_call = head.method == Method::POST && head.uri.path() == "/";
    if !is_call || !is_of_service || head.headers.get(CONTENT_TYPE) != Some(&JSON) {
        return Err(unknown());
    }
    Ok((service, operation))
}

async fn perform(
    kms: &FakeKms,
    service: Service,
    operation: Operation,
    headers: &HeaderMap,
    body: Answer<Vec<u8>>,
) -> Answer<Value> {
    let arrival = kms.arrive(operation);
    sleep(arrival.delay).await;
    kms.complete(arrival, |seen| {
        check_signature(headers, &kms.region(), service)?;
        match service {
            Service::Kms => kms_protocol::answer(kms, operation, &body?, seen),
            Service::SecretsManager => secrets_protocol::answer(kms, &body?, seen),
        }
    })
}

/// Reads all of a body, and keeps it if it is not too long.
async fn read(mut body: Incoming) -> Answer<Vec<u8>> {
    let mut kept = Vec::new();
    let mut is_too_long = false;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| FakeError::new(ErrorCode::Serialization, "the body broke off"))?;
        let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
        is_too_long |= kept.len() + data.len() > MAX_BODY;
        if !is_too_long {
            kept.extend_from_slice(data);
        }
    }
    if is_too_long {
        return Err(FakeError::new(ErrorCode::Serialization, "the body is too long"));
    }
    Ok(kept)
}

/// That a request is signed, and for whom: a client with the wrong region fails here as it does in
/// the real service. Whose key signed it does not matter.
fn check_signature(headers: &HeaderMap, region: &str, service: Service) -> Answer<()> {
    let missing = || FakeError::new(ErrorCode::MissingAuthentication, "Missing Authentication Token");
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let scope = header
        .strip_prefix("AWS4-HMAC-SHA256 Credential=")
        .and_then(|rest| rest.split(',').next())
        .ok_or_else(missing)?;
    let service = match service {
        Service::Kms => "kms",
        Service::SecretsManager => "secretsmanager",
    };
    let mut parts = scope.rsplit('/');
    let expected = ["aws4_request", service, region];
    if expected.iter().all(|expected| parts.next() == Some(*expected)) && parts.count() == 2 {
        return Ok(());
    }
    Err(FakeError::new(
        ErrorCode::InvalidSignature,
        format!("Credential should be scoped to a valid region ({region}) and service ({service})."),
    ))
}
