//! Giving events to consumers: in batches, one by one where a batch fails, and no more where one
//! event has failed too often.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use armor_core::error::{Code, Diagnostic, chain};
use armor_core::event::{
    Consumer, ConsumerError, ConsumerName, DeadLetter, DeadLetterId, Event, EventLog, Fault,
    LogError, Seq, Stored,
};
use armor_core::time::Clock;
use futures_util::FutureExt;

use crate::Lag;

/// How many events a consumer is given at a time.
const BATCH: u32 = 100;
/// How often an event is given to a consumer that fails on it.
const TRIES: u32 = 5;

/// A dead letter could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is none of this name.
    #[error("there is no dead letter {0}")]
    NotFound(DeadLetterId),
    /// Its consumer is none of this program's.
    #[error("this program has no consumer `{0}`")]
    NoConsumer(String),
    /// Its event cannot be read.
    #[error("event {0} cannot be read")]
    Unreadable(Seq),
    /// The consumer failed again.
    #[error(transparent)]
    Consumer(ConsumerError),
    /// Others could not be kept from delivering at the same time.
    #[error("the consumers' lock could not be taken")]
    Lock(#[source] std::io::Error),
    /// The log could not be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Diagnostic for RetryError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => Code::DeadLetterNotFound,
            Self::NoConsumer(_) | Self::Unreadable(_) | Self::Consumer(_) => Code::DeadLetterFailed,
            Self::Lock(_) => Code::StorageFailed,
            Self::Log(error) => error.code(),
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(_) => "`armor dlq list` shows those there are.".to_owned(),
            Self::NoConsumer(_) | Self::Unreadable(_) => {
                "If nothing can be done about it, `armor dlq purge` forgets it.".to_owned()
            }
            Self::Consumer(_) => {
                "Put right what the message says and retry, or forget it with `armor dlq purge`."
                    .to_owned()
            }
            Self::Lock(_) => "Look at the permissions and the disk of the home.".to_owned(),
            Self::Log(error) => return error.next_step(),
        })
    }
}

/// The consumers of a home, and what is known of their failures.
#[derive(Debug)]
pub(crate) struct Delivery {
    log: Arc<dyn EventLog>,
    consumers: Vec<Arc<dyn Consumer>>,
    clock: Arc<dyn Clock>,
    /// How often the event behind each consumer's cursor has failed. Written by rounds alone.
    failures: Mutex<HashMap<ConsumerName, (Seq, u32)>>,
}

/// How far a consumer came.
#[derive(Debug, Clone, Copy)]
struct Came {
    to: Seq,
    /// Whether it did not fail on the event behind that.
    is_well: bool,
}

