//! Development tasks: `cargo xtask help` lists them.
//!
//! The tests of this workspace run against real servers. This program gets them, starts private
//! ones under `target/services`, runs the whole suite against them, and stops what it started.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its user there"
)]

#[cfg(not(unix))]
compile_error!("xtask starts servers with Unix means; on Windows use it inside WSL");

mod account;
mod command;
mod compile_time;
mod debian;
mod error;
mod features;
mod home;
mod services;
mod signals;
mod state;
mod summary;
mod test;
mod test_output;

use std::{env, process::ExitCode};

use crate::{error::Result, home::Home};

const USAGE: &str = "\
usage: cargo xtask <command>

  test [-- ARGS]       run the whole test suite with the services it needs; ARGS go to `cargo test`
  services up          start the services, leave them running, print the variables to set
  services down        stop the services that this tool started
  services status      say which services are running
  check-features       check that the crate `pii` builds with no features and with each one alone
  compile-time [N]     measure what `#[derive(PiiModel)]` adds to compiling 50 models, in N rounds (5)
  help                 print this text

A service that is given by its environment variable is used as it is, and nothing is started for it:
  PII_TEST_POSTGRES_URL        postgres://user:password@host:port/database of a database made for tests
  PII_TEST_MYSQL_URL           mysql://user:password@host:port/database of a MariaDB or MySQL made for tests
  PII_TEST_PYTHON              a Python that can import the package `cryptography`
  PII_TEST_KMS_ENDPOINT        http://host:port of a moto server
  PII_TEST_DYNAMODB_ENDPOINT   http://host:port of a DynamoDB Local
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => in_home(|home| test::run(home, &[])),
        ["test", "--", rest @ ..] => in_home(|home| test::run(home, rest)),
        ["services", "up"] => in_home(services::up),
        ["services", "down"] => in_home(services::down),
        ["services", "status"] => in_home(services::status),
        ["check-features"] => in_home(features::check),
        ["compile-time"] => in_home(|home| compile_time::run(home, 5)),
        ["compile-time", rounds] if rounds.parse().is_ok_and(|rounds: u32| rounds > 0) => {
            in_home(|home| compile_time::run(home, rounds.parse().unwrap_or(1)))
        }
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        signals::exit_code().unwrap_or(ExitCode::FAILURE)
    })
}

/// Runs a task in this workspace, with signals caught so that it can clean up.
fn in_home(task: impl FnOnce(&Home) -> Result<ExitCode>) -> Result<ExitCode> {
    signals::install()?;
    task(&Home::find()?)
}
