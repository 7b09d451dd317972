//! How much memory reading takes: in a process of its own, which does nothing else.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use armor_core::config::Durability;
use armor_core::event::{EventLog, Seq};
use armor_core::id::RandomIds;
use armor_core::time::SystemClock;
use armor_registry::{Order, Registry, SqliteRegistry, TaskQuery};

use crate::Outcome;

/// What the program is called with to read everything.
pub(crate) const READ: &str = "read-everything";

/// The most memory that a process had resident that listed all tasks, replayed all events and
/// exported the database, in MiB.
pub(super) fn of_reading(file: &Path) -> Outcome<f64> {
    let output = Command::new(std::env::current_exe()?).arg(READ).arg(file).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
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

/// The most memory that this process had resident, in MiB.
fn most_resident() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kibibytes.ok_or("the kernel does not tell")?.parse::<f64>()? / 1024.0)
}
