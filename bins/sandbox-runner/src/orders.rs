//! What the runner and the supervisor of one execution say to each other, in frames of the same
//! form as on the socket.

use armor_runner_protocol::{NotStarted, Usage};
use serde::{Deserialize, Serialize};

/// The word that makes the program a supervisor.
pub(crate) const SUPERVISE: &str = "supervise";

/// What the runner orders.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To start the command. Descriptors go along: first a file with the [`Run`], which may be too
    /// long to wait on the line; then standard input, output and error, or one terminal for all
    /// three.
    Run,
    /// To kill the command and all that came of it.
    Kill,
}

/// The command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: String,
    /// All of its variables.
    pub(crate) env: Vec<(String, String)>,
    /// Whether it has a terminal.
    pub(crate) terminal: bool,
}

/// What a supervisor reports. Its end says that nothing of the execution is left.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    Started { pid: u32 },
    NotStarted(NotStarted),
    Exited(Exited),
}

/// How the command itself ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Exited {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) usage: Usage,
}
