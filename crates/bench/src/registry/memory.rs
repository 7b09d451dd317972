//! How much memory reading takes: in a process of its own, which does nothing else.

use std::path::Path;
use std::sync::Arc;

use armor_core::config::Durability;
use armor_core::event::{EventLog, Seq};
use armor_core::id::RandomIds;
use armor_core::time::SystemClock;
use armor_registry::{Order, Registry, SqliteRegistry, TaskQuery};

use crate::Outcome;
use crate::memory::{most_resident, of_own_process};

/// What the program is called with to read everything.
pub(crate) const READ: &str = "read-everything";

/// The most memory that a process had resident that listed all tasks, replayed all events and
/// exported the database, in MiB.
pub(super) fn of_reading(file: &Path) -> Outcome<f64> {
    of_own_process(&[READ.as_ref(), file.as_os_str()])
}

/// Reads everything and says how much memory that took.
pub(crate) async fn read_everything(file: &Path) -> Outcome<f64> {
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
    let registry = SqliteRegistry::open(file, Durability::Full, clock, ids).await?;
    let mut query = TaskQuery { limit: 500, order: Order::OldestFirst, ..TaskQuery::default() };
    loop {
        query.after = registry.list(&query).await?.next;
        if query.after.is_none() {
            break;
        }
    }
    let mut seen = Seq::START;
    while let Some(last) = registry.read_after(seen, 512, None).await?.pop() {
        seen = last?.seq;
    }
    let export = tempfile::tempdir_in(file.parent().ok_or("the file is nowhere")?)?;
    registry.copy_to(&export.path().join("export.db")).await?;
    registry.close().await;
    most_resident()
}
