//! Reading executions, and the facts of their beginnings and ends.

use armor_core::event::{EventPayload, ExecutionEvent};
use armor_core::execution::{Execution, ExecutionEnd};
use armor_core::id::{ExecutionId, TaskId};
use sqlx::AssertSqlSafe;

use crate::RegistryError;
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::{self, EXECUTION_COLUMNS};

const READ: &str = "read the executions";

/// The fact that an execution began.
pub(super) fn started(execution: &Execution, env: &[String]) -> EventPayload {
    ExecutionEvent::Started {
        execution: execution.id.clone(),
        agent: execution.agent.clone(),
        command: execution.command.clone(),
        cwd: execution.cwd.clone(),
        env: env.to_vec(),
    }
    .into()
}

/// The fact that an execution ended.
pub(super) fn finished(execution: &Execution, end: &ExecutionEnd) -> EventPayload {
    let duration = end.at.since(execution.started_at).as_millis();
    ExecutionEvent::Finished {
        execution: execution.id.clone(),
        status: end.status,
        exit_code: end.exit_code,
        duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
        stdout_bytes: end.stdout_bytes,
        stderr_bytes: end.stderr_bytes,
        usage: end.usage,
    }
    .into()
}

pub(super) async fn get(
    readers: &Readers,
    task: &TaskId,
    execution: &ExecutionId,
) -> Result<Execution, RegistryError> {
    let sql = format!("SELECT {EXECUTION_COLUMNS} FROM executions WHERE id = ? AND task_id = ?");
    let one = sqlx::query(AssertSqlSafe(sql)).bind(execution.as_str()).bind(task.as_str());
    match readers.optional(READ, one).await? {
        Some(row) => rows::execution(&row),
        None => {
            Err(RegistryError::NoSuchExecution { task: task.clone(), execution: execution.clone() })
        }
    }
}

pub(super) async fn newest(
    readers: &Readers,
    task: &TaskId,
    limit: u32,
) -> Result<Vec<Execution>, RegistryError> {
    let sql = format!(
        "SELECT {EXECUTION_COLUMNS} FROM executions WHERE task_id = ? ORDER BY id DESC LIMIT ?"
    );
    let newest = sqlx::query(AssertSqlSafe(sql)).bind(task.as_str()).bind(limit);
    readers.all(READ, newest).await?.iter().map(rows::execution).collect()
}

pub(super) async fn running(readers: &Readers) -> Result<Vec<Execution>, RegistryError> {
    // The sign keeps SQLite from reading all of them in the order of their ids.
    let sql =
        format!("SELECT {EXECUTION_COLUMNS} FROM executions WHERE status = 'running' ORDER BY +id");
    let running = sqlx::query(AssertSqlSafe(sql));
    readers.all(READ, running).await?.iter().map(rows::execution).collect()
}
