//! The JSON of tasks and executions, for `--json` and for the tools of `armor-mcp`.

use armor_checkpoint_store::{LeftOut, Manifest};
use armor_core::checkpoint::{Checkpoint, CheckpointCause};
use armor_core::event::DeadLetter;
use armor_core::execution::{Execution, ExecutionStatus, ExecutionUsage};
use armor_core::job::{Job, JobState};
use armor_core::network::Rule;
use armor_core::risk::Assessment;
use armor_core::sandbox::Limits;
use armor_core::task::{Folder, Task, TaskStatus, WorkState, WorkspaceMode};
use armor_lifecycle::{Due, ExecutionReport, Orphan, SandboxFigures};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// A task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskView {
    /// The task's id. Every tool takes it, an unambiguous prefix of it, or the task's exact name.
    pub task_id: String,
    /// What people call it.
    pub name: String,
    /// What is to be done, in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Where it stands.
    pub status: TaskStatus,
    /// Whom it belongs to.
    pub owner: String,
    /// What its creator keeps with it.
    pub metadata: Map<String, Value>,
    /// Where its commands start, inside the sandbox.
    pub workspace: String,
    /// The user's repository that it works on, on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The user's folder that it works on, on the host, where that is no repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The checkpoint that its files are made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkView>,
    /// What is made of what it works on: repository, copy, bind; nothing for an empty folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_mode: Option<WorkspaceMode>,
    /// Its branch in that repository, onto which its commits come at detach, stop and completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit that the branch started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Where the branch stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Whether all work is on the branch, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// How many files had changes that are on no commit, when it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncommitted_files: Option<u32>,
    /// The image of its sandbox.
    pub image: String,
    /// What its sandbox reaches: none, internal, egress, open.
    pub network: String,
    /// What its sandbox may use.
    pub limits: LimitsView,
    /// Who is attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// How it ended, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The result that it was completed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// When it first ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

/// What a task may reach.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkView {
    /// The task's id.
    pub task_id: String,
    /// Its network.
    pub network: String,
    /// What it may reach with the network `egress`.
    pub allow: Vec<Rule>,
    /// What it may not, whatever else is allowed.
    pub deny: Vec<Rule>,
}

impl From<&Task> for NetworkView {
    fn from(task: &Task) -> Self {
        let policy = &task.sandbox.rules;
        Self {
            task_id: task.id.to_string(),
            network: task.sandbox.network.to_string(),
            allow: policy.allow.clone(),
            deny: policy.deny.clone(),
        }
    }
}

/// What a sandbox may use.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LimitsView {
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// Size of /tmp, in MiB.
    pub tmp_mib: u32,
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        let Limits { memory_mib, cpu_millis, pids, open_files, tmp_mib } = limits;
        Self { memory_mib, cpu_millis, pids, open_files, tmp_mib }
    }
}

/// A checkpoint that a task's files are made from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ForkView {
    /// The task that it is of.
    pub task_id: String,
    /// Which.
    pub checkpoint_id: String,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        let repository = task.repository.as_ref();
        let folder = task.sandbox.folder.as_ref();
        let outcome = task.outcome.as_ref();
        Self {
            task_id: task.id.to_string(),
            name: task.name.to_string(),
            request: task.request.as_ref().map(ToString::to_string),
            status: task.status,
            owner: task.owner.to_string(),
            metadata: task.metadata.as_map().clone(),
            workspace: armor_core::sandbox::paths::WORKSPACE.to_owned(),
            repository: repository.map(|r| r.path.display().to_string()),
            folder: folder.map(|folder| folder.path().display().to_string()),
            forked_from: task.sandbox.forked_from.as_ref().map(|from| ForkView {
                task_id: from.task.to_string(),
                checkpoint_id: from.checkpoint.to_string(),
            }),
            workspace_mode: match (repository, folder) {
                (Some(_), _) => Some(WorkspaceMode::Repository),
                (None, folder) => folder.map(Folder::mode),
            },
            branch: repository.map(|r| r.branch.clone()),
            base: repository.map(|r| r.base.clone()),
            head: repository.map(|r| r.head.clone()),
            work: repository.map(|r| r.work.to_string()),
            uncommitted_files: repository.and_then(|r| match r.work {
                WorkState::Saved => Some(0),
                WorkState::Unsaved { files, .. } => Some(files),
                WorkState::Unknown { .. } => None,
            }),
            image: task.sandbox.image.to_string(),
            network: task.sandbox.network.to_string(),
            limits: LimitsView::from(task.sandbox.limits),
            agent_id: task.agent.as_ref().map(ToString::to_string),
            message: outcome.and_then(|outcome| outcome.message.clone()),
            result: outcome.and_then(|outcome| outcome.result.clone()),
            created_at: task.created_at.to_string(),
            updated_at: task.updated_at.to_string(),
            started_at: task.started_at.map(|at| at.to_string()),
            finished_at: task.finished_at.map(|at| at.to_string()),
        }
    }
}

