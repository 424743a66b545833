//! `cargo xtask compile-time`: what `#[derive(PiiModel)]` adds to the time that a program takes to compile.
//!
//! Two packages with the same structs are written under `target/compile-time`: one of plain strings, one of sealed
//! ones. Both are compiled in turns, and the shortest time of each counts, so that what else the machine does falls
//! on both.

mod job;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use job::{JOBS, Job};
use source::{FIELDS, MODELS, Side};

use crate::{
    command,
    error::{Context, Result},
    home::Home,
    signals,
};

/// So much more may `cargo check` of all models take with the derive.
const MOST_CHECK: Duration = Duration::from_secs(3);

pub(crate) fn run(home: &Home, rounds: u32) -> Result<ExitCode> {
    let packages = Packages::write(home)?;
    println!("{MODELS} models of {FIELDS} fields; the shortest of {rounds} rounds");
    println!("{:<44} {:>9} {:>9} {:>9}  goal", "", "plain", "derive", "more");
    let mut is_met = true;
    for job in &JOBS {
        let [plain, derive] = packages.measure(job, rounds)?;
        let more = derive.saturating_sub(plain);
        let verdict = match job.has_goal {
            true if more <= MOST_CHECK => format!("met (at most {} s more)", MOST_CHECK.as_secs()),
            true => {
                is_met = false;
                format!("MISSED (at most {} s more)", MOST_CHECK.as_secs())
            }
            false => String::new(),
        };
        println!("{:<44} {:>9} {:>9} {:>9}  {verdict}", job.name, show(plain), show(derive), show(more));
    }
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The two packages, in a workspace of their own.
struct Packages {
    folder: PathBuf,
}

impl Packages {
    fn write(home: &Home) -> Result<Self> {
        let folder = home.target.join("compile-time");
        let here = || format!("writing {}", folder.display());
        let members = Side::BOTH.map(|side| format!("\"{}\"", side.name())).join(", ");
        let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n");
        for side in Side::BOTH {
            let package = folder.join(side.name());
            fs::create_dir_all(package.join("src")).context(here())?;
            fs::write(package.join("Cargo.toml"), side.manifest(&home.root)).context(here())?;
            fs::write(package.join("src/lib.rs"), side.library()).context(here())?;
        }
        fs::write(folder.join("Cargo.toml"), workspace).context(here())?;
        // the same versions as everywhere here
        fs::copy(home.root.join("Cargo.lock"), folder.join("Cargo.lock")).context(here())?;
        Ok(Self { folder })
    }

    /// The shortest times of both sides.
    fn measure(&self, job: &Job, rounds: u32) -> Result<[Duration; 2]> {
        // the first time compiles what the packages depend on
        for side in Side::BOTH {
            command::shown(&mut job.command(&self.folder, side)).context("compiling the dependencies")?;
        }
        let mut shortest = [Duration::MAX; 2];
        for round in 0..rounds {
            for (side, shortest) in Side::BOTH.into_iter().zip(&mut shortest) {
                signals::check()?;
                touch(&self.folder.join(side.name()).join("src/lib.rs"), side, job.name, round)?;
                let time = job.time(&self.folder, side)?;
                *shortest = time.min(*shortest);
            }
        }
        Ok(shortest)
    }
}

/// Changes the source as an edit of a comment does.
fn touch(path: &Path, side: Side, job: &str, round: u32) -> Result<()> {
    let text = format!("{}\n// {job}, round {round}\n", side.library());
    fs::write(path, text).context(format_args!("writing {}", path.display()))
}

fn show(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
