//! Files that appear whole and durable, or not at all.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{
    crypto::fill_random,
    error::{Error, ErrorKind, Result},
    wire::encode::hex,
};

/// Between the name of a file and the random digits of a draft of it: whatever is said of `pii.key*`, in
/// a `.gitignore` or for a backup, goes for drafts of a key file too.
const DRAFT: &str = ".draft-";

const DRAFT_DIGITS: usize = 32;

/// Far longer than anyone needs from a draft to its file.
const STALE_AFTER: Duration = Duration::from_secs(60);

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
    let draft = draft_of(path, access)?;
    let published = write(&draft, bytes, access).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match published {
        // who came first may not have got as far
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            sync_folder_of(path)?;
            Err(error)
        }
        Err(error) => Err(error),
        Ok(()) => sync_folder_of(path),
    }
}

/// Makes a folder, with those above it.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(path)?;
    missing.into_iter().filter(|folder| !folder.as_os_str().is_empty()).try_for_each(sync_folder_of)
}

/// Whether a file of this name may be one that [`publish`] or [`replace`] left when it was killed while it
/// wrote the file `target`.
pub(crate) fn is_draft_of(name: &OsStr, target: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(target.as_encoded_bytes());
    let digits = rest.and_then(|rest| rest.strip_prefix(DRAFT.as_bytes())).unwrap_or_default();
    digits.len() == DRAFT_DIGITS && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// As [`publish`], in the place of the file that has the name now.
pub(crate) fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let draft = draft_of(path, access)?;
    let replaced = write(&draft, bytes, access).and_then(|()| fs::rename(&draft, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&draft);
    }
    replaced?;
    sync_folder_of(path)
}

/// The name for a new draft. Drafts of a secret that writers left when they were killed are removed: they
/// may be links to the file itself. Drafts of other files are no secrets, and are not looked for, because
/// their folders may be large.
fn draft_of(path: &Path, access: Access) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    if access == Access::Owner {
        remove_stale_drafts(folder_of(path), name);
    }
    let mut random = [0; DRAFT_DIGITS / 2];
    fill_random(&mut random).map_err(io::Error::other)?;
    let mut draft = name.to_owned();
    draft.push(DRAFT);
    draft.push(hex(&random));
    Ok(path.with_file_name(draft))
}

/// Leaves alone what another writer may be at work on. What can't be removed stays.
fn remove_stale_drafts(folder: &Path, target: &OsStr) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_draft_of(&entry.file_name(), target)) {
        let written =
            entry.metadata().ok().filter(fs::Metadata::is_file).and_then(|file| file.modified().ok());
        let age = written.and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > STALE_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
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
    if cfg!(unix) { fs::File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What stands where a folder should be, if that is so: the path itself or the nearest one above it.
pub(crate) fn no_folder(path: &Path) -> Option<&Path> {
    let nearest = path.ancestors().find(|above| above.exists())?;
    (!nearest.is_dir()).then_some(nearest)
}

/// Why a file of secrets could not be made. `what` says what it is, `if_it_exists` what to do then.
pub(crate) fn not_made(what: &str, path: &Path, if_it_exists: &str, error: io::Error) -> Error {
    let (what, folder) = (format!("the {what} `{}`", path.display()), folder_of(path));
    let wrong = |message: String| Error::new(ErrorKind::Configuration).message(message);
    let told = match error.kind() {
        io::ErrorKind::AlreadyExists => wrong(format!("{what} exists already")).help(if_it_exists),
        _ if matches!(folder.try_exists(), Ok(false)) => {
            wrong(format!("{what} cannot be made: there is no folder `{}`", folder.display()))
                .help("make the folder, or give another path")
        }
        _ if no_folder(folder) == Some(folder) => {
            wrong(format!("{what} cannot be made: `{}` is not a folder", folder.display()))
                .help("give a path in a folder")
        }
        io::ErrorKind::InvalidInput => {
            wrong(format!("{what} cannot be made")).help("give the path of a file")
        }
        _ => Error::new(ErrorKind::KeyUnavailable).message(format!("{what} cannot be made")),
    };
    told.source(error)
}

/// Opens a file of secrets that nobody but its owner may use. `what` says what it is, `help` what to do if
/// it can't be read.
pub(crate) fn read_secret(what: &str, path: &Path, limit: usize, help: &str) -> Result<Zeroizing<Vec<u8>>> {
    let unreadable = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::KeyMissing,
            _ => ErrorKind::KeyUnavailable,
        };
        Error::new(kind)
            .message(format!("the {what} `{}` cannot be read", path.display()))
            .help(help)
            .source(error)
    };
    // Opening a pipe would wait for someone who writes into it. One that takes the place of the file
    // between the two calls still does so: only the owner of the folder can put it there.
    refuse_what_is_no_file(what, path, &fs::metadata(path).map_err(unreadable)?)?;
    let mut file = fs::File::open(path).map_err(unreadable)?;
    refuse_access_of_others(what, path, &file.metadata().map_err(unreadable)?)?;
    read(&mut file, limit).map_err(unreadable)
}

