//! Where things are, and the lock that keeps two runs from using them at once.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    error::{Context, Error, Result},
    signals,
};

/// The folders of one checkout of this workspace.
#[derive(Debug)]
pub(crate) struct Home {
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    /// Cargo's output folder.
    pub(crate) target: PathBuf,
    /// Everything that belongs to services: data folders, logs, the state file.
    pub(crate) services: PathBuf,
}

impl Home {
    /// Finds the workspace this program was built from.
    pub(crate) fn find() -> Result<Self> {
        // set by `cargo run`, so a checkout that moved is found where it is now
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root =
            manifest.parent().ok_or_else(|| Error::new("the folder of xtask has no parent"))?.to_path_buf();
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
        Self::at(root, &target)
    }

    fn at(root: PathBuf, target: &Path) -> Result<Self> {
        let services = target.join("services");
        fs::create_dir_all(&services).context(format_args!("creating {}", services.display()))?;
        // canonical: the state file and a server's command line name these folders
        let target = target.canonicalize().context("resolving the target folder")?;
        let services = target.join("services");
        Ok(Self { root, target, services })
    }

    /// Waits until no other task of this checkout works with the services.
    /// The lock goes with the returned file, and with this process if it is killed.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.services.join("lock");
        let file = File::create(&path).context(format_args!("opening {}", path.display()))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        eprintln!("waiting for another `cargo xtask` in this checkout to end");
                        told = true;
                    }
                    signals::check()?;
                    thread::sleep(Duration::from_millis(200));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).context(format_args!("locking {}", path.display()));
                }
            }
        }
    }
}
