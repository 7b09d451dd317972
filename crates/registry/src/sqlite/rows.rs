//! Between rows and the types of the core. What cannot be read is a damaged database, not a panic.

use armor_core::checkpoint::{Checkpoint, CheckpointCause, ForkedFrom};
use armor_core::event::{Event, EventPayload, Seq, Subject};
use armor_core::execution::{Execution, ExecutionEnd, ExecutionStatus};
use armor_core::id::{AgentId, CheckpointId, EventId, ExecutionId, InstanceId, TaskId};
use armor_core::task::Task;
use armor_core::time::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::sqlite::failure::corrupt;
use crate::{Cursor, RegistryError};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The columns of a task, in the order in which [`task`] reads them.
pub(super) const TASK_COLUMNS: &str = "id, tasks.name, tasks.request, status, owner, \
     tasks.metadata, sandbox, repository, agent, outcome, retries, created_at, updated_at, \
     started_at, finished_at, version";

pub(super) fn task(row: &SqliteRow) -> Result<Task, RegistryError> {
    let read = || -> Result<Task, BoxError> {
        Ok(Task {
            id: TaskId::parse(row.try_get::<String, _>(0)?)?,
            name: row.try_get::<String, _>(1)?.parse()?,
            request: row.try_get::<Option<String>, _>(2)?.map(TryInto::try_into).transpose()?,
            status: row.try_get::<String, _>(3)?.parse()?,
            owner: row.try_get::<String, _>(4)?.parse()?,
            metadata: row.try_get::<String, _>(5)?.parse()?,
            sandbox: json(row, 6)?,
            repository: optional_json(row, 7)?,
            agent: row.try_get::<Option<String>, _>(8)?.map(AgentId::parse).transpose()?,
            outcome: optional_json(row, 9)?,
            retries: row.try_get(10)?,
            created_at: timestamp(row, 11)?,
            updated_at: timestamp(row, 12)?,
            started_at: row.try_get::<Option<i64>, _>(13)?.map(Timestamp::from_micros),
            finished_at: row.try_get::<Option<i64>, _>(14)?.map(Timestamp::from_micros),
            version: row.try_get::<i64, _>(15)?.try_into()?,
        })
    };
    read().map_err(|error| corrupt("read a task", error))
}

/// The place of a task in a list, from its row with its number behind the columns.
pub(super) fn cursor(row: &SqliteRow, list: u32) -> Result<Cursor, RegistryError> {
    let read = || -> Result<Cursor, BoxError> {
        Ok(Cursor { created_at: row.try_get(11)?, number: row.try_get(16)?, list })
    };
    read().map_err(|error| corrupt("read a task's place", error))
}

/// The columns of an event, in the order in which [`event`] reads them.
pub(super) const EVENT_COLUMNS: &str =
    "seq, id, task_id, task_seq, at, name, payload_version, payload";

pub(super) fn event(row: &SqliteRow) -> Result<Event, RegistryError> {
    let read = || -> Result<Event, BoxError> {
        let name: String = row.try_get(5)?;
        Ok(Event {
            seq: Seq(row.try_get::<i64, _>(0)?.try_into()?),
            id: EventId::parse(row.try_get::<String, _>(1)?)?,
            subject: match row.try_get::<Option<String>, _>(2)? {
                Some(task) => Subject::Task {
                    task: TaskId::parse(task)?,
                    task_seq: row.try_get::<i64, _>(3)?.try_into()?,
                },
                None => Subject::System {},
            },
            at: timestamp(row, 4)?,
            payload: EventPayload::decode(&name, row.try_get(6)?, row.try_get(7)?)?,
        })
    };
    read().map_err(|error| corrupt("read an event", error))
}

/// The columns of an execution, in the order in which [`execution`] reads them.
pub(super) const EXECUTION_COLUMNS: &str = "id, task_id, agent, command, cwd, instance, \
     started_at, status, exit_code, finished_at, stdout_bytes, stderr_bytes, usage";

pub(super) fn execution(row: &SqliteRow) -> Result<Execution, RegistryError> {
    let read = || -> Result<Execution, BoxError> {
        let status: String = row.try_get(7)?;
        let status = ExecutionStatus::from_name(&status)
            .ok_or_else(|| format!("`{status}` is no execution status"))?;
        let end = match row.try_get::<Option<i64>, _>(9)? {
            None => None,
            Some(at) => Some(ExecutionEnd {
                status,
                exit_code: row.try_get(8)?,
                at: Timestamp::from_micros(at),
                stdout_bytes: row.try_get::<i64, _>(10)?.try_into()?,
                stderr_bytes: row.try_get::<i64, _>(11)?.try_into()?,
                usage: optional_json(row, 12)?,
            }),
        };
        Ok(Execution {
            id: ExecutionId::parse(row.try_get::<String, _>(0)?)?,
            task: TaskId::parse(row.try_get::<String, _>(1)?)?,
            agent: AgentId::parse(row.try_get::<String, _>(2)?)?,
            command: json(row, 3)?,
            cwd: row.try_get(4)?,
            instance: InstanceId::parse(row.try_get::<String, _>(5)?)?,
            started_at: timestamp(row, 6)?,
            end,
        })
    };
    read().map_err(|error| corrupt("read an execution", error))
}

/// The columns of a checkpoint, in the order in which [`checkpoint`] reads them.
pub(super) const CHECKPOINT_COLUMNS: &str = "id, task_id, name, cause, parent, created_at, files, \
     bytes, bytes_added, left_out, pinned";

pub(super) fn checkpoint(row: &SqliteRow) -> Result<Checkpoint, RegistryError> {
    let read = || -> Result<Checkpoint, BoxError> {
        let cause: String = row.try_get(3)?;
        Ok(Checkpoint {
            id: CheckpointId::parse(row.try_get::<String, _>(0)?)?,
            task: TaskId::parse(row.try_get::<String, _>(1)?)?,
            name: row.try_get::<Option<String>, _>(2)?.map(TryInto::try_into).transpose()?,
            cause: CheckpointCause::from_name(&cause)
                .ok_or_else(|| format!("`{cause}` is no cause of a checkpoint"))?,
            parent: row.try_get::<Option<String>, _>(4)?.map(CheckpointId::parse).transpose()?,
            created_at: timestamp(row, 5)?,
            files: row.try_get::<i64, _>(6)?.try_into()?,
            bytes: row.try_get::<i64, _>(7)?.try_into()?,
            bytes_added: row.try_get::<i64, _>(8)?.try_into()?,
            left_out: row.try_get::<i64, _>(9)?.try_into()?,
            pinned: row.try_get(10)?,
        })
    };
    read().map_err(|error| corrupt("read a checkpoint", error))
}

/// A task and what its files are made from, in two columns.
pub(super) fn fork(row: &SqliteRow) -> Result<(TaskId, ForkedFrom), RegistryError> {
    let read = || Ok((TaskId::parse(row.try_get::<String, _>(0)?)?, json(row, 1)?));
    read().map_err(|error: BoxError| corrupt("read a fork", error))
}

fn timestamp(row: &SqliteRow, column: usize) -> Result<Timestamp, BoxError> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: usize) -> Result<T, BoxError> {
    Ok(serde_json::from_str(row.try_get(column)?)?)
}

fn optional_json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: usize,
) -> Result<Option<T>, BoxError> {
    let text: Option<&str> = row.try_get(column)?;
    Ok(text.map(serde_json::from_str).transpose()?)
}

/// A count for a column, which SQLite keeps as a signed number.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
