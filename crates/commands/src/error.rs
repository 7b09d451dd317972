//! What can go wrong with a command.

use armor_core::checkpoint::InvalidCheckpointName;
use armor_core::decision::InvalidDecision;
use armor_core::error::{Code, Diagnostic};
use armor_core::event::InvalidLevel;
use armor_core::event::{InvalidDeadLetterId, LogError};
use armor_core::id::InvalidId;
use armor_core::job::{InvalidJobId, QueueError};
use armor_core::network::InvalidRule;
use armor_core::path::InvalidPath;
use armor_core::sandbox::{InvalidSandboxField, RuntimeError, UnknownSignal};
use armor_core::task::{InvalidField, UnknownStatus};
use armor_core::time::InvalidTimestamp;
use armor_events::{InvalidPattern, RetryError};
use armor_git::GitError;
use armor_lifecycle::LifecycleError;
use armor_persistence::StorageError;
use armor_registry::RegistryError;

/// An error of a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What the command does failed.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A file failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A field of a task is wrong.
    #[error(transparent)]
    Field(#[from] InvalidField),
    /// A choice about a sandbox is wrong.
    #[error(transparent)]
    SandboxField(#[from] InvalidSandboxField),
    /// A signal is none for commands.
    #[error(transparent)]
    Signal(#[from] UnknownSignal),
    /// A rule about what may be reached is wrong.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    /// The name of a checkpoint is wrong.
    #[error(transparent)]
    CheckpointName(#[from] InvalidCheckpointName),
    /// A status is wrong.
    #[error(transparent)]
    Status(#[from] UnknownStatus),
    /// An id is wrong.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A pattern is wrong.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// A path is wrong.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A level is wrong.
    #[error(transparent)]
    Level(#[from] InvalidLevel),
    /// A decision cannot be noted.
    #[error(transparent)]
    Decision(#[from] InvalidDecision),
    /// A time is wrong.
    #[error(transparent)]
    Time(#[from] InvalidTimestamp),
    /// The event log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The name of a dead letter is wrong.
    #[error(transparent)]
    LetterId(#[from] InvalidDeadLetterId),
    /// A dead letter is not there, or could not be delivered.
    #[error(transparent)]
    Letter(#[from] RetryError),
    /// The number of a job is wrong.
    #[error(transparent)]
    JobId(#[from] InvalidJobId),
    /// The job queue failed, or refused.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Arguments exclude each other.
    #[error("{arguments} exclude each other")]
    Together {
        /// Which.
        arguments: &'static str,
    },
    /// An argument is not there.
    #[error("the argument `{argument}` is missing")]
    Missing {
        /// Which.
        argument: &'static str,
    },
    /// Nobody sits at a terminal.
    #[error("standard input and output are no terminal")]
    NoTerminal,
    /// An argument has a value that it does not take.
    #[error("`{}` is no value for `{argument}`", value.escape_debug())]
    Invalid {
        /// Which.
        argument: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// The user did not agree.
    #[error("{action} needs your agreement")]
    NotAgreed {
        /// What was about to happen.
        action: String,
    },
    /// A file or stream failed.
    #[error("could not {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The figures could not be written down.
    #[error("the figures could not be written down")]
    Metrics(std::fmt::Error),
    /// An outcome could not be written as JSON.
    #[error("the outcome could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl Diagnostic for CommandError {
    fn code(&self) -> Code {
        match self {
            Self::Lifecycle(error) => error.code(),
            Self::Registry(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Storage(error) => error.code(),
            Self::Git(error) => error.code(),
            Self::Field(error) => error.code(),
            Self::SandboxField(error) => error.code(),
            Self::Signal(error) => error.code(),
            Self::Rule(error) => error.code(),
            Self::CheckpointName(error) => error.code(),
            Self::Status(error) => error.code(),
            Self::Id(error) => error.code(),
            Self::Pattern(error) => error.code(),
            Self::Path(error) => error.code(),
            Self::Level(error) => error.code(),
            Self::Decision(error) => error.code(),
            Self::Time(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::LetterId(error) => error.code(),
            Self::Letter(error) => error.code(),
            Self::JobId(error) => error.code(),
            Self::Queue(error) => error.code(),
            Self::Missing { .. } => Code::ArgumentMissing,
            Self::Invalid { .. }
            | Self::NotAgreed { .. }
            | Self::NoTerminal
            | Self::Together { .. } => Code::ArgumentInvalid,
            Self::Io { .. } => Code::StorageFailed,
            Self::Metrics(_) | Self::Json(_) => Code::Internal,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Lifecycle(error) => error.next_step(),
            Self::Registry(error) => error.next_step(),
            Self::Runtime(error) => error.next_step(),
            Self::Storage(error) => error.next_step(),
            Self::Git(error) => error.next_step(),
            Self::Field(error) => error.next_step(),
            Self::SandboxField(error) => error.next_step(),
            Self::Signal(error) => error.next_step(),
            Self::Rule(error) => error.next_step(),
            Self::CheckpointName(error) => error.next_step(),
            Self::Status(error) => error.next_step(),
            Self::Id(error) => error.next_step(),
            Self::Pattern(error) => error.next_step(),
            Self::Path(error) => error.next_step(),
            Self::Level(error) => error.next_step(),
            Self::Decision(error) => error.next_step(),
            Self::Time(error) => error.next_step(),
            Self::Log(error) => error.next_step(),
            Self::LetterId(error) => error.next_step(),
            Self::Letter(error) => error.next_step(),
            Self::JobId(error) => error.next_step(),
            Self::Queue(error) => error.next_step(),
            Self::NoTerminal => Some(
                "Run it in a terminal, or pipe into `armor exec --stdin TASK -- sh`.".to_owned(),
            ),
            Self::Together { .. } => Some("Give one of them.".to_owned()),
            Self::Missing { .. } => Some("See the command's --help.".to_owned()),
            Self::Invalid { expected, .. } => Some(format!("Give {expected}.")),
            Self::NotAgreed { .. } => Some("Give --force to do it without being asked.".to_owned()),
            Self::Io { .. } | Self::Metrics(_) | Self::Json(_) => None,
        }
    }
}
