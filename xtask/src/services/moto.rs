//! moto, an independent imitation of AWS in Python: a second witness for the KMS keyring.
//!
//! A virtual environment under `target/services/moto`, and a server on a free port of 127.0.0.1.
//! Whatever is in the server is gone when it stops.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Endpoint, Service, http,
    python::{maker, program},
    server::Server,
};
use crate::{
    command,
    error::{Context, Error, Result},
    home::Home,
    state::{Record, State},
};

/// The major version of moto that the tests are known to work with.
const MAJOR: u32 = 5;
const VERSION: &str = "import moto.server; print(moto.__version__)";

pub(super) struct Moto;

impl Service for Moto {
    fn name(&self) -> &'static str {
        "moto"
    }

    fn variable(&self) -> &'static str {
        "PII_TEST_KMS_ENDPOINT"
    }

    fn check(&self, value: &str) -> Result<String> {
        ask(value).context(format_args!("no moto server answers at {value}"))?;
        Ok(format!("moto at {value}"))
    }

    fn running(&self, home: &Home, record: &Record) -> Option<Endpoint> {
        server(home).running(record, |port| endpoint(home, port))
    }

    fn start(&self, home: &Home, state: &mut State) -> Result<Endpoint> {
        let server = server(home);
        server.end(&state.record(self.name()))?;
        prepare(home)?;
        server.start(state, |port| command(home, port), |port| endpoint(home, port))
    }

    fn stop(&self, home: &Home, record: &mut Record) -> Result<bool> {
        server(home).stop(record)
    }
}

fn folder(home: &Home) -> PathBuf {
    home.services.join("moto")
}

fn script(home: &Home) -> PathBuf {
    folder(home).join("bin").join("moto_server")
}

fn server(home: &Home) -> Server {
    Server { name: Moto.name(), mark: script(home), log: home.services.join("moto.log") }
}

/// Gets moto, unless it is there.
fn prepare(home: &Home) -> Result<()> {
    let folder = folder(home);
    let python = program(&folder);
    if version(&python).is_ok() {
        return Ok(());
    }
    let maker = maker()?;
    eprintln!("moto: making a virtual environment in {}", folder.display());
    command::output(Command::new(&maker).args(["-m", "venv", "--clear"]).arg(&folder))
        .and_then(|_| {
            let package = format!("moto[server]>={MAJOR},<{}", MAJOR.saturating_add(1));
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).arg(package);
            command::output(&mut pip)
        })
        .and_then(|_| version(&python))
        .map(drop)
        .map_err(|error| {
            Error::new(format!(
                "no Python package `moto`; name a moto server by setting PII_TEST_KMS_ENDPOINT, or let pip \
                 install it: {error}"
            ))
        })
}

fn version(python: &Path) -> Result<String> {
    let version = command::output(Command::new(python).args(["-c", VERSION]))?;
    if version.split('.').next().and_then(|major| major.parse().ok()) == Some(MAJOR) {
        return Ok(version);
    }
    Err(Error::new(format!("moto is {version}, and tests know version {MAJOR}")))
}

fn command(home: &Home, port: &str) -> Command {
    let mut command = Command::new(program(&folder(home)));
    command.arg(script(home)).args(["--host", "127.0.0.1", "--port", port]).current_dir(folder(home));
    command
}

fn endpoint(home: &Home, port: &str) -> Result<Endpoint> {
    let value = format!("http://127.0.0.1:{port}");
    ask(&value)?;
    let version = version(&program(&folder(home)))?;
    Ok(Endpoint { about: format!("moto {version} on 127.0.0.1:{port}"), value })
}

/// Asks for a page that only moto has.
fn ask(url: &str) -> Result<()> {
    let answer = http::ask(url, "GET /moto-api/data.json", &[], "")?;
    if http::is_ok(&answer) {
        return Ok(());
    }
    Err(Error::new("something else than moto answers there"))
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
        for value in ["", "127.0.0.1:5000", "https://127.0.0.1:5000", "http://", "http://127.0.0.1"] {
            assert!(Moto.check(value).is_err(), "{value}");
        }
    }

    #[test]
    fn another_server_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            for answer in ["HTTP/1.0 404 Not Found\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n{}"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let read = stream.read(&mut request).unwrap();
                assert!(request[..read].starts_with(b"GET /moto-api/data.json "));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert!(Moto.check(&url).is_err());
        assert!(Moto.check(&url).is_ok());
        server.join().unwrap();
    }
}
