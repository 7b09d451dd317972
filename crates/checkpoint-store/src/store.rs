//! The store of a home.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use armor_core::checkpoint::{CheckpointCause, CheckpointName};
use armor_core::id::{CheckpointId, TaskId};
use armor_core::risk::Assessment;
use armor_core::sandbox::UserIds;
use armor_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::cache::{Cache, Fresh, caches};
use crate::changes::{self, Difference};
use crate::collect::{self, Collected};
use crate::damage;
use crate::due;
use crate::error::{StoreError, io_error};
use crate::export::{self, Exported, moment};
use crate::import;
use crate::index::{Chunks, Index};
use crate::ingest::Ingest;
use crate::limits::{Budget, ImportLimits};
use crate::lock::StoreLock;
use crate::manifest::{self, Manifest, RootRecord};
use crate::mark::Needed;
use crate::pack::LARGEST;
use crate::preview::{self, Preview};
use crate::replace::{self, Change, Replaced};
use crate::restore::{self, Restored};
use crate::rules::{Before, Judge, Rules};
use crate::scan::Scan;
use crate::tree::Moment;
use crate::verify::{self, Finding, Verified};
use crate::walk::{self, Walk, device, look_at};
use crate::write;

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
    /// What was thought of the command that it is taken before.
    pub risk: Option<Assessment>,
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

impl Draft {
    fn of(self, roots: Vec<RootRecord>) -> Manifest {
        let Self { id, task, name, cause, risk, at, parent, state } = self;
        Manifest { id, task, name, created_at: at, cause, parent, risk, roots, state }
    }
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

