//! The registry on SQLite: one connection that writes, several that read, in WAL mode.
//!
//! Every write is a `BEGIN IMMEDIATE` transaction on the one writing connection, so that two
//! callers of one process queue here and two processes queue at SQLite's lock, which is waited for.
//! Each statement works on a set, passed as JSON, so that one task costs as many statements as a
//! thousand.

mod events;
mod executions;
mod rows;
mod tasks;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use armor_core::event::{Event, EventLog, EventPayload, LogError, Seq};
use armor_core::execution::{Execution, ExecutionEnd};
use armor_core::file_lock::FileLock;
use armor_core::id::{ExecutionId, HomeId, IdSource, TaskId};
use armor_core::task::{Change, Task};
use armor_core::time::Clock;
use async_trait::async_trait;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};
use tokio::sync::watch;

use crate::error::BoxError;
use crate::{EventQuery, Page, Registry, RegistryError, Statistics, TaskQuery};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How long a writer of one process waits for those of others. Longer than any backup takes.
const BUSY_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections that read at one time.
const READERS: u32 = 8;

/// A registry in an SQLite file.
#[derive(Debug)]
pub struct SqliteRegistry {
    home: HomeId,
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    appended: watch::Sender<Seq>,
}

impl SqliteRegistry {
    /// Opens the database file, making it and bringing its schema up to date where needed.
    ///
    /// # Errors
    /// [`RegistryError::TooNew`] when a newer program wrote it; [`RegistryError::Corrupt`] when it
    /// is no database; [`RegistryError::Failed`] when it cannot be opened.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, RegistryError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);

        make_private(path).map_err(|error| RegistryError::Failed {
            action: "make the database's file",
            source: error.into(),
        })?;
        // Two processes that open a new home at the same time must not both make the tables.
        let lock = FileLock::hold(&path.with_extension("lock")).await.map_err(|error| {
            RegistryError::Failed { action: "lock the database for opening", source: error.into() }
        })?;
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options.clone().create_if_missing(true))
            .await
            .map_err(failed("open the database"))?;
        MIGRATIONS.run(&writer).await.map_err(|error| migration_failed(path, error))?;
        let home = ensure_home_id(&writer, clock.as_ref(), ids.as_ref()).await?;
        drop(lock);

        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options.read_only(true))
            .await
            .map_err(failed("open the database for reading"))?;
        let head = events::head(&readers).await?;
        let (appended, _) = watch::channel(head);
        Ok(Self { home, writer, readers, clock, ids, appended })
    }

    async fn begin(
        &self,
        action: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, RegistryError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(action))
    }

    /// Appends `facts`, commits, and tells who follows the log.
    async fn commit_with(
        &self,
        mut transaction: Transaction<'static, Sqlite>,
        facts: &[(&TaskId, &EventPayload)],
        action: &'static str,
    ) -> Result<(), RegistryError> {
        let now = self.clock.now();
        let head = events::append(&mut transaction, facts, now, self.ids.as_ref()).await?;
        transaction.commit().await.map_err(failed(action))?;
        self.appended.send_if_modified(|newest| {
            let risen = head > *newest;
            *newest = head.max(*newest);
            risen
        });
        Ok(())
    }
}

/// Makes the file if it is not there, so that only the user reads it and what SQLite puts beside it.
fn make_private(path: &Path) -> std::io::Result<()> {
    File::options().create(true).append(true).mode(0o600).open(path).map(drop)
}

async fn ensure_home_id(
    writer: &SqlitePool,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<HomeId, RegistryError> {
    const ACTION: &str = "read the home's id";
    sqlx::query("INSERT INTO home (key, value) VALUES ('id', ?) ON CONFLICT DO NOTHING")
        .bind(ids.home_id(clock.now()).as_str())
        .execute(writer)
        .await
        .map_err(failed(ACTION))?;
    let id: String = sqlx::query_scalar("SELECT value FROM home WHERE key = 'id'")
        .fetch_one(writer)
        .await
        .map_err(failed(ACTION))?;
    HomeId::parse(id).map_err(|error| corrupt(ACTION, error))
}

fn migration_failed(path: &Path, error: MigrateError) -> RegistryError {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            RegistryError::TooNew { path: path.to_owned(), source: error.into() }
        }
        MigrateError::Execute(error) => failed("bring the database's schema up to date")(error),
        error => RegistryError::Failed {
            action: "bring the database's schema up to date",
            source: error.into(),
        },
    }
}

/// Tells a full disk and a damaged file from other failures.
fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> RegistryError {
    // Primary result codes of SQLite, https://sqlite.org/rescode.html
    const CORRUPT: u32 = 11;
    const FULL: u32 = 13;
    const NOT_A_DATABASE: u32 = 26;
    move |error| {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<u32>().ok())
            .map(|extended| extended & 0xff);
        match code {
            Some(FULL) => RegistryError::Full { action, source: error.into() },
            Some(CORRUPT | NOT_A_DATABASE) => corrupt(action, error),
            _ => RegistryError::Failed { action, source: error.into() },
        }
    }
}

fn corrupt(action: &'static str, error: impl Into<BoxError>) -> RegistryError {
    RegistryError::Corrupt { action, source: error.into() }
}

