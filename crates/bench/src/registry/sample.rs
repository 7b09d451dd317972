//! One task through its life, as ours takes it and as rows for the baseline.

use armor_core::event::{EventPayload, PAYLOAD_VERSION, TaskEvent};
use armor_core::id::{IdSource, RandomIds};
use armor_core::task::{Change, Metadata, RepositoryBase, Task, TaskRequest, WorkState};
use armor_core::time::{Clock, SystemClock, Timestamp};
use serde::Serialize;

use crate::Outcome;

/// A task, what happens to it, and the same as rows.
pub(super) struct Sample {
    pub(super) task: Task,
    pub(super) change: Change,
    pub(super) deletion: EventPayload,
    pub(super) row: TaskRow,
    pub(super) created: EventRow,
    pub(super) changed: TaskRow,
    pub(super) updated: EventRow,
    pub(super) deleted: EventRow,
}

/// A row of `tasks`, ready to be bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) owner: String,
    pub(super) metadata: String,
    pub(super) sandbox: String,
    pub(super) repository: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) retries: u32,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) version: u64,
}

/// A row of `events`, but for its places in the log, which the statement finds.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) id: String,
    pub(super) task: String,
    pub(super) at: i64,
    pub(super) name: &'static str,
    pub(super) payload_version: u32,
    pub(super) payload: String,
}

impl Sample {
    /// The task of this number: on a repository, with a little metadata.
    pub(super) fn new(number: usize) -> Outcome<Self> {
        let (ids, now) = (RandomIds::default(), SystemClock.now());
        let mut request = TaskRequest::named(format!("fix the parser, part {number}").parse()?);
        request.owner = "bench".parse()?;
        request.metadata = r#"{"ticket":"A-1","request":"The parser drops the last line."}"#
            .parse::<Metadata>()?;
        request.repository = Some(RepositoryBase {
            path: "/home/user/projects/parser".into(),
            commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned(),
            objects: Some("/home/user/projects/parser/.git/objects".into()),
        });
        let task = Task::new(ids.task_id(now), request, now);
        let head = "9802a16f5f8e1e0f7b1f0c3c2d4b6a8897a6b5c4".to_owned();
        let change = task.collected(head, 1, WorkState::Saved, SystemClock.now());
        let [event] = change.events.as_slice() else {
            return Err("a change of one event has become one of several".into());
        };
        let deletion: EventPayload = TaskEvent::Deleted { name: task.name.to_string() }.into();
        let created = task.created();
        let [created] = created.as_slice() else {
            return Err("a closed task has become one with more than one event".into());
        };
        let event_row = |payload| EventRow::new(&task, payload, now, &ids);
        Ok(Self {
            row: TaskRow::new(&task)?,
            changed: TaskRow::new(&change.after)?,
            created: event_row(created),
            updated: event_row(event),
            deleted: event_row(&deletion),
            task,
            change,
            deletion,
        })
    }
}

impl TaskRow {
    fn new(task: &Task) -> Outcome<Self> {
        Ok(Self {
            id: task.id.to_string(),
            name: task.name.to_string(),
            status: task.status.to_string(),
            owner: task.owner.to_string(),
            metadata: serde_json::to_string(&task.metadata)?,
            sandbox: serde_json::to_string(&task.sandbox)?,
            repository: optional_json(task.repository.as_ref())?,
            agent: task.agent.as_ref().map(ToString::to_string),
            outcome: optional_json(task.outcome.as_ref())?,
            retries: task.retries,
            created_at: task.created_at.as_micros(),
            updated_at: task.updated_at.as_micros(),
            started_at: task.started_at.map(Timestamp::as_micros),
            finished_at: task.finished_at.map(Timestamp::as_micros),
            version: task.version,
        })
    }
}

fn optional_json(value: Option<&impl Serialize>) -> serde_json::Result<Option<String>> {
    value.map(serde_json::to_string).transpose()
}

impl EventRow {
    fn new(task: &Task, payload: &EventPayload, at: Timestamp, ids: &RandomIds) -> Self {
        Self {
            id: ids.event_id(at).to_string(),
            task: task.id.to_string(),
            at: at.as_micros(),
            name: payload.name(),
            payload_version: PAYLOAD_VERSION,
            payload: payload.data().to_string(),
        }
    }
}
