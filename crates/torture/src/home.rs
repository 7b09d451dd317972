//! The home that is tortured: a registry, and the consumers that write files.

use std::path::Path;
use std::sync::Arc;

use armor_core::config::Durability;
use armor_core::event::Consumer;
use armor_core::id::RandomIds;
use armor_core::time::SystemClock;
use armor_events::Consumers;
use armor_persistence::{AuditTrail, DecisionRecord, StateMirror, TaskFolders};
use armor_registry::{Registry, SqliteRegistry};

use crate::Outcome;

pub(crate) struct Home {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) consumers: Consumers,
    pub(crate) folders: TaskFolders,
}

impl Home {
    pub(crate) async fn open(home: &Path) -> Outcome<Self> {
        let clock = Arc::new(SystemClock);
        let ids = Arc::new(RandomIds::default());
        let database = home.join("armor.db");
        let opened = SqliteRegistry::open(&database, Durability::Full, clock.clone(), ids).await?;
        let registry: Arc<dyn Registry> = Arc::new(opened);
        let folders = TaskFolders::open(home)?;
        let consumers: Vec<Arc<dyn Consumer>> = vec![
            // Small files, so that kills meet archives that are being made.
            Arc::new(AuditTrail::new(folders.clone(), registry.clone()).archiving_at(8 * 1024)),
            Arc::new(DecisionRecord::new(folders.clone(), registry.clone())),
            Arc::new(StateMirror::new(folders.clone(), registry.clone())),
        ];
        let lock = home.join("consumers.lock");
        let consumers = Consumers::start(registry.clone(), consumers, lock, clock);
        Ok(Self { registry, consumers, folders })
    }
}
