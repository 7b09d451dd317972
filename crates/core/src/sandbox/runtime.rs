//! The runtime: what makes sandboxes. Docker's engine is the first; the trait takes neither a
//! daemon nor Docker's names for granted.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use armor_output::{StreamKind, Written};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use crate::error::{Code, Diagnostic};
use crate::execution::ExecutionUsage;
use crate::id::{ExecutionId, SandboxId, TaskId};
use crate::sandbox::{
    Belonging, Capacity, ImageName, Input, Pending, SandboxSpec, Signal, Terminal, TerminalRequest,
    UserIds,
};
use crate::time::Timestamp;

/// What went wrong in a runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nothing answers.
    #[error("no container engine answers at {endpoint}")]
    Unavailable {
        /// The address that was tried.
        endpoint: String,
        /// What came instead of an answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine is there and keeps us out.
    #[error("the container engine at {endpoint} refuses access")]
    AccessDenied {
        /// The address that was tried.
        endpoint: String,
    },
    /// The engine and we did not prove to each other who we are.
    #[error("no agreement over TLS with the container engine at {endpoint}")]
    Untrusted {
        /// The address that was tried.
        endpoint: String,
        /// What one side said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine cannot give what a sandbox needs.
    #[error("the container engine lacks {feature}")]
    TooOld {
        /// What it lacks.
        feature: String,
    },
    /// The engine cannot have what a sandbox asks for, whatever its version.
    #[error("the container engine cannot have {feature}")]
    Unsupported {
        /// What it cannot have.
        feature: &'static str,
        /// What to do about it.
        next_step: &'static str,
    },
    /// No answer within the time allowed.
    #[error("the container engine did not {action} within {limit:?}")]
    Timeout {
        /// What was asked of it.
        action: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// The image is not there and is none that can be made.
    #[error("image {image} does not exist")]
    ImageNotFound {
        /// The image.
        image: ImageName,
    },
    /// The image is for machines of another kind.
    #[error("image {image} is for {platform}, and the engine runs on {engine}")]
    ImageForOthers {
        /// The image.
        image: String,
        /// What it is for.
        platform: String,
        /// What the engine runs on.
        engine: String,
    },
    /// An image could not be made.
    #[error("image {image} could not be built: {reason}")]
    ImageBuild {
        /// The image.
        image: String,
        /// The end of what the build said.
        reason: String,
        /// What to do about it.
        next_step: String,
    },
    /// The sandbox is gone.
    #[error("sandbox {sandbox} does not exist")]
    SandboxGone {
        /// The sandbox.
        sandbox: String,
    },
    /// The sandbox runs, and nothing that could start a command in it answers.
    #[error("what starts commands in sandbox {sandbox} cannot be reached")]
    Unreachable {
        /// The sandbox.
        sandbox: String,
        /// What came instead of an answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The sandbox that came is not the one that was asked for.
    #[error("the engine made a sandbox without {missing}")]
    Weaker {
        /// What is not in force.
        missing: String,
    },
    /// The command's working directory does not exist.
    #[error("the working directory {cwd} does not exist in the sandbox")]
    NoSuchDirectory {
        /// The directory.
        cwd: String,
    },
    /// A command's time is over, and nothing in the sandbox has ended it: the caller has to, as
    /// [`Runtime::kill`] says.
    #[error("a command runs longer than it may, and nothing in the sandbox ends it")]
    Overdue,
    /// A command's output could not be kept, so the command was killed or not started.
    #[error("the output of a command could not be kept in {folder}", folder = folder.display())]
    Output {
        /// The execution's folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The engine refused, or broke.
    #[error("the container engine could not {action}")]
    Engine {
        /// What was asked of it.
        action: &'static str,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RuntimeError {
    /// Whether there is no sandbox, or none that a command could be started in: then no command was
    /// started, and seeing to the sandbox again may help.
    pub const fn lacks_sandbox(&self) -> bool {
        matches!(self, Self::SandboxGone { .. } | Self::Unreachable { .. })
    }
}

impl Diagnostic for RuntimeError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable { .. } | Self::AccessDenied { .. } | Self::Untrusted { .. } => {
                Code::EngineUnavailable
            }
            Self::TooOld { .. } => Code::EngineTooOld,
            Self::Unsupported { .. } => Code::EngineUnsupported,
            Self::Timeout { .. } => Code::EngineTimeout,
            Self::ImageNotFound { .. } => Code::ImageNotFound,
            Self::ImageForOthers { .. } => Code::ImageOtherPlatform,
            Self::ImageBuild { .. } => Code::ImageBuildFailed,
            Self::SandboxGone { .. } => Code::SandboxNotFound,
            Self::Unreachable { .. } => Code::SandboxUnreachable,
            Self::Weaker { .. } => Code::SandboxWeaker,
            Self::NoSuchDirectory { .. } => Code::ArgumentInvalid,
            Self::Overdue => Code::ExecutionTimedOut,
            Self::Output { .. } => Code::StorageFailed,
            Self::Engine { .. } => Code::EngineFailed,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Unavailable { endpoint, .. } if endpoint.starts_with("ssh://") => format!("Run `ssh -T {endpoint} docker version` in a terminal, and put right what it says: the machine's key has to be known, and the login to work without a password."),
            Self::Unavailable { .. } => "Install and start Docker Engine (on Debian: `apt-get install docker.io`, then `systemctl start docker`), or set DOCKER_HOST to an engine that runs. `armor doctor` checks it.".to_owned(),
            Self::AccessDenied { .. } => "Add your user to the group `docker` and log in again, or use a rootless engine through DOCKER_HOST.".to_owned(),
            Self::Untrusted { .. } => "Name the folder with ca.pem, cert.pem and key.pem for this engine: `engine.certificates`, or DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH. Check that they have not expired.".to_owned(),
            Self::TooOld { .. } => "Use Docker Engine 20.10 or newer.".to_owned(),
            Self::Unsupported { next_step, .. } => (*next_step).to_owned(),
            Self::Timeout { .. } => "Look at the engine's own log (`journalctl -u docker`), restart it if it hangs, and try again: the task is unharmed.".to_owned(),
            Self::ImageNotFound { .. } => format!("Build it with `armor image build`, load it into the engine, or use {}.", ImageName::base()),
            Self::ImageForOthers { engine, .. } => format!("Use an image that was built for {engine}."),
            Self::ImageBuild { next_step, .. } => next_step.clone(),
            Self::SandboxGone { .. } => "Attach to the task again: its sandbox is made anew, and its files are kept.".to_owned(),
            Self::Unreachable { .. } => "Attach to the task again: its sandbox is restarted or made anew, and its files are kept.".to_owned(),
            Self::Weaker { .. } => "The sandbox was removed again. Use an engine that supports it; `armor doctor` shows what the engine has.".to_owned(),
            Self::NoSuchDirectory { .. } => "Make the directory first, or leave `cwd` out to start in /workspace.".to_owned(),
            Self::Overdue => "Kill it (`armor executions kill`).".to_owned(),
            Self::Output { .. } => "Check that the disk has room and can be written to (`df -h`, `armor doctor`), and run the command again.".to_owned(),
            Self::Engine { .. } => "Look at the engine's own log (`journalctl -u docker`) and try again: the task is unharmed.".to_owned(),
        })
    }
}

/// What a runtime says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuntimeInfo {
    /// What it is, such as `Docker Engine`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of its interface that is spoken.
    pub api_version: String,
    /// Where it answers.
    pub endpoint: String,
    /// The version of control groups, `1` or `2`.
    pub cgroup_version: String,
    /// The security features that it has in force, such as `seccomp`.
    pub security: Vec<String>,
    /// Whether commands in its sandboxes go on without a process of Armor.
    pub outlives_us: bool,
}

