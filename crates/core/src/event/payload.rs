//! What an event says: one enum a family, each variant with its name on the wire.
//!
//! Stored payloads are read back for as long as a home lives. A field that is added later is
//! optional; a change that an old payload can't be read by raises [`PAYLOAD_VERSION`] and gets a
//! conversion in [`EventPayload::decode`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::execution::{CommandLine, ExecutionStatus, ExecutionUsage};
use crate::hook::HookPoint;
use crate::id::{AgentId, ExecutionId, SandboxId};
use crate::job::JobId;
use crate::network::{NetworkPolicy, Refusal, Rule, Verdict};
use crate::sandbox::{ImageName, Limits, MonitorAction, NetworkMode, Use};
use crate::task::WorkState;

/// The version of payloads that this program writes.
pub const PAYLOAD_VERSION: u32 = 1;

/// A stored payload that this program cannot read.
#[derive(Debug, thiserror::Error)]
#[error("event `{name}` (payload version {version}) cannot be read")]
pub struct UnreadablePayload {
    name: String,
    version: u32,
    source: Option<serde_json::Error>,
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum TaskEvent {
    /// The task was made.
    #[serde(rename = "task:created")]
    Created {
        /// What it is called.
        name: String,
        /// What is asked for, in full.
        request: Option<String>,
        /// Whom it belongs to.
        owner: String,
        /// The image its sandbox runs.
        image: ImageName,
        /// What its sandbox reaches.
        network: NetworkMode,
        /// What it may reach with the network `egress`.
        #[serde(default)]
        rules: NetworkPolicy,
        /// What its sandbox may use.
        limits: Limits,
        /// The user's repository.
        repository: Option<PathBuf>,
        /// The task's branch in it.
        branch: Option<String>,
        /// The commit it starts from.
        base: Option<String>,
    },
    /// It went from pending to running.
    #[serde(rename = "task:started")]
    Started,
    /// An agent attached.
    #[serde(rename = "task:attached")]
    Attached {
        /// Who.
        agent: AgentId,
    },
    /// An agent detached.
    #[serde(rename = "task:detached")]
    Detached {
        /// Who.
        agent: AgentId,
    },
    /// Commits came from the working copy onto the task's branch.
    #[serde(rename = "task:workCollected")]
    WorkCollected {
        /// The branch.
        branch: String,
        /// Where it stood.
        from: String,
        /// Where it stands.
        to: String,
        /// How many commits came.
        commits: u32,
        /// Whether all work is on the branch now.
        work: WorkState,
    },
    /// The working copy could not be read; the work is still in it.
    #[serde(rename = "task:collectFailed")]
    CollectFailed {
        /// Why.
        reason: String,
    },
    /// It ended well.
    #[serde(rename = "task:completed")]
    Completed {
        /// What was said about it.
        message: Option<String>,
        /// The result that was given.
        result: Option<Value>,
    },
    /// It ended badly.
    #[serde(rename = "task:failed")]
    Failed {
        /// Why.
        reason: String,
    },
    /// It was given up.
    #[serde(rename = "task:cancelled")]
    Cancelled {
        /// Why.
        reason: Option<String>,
    },
    /// It was deleted, with its files. Its branch stays.
    #[serde(rename = "task:deleted")]
    Deleted {
        /// What it was called.
        name: String,
    },
}

/// What happened to a task's sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum SandboxEvent {
    /// It was made and started.
    #[serde(rename = "sandbox:created")]
    Created {
        /// The runtime's name for it.
        sandbox: SandboxId,
        /// What it runs.
        image: ImageName,
        /// What it reaches.
        network: NetworkMode,
    },
    /// It was there and not running, and was started again.
    #[serde(rename = "sandbox:restarted")]
    Restarted {
        /// The runtime's name for it.
        sandbox: SandboxId,
    },
    /// It takes much of its share of something.
    #[serde(rename = "sandbox:shareHigh")]
    ShareHigh {
        /// How much.
        #[serde(flatten)]
        share: Use,
    },
    /// It took too much, and something was done about it.
    #[serde(rename = "sandbox:shareExceeded")]
    ShareExceeded {
        /// How much.
        #[serde(flatten)]
        share: Use,
        /// What was done.
        action: MonitorAction,
    },
    /// It was gone although the task runs; another one is made.
    #[serde(rename = "sandbox:lost")]
    Lost,
}

