//! What the child does, and what it says of it: a line before and a line behind each deed.

use armor_core::id::{ExecutionId, TaskId};
use serde::{Deserialize, Serialize};

/// Something that is done as a whole or not at all. Each has a number of its own, which stands in
/// every event that it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deed {
    pub(crate) number: u64,
    pub(crate) what: What,
}

/// The kinds of deeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// New tasks, in one transaction.
    Create(Vec<TaskId>),
    /// A change of each of these tasks, in one transaction, each with two events.
    Change(Vec<TaskId>),
    /// So many events of a task.
    Append(TaskId, u64),
    /// A new execution of a task.
    Begin(TaskId, ExecutionId),
    /// The end of an execution.
    End(TaskId, ExecutionId),
    /// The removal of a task.
    Delete(TaskId),
}

impl Deed {
    /// How many events it leaves.
    pub(crate) fn events(&self) -> u64 {
        match &self.what {
            What::Create(tasks) => tasks.len() as u64,
            What::Change(tasks) => 2 * tasks.len() as u64,
            What::Append(_, count) => *count,
            What::Begin(..) | What::End(..) | What::Delete(_) => 1,
        }
    }
}

/// What the child says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// This begins.
    Begun(Deed),
    /// The deed of this number was acknowledged.
    Done(u64),
    /// It was refused, with this code, for this reason.
    Refused { number: u64, code: String, why: String },
}
