//! The log as its consumers see it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use crate::error::{Code, Diagnostic};
use crate::event::{DeadLetter, DeadLetterId, Event, Seq};
use crate::id::TaskId;
use crate::time::Timestamp;

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

/// An event as the log has it, or what is left of it.
pub type Stored = Result<Event, DamagedEvent>;

/// An event whose row was damaged. The others can be read all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} is damaged: {reason}")]
pub struct DamagedEvent {
    /// Its place in the log.
    pub seq: Seq,
    /// What is wrong with it.
    pub reason: String,
}

/// News of the log, for who follows it closely.
#[derive(Debug, Clone)]
pub enum Commit {
    /// This process has committed these, in order.
    Ours(Arc<[Arc<Event>]>),
    /// Another process has committed something: the log has it.
    Theirs,
}

/// The event log: read in order, followed with a cursor.
///
/// Events become visible in the order of their sequence numbers: whoever has seen number `n` has
/// seen everything up to it.
#[async_trait]
pub trait EventLog: Send + Sync + std::fmt::Debug {
    /// Up to `limit` events after `after`, in order; `of` a task alone, if one is given.
    async fn read_after(
        &self,
        after: Seq,
        limit: u32,
        of: Option<&TaskId>,
    ) -> Result<Vec<Stored>, LogError>;

    /// Up to `limit` events before `before`, the newest first; `of` a task alone, if one is given.
    async fn read_before(
        &self,
        before: Seq,
        limit: u32,
        of: Option<&TaskId>,
    ) -> Result<Vec<Stored>, LogError>;

    /// The place before the first event of the moment `at` or later.
    async fn before(&self, at: Timestamp) -> Result<Seq, LogError>;

    /// The newest event's place.
    async fn head(&self) -> Result<Seq, LogError>;

    /// How far `consumer` has come. [`Seq::START`] for one that is new.
    async fn cursor(&self, consumer: ConsumerName) -> Result<Seq, LogError>;

    /// Notes that `consumer` begins at this place, if it never followed the log before.
    async fn begin(&self, consumer: ConsumerName, at: Seq) -> Result<(), LogError>;

    /// Notes up to where each of these consumers has dealt with everything. A cursor never goes
    /// back.
    async fn advance(&self, cursors: &[(ConsumerName, Seq)]) -> Result<(), LogError>;

    /// Keeps a dead letter, and moves its consumer on behind the event, as one.
    async fn bury(&self, letter: &DeadLetter) -> Result<(), LogError>;

    /// The dead letters, the newest first.
    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, LogError>;

    /// The dead letter of this name.
    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, LogError>;

    /// Forgets a dead letter. False when there is none of this name.
    async fn forget(&self, id: &DeadLetterId) -> Result<bool, LogError>;

    /// Shows the newest event that this process has appended, as it is committed.
    fn appended(&self) -> watch::Receiver<Seq>;

    /// Gives news of every commit, from now on. Who falls behind has missed nothing that the log
    /// does not have.
    fn commits(&self) -> broadcast::Receiver<Commit>;
}