/// What a task was let reach, and what not. What comes in quick succession is one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum NetworkEvent {
    /// A rule was added for the task.
    #[serde(rename = "network:ruled")]
    Ruled {
        /// The rule.
        rule: Rule,
        /// Whether it lets through.
        verdict: Verdict,
    },
    /// Connections were let through.
    #[serde(rename = "network:allowed")]
    Allowed {
        /// Where to, `host:port`.
        to: String,
        /// How many began.
        connections: u64,
        /// Bytes that the sandbox sent, of these and of earlier ones.
        sent_bytes: u64,
        /// Bytes that it received.
        received_bytes: u64,
    },
    /// Connections were refused.
    #[serde(rename = "network:denied")]
    Denied {
        /// Where to, `host:port`.
        to: String,
        /// Why.
        reason: Refusal,
        /// How often.
        times: u64,
    },
    /// Connections were let through and came to nothing.
    #[serde(rename = "network:failed")]
    Failed {
        /// Where to, `host:port`.
        to: String,
        /// What the system said.
        reason: String,
        /// How often.
        times: u64,
    },
}

impl NetworkEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ruled { .. } => "network:ruled",
            Self::Allowed { .. } => "network:allowed",
            Self::Denied { .. } => "network:denied",
            Self::Failed { .. } => "network:failed",
        }
    }
}

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

/// What hooks are there for, and what they did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum HookEvent {
    /// A task is about to start. It may still be refused.
    #[serde(rename = "task:beforeStart")]
    BeforeStart,
    /// A task has started.
    #[serde(rename = "task:afterStart")]
    AfterStart,
    /// A task is about to be completed. It may still be refused.
    #[serde(rename = "task:beforeComplete")]
    BeforeComplete,
    /// A task has been completed.
    #[serde(rename = "task:afterComplete")]
    AfterComplete,
    /// A task is about to fail. It may still be refused.
    #[serde(rename = "task:beforeFail")]
    BeforeFail,
    /// A task has failed.
    #[serde(rename = "task:afterFail")]
    AfterFail,
    /// A hook refused a change, which did not happen.
    #[serde(rename = "hook:refused")]
    Refused {
        /// Where.
        point: HookPoint,
        /// What the hook is called.
        hook: String,
        /// Why.
        reason: String,
    },
    /// A hook behind a change failed.
    #[serde(rename = "hook:failed")]
    Failed {
        /// Where.
        point: HookPoint,
        /// What the hook is called.
        hook: String,
        /// Why.
        reason: String,
    },
}

impl HookEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BeforeStart => "task:beforeStart",
            Self::AfterStart => "task:afterStart",
            Self::BeforeComplete => "task:beforeComplete",
            Self::AfterComplete => "task:afterComplete",
            Self::BeforeFail => "task:beforeFail",
            Self::AfterFail => "task:afterFail",
            Self::Refused { .. } => "hook:refused",
            Self::Failed { .. } => "hook:failed",
        }
    }
}

