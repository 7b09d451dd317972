//! What a user would write instead: rusqlite, one connection, prepared statements that are kept.
//!
//! A statement does what the registry's own does, but binds its columns one by one instead of
//! taking a set as JSON.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, params};

use super::sample::{EventRow, Sample, TaskRow};
use crate::Outcome;

/// The columns of a task that the baseline knows.
pub(super) const TASK_COLUMNS: &str =
    "id, name, status, owner, metadata, sandbox, repository, agent,
    outcome, retries, created_at, updated_at, started_at, finished_at, version";

/// A database with the registry's schema.
pub(super) struct Raw {
    connection: Connection,
}

impl Raw {
    /// Makes one at `path`, with the schema that `ours` has: whatever its migrations become.
    pub(super) fn open(path: &Path, ours: &Path) -> Outcome<Self> {
        let connection = open(path)?;
        let ours = Connection::open_with_flags(ours, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut schema = ours.prepare(
            "SELECT sql FROM sqlite_schema
             WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_sqlx_*'
                 AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')
             ORDER BY rowid",
        )?;
        for statement in schema.query_map([], |row| row.get::<_, String>(0))? {
            connection.execute_batch(&statement?)?;
        }
        Ok(Self { connection })
    }

    /// One that is there already.
    pub(super) const fn of(connection: Connection) -> Self {
        Self { connection }
    }

    pub(super) fn create(&mut self, task: &TaskRow, event: &EventRow) -> rusqlite::Result<()> {
        self.durably(event, |connection| insert_task(connection, task))
    }

    /// New tasks, all in one transaction.
    pub(super) fn bulk(&mut self, samples: &[Sample]) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for sample in samples {
            insert_task(connection, &sample.row)?;
            insert_event(connection, &sample.created)?;
        }
        connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    pub(super) fn get(&mut self, id: &str) -> rusqlite::Result<TaskRow> {
        self.connection
            .prepare_cached(&format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?"))?
            .query_row([id], task_row)
    }

    /// Brings a task to `task`, if it is still at the version before.
    pub(super) fn update(&mut self, task: &TaskRow, event: &EventRow) -> rusqlite::Result<()> {
        self.durably(event, |connection| {
            connection
                .prepare_cached(
                    "UPDATE tasks SET name = ?, status = ?, owner = ?, metadata = ?, sandbox = ?,
                         repository = ?, agent = ?, outcome = ?, retries = ?, updated_at = ?,
                         started_at = ?, finished_at = ?, version = ?
                     WHERE id = ? AND version = ?",
                )?
                .execute(params![
                    task.name,
                    task.status,
                    task.owner,
                    task.metadata,
                    task.sandbox,
                    task.repository,
                    task.agent,
                    task.outcome,
                    task.retries,
                    task.updated_at,
                    task.started_at,
                    task.finished_at,
                    task.version.cast_signed(),
                    task.id,
                    task.version.cast_signed() - 1,
                ])
        })
    }

    pub(super) fn delete(&mut self, task: &TaskRow, event: &EventRow) -> rusqlite::Result<()> {
        self.durably(event, |connection| {
            connection
                .prepare_cached("DELETE FROM tasks WHERE id = ? AND version = ?")?
                .execute(params![task.id, task.version.cast_signed()])
        })
    }

    /// One transaction: a change of one row, and its event.
    fn durably(
        &mut self,
        event: &EventRow,
        change: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let changed = change(connection)?;
        if changed != 1 {
            return Err(rusqlite::Error::StatementChangedRows(changed));
        }
        insert_event(connection, event)?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

/// Opens a database with the pragmas of the registry.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    Ok(connection)
}

fn insert_task(connection: &Connection, task: &TaskRow) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO tasks (id, name, status, owner, metadata, sandbox, repository, agent,
                 outcome, retries, created_at, updated_at, started_at, finished_at, version)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            task.id,
            task.name,
            task.status,
            task.owner,
            task.metadata,
            task.sandbox,
            task.repository,
            task.agent,
            task.outcome,
            task.retries,
            task.created_at,
            task.updated_at,
            task.started_at,
            task.finished_at,
            task.version.cast_signed(),
        ])
}

/// Gives the event's place in the log.
fn insert_event(connection: &Connection, event: &EventRow) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO events (id, task_id, task_seq, at, name, payload_version, payload)
             VALUES (?1, ?2,
                 1 + coalesce((SELECT max(task_seq) FROM events WHERE task_id = ?2), 0),
                 ?3, ?4, ?5, ?6)
             RETURNING seq",
        )?
        .query_row(
            params![
                event.id,
                event.task,
                event.at,
                event.name,
                event.payload_version,
                event.payload,
            ],
            |row| row.get(0),
        )
}

pub(super) fn task_row(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    Ok(TaskRow {
        id: row.get(0)?,
        name: row.get(1)?,
        status: row.get(2)?,
        owner: row.get(3)?,
        metadata: row.get(4)?,
        sandbox: row.get(5)?,
        repository: row.get(6)?,
        agent: row.get(7)?,
        outcome: row.get(8)?,
        retries: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
        started_at: row.get(12)?,
        finished_at: row.get(13)?,
        version: row.get::<_, i64>(14)?.cast_unsigned(),
    })
}
