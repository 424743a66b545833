//! The data folder of a server: made, and served.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::binaries::Binaries;
use crate::{
    account::Account,
    command,
    error::{Context, Result},
};

/// Where the data is in a server's folder.
pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// A folder with a server's data, which this account has.
pub(super) struct Data<'a> {
    folder: &'a Path,
    account: &'a Account,
}

impl<'a> Data<'a> {
    pub(super) fn new(folder: &'a Path, account: &'a Account) -> Self {
        Self { folder, account }
    }

    /// Keeps data that this version and this account can start with.
    pub(super) fn make_unless_valid(&self, binaries: &Binaries) -> Result<()> {
        let made_by = fs::read_to_string(self.version()).unwrap_or_default();
        let is_valid = made_by == binaries.version()? && self.account.owns(&data(self.folder));
        if is_valid { Ok(()) } else { self.make(binaries) }
    }

    /// Makes new, empty data. What tells the version comes last, so what it stands beside is complete.
    pub(super) fn make(&self, binaries: &Binaries) -> Result<()> {
        eprintln!("mariadb: making a data folder in {}", self.folder.display());
        let _ = fs::remove_file(self.version());
        let data = data(self.folder);
        if data.exists() {
            fs::remove_dir_all(&data).context(format_args!("removing {}", data.display()))?;
        }
        let mut maker = self.account.command(&binaries.maker, self.folder);
        maker
            .args(["--no-defaults", "--skip-test-db", "--skip-name-resolve"])
            .arg("--auth-root-authentication-method=normal")
            .arg(named("--datadir", &data));
        command::output(&mut maker)?;
        fs::write(self.version(), binaries.version()?).context("noting the version of the data")
    }

    /// Writes what the server runs before it answers; it holds a password.
    pub(super) fn write_begin(&self, sql: &str) -> Result<()> {
        let path = self.begin();
        let _ = fs::remove_file(&path);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(sql.as_bytes()))
            .context("writing the server's first statements")?;
        self.account.own(&path)
    }

    /// The command that runs the server.
    pub(super) fn server(&self, binaries: &Binaries, port: &str, settings: &[&str]) -> Command {
        let mut server = self.account.command(&binaries.server, self.folder);
        server
            .arg("--no-defaults")
            .arg(named("--datadir", &data(self.folder)))
            .arg(named("--init-file", &self.begin()))
            .arg(named("--pid-file", &self.folder.join("pid")))
            .args(settings)
            .args(["--port", port]);
        server
    }

    fn version(&self) -> PathBuf {
        self.folder.join("version")
    }

    fn begin(&self) -> PathBuf {
        self.folder.join("begin.sql")
    }
}

/// `--name=path`
fn named(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
