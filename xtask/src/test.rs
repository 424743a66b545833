//! `cargo xtask test`: services, the whole suite, one summary.

use std::{
    env, fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, ExitStatus, Stdio},
    time::Instant,
};

use crate::{
    command,
    error::{Context, Result},
    home::Home,
    services::Session,
    signals,
    summary::Summary,
    test_output::{Parser, Target},
};

/// Runs all tests; `arguments` are appended to `cargo test`.
pub(crate) fn run(home: &Home, arguments: &[&str]) -> Result<ExitCode> {
    let begin = Instant::now();
    let path = home.target.join("test-summary.txt");
    // an old one must not be taken for this run's, should this run be killed
    let _ = fs::remove_file(&path);

    let mut summary = Summary::default();
    match in_session(home, arguments, &mut summary) {
        Ok(status) if status.success() => {}
        Ok(status) => summary.problem = Some(format!("cargo test ended with {status}")),
        Err(error) => summary.problem = Some(error.to_string()),
    }
    if let Err(error) = signals::check() {
        summary.problem = Some(error.to_string());
    }
    summary.time = begin.elapsed();

    let text = summary.render();
    fs::write(&path, &text).context(format_args!("writing {}", path.display()))?;
    print!("\n{text}");
    Ok(match signals::exit_code() {
        Some(code) => code,
        None if summary.succeeded() => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

/// Runs the tests between getting the services and stopping them.
fn in_session(home: &Home, arguments: &[&str], summary: &mut Summary) -> Result<ExitStatus> {
    let session = Session::open(home)?;
    summary.services = session.describe();
    let mut cargo = cargo_test(arguments);
    cargo.current_dir(&home.root).envs(session.environment());
    let (status, targets) = stream(cargo)?;
    summary.targets = targets;
    session.close();
    Ok(status)
}

/// All unit, integration and documentation tests, with examples compiled. Benchmarks stay out.
fn cargo_test(arguments: &[&str]) -> Command {
    let mut cargo = command::cargo();
    cargo.args(["test", "--all-features", "--no-fail-fast"]);
    // next to `--workspace`, cargo ignores a choice of packages
    if !chooses_packages(arguments) {
        cargo.arg("--workspace");
    }
    cargo.args(arguments);
    let undecided = env::var_os("CARGO_TERM_COLOR").is_none() && env::var_os("NO_COLOR").is_none();
    if undecided && io::stdout().is_terminal() {
        // cargo itself sees a pipe
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    cargo
}

fn chooses_packages(arguments: &[&str]) -> bool {
    arguments.iter().take_while(|argument| **argument != "--").any(|argument| {
        *argument == "--package"
            || argument.starts_with("--package=")
            || (argument.starts_with("-p") && !argument.starts_with("--"))
    })
}

/// Runs cargo, passing on what it prints and reading it. Both its outputs go into one pipe, so that
/// its headings stay in order with the results of the tests.
fn stream(mut cargo: Command) -> Result<(ExitStatus, Vec<Target>)> {
    let (mut reader, writer) = io::pipe().context("making a pipe")?;
    cargo
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("making a pipe")?)
        .stderr(writer)
        // one group, so that a signal reaches the test programs too and this program just once
        .process_group(0);
    let mut child = cargo.spawn().context("running cargo")?;
    // holds the writing ends, without which the pipe ends with the last child
    drop(cargo);
    let _forward = signals::forward_to(child.id());

    let mut parser = Parser::default();
    let mut buffer = [0_u8; 8192];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("reading what cargo prints"),
        };
        parser.feed(read);
        // a reader of ours that went away does not end the tests
        let mut out = io::stdout().lock();
        let _ = out.write_all(read).and_then(|()| out.flush());
    }
    let status = child.wait().context("waiting for cargo")?;
    Ok((status, parser.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_of_packages_is_seen() {
        assert!(chooses_packages(&["-p", "xtask"]));
        assert!(chooses_packages(&["--lib", "--package=xtask"]));
        assert!(chooses_packages(&["-pxtask"]));
        assert!(!chooses_packages(&["--lib"]));
        assert!(!chooses_packages(&["--", "-p"]));
        assert!(!chooses_packages(&["--profile", "release"]));
    }
}
