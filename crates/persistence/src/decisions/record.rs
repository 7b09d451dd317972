//! The consumer that writes `decisions.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::{fs, io};

use armor_core::error::Diagnostic;
use armor_core::event::{
    Consumer, ConsumerError, ConsumerName, Event, EventPayload, Seq, TaskEvent,
};
use armor_core::id::TaskId;
use armor_registry::{Registry, RegistryError};
use async_trait::async_trait;

use crate::error::io_error;
use crate::restored::{self, Pages, recovered, restored_at};
use crate::{StorageError, TaskFolder, TaskFolders};

use super::entry::Entry;
use super::file::{Tail, append, end_of, entries, replace, text_of};

/// How many events are read at a time.
const PAGE: u32 = 1000;

/// The consumer that keeps what was decided about each task in its `decisions.md`.
///
/// It appends each decision once: what the file has already is known by the places of events in it. A
/// torn end is mended by writing the file anew from the event table.
#[derive(Debug)]
pub struct DecisionRecord {
    folders: TaskFolders,
    registry: Arc<dyn Registry>,
}

impl DecisionRecord {
    /// A record of what `registry` commits, into `folders`.
    pub fn new(folders: TaskFolders, registry: Arc<dyn Registry>) -> Self {
        Self { folders, registry }
    }

    fn failed(error: impl Diagnostic + Send + Sync + 'static) -> ConsumerError {
        ConsumerError::new("decisions.md", "write down decisions", error)
    }

    async fn apply_to(&self, id: &TaskId, decided: &[Entry]) -> Result<(), ConsumerError> {
        match self.registry.get(id).await {
            Ok(_) => {}
            // It was deleted since; its folder goes, or is gone.
            Err(RegistryError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(Self::failed(error)),
        }
        let folder = self.folders.of(id);
        folder.create().map_err(Self::failed)?;
        let path = folder.decisions_file();
        let Tail::At { number, place } = end_of(&path).map_err(Self::failed)? else {
            return self.rewrite(id, &folder).await;
        };
        if number == 0 {
            // It is the first decision, or somebody removed the file.
            return self.rewrite(id, &folder).await;
        }
        let (old, mut fresh): (Vec<_>, Vec<_>) =
            decided.iter().cloned().partition(|entry| entry.place <= place);
        // Unlike the places of all events, those of decisions have gaps: one that was given up and is
        // given again later has to be looked for.
        if !old.is_empty() && !Self::has(&folder, &old).map_err(Self::failed)? {
            return self.rewrite(id, &folder).await;
        }
        if fresh.is_empty() {
            return Ok(());
        }
        for (entry, number) in fresh.iter_mut().zip(number + 1..) {
            entry.number = number;
        }
        append(&path, &fresh).map_err(Self::failed)
    }

    /// Whether the file has each of these.
    fn has(folder: &TaskFolder, wanted: &[Entry]) -> Result<bool, StorageError> {
        match entries(&folder.decisions_file()) {
            Ok(there) => Ok(wanted.iter().all(|wanted| {
                let of_event = there.iter().find(|entry| entry.place == wanted.place);
                of_event.is_some_and(|entry| entry.decision == wanted.decision)
            })),
            Err(StorageError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the event table knows of decisions about a task. An event whose row is damaged is left
    /// out: it keeps the others from nobody.
    async fn in_the_table(&self, id: &TaskId) -> Result<Vec<Entry>, ConsumerError> {
        let mut decided = Vec::new();
        let mut after = Seq::START;
        loop {
            let page = self.registry.read_after(after, PAGE, Some(id)).await;
            let page = page.map_err(Self::failed)?;
            let Some(last) = page.last() else { break };
            after = last.as_ref().map_or_else(|damaged| damaged.seq, |event| event.seq);
            decided.extend(page.iter().flatten().filter_map(entry_of));
        }
        for (entry, number) in decided.iter_mut().zip(1..) {
            entry.number = number;
        }
        Ok(decided)
    }

    /// Writes the whole file anew from the event table, which has the last word.
    async fn rewrite(&self, id: &TaskId, folder: &TaskFolder) -> Result<(), ConsumerError> {
        let text = text_of(&self.in_the_table(id).await?);
        let path = folder.decisions_file();
        replace(&path, &text).map_err(io_error("write anew", &path)).map_err(Self::failed)
    }

    /// Makes the file of every task say what the table says. One that said something else, of what
    /// the table does not know any more, is kept beside it.
    async fn agree_with_the_table(&self, restored: Seq) -> Result<(), ConsumerError> {
        let mut pages = Pages::of(self.registry.as_ref());
        loop {
            let tasks = pages.next().await.map_err(Self::failed)?;
            if tasks.is_empty() {
                return Ok(());
            }
            for task in tasks {
                let folder = self.folders.of(&task.id);
                let text = text_of(&self.in_the_table(&task.id).await?);
                make_agree(&folder, &text, restored).map_err(Self::failed)?;
            }
        }
    }
}

#[async_trait]
impl Consumer for DecisionRecord {
    fn name(&self) -> ConsumerName {
        "decisions.md"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        if let Some(seq) = restored_at(events) {
            self.agree_with_the_table(seq).await?;
        }
        for (task, seq) in recovered(events) {
            let text = text_of(&self.in_the_table(task).await?);
            make_agree(&self.folders.of(task), &text, seq).map_err(Self::failed)?;
        }
        let mut decided: BTreeMap<&TaskId, Vec<Entry>> = BTreeMap::new();
        for event in events {
            if let Some((task, entry)) = event.task().zip(entry_of(event)) {
                decided.entry(task).or_default().push(entry);
            }
        }
        for (task, decided) in decided {
            self.apply_to(task, &decided).await?;
        }
        Ok(())
    }
}

/// The entry for an event, if it is a decision. Its number is not known yet.
fn entry_of(event: &Event) -> Option<Entry> {
    let EventPayload::Task(TaskEvent::Decided(decision)) = &event.payload else { return None };
    Some(Entry { number: 0, place: event.task_seq(), decision: decision.clone() })
}

fn make_agree(folder: &TaskFolder, text: &str, restored: Seq) -> Result<(), StorageError> {
    let path = folder.decisions_file();
    let file = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(io_error("read", &path))?,
    };
    if file == text.as_bytes() {
        return Ok(());
    }
    if !text.as_bytes().starts_with(&file) {
        restored::set_aside(&path, &format!("decisions-before-{restored}.md"))?;
    }
    if text.is_empty() {
        return Ok(());
    }
    folder.create()?;
    replace(&path, text).map_err(io_error("write anew", &path))
}
