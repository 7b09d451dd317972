//! Manifests: a file a checkpoint, which says what it is of and names its trees.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use armor_core::checkpoint::{CheckpointCause, CheckpointName};
use armor_core::id::{CheckpointId, TaskId};
use armor_core::risk::Assessment;
use armor_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{StoreError, io_error};
use crate::tree::Meta;
use crate::{ChunkId, write};

/// What a checkpoint is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name, of all of the task's.
    pub id: CheckpointId,
    /// Whose it is.
    pub task: TaskId,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<CheckpointName>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// Why.
    pub cause: CheckpointCause,
    /// The one that was taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CheckpointId>,
    /// What was thought of the command that it was taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Assessment>,
    /// The trees, by name.
    pub roots: Vec<RootRecord>,
    /// The task's state at that moment.
    pub state: serde_json::Value,
}

/// A tree in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootRecord {
    /// What it is: `workspace`, `memory`.
    pub name: String,
    /// The chunk with what is in it.
    pub tree: ChunkId,
    /// Of the folder itself.
    pub(crate) meta: Meta,
    /// How much there is in it.
    pub stats: Stats,
    /// Paths that were one file, in groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Vec<Vec<u8>>>,
    /// What is not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// How much a tree has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Files that are no folders.
    pub files: u64,
    /// Folders within it.
    pub folders: u64,
    /// Bytes in its files, holes included.
    pub bytes: u64,
    /// Files that were read, because they were new or had changed.
    pub files_read: u64,
    /// Bytes that came into the store for it, compressed.
    pub bytes_added: u64,
}

/// Something that a checkpoint does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where it is in the tree. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The path as it is, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exact: Option<Vec<u8>>,
    /// Why.
    pub reason: Reason,
    /// The bytes in it, where they are known: of a folder that a rule leaves out, only in a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl LeftOut {
    pub(crate) fn new(path: &[u8], reason: Reason) -> Self {
        let (path, exact) = match str::from_utf8(path) {
            Ok(path) => (path.to_owned(), None),
            Err(_) => (String::from_utf8_lossy(path).into_owned(), Some(path.to_vec())),
        };
        Self { path, exact, reason, bytes: None }
    }

    /// Where it is in the tree, to the byte.
    pub fn exact_path(&self) -> &[u8] {
        self.exact.as_deref().unwrap_or(self.path.as_bytes())
    }
}

/// Why a checkpoint does not have something, or not as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A socket, which means nothing without its process.
    Socket,
    /// A device, which no sandbox can make.
    Device,
    /// Another file system is mounted there.
    OtherFileSystem,
    /// Armor may not read it.
    Denied,
    /// Its path is longer than the system takes.
    PathTooLong,
    /// It cannot be read: the disk fails there, or a process holds it.
    Unreadable,
    /// It is there, and was being written to whenever it was read.
    ChangedWhileRead,
    /// It is a folder with more in it, or more attributes, than can be kept of one.
    FolderTooLarge,
    /// The settings name it.
    Named,
    /// Git ignores it.
    GitIgnored,
    /// An `.armorignore` names it.
    ArmorIgnored,
    /// It is longer than the settings say that a file may be.
    TooLarge,
}

impl Reason {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::OtherFileSystem => "another file system is mounted there",
            Self::Denied => "it may not be read",
            Self::Unreadable => "it cannot be read",
            Self::PathTooLong => "its path is too long",
            Self::ChangedWhileRead => {
                "it was being written to, and is kept as it was at some moment"
            }
            Self::FolderTooLarge => "there is more in it than can be kept of one folder",
            Self::Named => "the settings leave it out",
            Self::GitIgnored => "git ignores it",
            Self::ArmorIgnored => "an .armorignore leaves it out",
            Self::TooLarge => "it is longer than the settings say that a file may be",
        }
    }

    /// Whether it is left out because somebody wants that. Restoring leaves it alone.
    pub const fn is_rule(self) -> bool {
        match self {
            Self::Named | Self::GitIgnored | Self::ArmorIgnored | Self::TooLarge => true,
            Self::Socket
            | Self::Device
            | Self::OtherFileSystem
            | Self::Denied
            | Self::PathTooLong
            | Self::Unreadable
            | Self::FolderTooLarge
            | Self::ChangedWhileRead => false,
        }
    }
}

