//! A home with a registry and the folders beside it.

use std::sync::Arc;

use armor_core::config::Durability;
use armor_core::event::{Event, Seq};
use armor_core::id::{IdSource, RandomIds};
use armor_core::task::{Task, TaskRequest};
use armor_core::time::{Clock, SystemClock};
use armor_persistence::TaskFolders;
use armor_registry::{Registry, SqliteRegistry};

pub(crate) struct Home {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) folders: TaskFolders,
    ids: Arc<RandomIds>,
    _folder: tempfile::TempDir,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ids = Arc::new(RandomIds::default());
        let database = folder.path().join("armor.db");
        let registry =
            SqliteRegistry::open(&database, Durability::Full, Arc::new(SystemClock), ids.clone());
        Self {
            registry: Arc::new(registry.await.unwrap()),
            folders: TaskFolders::open(folder.path()).unwrap(),
            ids,
            _folder: folder,
        }
    }

    pub(crate) async fn task(&self, name: &str) -> Task {
        let now = SystemClock.now();
        let task = Task::new(self.ids.task_id(now), TaskRequest::named(name.parse().unwrap()), now);
        self.registry.create(&task).await.unwrap();
        task
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let stored = self.registry.read_after(Seq::START, 10_000, None).await.unwrap();
        stored.into_iter().map(Result::unwrap).collect()
    }
}
