//! MariaDB: a private server on a free port of 127.0.0.1, with a random password.

mod binaries;
mod data;

use std::{net::Ipv4Addr, path::Path, process::Command};

use self::{binaries::Binaries, data::Data};
use super::{
    Endpoint, Service, folder,
    server::Server,
    url::{Kind, Url},
};
use crate::{
    account::Account,
    command,
    error::{Context, Error, Result},
    home::Home,
    state::{Record, State},
};

const NAME: &str = "mariadb";
/// The account that the server's package makes, for root; the programs alone make none.
const ACCOUNT: &str = "mysql";
const NOBODY: &str = "nobody";
const USER: &str = "pii";
/// The database made for tests; empty whenever the server is started.
const DATABASE: &str = "pii_test";
/// Durability is off: tests never need what they wrote before a power failure. No Unix socket, whose path
/// could be too long. What is said about values is as in a fresh installation.
const SETTINGS: [&str; 9] = [
    "--bind-address=127.0.0.1",
    "--socket=",
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
    "--innodb-buffer-pool-size=64M",
    "--character-set-server=utf8mb4",
    "--max-connections=500",
    "--table-open-cache=500",
];

pub(super) struct MariaDb;

impl Service for MariaDb {
    fn name(&self) -> &'static str {
        NAME
    }

    fn variable(&self) -> &'static str {
        "PII_TEST_MYSQL_URL"
    }

    fn check(&self, value: &str) -> Result<String> {
        let url = Url::parse(Kind::Mysql, value)?;
        url.reach().context(format_args!("{} can't be reached", url.redacted()))?;
        Ok(format!("MariaDB or MySQL at {}", url.redacted()))
    }

    fn running(&self, home: &Home, record: &Record) -> Option<Endpoint> {
        let folder = folder::recorded(home, NAME, record);
        let binaries = Binaries::find()?;
        let password = record.get("password")?;
        server(&folder).running(record, |port| endpoint(&binaries, &folder, port, password))
    }

    fn start(&self, home: &Home, state: &mut State) -> Result<Endpoint> {
        let binaries = Binaries::obtain()?;
        let account = Account::unless_root(ACCOUNT).or_else(|_| Account::unless_root(NOBODY))?;
        let mut record = state.record(NAME);
        // whatever is left of an earlier server, which does not answer
        server(&folder::recorded(home, NAME, &record)).end(&record)?;

        let folder = folder::usable(home, NAME, &mut record, &account)?;
        let password = match record.get("password") {
            Some(password) => password.to_owned(),
            None => folder::random_hex()?,
        };
        record.set("password", &*password);
        state.save(NAME, record)?;

        let data = Data::new(&folder, &account);
        data.make_unless_valid(&binaries)?;
        data.write_begin(&begin(&password))?;
        let mut start = || {
            server(&folder).start(
                state,
                |port| data.server(&binaries, port, &SETTINGS),
                |port| endpoint(&binaries, &folder, port, &password),
            )
        };
        start().or_else(|error| {
            eprintln!("{NAME}: {error}");
            // a crash of the machine may have damaged it
            data.make(&binaries)?;
            start()
        })
    }

    fn stop(&self, home: &Home, record: &mut Record) -> Result<bool> {
        let folder = folder::recorded(home, NAME, record);
        let stopped = server(&folder).stop(record)?;
        // nobody would ever look for a folder outside the checkout
        if record.fields.remove("folder").is_some() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        Ok(stopped)
    }
}

fn server(folder: &Path) -> Server {
    Server { name: NAME, mark: data::data(folder), log: folder.join("log") }
}

/// What the server runs before it answers anybody: nobody but our user may come in.
fn begin(password: &str) -> String {
    [
        "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';".to_owned(),
        "FLUSH PRIVILEGES;".to_owned(),
        format!("CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{password}';"),
        format!("GRANT ALL ON *.* TO {USER}@'127.0.0.1' WITH GRANT OPTION;"),
        format!("DROP DATABASE IF EXISTS {DATABASE};"),
        format!("CREATE DATABASE {DATABASE};"),
    ]
    .join("\n")
}

/// Asks the server who it is: it must answer under our password and work in our folder.
fn endpoint(binaries: &Binaries, folder: &Path, port: &str, password: &str) -> Result<Endpoint> {
    let answer = ask(binaries, port, password, "SELECT CONCAT(@@datadir, '\\n', VERSION())")?;
    let (datadir, version) =
        answer.split_once('\n').ok_or_else(|| Error::new("the server does not say what it is"))?;
    if Path::new(datadir) != data::data(folder) {
        return Err(Error::new(format!("another server answers on port {port}")));
    }
    let version = version.split('-').next().unwrap_or_default();
    let address = Ipv4Addr::LOCALHOST;
    Ok(Endpoint {
        value: format!("mysql://{USER}:{password}@{address}:{port}/{DATABASE}"),
        about: format!("MariaDB {version} on {address}:{port}"),
    })
}

/// The password goes by the environment: everybody on the machine can read a command line.
fn ask(binaries: &Binaries, port: &str, password: &str, sql: &str) -> Result<String> {
    let mut client = Command::new(&binaries.client);
    client
        .args(["--no-defaults", "--batch", "--raw", "--skip-column-names", "--connect-timeout=5"])
        .args(["--protocol=tcp", "--host", "127.0.0.1", "--port", port, "--user", USER])
        .args(["--database", DATABASE, "--execute", sql])
        .env("MYSQL_PWD", password);
    command::output(&mut client)
}
