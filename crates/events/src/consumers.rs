//! Drives the durable consumers of the log.
//!
//! A round gives each consumer, one after the other, what lies behind its cursor, and at its end
//! moves the cursors on, of all that have dealt with it, in one transaction. A round runs a moment after each commit of this
//! process, so that one round serves what is committed in quick succession, or at once when somebody
//! waits for it; and once at the start, which is how consumers catch up after a crash. Of several
//! processes with the same home, the one that holds the lock's file runs the round; the others
//! wait for the lock and find their events dealt with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use armor_core::event::{
    Commit, Consumer, ConsumerName, DeadLetter, DeadLetterId, EventLog, LogError, Seq,
};
use armor_core::file_lock::FileLock;
use armor_core::time::Clock;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::{Delivery, RetryError};

/// How long a round waits for more to be committed, while nobody waits for it. A command's start and end
/// mostly come within it, and what consumers write does not compete with the command.
const LINGER: Duration = Duration::from_millis(20);
/// How long to wait before a failed consumer is tried again, when nothing new comes.
const RETRY: Duration = Duration::from_secs(1);
/// How long another process, which has committed something, is given to run its own round.
const THEIR_TURN: Duration = Duration::from_secs(1);
/// How long a round may be away when nobody commits anything.
const LATEST: Duration = Duration::from_secs(30);

/// The running consumers of a home.
#[derive(Debug)]
pub struct Consumers {
    delivery: Arc<Delivery>,
    lock: PathBuf,
    /// Up to where every consumer has dealt with the log.
    done: watch::Receiver<Seq>,
    /// Up to where somebody waits for that.
    wanted: watch::Sender<Seq>,
    stop: CancellationToken,
    running: TaskTracker,
}

/// How far a consumer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Which consumer.
    pub consumer: ConsumerName,
    /// Up to where it has dealt with the log.
    pub cursor: Seq,
    /// How many events lie behind that.
    pub events: u64,
}

impl Consumers {
    /// Starts to drive `consumers`, in this order. `lock` is a file that all processes with this
    /// home name alike.
    pub fn start(
        log: Arc<dyn EventLog>,
        consumers: Vec<Arc<dyn Consumer>>,
        lock: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (done, seen) = watch::channel(Seq::START);
        let (wanted, wishes) = watch::channel(Seq::START);
        let stop = CancellationToken::new();
        let delivery = Arc::new(Delivery::new(log, consumers, clock));
        let driver =
            Driver { delivery: delivery.clone(), lock: lock.clone(), done, wanted: wishes };
        let running = TaskTracker::new();
        running.spawn(driver.run(stop.clone()));
        running.close();
        Self { delivery, lock, done: seen, wanted, stop, running }
    }

    /// Waits until every consumer has dealt with everything up to `seq`, at most for `limit`.
    /// False when the time ran out; the consumers go on all the same.
    pub async fn caught_up(&self, seq: Seq, limit: Duration) -> bool {
        let mut done = self.done.clone();
        self.wanted.send_if_modified(|wanted| {
            let is_more = seq > *wanted;
            *wanted = seq.max(*wanted);
            is_more
        });
        let reached = tokio::time::timeout(limit, done.wait_for(|done| *done >= seq)).await;
        matches!(reached, Ok(Ok(_)))
    }

    /// How far each consumer has come.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn lag(&self) -> Result<Vec<Lag>, LogError> {
        self.delivery.lag().await
    }

    /// Gives a dead letter to its consumer once more, and forgets it when that goes well.
    ///
    /// # Errors
    /// When there is no such letter or consumer, or the consumer fails again.
    pub async fn retry(&self, id: &DeadLetterId) -> Result<DeadLetter, RetryError> {
        let _lock = FileLock::hold(&self.lock).await.map_err(RetryError::Lock)?;
        self.delivery.retry(id).await
    }

    /// Ends after the round that runs now, or in its midst when that lasts longer than `limit`:
    /// what a consumer was about to do, it does again the next time.
    pub async fn stop(&self, limit: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(limit, self.running.wait()).await.is_err() {
            tracing::warn!("the consumers of the event log were left in the midst of their work");
        }
    }
}

struct Driver {
    delivery: Arc<Delivery>,
    lock: PathBuf,
    done: watch::Sender<Seq>,
    wanted: watch::Receiver<Seq>,
}

impl Driver {
    async fn run(mut self, stop: CancellationToken) {
        let mut appended = self.delivery.log().appended();
        let mut commits = self.delivery.log().commits();
        loop {
            appended.mark_unchanged();
            // What others commit before the round, the round sees.
            commits = commits.resubscribe();
            let all_well = self.round().await;
            let at_latest = if all_well { LATEST } else { RETRY };
            let more = async {
                tokio::select! {
                    changed = appended.changed() => {
                        self.linger().await;
                        changed.is_ok()
                    }
                    // Another process may die between its commit and its own round.
                    () = their_turn(&mut commits) => true,
                    () = tokio::time::sleep(at_latest) => true,
                }
            };
            if stop.run_until_cancelled(more).await != Some(true) {
                return;
            }
        }
    }

    /// Waits for more, but not when somebody waits for what there is.
    async fn linger(&mut self) {
        let done = *self.done.borrow();
        let wanted = self.wanted.wait_for(|wanted| *wanted > done);
        // Its end is no different from the time's.
        let _hurried = tokio::time::timeout(LINGER, wanted).await;
    }

    /// Brings every consumer to the end of the log. False when one of them could not follow.
    async fn round(&self) -> bool {
        let _lock = match FileLock::hold(&self.lock).await {
            Ok(lock) => lock,
            Err(error) => {
                tracing::error!(%error, path = %self.lock.display(), "the consumers' lock");
                return false;
            }
        };
        match self.delivery.to_the_end().await {
            Ok(reached) => {
                if let Some(head) = reached {
                    self.done.send_replace(head);
                }
                reached.is_some()
            }
            Err(error) => {
                tracing::error!(cause = armor_core::error::chain(&error), "will be tried again");
                false
            }
        }
    }
}

/// Waits for a commit of another process, and leaves it the time to run its own round.
async fn their_turn(commits: &mut broadcast::Receiver<Commit>) {
    loop {
        match commits.recv().await {
            Ok(Commit::Theirs) => return tokio::time::sleep(THEIR_TURN).await,
            Ok(Commit::Ours(_)) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
