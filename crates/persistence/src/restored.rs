//! What the layers do when the database was replaced by a backup: the files of every task are made
//! to say what the database says.

use std::path::Path;
use std::{fs, io};

use armor_core::event::{Event, EventPayload, Seq, SystemEvent, TaskEvent};
use armor_core::id::TaskId;
use armor_core::task::Task;
use armor_registry::{Order, Registry, RegistryError, TaskQuery};

use crate::StorageError;
use crate::error::io_error;
use crate::folder::sync_folder;

/// How many tasks are read at a time.
const PAGE: u32 = 200;

/// The place of the newest of these events that says that the database was replaced.
pub(crate) fn restored_at(events: &[Event]) -> Option<Seq> {
    let restored = |event: &&Event| {
        matches!(event.payload, EventPayload::System(SystemEvent::BackupRestored { .. }))
    };
    events.iter().rfind(restored).map(|event| event.seq)
}

/// The tasks of which these events say that something of them was made again, with the place of that.
pub(crate) fn recovered(events: &[Event]) -> impl Iterator<Item = (&TaskId, Seq)> {
    events.iter().filter_map(|event| match event.payload {
        EventPayload::Task(TaskEvent::Recovered { .. }) => Some((event.task()?, event.seq)),
        _ => None,
    })
}

/// Gives a file another name, which nothing has yet: it says what the table does not know any more.
pub(crate) fn set_aside(path: &Path, kept: &str) -> Result<(), StorageError> {
    let kept = path.with_file_name(kept);
    if kept.exists() {
        let what = io::Error::new(io::ErrorKind::AlreadyExists, kept.display().to_string());
        return Err(io_error("set aside", path)(what));
    }
    let moved = fs::rename(path, kept).and_then(|()| path.parent().map_or(Ok(()), sync_folder));
    moved.map_err(io_error("set aside", path))
}

/// Reads every task, a page at a time.
pub(crate) struct Pages<'a> {
    registry: &'a dyn Registry,
    next: Option<TaskQuery>,
}

impl<'a> Pages<'a> {
    pub(crate) fn of(registry: &'a dyn Registry) -> Self {
        let query = TaskQuery { limit: PAGE, order: Order::OldestFirst, ..TaskQuery::default() };
        Self { registry, next: Some(query) }
    }

    /// The next page; empty at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<Task>, RegistryError> {
        let Some(query) = self.next.take() else { return Ok(Vec::new()) };
        let page = self.registry.list(&query).await?;
        self.next = page.next.map(|after| TaskQuery { after: Some(after), ..query });
        Ok(page.items)
    }
}
