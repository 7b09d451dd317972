//! `create_task_sandbox`

use armor_commands::wire::TaskView;
use armor_core::error::Report;
use armor_core::network::NetworkPolicy;
use armor_core::sandbox::{AskedLimits, NetworkMode};
use armor_core::task::{Folder, Metadata, Task, WorkspaceMode};
use armor_lifecycle::CreateTask;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::reply::Reply;
use crate::tool::{Call, Effect, Registered, Words, register};
use crate::tools::{report, task_reply};

/// What the tool takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// What to call the task: one line.
    name: String,
    /// What is to be done, in full.
    request: Option<String>,
    /// The path of the git repository or folder on the host that the task works on. Without it the task starts from an empty folder.
    workspace: Option<String>,
    /// What to make of it: "repository" (a working copy on a branch of its own; the default), "copy"
    /// (of any folder) or "bind" (the folder itself), where the user permits them.
    #[schemars(with = "Option<WorkspaceMode>")]
    workspace_mode: Option<String>,
    /// The image of the sandbox. By default the configured one: bash, git, curl, Node.js.
    image: Option<String>,
    /// Whom the task belongs to.
    owner: Option<String>,
    /// Anything to keep with the task, as an object; for example {"ticket": "A-1"}.
    #[schemars(with = "Option<Map<String, Value>>")]
    metadata: Option<Value>,
    /// What the sandbox reaches: "none" (the default), "internal" (a network without anybody else),
    /// "egress" (what the user's rules allow, such as package registries, through a proxy that the
    /// usual variables name) or "open", where the user permits it.
    #[schemars(with = "Option<NetworkMode>")]
    network: Option<String>,
    /// What the sandbox may use; what is left out is as configured.
    limits: Option<LimitArguments>,
}

/// What the sandbox may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitArguments {
    /// Memory, in MiB.
    memory_mib: Option<u32>,
    /// Processor time, in thousandths of a core.
    cpu_millis: Option<u32>,
    /// Processes and threads.
    pids: Option<u32>,
    /// Open files of one process.
    open_files: Option<u32>,
    /// Size of /tmp, in MiB.
    tmp_mib: Option<u32>,
}

impl From<LimitArguments> for AskedLimits {
    fn from(asked: LimitArguments) -> Self {
        let LimitArguments { memory_mib, cpu_millis, pids, open_files, tmp_mib } = asked;
        Self { memory_mib, cpu_millis, pids, open_files, tmp_mib }
    }
}

pub(super) fn tool() -> Registered {
    let words = Words {
        name: "create_task_sandbox",
        title: "Create a task",
        description: "Creates a task with a sandbox of its own: a working copy of the repository and a git branch task/<id>. Attach to it next, which starts the sandbox. Returns the task_id that every other tool takes.",
        effect: Effect::Adds,
        idempotent: false,
    };
    register::<Arguments, TaskView, _, _>(words, run)
}

async fn run(call: Call, arguments: Arguments) -> Result<Reply, Report> {
    let request = request(arguments)?;
    let task = call.lifecycle.create(request).await.map_err(report)?;
    let text = format!(
        "Created task {} on {}. Next: attach_agent_to_task with this task_id.",
        task.id,
        workspace(&task)
    );
    task_reply(&task, text)
}

/// What the task works on, in words.
fn workspace(task: &Task) -> String {
    match (&task.repository, &task.sandbox.folder) {
        (Some(repository), _) => format!("the branch {}", repository.branch),
        (None, Some(Folder::Copy { path })) => {
            format!("a copy of {}, without a branch", path.display())
        }
        (None, Some(Folder::Bind { path, .. })) => {
            format!("the folder {} itself, without a branch", path.display())
        }
        (None, None) => "an empty folder, without a branch".to_owned(),
    }
}

fn request(arguments: Arguments) -> Result<CreateTask, Report> {
    let owner = arguments.owner.as_deref().map(str::parse).transpose().map_err(report)?;
    let metadata = match arguments.metadata {
        None => Metadata::default(),
        Some(value) => Metadata::try_from(value).map_err(report)?,
    };
    Ok(CreateTask {
        name: arguments.name.parse().map_err(report)?,
        request: arguments.request.map(TryInto::try_into).transpose().map_err(report)?,
        workspace: arguments.workspace.map(Into::into),
        workspace_mode: arguments
            .workspace_mode
            .as_deref()
            .map_or_else(|| Ok(WorkspaceMode::default()), str::parse)
            .map_err(report)?,
        owner,
        metadata,
        image: arguments.image.as_deref().map(str::parse).transpose().map_err(report)?,
        network: arguments.network.as_deref().map(str::parse).transpose().map_err(report)?,
        // What an agent may reach is for a person to say.
        rules: NetworkPolicy::default(),
        limits: arguments.limits.unwrap_or_default().into(),
    })
}
