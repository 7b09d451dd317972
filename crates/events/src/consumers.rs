//! Drives the durable consumers of the log.
//!
//! A round gives each consumer, one after the other, what lies behind its cursor, and moves the
//! cursor on when the consumer says that it is done. A round runs after each commit of this
//! process and once at the start, which is how consumers catch up after a crash. Of several
//! processes with the same home, the one that holds the lock's file runs the round; the others
//! wait for the lock and find their events dealt with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use armor_core::event::{Consumer, EventLog, LogError, Seq};
use armor_core::file_lock::FileLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many events a consumer is given at a time.
const BATCH: u32 = 100;
/// How long to wait before a failed consumer is tried again, when nothing new comes.
const RETRY: Duration = Duration::from_secs(1);
/// How long a round may be away when this process commits nothing.
const LATEST: Duration = Duration::from_secs(30);

/// The running consumers of a home.
#[derive(Debug)]
pub struct Consumers {
    /// Up to where every consumer has dealt with the log.
    done: watch::Receiver<Seq>,
    stop: CancellationToken,
    running: TaskTracker,
}

impl Consumers {
    /// Starts to drive `consumers`, in this order. `lock` is a file that all processes with this
    /// home name alike.
    pub fn start(log: Arc<dyn EventLog>, consumers: Vec<Arc<dyn Consumer>>, lock: PathBuf) -> Self {
        let (done, seen) = watch::channel(Seq::START);
        let stop = CancellationToken::new();
        let driver = Driver { log, consumers, lock, done };
        let running = TaskTracker::new();
        running.spawn(driver.run(stop.clone()));
        running.close();
        Self { done: seen, stop, running }
    }

    /// Waits until every consumer has dealt with everything up to `seq`, at most for `limit`.
    /// False when the time ran out; the consumers go on all the same.
    pub async fn caught_up(&self, seq: Seq, limit: Duration) -> bool {
        let mut done = self.done.clone();
        let reached = tokio::time::timeout(limit, done.wait_for(|done| *done >= seq)).await;
        matches!(reached, Ok(Ok(_)))
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
    log: Arc<dyn EventLog>,
    consumers: Vec<Arc<dyn Consumer>>,
    lock: PathBuf,
    done: watch::Sender<Seq>,
}

impl Driver {
    async fn run(self, stop: CancellationToken) {
        let mut appended = self.log.appended();
        loop {
            appended.mark_unchanged();
            let all_well = self.round().await;
            // Another process may have committed something and died before its own round.
            let at_latest = if all_well { LATEST } else { RETRY };
            let more = async {
                tokio::select! {
                    changed = appended.changed() => changed.is_ok(),
                    () = tokio::time::sleep(at_latest) => true,
                }
            };
            if stop.run_until_cancelled(more).await != Some(true) {
                return;
            }
        }
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
        match self.bring_all_to_the_end().await {
            Ok(all_well) => all_well,
            Err(error) => {
                tracing::error!(cause = armor_core::error::chain(&error), "will be tried again");
                false
            }
        }
    }

    async fn bring_all_to_the_end(&self) -> Result<bool, LogError> {
        // Up to here and no further, or a busy log would keep the later consumers waiting.
        let head = self.log.head().await?;
        let mut all_well = true;
        for consumer in &self.consumers {
            if let Err(error) = self.catch_up(consumer.as_ref(), head).await {
                let cause = armor_core::error::chain(error.as_ref());
                tracing::error!(consumer = consumer.name(), cause, "will be tried again");
                all_well = false;
            }
        }
        if all_well {
            self.done.send_replace(head);
        }
        Ok(all_well)
    }

    async fn catch_up(
        &self,
        consumer: &dyn Consumer,
        head: Seq,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut cursor = self.log.cursor(consumer.name()).await?;
        while cursor < head {
            let events = self.log.read_after(cursor, BATCH).await?;
            let Some(last) = events.last() else { break };
            consumer.apply(&events).await?;
            self.log.advance(consumer.name(), last.seq).await?;
            cursor = last.seq;
        }
        Ok(())
    }
}
