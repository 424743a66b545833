//! One server with its data folder: made, started, asked, stopped.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
    net::Ipv4Addr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::url::{Kind, Url},
    binaries::Binaries,
};
use crate::{
    account::Account,
    command,
    error::{Context, Error, Result},
    signals,
    state::Record,
};

const USER: &str = "pii";
/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// Durability is off: tests never need what they wrote before a power failure. No Unix socket:
/// its path has a limit of about 100 bytes, which a deep checkout exceeds.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
     -c synchronous_commit=off -c full_page_writes=off -c max_connections=200";

/// A folder with a server's data and log.
pub(super) struct Cluster<'a> {
    folder: &'a Path,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether there is data that this version and this account can start with.
    pub(super) fn is_valid(&self, binaries: &Binaries, account: &Account) -> bool {
        let version = fs::read_to_string(self.data().join("PG_VERSION")).ok();
        version.is_some_and(|version| Some(version.trim()) == binaries.major().as_deref())
            && account.owns(&self.data())
    }

    /// Makes new, empty data. It gets its place by a rename, so what is there is complete.
    pub(super) fn create(&self, binaries: &Binaries, account: &Account, login: &Login) -> Result<()> {
        eprintln!("postgres: making a data folder in {}", self.folder.display());
        let new = self.folder.join("data.new");
        let password = self.folder.join("password.new");
        for folder in [&new, &self.data()] {
            if folder.exists() {
                fs::remove_dir_all(folder).context(format_args!("removing {}", folder.display()))?;
            }
        }
        let _ = fs::remove_file(&password);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&password)
            .and_then(|mut file| file.write_all(login.password.as_bytes()))
            .context("writing the server's password")?;
        account.own(&password)?;
        let mut initdb = account.command(binaries.program("initdb"), self.folder);
        initdb
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
            .args(["--username", USER, "--pwfile"])
            .arg(&password)
            .arg("--pgdata")
            .arg(&new);
        let made = command::output(without_pg_variables(&mut initdb));
        let _ = fs::remove_file(&password);
        made?;
        fs::rename(&new, self.data()).context("giving the new data folder its name")
    }

    /// Starts the server and waits until it answers.
    pub(super) fn start(&self, binaries: &Binaries, account: &Account, login: &Login) -> Result<()> {
        // of a server that was killed; `end` has made sure that it is gone
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
        let _ = fs::remove_file(self.log());
        let limit = PATIENCE.as_secs().to_string();
        let mut start = account.command(binaries.program("pg_ctl"), self.folder);
        start
            .args(["start", "--silent", "--wait", "--timeout", &limit, "--pgdata"])
            .arg(self.data())
            .arg("--log")
            .arg(self.log())
            .arg("--options")
            .arg(format!("-p {} {SETTINGS}", login.port));
        let started = command::output(without_pg_variables(&mut start)).and_then(|_| login.wait(binaries));
        started.map(drop).map_err(|error| {
            let log = command::tail_of_file(&self.log(), 15);
            Error::new(format!("{error}\nthe end of the server's log:\n{log}"))
        })
    }

    /// Ends the server of this folder, if one runs.
    pub(super) fn end(&self, binaries: &Binaries) -> Result<()> {
        // the orderly way first; the other for one that hangs
        for mode in ["fast", "immediate"] {
            if self.process().is_none() {
                return Ok(());
            }
            let account = Account::owner_of(&self.data())?;
            let mut stop = account.command(binaries.program("pg_ctl"), self.folder);
            stop.args(["stop", "--silent", "--wait", "--timeout", "20", "--mode", mode])
                .arg("--pgdata")
                .arg(self.data());
            if let Err(error) = command::output(without_pg_variables(&mut stop)) {
                eprintln!("postgres: {error}");
            }
        }
        match self.process() {
            None => Ok(()),
            Some(process) => Err(Error::new(format!(
                "the server of {} (process {process}) does not end",
                self.folder.display()
            ))),
        }
    }

    /// The server's process. Its number alone proves nothing: after a crash or a restart of the
    /// container another program may have it, so the command line must name this folder.
    pub(super) fn process(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let process = text.lines().next()?.trim().parse().ok()?;
        let line = command::command_line(process)?;
        let ours = line.contains("postgres") && line.contains(&*self.data().to_string_lossy());
        ours.then_some(process)
    }
}

/// How to talk to a server of ours.
pub(super) struct Login {
    pub(super) port: u16,
    pub(super) password: String,
}

impl Login {
    pub(super) fn from_record(record: &Record) -> Option<Self> {
        Some(Self { port: record.get("port")?.parse().ok()?, password: record.get("password")?.to_owned() })
    }

    pub(super) fn write_to(&self, record: &mut Record) {
        record.set("port", self.port.to_string());
        record.set("password", &*self.password);
    }

    pub(super) fn url(&self, database: &str) -> String {
        let Self { port, password } = self;
        format!("postgres://{USER}:{password}@{}:{port}/{database}", Ipv4Addr::LOCALHOST)
    }

    /// Runs one statement and returns what it answers.
    pub(super) fn ask(&self, binaries: &Binaries, database: &str, sql: &str) -> Result<String> {
        ask(binaries, &Url::parse(Kind::Postgres, &self.url(database))?, sql)
    }

    pub(super) fn version(&self, binaries: &Binaries, database: &str) -> Result<String> {
        self.ask(binaries, database, "show server_version").map(short)
    }

    pub(super) fn new_database(&self, binaries: &Binaries, name: &str) -> Result<()> {
        for sql in [format!("drop database if exists {name}"), format!("create database {name}")] {
            self.ask(binaries, "postgres", &sql).context("making the database for tests")?;
        }
        Ok(())
    }

    /// Tries until the server answers.
    fn wait(&self, binaries: &Binaries) -> Result<String> {
        let begin = Instant::now();
        loop {
            match self.ask(binaries, "postgres", "select 1") {
                Err(_) if begin.elapsed() < PATIENCE => {
                    signals::check()?;
                    thread::sleep(Duration::from_millis(50));
                }
                answer => return answer.context("the server does not answer"),
            }
        }
    }
}

/// The version of a server that a person gave, if it tells.
pub(super) fn version_of(binaries: &Binaries, url: &Url) -> Option<String> {
    ask(binaries, url, "show server_version").ok().map(short)
}

/// `15.8` of `15.8 (Debian 15.8-0+deb12u1)`
fn short(version: String) -> String {
    version.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The password goes by the environment: everybody on the machine can read a command line.
fn ask(binaries: &Binaries, url: &Url, sql: &str) -> Result<String> {
    let mut psql = Command::new(binaries.program("psql"));
    without_pg_variables(&mut psql)
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"])
        .args(["--set", "ON_ERROR_STOP=1", "--command", sql, "--dbname"])
        .arg(url.without_password())
        .env("PGCONNECT_TIMEOUT", "5");
    if let Some(password) = url.password() {
        psql.env("PGPASSWORD", password);
    }
    command::output(&mut psql)
}

/// A developer's own settings must not lead these programs to another server.
fn without_pg_variables(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command
}
