//! Packages of Debian and its descendants, for a root user without the needed programs.

use std::{fs, path::Path, process::Command};

use crate::{
    account, command,
    error::{Context, Result},
};

/// Whether packages can be installed here: apt is there and we are root.
pub(crate) fn can_install() -> bool {
    Path::new("/usr/bin/apt-get").exists() && account::is_root().unwrap_or(false)
}

/// Installs packages without asking anything.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    eprintln!("installing {} with apt-get", packages.join(", "));
    command::shown(apt().args(["update", "-q"]))?;
    command::shown(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(packages))
        .context(format_args!("installing {}", packages.join(", ")))
}

fn apt() -> Command {
    let mut command = Command::new("/usr/bin/apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// A configuration file that exists while packages are installed and is removed afterwards.
pub(crate) struct TemporarySetting<'a> {
    path: &'a Path,
    folder_is_ours: bool,
}

impl<'a> TemporarySetting<'a> {
    pub(crate) fn write(path: &'a Path, text: &str) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folder_is_ours = !folder.exists();
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(path, text))
            .context(format_args!("writing {}", path.display()))?;
        Ok(Self { path, folder_is_ours })
    }
}

impl Drop for TemporarySetting<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path);
        if let Some(folder) = self.path.parent().filter(|_| self.folder_is_ours) {
            // fails, as it should, when the packages have put something of their own there
            let _ = fs::remove_dir(folder);
        }
    }
}
