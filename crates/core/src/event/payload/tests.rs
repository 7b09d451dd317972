//! That every event is read back as it was written, and is told of in docs/events.md.

use serde_json::json;

use super::*;
use crate::checkpoint::{CheckpointCause, Forgotten};
use crate::decision::Decision;
use crate::event::Level;
use crate::execution::{CommandLine, ExecutionStatus, ExecutionUsage};
use crate::id::{AgentId, CheckpointId, ExecutionId, SandboxId, TaskId};
use crate::job::JobId;
use crate::network::{NetworkPolicy, Refusal, Verdict};
use crate::recovery::RecoverySource;
use crate::sandbox::{
    Belonging, ImageName, Limits, MonitorAction, NetworkMode, OrphanCause, Resource, Use,
};
use crate::task::{Loosening, WorkState};
use crate::time::Timestamp;

const SHARE: Use = Use { resource: Resource::Disk, used: 3, limit: 2 };

fn one_of_each() -> Vec<EventPayload> {
    [of_tasks(), of_checkpoints(), of_networks(), of_hooks_and_the_home()].concat()
}

fn of_checkpoints() -> Vec<EventPayload> {
    let checkpoint = CheckpointId::parse("c1").unwrap();
    vec![
        CheckpointEvent::Taken {
            checkpoint: checkpoint.clone(),
            name: Some("before-the-merge".parse().unwrap()),
            cause: CheckpointCause::Asked,
            files: 1,
            bytes: 2,
            bytes_added: 3,
            left_out: 4,
            pinned: true,
        }
        .into(),
        CheckpointEvent::Restored {
            checkpoint: checkpoint.clone(),
            safety: checkpoint.clone(),
            changed: 5,
            path: None,
        }
        .into(),
        CheckpointEvent::Pinned { checkpoint: checkpoint.clone() }.into(),
        CheckpointEvent::Unpinned { checkpoint: checkpoint.clone() }.into(),
        CheckpointEvent::Forgotten { checkpoint, cause: Forgotten::Retention }.into(),
    ]
}

fn of_networks() -> Vec<EventPayload> {
    vec![
        NetworkEvent::Ruled { rule: "*.example".parse().unwrap(), verdict: Verdict::Deny }.into(),
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
            folder: None,
            forked_from: None,
        }
        .into(),
        TaskEvent::Loosened {
            what: vec![Loosening {
                what: "network".to_owned(),
                asked: "open".to_owned(),
                default: "none".to_owned(),
            }],
        }
        .into(),
        TaskEvent::Started.into(),
        TaskEvent::Attached { agent: agent.clone() }.into(),
        TaskEvent::Detached { agent: agent.clone() }.into(),
        TaskEvent::Decided(
            Decision::new(
                "what".to_owned(),
                "why".to_owned(),
                vec!["something else".to_owned()],
                agent.clone(),
                Timestamp::from_millis(1),
            )
            .unwrap(),
        )
        .into(),
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
        TaskEvent::Recovered { from: RecoverySource::StateAndAudit, events: 3 }.into(),
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
        SystemEvent::OrphanFound {
            task: TaskId::parse("t1").unwrap(),
            cause: OrphanCause::Unknown,
            belongings: vec![Belonging::Sandbox, Belonging::Network],
        }
        .into(),
        SystemEvent::OrphanRemoved {
            task: TaskId::parse("t1").unwrap(),
            cause: OrphanCause::Deleted,
            belongings: vec![Belonging::Socket, Belonging::Files],
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
    let mut documented: Vec<String> = include_str!("../../../../../docs/events.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|")
        .collect();
    documented.sort();
    assert_eq!(documented, expected, "docs/events.md is not what the families say");
    let families = [
        include_str!("checkpoint.rs"),
        include_str!("execution.rs"),
        include_str!("hook.rs"),
        include_str!("network.rs"),
        include_str!("sandbox.rs"),
        include_str!("system.rs"),
        include_str!("task.rs"),
    ];
    let named: usize =
        families.iter().map(|family| family.matches("#[serde(rename = \"").count()).sum();
    assert_eq!(named, expected.len(), "an event is missing in `one_of_each`");
}

// R21: the levels of the text are those of the program.
#[test]
fn docs_events_md_lists_every_event_that_is_more_than_information() {
    for level in Level::ALL {
        let mut expected: Vec<_> = one_of_each()
            .iter()
            .filter(|payload| payload.level() == level && level != Level::Info)
            .map(|payload| format!("`{}`", payload.name()))
            .collect();
        expected.sort();
        let begins = format!("- {level}: ");
        let documented = include_str!("../../../../../docs/events.md")
            .lines()
            .find_map(|line| line.strip_prefix(&begins))
            .unwrap();
        if level == Level::Info {
            assert_eq!(documented, "all others");
        } else {
            assert_eq!(documented, expected.join(", "), "{level}");
        }
    }
}

#[test]
fn a_payload_of_an_unknown_name_or_version_is_an_error() {
    assert!(EventPayload::decode("task:vanished", PAYLOAD_VERSION, "null").is_err());
    let other = r#"{"reason": "x"}, "event": "task:started""#;
    assert!(EventPayload::decode("task:failed", PAYLOAD_VERSION, other).is_err());
    assert!(EventPayload::decode("weather:rain", PAYLOAD_VERSION, "null").is_err());
    assert!(EventPayload::decode("task:started", 99, "null").is_err());
}
