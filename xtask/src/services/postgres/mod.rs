//! Postgres: a private server on a free port of 127.0.0.1, with a random password.

mod binaries;
mod cluster;
mod url;

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use self::{
    binaries::Binaries,
    cluster::{Cluster, Login},
    url::Url,
};
use super::{Endpoint, Service, free_port};
use crate::{
    account::Account,
    error::{Context, Error, Result},
    home::Home,
    signals,
    state::{Record, State},
};

/// The account that the server's packages make, for root.
const ACCOUNT: &str = "postgres";
/// The database made for tests; empty whenever the server is started.
const DATABASE: &str = "pii_test";

pub(super) struct Postgres;

impl Service for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn variable(&self) -> &'static str {
        "PII_TEST_POSTGRES_URL"
    }

    fn check(&self, value: &str) -> Result<String> {
        let url = Url::parse(value)?;
        url.reach().context(format_args!("{} can't be reached", url.redacted()))?;
        let version = Binaries::find().and_then(|binaries| cluster::version_of(&binaries, &url));
        let version = version.unwrap_or_else(|| "(version not asked)".to_owned());
        Ok(format!("PostgreSQL {version} at {}", url.redacted()))
    }

    fn running(&self, home: &Home, record: &Record) -> Option<Endpoint> {
        let folder = recorded_folder(home, record);
        let cluster = Cluster::new(&folder);
        let login = Login::from_record(record)?;
        cluster.process()?;
        endpoint(&Binaries::find()?, &cluster, &login).ok()
    }

    fn start(&self, home: &Home, state: &mut State) -> Result<Endpoint> {
        let binaries = Binaries::obtain()?;
        let account = Account::unless_root(ACCOUNT)?;
        let mut record = state.record(self.name());
        // whatever is left of an earlier server, which does not answer: it must not live on beside
        // the new one, nor is its folder given up before it has ended
        Cluster::new(&recorded_folder(home, &record)).end(&binaries)?;

        let folder = usable_folder(home, &mut record, &account)?;
        let cluster = Cluster::new(&folder);
        let mut create = !cluster.is_valid(&binaries, &account);
        let mut outcome = Err(Error::new("not started"));
        for attempt in 1..=3 {
            let port = record.get("port").and_then(|port| port.parse().ok());
            let login = Login {
                port: free_port(port)?,
                password: match record.get("password") {
                    Some(password) if !create => password.to_owned(),
                    _ => random_hex()?,
                },
            };
            login.write_to(&mut record);
            state.save(self.name(), record.clone())?;
            if create {
                cluster.create(&binaries, &account, &login)?;
            }
            outcome = cluster
                .start(&binaries, &account, &login)
                .and_then(|()| login.new_database(&binaries, DATABASE))
                .and_then(|()| endpoint(&binaries, &cluster, &login));
            if outcome.is_ok() {
                break;
            }
            // Another program may have taken the port meanwhile, so the next try has another one;
            // the last try has new data too, since a crash of the machine may have damaged it.
            cluster.end(&binaries)?;
            record.fields.remove("port");
            create = attempt == 2;
            signals::check()?;
        }
        outcome
    }

    fn stop(&self, home: &Home, record: &mut Record) -> Result<bool> {
        let folder = recorded_folder(home, record);
        let cluster = Cluster::new(&folder);
        let stopped = cluster.process().is_some();
        if stopped {
            let binaries = Binaries::find().ok_or_else(binaries::missing)?;
            cluster.end(&binaries)?;
        }
        // nobody would ever look for a folder outside the checkout
        if record.fields.remove("folder").is_some() {
            let _ = fs::remove_dir_all(&folder);
        }
        Ok(stopped)
    }
}

/// Asks the server who it is: it must answer under our password and work in our folder.
fn endpoint(binaries: &Binaries, cluster: &Cluster<'_>, login: &Login) -> Result<Endpoint> {
    let folder = login.ask(binaries, DATABASE, "show data_directory")?;
    if Path::new(&folder) != cluster.data() {
        return Err(Error::new(format!("another server answers on port {}", login.port)));
    }
    let version = login.version(binaries, DATABASE)?;
    Ok(Endpoint {
        value: login.url(DATABASE),
        about: format!("PostgreSQL {version} on 127.0.0.1:{}", login.port),
    })
}

fn recorded_folder(home: &Home, record: &Record) -> PathBuf {
    record.get("folder").map_or_else(|| home.services.join("postgres"), PathBuf::from)
}

/// The folder for the server's files: under `target/services`, or, where the server's account
/// can't get there (a checkout under `/root`), one under the system's temporary folder.
fn usable_folder(home: &Home, record: &mut Record, account: &Account) -> Result<PathBuf> {
    let recorded = recorded_folder(home, record);
    if recorded.is_dir() && account.owns(&recorded) && account.can_use(&recorded) {
        return Ok(recorded);
    }
    record.fields.remove("folder");
    let usual = home.services.join("postgres");
    if usual.exists() && !account.owns(&usual) {
        // of a run under another account; nothing in it is worth keeping
        let _ = fs::remove_dir_all(&usual);
    }
    if prepare(&usual, account) {
        return Ok(usual);
    }
    let _ = fs::remove_dir_all(&usual);
    let name = format!("pii-services-{}", random_hex()?);
    for parent in [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] {
        let folder = parent.join(&name);
        if prepare(&folder, account) {
            // canonical, as the server reports it
            let folder = folder.canonicalize().context("resolving the temporary folder")?;
            record.set("folder", folder.to_string_lossy());
            return Ok(folder);
        }
        let _ = fs::remove_dir_all(&folder);
    }
    Err(Error::new(format!(
        "the account that runs the server can't write to {} nor to a temporary folder",
        usual.display()
    )))
}

/// Makes a folder that is the account's alone; false if the account can't use it.
fn prepare(folder: &Path, account: &Account) -> bool {
    (fs::create_dir(folder).is_ok() || account.owns(folder))
        && fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).is_ok()
        && account.own(folder).is_ok()
        && account.can_use(folder)
}

/// 128 bits of the system's randomness.
fn random_hex() -> Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
