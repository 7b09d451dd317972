//! The one writer of a process.
//!
//! Callers hand over what they ask to be written and wait. Whatever is waiting when the writer is
//! free becomes one group, which is one transaction: few statements and one commit for all of it.
//! Each caller gets a result of its own. When the database refuses a statement of a group for what
//! one caller gave it, the group is carried out again one by one, so that nobody's failure undoes
//! another's work. What was handed over is carried out also when its caller no longer waits.

mod ask;
mod connection;
mod encoded;
mod group;
mod log;
mod statements;
mod values;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use armor_core::event::{Commit, Event, Seq, SystemEvent};
use armor_core::id::{IdSource, TaskId};
use armor_core::time::Clock;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use ask::{Answer, Ask, Changes, Statements, Value};
pub(super) use ask::{BoxFuture, Deed};
use connection::Connection;
pub(super) use encoded::{Changed, Fact, New, json};
use group::Outcome;

use crate::RegistryError;
use crate::sqlite::bell::Bell;

/// How many asks may wait before callers wait to hand theirs over.
const WAITING: usize = 4096;
/// The part of a transaction's time that is waited for others to join the next, and the most of it:
/// a transaction that took long has waited for the disk, or for another process.
const PART: u32 = 8;
const LONGEST: Duration = Duration::from_millis(1);
/// How many commits a follower may be behind before it reads the log instead.
const NEWS: usize = 1024;

/// Where callers hand over what is to be written.
#[derive(Debug)]
pub(super) struct Writer {
    asks: mpsc::Sender<Ask>,
    news: News,
    running: TaskTracker,
}

/// Who is told of commits.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) appended: watch::Sender<Seq>,
    pub(super) commits: broadcast::Sender<Commit>,
}

impl News {
    pub(super) fn from(head: Seq) -> Self {
        Self { appended: watch::channel(head).0, commits: broadcast::channel(NEWS).0 }
    }

    fn tell(&self, events: Vec<Event>) {
        let Some(newest) = events.last().map(|event| event.seq) else { return };
        self.appended.send_replace(newest);
        // An error says that nobody listens.
        let _heard = self.commits.send(Commit::Ours(events.into_iter().map(Arc::new).collect()));
    }
}

/// Appends a fact about the home, on a connection that nobody else writes with.
pub(super) async fn announce_alone(
    connection: &mut SqliteConnection,
    fact: SystemEvent,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<(), RegistryError> {
    let deed = Deed::Announce(Fact::of(fact.into())?);
    group::commit(connection, &[deed], clock, ids).await.map(drop)
}

impl Writer {
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        news: News,
        bell: Bell,
    ) -> Self {
        let (asks, waiting) = mpsc::channel(WAITING);
        let running = TaskTracker::new();
        let worker = Worker {
            connection: Connection::new(connection, options),
            clock,
            ids,
            news: news.clone(),
            bell,
        };
        running.spawn(worker.run(waiting));
        running.close();
        Self { asks, news, running }
    }

    pub(super) const fn news(&self) -> &News {
        &self.news
    }

    /// Writes a deed. False when there was nothing left to do.
    pub(super) async fn write(&self, deed: Deed) -> Result<bool, RegistryError> {
        match self.ask(deed).await? {
            Answer::Changed(changed) => Ok(changed),
            Answer::Value(_) => Ok(true),
        }
    }

    /// Carries out statements that belong to one caller alone, in the transaction of a group. They
    /// may be carried out again when that fails.
    pub(super) async fn run<T, F>(&self, statements: F) -> Result<T, RegistryError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, RegistryError>>
            + Send
            + Sync
            + 'static,
    {
        let statements = Arc::new(statements);
        let deed = Deed::Other(Box::new(move |connection| {
            let statements = Arc::clone(&statements);
            Box::pin(async move {
                let value = statements(connection).await?;
                Ok(Box::new(value) as Value)
            })
        }));
        match self.ask(deed).await? {
            Answer::Value(value) => match value.downcast() {
                Ok(value) => Ok(*value),
                Err(_) => Err(RegistryError::Unanswered),
            },
            Answer::Changed(_) => Err(RegistryError::Unanswered),
        }
    }

    /// Carries out statements that belong to one caller alone, and appends the facts in the same
    /// transaction if they say that they changed something, which is the answer. They may be carried
    /// out again when that fails.
    pub(super) async fn tell<F>(
        &self,
        task: Option<TaskId>,
        facts: Vec<Fact>,
        statements: F,
    ) -> Result<bool, RegistryError>
    where
        F: for<'c> Fn(&'c mut SqliteConnection) -> BoxFuture<'c, Result<bool, RegistryError>>
            + Send
            + Sync
            + 'static,
    {
        let statements = Arc::new(statements);
        let statements: Statements = Box::new(move |connection| {
            let statements = Arc::clone(&statements);
            Box::pin(async move {
                let changes = statements(connection).await?;
                Ok(if changes { Box::new(Changes) as Value } else { Box::new(()) as Value })
            })
        });
        self.write(Deed::Told { statements, task, facts }).await
    }

    async fn ask(&self, deed: Deed) -> Result<Answer, RegistryError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask { deed, reply }).await.map_err(|_| RegistryError::Closed)?;
        answer.await.map_err(|_| RegistryError::Unanswered)?
    }

    /// Waits until everything that was handed over is written, and lets go of the database.
    pub(super) async fn close(&self) {
        // The worker ends when it is asked to, behind all that was asked before.
        let _asked = self.ask(Deed::Close).await;
        self.running.wait().await;
    }
}

