//! moto, an independent imitation of AWS in Python: a second witness for the KMS keyring.
//!
//! A virtual environment under `target/services/moto`, and a server on a free port of 127.0.0.1.
//! Whatever is in the server is gone when it stops.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    Endpoint, Service, free_port,
    python::{maker, program},
};
use crate::{
    command,
    error::{Context, Error, Result},
    home::Home,
    signals,
    state::{Record, State},
};

/// The major version of moto that the tests are known to work with.
const MAJOR: u32 = 5;
const VERSION: &str = "import moto.server; print(moto.__version__)";
/// How long the server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);

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
        process(home, record)?;
        endpoint(home, record).ok()
    }

    fn start(&self, home: &Home, state: &mut State) -> Result<Endpoint> {
        let mut record = state.record(self.name());
        end(home, &record)?;
        prepare(home)?;
        let mut outcome = Err(Error::new("not started"));
        for _ in 1..=3 {
            let port = free_port(record.get("port").and_then(|port| port.parse().ok()))?;
            record.set("port", port.to_string());
            let process = spawn(home, port)?;
            record.set("process", process.to_string());
            state.save(self.name(), record.clone())?;
            outcome = wait(home, &record);
            if outcome.is_ok() {
                break;
            }
            // another program may have taken the port meanwhile
            end(home, &record)?;
            record.fields.remove("port");
            signals::check()?;
        }
        outcome
    }

    fn stop(&self, home: &Home, record: &mut Record) -> Result<bool> {
        let stopped = process(home, record).is_some();
        end(home, record)?;
        record.fields.remove("process");
        Ok(stopped)
    }
}

fn folder(home: &Home) -> PathBuf {
    home.services.join("moto")
}

fn script(home: &Home) -> PathBuf {
    folder(home).join("bin").join("moto_server")
}

fn log(home: &Home) -> PathBuf {
    home.services.join("moto.log")
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

fn spawn(home: &Home, port: u16) -> Result<u32> {
    let log = File::create(log(home)).context("creating moto's log")?;
    let errors = log.try_clone().context("opening moto's log")?;
    let server = Command::new(program(&folder(home)))
        .arg(script(home))
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .current_dir(folder(home))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C is for this program, which then stops the server
        .process_group(0)
        .spawn()
        .context("starting moto")?;
    Ok(server.id())
}

/// Tries until the server answers.
fn wait(home: &Home, record: &Record) -> Result<Endpoint> {
    let begin = Instant::now();
    loop {
        match endpoint(home, record) {
            Err(_) if begin.elapsed() < PATIENCE && process(home, record).is_some() => {
                signals::check()?;
                thread::sleep(Duration::from_millis(50));
            }
            Err(error) => {
                let log = command::tail_of_file(&log(home), 15);
                return Err(Error::new(format!("{error}\nthe end of the server's log:\n{log}")));
            }
            endpoint => return endpoint,
        }
    }
}

fn endpoint(home: &Home, record: &Record) -> Result<Endpoint> {
    let port = record.get("port").ok_or_else(|| Error::new("no port is recorded"))?;
    let value = format!("http://127.0.0.1:{port}");
    ask(&value)?;
    let version = version(&program(&folder(home)))?;
    Ok(Endpoint { about: format!("moto {version} on 127.0.0.1:{port}"), value })
}

/// The server's process. Its number alone proves nothing, so the command line must name our script
/// and the port.
fn process(home: &Home, record: &Record) -> Option<u32> {
    let process = record.get("process")?.parse().ok()?;
    let line = command::command_line(process)?;
    let ours = line.contains(&*script(home).to_string_lossy()) && line.contains(record.get("port")?);
    ours.then_some(process)
}

fn end(home: &Home, record: &Record) -> Result<()> {
    for signal in ["-TERM", "-KILL"] {
        let Some(process) = process(home, record) else { return Ok(()) };
        // it may have ended by itself in between
        let _ = command::output(Command::new("kill").args([signal, &process.to_string()]));
        let begin = Instant::now();
        while self::process(home, record).is_some() && begin.elapsed() < PATIENCE / 4 {
            thread::sleep(Duration::from_millis(20));
        }
    }
    match process(home, record) {
        None => Ok(()),
        Some(process) => Err(Error::new(format!("moto (process {process}) does not end"))),
    }
}

/// Asks for a page that only moto has.
fn ask(url: &str) -> Result<()> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address =
        address.ok_or_else(|| Error::new("write the endpoint as `http://host:port`, without a path"))?;
    let socket = address.to_socket_addrs().ok().and_then(|mut sockets| sockets.next());
    let socket = socket.ok_or_else(|| Error::new(format!("{address} is no host and port")))?;
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&socket, limit).context("connecting")?;
    stream.set_read_timeout(Some(limit)).context("connecting")?;
    let request = format!("GET /moto-api/data.json HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).context("asking")?;
    let mut answer = Vec::new();
    stream.take(64).read_to_end(&mut answer).context("waiting for an answer")?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_whitespace().nth(1);
    if status == Some("200") {
        return Ok(());
    }
    Err(Error::new("something else than moto answers there"))
}

#[cfg(test)]
mod tests {
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
