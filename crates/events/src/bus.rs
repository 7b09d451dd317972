//! Subscribers in this process (R30).
//!
//! The bus reads the log behind each commit and hands every event to all subscribers, in the order
//! of the log. A queue holds [`QUEUE`] events; a subscriber that falls further behind is told how
//! many it missed and goes on with the oldest that is still there. It can read the missed ones
//! from the log.

use std::sync::Arc;

use armor_core::event::{Event, EventLog, LogError, Seq};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Pattern;

/// How many events a subscriber may be behind.
const QUEUE: usize = 1024;
/// How many events are read from the log at a time.
const BATCH: u32 = 256;

/// Hands events to subscribers in this process.
#[derive(Debug)]
pub struct Bus {
    sender: broadcast::Sender<Arc<Event>>,
    _stop_with_the_bus: DropGuard,
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

impl Bus {
    /// Begins to follow the log, from its present end.
    ///
    /// # Errors
    /// When the log's end cannot be read.
    pub async fn start(log: Arc<dyn EventLog>) -> Result<Self, LogError> {
        let (sender, _) = broadcast::channel(QUEUE);
        let stopped = CancellationToken::new();
        let head = log.head().await?;
        let feed = feed(log, head, sender.clone());
        let until = stopped.clone();
        tokio::spawn(async move { until.run_until_cancelled(feed).await });
        Ok(Self { sender, _stop_with_the_bus: stopped.drop_guard() })
    }

    /// Subscribes to the events that match, from now on.
    pub fn subscribe(&self, pattern: Pattern) -> Subscription {
        Subscription { pattern, receiver: self.sender.subscribe() }
    }
}

async fn feed(log: Arc<dyn EventLog>, head: Seq, sender: broadcast::Sender<Arc<Event>>) {
    let mut appended = log.appended();
    let mut seen = head;
    loop {
        match log.read_after(seen, BATCH).await {
            Ok(events) if events.is_empty() => {
                // An error says that the registry is gone, and with it the log.
                if appended.changed().await.is_err() {
                    return;
                }
            }
            Ok(events) => {
                for event in events {
                    seen = event.seq;
                    // An error says that nobody listens now.
                    let _heard = sender.send(Arc::new(event));
                }
            }
            Err(error) => {
                tracing::error!(%error, "the event bus could not read the log");
                if appended.changed().await.is_err() {
                    return;
                }
            }
        }
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
