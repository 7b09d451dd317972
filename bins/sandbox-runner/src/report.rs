//! What the supervisor of an execution reports to the runner, in frames of the same form as on the
//! socket.

use armor_runner_protocol::{NotStarted, Usage};
use serde::{Deserialize, Serialize};

/// How far a command has come. That the supervisor ends says that nothing of the execution is left.
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
