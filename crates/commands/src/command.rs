//! What a command is, and the list of all of them.

use std::sync::Arc;

use armor_core::config::Configuration;
use armor_core::id::IdSource;
use armor_core::sandbox::{InputSource, OutputChunk, Progress, TerminalSize};
use armor_core::time::Clock;
use armor_lifecycle::Lifecycle;
use armor_registry::Backups;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::arguments::{Argument, Arguments};
use crate::{
    CommandError, ExitStatus, audit, backup, checkpoint, config, decisions, demo, dlq, doctor,
    exec, executions, image, jobs, metrics, network, prune, recover, shell, stats, task,
};

/// A command.
#[derive(Debug)]
pub struct Command {
    /// What it is called; with a space, the second word belongs to the first (`image build`).
    pub name: &'static str,
    /// What it is for, in one line.
    pub about: &'static str,
    /// What it takes.
    pub arguments: &'static [Argument],
    /// What it does.
    pub run: Run,
}

/// What a command does, and on what.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// It works on an open home.
    Open(fn(Call) -> BoxFuture<'static, Result<Outcome, CommandError>>),
    /// It works on a home that is not open, and may be damaged.
    Closed(fn(ClosedCall) -> BoxFuture<'static, Result<Outcome, CommandError>>),
}

/// Every command, in the order in which help lists them.
pub static COMMANDS: &[Command] = &[
    task::create::COMMAND,
    task::list::COMMAND,
    task::find::COMMAND,
    task::fork::COMMAND,
    task::show::COMMAND,
    exec::COMMAND,
    shell::COMMAND,
    executions::LIST,
    executions::LOGS,
    executions::KILL,
    executions::SHORT_LOGS,
    stats::COMMAND,
    network::SHOW,
    network::LOG,
    network::ALLOW,
    network::DENY,
    network::CARRY,
    task::events::COMMAND,
    task::detach::COMMAND,
    task::complete::COMMAND,
    task::stop::COMMAND,
    task::cleanup::COMMAND,
    decisions::ADD,
    decisions::LIST,
    audit::SHOW,
    audit::VERIFY,
    checkpoint::CREATE,
    checkpoint::LIST,
    checkpoint::SHOW,
    checkpoint::RESTORE,
    checkpoint::EXTRACT,
    checkpoint::VERIFY,
    checkpoint::DIFF,
    checkpoint::EXPLAIN,
    checkpoint::EXPORT,
    checkpoint::IMPORT,
    checkpoint::PIN,
    checkpoint::UNPIN,
    checkpoint::REMOVE,
    checkpoint::PRUNE,
    image::BUILD,
    image::LIST,
    config::SHOW,
    backup::CREATE,
    backup::LIST,
    backup::RESTORE,
    dlq::LIST,
    dlq::SHOW,
    dlq::RETRY,
    dlq::PURGE,
    jobs::LIST,
    jobs::SHOW,
    jobs::RETRY,
    jobs::PURGE,
    doctor::COMMAND,
    recover::COMMAND,
    prune::COMMAND,
    metrics::COMMAND,
    demo::COMMAND,
];

/// The first words that several commands share, and what these are for.
pub static GROUPS: &[(&str, &str)] = &[
    ("executions", "The commands that were run in a task's sandbox"),
    ("network", "What tasks reach"),
    ("decisions", "What was decided about a task, and why"),
    ("audit", "A task's history by its own files"),
    ("checkpoint", "A task's files as they were, kept and made again"),
    ("image", "The images that sandboxes run"),
    ("config", "The settings"),
    ("backup", "Backups of the database"),
    ("dlq", "Events that a consumer of the event log gave up on"),
    ("jobs", "Work that is done in the background"),
];

/// What commands work on.
#[derive(Debug, Clone)]
pub struct Context {
    /// The tasks.
    pub lifecycle: Lifecycle,
    /// The configuration, with the origin of each value.
    pub configuration: Configuration,
    /// The database's backups.
    pub backups: Backups,
    /// Armor's home.
    pub home: std::path::PathBuf,
    /// Who gives the commands, as far as it is known.
    pub user: Option<String>,
}

/// A home that is not open.
#[derive(Debug, Clone)]
pub struct ClosedHome {
    /// The configuration, with the origin of each value.
    pub configuration: Configuration,
    /// The database's backups.
    pub backups: Backups,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
}

/// One use of a command on a home that is not open.
#[derive(Clone)]
pub struct ClosedCall {
    /// What to work on.
    pub home: ClosedHome,
    /// What was given.
    pub arguments: Arguments,
    /// Whom to speak with.
    pub console: Arc<dyn Console>,
}

impl std::fmt::Debug for ClosedCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClosedCall").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

/// Whom a command speaks with while it runs.
pub trait Console: Progress {
    /// Takes output of a command in a sandbox as it comes. An error says that nobody reads it.
    fn output(&self, chunk: &OutputChunk) -> std::io::Result<()>;

    /// Takes an entry of an answer that goes on: a line of text, or of JSON where that was asked
    /// for. An error says that nobody reads it.
    fn entry(&self, json: &Value, text: &str) -> std::io::Result<()>;

    /// Asks whether to go on. False where nobody can be asked.
    fn confirm(&self, question: &str) -> bool;

    /// What the command in a sandbox is to read, as it comes.
    fn stdin(&self) -> InputSource;

    /// The person's terminal; none where there is none.
    fn terminal(&self) -> Option<TerminalKind>;

    /// Takes the person's terminal, for as long as it is kept: each key as it is typed.
    fn take_terminal(&self) -> std::io::Result<PersonsTerminal>;
}

/// What a terminal is.
#[derive(Debug, Clone)]
pub struct TerminalKind {
    /// How large it is.
    pub size: TerminalSize,
    /// What kind it is, such as `xterm`.
    pub name: String,
}

/// A person's terminal. When it is dropped, it is as it was before.
pub struct PersonsTerminal {
    /// What is typed.
    pub input: Box<dyn AsyncRead + Send + Unpin>,
    /// What is shown.
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
    /// How large it is.
    pub size: watch::Receiver<TerminalSize>,
    /// Puts it back when it is dropped.
    pub restore: Box<dyn std::any::Any + Send>,
}

impl std::fmt::Debug for PersonsTerminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonsTerminal").finish_non_exhaustive()
    }
}

/// One use of a command.
#[derive(Clone)]
pub struct Call {
    /// What to work on.
    pub context: Context,
    /// What was given.
    pub arguments: Arguments,
    /// Whom to speak with.
    pub console: Arc<dyn Console>,
    /// Cancelled when the user wants it to end (Ctrl-C).
    pub cancelled: CancellationToken,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

/// What a command gives.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// For programs; none where all was said while it ran.
    pub json: Option<Value>,
    /// For people; nothing where all was said while it ran.
    pub text: String,
    /// How the program ends.
    pub exit: ExitStatus,
}

impl Outcome {
    /// An outcome of a command that went well.
    pub(crate) fn well(json: &impl serde::Serialize, text: String) -> Result<Self, CommandError> {
        Ok(Self { json: Some(serde_json::to_value(json)?), text, exit: ExitStatus::Success })
    }

    /// The end of a command that showed its entries one by one.
    pub(crate) const fn shown() -> Self {
        Self { json: None, text: String::new(), exit: ExitStatus::Success }
    }
}
