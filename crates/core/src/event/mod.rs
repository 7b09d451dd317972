//! Events: facts about tasks and the system, appended once, in order, never changed; and the log they stand in.
//!
//! The log is the spine of the system (docs/architecture.md): a change of a task commits together
//! with its events, and everything else follows the log with a stored cursor.

mod consumer;
mod dead_letter;
mod level;
mod log;
mod pattern;
mod payload;

pub use consumer::{Consumer, ConsumerError, Fault};
pub use dead_letter::{DeadLetter, DeadLetterId, InvalidDeadLetterId};
pub use level::{InvalidLevel, Level};
pub use log::{Commit, ConsumerName, DamagedEvent, EventLog, LogError, Stored};
pub use pattern::{InvalidPattern, Pattern};
pub use payload::{
    CheckpointEvent, EventPayload, ExecutionEvent, HookEvent, NetworkEvent, PAYLOAD_VERSION,
    SandboxEvent, SystemEvent, TaskEvent, UnreadablePayload,
};

use std::fmt;

use serde::Serialize;

use crate::id::{EventId, TaskId};
use crate::time::Timestamp;

/// The place of an event in the whole log: 1, 2, 3, … in the order of commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fact, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its place in the log.
    pub seq: Seq,
    /// Who it is, for consumers that have to know it again.
    pub id: EventId,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// When it was committed.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub payload: EventPayload,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Subject {
    /// A task.
    Task {
        /// Which.
        task: TaskId,
        /// The event's place among those of the task: 1, 2, 3, … without a gap.
        task_seq: u64,
    },
    /// The home as a whole.
    System {},
}

impl Event {
    /// The task that it is about, if it is about one.
    pub const fn task(&self) -> Option<&TaskId> {
        match &self.subject {
            Subject::Task { task, .. } => Some(task),
            Subject::System {} => None,
        }
    }

    /// Its place among the events of its task; 0 for one about no task.
    pub const fn task_seq(&self) -> u64 {
        match self.subject {
            Subject::Task { task_seq, .. } => task_seq,
            Subject::System {} => 0,
        }
    }

    /// Its name, such as `task:created`.
    pub fn name(&self) -> &'static str {
        self.payload.name()
    }
}
