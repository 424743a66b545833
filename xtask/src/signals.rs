//! Ctrl-C and requests to terminate, so that services are stopped on the way out.
//!
//! The first signal ends the running `cargo test` and lets the task clean up. The second one ends
//! this program at once; a server it leaves behind is recorded in the state file, where the next
//! run, or `cargo xtask services down`, finds it. The same holds for a kill that can't be caught.

use std::{
    process::{self, Command, ExitCode},
    sync::atomic::{AtomicI32, AtomicU32, Ordering},
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::error::{Context, Error, Result};

/// The signal that came, 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// The process group to end when a signal comes, 0 for none.
static GROUP: AtomicU32 = AtomicU32::new(0);

/// Catches the signals that ask a program to end.
pub(crate) fn install() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("installing the signal handler")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let second = SIGNAL.swap(signal, Ordering::SeqCst) != 0;
            end_group(if second { "KILL" } else { "TERM" });
            if second {
                process::exit(128_i32.saturating_add(signal));
            }
            eprintln!("\ninterrupted: stopping what was started; once more to leave it running");
        }
    });
    Ok(())
}

/// An error once a signal has come; asked between steps.
pub(crate) fn check() -> Result<()> {
    match SIGNAL.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => Err(Error::new(format!("interrupted by signal {signal}"))),
    }
}

/// The exit code shells use for a program ended by a signal, if one came.
pub(crate) fn exit_code() -> Option<ExitCode> {
    let signal = SIGNAL.load(Ordering::SeqCst);
    let code = u8::try_from(signal).ok().filter(|code| *code != 0)?;
    Some(ExitCode::from(code.saturating_add(128)))
}

/// While the returned guard lives, a signal ends the process group `leader`.
pub(crate) fn forward_to(leader: u32) -> Forward {
    GROUP.store(leader, Ordering::SeqCst);
    // a signal that came before the group was known has not reached it
    if check().is_err() {
        end_group("TERM");
    }
    Forward
}

/// Ends the forwarding when dropped.
pub(crate) struct Forward;

impl Drop for Forward {
    fn drop(&mut self) {
        GROUP.store(0, Ordering::SeqCst);
    }
}

fn end_group(signal: &str) {
    let group = GROUP.load(Ordering::SeqCst);
    if group != 0 {
        // by the shell's own `kill`: the program of that name is not on every system
        let kill = format!("kill -{signal} -{group}");
        let _ = Command::new("sh").args(["-c", &kill]).status();
    }
}
