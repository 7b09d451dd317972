//! What can go wrong in a task's life: what the layers below say, and what requests get wrong.

use std::path::PathBuf;

use armor_checkpoint_store::StoreError;
use armor_core::error::{Code, Diagnostic};
use armor_core::execution::InvalidCommand;
use armor_core::hook::HookPoint;
use armor_core::id::{CheckpointId, ExecutionId, InvalidId, TaskId};
use armor_core::path::InvalidPath;
use armor_core::sandbox::{InvalidSandboxField, NetworkMode, RuntimeError};
use armor_core::task::{InvalidField, TaskError, WorkspaceMode};
use armor_git::GitError;
use armor_persistence::StorageError;
use armor_registry::RegistryError;

/// An error of the lifecycle.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The registry refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The task's state refused.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The repository cannot be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A checkpoint failed.
    #[error(transparent)]
    Checkpoint(#[from] StoreError),
    /// A file of the task failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A field of a request is wrong.
    #[error(transparent)]
    Field(#[from] InvalidField),
    /// A choice about the sandbox is wrong.
    #[error(transparent)]
    SandboxField(#[from] InvalidSandboxField),
    /// An id is wrong.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The command is wrong.
    #[error(transparent)]
    Command(#[from] InvalidCommand),
    /// The working directory is wrong.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// The name of a variable cannot be one.
    #[error("`{}` cannot be the name of an environment variable", .0.escape_debug())]
    VariableName(String),
    /// The value of a variable cannot be one.
    #[error("the value of the environment variable {0} holds a NUL character")]
    VariableValue(String),
    /// The time limit is out of bounds.
    #[error("a time limit of {millis} ms is not between 1 ms and 24 h")]
    TimeLimit {
        /// What was asked for, in milliseconds.
        millis: u64,
    },
    /// The sandbox cannot run a command without a process of Armor.
    #[error("commands in this sandbox do not go on without a process of Armor")]
    NoBackground,
    /// A command cannot hear a signal.
    #[error("the command of execution {execution} does not run now")]
    NotRunning {
        /// Which.
        execution: ExecutionId,
    },
    /// The settings do not let tasks have this network.
    #[error("the settings do not let tasks have the network {network}")]
    NetworkRefused {
        /// What was asked for.
        network: NetworkMode,
        /// What may be.
        modes: Vec<NetworkMode>,
    },
    /// The settings do not let tasks have so much.
    #[error("the limit {name} = {asked} is above {most}, the most that a task may have")]
    LimitRefused {
        /// Which limit.
        name: &'static str,
        /// What was asked for.
        asked: u32,
        /// What may be.
        most: u32,
    },
    /// The settings do not let tasks use a folder in this way.
    #[error("the settings do not let tasks have a workspace of the mode {mode}")]
    WorkspaceRefused {
        /// What was asked for.
        mode: WorkspaceMode,
        /// What may be.
        modes: Vec<WorkspaceMode>,
    },
    /// The folder is in Armor's home, or the other way round.
    #[error("{path} has the home of Armor in it or is in it, {home}", path = path.display(), home = home.display())]
    WorkspaceMeetsHome {
        /// The folder.
        path: PathBuf,
        /// The home.
        home: PathBuf,
    },
    /// The folder cannot be the workspace itself.
    #[error("{path} cannot be a workspace itself: {reason}", path = path.display())]
    NotToBeBound {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A task cannot be recovered in this way.
    #[error("task {task} has no option {wanted} to recover it; there are {options}")]
    NoSuchOption {
        /// The task.
        task: TaskId,
        /// Which was wanted, counted from 1.
        wanted: usize,
        /// How many there are.
        options: usize,
    },
    /// The task's workspace is the user's.
    #[error("{path} is a folder of the user's own", path = path.display())]
    UsersOwnFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A fork that was begun needs the checkpoint.
    #[error("checkpoint {checkpoint} is needed: the files of {fork} are to be made from it")]
    NeededByFork {
        /// The fork.
        fork: TaskId,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why they cannot be made now; nothing where that takes too long.
        source: Option<Box<Self>>,
    },
    /// What is there cannot all be kept, so that it could be gone back to.
    #[error("`{}` cannot be kept before the checkpoint is restored: {reason}", path.escape_debug())]
    NotAllKept {
        /// Where it is in the task's files.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// The certificates of the settings cannot be used.
    #[error("the certificates in {file} cannot be used", file = file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Nobody carries the connections of a task's network.
    #[error("what carries the connections of tasks does not run: {reason}")]
    NoCarrier {
        /// Why not.
        reason: String,
    },
    /// The lock of whoever carries connections could not be looked at.
    #[error("the lock of what carries the connections of tasks could not be used")]
    CarrierLock(#[source] std::io::Error),
    /// The pool's files failed.
    #[error("the files of the pool of sandboxes could not be used")]
    Pool(#[source] std::io::Error),
    /// A hook refused the change.
    #[error("the hook `{hook}` ({point}) refused: {reason}")]
    Refused {
        /// At which point.
        point: HookPoint,
        /// What the hook is called.
        hook: String,
        /// Why.
        reason: String,
    },
    /// A task of this program ended badly.
    #[error("{0} ended unexpectedly")]
    Broken(&'static str),
}

impl Diagnostic for LifecycleError {
    fn code(&self) -> Code {
        match self {
            Self::Registry(error) => error.code(),
            Self::Task(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Git(error) => error.code(),
            Self::Storage(error) => error.code(),
            Self::Checkpoint(error) => error.code(),
            Self::Field(error) => error.code(),
            Self::SandboxField(error) => error.code(),
            Self::Id(error) => error.code(),
            Self::Command(error) => error.code(),
            Self::Path(error) => error.code(),
            Self::VariableName(_) | Self::VariableValue(_) | Self::TimeLimit { .. } => {
                Code::ArgumentInvalid
            }
            Self::NoBackground => Code::ExecutionNoBackground,
            Self::NotRunning { .. } => Code::ExecutionNotRunning,
            Self::NetworkRefused { .. } => Code::NetworkRefused,
            Self::LimitRefused { .. } => Code::SandboxRefused,
            Self::WorkspaceRefused { .. } | Self::NotToBeBound { .. } => Code::WorkspaceRefused,
            Self::WorkspaceMeetsHome { .. } => Code::WorkspaceNotAllowed,
            Self::NoSuchOption { .. } => Code::RecoveryNoOption,
            Self::UsersOwnFolder { .. } => Code::CheckpointElsewhere,
            Self::NeededByFork { .. } => Code::CheckpointNeeded,
            Self::NotAllKept { .. } => Code::CheckpointUnsafe,
            Self::Certificates { .. } => Code::ConfigInvalid,
            Self::NoCarrier { .. } => Code::NetworkNoCarrier,
            Self::CarrierLock(_) | Self::Pool(_) => Code::StorageFailed,
            Self::Refused { .. } => Code::HookRefused,
            Self::Broken(_) => Code::Internal,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.next_step(),
            Self::Task(error) => error.next_step(),
            Self::Runtime(error) => error.next_step(),
            Self::Git(error) => error.next_step(),
            Self::Storage(error) => error.next_step(),
            Self::Checkpoint(error) => error.next_step(),
            Self::Field(error) => error.next_step(),
            Self::SandboxField(error) => error.next_step(),
            Self::Id(error) => error.next_step(),
            Self::Command(error) => error.next_step(),
            Self::Path(error) => error.next_step(),
            Self::VariableName(_) => {
                Some("Use letters, digits and _, not beginning with a digit.".to_owned())
            }
            Self::VariableValue(_) => Some("Leave the NUL out.".to_owned()),
            Self::TimeLimit { .. } => Some("Choose one in between.".to_owned()),
            Self::NoBackground => Some("Wait for the command's end, or use an engine on this machine; `armor doctor` says more.".to_owned()),
            Self::NotRunning { execution } => Some(format!("See whether it has ended (`armor executions list`). What it left behind goes with `armor executions kill TASK {execution}`.")),
            Self::NetworkRefused { modes, .. } => {
                let modes: Vec<_> = modes.iter().map(|mode| mode.as_str()).collect();
                Some(format!("Use one of {}, or add it to network.modes in armor.toml.", modes.join(", ")))
            }
            Self::LimitRefused { name, most, .. } => Some(format!("Ask for {most} or less, or have a person raise policy.{name} in armor.toml.")),
            Self::WorkspaceRefused { modes, .. } => {
                let modes: Vec<_> = modes.iter().map(|mode| mode.as_str()).collect();
                Some(format!("Use one of {}, or have a person add it to workspace.modes in armor.toml.", modes.join(", ")))
            }
            Self::WorkspaceMeetsHome { .. } => Some("Use another folder.".to_owned()),
            Self::NotToBeBound { .. } => Some("Give it to another user (`chown`), or ask for a copy of it.".to_owned()),
            Self::NoSuchOption { task, options: 0, .. } => Some(format!("Nothing is left to make it again from. Its files stay in tasks/{task} of the home: create a task, and take from them what you want.")),
            Self::NoSuchOption { task, .. } => Some(format!("`armor recover {task} --dry-run` lists them.")),
            Self::UsersOwnFolder { .. } => Some("Make the checkpoint again in a folder of its own (`armor checkpoint extract`), and take from it what you want.".to_owned()),
            Self::NeededByFork { fork, .. } => Some(format!("`armor exec {fork} true` makes them, or says what is in the way; or delete that task. Then repeat.")),
            Self::NotAllKept { .. } => Some("Make it readable in the sandbox (`chmod`), move it out of the workspace, or remove it, and repeat.".to_owned()),
            Self::Certificates { .. } => {
                Some("Let network.certificates name a file that is there.".to_owned())
            }
            Self::NoCarrier { .. } => Some("Run `armor network carry`: it says what is wrong. Then try again; the task is unharmed.".to_owned()),
            Self::CarrierLock(_) | Self::Pool(_) => Some("Check that the home's disk has room and can be written to (`armor doctor`), and try again.".to_owned()),
            Self::Refused { .. } => Some("Do what the hook asks for, then repeat.".to_owned()),
            Self::Broken(_) => Some("Please report it with the program's log.".to_owned()),
        }
    }
}
