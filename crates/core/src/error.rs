//! What every error of Armor can say of itself: a stable code, and what to do next.
//!
//! The codes stand in one closed list, so that a person can look one up (docs/errors.md holds the
//! same list, and a test keeps the two equal) and a program can match on one. An error type maps
//! its variants to codes by an exhaustive match in its [`Diagnostic`] implementation.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($variant:ident = $text:literal, $meaning:literal;)*) => {
        /// A stable, machine-readable name for a kind of failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code there is, in the order of docs/errors.md.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it appears in output, such as `task.not_found`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// One sentence on what the code means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    ArgumentInvalid = "argument.invalid", "An argument has a value that is not allowed.";
    ArgumentMissing = "argument.missing", "A required argument was not given.";
    ArgumentUnknown = "argument.unknown", "An argument has a name that the command or tool does not know.";
    BackupOtherHome = "backup.other_home", "A backup is that of another home.";
    CheckpointAmbiguous = "checkpoint.ambiguous", "A reference matches more than one checkpoint of a task.";
    CheckpointBadArchive = "checkpoint.bad_archive", "An archive cannot be taken in as a checkpoint.";
    CheckpointDamaged = "checkpoint.damaged", "Something of a checkpoint is missing or is not what was written.";
    CheckpointElsewhere = "checkpoint.elsewhere", "A task's files lie where they cannot be restored in their place.";
    CheckpointNameTaken = "checkpoint.name_taken", "The task has a checkpoint of this name already.";
    CheckpointNeeded = "checkpoint.needed", "A fork whose files are not there yet is made from the checkpoint.";
    CheckpointNotFound = "checkpoint.not_found", "The task has no such checkpoint.";
    CheckpointOccupied = "checkpoint.occupied", "Something is where a checkpoint is to be restored to.";
    CheckpointTooLarge = "checkpoint.too_large", "A folder has more in it than a checkpoint can have.";
    CheckpointUnsafe = "checkpoint.unsafe", "Not all that is there can be kept, so it is not replaced.";
    ConfigInvalid = "config.invalid", "A configuration value has the wrong type or is out of range.";
    ConfigUnknownKey = "config.unknown_key", "A configuration file or variable names a key that does not exist.";
    ConfigUnreadable = "config.unreadable", "A configuration file could not be read or parsed.";
    CursorInvalid = "cursor.invalid", "A page was asked for with a cursor that does not belong to the list.";
    DatabaseBusy = "database.busy", "Other processes kept the database busy for too long.";
    DatabaseCorrupt = "database.corrupt", "The database failed its integrity check or holds a row that cannot be read.";
    DatabaseFailed = "database.failed", "The database refused an operation.";
    DatabaseFull = "database.full", "The disk that holds the database is full.";
    DatabaseInUse = "database.in_use", "Another program has the database open.";
    DatabaseIo = "database.io", "The disk that holds the database failed to read or write.";
    DatabaseReadOnly = "database.read_only", "The database, its folder or its disk may not be written to.";
    DatabaseTooNew = "database.too_new", "The database was written by a newer version of Armor.";
    DeadLetterFailed = "dlq.failed", "A dead letter could not be delivered.";
    DeadLetterNotFound = "dlq.not_found", "There is no dead letter of this name.";
    EngineFailed = "engine.failed", "The container engine refused or failed an operation.";
    EngineTimeout = "engine.timeout", "The container engine did not answer in time.";
    EngineTooOld = "engine.too_old", "The container engine lacks something that a sandbox needs.";
    EngineUnavailable = "engine.unavailable", "No container engine answers at the configured address.";
    EngineUnsupported = "engine.unsupported", "The sandbox cannot be had on this engine, whatever its version.";
    ExecutionInterrupted = "execution.interrupted", "The command's sandbox or watcher went away before the command ended.";
    ExecutionNoBackground = "execution.no_background", "Commands in the sandbox do not go on without a process of Armor.";
    ExecutionNotFound = "execution.not_found", "The task has no execution with this id.";
    ExecutionNotRunning = "execution.not_running", "The execution's command does not run, or not yet.";
    ExecutionNotExecutable = "execution.not_executable", "The command was found but may not be executed (exit code 126).";
    ExecutionCommandNotFound = "execution.command_not_found", "The command does not exist in the sandbox (exit code 127).";
    ExecutionOutOfMemory = "execution.out_of_memory", "The sandbox ran out of memory, and the kernel killed a process of it.";
    ExecutionTimedOut = "execution.timed_out", "The command ran into its time limit and was killed with all its children (exit code 124).";
    GitFailed = "git.failed", "A git command failed.";
    GitMissing = "git.missing", "git is not installed on this machine.";
    HookRefused = "hook.refused", "A hook refused the change.";
    IdInvalid = "id.invalid", "An id is not of the form that ids have.";
    ImageBuildFailed = "image.build_failed", "An image could not be built.";
    ImageNotFound = "image.not_found", "The image exists neither on the engine nor among those that Armor builds.";
    ImageOtherPlatform = "image.other_platform", "The image is for another kind of machine.";
    Internal = "internal", "Armor broke one of its own rules. This is a bug.";
    JobNotFound = "job.not_found", "There is no job of this number in the queue.";
    JobState = "job.state", "The job's state does not allow this.";
    LeaseHeld = "lease.held", "Somebody else has the lease.";
    LeaseLost = "lease.lost", "The lease expired, and somebody else has taken it.";
    NetworkInvalidRule = "network.invalid_rule", "A rule about what may be reached is not of the form that rules have.";
    NetworkNoCarrier = "network.no_carrier", "The process that carries the connections of tasks does not run.";
    NetworkNoRules = "network.no_rules", "The task's network is none that rules govern.";
    NetworkRefused = "network.refused", "The settings do not let tasks have this network.";
    PathInvalid = "path.invalid", "A path has a form that is refused, such as a control character or a reserved name.";
    PathOutside = "path.outside", "A path leaves the folder that it has to stay in.";
    RecoveryNoOption = "recovery.no_option", "A task cannot be recovered in this way.";
    SandboxNotFound = "sandbox.not_found", "The sandbox does not exist on the engine.";
    SandboxRefused = "sandbox.refused", "The settings do not let a task have such a sandbox.";
    SandboxUnreachable = "sandbox.unreachable", "What starts commands in the sandbox cannot be reached.";
    SandboxWeaker = "sandbox.weaker", "The engine made a sandbox that is weaker than what was asked for.";
    StorageFailed = "storage.failed", "A file of Armor's home could not be read or written.";
    TaskAmbiguous = "task.ambiguous", "A reference matches more than one task.";
    TaskAttachedElsewhere = "task.attached_elsewhere", "Another agent is attached to the task.";
    TaskConflict = "task.conflict", "The task was changed by somebody else in the meantime.";
    TaskIllegalTransition = "task.illegal_transition", "The task's state does not allow this change.";
    TaskInvalidMetadata = "task.invalid_metadata", "A task's metadata is not a JSON object, or is too large.";
    TaskInvalidName = "task.invalid_name", "A task's name is empty, too long, or holds control characters.";
    TaskNotAttached = "task.not_attached", "No agent is attached to the task.";
    TaskNotFound = "task.not_found", "No task has this id, prefix of an id, or name.";
    TaskNotRunning = "task.not_running", "The task is not running.";
    TaskUnsavedWork = "task.unsaved_work", "The task's working copy holds work that is on no branch yet.";
    WorkspaceBranchConflict = "workspace.branch_conflict", "The task's branch cannot be made or moved in the user's repository.";
    WorkspaceMissing = "workspace.missing", "The workspace does not exist.";
    WorkspaceNoCommit = "workspace.no_commit", "The workspace's repository has no commit yet.";
    WorkspaceNotADirectory = "workspace.not_a_directory", "The workspace is not a directory.";
    WorkspaceNotARepository = "workspace.not_a_repository", "The workspace is not inside a git repository.";
    WorkspaceNotAllowed = "workspace.not_allowed", "The workspace lies outside the folders that tasks may use.";
    WorkspaceRefused = "workspace.refused", "The settings do not let tasks use a folder in this way.";
    WorkspaceTooLarge = "workspace.too_large", "The folder is larger than a copy may be.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An error that knows its code and what its reader can do about it.
pub trait Diagnostic: std::error::Error {
    /// The stable code.
    fn code(&self) -> Code;

    /// What to do next, as a sentence, where something can be done.
    fn next_step(&self) -> Option<String> {
        None
    }
}

/// An error as it reaches a user: the same for the command line, for `--json` and for tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The stable code.
    pub code: Code,
    /// What happened, on what, with the causes behind it.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

impl Report {
    /// Writes down `error` with the whole chain of its causes.
    pub fn of(error: &impl Diagnostic) -> Self {
        Self { code: error.code(), message: chain(error), next_step: error.next_step() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

/// Joins an error and its causes with `: `, leaving out a cause that its parent already quotes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for text in texts {
            assert!(text.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_'), "{text}");
        }
    }

    // R3: the list for people and the list in the code are one.
    #[test]
    fn docs_errors_md_lists_every_code_with_its_meaning() {
        let documented: Vec<&str> = include_str!("../../../docs/errors.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let expected: Vec<String> =
            Code::ALL.iter().map(|code| format!("| `{code}` | {} |", code.meaning())).collect();
        assert_eq!(
            documented, expected,
            "docs/errors.md is not what crates/core/src/error.rs says"
        );
    }
}
