//! The statements of the event log.

use std::collections::HashMap;

use armor_core::event::{Event, EventPayload, PAYLOAD_VERSION, Seq};
use armor_core::id::{IdSource, TaskId};
use armor_core::time::Timestamp;
use serde_json::json;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::sqlite::rows::{self, EVENT_COLUMNS, count};
use crate::sqlite::{corrupt, failed};
use crate::{EventQuery, RegistryError};

const READ: &str = "read the event log";
const APPEND: &str = "append to the event log";

/// Appends facts in the order given and says where the log ends then.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    facts: &[(&TaskId, &EventPayload)],
    at: Timestamp,
    ids: &dyn IdSource,
) -> Result<Seq, RegistryError> {
    let mut places: HashMap<&TaskId, u64> = HashMap::new();
    let set: Vec<_> = facts
        .iter()
        .map(|(task, payload)| {
            // The how-manieth of its task in this set: added to what the log has of the task.
            let place = places.entry(task).or_default();
            *place += 1;
            json!([ids.event_id(at), task, place, payload.name(), payload.data().to_string()])
        })
        .collect();
    // SQLite evaluates the whole SELECT before it inserts, because it reads the table written to.
    let seqs: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO events (id, task_id, task_seq, at, name, payload_version, payload)
         SELECT value ->> 0,
                value ->> 1,
                (value ->> 2) + coalesce(
                    (SELECT max(task_seq) FROM events WHERE task_id = value ->> 1), 0),
                ?2, value ->> 3, ?3, value ->> 4
         FROM json_each(?1) ORDER BY key
         RETURNING seq",
    )
    .bind(json!(set).to_string())
    .bind(at.as_micros())
    .bind(PAYLOAD_VERSION)
    .fetch_all(connection)
    .await
    .map_err(failed(APPEND))?;
    seq(seqs.into_iter().max().unwrap_or(0))
}

pub(super) async fn read_after(
    pool: &SqlitePool,
    after: Seq,
    limit: u32,
) -> Result<Vec<Event>, RegistryError> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?");
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(count(after.0))
        .bind(limit)
        .fetch_all(pool)
        .await
        .map_err(failed(READ))?;
    found.iter().map(rows::event).collect()
}

pub(super) async fn of_task(
    pool: &SqlitePool,
    task: &TaskId,
    query: &EventQuery,
) -> Result<Vec<Event>, RegistryError> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM events WHERE task_id = ? AND task_seq > ?
         ORDER BY task_seq LIMIT ?"
    );
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(task.as_str())
        .bind(count(query.after))
        // A negative limit is none.
        .bind(query.limit.map_or(-1, i64::from))
        .fetch_all(pool)
        .await
        .map_err(failed(READ))?;
    found.iter().map(rows::event).collect()
}

pub(super) async fn head(pool: &SqlitePool) -> Result<Seq, RegistryError> {
    let head: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM events")
        .fetch_one(pool)
        .await
        .map_err(failed(READ))?;
    seq(head.unwrap_or(0))
}

pub(super) async fn cursor(pool: &SqlitePool, consumer: &str) -> Result<Seq, RegistryError> {
    let cursor: Option<i64> = sqlx::query_scalar("SELECT seq FROM cursors WHERE consumer = ?")
        .bind(consumer)
        .fetch_optional(pool)
        .await
        .map_err(failed("read a cursor"))?;
    seq(cursor.unwrap_or(0))
}

pub(super) async fn advance(
    pool: &SqlitePool,
    consumer: &str,
    to: Seq,
) -> Result<(), RegistryError> {
    sqlx::query(
        "INSERT INTO cursors (consumer, seq) VALUES (?, ?)
         ON CONFLICT (consumer) DO UPDATE SET seq = max(seq, excluded.seq)",
    )
    .bind(consumer)
    .bind(count(to.0))
    .execute(pool)
    .await
    .map_err(failed("keep a cursor"))?;
    Ok(())
}

fn seq(number: i64) -> Result<Seq, RegistryError> {
    number.try_into().map(Seq).map_err(|error| corrupt(READ, error))
}
