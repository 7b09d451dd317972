//! What can go wrong between a host and a runner.

use std::io;
use std::path::PathBuf;

use armor_runner_protocol::FrameError;

/// A runner could not be installed or spoken to.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// This program carries no runner.
    #[error("there is no runner for this system")]
    NoProgram,
    /// The runner's program could not be put where a sandbox can mount it.
    #[error("could not put the runner at {path}", path = path.display())]
    Install {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nobody listens.
    #[error("no runner answers in {folder}", folder = folder.display())]
    Unreachable {
        /// The folder with its socket.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Who listens is in a process namespace that this process does not see into, so that nobody can
    /// tell who it is.
    #[error(
        "the sandbox's processes cannot be seen from here: Armor and the engine have to share a process namespace"
    )]
    Unseen,
    /// Who listens is not the sandbox's first process.
    #[error("a process of the sandbox has taken the place of the runner's socket")]
    Replaced,
    /// The runner is of another version.
    #[error("the runner speaks version {theirs} of the protocol, this program {ours}")]
    OtherVersion {
        /// What the runner speaks.
        theirs: u32,
        /// What this program speaks.
        ours: u32,
    },
    /// The connection broke.
    #[error("the runner does not answer any more")]
    Lost(#[source] io::Error),
    /// The runner said something that is not understood.
    #[error("the runner said something that is not understood")]
    Misunderstood(#[from] FrameError),
}
