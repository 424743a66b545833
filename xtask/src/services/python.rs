//! Python with the package `cryptography`, for the test that decrypts independently of this code.
//!
//! A virtual environment under `target/services/python`. Nothing runs between tests, so there is
//! nothing to stop.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Endpoint, Service};
use crate::{
    command, debian,
    error::{Context, Error, Result},
    home::Home,
    state::{Record, State},
};

/// The major versions of `cryptography` that the tests are known to work with.
const MAJORS: std::ops::RangeInclusive<u32> = 45..=50;
/// What a Python must answer to be of use.
const VERSIONS: &str =
    "import platform, cryptography; print(platform.python_version(), cryptography.__version__)";
/// What a Python must be able to do to make a virtual environment.
const CAN_MAKE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))";

pub(super) struct Python;

impl Service for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn variable(&self) -> &'static str {
        "PII_TEST_PYTHON"
    }

    fn runs(&self) -> bool {
        false
    }

    fn check(&self, value: &str) -> Result<String> {
        let versions = ask(Path::new(value))
            .context(format_args!("{value} is no Python that can import `cryptography`"))?;
        Ok(format!("{versions}, {value}"))
    }

    fn running(&self, home: &Home, _: &Record) -> Option<Endpoint> {
        endpoint(&program(&folder(home)))
    }

    fn start(&self, home: &Home, _: &mut State) -> Result<Endpoint> {
        let maker = maker()?;
        let folder = folder(home);
        let python = program(&folder);
        eprintln!("python: making a virtual environment in {}", folder.display());
        let made = command::output(Command::new(&maker).args(["-m", "venv", "--clear"]).arg(&folder))
            .and_then(|_| command::output(&mut pip(&python)));
        match (made, endpoint(&python)) {
            (Ok(_), Some(endpoint)) => Ok(endpoint),
            // without a network, the package may still be there from the system
            (made, _) => endpoint(&maker).ok_or_else(|| {
                let why = made.err().map(|error| format!(": {error}")).unwrap_or_default();
                Error::new(format!(
                    "no Python package `cryptography`; give a Python that has it by setting \
                     PII_TEST_PYTHON, or let pip install it{why}"
                ))
            }),
        }
    }

    fn stop(&self, _: &Home, _: &mut Record) -> Result<bool> {
        Ok(false)
    }
}

fn folder(home: &Home) -> PathBuf {
    home.services.join("python")
}

pub(super) fn program(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).arg(format!(
        "cryptography>={},<{}",
        MAJORS.start(),
        MAJORS.end().saturating_add(1)
    ));
    pip
}

/// A Python that can make virtual environments: on Debian that is a package of its own.
pub(super) fn maker() -> Result<PathBuf> {
    let find = || {
        ["python3", "/usr/bin/python3"]
            .into_iter()
            .find(|python| command::output(Command::new(python).args(["-c", CAN_MAKE])).is_ok())
    };
    let found = match find() {
        None if debian::can_install() => {
            debian::install(&["python3", "python3-venv"])?;
            find()
        }
        found => found,
    };
    found.map(PathBuf::from).ok_or_else(|| {
        Error::new(
            "no python3 (3.9 or newer) with the modules venv and ensurepip. Install it (Debian, \
             Ubuntu: `apt-get install python3-venv`), or set the service's variable, which \
             CONTRIBUTING.md lists",
        )
    })
}

fn endpoint(python: &Path) -> Option<Endpoint> {
    let versions = ask(python).ok()?;
    Some(Endpoint { value: python.to_str()?.to_owned(), about: format!("{versions}, {}", python.display()) })
}

/// The versions of a Python and of its `cryptography`.
fn ask(python: &Path) -> Result<String> {
    let answer = command::output(Command::new(python).args(["-c", VERSIONS]))?;
    describe(&answer)
}

fn describe(answer: &str) -> Result<String> {
    let (python, package) =
        answer.split_once(' ').ok_or_else(|| Error::new(format!("it answered {answer:?}")))?;
    let major = package.split('.').next().and_then(|major| major.parse().ok());
    if !major.is_some_and(|major| MAJORS.contains(&major)) {
        return Err(Error::new(format!(
            "its `cryptography` is {package}, which is outside {} to {}",
            MAJORS.start(),
            MAJORS.end()
        )));
    }
    Ok(format!("Python {python} with cryptography {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_checked() {
        assert_eq!(describe("3.11.2 46.0.1").unwrap(), "Python 3.11.2 with cryptography 46.0.1");
        for answer in ["", "3.11.2", "3.11.2 38.0.4", "3.11.2 999.0", "3.11.2 unknown"] {
            assert!(describe(answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_given_program_that_is_no_python_is_refused() {
        let error = Python.check("/nonexistent/python").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/python"), "{error}");
    }
}
