//! The statements of the job queue.
//!
//! A job is taken up in a write transaction, so no two processes take the same one. What a worker
//! says about it later counts only under the token that it was given.

use std::time::Duration;

use armor_core::id::EventId;
use armor_core::job::{Claim, Job, JobCounts, JobId, JobState, NewJob, Priority};
use armor_core::time::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::RegistryError;
use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::count;

const READ: &str = "read the jobs";
const WRITE: &str = "note what became of a job";
/// Nothing is put off for longer than this: a job that is due later was put off before the clock
/// was set back, and is due now.
const HORIZON: Duration = Duration::from_hours(1);
const COLUMNS: &str = "id, kind, key, priority, payload, cause, created_at, status, due_at, owner,
    token, tries, strikes, error";

pub(super) async fn enqueue(
    connection: &mut SqliteConnection,
    jobs: &[NewJob],
    now: Timestamp,
) -> Result<(), RegistryError> {
    for job in jobs {
        sqlx::query(
            "INSERT INTO jobs (kind, key, priority, payload, cause, created_at, due_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (kind, cause) DO NOTHING",
        )
        .bind(job.kind)
        .bind(job.key.as_str())
        .bind(rank(job.priority))
        .bind(job.payload.to_string())
        .bind(job.cause.as_str())
        .bind(now.as_micros())
        .execute(&mut *connection)
        .await
        .map_err(failed("keep a job"))?;
    }
    Ok(())
}

/// Takes up the next job that is due.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    kinds: &[&str],
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Claim>, RegistryError> {
    let sql = format!(
        "UPDATE jobs SET status = 'running', owner = ?2, due_at = ?4, token = token + 1,
             tries = tries + 1, strikes = strikes + 1
         WHERE id = (
             SELECT id FROM jobs AS next
             WHERE status <> 'dead' AND NOT due_at BETWEEN ?3 + 1 AND ?5
                 AND kind IN (SELECT value FROM json_each(?1))
                 AND NOT EXISTS (
                     SELECT 1 FROM jobs AS earlier
                     WHERE earlier.key = next.key AND earlier.id < next.id
                         AND earlier.status <> 'dead')
             ORDER BY priority DESC, id LIMIT 1)
         RETURNING {COLUMNS}"
    );
    let taken = sqlx::query(AssertSqlSafe(sql))
        .bind(json!(kinds).to_string())
        .bind(owner)
        .bind(now.as_micros())
        .bind(until.as_micros())
        .bind(now.plus(HORIZON).as_micros())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("take up a job"))?;
    let Some(row) = taken else { return Ok(None) };
    let token: i64 = row.try_get(10).map_err(failed(READ))?;
    match job(&row) {
        Ok(job) => Ok(Some(Claim { job, token: token.cast_unsigned() })),
        Err(error) => {
            let id: i64 = row.try_get(0).map_err(failed(READ))?;
            let reason = armor_core::error::chain(&error);
            tracing::error!(job = id, reason, "a job that cannot be read is given up");
            give_up(connection, Held { id, token }, &reason).await.map(|_| None)
        }
    }
}

pub(super) async fn extend(
    connection: &mut SqliteConnection,
    held: Held,
    until: Timestamp,
) -> Result<bool, RegistryError> {
    let extended = sqlx::query(
        "UPDATE jobs SET due_at = ?3 WHERE id = ?1 AND token = ?2 AND status = 'running'",
    )
    .bind(held.id)
    .bind(held.token)
    .bind(until.as_micros())
    .execute(connection)
    .await
    .map_err(failed(WRITE))?;
    Ok(extended.rows_affected() == 1)
}

pub(super) async fn finish(
    connection: &mut SqliteConnection,
    held: Held,
) -> Result<bool, RegistryError> {
    let done = sqlx::query("DELETE FROM jobs WHERE id = ? AND token = ? AND status = 'running'")
        .bind(held.id)
        .bind(held.token)
        .execute(connection)
        .await
        .map_err(failed(WRITE))?;
    Ok(done.rows_affected() == 1)
}

/// The strike that a job was given when it was taken up, in case that its worker dies of it, is
/// taken back unless it earned it; so is the try, if it was left without a failure.
pub(super) async fn put_back(
    connection: &mut SqliteConnection,
    held: Held,
    due: Timestamp,
    error: Option<&str>,
    strike: bool,
) -> Result<bool, RegistryError> {
    let back = sqlx::query(
        "UPDATE jobs SET status = 'waiting', owner = NULL, due_at = ?3,
             error = coalesce(?4, error), strikes = strikes - NOT ?5,
             tries = tries - (?4 IS NULL)
         WHERE id = ?1 AND token = ?2 AND status = 'running'",
    )
    .bind(held.id)
    .bind(held.token)
    .bind(due.as_micros())
    .bind(error)
    .bind(strike)
    .execute(connection)
    .await
    .map_err(failed(WRITE))?;
    Ok(back.rows_affected() == 1)
}

pub(super) async fn give_up(
    connection: &mut SqliteConnection,
    held: Held,
    error: &str,
) -> Result<bool, RegistryError> {
    let given_up = sqlx::query(
        "UPDATE jobs SET status = 'dead', owner = NULL, error = ?3
         WHERE id = ?1 AND token = ?2 AND status = 'running'",
    )
    .bind(held.id)
    .bind(held.token)
    .bind(error)
    .execute(connection)
    .await
    .map_err(failed(WRITE))?;
    Ok(given_up.rows_affected() == 1)
}

