//! Events: facts about tasks, appended once, in order, never changed; and the log they stand in.
//!
//! The log is the spine of the system (docs/architecture.md): a change of a task commits together
//! with its events, and everything else follows the log with a stored cursor.

mod consumer;
mod log;
mod payload;

pub use consumer::{Consumer, ConsumerError};
pub use log::{ConsumerName, EventLog, LogError};
pub use payload::{
    EventPayload, ExecutionEvent, PAYLOAD_VERSION, SandboxEvent, TaskEvent, UnreadablePayload,
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
    /// The task that it is about.
    pub task: TaskId,
    /// Its place among the events of its task: 1, 2, 3, … without a gap.
    pub task_seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub payload: EventPayload,
}

impl Event {
    /// Its name, such as `task:created`.
    pub fn name(&self) -> &'static str {
        self.payload.name()
    }
}
