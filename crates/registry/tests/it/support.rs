//! A registry in a folder of its own, and tasks to put into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Durability;
use armor_core::id::{AgentId, IdSource, RandomIds};
use armor_core::task::{Task, TaskRequest};
use armor_core::time::{Clock, ManualClock, Timestamp};
use armor_registry::SqliteRegistry;

pub(crate) struct Home {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    ids: Arc<RandomIds>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000))),
            ids: Arc::new(RandomIds::default()),
        }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("armor.db")
    }

    pub(crate) async fn open(&self) -> SqliteRegistry {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<SqliteRegistry, armor_registry::RegistryError> {
        let (clock, ids) = (self.clock.clone(), self.ids.clone());
        SqliteRegistry::open(&self.path(), Durability::Full, clock, ids).await
    }

    /// A new task, made a second after the one before.
    pub(crate) fn task(&self, name: &str) -> Task {
        self.clock.advance(Duration::from_secs(1));
        let now = self.clock.now();
        Task::new(self.ids.task_id(now), TaskRequest::named(name.parse().unwrap()), now)
    }
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}
