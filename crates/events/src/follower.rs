//! Following the log from any place of it, without a gap or a double (R31).

use std::collections::VecDeque;
use std::sync::Arc;

use armor_core::event::{Event, EventLog, LogError, Seq, Stored};
use armor_core::id::TaskId;
use armor_core::time::Timestamp;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::Pattern;

/// How many events are read from the log at a time.
const BATCH: u32 = 512;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is committed from now on.
    Now,
    /// With the last so many events that are selected.
    Last(u32),
    /// With the events of this moment and later.
    Since(Timestamp),
    /// Behind this place.
    After(Seq),
}

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// By name.
    pub pattern: Pattern,
    /// Of this task alone.
    pub task: Option<TaskId>,
}

impl Selection {
    /// Every event.
    pub const ALL: Self = Self { pattern: Pattern::ALL, task: None };

    fn wants(&self, event: &Event) -> bool {
        self.pattern.matches(event.name())
            && self.task.as_ref().is_none_or(|task| event.task() == Some(task))
    }
}

/// Reads the log from a place on, and goes on with what is committed. What it misses while it is
/// slow, it reads from the log.
#[derive(Debug)]
pub struct Follower {
    log: Arc<dyn EventLog>,
    live: broadcast::Receiver<Arc<Event>>,
    selection: Selection,
    /// The newest event that was given or passed over.
    position: Seq,
    read: VecDeque<Stored>,
    /// Whether the log may have more than what was read of it.
    behind: bool,
}

impl Follower {
    /// `live` has to be subscribed already: what it will have is not replayed.
    pub(crate) async fn start(
        log: Arc<dyn EventLog>,
        live: broadcast::Receiver<Arc<Event>>,
        selection: Selection,
        from: Start,
    ) -> Result<Self, LogError> {
        let position = match from {
            Start::Now => log.head().await?,
            Start::After(seq) => seq,
            Start::Since(at) => log.before(at).await?,
            Start::Last(count) => before_the_last(log.as_ref(), &selection, count).await?,
        };
        let (read, behind) = (VecDeque::new(), from != Start::Now);
        Ok(Self { log, live, selection, position, read, behind })
    }

    /// Waits for the next event that is selected; none when the bus is gone.
    ///
    /// # Errors
    /// When the log cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Result<Option<Arc<Event>>, LogError> {
        loop {
            if let Some(event) = self.stored().await? {
                return Ok(Some(event));
            }
            match self.live.recv().await {
                Ok(event) if event.seq <= self.position => {}
                Ok(event) if event.seq.0 == self.position.0 + 1 => {
                    self.position = event.seq;
                    if self.selection.wants(&event) {
                        return Ok(Some(event));
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// The next event that the log has already; none when all of it was given.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn stored(&mut self) -> Result<Option<Arc<Event>>, LogError> {
        loop {
            while let Some(stored) = self.read.pop_front() {
                match stored {
                    Ok(event) => {
                        self.position = event.seq;
                        if self.selection.wants(&event) {
                            return Ok(Some(Arc::new(event)));
                        }
                    }
                    Err(damaged) => {
                        tracing::error!(%damaged, "it is passed over");
                        self.position = damaged.seq;
                    }
                }
            }
            if !self.behind {
                return Ok(None);
            }
            // Up to here the log was read, also where it has nothing of the task.
            let head = match self.selection.task {
                Some(_) => self.log.head().await?,
                None => self.position,
            };
            let of = self.selection.task.as_ref();
            self.read = self.log.read_after(self.position, BATCH, of).await?.into();
            self.behind = !self.read.is_empty();
            if !self.behind {
                self.position = self.position.max(head);
            }
        }
    }
}

/// The place before the last `count` events that are selected.
async fn before_the_last(
    log: &dyn EventLog,
    selection: &Selection,
    count: u32,
) -> Result<Seq, LogError> {
    let mut place = log.head().await?;
    let mut left = count;
    while left > 0 && place > Seq::START {
        let of = selection.task.as_ref();
        let batch = log.read_before(Seq(place.0 + 1), BATCH, of).await?;
        if batch.is_empty() {
            return Ok(Seq::START);
        }
        for stored in batch {
            let (seq, wanted) = match &stored {
                Ok(event) => (event.seq, selection.wants(event)),
                Err(damaged) => (damaged.seq, false),
            };
            place = Seq(seq.0 - 1);
            left -= u32::from(wanted);
            if left == 0 {
                break;
            }
        }
    }
    Ok(place)
}
