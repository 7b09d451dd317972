//! Reading tasks.

use armor_core::id::TaskId;
use armor_core::task::Task;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use crate::sqlite::failure::failed;
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::{self, TASK_COLUMNS, count};
use crate::{RegistryError, Statistics};

const READ: &str = "read the tasks";
/// How many candidates an ambiguous reference lists.
const CANDIDATES: usize = 8;

fn not_found(reference: &str) -> RegistryError {
    RegistryError::NotFound { reference: reference.to_owned() }
}

pub(super) async fn get(readers: &Readers, task: &TaskId) -> Result<Task, RegistryError> {
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?");
    let row = readers.optional(READ, sqlx::query(AssertSqlSafe(sql)).bind(task.as_str())).await?;
    rows::task(&row.ok_or_else(|| not_found(task.as_str()))?)
}

pub(super) async fn resolve(readers: &Readers, reference: &str) -> Result<Task, RegistryError> {
    // `~` comes after every character that an id may have.
    let sql = format!(
        "SELECT * FROM (
             SELECT {TASK_COLUMNS} FROM tasks WHERE id >= ?1 AND id < ?1 || '~' AND ?1 <> ''
             ORDER BY id LIMIT ?2)
         UNION SELECT * FROM (
             SELECT {TASK_COLUMNS} FROM tasks WHERE name = ?1 ORDER BY created_at LIMIT ?2)
         ORDER BY id LIMIT ?2"
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(reference).bind(count(CANDIDATES as u64));
    let found = readers.all(READ, found).await?;
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

pub(super) async fn statistics(readers: &Readers) -> Result<Statistics, RegistryError> {
    // One statement, so that the numbers fit each other.
    let counts = sqlx::query(
        "SELECT status, NULL, count(*), NULL, NULL FROM tasks GROUP BY status
         UNION ALL SELECT NULL, owner, count(*), NULL, NULL FROM tasks GROUP BY owner
         UNION ALL SELECT NULL, NULL, coalesce(sum(retries), 0),
             CAST(avg(finished_at - started_at) / 1000 AS INTEGER),
             max(finished_at - started_at) / 1000
         FROM tasks",
    );
    let mut statistics = Statistics::default();
    for row in readers.all(READ, counts).await? {
        add_to(&mut statistics, &row).map_err(failed(READ))?;
    }
    statistics.total = statistics.by_status.values().sum();
    Ok(statistics)
}

/// Adds a row: of a status, of an owner, or of all tasks.
fn add_to(statistics: &mut Statistics, row: &SqliteRow) -> sqlx::Result<()> {
    // A clock that was put back makes a duration negative.
    let number = |column: usize| -> sqlx::Result<Option<u64>> {
        let number: Option<i64> = row.try_get(column)?;
        Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
    };
    let counted = number(2)?.unwrap_or(0);
    match (row.try_get(0)?, row.try_get(1)?) {
        (Some(status), _) => statistics.by_status.extend([(status, counted)]),
        (None, Some(owner)) => statistics.by_owner.extend([(owner, counted)]),
        (None, None) => {
            statistics.retries = counted;
            statistics.mean_duration_ms = number(3)?;
            statistics.max_duration_ms = number(4)?;
        }
    }
    Ok(())
}