/// Makes a job due at `now`, unless it runs; none when nothing changed.
pub(super) async fn retry(
    connection: &mut SqliteConnection,
    id: JobId,
    now: Timestamp,
) -> Result<Option<Job>, RegistryError> {
    let sql = format!(
        "UPDATE jobs SET status = 'waiting', due_at = ?2, strikes = 0
         WHERE id = ?1 AND status <> 'running' RETURNING {COLUMNS}"
    );
    let revived = sqlx::query(AssertSqlSafe(sql))
        .bind(count(id.0))
        .bind(now.as_micros())
        .fetch_optional(connection)
        .await
        .map_err(failed(WRITE))?;
    revived.as_ref().map(job).transpose()
}

/// Removes a job that is dead. False when it is not.
pub(super) async fn purge(
    connection: &mut SqliteConnection,
    id: JobId,
) -> Result<bool, RegistryError> {
    let purged = sqlx::query("DELETE FROM jobs WHERE id = ? AND status = 'dead'")
        .bind(count(id.0))
        .execute(connection)
        .await
        .map_err(failed(WRITE))?;
    Ok(purged.rows_affected() == 1)
}

pub(super) async fn next_due(
    readers: &Readers,
    kinds: &[&str],
    now: Timestamp,
) -> Result<Option<Timestamp>, RegistryError> {
    // Who waits behind an earlier job of its key is due when that one is done.
    let due = sqlx::query(
        "SELECT min(iif(due_at > ?2, 0, due_at)) FROM jobs AS next
         WHERE status <> 'dead' AND kind IN (SELECT value FROM json_each(?1))
             AND NOT EXISTS (
                 SELECT 1 FROM jobs AS earlier
                 WHERE earlier.key = next.key AND earlier.id < next.id
                     AND earlier.status <> 'dead')",
    )
    .bind(json!(kinds).to_string())
    .bind(now.plus(HORIZON).as_micros());
    let due: Option<i64> = readers.one(READ, due).await?.try_get(0).map_err(failed(READ))?;
    Ok(due.map(Timestamp::from_micros))
}

pub(super) async fn first_of(readers: &Readers, key: &str) -> Result<Option<Job>, RegistryError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE key = ? AND status <> 'dead' ORDER BY id LIMIT 1"
    );
    let first = sqlx::query(AssertSqlSafe(sql)).bind(key);
    readers.optional(READ, first).await?.as_ref().map(job).transpose()
}

pub(super) async fn list(readers: &Readers, limit: u32) -> Result<Vec<Job>, RegistryError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs ORDER BY id LIMIT ?");
    let found = readers.all(READ, sqlx::query(AssertSqlSafe(sql)).bind(limit)).await?;
    Ok(found.iter().filter_map(|row| job(row).inspect_err(passed_over).ok()).collect())
}

fn passed_over(error: &RegistryError) {
    let reason = armor_core::error::chain(error);
    tracing::error!(reason, "a job that cannot be read is left out");
}

pub(super) async fn counts(readers: &Readers) -> Result<JobCounts, RegistryError> {
    let counts = sqlx::query(
        "SELECT count(*) FILTER (WHERE status = 'waiting'),
             count(*) FILTER (WHERE status = 'running'),
             count(*) FILTER (WHERE status = 'dead')
         FROM jobs",
    );
    let counts = readers.one(READ, counts).await?;
    let count = |column: usize| counts.try_get(column).map(i64::cast_unsigned);
    let count = |column| count(column).map_err(failed(READ));
    Ok(JobCounts { waiting: count(0)?, running: count(1)?, dead: count(2)? })
}

pub(super) async fn get(readers: &Readers, id: JobId) -> Result<Option<Job>, RegistryError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?");
    let one = sqlx::query(AssertSqlSafe(sql)).bind(count(id.0));
    readers.optional(READ, one).await?.as_ref().map(job).transpose()
}

/// What a worker holds, as the table knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    id: i64,
    token: i64,
}

impl From<&Claim> for Held {
    fn from(claim: &Claim) -> Self {
        Self { id: count(claim.job.id.0), token: count(claim.token) }
    }
}

const fn rank(priority: Priority) -> i64 {
    match priority {
        Priority::Low => -1,
        Priority::Normal => 0,
        Priority::High => 1,
    }
}

fn job(row: &SqliteRow) -> Result<Job, RegistryError> {
    let read = || -> Result<Job, Box<dyn std::error::Error + Send + Sync>> {
        let due = Timestamp::from_micros(row.try_get(8)?);
        let priority: i64 = row.try_get(3)?;
        let priority = Priority::ALL.into_iter().find(|known| rank(*known) == priority);
        let state = match row.try_get(7)? {
            "waiting" => JobState::Waiting { due },
            "running" => JobState::Running { owner: row.try_get(9)?, until: due },
            _ => JobState::Dead,
        };
        let payload: &str = row.try_get(4)?;
        Ok(Job {
            id: JobId(row.try_get::<i64, _>(0)?.try_into()?),
            kind: row.try_get(1)?,
            key: row.try_get(2)?,
            priority: priority.ok_or("there is no such priority")?,
            payload: serde_json::from_str::<Value>(payload)?,
            cause: EventId::parse(row.try_get::<String, _>(5)?)?,
            created_at: Timestamp::from_micros(row.try_get(6)?),
            state,
            tries: row.try_get(11)?,
            strikes: row.try_get(12)?,
            error: row.try_get(13)?,
        })
    };
    read().map_err(|error| corrupt(READ, error))
}
