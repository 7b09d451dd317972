//! The queue of jobs on SQLite.

use std::path::Path;
use std::time::Duration;

use armor_core::event::SystemEvent;
use armor_core::job::{Claim, Job, JobCounts, JobId, JobKind, JobQueue, NewJob, QueueError};
use armor_core::time::Timestamp;
use async_trait::async_trait;
use tokio::sync::watch;

use crate::RegistryError;
use crate::sqlite::SqliteRegistry;
use crate::sqlite::bell::{self, Bell, Listener};
use crate::sqlite::jobs::{self, Held};
use crate::sqlite::writer::Fact;

/// Who is told that the queue has changed.
#[derive(Debug)]
pub(super) struct Stirring {
    count: watch::Sender<u64>,
    bell: Bell,
}

impl Stirring {
    pub(super) fn new(bell: Bell) -> Self {
        Self { count: watch::Sender::new(0), bell }
    }

    fn stir(&self) {
        self.count.send_modify(|count| *count += 1);
        self.bell.ring();
    }

    /// Passes on what other processes do, for as long as it is waited for.
    pub(super) fn hear_the_others(&self, database: &Path) -> impl Future<Output = ()> + use<> {
        let (bell, count) = (Listener::beside(database, bell::Of::Jobs), self.count.clone());
        async move {
            loop {
                bell.wait().await;
                count.send_modify(|count| *count += 1);
            }
        }
    }
}

impl SqliteRegistry {
    /// What [`JobQueue::retry`] and [`JobQueue::purge`] say of a job that they did not change.
    async fn unchanged(&self, id: JobId) -> QueueError {
        match self.job(id).await {
            Ok(job) => QueueError::State { job: id, state: job.state.name() },
            Err(error) => error,
        }
    }

    fn noted<T>(
        &self,
        action: &'static str,
        done: Result<T, RegistryError>,
    ) -> Result<T, QueueError> {
        if done.is_ok() {
            self.stirring.stir();
        }
        done.map_err(|error| error.in_queue(action))
    }
}

#[async_trait]
impl JobQueue for SqliteRegistry {
    async fn enqueue(&self, new: &[NewJob]) -> Result<(), QueueError> {
        if new.is_empty() {
            return Ok(());
        }
        let (new, clock) = (new.to_vec(), self.clock.clone());
        let kept = self.writer.run(move |connection| {
            let (new, now) = (new.clone(), clock.now());
            Box::pin(async move { jobs::enqueue(connection, &new, now).await })
        });
        self.noted("keep jobs", kept.await)
    }

    async fn claim(
        &self,
        kinds: &[JobKind],
        owner: &str,
        time: Duration,
    ) -> Result<Option<Claim>, QueueError> {
        let (kinds, owner, clock) = (kinds.to_vec(), owner.to_owned(), self.clock.clone());
        let claimed = self.writer.run(move |connection| {
            let (kinds, owner, now) = (kinds.clone(), owner.clone(), clock.now());
            let until = now.plus(time);
            Box::pin(async move { jobs::claim(connection, &kinds, &owner, now, until).await })
        });
        claimed.await.map_err(|error| error.in_queue("take up a job"))
    }

    async fn extend(&self, claim: &Claim, time: Duration) -> Result<bool, QueueError> {
        let (held, clock) = (Held::from(claim), self.clock.clone());
        let extended = self.writer.run(move |connection| {
            let until = clock.now().plus(time);
            Box::pin(async move { jobs::extend(connection, held, until).await })
        });
        extended.await.map_err(|error| error.in_queue("hold a job for longer"))
    }

    async fn finish(&self, claim: &Claim) -> Result<bool, QueueError> {
        let held = Held::from(claim);
        let finished = self.writer.run(move |connection| Box::pin(jobs::finish(connection, held)));
        self.noted("note that a job is done", finished.await)
    }

    async fn put_back(
        &self,
        claim: &Claim,
        due: Timestamp,
        error: Option<&str>,
        strike: bool,
    ) -> Result<bool, QueueError> {
        let (held, error) = (Held::from(claim), error.map(str::to_owned));
        let back = self.writer.run(move |connection| {
            let error = error.clone();
            Box::pin(async move {
                jobs::put_back(connection, held, due, error.as_deref(), strike).await
            })
        });
        self.noted("put a job back", back.await)
    }

    async fn give_up(
        &self,
        claim: &Claim,
        error: &str,
        fact: SystemEvent,
    ) -> Result<bool, QueueError> {
        const ACTION: &str = "give a job up";
        let fact = Fact::of(fact.into()).map_err(|error| error.in_queue(ACTION))?;
        let (held, error) = (Held::from(claim), error.to_owned());
        let given_up = self.writer.tell(None, vec![fact], move |connection| {
            let error = error.clone();
            Box::pin(async move { jobs::give_up(connection, held, &error).await })
        });
        self.noted(ACTION, given_up.await)
    }

    async fn next_due(&self, kinds: &[JobKind]) -> Result<Option<Timestamp>, QueueError> {
        let due = jobs::next_due(&self.readers, kinds, self.clock.now()).await;
        due.map_err(|error| error.in_queue("be read"))
    }

    async fn first_of(&self, key: &str) -> Result<Option<Job>, QueueError> {
        let first = jobs::first_of(&self.readers, key).await;
        first.map_err(|error| error.in_queue("be read"))
    }

    async fn jobs(&self, limit: u32) -> Result<Vec<Job>, QueueError> {
        let found = jobs::list(&self.readers, limit).await;
        found.map_err(|error| error.in_queue("be read"))
    }

    async fn counts(&self) -> Result<JobCounts, QueueError> {
        let counts = jobs::counts(&self.readers).await;
        counts.map_err(|error| error.in_queue("be read"))
    }

    async fn job(&self, id: JobId) -> Result<Job, QueueError> {
        let found = jobs::get(&self.readers, id).await;
        found.map_err(|error| error.in_queue("be read"))?.ok_or(QueueError::NotFound(id))
    }

    async fn retry(&self, id: JobId) -> Result<Job, QueueError> {
        let clock = self.clock.clone();
        let revived = self
            .writer
            .run(move |connection| Box::pin(jobs::retry(connection, id, clock.now())))
            .await;
        match self.noted("retry a job", revived)? {
            Some(job) => Ok(job),
            None => Err(self.unchanged(id).await),
        }
    }

    async fn purge(&self, id: JobId) -> Result<(), QueueError> {
        let purged = self.writer.run(move |connection| Box::pin(jobs::purge(connection, id))).await;
        if self.noted("purge a job", purged)? { Ok(()) } else { Err(self.unchanged(id).await) }
    }

    fn stirred(&self) -> watch::Receiver<u64> {
        self.stirring.count.subscribe()
    }
}
