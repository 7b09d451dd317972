//! Subscribers in this process (R30).
//!
//! The bus hands every event to all subscribers, in the order of the log: what this process commits
//! as it is committed, what others commit as soon as the log tells of it. A queue holds [`QUEUE`]
//! events. A [`Subscription`] that falls further behind is told how many it missed and goes on with
//! the oldest that is still there; a [`Follower`] reads what it missed from the log.

use std::sync::Arc;
use std::time::Duration;

use armor_core::event::{Commit, Event, EventLog, LogError, Seq};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Follower, Pattern, Selection, Start};

/// How many events a subscriber may be behind.
const QUEUE: usize = 1024;
/// How many events are read from the log at a time.
const BATCH: u32 = 256;
/// How long to wait before a log that could not be read is read again.
const RETRY: Duration = Duration::from_secs(1);

/// Hands events to subscribers in this process.
#[derive(Debug)]
pub struct Bus {
    log: Arc<dyn EventLog>,
    sender: broadcast::Sender<Arc<Event>>,
    stopped: CancellationToken,
    _stop_feeding: DropGuard,
}

/// A subscriber's end. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    pattern: Pattern,
    receiver: broadcast::Receiver<Arc<Event>>,
}

/// So many events went by while the subscriber's queue was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed")]
pub struct Missed(pub u64);

/// A subscription that ends with its first event.
#[derive(Debug)]
pub struct Once(Follower);

impl Once {
    /// Waits for the event; none when the bus is gone.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn event(mut self) -> Result<Option<Arc<Event>>, LogError> {
        self.0.next().await
    }
}

impl Bus {
    /// Begins to follow the log, from its present end.
    ///
    /// # Errors
    /// When the log's end cannot be read.
    pub async fn start(log: Arc<dyn EventLog>) -> Result<Self, LogError> {
        let (sender, _) = broadcast::channel(QUEUE);
        let stopped = CancellationToken::new();
        // Before the end is read, so that nothing falls in between.
        let commits = log.commits();
        let feed = Feed {
            seen: log.head().await?,
            log: log.clone(),
            sender: sender.clone(),
            stopped: stopped.clone(),
        };
        let until = stopped.clone();
        tokio::spawn(async move { until.run_until_cancelled(feed.run(commits)).await });
        Ok(Self { log, sender, _stop_feeding: stopped.clone().drop_guard(), stopped })
    }

    /// Reads the log no more, which is about to be closed. Subscribers hear nothing further.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    /// Subscribes to the events that match, from now on.
    pub fn subscribe(&self, pattern: Pattern) -> Subscription {
        Subscription { pattern, receiver: self.sender.subscribe() }
    }

    /// Subscribes to one event that matches, from now on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn once(&self, pattern: Pattern) -> Result<Once, LogError> {
        let selection = Selection { pattern, task: None };
        Ok(Once(self.follow(Start::Now, selection).await?))
    }

    /// Replays the log from a place, then goes on live, without a gap or a double (R31).
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn follow(&self, from: Start, selection: Selection) -> Result<Follower, LogError> {
        Follower::start(self.log.clone(), self.sender.subscribe(), selection, from).await
    }
}

/// Brings the log to the subscribers.
struct Feed {
    log: Arc<dyn EventLog>,
    sender: broadcast::Sender<Arc<Event>>,
    /// The newest event that was handed on.
    seen: Seq,
    stopped: CancellationToken,
}

impl Feed {
    async fn run(mut self, mut commits: broadcast::Receiver<Commit>) {
        loop {
            match commits.recv().await {
                Ok(Commit::Ours(events)) => self.hand_on(&events).await,
                Ok(Commit::Theirs) | Err(RecvError::Lagged(_)) => self.catch_up().await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Hands on what was committed here, and before it what was committed elsewhere.
    async fn hand_on(&mut self, events: &[Arc<Event>]) {
        match events.first() {
            Some(first) if first.seq.0 == self.seen.0 + 1 => {
                for event in events {
                    self.send(Arc::clone(event));
                }
            }
            Some(first) if first.seq > self.seen => self.catch_up().await,
            // It was read from the log already.
            _ => {}
        }
    }

    async fn catch_up(&mut self) {
        loop {
            match self.log.read_after(self.seen, BATCH, None).await {
                Ok(events) if events.is_empty() => return,
                Ok(events) => {
                    for stored in events {
                        match stored {
                            Ok(event) => self.send(Arc::new(event)),
                            Err(damaged) => {
                                tracing::error!(%damaged, "it is passed over");
                                self.seen = damaged.seq;
                            }
                        }
                    }
                }
                // It was asked while the log was closed.
                Err(_) if self.stopped.is_cancelled() => return,
                Err(error) => {
                    let cause = armor_core::error::chain(&error);
                    tracing::error!(cause, "the event bus could not read the log");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn send(&mut self, event: Arc<Event>) {
        self.seen = event.seq;
        // An error says that nobody listens now.
        let _heard = self.sender.send(event);
    }
}

impl Subscription {
    /// Waits for the next event that matches; none when the bus is gone.
    ///
    /// # Errors
    /// [`Missed`] when the queue ran over; the next call goes on behind the gap.
    pub async fn next(&mut self) -> Result<Option<Arc<Event>>, Missed> {
        loop {
            match self.receiver.recv().await {
                Ok(event) if self.pattern.matches(event.name()) => return Ok(Some(event)),
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => return Err(Missed(count)),
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }
}
