//! Reading the event log, and the cursors of those who follow it.

use armor_core::event::{DamagedEvent, Event, Seq, Stored};
use armor_core::id::TaskId;
use armor_core::time::Timestamp;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::sqlite::failure::{corrupt, failed};
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::{self, EVENT_COLUMNS, count};
use crate::{EventQuery, RegistryError};

const READ: &str = "read the event log";

pub(super) async fn read_after(
    readers: &Readers,
    after: Seq,
    limit: u32,
    of: Option<&TaskId>,
) -> Result<Vec<Stored>, RegistryError> {
    read(readers, "seq > ?1", "ASC", (after, limit, of)).await
}

pub(super) async fn read_before(
    readers: &Readers,
    before: Seq,
    limit: u32,
    of: Option<&TaskId>,
) -> Result<Vec<Stored>, RegistryError> {
    read(readers, "seq < ?1", "DESC", (before, limit, of)).await
}

async fn read(
    readers: &Readers,
    place: &str,
    direction: &str,
    (from, limit, of): (Seq, u32, Option<&TaskId>),
) -> Result<Vec<Stored>, RegistryError> {
    // Events of a task come in the order of the log, and by that index they are found.
    let (filter, order) = match of {
        Some(_) => ("AND task_id = ?3", "task_seq"),
        None => ("", "seq"),
    };
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM events WHERE {place} {filter}
         ORDER BY {order} {direction} LIMIT ?2"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(count(from.0)).bind(limit);
    if let Some(task) = of {
        query = query.bind(task.as_str());
    }
    readers.all(READ, query).await?.iter().map(stored).collect()
}

/// A row of the log; one that is damaged is told by its number.
fn stored(row: &SqliteRow) -> Result<Stored, RegistryError> {
    let event = rows::event(row);
    let seq = seq(row.try_get(0).map_err(failed(READ))?)?;
    Ok(event.map_err(|error| DamagedEvent { seq, reason: armor_core::error::chain(&error) }))
}

pub(super) async fn before(readers: &Readers, at: Timestamp) -> Result<Seq, RegistryError> {
    // The time may go back from one event to the next: a clock is put right, or one process waits
    // for another behind reading its own.
    let first = sqlx::query("SELECT min(seq) FROM events INDEXED BY events_by_time WHERE at >= ?");
    let first = readers.one(READ, first.bind(at.as_micros())).await?;
    match first.try_get::<Option<i64>, _>(0).map_err(failed(READ))? {
        Some(first) => seq(first).map(|first| Seq(first.0.saturating_sub(1))),
        None => head(readers).await,
    }
}

pub(super) async fn of_task(
    readers: &Readers,
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
        .bind(query.limit.map_or(-1, i64::from));
    readers.all(READ, found).await?.iter().map(rows::event).collect()
}

pub(super) async fn of_the_home(
    readers: &Readers,
    names: &[&str],
) -> Result<Vec<Event>, RegistryError> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM events
         WHERE task_id IS NULL AND name IN (SELECT value FROM json_each(?)) ORDER BY seq"
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(Value::from(names.to_vec()).to_string());
    let found = readers.all(READ, found).await?;
    let stored: Result<Vec<_>, _> = found.iter().map(stored).collect();
    let whole = stored?.into_iter().filter_map(|event| {
        event.inspect_err(|damaged| tracing::warn!(%damaged, "an event is left out")).ok()
    });
    Ok(whole.collect())
}

pub(super) async fn head(readers: &Readers) -> Result<Seq, RegistryError> {
    let head = readers.one(READ, sqlx::query("SELECT max(seq) FROM events")).await?;
    let head: Option<i64> = head.try_get(0).map_err(failed(READ))?;
    seq(head.unwrap_or(0))
}

pub(super) async fn cursor(readers: &Readers, consumer: &str) -> Result<Seq, RegistryError> {
    const ACTION: &str = "read a cursor";
    let cursor = sqlx::query("SELECT seq FROM cursors WHERE consumer = ?").bind(consumer);
    match readers.optional(ACTION, cursor).await? {
        Some(row) => seq(row.try_get(0).map_err(failed(ACTION))?),
        None => Ok(Seq::START),
    }
}

pub(super) async fn begin(
    connection: &mut SqliteConnection,
    consumer: &str,
    at: Seq,
) -> Result<(), RegistryError> {
    sqlx::query("INSERT INTO cursors (consumer, seq) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(consumer)
        .bind(count(at.0))
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed("keep a cursor"))
}

pub(super) async fn advance(
    connection: &mut SqliteConnection,
    cursors: &[(&str, Seq)],
) -> Result<(), RegistryError> {
    for (consumer, to) in cursors {
        sqlx::query(
            "INSERT INTO cursors (consumer, seq) VALUES (?, ?)
             ON CONFLICT (consumer) DO UPDATE SET seq = max(seq, excluded.seq)",
        )
        .bind(consumer)
        .bind(count(to.0))
        .execute(&mut *connection)
        .await
        .map_err(failed("keep a cursor"))?;
    }
    Ok(())
}

fn seq(number: i64) -> Result<Seq, RegistryError> {
    number.try_into().map(Seq).map_err(|error| corrupt(READ, error))
}
