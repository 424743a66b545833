//! The programs of a MariaDB server: found, or installed.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command, debian,
    error::{Error, Result},
};

/// Folders of servers that are in few people's `PATH`: Debian's and Fedora's, Homebrew's.
const FOLDERS: [&str; 5] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/opt/mariadb/bin",
];
const SERVER: &str = "mariadbd";
const MAKER: &str = "mariadb-install-db";
const CLIENT: &str = "mariadb";

/// The programs of one installation.
#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) server: PathBuf,
    /// makes a data folder
    pub(super) maker: PathBuf,
    pub(super) client: PathBuf,
}

impl Binaries {
    pub(super) fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        Some(Self { server: find(SERVER, &path)?, maker: find(MAKER, &path)?, client: find(CLIENT, &path)? })
    }

    /// Finds the programs, or installs them where that can be done without asking. These packages make and
    /// start no server.
    pub(super) fn obtain() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        if debian::can_install() {
            debian::install(&["mariadb-server-core", "mariadb-client-core"])?;
        }
        Self::find().ok_or_else(missing)
    }

    /// What the server says of itself; data of another version is made anew.
    pub(super) fn version(&self) -> Result<String> {
        command::output(Command::new(&self.server).args(["--no-defaults", "--version"]))
    }
}

fn missing() -> Error {
    Error::new(format!(
        "no MariaDB server to start: {SERVER}, {MAKER} and {CLIENT} are not in PATH. Install it (Debian, Ubuntu: \
         `apt-get install mariadb-server`; macOS: `brew install mariadb`), or set PII_TEST_MYSQL_URL to a \
         database made for tests"
    ))
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let elsewhere =
        || FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|found| found.is_file());
    command::find(program, path).or_else(elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let text = missing().to_string();
        for word in [SERVER, MAKER, "apt-get install mariadb-server", "PII_TEST_MYSQL_URL"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
    }
}
