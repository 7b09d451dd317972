//! What happened to a command in a sandbox.

use serde::{Deserialize, Serialize};

use crate::execution::{CommandLine, ExecutionStatus, ExecutionUsage};
use crate::id::{AgentId, ExecutionId};

/// What happened to a command in a sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum ExecutionEvent {
    /// It was started. The environment's values are left out: they may be secrets.
    #[serde(rename = "execution:started")]
    Started {
        /// Which.
        execution: ExecutionId,
        /// Who asked for it.
        agent: AgentId,
        /// What runs.
        command: CommandLine,
        /// Where in the sandbox.
        cwd: String,
        /// The names of the variables that were passed.
        env: Vec<String>,
    },
    /// It ended, or was ended.
    #[serde(rename = "execution:finished")]
    Finished {
        /// Which.
        execution: ExecutionId,
        /// How.
        status: ExecutionStatus,
        /// The exit code, where there is one.
        exit_code: Option<i32>,
        /// How long it ran, in milliseconds.
        duration_ms: u64,
        /// Bytes written to standard output.
        stdout_bytes: u64,
        /// Bytes written to standard error.
        stderr_bytes: u64,
        /// What it used, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<ExecutionUsage>,
    },
}

impl ExecutionEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "execution:started",
            Self::Finished { .. } => "execution:finished",
        }
    }
}
