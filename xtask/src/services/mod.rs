//! The services that tests need: one file each, listed in [`ALL`].
//!
//! To add one: implement [`Service`] in a file of its own and add it to the list. Tests then find
//! it by its variable, and `test`, `services` and the summary know it.

mod dynamodb;
mod folder;
mod http;
mod mariadb;
mod moto;
mod postgres;
mod python;
mod server;
mod session;
mod url;

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    process::ExitCode,
};

use crate::{
    error::{Context, Result},
    home::Home,
    signals,
    state::{Record, State},
};
pub(crate) use session::Session;

/// Every service, in the order they are started.
static ALL: &[&dyn Service] =
    &[&postgres::Postgres, &mariadb::MariaDb, &python::Python, &moto::Moto, &dynamodb::DynamoDb];

/// Something outside the test program that tests talk to.
pub(crate) trait Service: Sync {
    /// Its name in messages and in the state file.
    fn name(&self) -> &'static str;

    /// The environment variable by which tests find it, and by which a person gives another one.
    fn variable(&self) -> &'static str;

    /// Whether something runs while the service is up; false for what is merely prepared once.
    fn runs(&self) -> bool {
        true
    }

    /// Checks a value that a person gave, and describes what it names, without secrets.
    fn check(&self, value: &str) -> Result<String>;

    /// The service, if it runs as recorded and answers.
    fn running(&self, home: &Home, record: &Record) -> Option<Endpoint>;

    /// Starts the service, getting what it needs, and records what [`Service::running`] and
    /// [`Service::stop`] need before anything runs.
    fn start(&self, home: &Home, state: &mut State) -> Result<Endpoint>;

    /// Stops what this tool started; says whether there was anything to stop.
    fn stop(&self, home: &Home, record: &mut Record) -> Result<bool>;
}

/// A service that answers.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The value of the service's variable. It may hold a password.
    pub(crate) value: String,
    /// What it is, for people, without secrets.
    pub(crate) about: String,
}

/// The value of a variable that a person set; an empty one counts as not set.
fn given(service: &dyn Service) -> Option<String> {
    env::var(service.variable()).ok().filter(|value| !value.is_empty())
}

/// The preferred port if nothing listens there, so that a pasted URL outlives a restart.
fn free_port(preferred: Option<u16>) -> Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    preferred
        .and_then(|port| bind(port).ok())
        .map_or_else(|| bind(0), Ok)
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .context("looking for a free port")
}

/// Uses what was left up, starts what is not there; says whether it started it.
fn ensure(service: &dyn Service, home: &Home, state: &mut State) -> Result<(Endpoint, bool)> {
    signals::check()?;
    let record = state.record(service.name());
    if let Some(endpoint) = service.running(home, &record) {
        if record.kept || !service.runs() {
            return Ok((endpoint, false));
        }
        // nobody knows what is in there
        eprintln!("{}: ending one that an interrupted run has left", service.name());
        stop(service, home, state)?;
    }
    let endpoint = service.start(home, state).context(service.name())?;
    Ok((endpoint, true))
}

/// Stops a service and records it as stopped.
fn stop(service: &dyn Service, home: &Home, state: &mut State) -> Result<bool> {
    let mut record = state.record(service.name());
    if record == Record::default() {
        return Ok(false);
    }
    let stopped = service.stop(home, &mut record).context(service.name())?;
    record.kept = false;
    state.save(service.name(), record)?;
    Ok(stopped)
}

/// `services up`: the variables go to the standard output, everything else to the error output,
/// so that a shell can evaluate what it reads.
pub(crate) fn up(home: &Home) -> Result<ExitCode> {
    let _lock = home.lock()?;
    let mut state = State::load(&home.services)?;
    let mut exports = String::new();
    for service in ALL {
        let (endpoint, started) = ensure(*service, home, &mut state)?;
        if service.runs() {
            let mut record = state.record(service.name());
            record.kept = true;
            state.save(service.name(), record)?;
        }
        let verb = if started { "new" } else { "already there" };
        eprintln!("{}: {verb}: {}", service.name(), endpoint.about);
        if given(*service).is_some_and(|given| given != endpoint.value) {
            eprintln!(
                "note: {} has another value in this environment, which tests use until it is \
                 replaced by the line below",
                service.variable()
            );
        }
        exports.push_str(&export(service.variable(), &endpoint.value));
    }
    print!("{exports}");
    Ok(ExitCode::SUCCESS)
}

/// `services down`
pub(crate) fn down(home: &Home) -> Result<ExitCode> {
    let _lock = home.lock()?;
    let mut state = State::load(&home.services)?;
    let mut code = ExitCode::SUCCESS;
    for service in ALL.iter().rev().filter(|service| service.runs()) {
        match stop(*service, home, &mut state) {
            Ok(true) => eprintln!("{}: stopped", service.name()),
            Ok(false) => eprintln!("{}: nothing to stop", service.name()),
            Err(error) => {
                // the others are stopped all the same
                eprintln!("error: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// `services status`
pub(crate) fn status(home: &Home) -> Result<ExitCode> {
    let state = State::load(&home.services)?;
    for service in ALL {
        let record = state.record(service.name());
        let name = service.name();
        match service.running(home, &record) {
            Some(endpoint) => {
                let kept = if record.kept { " (left up by `services up`)" } else { "" };
                println!("{name}: {}{kept}", endpoint.about);
            }
            None if service.runs() => println!("{name}: not running"),
            None => println!("{name}: not prepared"),
        }
        if let Some(value) = given(*service) {
            let variable = service.variable();
            match service.check(&value) {
                Ok(about) => println!("{name}: {variable} is set: {about}"),
                Err(error) => println!("{name}: {variable} is set, and of no use: {error}"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line that sets a variable in any POSIX shell, whatever the value.
fn export(variable: &str, value: &str) -> String {
    format!("export {variable}='{}'\n", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_values_are_quoted() {
        assert_eq!(export("A", "postgres://a:b@c/d?e=f&g"), "export A='postgres://a:b@c/d?e=f&g'\n");
        assert_eq!(export("A", "it's"), "export A='it'\\''s'\n");
    }

    #[test]
    fn names_and_variables_are_distinct() {
        for (i, one) in ALL.iter().enumerate() {
            for other in ALL.iter().skip(i + 1) {
                assert_ne!(one.name(), other.name());
                assert_ne!(one.variable(), other.variable());
            }
        }
    }
}
