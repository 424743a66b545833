//! A server that is one process on a port: found again by its record and its command line.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Endpoint, free_port};
use crate::{
    command,
    error::{Context, Error, Result},
    signals,
    state::{Record, State},
};

/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a process that has just begun may be without a command line.
const BIRTH: Duration = Duration::from_secs(1);

/// What is the same for all servers of this kind.
pub(super) struct Server {
    /// The service's name.
    pub(super) name: &'static str,
    /// A path below the folder of the services that its command line names, and nobody else's does.
    pub(super) mark: PathBuf,
    /// Where its output goes.
    pub(super) log: PathBuf,
}

impl Server {
    /// Starts the server on a free port and waits until it answers.
    pub(super) fn start(
        &self,
        state: &mut State,
        command: impl Fn(&str) -> Command,
        endpoint: impl Fn(&str) -> Result<Endpoint>,
    ) -> Result<Endpoint> {
        let mut record = state.record(self.name);
        let mut outcome = Err(Error::new("not started"));
        for _ in 1..=3 {
            let port = free_port(record.get("port").and_then(|port| port.parse().ok()))?.to_string();
            let process = self.spawn(command(&port))?;
            record.set("port", port);
            record.set("process", process.to_string());
            state.save(self.name, record.clone())?;
            outcome = self.wait(&record, &endpoint);
            if outcome.is_ok() {
                break;
            }
            // another program may have taken the port meanwhile
            self.end(&record)?;
            record.fields.remove("port");
            signals::check()?;
        }
        outcome
    }

    /// Stops the server; says whether it ran.
    pub(super) fn stop(&self, record: &mut Record) -> Result<bool> {
        let stopped = self.process(record).is_some();
        self.end(record)?;
        record.fields.remove("process");
        Ok(stopped)
    }

    /// The server, if it runs as recorded and answers.
    pub(super) fn running(
        &self,
        record: &Record,
        endpoint: impl Fn(&str) -> Result<Endpoint>,
    ) -> Option<Endpoint> {
        self.process(record)?;
        endpoint(record.get("port")?).ok()
    }

    /// Ends the recorded process, if it still is the server.
    pub(super) fn end(&self, record: &Record) -> Result<()> {
        for signal in ["-TERM", "-KILL"] {
            let Some(process) = self.process(record) else { return Ok(()) };
            // it may have ended by itself in between
            let _ = command::output(Command::new("kill").args([signal, &process.to_string()]));
            let begin = Instant::now();
            while self.process(record).is_some() && begin.elapsed() < PATIENCE / 4 {
                thread::sleep(Duration::from_millis(20));
            }
        }
        match self.process(record) {
            None => Ok(()),
            Some(process) => Err(Error::new(format!("{} (process {process}) does not end", self.name))),
        }
    }

    fn spawn(&self, mut command: Command) -> Result<u32> {
        let name = self.name;
        let log = File::create(&self.log).context(format_args!("creating the log of {name}"))?;
        let errors = log.try_clone().context(format_args!("opening the log of {name}"))?;
        let server = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C is for this program, which then stops the server
            .process_group(0)
            .spawn()
            .context(format_args!("starting {name}"))?;
        Ok(server.id())
    }

    /// Tries until the server answers.
    fn wait(&self, record: &Record, endpoint: impl Fn(&str) -> Result<Endpoint>) -> Result<Endpoint> {
        let port = record.get("port").ok_or_else(|| Error::new("no port is recorded"))?;
        let begin = Instant::now();
        loop {
            let may_come = match self.process(record) {
                Some(_) => begin.elapsed() < PATIENCE,
                None => begin.elapsed() < BIRTH,
            };
            match endpoint(port) {
                Err(_) if may_come => {
                    signals::check()?;
                    thread::sleep(Duration::from_millis(50));
                }
                Err(error) => {
                    let log = command::tail_of_file(&self.log, 15);
                    return Err(Error::new(format!("{error}\nthe end of the server's log:\n{log}")));
                }
                endpoint => return endpoint,
            }
        }
    }

    /// The server's process. Its number alone proves nothing, so the command line must name what only
    /// ours names, and the port.
    fn process(&self, record: &Record) -> Option<u32> {
        let process = record.get("process")?.parse().ok()?;
        let line = command::command_line(process)?;
        let mark = self.mark.to_string_lossy();
        let ours = line.contains(&*mark) && line.split(' ').any(|word| Some(word) == record.get("port"));
        ours.then_some(process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_with_the_mark_and_the_port_is_ours() {
        let mut sleeping = Command::new("sh")
            .args(["-c", "sleep 60; exit", "/somewhere/of-ours", "4321"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let server = |mark: &str| Server { name: "sleep", mark: mark.into(), log: PathBuf::new() };
        let record = |port: &str| {
            let mut record = Record::default();
            record.set("process", sleeping.id().to_string());
            record.set("port", port);
            record
        };
        while command::command_line(sleeping.id()).is_none_or(|line| line.is_empty()) {
            thread::sleep(Duration::from_millis(5));
        }
        let found = [
            server("/somewhere/of-ours").process(&record("4321")),
            server("/somewhere/else").process(&record("4321")),
            server("/somewhere/of-ours").process(&record("432")),
            server("/somewhere/of-ours").process(&Record::default()),
        ];
        let id = sleeping.id();
        sleeping.kill().unwrap();
        sleeping.wait().unwrap();
        assert_eq!(found, [Some(id), None, None, None]);
    }
}