    /// Takes a checkpoint, without what the rules leave out. When it comes back, the checkpoint survives
    /// the loss of power; before that, there is none. It works as long as the trees are read, on all processors.
    ///
    /// # Errors
    /// When a tree cannot be read, or the store cannot be written to. What cannot be read of a tree for a
    /// reason of its own is left out, and told of in the manifest.
    pub fn take(
        &self,
        draft: Draft,
        roots: &[Root<'_>],
        rules: &Rules,
    ) -> Result<Manifest, StoreError> {
        self.or_due(self.take_all(draft, roots, rules, None))
    }

    /// Takes the checkpoint of trees that are about to become those of another one ([`Self::replace`]).
    /// What that has is taken in, whatever the rules say, since it will be replaced; what rules left out
    /// of that is left out, unless git tracks it, since it will stay.
    ///
    /// # Errors
    /// As [`Self::take`]; and when the other checkpoint cannot be read.
    pub fn take_before(
        &self,
        draft: Draft,
        roots: &[Root<'_>],
        rules: &Rules,
        wanted: &Manifest,
    ) -> Result<Manifest, StoreError> {
        self.or_due(self.take_all(draft, roots, rules, Some(wanted)))
    }

    /// What a checkpoint would have and leave out. Nothing is written, and no content is read.
    ///
    /// # Errors
    /// When a tree cannot be listed.
    pub fn preview(&self, roots: &[Root<'_>], rules: &Rules) -> Result<Vec<Preview>, StoreError> {
        roots.iter().map(|root| preview::preview(*root, rules)).collect()
    }

    fn take_all(
        &self,
        draft: Draft,
        roots: &[Root<'_>],
        rules: &Rules,
        wanted: Option<&Manifest>,
    ) -> Result<Manifest, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let befores = match wanted {
            Some(wanted) => self.befores(wanted, roots)?,
            None => roots.iter().map(|_| None).collect(),
        };
        let index = self.index()?;
        let ingest = Ingest::new(&self.root, &index);
        let mut records = Vec::new();
        let mut known = Vec::new();
        for (root, before) in roots.iter().zip(&befores) {
            let scanning = self.scan(&ingest, &draft.task, *root, rules, before.as_ref());
            let (record, of_root) = scanning?;
            records.push(record);
            known.push(of_root);
        }
        ingest.finish()?;
        let manifest = draft.of(records);
        manifest::save(&self.root, &manifest)?;
        for fresh in known {
            if let Err(error) = fresh.keep() {
                tracing::warn!(%error, "the next checkpoint reads all files again");
            }
        }
        Ok(manifest)
    }

    /// What was begun and did not come to be may have left something.
    fn or_due<T>(&self, begun: Result<T, StoreError>) -> Result<T, StoreError> {
        begun.inspect_err(|_| due::note(&self.root))
    }

    /// What a checkpoint has of each tree. One that it does not have will stay.
    fn befores(
        &self,
        wanted: &Manifest,
        roots: &[Root<'_>],
    ) -> Result<Vec<Option<Before>>, StoreError> {
        let chunks = Chunks::new(self.index()?, &self.root);
        let of = |root: &Root<'_>| {
            let record = wanted.root(root.name).ok();
            record.map(|record| Before::read(&chunks, record)).transpose()
        };
        roots.iter().map(of).collect()
    }

    fn scan(
        &self,
        ingest: &Ingest<'_>,
        task: &TaskId,
        Root { name, path }: Root<'_>,
        rules: &Rules,
        before: Option<&Before>,
    ) -> Result<(RootRecord, Fresh), StoreError> {
        let root = walk::open(path)?;
        let device = device(&look_at(&root).map_err(io_error("look at", path))?);
        let file = caches(&self.root, task).join(name);
        let cache = Cache::load(&file, device);
        let added = ingest.added();
        let judge = Judge::new(&root, rules, before)?;
        let walk = Walk { root: &root, path, device, judge };
        let (since, largest_folder) = (before_the_last_tick(), LARGEST as usize);
        let scan = Scan { ingest, walk, cache: &cache, since, largest_folder };
        let mut scanned = scan.run(name)?;
        scanned.record.stats.bytes_added = ingest.added() - added;
        Ok((scanned.record, Fresh { path: file, device, folders: scanned.known }))
    }

    /// In what a checkpoint's tree differs from the same one of a later checkpoint.
    ///
    /// # Errors
    /// When one of them has no such tree, or something of them is missing.
    pub fn differences(
        &self,
        from: &Manifest,
        to: &Manifest,
        root: &str,
    ) -> Result<Vec<Difference>, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let chunks = Chunks::new(self.index()?, &self.root);
        changes::between(&chunks, from.root(root)?, to.root(root)?)
    }

    /// In what a checkpoint's tree differs from what is there now, but for what the rules leave out. What
    /// is new of that comes into the store, and is given back the next time.
    ///
    /// # Errors
    /// When the checkpoint has no such tree, something of it is missing, or what is there cannot be read.
    pub fn differences_now(
        &self,
        from: &Manifest,
        now: Root<'_>,
        rules: &Rules,
    ) -> Result<Vec<Difference>, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let record = from.root(now.name)?;
        let index = self.index()?;
        let before = Before::read(&Chunks::new(self.index()?, &self.root), record)?;
        let ingest = Ingest::new(&self.root, &index);
        let (there, _) = self.scan(&ingest, &from.task, now, rules, Some(&before))?;
        ingest.finish()?;
        due::note(&self.root);
        changes::between(&Chunks::new(self.index()?, &self.root), record, &there)
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

    /// The checkpoints of a task, the oldest first, and the manifests that are damaged.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn survey(&self, task: &TaskId) -> Result<(Vec<Manifest>, Vec<StoreError>), StoreError> {
        manifest::of_task(&self.root, task)
    }

    /// One checkpoint of a task.
    ///
    /// # Errors
    /// When there is none of that name, or its manifest is damaged.
    pub fn get(&self, task: &TaskId, id: &CheckpointId) -> Result<Manifest, StoreError> {
        let found = manifest::find(&self.root, task, id)?;
        found.ok_or_else(|| StoreError::NotFound { checkpoint: id.to_string() })
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
            let (now, wanted) = (now.root(name)?, wanted.root(name)?);
            changes.push(Change { path, now, wanted, only: None });
        }
        replace::replace(&chunks, &changes, work)
    }

