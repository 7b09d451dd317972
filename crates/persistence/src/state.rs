//! Layer 1 (R20): `state.json`, the task as it stands, for whoever has no database at hand.
//!
//! The file is replaced as a whole: written beside, synced, renamed, the folder synced. It carries
//! the version of its format and the SHA-256 of what it says, so that damage is found.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;

use armor_core::error::Diagnostic;
use armor_core::event::{Consumer, ConsumerError, ConsumerName, Event};
use armor_core::task::Task;
use armor_registry::{Registry, RegistryError};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::io_error;
use crate::folder::sync_folder;
use crate::hash::sha256;
use crate::restored::{Pages, restored_at};
use crate::{StorageError, TaskFolder, TaskFolders};

/// The version of the file's format that this program writes.
pub const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct StateFile {
    format: u32,
    sha256: String,
    state: Box<RawValue>,
}

/// Writes the task's state into its folder.
///
/// # Errors
/// When a step of it fails; the file then is the old one, or the new one.
pub fn save(folder: &TaskFolder, task: &Task) -> Result<(), StorageError> {
    let path = folder.state_file();
    let damaged = |error: serde_json::Error| StorageError::Damaged {
        path: path.clone(),
        reason: error.to_string(),
    };
    let state = to_raw_value(task).map_err(damaged)?;
    let file = StateFile { format: FORMAT, sha256: sha256(&[state.get().as_bytes()]), state };
    let text = serde_json::to_string_pretty(&file).map_err(damaged)?;

    let beside = path.with_extension("json.new");
    let mut new = File::create(&beside).map_err(io_error("make", &beside))?;
    new.write_all(text.as_bytes()).map_err(io_error("write", &beside))?;
    new.sync_all().map_err(io_error("sync", &beside))?;
    fs::rename(&beside, &path).map_err(io_error("rename", &beside))?;
    sync_folder(folder.path()).map_err(io_error("sync", folder.path()))
}

/// Reads a task's state from its folder.
///
/// # Errors
/// When the file is not there, or is not what was written.
pub fn load(folder: &TaskFolder) -> Result<Task, StorageError> {
    let path = folder.state_file();
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let damaged = |reason: String| StorageError::Damaged { path: path.clone(), reason };
    let file: StateFile =
        serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if file.format != FORMAT {
        return Err(damaged(format!("its format is {}, not {FORMAT}", file.format)));
    }
    if sha256(&[file.state.get().as_bytes()]) != file.sha256 {
        return Err(damaged("its checksum does not fit its content".to_owned()));
    }
    serde_json::from_str(file.state.get()).map_err(|error| damaged(error.to_string()))
}

/// The consumer that keeps `state.json` equal to the registry's row.
#[derive(Debug)]
pub struct StateMirror {
    folders: TaskFolders,
    registry: Arc<dyn Registry>,
}

impl StateMirror {
    /// A mirror of what `registry` has, into `folders`.
    pub fn new(folders: TaskFolders, registry: Arc<dyn Registry>) -> Self {
        Self { folders, registry }
    }

    fn keep(&self, task: &Task) -> Result<(), ConsumerError> {
        let folder = self.folders.of(&task.id);
        folder.create().map_err(Self::failed)?;
        save(&folder, task).map_err(Self::failed)
    }

    fn failed(error: impl Diagnostic + Send + Sync + 'static) -> ConsumerError {
        ConsumerError::new("state.json", "write a task's state", error)
    }
}

#[async_trait]
impl Consumer for StateMirror {
    fn name(&self) -> ConsumerName {
        "state.json"
    }

    async fn apply(&self, events: &[Event]) -> Result<(), ConsumerError> {
        if restored_at(events).is_some() {
            let mut pages = Pages::of(self.registry.as_ref());
            loop {
                let tasks = pages.next().await.map_err(Self::failed)?;
                if tasks.is_empty() {
                    break;
                }
                for task in tasks {
                    self.keep(&task)?;
                }
            }
        }
        let mut tasks: Vec<_> = events.iter().filter_map(Event::task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        for id in tasks {
            match self.registry.get(id).await {
                // Most events, such as those of commands, change nothing of it.
                Ok(task) if load(&self.folders.of(id)).is_ok_and(|kept| kept == task) => {}
                Ok(task) => self.keep(&task)?,
                // It was deleted since; its folder goes, or is gone.
                Err(RegistryError::NotFound { .. }) => {}
                Err(error) => return Err(Self::failed(error)),
            }
        }
        Ok(())
    }
}