impl Manifest {
    /// The tree of that name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoot`].
    pub fn root(&self, name: &str) -> Result<&RootRecord, StoreError> {
        self.roots.iter().find(|root| root.name == name).ok_or_else(|| StoreError::NoSuchRoot {
            checkpoint: self.id.clone(),
            root: name.to_owned(),
        })
    }

    /// What all its trees have together.
    pub fn stats(&self) -> Stats {
        self.roots.iter().fold(Stats::default(), |sum, root| sum.and(root.stats))
    }
}

impl Manifest {
    /// What its trees do not have.
    pub fn left_out(&self) -> impl Iterator<Item = &LeftOut> {
        self.roots.iter().flat_map(|root| &root.left_out)
    }
}

impl Stats {
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            folders: self.folders + other.folders,
            bytes: self.bytes + other.bytes,
            files_read: self.files_read + other.files_read,
            bytes_added: self.bytes_added + other.bytes_added,
        }
    }
}

/// The file: the manifest's text under its hash.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    blake3: String,
    manifest: &'a RawValue,
}

#[derive(Deserialize)]
struct Read<'a> {
    format: u32,
    blake3: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

const FORMAT: u32 = 1;

/// The folder of a task's manifests.
pub(crate) fn folder(root: &Path, task: &TaskId) -> PathBuf {
    root.join("manifests").join(task.as_str())
}

pub(crate) fn file(root: &Path, task: &TaskId, id: &CheckpointId) -> PathBuf {
    folder(root, task).join(format!("{id}.json"))
}

/// Writes it: from then on the checkpoint exists.
pub(crate) fn save(root: &Path, manifest: &Manifest) -> Result<(), StoreError> {
    let path = file(root, &manifest.task, &manifest.id);
    let encoded = || -> serde_json::Result<Vec<u8>> {
        let text = serde_json::value::to_raw_value(manifest)?;
        let blake3 = ChunkId::of(text.get().as_bytes()).to_string();
        serde_json::to_vec(&Written { format: FORMAT, blake3, manifest: &text })
    };
    let bytes = encoded().map_err(io_error("encode", &path))?;
    write::durably(&path, &bytes)?;
    // The folder itself may be new.
    write::sync_folder(path.parent().unwrap_or(&path))
}

/// Reads one, checked.
pub(crate) fn load(path: &Path) -> Result<Manifest, StoreError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
    let read: Read<'_> =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if read.format != FORMAT {
        return Err(damaged(format!(
            "it has the format {}, which this Armor does not know",
            read.format
        )));
    }
    if ChunkId::of(read.manifest.get().as_bytes()).to_string() != read.blake3 {
        return Err(damaged("its text does not fit its hash".to_owned()));
    }
    serde_json::from_str(read.manifest.get()).map_err(|error| damaged(error.to_string()))
}

/// Reads one; none when it is not there.
pub(crate) fn find(
    root: &Path,
    task: &TaskId,
    id: &CheckpointId,
) -> Result<Option<Manifest>, StoreError> {
    match load(&file(root, task, id)) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        manifest => manifest.map(Some),
    }
}

/// The manifests of a task, the oldest first, and those that are damaged.
pub(crate) fn of_task(
    root: &Path,
    task: &TaskId,
) -> Result<(Vec<Manifest>, Vec<StoreError>), StoreError> {
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for entry in write::entries(&folder(root, task))? {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match load(&path) {
            Ok(manifest) if path == file(root, &manifest.task, &manifest.id) => {
                found.push(manifest);
            }
            Ok(_) => damaged.push(StoreError::Damaged {
                path,
                reason: "it is the manifest of another checkpoint".to_owned(),
            }),
            // It was forgotten meanwhile.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => damaged.push(error),
        }
    }
    found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok((found, damaged))
}

/// All manifests that there are, by their names alone.
pub(crate) fn all(root: &Path) -> Result<Vec<(TaskId, CheckpointId)>, StoreError> {
    let mut all = Vec::new();
    for task in tasks(root)? {
        for entry in write::entries(&folder(root, &task))? {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            all.extend(id.map(|id| (task.clone(), id)));
        }
    }
    Ok(all)
}

/// The tasks that have a folder of manifests.
pub(crate) fn tasks(root: &Path) -> Result<Vec<TaskId>, StoreError> {
    let entries = write::entries(&root.join("manifests"))?;
    let tasks = entries.iter().filter_map(|entry| TaskId::parse(entry.file_name().to_str()?).ok());
    Ok(tasks.collect())
}
