//! What callers give, as the statements take it. Each caller encodes its own, while the writer is
//! busy with what others gave.

use armor_core::event::EventPayload;
use armor_core::task::{Change, Task};
use serde::Serialize;

use crate::RegistryError;

/// A task, with the columns that are JSON.
#[derive(Debug)]
pub(super) struct TaskRow {
    pub(super) task: Task,
    pub(super) metadata: String,
    pub(super) sandbox: String,
    pub(super) repository: Option<String>,
    pub(super) outcome: Option<String>,
}

/// A fact, with its fields as JSON.
#[derive(Debug)]
pub(in crate::sqlite) struct Fact {
    pub(super) payload: EventPayload,
    pub(super) data: String,
}

/// A new task, and the facts of that.
#[derive(Debug)]
pub(in crate::sqlite) struct New {
    pub(super) row: TaskRow,
    pub(super) facts: Vec<Fact>,
}

/// A change of a task, and what happened.
#[derive(Debug)]
pub(in crate::sqlite) struct Changed {
    pub(super) expected: u64,
    pub(super) row: TaskRow,
    pub(super) facts: Vec<Fact>,
}

impl TaskRow {
    fn of(task: &Task) -> Result<Self, RegistryError> {
        Ok(Self {
            metadata: json(&task.metadata)?,
            sandbox: json(&task.sandbox)?,
            repository: task.repository.as_ref().map(json).transpose()?,
            outcome: task.outcome.as_ref().map(json).transpose()?,
            task: task.clone(),
        })
    }
}

impl Fact {
    pub(in crate::sqlite) fn of(payload: EventPayload) -> Result<Self, RegistryError> {
        let data = payload.data_text().map_err(no_json)?;
        Ok(Self { payload, data })
    }

    /// Its fields as JSON.
    pub(in crate::sqlite) fn into_data(self) -> String {
        self.data
    }
}

impl New {
    pub(in crate::sqlite) fn of(task: &Task) -> Result<Self, RegistryError> {
        let facts = task.created().into_iter().map(Fact::of);
        Ok(Self { row: TaskRow::of(task)?, facts: facts.collect::<Result<_, _>>()? })
    }
}

impl Changed {
    pub(in crate::sqlite) fn of(change: &Change) -> Result<Self, RegistryError> {
        let facts = change.events.iter().cloned().map(Fact::of);
        Ok(Self {
            expected: change.expected,
            row: TaskRow::of(&change.after)?,
            facts: facts.collect::<Result<_, _>>()?,
        })
    }
}

/// The text of a column that is JSON.
pub(in crate::sqlite) fn json(value: &impl Serialize) -> Result<String, RegistryError> {
    serde_json::to_string(value).map_err(no_json)
}

fn no_json(error: serde_json::Error) -> RegistryError {
    RegistryError::Failed { action: "write it as JSON", source: std::sync::Arc::new(error) }
}