/// A sandbox that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sandbox {
    /// The runtime's name for it.
    pub id: SandboxId,
    /// Whose it is.
    pub task: TaskId,
    /// Whether it runs.
    pub state: SandboxState,
}

/// Whether a sandbox runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxState {
    /// It runs.
    Running,
    /// It is there, and its processes stand still.
    Paused,
    /// It is there, and no process runs.
    Stopped,
}

/// What a sandbox uses at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SandboxStats {
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Processor time used since the start, in nanoseconds.
    pub cpu_nanos: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// A command to run in a sandbox, ready to be passed on.
#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// Which execution it is; [`Runtime::kill`] finds its processes by it.
    pub execution: ExecutionId,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Who runs it: the user of the sandbox's [`SandboxSpec`].
    pub user: UserIds,
    /// Where in the sandbox; absolute.
    pub cwd: String,
    /// Variables added to those that the sandbox has.
    pub env: Vec<(String, String)>,
    /// What the command reads; its standard input is empty without it.
    pub stdin: Option<Input>,
    /// After how long it is killed with all its children.
    pub limit: Duration,
    /// Where its output is kept.
    pub output: OutputPlace,
}

/// Where on the host a command's output is kept, as `armor-output` keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPlace {
    /// The execution's folder; made if it is not there.
    pub folder: PathBuf,
    /// How many bytes of each stream are kept, beside its end.
    pub keep_bytes: u64,
}

