//! The store of a home.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use armor_core::checkpoint::{CheckpointCause, CheckpointName};
use armor_core::id::{CheckpointId, TaskId};
use armor_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::cache::{Cache, Fresh};
use crate::error::{StoreError, io_error};
use crate::index::{Chunks, Index};
use crate::ingest::{Ingest, caches};
use crate::lock::StoreLock;
use crate::manifest::{self, Manifest, RootRecord};
use crate::replace::{self, Change, Replaced};
use crate::restore::{self, Restored};
use crate::scan::{self, Scan, device, look_at};
use crate::tree::Moment;
use crate::verify::{self, Finding, Verified};
use crate::{ChunkId, write};

/// How far behind the clock a file system may note a change, in nanoseconds. It notes the time of the
/// kernel's last tick.
const TICK: i64 = 20_000_000;

/// Checkpoints of all tasks of a home. What it holds is on disk; opening it costs nothing.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A checkpoint that is to be taken.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name, of all of the task's.
    pub id: CheckpointId,
    /// Whose it is.
    pub task: TaskId,
    /// What people call it.
    pub name: Option<CheckpointName>,
    /// Why.
    pub cause: CheckpointCause,
    /// When.
    pub at: Timestamp,
    /// The one that was taken before.
    pub parent: Option<CheckpointId>,
    /// The task's state.
    pub state: serde_json::Value,
}

/// A tree to take into a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct Root<'a> {
    /// What it is called in the checkpoint.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a Path,
}

