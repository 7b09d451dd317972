//! The statements of the tasks.

use std::collections::{BTreeMap, HashSet};

use armor_core::id::TaskId;
use armor_core::task::{Change, Task};
use serde_json::{Value, json};
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::sqlite::failed;
use crate::sqlite::rows::{self, TASK_COLUMNS, count};
use crate::{Order, Page, RegistryError, Statistics, TaskQuery};

const READ: &str = "read the tasks";
/// How many candidates an ambiguous reference lists.
const CANDIDATES: usize = 8;

/// A task as a row of the JSON sets below; texts that are JSON themselves stay texts.
fn as_row(task: &Task) -> Value {
    let text = |value: Value| {
        if value.is_null() { value } else { value.to_string().into() }
    };
    json!({
        "id": task.id,
        "name": task.name,
        "status": task.status,
        "owner": task.owner,
        "metadata": text(json!(task.metadata)),
        "sandbox": text(json!(task.sandbox)),
        "repository": text(json!(task.repository)),
        "agent": task.agent,
        "outcome": text(json!(task.outcome)),
        "retries": task.retries,
        "created_at": task.created_at.as_micros(),
        "updated_at": task.updated_at.as_micros(),
        "started_at": task.started_at.map(armor_core::time::Timestamp::as_micros),
        "finished_at": task.finished_at.map(armor_core::time::Timestamp::as_micros),
        "version": task.version,
    })
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    tasks: &[Task],
) -> Result<(), RegistryError> {
    let set: Vec<_> = tasks.iter().map(as_row).collect();
    sqlx::query(
        "INSERT INTO tasks (id, name, status, owner, metadata, sandbox, repository, agent,
             outcome, retries, created_at, updated_at, started_at, finished_at, version)
         SELECT value ->> 'id', value ->> 'name', value ->> 'status', value ->> 'owner',
             value ->> 'metadata', value ->> 'sandbox', value ->> 'repository',
             value ->> 'agent', value ->> 'outcome', value ->> 'retries',
             value ->> 'created_at', value ->> 'updated_at', value ->> 'started_at',
             value ->> 'finished_at', value ->> 'version'
         FROM json_each(?) ORDER BY key",
    )
    .bind(json!(set).to_string())
    .execute(connection)
    .await
    .map_err(failed("keep the new task"))?;
    Ok(())
}

pub(super) async fn update(
    connection: &mut SqliteConnection,
    changes: &[Change],
) -> Result<(), RegistryError> {
    let set: Vec<_> = changes
        .iter()
        .map(|change| {
            let mut row = as_row(&change.after);
            row["expected"] = json!(change.expected);
            row
        })
        .collect();
    let done: HashSet<String> = sqlx::query_scalar(
        "UPDATE tasks SET
             name = value ->> 'name', status = value ->> 'status', owner = value ->> 'owner',
             metadata = value ->> 'metadata', sandbox = value ->> 'sandbox',
             repository = value ->> 'repository', agent = value ->> 'agent',
             outcome = value ->> 'outcome', retries = value ->> 'retries',
             updated_at = value ->> 'updated_at', started_at = value ->> 'started_at',
             finished_at = value ->> 'finished_at', version = value ->> 'version'
         FROM json_each(?)
         WHERE tasks.id = value ->> 'id' AND tasks.version = value ->> 'expected'
         RETURNING tasks.id",
    )
    .bind(json!(set).to_string())
    .fetch_all(&mut *connection)
    .await
    .map_err(failed("keep the task's change"))?
    .into_iter()
    .collect();
    match changes.iter().find(|change| !done.contains(change.after.id.as_str())) {
        None if done.len() == changes.len() => Ok(()),
        None => Err(RegistryError::Failed {
            action: "keep the changes",
            source: "one task occurs twice among them".into(),
        }),
        Some(change) => Err(refusal(connection, &change.after.id, change.expected).await),
    }
}

pub(super) async fn delete(
    connection: &mut SqliteConnection,
    task: &TaskId,
    expected: u64,
) -> Result<(), RegistryError> {
    let done = sqlx::query("DELETE FROM tasks WHERE id = ? AND version = ?")
        .bind(task.as_str())
        .bind(count(expected))
        .execute(&mut *connection)
        .await
        .map_err(failed("delete the task"))?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(refusal(connection, task, expected).await)
}

/// Says why a task was not found at the version `expected`: it is gone, or at another one.
async fn refusal(connection: &mut SqliteConnection, task: &TaskId, expected: u64) -> RegistryError {
    let actual: Result<Option<i64>, _> =
        sqlx::query_scalar("SELECT version FROM tasks WHERE id = ?")
            .bind(task.as_str())
            .fetch_optional(connection)
            .await;
    match actual {
        Ok(Some(actual)) => {
            RegistryError::Conflict { task: task.clone(), expected, actual: actual.cast_unsigned() }
        }
        Ok(None) => not_found(task.as_str()),
        Err(error) => failed(READ)(error),
    }
}

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
        "SELECT {TASK_COLUMNS} FROM tasks WHERE id >= ?1 AND id < ?1 || '~' AND ?1 <> ''
         UNION SELECT {TASK_COLUMNS} FROM tasks WHERE name = ?1
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

pub(super) async fn list(
    pool: &SqlitePool,
    query: &TaskQuery,
) -> Result<Page<Task>, RegistryError> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
    sql.push(TASK_COLUMNS).push(" FROM tasks WHERE TRUE");
    if let Some(status) = query.status {
        sql.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(owner) = &query.owner {
        sql.push(" AND owner = ").push_bind(owner.as_str());
    }
    if let Some(name) = &query.name {
        sql.push(" AND name = ").push_bind(name.as_str());
    }
    if let Some((key, value)) = &query.label {
        // Not `metadata ->> key`, because a key with a quote in it breaks the path.
        sql.push(" AND EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ");
        sql.push_bind(key.as_str()).push(" AND value = ").push_bind(value.as_str()).push(")");
    }
    if let Some(from) = query.created_from {
        sql.push(" AND created_at >= ").push_bind(from.as_micros());
    }
    if let Some(to) = query.created_to {
        sql.push(" AND created_at < ").push_bind(to.as_micros());
    }
    let (behind, order) = match query.order {
        Order::NewestFirst => (" AND id < ", " ORDER BY id DESC LIMIT "),
        Order::OldestFirst => (" AND id > ", " ORDER BY id ASC LIMIT "),
    };
    if let Some(after) = &query.after {
        sql.push(behind).push_bind(after.as_str());
    }
    // One more than asked for tells whether there is a next page.
    sql.push(order).push_bind(i64::from(query.limit) + 1);

    let found = sql.build().fetch_all(pool).await.map_err(failed(READ))?;
    let mut items = found.iter().map(rows::task).collect::<Result<Vec<_>, _>>()?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let next = if items.len() > limit {
        items.truncate(limit);
        items.last().map(|task| task.id.clone())
    } else {
        None
    };
    Ok(Page { items, next })
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
