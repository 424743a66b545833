//! Files that appear whole and durable, or not at all.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    crypto::fill_random,
    error::{Error, ErrorKind, Result},
    wire::encode::hex,
};

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Owner,
    Default,
}

/// Makes a file of these bytes under a name that must be free; whoever comes second gets
/// [`io::ErrorKind::AlreadyExists`], and the file of the first stays as it is.
///
/// It is written under a random name first: a crash leaves no half file, and no two writers, not
/// even with the same process id in two containers, can take each other's draft for their own.
pub(crate) fn publish(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let draft = draft_beside(path)?;
    let published = write(&draft, bytes, access).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    published?;
    sync_folder_of(path)
}

/// As [`publish`], in the place of the file that has the name now.
pub(crate) fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let draft = draft_beside(path)?;
    let replaced = write(&draft, bytes, access).and_then(|()| fs::rename(&draft, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&draft);
    }
    replaced?;
    sync_folder_of(path)
}

fn draft_beside(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 16];
    fill_random(&mut random).map_err(io::Error::other)?;
    Ok(path.with_file_name(format!("draft-{}", hex(&random))))
}

fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if access == Access::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a new name durable.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Refuses a file of secrets that others than its owner may use. `what` says what it is.
#[cfg(unix)]
pub(crate) fn refuse_access_of_others(what: &str, path: &Path, metadata: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::new(ErrorKind::Configuration)
            .message(format!(
                "the {what} `{}` may be used by others (mode {:04o})",
                path.display(),
                mode & 0o7777
            ))
            .help(format!("run `chmod 600 {}`", path.display())));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn refuse_access_of_others(_: &str, _: &Path, _: &fs::Metadata) -> Result<()> {
    Ok(())
}

/// The bytes of a regular file of at most `limit` bytes, in one block that is wiped when dropped.
pub(crate) fn read(file: &mut fs::File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    // room beyond the length, so that the block is not left for a larger one
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit.min(length).saturating_add(64)));
    file.take(u64::try_from(length).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
