//! Where a task's files are, who may work on them now, and how they go away.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use armor_core::file_lock::FileLock;
use armor_core::id::{ExecutionId, TaskId};

use crate::StorageError;
use crate::error::io_error;
use crate::trash::{self, Freed};

/// The folders of all tasks of a home.
#[derive(Debug, Clone)]
pub struct TaskFolders {
    root: PathBuf,
}

/// The folder of one task. That it exists is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFolder {
    path: PathBuf,
}

impl TaskFolders {
    /// The folders below `home`, made if it is not there; only the user gets in.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(home: &Path) -> Result<Self, StorageError> {
        let root = home.join("tasks");
        make_private(&root)?;
        let folders = Self { root };
        make_private(&folders.locks())?;
        make_private(&folders.trash())?;
        make_private(&folders.restorations_root())?;
        Ok(folders)
    }

    /// The folder of a task. A [`TaskId`] holds nothing that could lead out of the root.
    pub fn of(&self, task: &TaskId) -> TaskFolder {
        TaskFolder { path: self.root.join(task.as_str()) }
    }

    /// Every task that has a folder.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn tasks(&self) -> Result<Vec<TaskId>, StorageError> {
        tasks_in(&self.root)
    }

    /// Where a restoration of a task's files is at work, if one is.
    pub fn restoring(&self, task: &TaskId) -> PathBuf {
        self.restorations_root().join(task.as_str())
    }

    /// Every task of which a restoration is at work, or was when its process died.
    ///
    /// # Errors
    /// When that cannot be looked at.
    pub fn restorations(&self) -> Result<Vec<TaskId>, StorageError> {
        tasks_in(&self.restorations_root())
    }

    /// Takes away what a restoration has worked with. [`Self::empty_trash`] removes it.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn discard_restoring(&self, task: &TaskId) -> Result<(), StorageError> {
        self.throw_away(&self.restoring(task))
    }

    /// Waits until nobody else works on the task, in this process or another.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub async fn lock(&self, task: &TaskId) -> Result<FileLock, StorageError> {
        // Beside the task's folder, not in it: the lock outlives the folder's removal.
        let path = self.locks().join(task.as_str());
        FileLock::hold(&path).await.map_err(io_error("lock", path))
    }

    /// Takes the task's lock if nobody works on it.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub fn try_lock(&self, task: &TaskId) -> Result<Option<FileLock>, StorageError> {
        let path = self.locks().join(task.as_str());
        FileLock::try_hold(&path).map_err(io_error("lock", path))
    }

    /// Takes the folder of a task that is gone out of its place, whatever is in it, and forgets the
    /// task's lock. [`Self::empty_trash`] removes the files.
    ///
    /// # Errors
    /// When the folder cannot be moved, or the lock's file not removed.
    pub fn discard(&self, task: &TaskId, _held: FileLock) -> Result<(), StorageError> {
        let folder = self.of(task).path;
        trash::discard(&folder, &self.trash()).map_err(io_error("move away", folder))?;
        let lock = self.locks().join(task.as_str());
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", lock)(error))
            }
            _ => Ok(()),
        }
    }

    /// Takes any folder of a task's away, whatever is in it. [`Self::empty_trash`] removes it.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn throw_away(&self, folder: &Path) -> Result<(), StorageError> {
        trash::discard(folder, &self.trash()).map_err(io_error("move away", folder))
    }

    /// Removes the files of all discarded folders, and says how much that freed.
    ///
    /// # Errors
    /// When something cannot be removed. It stays in the trash, and is tried again the next time.
    pub async fn empty_trash(&self) -> Result<Freed, StorageError> {
        // One at a time: each would find the other's files gone.
        let lock = self.locks().join(".trash");
        let lock = FileLock::hold(&lock).await.map_err(io_error("lock", lock))?;
        let trash = self.trash();
        let emptying = tokio::task::spawn_blocking(move || {
            // Held until the end, also when nobody waits for it any more.
            let _lock = lock;
            trash::empty(&trash)
        });
        emptying.await.map_err(io::Error::other).flatten().map_err(io_error("empty", self.trash()))
    }

    fn locks(&self) -> PathBuf {
        self.root.with_file_name("locks")
    }

    fn restorations_root(&self) -> PathBuf {
        self.root.with_file_name("restoring")
    }

    fn trash(&self) -> PathBuf {
        self.root.with_file_name("trash")
    }
}

/// The tasks that entries of a folder are named after.
fn tasks_in(folder: &Path) -> Result<Vec<TaskId>, StorageError> {
    let failed = || io_error("list", folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        found.extend(name.to_str().and_then(|name| TaskId::parse(name).ok()));
    }
    Ok(found)
}

impl TaskFolder {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it exists.
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// The task's working copy, which the sandbox sees as `/workspace`.
    pub fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
    }

    /// The task's memory, which the sandbox sees as its home folder.
    pub fn memory(&self) -> PathBuf {
        self.path.join("memory")
    }

    /// The output of all executions.
    pub fn executions(&self) -> PathBuf {
        self.path.join("executions")
    }

    /// The output of one execution.
    pub fn execution(&self, execution: &ExecutionId) -> PathBuf {
        self.executions().join(execution.as_str())
    }

    /// Layer 1.
    pub fn state_file(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Layer 2: the lines that are not archived yet. The archives lie beside it.
    pub fn audit_file(&self) -> PathBuf {
        self.logs().join("audit.jsonl")
    }

    /// Where layer 2 is.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Layer 3.
    pub fn decisions_file(&self) -> PathBuf {
        self.path.join("decisions.md")
    }

    /// Notes that the working copy is still to be made as the task needs it, in the folder that is
    /// there, and what is in it by now.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn expect_workspace(&self, content: &str) -> Result<(), StorageError> {
        let note = self.expected();
        fs::write(&note, content).map_err(io_error("write", note))
    }

    /// What is in the folder of the working copy if that is still to be made as the task needs it.
    ///
    /// # Errors
    /// When the note cannot be read.
    pub fn expected_workspace(&self) -> Result<Option<String>, StorageError> {
        let note = self.expected();
        match fs::read_to_string(&note) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", note)(error)),
        }
    }

    /// Notes that the working copy is there.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn has_workspace(&self) -> Result<(), StorageError> {
        let note = self.expected();
        match fs::remove_file(&note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", note)(error))
            }
            _ => Ok(()),
        }
    }

    fn expected(&self) -> PathBuf {
        self.path.join("workspace.expected")
    }

    /// Makes the folder and those in it that Armor itself writes to.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub fn create(&self) -> Result<(), StorageError> {
        make_private(&self.path)?;
        make_private(&self.logs())?;
        // The sandbox's user reads it through a mount of its own.
        make(&self.executions(), 0o755)
    }
}

fn make_private(path: &Path) -> Result<(), StorageError> {
    make(path, 0o700)
}

fn make(path: &Path, mode: u32) -> Result<(), StorageError> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(io_error("make the folder", path))
}

/// Makes the names in a folder durable: what was made in it or renamed into it.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
