//! Reading tasks.

use std::collections::BTreeMap;

use armor_core::id::TaskId;
use armor_core::task::Task;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::sqlite::failure::failed;
use crate::sqlite::rows::{self, TASK_COLUMNS, count};
use crate::{RegistryError, Statistics};

const READ: &str = "read the tasks";
/// How many candidates an ambiguous reference lists.
const CANDIDATES: usize = 8;

fn not_found(reference: &str) -> RegistryError {
    RegistryError::NotFound { reference: reference.to_owned() }
}

pub(super) async fn get(pool: &SqlitePool, task: &TaskId) -> Result<Task, RegistryError> {
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(task.as_str())
        .fetch_optional(pool)
        .await
        .map_err(failed(READ))?;
    rows::task(&row.ok_or_else(|| not_found(task.as_str()))?)
}

pub(super) async fn resolve(pool: &SqlitePool, reference: &str) -> Result<Task, RegistryError> {
    // `~` comes after every character that an id may have.
    let sql = format!(
        "SELECT * FROM (
             SELECT {TASK_COLUMNS} FROM tasks WHERE id >= ?1 AND id < ?1 || '~' AND ?1 <> ''
             ORDER BY id LIMIT ?2)
         UNION SELECT * FROM (
             SELECT {TASK_COLUMNS} FROM tasks WHERE name = ?1 ORDER BY created_at LIMIT ?2)
         ORDER BY id LIMIT ?2"
    );
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(reference)
        .bind(count(CANDIDATES as u64))
        .fetch_all(pool)
        .await
        .map_err(failed(READ))?;
    let mut found = found.iter().map(rows::task).collect::<Result<Vec<_>, _>>()?;
    if let Some(exact) = found.iter().position(|task| task.id.as_str() == reference) {
        return Ok(found.swap_remove(exact));
    }
    match found.len() {
        0 => Err(not_found(reference)),
        1 => Ok(found.swap_remove(0)),
        _ => Err(RegistryError::Ambiguous {
            reference: reference.to_owned(),
            candidates: found.into_iter().map(|task| (task.id, task.name.into())).collect(),
        }),
    }
}

pub(super) async fn statistics(pool: &SqlitePool) -> Result<Statistics, RegistryError> {
    // One read transaction, so that the numbers fit each other.
    let mut snapshot = pool.begin().await.map_err(failed(READ))?;
    let by_status = counts(&mut snapshot, "SELECT status, count(*) FROM tasks GROUP BY 1").await?;
    let by_owner = counts(&mut snapshot, "SELECT owner, count(*) FROM tasks GROUP BY 1").await?;
    let row = sqlx::query(
        "SELECT coalesce(sum(retries), 0),
                CAST(avg(finished_at - started_at) / 1000 AS INTEGER),
                max(finished_at - started_at) / 1000
         FROM tasks",
    )
    .fetch_one(&mut *snapshot)
    .await
    .map_err(failed(READ))?;
    let column = |index: usize| -> Result<Option<u64>, RegistryError> {
        let number: Option<i64> = row.try_get(index).map_err(failed(READ))?;
        Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
    };
    Ok(Statistics {
        total: by_status.values().sum(),
        by_status,
        by_owner,
        retries: column(0)?.unwrap_or(0),
        mean_duration_ms: column(1)?,
        max_duration_ms: column(2)?,
    })
}

async fn counts(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<BTreeMap<String, u64>, RegistryError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as(sql).fetch_all(connection).await.map_err(failed(READ))?;
    Ok(rows.into_iter().map(|(key, n)| (key, u64::try_from(n).unwrap_or(0))).collect())
}