/// A piece of output as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// From which stream.
    pub stream: StreamKind,
    /// What was written.
    pub bytes: Bytes,
}

/// How a command ended, as far as the runtime can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandExit {
    /// It ran and ended with this code; 128 and a signal's number for one that was killed.
    Code(i32),
    /// The program does not exist in the sandbox.
    NotFound,
    /// The program exists and may not be executed.
    NotExecutable,
    /// Its time was over, and it was killed.
    TimedOut,
    /// [`Runtime::kill`] killed it.
    Killed,
    /// Another command of the sandbox killed what watched over it, and so it was killed.
    Lost,
    /// Its output could not be written, and so it was killed.
    Unkept,
    /// The sandbox stopped or went away while the command ran.
    SandboxLost,
}

/// The way out of a sandbox: whoever has this is the other end of it.
pub struct Egress {
    /// Takes connections of the sandbox's programs. Whoever held it before, what was not accepted
    /// waits.
    pub listener: std::net::TcpListener,
    /// Ends when the sandbox does.
    pub gone: Pending<()>,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandEnd {
    /// How.
    pub exit: CommandExit,
    /// How much it wrote, whether or not all of it was kept.
    pub written: Written,
    /// What it used, where the runtime can tell.
    pub usage: Option<ExecutionUsage>,
    /// When, where the sandbox noted it.
    pub at: Option<Timestamp>,
}

/// How much a command has written so far; nothing before it has been started.
pub type CommandProgress = watch::Sender<Option<Written>>;

/// What makes sandboxes.
///
/// Every call ends in bounded time, except [`Runtime::exec`] and [`Runtime::watch`], which last as
/// long as their command and end when the sandbox does. Sandboxes of another home are never seen or touched.
#[async_trait]
pub trait Runtime: Send + Sync + fmt::Debug {
    /// Whether the runtime answers, and what it is.
    async fn probe(&self) -> Result<RuntimeInfo, RuntimeError>;

    /// What its machine has, as it was when it was first asked.
    async fn capacity(&self) -> Result<Capacity, RuntimeError>;

    /// Makes a sandbox, not started; none that may use more than there is. If the task has one already, that one is given back.
    async fn create(&self, spec: &SandboxSpec) -> Result<Sandbox, RuntimeError>;

    /// Starts a sandbox and checks that all that `spec` asks for is in force.
    async fn start(&self, sandbox: &SandboxId, spec: &SandboxSpec) -> Result<(), RuntimeError>;

    /// Stops all processes of a sandbox, first asking them, and killing them after `grace`.
    async fn stop(&self, sandbox: &SandboxId, grace: Duration) -> Result<(), RuntimeError>;

    /// Lets all processes of a sandbox stand still.
    async fn pause(&self, sandbox: &SandboxId) -> Result<(), RuntimeError>;

    /// Lets them go on.
    async fn unpause(&self, sandbox: &SandboxId) -> Result<(), RuntimeError>;

    /// Removes all that a task has on the runtime. Nothing being there is no error.
    async fn remove(&self, task: &TaskId) -> Result<(), RuntimeError>;

    /// The task's sandbox, if it has one.
    async fn find(&self, task: &TaskId) -> Result<Option<Sandbox>, RuntimeError>;

    /// All sandboxes of this home.
    async fn list(&self) -> Result<Vec<Sandbox>, RuntimeError>;

    /// All that [`Self::remove`] would remove: of a task, or of whichever task of this home.
    async fn belongings(
        &self,
        task: Option<&TaskId>,
    ) -> Result<Vec<(TaskId, Belonging)>, RuntimeError>;

    /// Runs a command, keeps its output, and waits for its end. Input that comes while it runs is taken
    /// once it has been started, and passed on by us: it ends when this is dropped.
    ///
    /// An error that [lacks a sandbox](RuntimeError::lacks_sandbox) means that the command was not
    /// started, and [`RuntimeError::Overdue`] that it may still run. When this is dropped, and when its
    /// process dies, the command goes on if the runtime [can be left alone](Self::outlives_us); then
    /// [`Self::watch`] takes it up.
    async fn exec(
        &self,
        sandbox: &SandboxId,
        request: ExecRequest,
        progress: &CommandProgress,
    ) -> Result<CommandEnd, RuntimeError>;

