//! Postgres: a private server on a free port of 127.0.0.1, with a random password.

mod binaries;
mod cluster;

use std::{fs, path::Path};

use self::{
    binaries::Binaries,
    cluster::{Cluster, Login},
};
use super::{
    Endpoint, Service, folder, free_port,
    url::{Kind, Url},
};
use crate::{
    account::Account,
    error::{Context, Error, Result},
    home::Home,
    signals,
    state::{Record, State},
};

const NAME: &str = "postgres";
/// The account that the server's packages make, for root.
const ACCOUNT: &str = "postgres";
/// The database made for tests; empty whenever the server is started.
const DATABASE: &str = "pii_test";

pub(super) struct Postgres;

impl Service for Postgres {
    fn name(&self) -> &'static str {
        NAME
    }

    fn variable(&self) -> &'static str {
        "PII_TEST_POSTGRES_URL"
    }

    fn check(&self, value: &str) -> Result<String> {
        let url = Url::parse(Kind::Postgres, value)?;
        url.reach().context(format_args!("{} can't be reached", url.redacted()))?;
        let version = Binaries::find().and_then(|binaries| cluster::version_of(&binaries, &url));
        let version = version.unwrap_or_else(|| "(version not asked)".to_owned());
        Ok(format!("PostgreSQL {version} at {}", url.redacted()))
    }

    fn running(&self, home: &Home, record: &Record) -> Option<Endpoint> {
        let folder = folder::recorded(home, NAME, record);
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
        Cluster::new(&folder::recorded(home, NAME, &record)).end(&binaries)?;

        let folder = folder::usable(home, NAME, &mut record, &account)?;
        let cluster = Cluster::new(&folder);
        let mut create = !cluster.is_valid(&binaries, &account);
        let mut outcome = Err(Error::new("not started"));
        for attempt in 1..=3 {
            let port = record.get("port").and_then(|port| port.parse().ok());
            let login = Login {
                port: free_port(port)?,
                password: match record.get("password") {
                    Some(password) if !create => password.to_owned(),
                    _ => folder::random_hex()?,
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
        let folder = folder::recorded(home, NAME, record);
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
