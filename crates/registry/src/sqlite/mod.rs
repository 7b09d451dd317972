//! The registry on SQLite: one connection that writes, several that read, in WAL mode.
//!
//! What callers of one process write at the same time shares a transaction (`writer`); processes
//! queue at SQLite's lock, which is waited for. Readers never wait for the writer.

mod bell;
mod check;
mod checkpoints;
mod dead_letters;
mod events;
mod executions;
mod failure;
mod jobs;
mod leases;
mod list;
mod open;
mod queue;
mod readers;
mod recover;
pub(crate) mod restore;
mod rows;
mod tasks;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use armor_core::checkpoint::{Checkpoint, Forgotten, ForkedFrom};
use armor_core::config::Durability;
use armor_core::event::{
    CheckpointEvent, Commit, DeadLetter, DeadLetterId, Event, EventLog, EventPayload, LogError,
    Seq, Stored, SystemEvent,
};
use armor_core::execution::{Execution, ExecutionEnd};
use armor_core::file_lock::FileLock;
use armor_core::id::{CheckpointId, ExecutionId, HomeId, IdSource, TaskId};
use armor_core::task::{Change, Task};
use armor_core::time::{Clock, Timestamp};
use async_trait::async_trait;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::bell::{Bell, Listener};
use self::queue::Stirring;
use self::readers::Readers;
use self::writer::{Changed, Deed, Fact, New, News, Writer};
use crate::{EventQuery, Lease, LostTask, Page, Registry, RegistryError, Statistics, TaskQuery};

/// A registry in an SQLite file.
#[derive(Debug)]
pub struct SqliteRegistry {
    home: HomeId,
    writer: Writer,
    readers: Arc<Readers>,
    clock: Arc<dyn Clock>,
    stirring: Stirring,
    _in_use: FileLock,
    _stop_listening: DropGuard,
}

impl SqliteRegistry {
    /// Opens the database file, making it and bringing its schema up to date where needed.
    ///
    /// # Errors
    /// [`RegistryError::TooNew`] when a newer program wrote it; [`RegistryError::Corrupt`] when it
    /// is no database; others when it cannot be opened.
    pub async fn open(
        path: &Path,
        durability: Durability,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, RegistryError> {
        let shared = FileLock::share(&in_use(path)).await;
        let shared = shared
            .map_err(|error| RegistryError::of_io("note that the database is in use", error))?;
        let opened = open::open(path, durability, clock.as_ref(), ids.as_ref()).await?;
        let bell = |of| {
            Bell::beside(path, of).map_err(|error| RegistryError::of_io("open the bell", error))
        };
        let (bell, stirring) = (bell(bell::Of::Log)?, Stirring::new(bell(bell::Of::Jobs)?));
        // Listened to before the end is read, so that nothing falls in between.
        let listener = Listener::beside(path, bell::Of::Log);
        let news = News::from(events::head(&opened.readers).await?);
        let stop = CancellationToken::new();
        let listening = hear_the_others(listener, Arc::clone(&opened.readers), news.clone());
        let until = stop.clone();
        tokio::spawn(async move { until.run_until_cancelled(listening).await });
        let (until, others) = (stop.clone(), stirring.hear_the_others(path));
        tokio::spawn(async move { until.run_until_cancelled(others).await });
        let (writing, options) = (opened.writer, opened.writer_options);
        let writer = Writer::start(writing, options, clock.clone(), ids, news, bell);
        Ok(Self {
            home: opened.home,
            writer,
            readers: opened.readers,
            clock,
            stirring,
            _in_use: shared,
            _stop_listening: stop.drop_guard(),
        })
    }
}

/// The file that all who have the database open hold a lock on together, and who replaces it alone.
fn in_use(database: &Path) -> PathBuf {
    database.with_extension("in-use")
}

/// How long a commit of our own may take from being seen to being told of.
const TELLING: Duration = Duration::from_millis(10);

/// Tells who follows the log when another process has appended to it.
async fn hear_the_others(bell: Listener, readers: Arc<Readers>, news: News) {
    let mut heard = *news.appended.borrow();
    loop {
        bell.wait().await;
        let head = match events::head(&readers).await {
            Ok(head) => head,
            Err(RegistryError::Closed) => return,
            Err(error) => {
                tracing::debug!(%error, "could not look for other processes' commits");
                continue;
            }
        };
        if head <= heard {
            continue;
        }
        // A commit of our own can be seen a moment before it is told of.
        let mut appended = news.appended.subscribe();
        let told = tokio::time::timeout(TELLING, appended.wait_for(|ours| *ours >= head)).await;
        if told.is_err() {
            // An error says that nobody listens.
            let _told = news.commits.send(Commit::Theirs);
        }
        heard = head;
    }
}

#[async_trait]
impl EventLog for SqliteRegistry {
    async fn read_after(
        &self,
        after: Seq,
        limit: u32,
        of: Option<&TaskId>,
    ) -> Result<Vec<Stored>, LogError> {
        let read = events::read_after(&self.readers, after, limit, of).await;
        read.map_err(|error| error.in_log("be read"))
    }

