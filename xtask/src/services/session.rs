//! The services of one test run.

use std::fs::File;

use super::{ALL, Endpoint, Service, ensure, given, stop};
use crate::{
    error::{Context, Result},
    home::Home,
    signals,
    state::State,
};

/// Where a service came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A variable names it.
    Given,
    /// `services up` left it running.
    Kept,
    /// This run started it.
    Started,
    /// It is there and does not run, so there is nothing to stop.
    Prepared,
}

/// Holds every service for as long as tests run; stops, when dropped, what nobody asked to keep.
pub(crate) struct Session<'a> {
    home: &'a Home,
    state: State,
    obtained: Vec<(&'static dyn Service, Origin, Endpoint)>,
    closed: bool,
    _lock: File,
}

impl<'a> Session<'a> {
    /// Gets every service, or says which one can't be had and why.
    pub(crate) fn open(home: &'a Home) -> Result<Self> {
        let lock = home.lock()?;
        let mut session = Self {
            home,
            state: State::load(&home.services)?,
            obtained: Vec::new(),
            closed: false,
            _lock: lock,
        };
        for service in ALL {
            session.obtain(*service)?;
        }
        signals::check()?;
        Ok(session)
    }

    fn obtain(&mut self, service: &'static dyn Service) -> Result<()> {
        let (endpoint, origin) = if let Some(value) = given(service) {
            let about = service
                .check(&value)
                .context(format_args!("what {} names is of no use", service.variable()))?;
            (Endpoint { value, about }, Origin::Given)
        } else {
            let (endpoint, started) = ensure(service, self.home, &mut self.state)?;
            let origin = match started {
                _ if !service.runs() => Origin::Prepared,
                true => Origin::Started,
                false => Origin::Kept,
            };
            (endpoint, origin)
        };
        eprintln!("{}: {}", service.name(), endpoint.about);
        self.obtained.push((service, origin, endpoint));
        Ok(())
    }

    /// The variables by which tests find the services.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.obtained.iter().map(|(service, _, endpoint)| (service.variable(), endpoint.value.as_str()))
    }

    /// One line per service for the summary.
    pub(crate) fn describe(&self) -> Vec<String> {
        self.obtained
            .iter()
            .map(|(service, origin, endpoint)| {
                let origin = match origin {
                    Origin::Given => format!("given by {}", service.variable()),
                    Origin::Kept => "left up by `services up`".to_owned(),
                    Origin::Started => "started by this run".to_owned(),
                    Origin::Prepared => "prepared".to_owned(),
                };
                format!("{}: {}; {origin}", service.name(), endpoint.about)
            })
            .collect()
    }

    /// Stops what has to be stopped.
    pub(crate) fn close(mut self) {
        self.stop_all();
    }

    fn stop_all(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        // All of them, not only those obtained: one may have come up and failed at its last step,
        // and one that was not used because another was given may be an abandoned one.
        for service in ALL.iter().rev() {
            if self.state.record(service.name()).kept {
                continue;
            }
            if let Err(error) = stop(*service, self.home, &mut self.state) {
                eprintln!("error: could not stop a service: {error}");
            }
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.stop_all();
    }
}
