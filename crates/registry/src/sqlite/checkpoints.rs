//! Checkpoints as rows: what is known of each. Their files are the checkpoint store's.

use armor_core::checkpoint::{Checkpoint, Forgotten, ForkedFrom};
use armor_core::event::{CheckpointEvent, EventPayload};
use armor_core::id::{CheckpointId, TaskId};
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::failure::failed;
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::{self, CHECKPOINT_COLUMNS, count};

const WRITE: &str = "write a checkpoint";

/// The fact that one was taken.
pub(super) fn taken(checkpoint: &Checkpoint) -> EventPayload {
    CheckpointEvent::Taken {
        checkpoint: checkpoint.id.clone(),
        name: checkpoint.name.clone(),
        cause: checkpoint.cause,
        files: checkpoint.files,
        bytes: checkpoint.bytes,
        bytes_added: checkpoint.bytes_added,
        left_out: checkpoint.left_out,
        pinned: checkpoint.pinned,
    }
    .into()
}

/// The fact that one was pinned, or is no longer.
pub(super) fn pinned(checkpoint: &CheckpointId, pinned: bool) -> EventPayload {
    let checkpoint = checkpoint.clone();
    if pinned {
        CheckpointEvent::Pinned { checkpoint }.into()
    } else {
        CheckpointEvent::Unpinned { checkpoint }.into()
    }
}

pub(super) async fn list(
    readers: &Readers,
    task: Option<&TaskId>,
) -> Result<Vec<Checkpoint>, RegistryError> {
    let of = if task.is_some() { "WHERE task_id = ?" } else { "" };
    let sql = format!("SELECT {CHECKPOINT_COLUMNS} FROM checkpoints {of} ORDER BY created_at, id");
    let mut all = sqlx::query(AssertSqlSafe(sql));
    if let Some(task) = task {
        all = all.bind(task.as_str());
    }
    readers.all("read the checkpoints", all).await?.iter().map(rows::checkpoint).collect()
}

pub(super) async fn add(
    connection: &mut SqliteConnection,
    checkpoint: &Checkpoint,
) -> Result<(), RegistryError> {
    let Checkpoint { id, task, name, cause, parent, created_at, files, bytes, bytes_added, .. } =
        checkpoint;
    let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM tasks WHERE id = ?")
        .bind(task.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed(WRITE))?;
    if there.is_none() {
        return Err(RegistryError::NotFound { reference: task.to_string() });
    }
    if let Some(name) = name {
        let taken: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM checkpoints WHERE task_id = ? AND name = ?")
                .bind(task.as_str())
                .bind(name.as_str())
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed(WRITE))?;
        if taken.is_some() {
            let (task, name) = (task.clone(), name.clone());
            return Err(RegistryError::CheckpointNameTaken { task, name });
        }
    }
    let sql = format!(
        "INSERT INTO checkpoints ({CHECKPOINT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let added = sqlx::query(AssertSqlSafe(sql))
        .bind(id.as_str())
        .bind(task.as_str())
        .bind(name.as_ref().map(|name| name.as_str().to_owned()))
        .bind(cause.as_str())
        .bind(parent.as_ref().map(|parent| parent.as_str().to_owned()))
        .bind(created_at.as_micros())
        .bind(count(*files))
        .bind(count(*bytes))
        .bind(count(*bytes_added))
        .bind(count(checkpoint.left_out))
        .bind(checkpoint.pinned)
        .execute(connection)
        .await;
    added.map(drop).map_err(failed(WRITE))
}

pub(super) async fn pin(
    connection: &mut SqliteConnection,
    task: &TaskId,
    id: &CheckpointId,
    pinned: bool,
) -> Result<bool, RegistryError> {
    let pinning = sqlx::query(
        "UPDATE checkpoints SET pinned = ?3 WHERE task_id = ?1 AND id = ?2 AND pinned <> ?3",
    )
    .bind(task.as_str())
    .bind(id.as_str())
    .bind(pinned)
    .execute(&mut *connection)
    .await
    .map_err(failed(WRITE))?;
    if pinning.rows_affected() == 1 {
        return Ok(true);
    }
    let there: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM checkpoints WHERE task_id = ? AND id = ?")
            .bind(task.as_str())
            .bind(id.as_str())
            .fetch_optional(connection)
            .await
            .map_err(failed(WRITE))?;
    match there {
        Some(_) => Ok(false),
        None => {
            Err(RegistryError::NoSuchCheckpoint { task: task.clone(), reference: id.to_string() })
        }
    }
}

pub(super) async fn forget(
    connection: &mut SqliteConnection,
    task: &TaskId,
    id: &CheckpointId,
    cause: Forgotten,
) -> Result<bool, RegistryError> {
    let unless_held = match cause {
        Forgotten::Retention | Forgotten::Size => {
            " AND pinned = 0 AND name IS NULL AND NOT EXISTS (
                 SELECT 1 FROM tasks WHERE status = 'pending'
                     AND sandbox ->> '$.forked_from.checkpoint' = checkpoints.id)"
        }
        Forgotten::Asked | Forgotten::Lost => "",
    };
    let sql = format!("DELETE FROM checkpoints WHERE task_id = ? AND id = ?{unless_held}");
    let forgetting = sqlx::query(AssertSqlSafe(sql))
        .bind(task.as_str())
        .bind(id.as_str())
        .execute(connection)
        .await
        .map_err(failed(WRITE))?;
    Ok(forgetting.rows_affected() == 1)
}

/// The forks that nobody has begun to work in, and what their files are made from.
pub(super) async fn forks_to_come(
    readers: &Readers,
) -> Result<Vec<(TaskId, ForkedFrom)>, RegistryError> {
    let all = sqlx::query(
        "SELECT id, sandbox ->> '$.forked_from' FROM tasks
         WHERE status = 'pending' AND sandbox ->> '$.forked_from' IS NOT NULL ORDER BY id",
    );
    let found = readers.all("read the forks", all).await?;
    found.iter().map(rows::fork).collect()
}
