//! The folder of a server that may run under another account.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    account::Account,
    error::{Context, Error, Result},
    home::Home,
    state::Record,
};

/// Where a service has its files.
pub(super) fn recorded(home: &Home, name: &str, record: &Record) -> PathBuf {
    record.get("folder").map_or_else(|| home.services.join(name), PathBuf::from)
}

/// The folder for the server's files: under `target/services`, or, where the server's account
/// can't get there (a checkout under `/root`), one under the system's temporary folder.
pub(super) fn usable(home: &Home, name: &str, record: &mut Record, account: &Account) -> Result<PathBuf> {
    let recorded = recorded(home, name, record);
    if recorded.is_dir() && account.owns(&recorded) && account.can_use(&recorded) {
        return Ok(recorded);
    }
    record.fields.remove("folder");
    let usual = home.services.join(name);
    if usual.exists() && !account.owns(&usual) {
        // of a run under another account; nothing in it is worth keeping
        let _ = fs::remove_dir_all(&usual);
    }
    if prepare(&usual, account) {
        return Ok(usual);
    }
    let _ = fs::remove_dir_all(&usual);
    let own = format!("pii-services-{}", random_hex()?);
    for parent in [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] {
        let folder = parent.join(&own);
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
pub(super) fn random_hex() -> Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
