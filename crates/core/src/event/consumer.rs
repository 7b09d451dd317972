//! Who follows the log with a stored cursor.

use async_trait::async_trait;

use crate::error::{Code, Diagnostic};
use crate::event::{ConsumerName, Event};

/// Why a consumer could not deal with events.
#[derive(Debug, thiserror::Error)]
#[error("{consumer} could not {action}")]
pub struct ConsumerError {
    /// Which consumer.
    pub consumer: ConsumerName,
    /// What it tried.
    pub action: String,
    /// What is to blame.
    pub fault: Fault,
    /// Why it failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ConsumerError {
    /// A failure underneath, whose code says what is to blame.
    pub fn new(
        consumer: ConsumerName,
        action: impl Into<String>,
        source: impl Diagnostic + Send + Sync + 'static,
    ) -> Self {
        let fault = Fault::of(source.code());
        Self { consumer, action: action.into(), fault, source: Box::new(source) }
    }
}

/// What is to blame for a consumer's failure, and so what is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Something that every event would fail on, and that passes: a full disk, an engine that is
    /// away. The events are given again for as long as it takes.
    Surroundings,
    /// The event itself. It is given some times more, and then becomes a dead letter, so that it
    /// does not keep up the events behind it.
    Event,
}

impl Fault {
    /// What a failure of this code is to be blamed on.
    pub const fn of(code: Code) -> Self {
        match code {
            // Other rows can be read, and will be.
            Code::DatabaseCorrupt => Self::Event,
            _ => Self::Surroundings,
        }
    }
}

/// A consumer of the event log: state.json, the audit log, whatever removes what a task leaves.
///
/// It is given every event at least once, in order; after a crash perhaps again. Applying an event
/// twice must do no harm. Only one process at a time applies events of one home, and the consumers
/// are called one after the other, in the order in which they were registered.
#[async_trait]
pub trait Consumer: Send + Sync + std::fmt::Debug {
    /// The name under which its cursor is kept. Never changed once released.
    fn name(&self) -> ConsumerName;

    /// Deals with events. When it returns well, what it did is durable.
    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError>;
}
