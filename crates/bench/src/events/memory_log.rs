//! A log that is told of commits and keeps none: what is left of emitting without a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use armor_core::event::{
    Commit, DeadLetter, DeadLetterId, Event, EventLog, LogError, Seq, Stored, Subject,
};
use armor_core::id::{IdSource, RandomIds, TaskId};
use armor_core::time::{Clock, SystemClock, Timestamp};
use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

/// Tells of commits that nobody makes.
#[derive(Debug)]
pub(super) struct MemoryLog {
    commits: broadcast::Sender<Commit>,
    appended: watch::Sender<Seq>,
    next: AtomicU64,
}

impl MemoryLog {
    pub(super) fn new() -> Self {
        let (commits, appended) = (broadcast::channel(1024).0, watch::channel(Seq::START).0);
        Self { commits, appended, next: AtomicU64::new(1) }
    }

    /// The next events of the log, which nobody has been told of.
    pub(super) fn next(&self, count: usize) -> Arc<[Arc<Event>]> {
        let (ids, at) = (RandomIds::default(), SystemClock.now());
        let event = |_| {
            let seq = Seq(self.next.fetch_add(1, Ordering::Relaxed));
            let subject = Subject::Task { task: ids.task_id(at), task_seq: 1 };
            Arc::new(Event { seq, id: ids.event_id(at), subject, at, payload: super::fact() })
        };
        (0..count).map(event).collect()
    }

    pub(super) fn tell(&self, events: Arc<[Arc<Event>]>) {
        // An error says that nobody listens.
        let _heard = self.commits.send(Commit::Ours(events));
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn read_after(
        &self,
        _: Seq,
        _: u32,
        _: Option<&TaskId>,
    ) -> Result<Vec<Stored>, LogError> {
        Ok(Vec::new())
    }

    async fn read_before(
        &self,
        _: Seq,
        _: u32,
        _: Option<&TaskId>,
    ) -> Result<Vec<Stored>, LogError> {
        Ok(Vec::new())
    }

    async fn before(&self, _: Timestamp) -> Result<Seq, LogError> {
        Ok(Seq::START)
    }

    async fn head(&self) -> Result<Seq, LogError> {
        Ok(Seq::START)
    }

    async fn cursor(&self, _: &'static str) -> Result<Seq, LogError> {
        Ok(Seq::START)
    }

    async fn begin(&self, _: &'static str, _: Seq) -> Result<(), LogError> {
        Ok(())
    }

    async fn advance(&self, _: &[(&'static str, Seq)]) -> Result<(), LogError> {
        Ok(())
    }

    async fn bury(&self, _: &DeadLetter) -> Result<(), LogError> {
        Ok(())
    }

    async fn dead_letters(&self, _: u32) -> Result<Vec<DeadLetter>, LogError> {
        Ok(Vec::new())
    }

    async fn dead_letter(&self, _: &DeadLetterId) -> Result<Option<DeadLetter>, LogError> {
        Ok(None)
    }

    async fn forget(&self, _: &DeadLetterId) -> Result<bool, LogError> {
        Ok(false)
    }

    fn appended(&self) -> watch::Receiver<Seq> {
        self.appended.subscribe()
    }

    fn commits(&self) -> broadcast::Receiver<Commit> {
        self.commits.subscribe()
    }
}
