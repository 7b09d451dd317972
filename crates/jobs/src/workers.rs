//! The workers of a process: they take up what is due, as many jobs at a time as there are workers.

use std::sync::Arc;
use std::time::Duration;

use armor_core::job::{Claim, Handler, Job, JobKind, JobQueue, QueueError};
use armor_core::time::Clock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::RetryPolicy;
use crate::worker::Worker;

/// How long to wait before a queue that could not be read, or that others were faster at, is looked
/// at again when nothing stirs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long jobs that are left have to be put back into the queue.
const PUTTING_BACK: Duration = Duration::from_secs(2);

/// What workers are told.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// How many jobs run at a time.
    pub count: usize,
    /// For how long a job is taken up. A worker that lives asks for more in time; the job of one
    /// that died is taken up by another when this is over.
    pub hold: Duration,
    /// When a job that failed is tried again.
    pub retry: RetryPolicy,
    /// Who the process is, for people.
    pub owner: String,
}

/// The running workers of a process.
#[derive(Debug)]
pub struct Workers {
    queue: Arc<dyn JobQueue>,
    stop: Stop,
    running: TaskTracker,
}

/// How workers are told to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// No job is taken up any more.
    pub(crate) taking: CancellationToken,
    /// Jobs are left where they stand.
    pub(crate) working: CancellationToken,
}

impl Workers {
    /// Starts to do the jobs that these handlers are for.
    pub fn start(
        queue: Arc<dyn JobQueue>,
        handlers: Vec<Arc<dyn Handler>>,
        clock: Arc<dyn Clock>,
        settings: WorkerSettings,
    ) -> Self {
        let stop = Stop::default();
        let running = TaskTracker::new();
        let dispatcher = Dispatcher {
            kinds: handlers.iter().map(|handler| handler.kind()).collect(),
            free: Arc::new(Semaphore::new(settings.count)),
            worker: Arc::new(Worker {
                queue: queue.clone(),
                handlers,
                clock,
                settings,
                stop: stop.clone(),
            }),
            running: running.clone(),
        };
        running.spawn(dispatcher.run(stop.taking.clone()));
        Self { queue, stop, running }
    }

    /// Waits until the jobs of this key are done, or one failed and waits for another try; at most
    /// for `limit`. Gives the job that is left, if one is.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub async fn settled(&self, key: &str, limit: Duration) -> Result<Option<Job>, QueueError> {
        let mut stirred = self.queue.stirred();
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            stirred.mark_unchanged();
            let first = self.queue.first_of(key).await?;
            if !first.as_ref().is_some_and(Job::is_busy) {
                return Ok(first);
            }
            match tokio::time::timeout_at(deadline, stirred.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(first),
            }
        }
    }

    /// Takes up no more jobs, and ends when those that run are done. Those that are not after
    /// `limit` are left where they stand, and put back into the queue.
    pub async fn stop(&self, limit: Duration) {
        self.stop.taking.cancel();
        self.running.close();
        if tokio::time::timeout(limit, self.running.wait()).await.is_err() {
            tracing::info!("jobs are left for the next who opens the home");
            self.stop.working.cancel();
            if tokio::time::timeout(PUTTING_BACK, self.running.wait()).await.is_err() {
                tracing::warn!("jobs are taken up again only when their time has run out");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.taking.cancel();
        self.stop.working.cancel();
    }
}

struct Dispatcher {
    worker: Arc<Worker>,
    kinds: Vec<JobKind>,
    free: Arc<Semaphore>,
    running: TaskTracker,
}

/// What there is to do.
enum Next {
    Work(Box<Claim>),
    /// Nothing before that much time has passed, or something stirs.
    Wait(Duration),
}

impl Dispatcher {
    async fn run(self, stop: CancellationToken) {
        let mut stirred = self.worker.queue.stirred();
        loop {
            let free = stop.run_until_cancelled(self.free.clone().acquire_owned()).await;
            // It is never closed; stopping is the one reason for there being none.
            let Some(Ok(free)) = free else { return };
            stirred.mark_unchanged();
            let pause = match self.next().await {
                Ok(Next::Work(claim)) => {
                    let worker = self.worker.clone();
                    self.running.spawn(async move {
                        worker.work(*claim).await;
                        drop(free);
                    });
                    continue;
                }
                Ok(Next::Wait(pause)) => pause,
                Err(error) => {
                    let cause = armor_core::error::chain(&error);
                    tracing::error!(cause, "the job queue will be looked at again");
                    LOOK_AGAIN
                }
            };
            drop(free);
            let stirs = tokio::time::timeout(pause, stirred.changed());
            match stop.run_until_cancelled(stirs).await {
                Some(Ok(Ok(())) | Err(_)) => {}
                // Stopped, or the queue is gone.
                Some(Ok(Err(_))) | None => return,
            }
        }
    }

    async fn next(&self) -> Result<Next, QueueError> {
        let Worker { queue, clock, settings, .. } = self.worker.as_ref();
        // Reading first: what stirs is mostly no work for us, and taking up is a write.
        let Some(due) = queue.next_due(&self.kinds).await? else {
            return Ok(Next::Wait(Duration::MAX));
        };
        let pause = due.since(clock.now());
        if pause > Duration::ZERO {
            return Ok(Next::Wait(pause));
        }
        let claim = queue.claim(&self.kinds, &settings.owner, settings.hold).await?;
        Ok(claim.map_or(Next::Wait(LOOK_AGAIN), |claim| Next::Work(Box::new(claim))))
    }
}