fn refuse_what_is_no_file(what: &str, path: &Path, metadata: &fs::Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = if metadata.is_dir() { "a folder" } else { "not a regular file" };
    Err(Error::new(ErrorKind::Configuration)
        .message(format!("the {what} `{}` is {found}", path.display()))
        .help(format!("give the path of the {what} itself")))
}

/// Refuses a file of secrets that others than its owner may use. `what` says what it is.
#[cfg(unix)]
fn refuse_access_of_others(what: &str, path: &Path, metadata: &fs::Metadata) -> Result<()> {
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
fn refuse_access_of_others(_: &str, _: &Path, _: &fs::Metadata) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef";

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_draft_has_the_name_of_its_file_before_its_own() {
        let draft = draft_of(Path::new("/etc/shop/pii.key"), Access::Default).unwrap();
        assert!(draft.starts_with("/etc/shop"));
        let name = draft.file_name().unwrap();
        assert!(name.to_str().unwrap().starts_with("pii.key.draft-"), "{name:?}");
        assert!(is_draft_of(name, OsStr::new("pii.key")));
        assert!(draft_of(Path::new(".."), Access::Default).is_err());
    }

    #[test]
    fn nothing_but_drafts_of_the_file_are_its_drafts() {
        let target = OsStr::new("pii.key");
        assert!(is_draft_of(OsStr::new(&format!("pii.key.draft-{DIGITS}")), target));
        let others = [
            "pii.key".to_owned(),
            "pii.key.draft-".to_owned(),
            format!("pii.key.draft-{}", &DIGITS[1..]),
            format!("pii.key.draft-{DIGITS}0"),
            format!("pii.key.draft-{}", DIGITS.to_uppercase()),
            format!("pii.key.draft-{DIGITS}.draft-{DIGITS}"),
            format!("pii.key2.draft-{DIGITS}"),
            format!("my-pii.key.draft-{DIGITS}"),
            format!("draft-{DIGITS}"),
        ];
        for other in others {
            assert!(!is_draft_of(OsStr::new(&other), target), "{other}");
        }
    }

    #[test]
    fn whoever_writes_a_secret_removes_drafts_that_were_left_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pii.key");
        let stale = SystemTime::now() - 2 * STALE_AFTER;
        let leave = |name: &str, written: SystemTime| {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(written).unwrap();
        };
        let (left, fresh) = (format!("pii.key.draft-{DIGITS}"), format!("pii.key.draft-{}", "0".repeat(32)));
        let (other, mine) = (format!("other.key.draft-{DIGITS}"), "pii.key.draft-of-mine");
        // far from stale however slow this machine is
        leave(&fresh, SystemTime::now() + Duration::from_secs(3600));
        leave(&other, stale);
        leave(mine, stale);
        let kept = [other.as_str(), "pii.key", &fresh, mine];
        leave(&left, stale);
        publish(&path, b"first", Access::Owner).unwrap();
        assert_eq!(names(folder.path()), kept);
        // as the one that is killed after it made the link
        fs::hard_link(&path, folder.path().join(&left)).unwrap();
        fs::File::open(&path).unwrap().set_modified(stale).unwrap();
        replace(&path, b"second", Access::Owner).unwrap();
        assert_eq!(names(folder.path()), kept);
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }
}
