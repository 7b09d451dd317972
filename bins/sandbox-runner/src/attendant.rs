//! A supervisor's process, as the runner sees it: started ahead, so that a command does not wait for
//! that.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::orders::SUPERVISE;
use crate::processes;

/// A supervisor that waits for its order.
#[derive(Debug)]
pub(crate) struct Attendant {
    pub(crate) pid: i32,
    pub(crate) line: UnixStream,
}

impl Attendant {
    /// Starts one.
    pub(crate) fn start() -> io::Result<Self> {
        let (line, theirs) = UnixStream::pair()?;
        line.set_nonblocking(true)?;
        let supervisor = Command::new("/proc/self/exe")
            .arg(SUPERVISE)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // It is waited for together with all others, not by its handle.
        Ok(Self { pid: supervisor.id().cast_signed(), line })
    }

    /// Gets it going, if a command has stopped it while it waited.
    pub(crate) fn wake(&self) {
        processes::go_on(self.pid);
    }
}