/// How a command went.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExecutionView {
    /// The execution's id. Its whole output is in `/run/armor/executions/` in the sandbox, by this id.
    pub execution_id: String,
    /// The task's id.
    pub task_id: String,
    /// How it ended: exited, `not_started`, `timed_out`, killed, interrupted.
    pub status: ExecutionStatus,
    /// The exit code; 124 after a time-out, 126 not permitted, 127 not found; none if interrupted.
    pub exit_code: Option<i32>,
    /// What it wrote to standard output; the middle of a long one is cut.
    pub stdout: String,
    /// What it wrote to standard error; the middle of a long one is cut.
    pub stderr: String,
    /// Whether something was cut; the cut says where the whole output is.
    pub truncated: bool,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// What it used, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<ExecutionUsage>,
    /// What kept the command from running to its own end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemView>,
}

/// An error as programs see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProblemView {
    /// The stable code, listed in docs/errors.md.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

impl From<armor_core::error::Report> for ProblemView {
    fn from(report: armor_core::error::Report) -> Self {
        Self { code: report.code.to_string(), message: report.message, next_step: report.next_step }
    }
}

impl From<ExecutionReport> for ExecutionView {
    fn from(report: ExecutionReport) -> Self {
        let execution = report.execution;
        Self {
            status: execution.status(),
            exit_code: execution.end.as_ref().and_then(|end| end.exit_code),
            duration_ms: execution.duration_ms().unwrap_or(0),
            usage: execution.end.as_ref().and_then(|end| end.usage),
            execution_id: execution.id.to_string(),
            task_id: execution.task.to_string(),
            stdout: report.stdout.text,
            stderr: report.stderr.text,
            truncated: report.stdout.truncated || report.stderr.truncated,
            problem: report.problem.map(ProblemView::from),
        }
    }
}

/// An execution in a list: without its output.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExecutionSummary {
    /// The execution's id.
    pub execution_id: String,
    /// Who asked for it.
    pub agent_id: String,
    /// What was run.
    pub command: String,
    /// Where in the sandbox.
    pub cwd: String,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// The exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When it was started (RFC 3339).
    pub started_at: String,
    /// How long it ran, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What it used, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<ExecutionUsage>,
}

impl From<&Execution> for ExecutionSummary {
    fn from(execution: &Execution) -> Self {
        Self {
            execution_id: execution.id.to_string(),
            agent_id: execution.agent.to_string(),
            command: execution.command.to_string(),
            cwd: execution.cwd.clone(),
            status: execution.status(),
            exit_code: execution.end.as_ref().and_then(|end| end.exit_code),
            started_at: execution.started_at.to_string(),
            duration_ms: execution.duration_ms(),
            usage: execution.end.as_ref().and_then(|end| end.usage),
        }
    }
}

/// What a sandbox uses, beside its limits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SandboxView {
    /// The task's id.
    pub task_id: String,
    /// What people call it.
    pub name: String,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// What it may use.
    pub limits: LimitsView,
}

impl From<&SandboxFigures> for SandboxView {
    fn from(figures: &SandboxFigures) -> Self {
        Self {
            task_id: figures.task.id.to_string(),
            name: figures.task.name.to_string(),
            cpu_millis: figures.cpu_millis,
            memory_bytes: figures.memory_bytes,
            pids: figures.pids,
            limits: LimitsView::from(figures.limits),
        }
    }
}

/// What there is of a task that does not need it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OrphanView {
    /// The task's id.
    pub task_id: String,
    /// Why it does not need it: `ended`, `deleted` or `unknown`.
    pub cause: String,
    /// What there is: `sandbox`, `network`, `socket`, `files`.
    pub belongings: Vec<String>,
    /// What its files take of the disk, in bytes.
    pub bytes: Option<u64>,
    /// When it is removed: `now`, a moment (RFC 3339), or `by hand`.
    pub due: String,
}

