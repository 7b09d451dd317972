//! The statements that write rows, each on a set, and what binds a row of it.

use armor_core::execution::{Execution, ExecutionEnd, ExecutionStatus};
use armor_core::id::{ExecutionId, TaskId};
use armor_core::time::Timestamp;

use crate::RegistryError;
use crate::sqlite::rows::count;
use crate::sqlite::writer::encoded::{Changed, TaskRow, json};
use crate::sqlite::writer::values::{Script, SetStatement};

pub(super) const INSERT_TASKS: SetStatement = SetStatement {
    action: "keep the new task",
    head: "INSERT INTO tasks (id, name, request, status, owner, metadata, sandbox, repository,
               agent, outcome, retries, created_at, updated_at, started_at, finished_at, version)
           SELECT * FROM (VALUES ",
    columns: 16,
    tail: ") WHERE column1 IS NOT NULL",
};

pub(super) const UPDATE_TASKS: SetStatement = SetStatement {
    action: "keep the task's change",
    head: "WITH new (id, name, request, status, owner, metadata, sandbox, repository, agent,
               outcome, retries, created_at, updated_at, started_at, finished_at, version,
               expected) AS (VALUES ",
    columns: 17,
    tail: ") UPDATE tasks SET
               name = new.name, request = new.request, status = new.status, owner = new.owner,
               metadata = new.metadata, sandbox = new.sandbox, repository = new.repository,
               agent = new.agent, outcome = new.outcome, retries = new.retries,
               updated_at = new.updated_at, started_at = new.started_at,
               finished_at = new.finished_at, version = new.version
           FROM new WHERE tasks.id = new.id AND tasks.version = new.expected
           RETURNING id",
};

pub(super) const DELETE_TASKS: SetStatement = SetStatement {
    action: "delete the task",
    head: "WITH gone (id, expected) AS (VALUES ",
    columns: 2,
    tail: ") DELETE FROM tasks WHERE number IN
               (SELECT number FROM gone JOIN tasks USING (id) WHERE version = expected)
           RETURNING id",
};

pub(super) const BEGIN_EXECUTIONS: SetStatement = SetStatement {
    action: "keep the new execution",
    head: "INSERT INTO executions (id, task_id, agent, command, cwd, instance, started_at, status)
           SELECT * FROM (VALUES ",
    columns: 8,
    tail: ") WHERE column1 IS NOT NULL",
};

pub(super) const END_EXECUTIONS: SetStatement = SetStatement {
    action: "note the execution's end",
    head: "WITH new (id, status, exit_code, finished_at, stdout_bytes, stderr_bytes,
                         usage) AS (VALUES ",
    columns: 7,
    tail: ") UPDATE executions SET
               status = new.status, exit_code = new.exit_code, finished_at = new.finished_at,
               stdout_bytes = new.stdout_bytes, stderr_bytes = new.stderr_bytes,
               usage = new.usage
           FROM new WHERE executions.id = new.id AND executions.status = 'running'
           RETURNING id",
};

pub(super) fn bind_task(script: &mut Script<'_>, row: &TaskRow) -> Result<(), RegistryError> {
    let task = &row.task;
    script.bind(task.id.as_str())?;
    script.bind(task.name.as_str())?;
    script.bind(task.request.as_ref().map(armor_core::task::RequestText::as_str))?;
    script.bind(task.status.as_str())?;
    script.bind(task.owner.as_str())?;
    script.bind(row.metadata.as_str())?;
    script.bind(row.sandbox.as_str())?;
    script.bind(row.repository.as_deref())?;
    script.bind(task.agent.as_ref().map(armor_core::id::AgentId::as_str))?;
    script.bind(row.outcome.as_deref())?;
    script.bind(task.retries)?;
    script.bind(task.created_at.as_micros())?;
    script.bind(task.updated_at.as_micros())?;
    script.bind(task.started_at.map(Timestamp::as_micros))?;
    script.bind(task.finished_at.map(Timestamp::as_micros))?;
    script.bind(count(task.version))
}

pub(super) fn bind_begun(
    script: &mut Script<'_>,
    execution: &Execution,
) -> Result<(), RegistryError> {
    script.bind(execution.id.as_str())?;
    script.bind(execution.task.as_str())?;
    script.bind(execution.agent.as_str())?;
    script.bind(json(&execution.command)?)?;
    script.bind(execution.cwd.as_str())?;
    script.bind(execution.instance.as_str())?;
    script.bind(execution.started_at.as_micros())?;
    script.bind(ExecutionStatus::Running.as_str())
}

pub(super) fn bind_ended(
    script: &mut Script<'_>,
    execution: &ExecutionId,
    end: &ExecutionEnd,
) -> Result<(), RegistryError> {
    script.bind(execution.as_str())?;
    script.bind(end.status.as_str())?;
    script.bind(end.exit_code)?;
    script.bind(end.at.as_micros())?;
    script.bind(count(end.stdout_bytes))?;
    script.bind(count(end.stderr_bytes))?;
    script.bind(end.usage.as_ref().map(json).transpose()?)
}

pub(super) fn bind_changed(script: &mut Script<'_>, change: &Changed) -> Result<(), RegistryError> {
    bind_task(script, &change.row)?;
    script.bind(count(change.expected))
}

pub(super) fn bind_deleted(
    script: &mut Script<'_>,
    task: &TaskId,
    expected: u64,
) -> Result<(), RegistryError> {
    script.bind(task.as_str())?;
    script.bind(count(expected))
}
