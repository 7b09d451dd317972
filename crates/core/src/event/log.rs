//! The log as its consumers see it.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::error::{Code, Diagnostic};
use crate::event::{Event, Seq};

/// The name under which a consumer's cursor is kept.
pub type ConsumerName = &'static str;

/// The log could not be read, or a cursor not be kept.
#[derive(Debug, thiserror::Error)]
#[error("the event log could not {action}")]
pub struct LogError {
    /// What was tried, as a verb with its object.
    pub action: &'static str,
    /// The code of the failure underneath.
    pub code: Code,
    /// The failure underneath.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Diagnostic for LogError {
    fn code(&self) -> Code {
        self.code
    }
}

/// The event log: read in order, followed with a cursor.
///
/// Events become visible in the order of their sequence numbers: whoever has seen number `n` has
/// seen everything up to it.
#[async_trait]
pub trait EventLog: Send + Sync + std::fmt::Debug {
    /// Up to `limit` events after `after`, in order.
    async fn read_after(&self, after: Seq, limit: u32) -> Result<Vec<Event>, LogError>;

    /// The newest event's place.
    async fn head(&self) -> Result<Seq, LogError>;

    /// How far `consumer` has come. [`Seq::START`] for one that is new.
    async fn cursor(&self, consumer: ConsumerName) -> Result<Seq, LogError>;

    /// Notes that `consumer` has dealt with everything up to `to`. A cursor never goes back.
    async fn advance(&self, consumer: ConsumerName, to: Seq) -> Result<(), LogError>;

    /// Shows the newest event that this process has appended, as it is committed.
    fn appended(&self) -> watch::Receiver<Seq>;
}
