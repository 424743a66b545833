//! The account that servers run under.
//!
//! Postgres and MariaDB refuse to run as root. A root user (a container, a CI job) therefore gives its servers
//! to the account that their package made, or to nobody; everybody else runs them under the own account.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::{
    command,
    error::{Context, Error, Result},
};

#[derive(Debug)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
    /// Whether this is another account than the one that runs this program.
    other: bool,
}

impl Account {
    /// The own account, or `name` for root.
    pub(crate) fn unless_root(name: &str) -> Result<Self> {
        if is_root()? {
            let missing = format!(
                "running as root, under which the server does not start, and there is no account \
                 `{name}` to give it to; create one, or run as an ordinary user"
            );
            Ok(Self {
                uid: id(&["-u", name]).context(&missing)?,
                gid: id(&["-g", name]).context(&missing)?,
                other: true,
            })
        } else {
            Ok(Self { uid: id(&["-u"])?, gid: id(&["-g"])?, other: false })
        }
    }

    /// The account that owns a file or folder.
    pub(crate) fn owner_of(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).context(path.display())?;
        Ok(Self { uid: metadata.uid(), gid: metadata.gid(), other: metadata.uid() != id(&["-u"])? })
    }

    /// A command that runs under this account, in a folder it can enter.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder);
        if self.other {
            // also drops root's supplementary groups
            command.uid(self.uid).gid(self.gid).env("HOME", folder);
        }
        command
    }

    /// Gives a file or folder to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        if self.other {
            chown(path, Some(self.uid), Some(self.gid))
                .context(format_args!("giving {} to the server's account", path.display()))?;
        }
        Ok(())
    }

    /// Whether this account owns a file or folder.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| metadata.uid() == self.uid)
    }

    /// Whether this account can enter a folder and write there, found out by doing so:
    /// any parent folder may be closed to it.
    pub(crate) fn can_use(&self, folder: &Path) -> bool {
        let mut shell = self.command("sh", Path::new("/"));
        shell.args(["-c", "cd \"$1\" && test -w .", "sh"]).arg(folder);
        command::output(&mut shell).is_ok()
    }
}

pub(crate) fn is_root() -> Result<bool> {
    Ok(id(&["-u"])? == 0)
}

fn id(arguments: &[&str]) -> Result<u32> {
    let text = command::output(Command::new("id").args(arguments))?;
    text.parse().map_err(|_| Error::new(format!("`id` answered {text:?}")))
}