#[async_trait]
impl EventLog for SqliteRegistry {
    async fn read_after(&self, after: Seq, limit: u32) -> Result<Vec<Event>, LogError> {
        let read = events::read_after(&self.readers, after, limit).await;
        read.map_err(|error| error.in_log("be read"))
    }

    async fn head(&self) -> Result<Seq, LogError> {
        let head = events::head(&self.readers).await;
        head.map_err(|error| error.in_log("be read"))
    }

    async fn cursor(&self, consumer: &'static str) -> Result<Seq, LogError> {
        let cursor = events::cursor(&self.readers, consumer).await;
        cursor.map_err(|error| error.in_log("find a consumer's cursor"))
    }

    async fn advance(&self, consumer: &'static str, to: Seq) -> Result<(), LogError> {
        let advanced = events::advance(&self.writer, consumer, to).await;
        advanced.map_err(|error| error.in_log("keep a consumer's cursor"))
    }

    fn appended(&self) -> watch::Receiver<Seq> {
        self.appended.subscribe()
    }
}

#[async_trait]
impl Registry for SqliteRegistry {
    fn home_id(&self) -> &HomeId {
        &self.home
    }

    async fn bulk_insert(&self, new: &[Task]) -> Result<(), RegistryError> {
        const ACTION: &str = "keep the new task";
        let created: Vec<_> = new.iter().map(|task| (&task.id, task.created())).collect();
        let facts: Vec<_> = created.iter().map(|(id, event)| (*id, event)).collect();
        let mut transaction = self.begin(ACTION).await?;
        tasks::insert(&mut transaction, new).await?;
        self.commit_with(transaction, &facts, ACTION).await
    }

    async fn bulk_update(&self, changes: &[Change]) -> Result<(), RegistryError> {
        const ACTION: &str = "keep the task's change";
        let facts: Vec<_> = changes
            .iter()
            .flat_map(|change| change.events.iter().map(|event| (&change.after.id, event)))
            .collect();
        let mut transaction = self.begin(ACTION).await?;
        tasks::update(&mut transaction, changes).await?;
        self.commit_with(transaction, &facts, ACTION).await
    }

    async fn delete(
        &self,
        task: &TaskId,
        expected: u64,
        event: EventPayload,
    ) -> Result<(), RegistryError> {
        const ACTION: &str = "delete the task";
        let mut transaction = self.begin(ACTION).await?;
        tasks::delete(&mut transaction, task, expected).await?;
        self.commit_with(transaction, &[(task, &event)], ACTION).await
    }

    async fn append(&self, task: &TaskId, events: &[EventPayload]) -> Result<(), RegistryError> {
        const ACTION: &str = "append to the event log";
        let facts: Vec<_> = events.iter().map(|event| (task, event)).collect();
        let transaction = self.begin(ACTION).await?;
        self.commit_with(transaction, &facts, ACTION).await
    }

    async fn get(&self, task: &TaskId) -> Result<Task, RegistryError> {
        tasks::get(&self.readers, task).await
    }

    async fn resolve(&self, reference: &str) -> Result<Task, RegistryError> {
        tasks::resolve(&self.readers, reference).await
    }

    async fn list(&self, query: &TaskQuery) -> Result<Page<Task>, RegistryError> {
        tasks::list(&self.readers, query).await
    }

    async fn statistics(&self) -> Result<Statistics, RegistryError> {
        tasks::statistics(&self.readers).await
    }

    async fn begin_execution(
        &self,
        execution: &Execution,
        env: &[String],
    ) -> Result<(), RegistryError> {
        const ACTION: &str = "keep the new execution";
        let event = executions::started(execution, env);
        let mut transaction = self.begin(ACTION).await?;
        executions::insert(&mut transaction, execution).await?;
        self.commit_with(transaction, &[(&execution.task, &event)], ACTION).await
    }

    async fn end_execution(
        &self,
        execution: &Execution,
        end: &ExecutionEnd,
    ) -> Result<bool, RegistryError> {
        const ACTION: &str = "note the execution's end";
        let mut transaction = self.begin(ACTION).await?;
        if !executions::end(&mut transaction, &execution.id, end).await? {
            return Ok(false);
        }
        let event = executions::finished(execution, end);
        self.commit_with(transaction, &[(&execution.task, &event)], ACTION).await?;
        Ok(true)
    }

    async fn execution(
        &self,
        task: &TaskId,
        execution: &ExecutionId,
    ) -> Result<Execution, RegistryError> {
        executions::get(&self.readers, task, execution).await
    }

    async fn executions(&self, task: &TaskId, limit: u32) -> Result<Vec<Execution>, RegistryError> {
        executions::newest(&self.readers, task, limit).await
    }

    async fn running_executions(&self) -> Result<Vec<Execution>, RegistryError> {
        executions::running(&self.readers).await
    }

    async fn events(&self, task: &TaskId, query: EventQuery) -> Result<Vec<Event>, RegistryError> {
        events::of_task(&self.readers, task, &query).await
    }

    async fn check(&self) -> Result<Vec<String>, RegistryError> {
        const ACTION: &str = "check the database";
        let mut found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACTION))?;
        found.retain(|line| line != "ok");
        let dangling = sqlx::query("PRAGMA foreign_key_check")
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACTION))?;
        if !dangling.is_empty() {
            found.push(format!("{} rows refer to rows that are not there", dangling.len()));
        }
        Ok(found)
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