    /// Makes one path of a tree, with all that is in it if it is a folder, that of a checkpoint; the rest
    /// stays. All else is as with [`Self::replace`].
    ///
    /// # Errors
    /// When the checkpoint has no such path; those of [`Self::replace`].
    pub fn replace_path(
        &self,
        now: &Manifest,
        wanted: &Manifest,
        Root { name, path: place }: Root<'_>,
        path: &Path,
        work: &Path,
    ) -> Result<Replaced, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let chunks = Chunks::new(self.index()?, &self.root);
        let (now, record) = (now.root(name)?, wanted.root(name)?);
        check_path(&chunks, wanted, record, path)?;
        let only = path.as_os_str().as_bytes();
        let change = Change { path: place, now, wanted: record, only: Some(only) };
        replace::replace(&chunks, &[change], work)
    }

    /// Whether a checkpoint's tree has something at a path.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPath`] when it does not.
    pub fn check_path(
        &self,
        manifest: &Manifest,
        root: &str,
        path: &Path,
    ) -> Result<(), StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let chunks = Chunks::new(self.index()?, &self.root);
        check_path(&chunks, manifest, manifest.root(root)?, path)
    }

    /// Ends what [`Self::replace`] began and somebody's death kept from its end. Says whether the trees
    /// are those of the checkpoint now; else they are as they were.
    ///
    /// # Errors
    /// When a step cannot be done.
    pub fn finish(work: &Path) -> Result<bool, StoreError> {
        replace::finish(work)
    }

    /// Sees to it that [`Self::finish`] does nothing any more, whatever was done or begun.
    ///
    /// # Errors
    /// When the journal cannot be removed.
    pub fn settle(work: &Path) -> Result<(), StoreError> {
        replace::settle(work)
    }

    /// Writes a checkpoint as an archive that every tar reads (docs/persistence.md says what is in it).
    /// How much is in memory depends on the largest chunk, however large the checkpoint is.
    ///
    /// # Errors
    /// When something of the checkpoint is missing, or `out` fails. What was written by then is no whole
    /// archive.
    pub fn export(&self, manifest: &Manifest, out: impl Write) -> Result<Exported, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        export::export(&Chunks::new(self.index()?, &self.root), manifest, out)
    }

    /// Takes in an archive as a checkpoint: one that [`Self::export`] wrote, with all its trees, or any
    /// other `.tar.gz`, which becomes the tree `workspace`. Whoever made it is not trusted: nothing of it
    /// is made on a disk, and what could lead out of its tree is refused. Symbolic links are data, and are
    /// kept wherever they point. With an `owner`, all is theirs, and no program gains anything by its file
    /// (setuid, setgid, capabilities); without one, all that is as the archive says. When it comes back,
    /// the checkpoint survives the loss of power; before that, there is none.
    ///
    /// # Errors
    /// [`StoreError::BadArchive`] says what is wrong with the archive, and where. When `from` fails, or
    /// the store cannot be written to.
    pub fn import(
        &self,
        draft: Draft,
        owner: Option<UserIds>,
        from: impl Read,
        limits: &ImportLimits,
    ) -> Result<Manifest, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let importing = || {
            let index = self.index()?;
            let ingest = Ingest::new(&self.root, &index);
            let budget = Budget::new(*limits);
            let roots = import::import(&ingest, moment(draft.at), owner, from, budget)?;
            ingest.finish()?;
            let manifest = draft.of(roots);
            manifest::save(&self.root, &manifest)?;
            Ok(manifest)
        };
        self.or_due(importing())
    }

    /// Reads back all checkpoints of a task, or of all tasks, and says which are whole. Content that is
    /// found to be damaged is kept again by the next checkpoint that has it.
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
        let (index, damaged_packs) = Index::load(&self.root)?;
        damaged.extend(damaged_packs);
        let (unlisted, errors): (BTreeSet<_>, Vec<_>) =
            index.unlisted(&self.root).into_iter().unzip();
        damaged.extend(errors);
        let chunks = Chunks::new(index.trusted(), &self.root);
        let known = damage::load(&self.root);
        let (mut verified, mut copies) = verify::checkpoints(&chunks, &manifests, known);
        // What only the index knows of is to be somewhere else, too.
        copies.extend(chunks.index().chunks_of(&unlisted));
        damage::keep(&self.root, &copies);
        verified.findings.extend(damaged.into_iter().map(Finding::File));
        Ok(verified)
    }

    /// Forgets a checkpoint. Its chunks stay until [`Self::collect`].
    ///
    /// # Errors
    /// When its manifest cannot be removed.
    pub fn forget_one(&self, task: &TaskId, id: &CheckpointId) -> Result<(), StoreError> {
        due::note(&self.root);
        let path = manifest::file(&self.root, task, id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", path)(error))
            }
            Err(_) => Ok(()),
            Ok(()) => {
                due::note(&self.root);
                write::sync_folder(&path)
            }
        }
    }

    /// Forgets all checkpoints of a task. Their chunks stay until [`Self::collect`].
    ///
    /// # Errors
    /// When their manifests cannot be removed.
    pub fn forget(&self, task: &TaskId) -> Result<(), StoreError> {
        for folder in [manifest::folder(&self.root, task), caches(&self.root, task)] {
            if !folder.exists() {
                continue;
            }
            due::note(&self.root);
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", folder)(error));
                }
                Err(_) => {}
                Ok(()) => {
                    due::note(&self.root);
                    write::sync_folder(&folder)?;
                }
            }
        }
        Ok(())
    }

    /// Gives back the room of what no checkpoint needs any more. Others may take and restore
    /// checkpoints meanwhile, but for a moment at the end, for which is waited at most so long. None when
    /// that moment did not come, or another process is at it: then the room is given back the next time.
    /// A kill at any time harms nothing.
    ///
    /// # Errors
    /// When a checkpoint is damaged, so that nobody knows what it needs; when the store cannot be read
    /// or written to. No checkpoint is worse for it.
    pub fn collect(&self, wait: Duration) -> Result<Option<Collected>, StoreError> {
        collect::collect(&self.root, wait)
    }

    /// Whether there may be something to give back: since that was done last, a checkpoint was forgotten,
    /// or was begun and did not come to be.
    pub fn is_collection_due(&self) -> bool {
        due::is_noted(&self.root)
    }

    /// What checkpoints take, in bytes, each together with all that are named before it: what several
    /// need counts once, for the first. One that is not there takes nothing.
    ///
    /// # Errors
    /// When one of them is damaged.
    pub fn sizes(&self, checkpoints: &[(TaskId, CheckpointId)]) -> Result<Vec<u64>, StoreError> {
        let _lock = StoreLock::shared(&self.root)?;
        let chunks = Chunks::new(self.index()?, &self.root);
        let mut needed = Needed::default();
        let sizes = checkpoints.iter().map(|(task, id)| {
            if let Some(manifest) = manifest::find(&self.root, task, id)? {
                needed.add(&chunks, &manifest)?;
            }
            Ok(needed.bytes)
        });
        sizes.collect()
    }

    /// The tasks of which there are checkpoints.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn tasks(&self) -> Result<Vec<TaskId>, StoreError> {
        manifest::tasks(&self.root)
    }

    fn index(&self) -> Result<Index, StoreError> {
        let (index, damaged) = Index::load(&self.root)?;
        for error in damaged {
            tracing::warn!(%error, "a pack is left out");
        }
        Ok(index)
    }
}

fn check_path(
    chunks: &Chunks,
    manifest: &Manifest,
    record: &RootRecord,
    path: &Path,
) -> Result<(), StoreError> {
    if restore::has(chunks, record.tree, path.as_os_str().as_bytes())? {
        return Ok(());
    }
    Err(StoreError::NoSuchPath { checkpoint: manifest.id.clone(), path: path.to_owned() })
}

/// A moment before which every change was noted that has happened by now.
fn before_the_last_tick() -> Moment {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let nanos = now.tv_nsec - TICK;
    let (seconds, nanos) =
        if nanos < 0 { (now.tv_sec - 1, nanos + 1_000_000_000) } else { (now.tv_sec, nanos) };
    Moment { seconds, nanos: u32::try_from(nanos).unwrap_or(0) }
}