impl OrphanView {
    /// Of an orphan whose files take so many bytes.
    pub fn of(orphan: &Orphan, bytes: Option<u64>) -> Self {
        Self {
            task_id: orphan.task.to_string(),
            cause: orphan.cause.to_string(),
            belongings: orphan.belongings.iter().map(ToString::to_string).collect(),
            bytes,
            due: match orphan.due {
                Due::Now => "now".to_owned(),
                Due::From(moment) => moment.to_string(),
                Due::ByHand => "by hand".to_owned(),
            },
        }
    }
}

/// An event that a consumer of the log gave up on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DeadLetterView {
    /// Its name: the consumer and the event's place in the log.
    pub letter: String,
    /// Why the consumer gave up.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was given up (RFC 3339).
    pub at: String,
}

impl From<&DeadLetter> for DeadLetterView {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            letter: letter.id.to_string(),
            reason: letter.reason.clone(),
            tries: letter.tries,
            at: letter.at.to_string(),
        }
    }
}

/// A job that waits, runs or was given up.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JobView {
    /// Its number.
    pub job: u64,
    /// What kind of work it is.
    pub kind: String,
    /// What it is about, such as a task's id.
    pub key: String,
    /// `waiting`, `running` or `dead`.
    pub state: String,
    /// Before when it is not taken up (RFC 3339); of a running one, by others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Which process runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How often it was begun.
    pub tries: u32,
    /// Why it failed the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The id of the event that it follows from.
    pub cause: String,
    /// When it was kept (RFC 3339).
    pub created_at: String,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let (due, owner) = match &job.state {
            JobState::Waiting { due } => (Some(due.to_string()), None),
            JobState::Running { owner, until } => (Some(until.to_string()), Some(owner.clone())),
            JobState::Dead => (None, None),
        };
        Self {
            job: job.id.0,
            kind: job.kind.clone(),
            key: job.key.clone(),
            state: job.state.name().to_owned(),
            due,
            owner,
            tries: job.tries,
            error: job.error.clone(),
            cause: job.cause.to_string(),
            created_at: job.created_at.to_string(),
        }
    }
}

/// A checkpoint.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CheckpointView {
    /// Its id.
    pub checkpoint_id: String,
    /// Whose it is.
    pub task_id: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was taken (RFC 3339).
    pub created_at: String,
    /// Why.
    pub cause: CheckpointCause,
    /// The one that was taken before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Whether it stays until somebody says otherwise.
    pub pinned: bool,
    /// Files in it.
    pub files: u64,
    /// Bytes in the files.
    pub bytes: u64,
    /// Bytes that the store grew by.
    pub bytes_added: u64,
}

impl From<&Checkpoint> for CheckpointView {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            checkpoint_id: checkpoint.id.to_string(),
            task_id: checkpoint.task.to_string(),
            name: checkpoint.name.as_ref().map(ToString::to_string),
            created_at: checkpoint.created_at.to_string(),
            cause: checkpoint.cause,
            parent: checkpoint.parent.as_ref().map(ToString::to_string),
            pinned: checkpoint.pinned,
            files: checkpoint.files,
            bytes: checkpoint.bytes,
            bytes_added: checkpoint.bytes_added,
        }
    }
}

/// A checkpoint, with what its manifest says.
#[derive(Debug, Clone, Serialize)]
pub struct CheckpointDetails {
    /// What is known without that.
    #[serde(flatten)]
    pub checkpoint: CheckpointView,
    /// Folders in it.
    pub folders: u64,
    /// Files that were read for it.
    pub files_read: u64,
    /// What was there and is not in it.
    pub left_out: Vec<LeftOut>,
    /// What was thought of the command that it was taken before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Assessment>,
}

impl CheckpointDetails {
    /// Of a checkpoint with its manifest.
    pub fn of(checkpoint: &Checkpoint, manifest: &Manifest) -> Self {
        let stats = manifest.stats();
        Self {
            checkpoint: checkpoint.into(),
            folders: stats.folders,
            files_read: stats.files_read,
            left_out: manifest.left_out().cloned().collect(),
            risk: manifest.risk.clone(),
        }
    }
}
