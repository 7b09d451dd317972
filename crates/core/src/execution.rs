//! Executions: commands run in a sandbox.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, ExecutionId, InstanceId, TaskId};
use crate::time::Timestamp;

/// What to run: a program with its arguments, or a line for the sandbox's shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum CommandLine {
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments, passed on as they are.
    Argv(Vec<String>),
}

/// A command line that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// There is no program.
    #[error("the command is empty")]
    Empty,
    /// A NUL byte cannot be passed to a program.
    #[error("the command holds a NUL character")]
    Nul,
}

impl crate::error::Diagnostic for InvalidCommand {
    fn code(&self) -> crate::error::Code {
        crate::error::Code::ArgumentInvalid
    }

    fn next_step(&self) -> Option<String> {
        Some(
            "Pass a shell line such as \"make test\", or an array such as [\"make\", \"test\"]."
                .to_owned(),
        )
    }
}

impl CommandLine {
    /// The program and arguments that the sandbox is asked to run.
    ///
    /// # Errors
    /// When there is no program, or a part holds a NUL.
    pub fn to_argv(&self) -> Result<Vec<String>, InvalidCommand> {
        let argv = match self {
            Self::Shell(line) if line.trim().is_empty() => return Err(InvalidCommand::Empty),
            Self::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            Self::Argv(argv) => argv.clone(),
        };
        match argv.first() {
            None => Err(InvalidCommand::Empty),
            Some(program) if program.is_empty() => Err(InvalidCommand::Empty),
            Some(_) if argv.iter().any(|part| part.contains('\0')) => Err(InvalidCommand::Nul),
            Some(_) => Ok(argv),
        }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(line) => f.write_str(line),
            Self::Argv(argv) => f.write_str(&argv.join(" ")),
        }
    }
}

/// Where an execution stands, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// It runs, watched by a process of Armor.
    Running,
    /// It ended by itself, with an exit code.
    Exited,
    /// The command could not be started: not found (127) or not permitted (126).
    NotStarted,
    /// It ran into its time limit and was killed with its children.
    TimedOut,
    /// The caller took it back, and it was killed with its children.
    Killed,
    /// Its sandbox, or the process that watched it, went away before it ended.
    Interrupted,
}

impl ExecutionStatus {
    /// Its name, as in the database and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Exited => "exited",
            Self::NotStarted => "not_started",
            Self::TimedOut => "timed_out",
            Self::Killed => "killed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Reads such a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Exited,
            Self::NotStarted,
            Self::TimedOut,
            Self::Killed,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|status| status.as_str() == name)
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One command run in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// Which.
    pub id: ExecutionId,
    /// In whose sandbox.
    pub task: TaskId,
    /// Who asked for it.
    pub agent: AgentId,
    /// What runs.
    pub command: CommandLine,
    /// Where in the sandbox.
    pub cwd: String,
    /// The process of Armor that watches it.
    pub instance: InstanceId,
    /// When it was started.
    pub started_at: Timestamp,
    /// How it ended; none while it runs.
    pub end: Option<ExecutionEnd>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecutionEnd {
    /// How.
    pub status: ExecutionStatus,
    /// The exit code, where there is one.
    pub exit_code: Option<i32>,
    /// When.
    pub at: Timestamp,
    /// Bytes written to standard output.
    pub stdout_bytes: u64,
    /// Bytes written to standard error.
    pub stderr_bytes: u64,
    /// What it used, where that is known.
    pub usage: Option<ExecutionUsage>,
}

/// What a command and the children that it waited for used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExecutionUsage {
    /// Processor time in microseconds, its own and the kernel's for it.
    pub cpu_micros: u64,
    /// The most memory that one process of it had, in bytes.
    pub max_memory_bytes: u64,
    /// Whether the sandbox ran out of memory meanwhile, and the kernel killed a process of it.
    pub out_of_memory: bool,
}

impl Execution {
    /// Where it stands.
    pub fn status(&self) -> ExecutionStatus {
        self.end.as_ref().map_or(ExecutionStatus::Running, |end| end.status)
    }

    /// How long it ran, in milliseconds; none while it runs.
    pub fn duration_ms(&self) -> Option<u64> {
        let end = self.end.as_ref()?;
        u64::try_from(end.at.since(self.started_at).as_millis()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_goes_to_the_shell_and_an_array_does_not() {
        let shell: CommandLine = serde_json::from_str("\"echo $HOME\"").unwrap();
        assert_eq!(shell.to_argv().unwrap(), ["/bin/sh", "-c", "echo $HOME"]);
        let argv: CommandLine = serde_json::from_str("[\"echo\", \"$HOME\"]").unwrap();
        assert_eq!(argv.to_argv().unwrap(), ["echo", "$HOME"]);
    }

    #[test]
    fn commands_that_cannot_be_run_are_refused() {
        assert_eq!(CommandLine::Argv(vec![]).to_argv(), Err(InvalidCommand::Empty));
        assert_eq!(CommandLine::Shell(" ".to_owned()).to_argv(), Err(InvalidCommand::Empty));
        assert_eq!(CommandLine::Shell("a\0b".to_owned()).to_argv(), Err(InvalidCommand::Nul));
    }
}