    /// Who a user of a sandbox is outside it, and so to whom its files have to belong. The same where
    /// the runtime has no users of its own.
    async fn user_outside(&self, user: UserIds) -> Result<UserIds, RuntimeError>;

    /// Whether commands in a sandbox go on, and their output and end are kept, without a process of
    /// Armor.
    async fn outlives_us(&self, sandbox: &SandboxId) -> Result<bool, RuntimeError>;

    /// Waits for the end of a command that another process started. None when nothing is known of
    /// it: it does not run, and left no note of its end.
    async fn watch(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        output: &Path,
        progress: &CommandProgress,
    ) -> Result<Option<CommandEnd>, RuntimeError>;

    /// Runs a command on a terminal.
    async fn terminal(
        &self,
        sandbox: &SandboxId,
        request: TerminalRequest,
    ) -> Result<Terminal, RuntimeError>;

    /// What programs in a sandbox with the network [`NetworkMode::Egress`] connect to when they want
    /// to get out.
    ///
    /// [`NetworkMode::Egress`]: crate::sandbox::NetworkMode::Egress
    async fn egress(&self, sandbox: &SandboxId) -> Result<Egress, RuntimeError>;

    /// The end of a command as the sandbox noted it in the execution's folder, if it did. Asks
    /// nobody but the disk.
    fn noted_end(&self, output: &Path) -> Option<CommandEnd>;

    /// Kills every process of an execution, also those that left its process group or lost their
    /// parent. `user` is the one that the execution was started with. A sandbox that stands still
    /// goes on, since nothing in it can be killed. False where that does not get through, or the image
    /// has nothing to do it with: then only [`Self::restart`] helps.
    async fn kill(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        user: UserIds,
    ) -> Result<bool, RuntimeError>;

    /// Kills all processes of a sandbox, which goes on empty. Not by two at once, nor while somebody
    /// starts it.
    async fn restart(&self, sandbox: &SandboxId) -> Result<(), RuntimeError>;

    /// Sends a signal to a command, and to what it started that has not taken a process group of its
    /// own. False when it does not run: what it left behind hears nothing. `user` is the one that the
    /// execution was started with.
    async fn signal(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        user: UserIds,
        signal: Signal,
    ) -> Result<bool, RuntimeError>;

    /// Puts files into a folder of the sandbox: `archive` is an uncompressed tar.
    async fn copy_in(
        &self,
        sandbox: &SandboxId,
        folder: &str,
        archive: Bytes,
    ) -> Result<(), RuntimeError>;

    /// Takes a file or folder out of the sandbox, as an uncompressed tar.
    async fn copy_out(&self, sandbox: &SandboxId, path: &str) -> Result<Bytes, RuntimeError>;

    /// What a sandbox uses now.
    async fn stats(&self, sandbox: &SandboxId) -> Result<SandboxStats, RuntimeError>;

    /// What files take of the disk, in bytes, that processes of a sandbox have open and that have no name
    /// any more; 0 where the runtime cannot tell. `beside` is a folder on that disk. Not one of
    /// [`Self::stats`], since it takes the longer the more is open.
    async fn nameless_bytes(&self, sandbox: &SandboxId, beside: &Path)
    -> Result<u64, RuntimeError>;

    /// Keeps the sandbox's own file system, without what is mounted into it, as an image.
    async fn snapshot(&self, sandbox: &SandboxId, image: &ImageName) -> Result<(), RuntimeError>;
}

/// Hears of the steps of something that takes long.
pub trait Progress: Send + Sync {
    /// A step, as one line.
    fn step(&self, line: &str);
}

/// Progress that nobody hears of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _line: &str) {}
}

/// The images that sandboxes run.
#[async_trait]
pub trait Images: Send + Sync + fmt::Debug {
    /// Whether sandboxes can run the image: the engine has it, or it is one of Armor's own.
    async fn check(&self, image: &ImageName) -> Result<(), RuntimeError>;

    /// What tells an image's content from that of others which had its name before; none while the
    /// engine has not got it.
    async fn id(&self, image: &ImageName) -> Result<Option<String>, RuntimeError>;

    /// Makes sure that the image is on the engine, building it if it is one of Armor's own.
    async fn ensure(&self, image: &ImageName, progress: &dyn Progress) -> Result<(), RuntimeError>;

    /// Builds one of Armor's own images, and first what it is built on.
    async fn build(&self, image: &ImageName, progress: &dyn Progress) -> Result<(), RuntimeError>;

    /// The images that Armor can build, and for each whether the engine has it.
    async fn known(&self) -> Result<Vec<(ImageName, bool)>, RuntimeError>;
}
