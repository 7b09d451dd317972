//! A registry in a folder of its own.

use std::path::PathBuf;
use std::sync::Arc;

use armor_core::config::Durability;
use armor_core::id::{IdSource, RandomIds};
use armor_core::task::{Task, TaskRequest};
use armor_core::time::{Clock, SystemClock};
use armor_registry::{Registry, SqliteRegistry};

pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Registry> {
        let database = self.database();
        let ids = Arc::new(RandomIds::default());
        Arc::new(
            SqliteRegistry::open(&database, Durability::Full, Arc::new(SystemClock), ids)
                .await
                .unwrap(),
        )
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("armor.db")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.path().join("consumers.lock")
    }
}

pub(crate) fn task() -> Task {
    let now = SystemClock.now();
    let request = TaskRequest::named("a task".parse().unwrap());
    Task::new(RandomIds::default().task_id(now), request, now)
}
