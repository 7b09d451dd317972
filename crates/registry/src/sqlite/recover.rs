//! Keeping a task that was lost, from what other layers know of it.

use armor_core::event::{Event, PAYLOAD_VERSION};
use armor_core::execution::{Execution, ExecutionStatus};
use armor_core::id::TaskId;
use armor_core::task::Task;
use armor_core::time::Timestamp;
use sqlx::SqliteConnection;

use crate::sqlite::failure::failed;
use crate::sqlite::rows::count;
use crate::sqlite::writer::{Fact, json};
use crate::{LostTask, RegistryError};

const WRITE: &str = "keep a task that was lost";

/// A lost task, with what is JSON as text.
#[derive(Debug)]
pub(super) struct Encoded {
    task: Task,
    metadata: String,
    sandbox: String,
    repository: Option<String>,
    outcome: Option<String>,
    events: Vec<(Event, String)>,
    executions: Vec<(Execution, String, Option<String>)>,
}

impl Encoded {
    pub(super) fn of(lost: &LostTask) -> Result<Self, RegistryError> {
        let LostTask { task, events, executions } = lost;
        let events = events
            .iter()
            .map(|event| Ok((event.clone(), Fact::of(event.payload.clone())?.into_data())));
        let executions = executions.iter().map(|execution| {
            let usage = execution.end.as_ref().and_then(|end| end.usage.as_ref());
            Ok((execution.clone(), json(&execution.command)?, usage.map(json).transpose()?))
        });
        Ok(Self {
            metadata: json(&task.metadata)?,
            sandbox: json(&task.sandbox)?,
            repository: task.repository.as_ref().map(json).transpose()?,
            outcome: task.outcome.as_ref().map(json).transpose()?,
            events: events.collect::<Result<_, RegistryError>>()?,
            executions: executions.collect::<Result<_, RegistryError>>()?,
            task: task.clone(),
        })
    }

    pub(super) const fn task(&self) -> &TaskId {
        &self.task.id
    }
}

/// False when the task is there.
pub(super) async fn recover(
    connection: &mut SqliteConnection,
    lost: &Encoded,
) -> Result<bool, RegistryError> {
    if !row(connection, lost).await? {
        return Ok(false);
    }
    for (event, data) in &lost.events {
        // One that is there under its id, or another one in its place, stays.
        sqlx::query(
            "INSERT OR IGNORE INTO events
                 (id, task_id, task_seq, at, name, payload_version, payload)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(event.id.as_str())
        .bind(event.task().map(TaskId::as_str))
        .bind(count(event.task_seq()))
        .bind(event.at.as_micros())
        .bind(event.name())
        .bind(PAYLOAD_VERSION)
        .bind(data)
        .execute(&mut *connection)
        .await
        .map_err(failed(WRITE))?;
    }
    for (execution, command, usage) in &lost.executions {
        let end = execution.end.as_ref();
        let status = end.map_or(ExecutionStatus::Running, |end| end.status);
        sqlx::query(
            "INSERT OR IGNORE INTO executions
                 (id, task_id, agent, command, cwd, instance, started_at, status, exit_code,
                  finished_at, stdout_bytes, stderr_bytes, usage)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(execution.id.as_str())
        .bind(execution.task.as_str())
        .bind(execution.agent.as_str())
        .bind(command)
        .bind(&execution.cwd)
        .bind(execution.instance.as_str())
        .bind(execution.started_at.as_micros())
        .bind(status.as_str())
        .bind(end.and_then(|end| end.exit_code))
        .bind(end.map(|end| end.at.as_micros()))
        .bind(count(end.map_or(0, |end| end.stdout_bytes)))
        .bind(count(end.map_or(0, |end| end.stderr_bytes)))
        .bind(usage)
        .execute(&mut *connection)
        .await
        .map_err(failed(WRITE))?;
    }
    Ok(true)
}

async fn row(connection: &mut SqliteConnection, lost: &Encoded) -> Result<bool, RegistryError> {
    let Encoded { task, metadata, sandbox, repository, outcome, .. } = lost;
    let kept = sqlx::query(
        "INSERT INTO tasks (id, name, request, status, owner, metadata, sandbox, repository,
             agent, outcome, retries, created_at, updated_at, started_at, finished_at, version)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(task.id.as_str())
    .bind(task.name.as_str())
    .bind(task.request.as_ref().map(ToString::to_string))
    .bind(task.status.as_str())
    .bind(task.owner.as_str())
    .bind(metadata)
    .bind(sandbox)
    .bind(repository)
    .bind(task.agent.as_ref().map(|agent| agent.as_str().to_owned()))
    .bind(outcome)
    .bind(task.retries)
    .bind(task.created_at.as_micros())
    .bind(task.updated_at.as_micros())
    .bind(task.started_at.map(Timestamp::as_micros))
    .bind(task.finished_at.map(Timestamp::as_micros))
    .bind(count(task.version.max(1)))
    .execute(connection)
    .await
    .map_err(failed(WRITE))?;
    Ok(kept.rows_affected() == 1)
}
