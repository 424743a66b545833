//! What is compiled, and how.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::source::Side;
use crate::{command, error::Result};

/// A way to compile a package.
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) has_goal: bool,
    arguments: &'static [&'static str],
    is_incremental: bool,
}

pub(super) const JOBS: [Job; 3] = [
    Job { name: "cargo check, from nothing", has_goal: true, arguments: &["check"], is_incremental: false },
    Job { name: "cargo check, after an edit", has_goal: true, arguments: &["check"], is_incremental: true },
    Job {
        name: "cargo build with a table of each, from nothing",
        has_goal: false,
        arguments: &["build", "--features", "tables"],
        is_incremental: false,
    },
];

impl Job {
    /// Compiles the package of this side, if its source has changed.
    pub(super) fn command(&self, folder: &Path, side: Side) -> Command {
        let mut cargo = command::cargo();
        cargo.args(self.arguments).args(["--quiet", "--package", side.package()]);
        cargo.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
        cargo.env("CARGO_INCREMENTAL", if self.is_incremental { "1" } else { "0" });
        // as users build, whatever the caller has set for this workspace
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_PROFILE_DEV_DEBUG", "RUSTC_WRAPPER"] {
            cargo.env_remove(variable);
        }
        cargo
    }

    pub(super) fn time(&self, folder: &Path, side: Side) -> Result<Duration> {
        let mut command = self.command(folder, side);
        let began = Instant::now();
        command::shown(&mut command)?;
        Ok(began.elapsed())
    }
}
