//! Starting a supervisor: another process that goes on in this program.
//!
//! A process that is started from a file costs several times as much as one that is forked, and each
//! command needs one that watches over it. This is the only place where the compiler has to be told
//! that something is sound.

#![allow(unsafe_code, reason = "only the caller can know whether it may fork, and close")]
#![allow(clippy::exit, reason = "the child must not come back into what the runner does")]

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::libc;
use nix::unistd::{ForkResult, fork};

use crate::supervisor::{self, Charge};

/// The first descriptor behind standard input, output and error.
const FIRST: RawFd = 3;

/// Starts a supervisor, which has the descriptors of its charge and no other of the runner's, and
/// says which process it is. The runner's copies of them are closed.
///
/// # Errors
/// When there can be no more processes.
pub(crate) fn start_supervisor(charge: Charge) -> io::Result<i32> {
    // SAFETY: the runner has one thread, so no other one holds a lock that the child would wait for.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        ForkResult::Child => {
            let done = close_all_but(&charge).and_then(|()| supervisor::run(charge));
            std::process::exit(i32::from(done.is_err()))
        }
    }
}

/// Closes what is the runner's: a connection ends for its host when nobody holds it any more.
fn close_all_but(charge: &Charge) -> io::Result<()> {
    let descriptors = charge.descriptors();
    let mut kept: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut first = FIRST;
    for descriptor in kept {
        close_range(first, descriptor - 1)?;
        first = descriptor + 1;
    }
    close_range(first, RawFd::MAX)
}

/// Closes all descriptors from `first` to `last`.
fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: what owned them in the runner is never used in this process, nor dropped.
    let closed = unsafe { libc::close_range(first.cast_unsigned(), last.cast_unsigned(), 0) };
    if closed == 0 {
        return Ok(());
    }
    // A kernel before 5.9 does not know that.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|open| (first..=last).contains(open)) {
        // SAFETY: as above. The one that has listed them is closed already; once more does nothing.
        unsafe { rustix::io::close(descriptor) };
    }
    Ok(())
}