    async fn read_before(
        &self,
        before: Seq,
        limit: u32,
        of: Option<&TaskId>,
    ) -> Result<Vec<Stored>, LogError> {
        let read = events::read_before(&self.readers, before, limit, of).await;
        read.map_err(|error| error.in_log("be read"))
    }

    async fn before(&self, at: Timestamp) -> Result<Seq, LogError> {
        let place = events::before(&self.readers, at).await;
        place.map_err(|error| error.in_log("find a moment"))
    }

    async fn head(&self) -> Result<Seq, LogError> {
        let head = events::head(&self.readers).await;
        head.map_err(|error| error.in_log("be read"))
    }

    async fn cursor(&self, consumer: &'static str) -> Result<Seq, LogError> {
        let cursor = events::cursor(&self.readers, consumer).await;
        cursor.map_err(|error| error.in_log("find a consumer's cursor"))
    }

    async fn begin(&self, consumer: &'static str, at: Seq) -> Result<(), LogError> {
        let begun = self
            .writer
            .run(move |connection| Box::pin(events::begin(connection, consumer, at)))
            .await;
        begun.map_err(|error| error.in_log("keep a consumer's cursor"))
    }

    async fn advance(&self, cursors: &[(&'static str, Seq)]) -> Result<(), LogError> {
        let cursors = cursors.to_vec();
        let advanced = self.writer.run(move |connection| {
            let cursors = cursors.clone();
            Box::pin(async move { events::advance(connection, &cursors).await })
        });
        advanced.await.map_err(|error| error.in_log("keep a consumer's cursor"))
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<(), LogError> {
        let letter = letter.clone();
        let buried = self.writer.run(move |connection| {
            let letter = letter.clone();
            Box::pin(async move { dead_letters::bury(connection, &letter).await })
        });
        buried.await.map_err(|error| error.in_log("keep a dead letter"))
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, LogError> {
        let found = dead_letters::list(&self.readers, limit).await;
        found.map_err(|error| error.in_log("read the dead letters"))
    }

    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, LogError> {
        let found = dead_letters::get(&self.readers, id).await;
        found.map_err(|error| error.in_log("read a dead letter"))
    }

    async fn forget(&self, id: &DeadLetterId) -> Result<bool, LogError> {
        let id = id.clone();
        let forgotten = self.writer.run(move |connection| {
            let id = id.clone();
            Box::pin(async move { dead_letters::forget(connection, &id).await })
        });
        forgotten.await.map_err(|error| error.in_log("forget a dead letter"))
    }

    fn appended(&self) -> watch::Receiver<Seq> {
        self.writer.news().appended.subscribe()
    }

    fn commits(&self) -> broadcast::Receiver<Commit> {
        self.writer.news().commits.subscribe()
    }
}

#[async_trait]
impl Registry for SqliteRegistry {
    fn home_id(&self) -> &HomeId {
        &self.home
    }

    async fn bulk_insert(&self, new: &[Task]) -> Result<(), RegistryError> {
        let new = new.iter().map(New::of).collect::<Result<_, _>>()?;
        self.writer.write(Deed::Insert(new)).await.map(drop)
    }

    async fn bulk_update(&self, changes: &[Change]) -> Result<(), RegistryError> {
        let changes = changes.iter().map(Changed::of).collect::<Result<_, _>>()?;
        self.writer.write(Deed::Update(changes)).await.map(drop)
    }

    async fn recover(
        &self,
        lost: &LostTask,
        facts: &[EventPayload],
    ) -> Result<bool, RegistryError> {
        let lost = Arc::new(recover::Encoded::of(lost)?);
        let task = lost.task().clone();
        let facts = facts.iter().cloned().map(Fact::of).collect::<Result<_, _>>()?;
        let recovering = self.writer.tell(Some(task), facts, move |connection| {
            let lost = Arc::clone(&lost);
            Box::pin(async move { recover::recover(connection, &lost).await })
        });
        recovering.await
    }

    async fn delete(
        &self,
        task: &TaskId,
        expected: u64,
        event: EventPayload,
    ) -> Result<(), RegistryError> {
        let deed = Deed::Delete { task: task.clone(), expected, fact: Fact::of(event)? };
        self.writer.write(deed).await.map(drop)
    }

    async fn append(&self, task: &TaskId, events: &[EventPayload]) -> Result<(), RegistryError> {
        let facts = events.iter().cloned().map(Fact::of).collect::<Result<_, _>>()?;
        let deed = Deed::Append { task: task.clone(), facts };
        self.writer.write(deed).await.map(drop)
    }

    async fn announcements(&self, names: &[&str]) -> Result<Vec<Event>, RegistryError> {
        events::of_the_home(&self.readers, names).await
    }

    async fn announce(&self, event: SystemEvent) -> Result<(), RegistryError> {
        self.writer.write(Deed::Announce(Fact::of(event.into())?)).await.map(drop)
    }

    async fn get(&self, task: &TaskId) -> Result<Task, RegistryError> {
        tasks::get(&self.readers, task).await
    }

    async fn resolve(&self, reference: &str) -> Result<Task, RegistryError> {
        tasks::resolve(&self.readers, reference).await
    }

    async fn list(&self, query: &TaskQuery) -> Result<Page<Task>, RegistryError> {
        list::list(&self.readers, query).await
    }

    async fn statistics(&self) -> Result<Statistics, RegistryError> {
        tasks::statistics(&self.readers).await
    }

    async fn begin_execution(
        &self,
        execution: &Execution,
        env: &[String],
    ) -> Result<(), RegistryError> {
        let fact = Fact::of(executions::started(execution, env))?;
        let deed = Deed::Begin { execution: execution.clone(), fact };
        self.writer.write(deed).await.map(drop).map_err(|error| match error {
            // The one rule that this can break: the task was deleted in the meantime.
            RegistryError::Refused { .. } => {
                RegistryError::NotFound { reference: execution.task.to_string() }
            }
            error => error,
        })
    }

    async fn end_execution(
        &self,
        execution: &Execution,
        end: &ExecutionEnd,
    ) -> Result<bool, RegistryError> {
        let fact = Fact::of(executions::finished(execution, end))?;
        let (task, execution) = (execution.task.clone(), execution.id.clone());
        self.writer.write(Deed::End { execution, task, end: end.clone(), fact }).await
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

    async fn add_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), RegistryError> {
        let fact = Fact::of(checkpoints::taken(checkpoint))?;
        let (task, checkpoint) = (checkpoint.task.clone(), checkpoint.clone());
        let adding = self.writer.tell(Some(task), vec![fact], move |connection| {
            let checkpoint = checkpoint.clone();
            Box::pin(async move { checkpoints::add(connection, &checkpoint).await.map(|()| true) })
        });
        adding.await.map(drop)
    }

    async fn checkpoints(&self, task: Option<&TaskId>) -> Result<Vec<Checkpoint>, RegistryError> {
        checkpoints::list(&self.readers, task).await
    }

    async fn pin_checkpoint(
        &self,
        task: &TaskId,
        checkpoint: &CheckpointId,
        pinned: bool,
    ) -> Result<bool, RegistryError> {
        let fact = Fact::of(checkpoints::pinned(checkpoint, pinned))?;
        let key = (task.clone(), checkpoint.clone());
        let pinning = self.writer.tell(Some(task.clone()), vec![fact], move |connection| {
            let (task, id) = key.clone();
            Box::pin(async move { checkpoints::pin(connection, &task, &id, pinned).await })
        });
        pinning.await
    }

    async fn forget_checkpoint(
        &self,
        task: &TaskId,
        checkpoint: &CheckpointId,
        cause: Forgotten,
    ) -> Result<bool, RegistryError> {
        let forgotten = CheckpointEvent::Forgotten { checkpoint: checkpoint.clone(), cause };
        let fact = Fact::of(forgotten.into())?;
        let key = (task.clone(), checkpoint.clone());
        let forgetting = self.writer.tell(Some(task.clone()), vec![fact], move |connection| {
            let (task, id) = key.clone();
            Box::pin(async move { checkpoints::forget(connection, &task, &id, cause).await })
        });
        forgetting.await
    }

    async fn forks_to_come(&self) -> Result<Vec<(TaskId, ForkedFrom)>, RegistryError> {
        checkpoints::forks_to_come(&self.readers).await
    }

    async fn running_executions(&self) -> Result<Vec<Execution>, RegistryError> {
        executions::running(&self.readers).await
    }

    async fn events(&self, task: &TaskId, query: EventQuery) -> Result<Vec<Event>, RegistryError> {
        events::of_task(&self.readers, task, &query).await
    }

    async fn take_lease(
        &self,
        name: &str,
        owner: &str,
        time: Duration,
    ) -> Result<Lease, RegistryError> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        let clock = self.clock.clone();
        let taking = self.writer.run(move |connection| {
            let (name, owner, now) = (name.clone(), owner.clone(), clock.now());
            let until = now.plus(time);
            Box::pin(async move { leases::take(connection, &name, &owner, now, until).await })
        });
        taking.await
    }

    async fn renew_lease(&self, lease: &Lease, time: Duration) -> Result<Lease, RegistryError> {
        let (lease, clock) = (lease.clone(), self.clock.clone());
        let renewing = self.writer.run(move |connection| {
            let (lease, until) = (lease.clone(), clock.now().plus(time));
            Box::pin(async move { leases::renew(connection, &lease, until).await })
        });
        renewing.await
    }

    async fn give_up_lease(&self, lease: &Lease) -> Result<bool, RegistryError> {
        let lease = lease.clone();
        let giving_up = self.writer.run(move |connection| {
            let lease = lease.clone();
            Box::pin(async move { leases::give_up(connection, &lease).await })
        });
        giving_up.await
    }

    async fn leases(&self) -> Result<Vec<Lease>, RegistryError> {
        leases::held(&self.readers, self.clock.now()).await
    }

    async fn copy_to(&self, file: &Path) -> Result<(), RegistryError> {
        const ACTION: &str = "copy the database";
        let name = file.to_str().ok_or_else(|| {
            let error = std::io::Error::other("the name of the file is not UTF-8");
            RegistryError::of_io(ACTION, error)
        })?;
        let copying = sqlx::query("VACUUM INTO ?").bind(name);
        self.readers.all(ACTION, copying).await.map(drop)
    }

    async fn check(&self) -> Result<Vec<String>, RegistryError> {
        check::check(&self.readers).await
    }

    async fn close(&self) {
        // The last one to close writes the write-ahead log into the file and removes it, which a
        // reader cannot.
        self.readers.close().await;
        self.writer.close().await;
    }
}