/// What happened to the home as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data")]
pub enum SystemEvent {
    /// The database was backed up.
    #[serde(rename = "system:backupCreated")]
    BackupCreated {
        /// The backup.
        path: PathBuf,
        /// How large it is.
        bytes: u64,
    },
    /// The database was replaced by a backup. What was committed after the backup is not in it.
    #[serde(rename = "system:backupRestored")]
    BackupRestored {
        /// The backup.
        path: PathBuf,
        /// Where the database that was replaced is kept, if there was one.
        replaced: Option<PathBuf>,
    },
    /// A job failed so often that it is not tried any more.
    #[serde(rename = "system:jobGivenUp")]
    JobGivenUp {
        /// Which.
        job: JobId,
        /// What kind of work it is.
        kind: String,
        /// What it is about, such as a task.
        key: String,
        /// How often it was begun.
        tries: u32,
        /// Why it failed the last time.
        reason: String,
    },
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EventPayload {
    /// About a task.
    Task(TaskEvent),
    /// About its sandbox.
    Sandbox(SandboxEvent),
    /// About a command in it.
    Execution(ExecutionEvent),
    /// About what it reaches.
    Network(NetworkEvent),
    /// About hooks on its changes.
    Hook(HookEvent),
    /// About the home as a whole.
    System(SystemEvent),
}

impl EventPayload {
    /// The event's name, `family:fact`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Task(event) => match event {
                TaskEvent::Created { .. } => "task:created",
                TaskEvent::Started => "task:started",
                TaskEvent::Attached { .. } => "task:attached",
                TaskEvent::Detached { .. } => "task:detached",
                TaskEvent::WorkCollected { .. } => "task:workCollected",
                TaskEvent::CollectFailed { .. } => "task:collectFailed",
                TaskEvent::Completed { .. } => "task:completed",
                TaskEvent::Failed { .. } => "task:failed",
                TaskEvent::Cancelled { .. } => "task:cancelled",
                TaskEvent::Deleted { .. } => "task:deleted",
            },
            Self::Sandbox(event) => match event {
                SandboxEvent::Created { .. } => "sandbox:created",
                SandboxEvent::Restarted { .. } => "sandbox:restarted",
                SandboxEvent::ShareHigh { .. } => "sandbox:shareHigh",
                SandboxEvent::ShareExceeded { .. } => "sandbox:shareExceeded",
                SandboxEvent::Lost => "sandbox:lost",
            },
            Self::Execution(event) => match event {
                ExecutionEvent::Started { .. } => "execution:started",
                ExecutionEvent::Finished { .. } => "execution:finished",
            },
            Self::Network(event) => event.name(),
            Self::Hook(event) => event.name(),
            Self::System(event) => match event {
                SystemEvent::BackupCreated { .. } => "system:backupCreated",
                SystemEvent::BackupRestored { .. } => "system:backupRestored",
                SystemEvent::JobGivenUp { .. } => "system:jobGivenUp",
            },
        }
    }

    /// The fields as JSON, without the name; null for an event without fields.
    pub fn data(&self) -> Value {
        let tagged = serde_json::to_value(self).unwrap_or_default();
        tagged.get("data").cloned().unwrap_or_default()
    }

    /// The fields as the text of JSON, without the name; `null` for an event without fields.
    ///
    /// # Errors
    /// When a field has no form in JSON.
    pub fn data_text(&self) -> serde_json::Result<String> {
        #[derive(Deserialize)]
        struct Tagged<'a> {
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let text = serde_json::to_string(self)?;
        let tagged: Tagged<'_> = serde_json::from_str(&text)?;
        Ok(tagged.data.map_or("null", RawValue::get).to_owned())
    }

    /// Reads a stored payload, whose fields are the text `data` of JSON.
    ///
    /// # Errors
    /// When the name, the version or the fields are none that this program knows.
    pub fn decode(name: &str, version: u32, data: &str) -> Result<Self, UnreadablePayload> {
        let unreadable = |source| UnreadablePayload { name: name.to_owned(), version, source };
        if version != PAYLOAD_VERSION {
            return Err(unreadable(None));
        }
        let name_text = Value::from(name);
        let tagged = match data {
            "null" => format!(r#"{{"event":{name_text}}}"#),
            data => format!(r#"{{"event":{name_text},"data":{data}}}"#),
        };
        let tagged = tagged.as_str();
        let payload = match name.split_once(':') {
            Some(("task", fact)) if is_point(fact) => serde_json::from_str(tagged).map(Self::Hook),
            Some(("hook", _)) => serde_json::from_str(tagged).map(Self::Hook),
            Some(("task", _)) => serde_json::from_str(tagged).map(Self::Task),
            Some(("sandbox", _)) => serde_json::from_str(tagged).map(Self::Sandbox),
            Some(("execution", _)) => serde_json::from_str(tagged).map(Self::Execution),
            Some(("network", _)) => serde_json::from_str(tagged).map(Self::Network),
            Some(("system", _)) => serde_json::from_str(tagged).map(Self::System),
            _ => return Err(unreadable(None)),
        };
        payload.map_err(|error| unreadable(Some(error)))
    }
}

/// Whether the name of a fact about a task is that of a point where hooks run.
fn is_point(fact: &str) -> bool {
    HookPoint::ALL.iter().any(|point| point.to_string() == fact)
}

impl From<HookEvent> for EventPayload {
    fn from(event: HookEvent) -> Self {
        Self::Hook(event)
    }
}

impl From<TaskEvent> for EventPayload {
    fn from(event: TaskEvent) -> Self {
        Self::Task(event)
    }
}

impl From<SandboxEvent> for EventPayload {
    fn from(event: SandboxEvent) -> Self {
        Self::Sandbox(event)
    }
}

impl From<ExecutionEvent> for EventPayload {
    fn from(event: ExecutionEvent) -> Self {
        Self::Execution(event)
    }
}

impl From<NetworkEvent> for EventPayload {
    fn from(event: NetworkEvent) -> Self {
        Self::Network(event)
    }
}

impl From<SystemEvent> for EventPayload {
    fn from(event: SystemEvent) -> Self {
        Self::System(event)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::Resource;

    const SHARE: Use = Use { resource: Resource::Disk, used: 3, limit: 2 };

    fn one_of_each() -> Vec<EventPayload> {
        [of_tasks(), of_networks(), of_hooks_and_the_home()].concat()
    }

    fn of_networks() -> Vec<EventPayload> {
        vec![
            NetworkEvent::Ruled { rule: "*.example".parse().unwrap(), verdict: Verdict::Deny }
                .into(),
            NetworkEvent::Allowed {
                to: "example.com:443".to_owned(),
                connections: 1,
                sent_bytes: 2,
                received_bytes: 3,
            }
            .into(),
            NetworkEvent::Denied {
                to: "169.254.169.254:80".to_owned(),
                reason: Refusal::NotAllowed,
                times: 4,
            }
            .into(),
            NetworkEvent::Failed {
                to: "example.com:80".to_owned(),
                reason: "connection refused".to_owned(),
                times: 5,
            }
            .into(),
        ]
    }

    fn of_tasks() -> Vec<EventPayload> {
        let agent = AgentId::parse("claude-1").unwrap();
        let execution = ExecutionId::parse("e1").unwrap();
        let sandbox = SandboxId::parse("0123abc").unwrap();
        vec![
            TaskEvent::Created {
                name: "a task".to_owned(),
                request: Some("make it so".to_owned()),
                owner: "nobody".to_owned(),
                image: ImageName::base(),
                network: NetworkMode::None,
                rules: NetworkPolicy::default(),
                limits: Limits::default(),
                repository: Some("/src/project".into()),
                branch: Some("task/t1".to_owned()),
                base: Some("c0ffee".to_owned()),
            }
            .into(),
            TaskEvent::Started.into(),
            TaskEvent::Attached { agent: agent.clone() }.into(),
            TaskEvent::Detached { agent: agent.clone() }.into(),
            TaskEvent::WorkCollected {
                branch: "task/t1".to_owned(),
                from: "c0ffee".to_owned(),
                to: "decaf".to_owned(),
                commits: 2,
                work: WorkState::Unsaved { files: 1, commits: 0 },
            }
            .into(),
            TaskEvent::CollectFailed { reason: "no engine".to_owned() }.into(),
            TaskEvent::Completed { message: None, result: Some(json!({"ok": true})) }.into(),
            TaskEvent::Failed { reason: "tests fail".to_owned() }.into(),
            TaskEvent::Cancelled { reason: None }.into(),
            TaskEvent::Deleted { name: "a task".to_owned() }.into(),
            SandboxEvent::Created {
                sandbox: sandbox.clone(),
                image: ImageName::base(),
                network: NetworkMode::Internal,
            }
            .into(),
            SandboxEvent::Restarted { sandbox }.into(),
            SandboxEvent::ShareHigh { share: SHARE }.into(),
            SandboxEvent::ShareExceeded { share: SHARE, action: MonitorAction::Stop }.into(),
            SandboxEvent::Lost.into(),
            ExecutionEvent::Started {
                execution: execution.clone(),
                agent,
                command: CommandLine::Shell("true".to_owned()),
                cwd: "/workspace".to_owned(),
                env: vec!["CI".to_owned()],
            }
            .into(),
            ExecutionEvent::Finished {
                execution,
                status: ExecutionStatus::Exited,
                exit_code: Some(0),
                duration_ms: 12,
                stdout_bytes: 3,
                stderr_bytes: 0,
                usage: Some(ExecutionUsage {
                    cpu_micros: 4,
                    max_memory_bytes: 5,
                    out_of_memory: false,
                }),
            }
            .into(),
        ]
    }

    fn of_hooks_and_the_home() -> Vec<EventPayload> {
        vec![
            HookEvent::BeforeStart.into(),
            HookEvent::AfterStart.into(),
            HookEvent::BeforeComplete.into(),
            HookEvent::AfterComplete.into(),
            HookEvent::BeforeFail.into(),
            HookEvent::AfterFail.into(),
            HookEvent::Refused {
                point: HookPoint::ALL[0],
                hook: "policy".to_owned(),
                reason: "not on a Sunday".to_owned(),
            }
            .into(),
            HookEvent::Failed {
                point: HookPoint::ALL[1],
                hook: "notify".to_owned(),
                reason: "nobody listens".to_owned(),
            }
            .into(),
            SystemEvent::BackupCreated { path: "/backups/a.db".into(), bytes: 4096 }.into(),
            SystemEvent::BackupRestored {
                path: "/backups/a.db".into(),
                replaced: Some("/backups/b.db".into()),
            }
            .into(),
            SystemEvent::JobGivenUp {
                job: JobId(17),
                kind: "sweep".to_owned(),
                key: "t1".to_owned(),
                tries: 5,
                reason: "it panicked".to_owned(),
            }
            .into(),
        ]
    }

    #[test]
    fn every_payload_is_read_back_as_it_was_and_bears_its_own_name() {
        for payload in one_of_each() {
            let tagged = serde_json::to_value(&payload).unwrap();
            assert_eq!(tagged["event"], payload.name());
            let text = payload.data_text().unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), payload.data());
            let read = EventPayload::decode(payload.name(), PAYLOAD_VERSION, &text);
            assert_eq!(read.unwrap(), payload);
        }
    }

    // The list for people and the code are one; and the list above is all there is.
    #[test]
    fn docs_events_md_lists_every_event_with_its_fields() {
        let fields = |payload: &EventPayload| {
            let data = payload.data();
            let names = data.as_object().into_iter().flat_map(|fields| fields.keys());
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let mut expected: Vec<String> = one_of_each()
            .iter()
            .map(|payload| format!("| `{}` | {} |", payload.name(), fields(payload)))
            .map(|row| row.replace("|  |", "| |"))
            .collect();
        expected.sort();
        let mut documented: Vec<String> = include_str!("../../../../docs/events.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|")
            .collect();
        documented.sort();
        assert_eq!(documented, expected, "docs/events.md is not what this file says");
        let named = include_str!("payload.rs").matches("#[serde(rename = \"").count();
        assert_eq!(named, expected.len(), "an event is missing in `one_of_each`");
    }

    #[test]
    fn a_payload_of_an_unknown_name_or_version_is_an_error() {
        assert!(EventPayload::decode("task:vanished", PAYLOAD_VERSION, "null").is_err());
        let other = r#"{"reason": "x"}, "event": "task:started""#;
        assert!(EventPayload::decode("task:failed", PAYLOAD_VERSION, other).is_err());
        assert!(EventPayload::decode("weather:rain", PAYLOAD_VERSION, "null").is_err());
        assert!(EventPayload::decode("task:started", 99, "null").is_err());
    }
}