impl Store {
    /// The store below `home`, made if it is not there; only the user gets in.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(home: &Path) -> Result<Self, StoreError> {
        let root = home.join("checkpoints");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&root);
        made.map_err(io_error("make", &root))?;
        Ok(Self { root })
    }

    /// Takes a checkpoint. When it comes back, the checkpoint survives the loss of power; before that,
    /// there is none. It works as long as the trees are read, on all processors.
    ///
    /// # Errors
    /// When a tree cannot be read, or the store cannot be written to. What cannot be read of a tree for a
    /// reason of its own is left out, and told of in the manifest.
    pub fn take(&self, draft: Draft, roots: &[Root<'_>]) -> Result<Manifest, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let index = self.index()?;
        let ingest = Ingest::new(&self.root, &index);
        let mut records = Vec::new();
        let mut known = Vec::new();
        for root in roots {
            let (record, of_root) = self.scan(&ingest, *root)?;
            records.push(record);
            known.push(of_root);
        }
        ingest.finish()?;
        let manifest = Manifest {
            id: draft.id,
            task: draft.task,
            name: draft.name,
            created_at: draft.at,
            cause: draft.cause,
            parent: draft.parent,
            roots: records,
            state: draft.state,
        };
        manifest::save(&self.root, &manifest)?;
        for fresh in known {
            if let Err(error) = fresh.keep() {
                tracing::warn!(%error, "the next checkpoint reads all files again");
            }
        }
        Ok(manifest)
    }

    fn scan(
        &self,
        ingest: &Ingest<'_>,
        Root { name, path }: Root<'_>,
    ) -> Result<(RootRecord, Fresh), StoreError> {
        let root = scan::open(path)?;
        let device = device(&look_at(&root).map_err(io_error("look at", path))?);
        let place = ChunkId::of(path.as_os_str().as_encoded_bytes());
        let file = caches(&self.root).join(place.to_string());
        let cache = Cache::load(&file, device);
        let before = ingest.added();
        let scan = Scan { ingest, root, path, cache: &cache, since: before_the_last_tick() };
        let mut scanned = scan.run(name)?;
        scanned.record.stats.bytes_added = ingest.added() - before;
        Ok((scanned.record, Fresh { path: file, device, folders: scanned.known }))
    }

    /// The checkpoints of a task, the oldest first. Damaged manifests are left out and warned of.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self, task: &TaskId) -> Result<Vec<Manifest>, StoreError> {
        let (manifests, damaged) = manifest::of_task(&self.root, task)?;
        for error in damaged {
            tracing::warn!(%error, "a checkpoint is left out");
        }
        Ok(manifests)
    }

    /// One checkpoint of a task.
    ///
    /// # Errors
    /// When there is none of that name, or its manifest is damaged.
    pub fn get(&self, task: &TaskId, id: &CheckpointId) -> Result<Manifest, StoreError> {
        let path = manifest::file(&self.root, task, id);
        match manifest::load(&path) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NotFound { checkpoint: id.to_string() })
            }
            manifest => manifest,
        }
    }

    /// The checkpoint of a task that somebody means: by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// When none, or more than one, is meant, or its manifest is damaged.
    pub fn find(&self, task: &TaskId, reference: &str) -> Result<Manifest, StoreError> {
        if let Ok(id) = reference.parse() {
            match self.get(task, &id) {
                Err(StoreError::NotFound { .. }) => {}
                found => return found,
            }
        }
        let mut meant: Vec<_> = self
            .list(task)?
            .into_iter()
            .filter(|one| {
                let is_named = one.name.as_ref().is_some_and(|name| name.as_str() == reference);
                is_named || (!reference.is_empty() && one.id.as_str().starts_with(reference))
            })
            .collect();
        match meant.pop() {
            None => Err(StoreError::NotFound { checkpoint: reference.to_owned() }),
            Some(one) if meant.is_empty() => Ok(one),
            Some(one) => {
                if let Some(named) = meant
                    .iter()
                    .chain([&one])
                    .find(|one| one.name.as_ref().is_some_and(|name| name.as_str() == reference))
                {
                    return Ok(named.clone());
                }
                let candidates = meant.into_iter().chain([one]).map(|one| one.id).collect();
                Err(StoreError::Ambiguous { reference: reference.to_owned(), candidates })
            }
        }
    }

    /// Makes a tree of a checkpoint again, at a place that is not there or an empty folder. A kill leaves
    /// nothing there.
    ///
    /// # Errors
    /// When the place is taken or cannot be written to, or something of the checkpoint is missing.
    pub fn restore(
        &self,
        manifest: &Manifest,
        root: &str,
        place: &Path,
    ) -> Result<Restored, StoreError> {
        let record = manifest.root(root)?;
        let _lock = StoreLock::shared(&self.root)?;
        let chunks = Chunks::new(self.index()?, &self.root);
        restore::restore(&chunks, record, place)
    }

    /// Makes trees those of a checkpoint, in their place. `now` is a checkpoint that was taken of them
    /// since they were changed last; what is the same in both is not touched. A kill leaves all trees as
    /// they were, or [`Self::finish`] makes all of them those of the checkpoint: for that there is `work`,
    /// a folder on their file system in which nothing of the store is yet. Whoever calls takes it away
    /// as a whole when all has come to its end; until then nobody may change the trees.
    ///
    /// # Errors
    /// When something of the checkpoint is missing, or cannot be made; then the trees are as they were.
    /// When a step cannot be done behind that, which is tried again by [`Self::finish`].
    pub fn replace(
        &self,
        now: &Manifest,
        wanted: &Manifest,
        roots: &[Root<'_>],
        work: &Path,
    ) -> Result<Replaced, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let chunks = Chunks::new(self.index()?, &self.root);
        let mut changes = Vec::new();
        for Root { name, path } in roots {
            changes.push(Change { path, now: now.root(name)?, wanted: wanted.root(name)? });
        }
        replace::replace(&chunks, &changes, work)
    }

    /// Ends what [`Self::replace`] began and somebody's death kept from its end. Says whether the trees
    /// are those of the checkpoint now; else they are as they were.
    ///
    /// # Errors
    /// When a step cannot be done.
    pub fn finish(work: &Path) -> Result<bool, StoreError> {
        replace::finish(work)
    }

    /// Reads back all checkpoints of a task, or of all tasks, and says which are whole.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn verify(&self, task: Option<&TaskId>) -> Result<Verified, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let tasks = match task {
            Some(task) => vec![task.clone()],
            None => manifest::tasks(&self.root)?,
        };
        let (mut manifests, mut damaged) = (Vec::new(), Vec::new());
        for task in tasks {
            let (of_task, damaged_of_task) = manifest::of_task(&self.root, &task)?;
            manifests.extend(of_task);
            damaged.extend(damaged_of_task);
        }
        let (index, damaged_packs) = Index::gather(&self.root)?;
        damaged.extend(damaged_packs);
        let mut verified = verify::checkpoints(&Chunks::new(index, &self.root), &manifests);
        verified.findings.extend(damaged.into_iter().map(Finding::File));
        Ok(verified)
    }

    /// Forgets a checkpoint. Its chunks stay until the store is cleaned up.
    ///
    /// # Errors
    /// When its manifest cannot be removed.
    pub fn forget_one(&self, task: &TaskId, id: &CheckpointId) -> Result<(), StoreError> {
        let path = manifest::file(&self.root, task, id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", path)(error))
            }
            Err(_) => Ok(()),
            Ok(()) => write::sync_folder(&path),
        }
    }

    /// Forgets all checkpoints of a task. Their chunks stay until the store is cleaned up.
    ///
    /// # Errors
    /// When their manifests cannot be removed.
    pub fn forget(&self, task: &TaskId) -> Result<(), StoreError> {
        let folder = manifest::folder(&self.root, task);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", folder)(error))
            }
            Err(_) => Ok(()),
            Ok(()) => write::sync_folder(&folder),
        }
    }

    fn index(&self) -> Result<Index, StoreError> {
        let (index, damaged) = Index::load(&self.root)?;
        for error in damaged {
            tracing::warn!(%error, "a pack is left out");
        }
        Ok(index)
    }
}

/// A moment before which every change was noted that has happened by now.
fn before_the_last_tick() -> Moment {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let nanos = now.tv_nsec - TICK;
    let (seconds, nanos) =
        if nanos < 0 { (now.tv_sec - 1, nanos + 1_000_000_000) } else { (now.tv_sec, nanos) };
    Moment { seconds, nanos: u32::try_from(nanos).unwrap_or(0) }
}
