//! Who follows the log with a stored cursor.

use async_trait::async_trait;

use crate::event::{ConsumerName, Event};

/// Why a consumer could not deal with events. They are given to it again later.
#[derive(Debug, thiserror::Error)]
#[error("{consumer} could not {action}")]
pub struct ConsumerError {
    /// Which consumer.
    pub consumer: ConsumerName,
    /// What it tried.
    pub action: String,
    /// Why it failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
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