/// How the next group is gathered. Who was just answered may have more to ask at once: it pays to
/// give all of them a moment to join, since a transaction costs much more than a deed.
#[derive(Debug, Default)]
struct Gathering {
    /// How many callers took part in the last group, or waited behind it.
    callers: usize,
    /// How long the last transaction took.
    last: Duration,
}

impl Gathering {
    /// Takes what is there, and waits for as many as there were, for a small part of the time that
    /// a transaction takes. A single caller is not waited for.
    async fn gather(&self, asks: &mut mpsc::Receiver<Ask>, waiting: &mut VecDeque<Ask>) {
        let start = Instant::now();
        let wanted = self.callers.min(group::MOST);
        loop {
            while waiting.len() < group::MOST
                && let Ok(ask) = asks.try_recv()
            {
                waiting.push_back(ask);
            }
            if waiting.len() >= wanted || start.elapsed() > (self.last / PART).min(LONGEST) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The writer's own task.
struct Worker {
    connection: Connection,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    news: News,
    bell: Bell,
}

impl Worker {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut waiting = VecDeque::new();
        let mut gathering = Gathering::default();
        loop {
            if waiting.is_empty() {
                match asks.recv().await {
                    Some(ask) => waiting.push_back(ask),
                    None => break,
                }
            }
            gathering.gather(&mut asks, &mut waiting).await;
            let group = group::take(&mut waiting);
            if let [Ask { deed: Deed::Close, .. }] = group.as_slice() {
                asks.close();
                // Who asked behind it is told that nothing happens any more.
                while let Some(late) = waiting.pop_front().or_else(|| asks.try_recv().ok()) {
                    answer(late.reply, Err(RegistryError::Closed));
                }
                break;
            }
            let (size, start) = (group.len(), Instant::now());
            self.carry_out(group).await;
            gathering = Gathering { callers: size + waiting.len(), last: start.elapsed() };
        }
        self.connection.close().await;
    }

    async fn carry_out(&mut self, group: Vec<Ask>) {
        let (deeds, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|ask| (ask.deed, ask.reply)).unzip();
        match self.transaction(&deeds).await {
            Ok(outcome) => self.announce(outcome, replies),
            // Only one of them is to blame: each gets a transaction of its own.
            Err(error) if deeds.len() > 1 && error.is_callers_fault() => {
                for (deed, reply) in deeds.iter().zip(replies) {
                    match self.transaction(std::slice::from_ref(deed)).await {
                        Ok(outcome) => self.announce(outcome, vec![reply]),
                        Err(error) => answer(reply, Err(error)),
                    }
                }
            }
            Err(error) => {
                for reply in replies {
                    answer(reply, Err(error.clone()));
                }
            }
        }
    }

    async fn transaction(&mut self, deeds: &[Deed]) -> Result<Outcome, RegistryError> {
        let connection = self.connection.get().await?;
        let done = group::commit(connection, deeds, self.clock.as_ref(), self.ids.as_ref()).await;
        if let Err(error) = &done {
            self.connection.recover(error).await;
        }
        done
    }

    fn announce(
        &self,
        outcome: Outcome,
        replies: Vec<oneshot::Sender<Result<Answer, RegistryError>>>,
    ) {
        let is_news = !outcome.events.is_empty();
        self.news.tell(outcome.events);
        for (reply, result) in replies.into_iter().zip(outcome.results) {
            answer(reply, result);
        }
        // Nobody here has to wait until others are woken.
        if is_news {
            self.bell.ring();
        }
    }
}

fn answer(
    reply: oneshot::Sender<Result<Answer, RegistryError>>,
    result: Result<Answer, RegistryError>,
) {
    // The caller may have gone; what it asked for is done all the same.
    let _told = reply.send(result);
}
