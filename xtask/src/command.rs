//! Running other programs.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::{Context, Error, Result};

/// Runs a command to its end and returns what it wrote to its standard output.
/// When it fails, the error carries the end of what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().context(format_args!("running {program}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.trim().to_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = tail(&format!("{stdout}\n{stderr}"), 20);
    Err(Error::new(format!(
        "{program} failed ({}){}{said}",
        output.status,
        if said.is_empty() { "" } else { ":\n" },
    )))
}

/// Runs a command with its output shown, on the standard error: the standard output of this
/// program is for results.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context(format_args!("running {program}"))?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("{program} failed ({status})"))) }
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Looks a program up in a list of folders written like `PATH`.
pub(crate) fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The command line of a running process.
pub(crate) fn command_line(process: u32) -> Option<String> {
    match std::fs::read(format!("/proc/{process}/cmdline")) {
        Ok(line) => Some(String::from_utf8_lossy(&line).replace('\0', " ")),
        Err(_) => {
            let process = process.to_string();
            output(Command::new("ps").args(["-o", "command=", "-p", &process])).ok()
        }
    }
}

/// The last lines of a text, without blank ones.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = kept.len().saturating_sub(lines);
    kept.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}

/// The last lines of a file, empty if it can't be read.
pub(crate) fn tail_of_file(path: &Path, lines: usize) -> String {
    std::fs::read(path).map_or_else(|_| String::new(), |bytes| tail(&String::from_utf8_lossy(&bytes), lines))
}
