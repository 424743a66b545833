//! The programs of a Postgres server: found, or installed.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command, debian,
    error::{Error, Result},
};

/// Folders with one subfolder per version, where distributions put servers: Debian's and PGDG's.
const INSTALLED: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];
const NEEDED: [&str; 4] = ["initdb", "pg_ctl", "postgres", "psql"];

/// A folder that holds all the programs of one version.
#[derive(Debug)]
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    pub(crate) fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        find_in(&INSTALLED, &path).map(|folder| Self { folder })
    }

    /// Finds the programs, or installs them where that can be done without asking.
    pub(crate) fn obtain() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        if debian::can_install() {
            // the package would make a server of its own and start it
            let _setting = debian::TemporarySetting::write(
                Path::new("/etc/postgresql-common/createcluster.d/pii-tests.conf"),
                "create_main_cluster = false\n",
            )?;
            debian::install(&["postgresql"])?;
        }
        Self::find().ok_or_else(missing)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The major version, as in a data folder's `PG_VERSION`.
    pub(crate) fn major(&self) -> Option<String> {
        let text = command::output(Command::new(self.program("postgres")).arg("--version")).ok()?;
        major_of(&text).map(str::to_owned)
    }
}

pub(crate) fn missing() -> Error {
    Error::new(format!(
        "no Postgres server to start: no folder under /usr/lib/postgresql or in PATH holds {}. Install it \
         (Debian, Ubuntu: `apt-get install postgresql`; macOS: `brew install postgresql`), or set \
         PII_TEST_POSTGRES_URL to a database made for tests",
        NEEDED.join(", ")
    ))
}

/// Distributions' folders first, the newest version first: what `PATH` holds may be a wrapper.
fn find_in(installed: &[(&str, &str)], path: &OsStr) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = installed
        .iter()
        .flat_map(|(parent, prefix)| {
            fs::read_dir(parent).into_iter().flatten().flatten().filter_map(move |entry| {
                let name = entry.file_name();
                let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            })
        })
        .collect();
    versions.sort();
    let from_path = command::find("initdb", path)
        .and_then(|program| program.canonicalize().ok())
        .and_then(|program| program.parent().map(Path::to_path_buf));
    versions
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .chain(from_path)
        .find(|folder| NEEDED.iter().all(|name| folder.join(name).is_file()))
}

/// `15` of `postgres (PostgreSQL) 15.8 (Debian 15.8-0)`; `18` of `postgres (PostgreSQL) 18beta1`
fn major_of(text: &str) -> Option<&str> {
    let version = text.split_whitespace().nth(2)?;
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end).filter(|major| !major.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.8 (Debian 15.8-0)"), Some("15"));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some("18"));
        assert_eq!(major_of("postgres (PostgreSQL) next"), None);
        assert_eq!(major_of(""), None);
    }

    #[test]
    fn the_newest_complete_version_is_taken() {
        let root = env::temp_dir().join(format!("xtask-binaries-{}", std::process::id()));
        let install = |folder: &str, programs: &[&str]| {
            let folder = root.join(folder).join("bin");
            fs::create_dir_all(&folder).unwrap();
            for program in programs {
                fs::write(folder.join(program), "").unwrap();
            }
            folder.canonicalize().unwrap()
        };
        let nine = install("lib/9", &NEEDED);
        let sixteen = install("lib/16", &NEEDED);
        install("lib/17", &["initdb", "psql"]);
        install("lib/common", &NEEDED);
        let own = install("own", &NEEDED);
        let lib = root.join("lib");
        let empty = root.join("empty");
        let (lib, empty) = (lib.to_str().unwrap(), empty.to_str().unwrap());
        let path = env::join_paths(["/nowhere", own.to_str().unwrap()]).unwrap();

        let found = find_in(&[(lib, "")], &path);
        fs::remove_dir_all(&sixteen).unwrap();
        let older = find_in(&[(lib, "")], &path);
        let in_path = find_in(&[(empty, "")], &path);
        let nothing = find_in(&[(empty, "")], OsStr::new(""));
        fs::remove_dir_all(&root).unwrap();

        assert_eq!(found, Some(sixteen));
        assert_eq!(older, Some(nine));
        assert_eq!(in_path, Some(own));
        assert_eq!(nothing, None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = missing().to_string();
        for word in ["initdb", "apt-get install postgresql", "PII_TEST_POSTGRES_URL"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
    }
}