impl Delivery {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        consumers: Vec<Arc<dyn Consumer>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { log, consumers, clock, failures: Mutex::default() }
    }

    pub(crate) fn log(&self) -> &dyn EventLog {
        self.log.as_ref()
    }

    pub(crate) async fn lag(&self) -> Result<Vec<Lag>, LogError> {
        let head = self.log.head().await?;
        let mut lags = Vec::with_capacity(self.consumers.len());
        for consumer in &self.consumers {
            let cursor = self.log.cursor(consumer.name()).await?;
            let events = head.0.saturating_sub(cursor.0);
            lags.push(Lag { consumer: consumer.name(), cursor, events });
        }
        Ok(lags)
    }

    /// Brings every consumer to the end that the log has now, and says where that is; none when
    /// one of them could not follow.
    pub(crate) async fn to_the_end(&self) -> Result<Option<Seq>, LogError> {
        // Up to here and no further, or a busy log would keep the later consumers waiting.
        let head = self.log.head().await?;
        // Of all consumers at once, since that is on the disk only once.
        let mut reached = Vec::new();
        let all_well = self.each_to(head, &mut reached).await;
        if !reached.is_empty() {
            self.log.advance(&reached).await?;
        }
        Ok(all_well?.then_some(head))
    }

    /// Brings one consumer after the other up to `head`, and notes how far it came. False when one of
    /// them could not follow.
    async fn each_to(
        &self,
        head: Seq,
        reached: &mut Vec<(ConsumerName, Seq)>,
    ) -> Result<bool, LogError> {
        let mut all_well = true;
        for consumer in &self.consumers {
            let begun = self.log.cursor(consumer.name()).await?;
            let came = self.catch_up(consumer.as_ref(), begun, head).await?;
            all_well &= came.is_well;
            if came.to > begun {
                reached.push((consumer.name(), came.to));
            }
        }
        Ok(all_well)
    }

    async fn catch_up(
        &self,
        consumer: &dyn Consumer,
        begun: Seq,
        head: Seq,
    ) -> Result<Came, LogError> {
        let mut came = Came { to: begun, is_well: true };
        while came.is_well && came.to < head {
            let batch = self.log.read_after(came.to, BATCH, None).await?;
            let Some(end) = batch.last().map(place) else { break };
            came = self.deliver(consumer, batch, came).await?;
            if came.to < head && came.to == end {
                // There is much to catch up with: that is not to be done again.
                self.log.advance(&[(consumer.name(), end)]).await?;
            }
        }
        Ok(came)
    }

    /// Gives a batch to a consumer that has come so far, as a whole if that goes well.
    async fn deliver(
        &self,
        consumer: &dyn Consumer,
        batch: Vec<Stored>,
        mut came: Came,
    ) -> Result<Came, LogError> {
        let events: Vec<_> = batch.iter().filter_map(|stored| stored.as_ref().ok()).collect();
        if events.len() == batch.len() {
            let events: Vec<Event> = events.into_iter().cloned().collect();
            if apply(consumer, &events).await.is_ok() {
                let to = batch.last().map_or(came.to, place);
                return Ok(Came { to, is_well: true });
            }
        }
        for stored in batch {
            let to = place(&stored);
            if !self.deliver_one(consumer, stored).await? {
                return Ok(Came { is_well: false, ..came });
            }
            came.to = to;
        }
        Ok(came)
    }

    /// False when the event is to be given again.
    async fn deliver_one(&self, consumer: &dyn Consumer, stored: Stored) -> Result<bool, LogError> {
        let name = consumer.name();
        let event = match stored {
            Ok(event) => event,
            Err(damaged) => {
                self.bury(name, damaged.seq, damaged.to_string(), 0).await?;
                return Ok(true);
            }
        };
        let Err(error) = apply(consumer, std::slice::from_ref(&event)).await else {
            return Ok(true);
        };
        let reason = chain(&error);
        let tries = match error.fault {
            Fault::Surroundings => 0,
            Fault::Event => self.count_failure(name, event.seq),
        };
        if tries >= TRIES {
            self.bury(name, event.seq, reason, tries).await?;
            return Ok(true);
        }
        tracing::error!(consumer = name, event = %event.seq, reason, "will be tried again");
        Ok(false)
    }

    fn count_failure(&self, consumer: ConsumerName, seq: Seq) -> u32 {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (failed, tries) = failures.entry(consumer).or_insert((seq, 0));
        if *failed != seq {
            (*failed, *tries) = (seq, 0);
        }
        *tries += 1;
        *tries
    }

    async fn bury(
        &self,
        consumer: ConsumerName,
        seq: Seq,
        reason: String,
        tries: u32,
    ) -> Result<(), LogError> {
        let id = DeadLetterId { consumer: consumer.to_owned(), seq };
        tracing::error!(letter = %id, reason, "given up: `armor dlq list` shows it");
        let at = self.clock.now();
        self.log.bury(&DeadLetter { id, reason, tries, at }).await
    }

    pub(crate) async fn retry(&self, id: &DeadLetterId) -> Result<DeadLetter, RetryError> {
        let letter = self.log.dead_letter(id).await?;
        let letter = letter.ok_or_else(|| RetryError::NotFound(id.clone()))?;
        let consumer = self.consumers.iter().find(|consumer| consumer.name() == id.consumer);
        let consumer = consumer.ok_or_else(|| RetryError::NoConsumer(id.consumer.clone()))?;
        let stored = self.log.read_after(Seq(id.seq.0.saturating_sub(1)), 1, None).await?;
        let Some(Ok(event)) = stored.into_iter().next() else {
            return Err(RetryError::Unreadable(id.seq));
        };
        apply(consumer.as_ref(), std::slice::from_ref(&event))
            .await
            .map_err(RetryError::Consumer)?;
        self.log.forget(id).await?;
        Ok(letter)
    }
}

fn place(stored: &Stored) -> Seq {
    match stored {
        Ok(event) => event.seq,
        Err(damaged) => damaged.seq,
    }
}

/// Gives events to a consumer. A panic is a failure like others, with the event to blame.
async fn apply(consumer: &dyn Consumer, events: &[Event]) -> Result<(), ConsumerError> {
    let applied = AssertUnwindSafe(consumer.apply(events)).catch_unwind().await;
    applied.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(ConsumerError {
            consumer: consumer.name(),
            action: "finish".to_owned(),
            fault: Fault::Event,
            source: message.unwrap_or_else(|| "it panicked".to_owned()).into(),
        })
    })
}
