//! Going back to a checkpoint: the task's files become those of it, in their place.
//!
//! A sandbox that runs stands still meanwhile, and what is there is kept as a checkpoint first. The store
//! sees to it that a kill leaves the old files or the new ones; until whoever comes next has seen to
//! that, nothing runs in the sandbox. From before it stands still until it goes on there is a note of
//! that in the folder that the restoration works in.

use std::fs;
use std::io;

use armor_checkpoint_store::{Manifest, Reason, Replaced, Root, Store};
use armor_core::checkpoint::CheckpointCause;
use armor_core::event::CheckpointEvent;
use armor_core::file_lock::FileLock;
use armor_core::id::{CheckpointId, SandboxId, TaskId};
use armor_core::path::RelativePath;
use armor_core::sandbox::{RuntimeError, Sandbox, SandboxState};
use armor_core::task::{Folder, Task, TaskStatus};
use armor_persistence::StorageError;
use serde::{Deserialize, Serialize};

use super::take::WORKSPACE;
use crate::{Lifecycle, LifecycleError};

/// The file that says what is restored, beside what the store has there.
const NOTE: &str = "restoration.json";

/// Files that were made those of a checkpoint.
#[derive(Debug, Clone)]
pub struct Restoration {
    /// The checkpoint.
    pub to: Manifest,
    /// The one of what was there before.
    pub safety: Manifest,
    /// Files, folders and links that came, went or changed.
    pub changed: u64,
}

/// What is known of a restoration, or of a checkpoint for which the sandbox stands still, also when its
/// process is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    /// None while one is only taken.
    checkpoint: Option<CheckpointId>,
    /// None while it has not been taken.
    safety: Option<CheckpointId>,
    /// What stands still.
    sandbox: Option<SandboxId>,
    /// The one path of the workspace that is restored, if not all is.
    #[serde(default)]
    path: Option<RelativePath>,
}

impl Lifecycle {
    /// Makes the task's files, workspace and memory, those of a checkpoint. What is there is kept as
    /// another one first; what is the same is not touched. Commands that run stand still meanwhile. The
    /// task is pending then, whatever it was. With a path below the workspace, only what is there becomes
    /// that of the checkpoint, and the task goes on. It comes to its end also when nobody waits for it.
    ///
    /// # Errors
    /// When there is no such checkpoint, or nothing at the path, something of it is missing, not all that is there can be kept,
    /// or the workspace is a folder of the user's; then nothing has changed.
    pub async fn restore(
        &self,
        reference: &str,
        checkpoint: &str,
        path: Option<RelativePath>,
    ) -> Result<Restoration, LifecycleError> {
        let (lifecycle, checkpoint) = (self.clone(), checkpoint.to_owned());
        let task = self.resolve(reference).await?;
        let path = path.filter(|path| !path.is_root());
        // The lock has to be held as long as the work lasts.
        let restoring = tokio::spawn(async move {
            let _lock = lifecycle.parts.folders.lock(&task.id).await?;
            let task = lifecycle.parts.registry.get(&task.id).await?;
            let restored = lifecycle.restore_locked(&task, &checkpoint, path).await?;
            // Not before: the one that was restored might have gone.
            lifecycle.retain_some(&task.id).await;
            Ok(restored)
        });
        restoring.await.map_err(|_| LifecycleError::Broken("restoring a checkpoint"))?
    }

    async fn restore_locked(
        &self,
        task: &Task,
        checkpoint: &str,
        path: Option<RelativePath>,
    ) -> Result<Restoration, LifecycleError> {
        if let Some(Folder::Bind { path, .. }) = &task.sandbox.folder {
            return Err(LifecycleError::UsersOwnFolder { path: path.clone() });
        }
        self.finish_restoration(&task.id).await?;
        let (_, to) = self.find_checkpoint(task.id.as_str(), checkpoint).await?;
        if let Some(path) = &path {
            let (wanted, path) = (to.clone(), path.clone());
            let checking =
                self.with_store(move |store| store.check_path(&wanted, WORKSPACE, path.as_path()));
            checking.await?;
        }
        let sandbox = self.running_sandbox(task).await?;
        let note = Note { checkpoint: Some(to.id.clone()), safety: None, sandbox, path };
        let restored = self.restore_noted(task, to, note).await;
        // To its end, if it has come so far that it can be; else it is as if it had not begun. What
        // comes to neither stays, and the sandbox stands still.
        if restored.is_err() {
            self.finish_restoration(&task.id).await?;
        }
        self.empty_trash().await;
        restored
    }

    /// Lets the task's sandbox stand still, if it runs, and notes that, for whoever comes when this
    /// process is gone. Says whether it does. For whoever holds the task's lock.
    pub(super) async fn stand_still(&self, task: &Task) -> Result<bool, LifecycleError> {
        let Some(sandbox) = self.running_sandbox(task).await? else { return Ok(false) };
        let note =
            Note { checkpoint: None, safety: None, sandbox: Some(sandbox.clone()), path: None };
        self.write_note(&task.id, &note)?;
        if let Err(error) = self.parts.runtime.pause(&sandbox).await {
            self.go_on(&task.id).await?;
            return Err(error.into());
        }
        Ok(true)
    }

    /// Lets it go on.
    pub(super) async fn go_on(&self, task: &TaskId) -> Result<(), LifecycleError> {
        self.finish_restoration(task).await?;
        self.empty_trash().await;
        Ok(())
    }

    pub(crate) async fn empty_trash(&self) {
        if let Err(error) = self.parts.folders.empty_trash().await {
            let cause = armor_core::error::chain(&error);
            tracing::warn!(cause, "what was replaced stays in the trash for now");
        }
    }

    /// The task's sandbox, if it runs. One that has ended may still have one, which is about to go.
    async fn running_sandbox(&self, task: &Task) -> Result<Option<SandboxId>, LifecycleError> {
        let found = match self.parts.runtime.find(&task.id).await {
            Err(RuntimeError::Unavailable { .. }) if task.status != TaskStatus::Running => None,
            found => found?,
        };
        let running = found.filter(|sandbox| sandbox.state == SandboxState::Running);
        Ok(running.map(|Sandbox { id, .. }| id))
    }

    async fn restore_noted(
        &self,
        task: &Task,
        to: Manifest,
        mut note: Note,
    ) -> Result<Restoration, LifecycleError> {
        self.write_note(&task.id, &note)?;
        if let Some(sandbox) = &note.sandbox {
            self.parts.runtime.pause(sandbox).await?;
        }
        let safety = self.take_safety(task, &to).await?;
        // Sockets and devices mean nothing behind their time; what rules leave out stays as it is.
        let lost = safety.left_out().find(|out| {
            !out.reason.is_rule() && !matches!(out.reason, Reason::Socket | Reason::Device)
        });
        if let Some(lost) = lost {
            return Err(LifecycleError::NotAllKept {
                path: lost.path.clone(),
                reason: lost.reason.as_str(),
            });
        }
        note.safety = Some(safety.id.clone());
        self.write_note(&task.id, &note)?;
        let work = self.parts.folders.restoring(&task.id);
        let mut roots = self.roots(task);
        // An archive may have had the workspace alone.
        roots.retain(|(name, _)| *name == WORKSPACE || to.root(name).is_ok());
        let (now, wanted, only) = (safety.clone(), to.clone(), note.path.clone());
        let replaced = self.with_store(move |store| {
            let mut roots = roots.iter().map(|(name, path)| Root { name, path: path.as_path() });
            match (only, roots.next()) {
                (Some(only), Some(workspace)) => {
                    store.replace_path(&now, &wanted, workspace, only.as_path(), &work)
                }
                (_, workspace) => {
                    let roots: Vec<_> = workspace.into_iter().chain(roots).collect();
                    store.replace(&now, &wanted, &roots, &work)
                }
            }
        });
        let Replaced { changed } = replaced.await?;
        self.note_restored(&task.id, &note, changed).await?;
        self.let_go(&task.id, &note).await?;
        Ok(Restoration { to, safety, changed })
    }

    /// Takes a checkpoint of all that restoring another one may replace.
    async fn take_safety(&self, task: &Task, to: &Manifest) -> Result<Manifest, LifecycleError> {
        let draft = self.draft(task, None, CheckpointCause::BeforeRestore.into()).await?;
        let (roots, rules, wanted) = (self.roots(task), self.rules(), to.clone());
        let taking = self.with_store(move |store| {
            let roots: Vec<_> =
                roots.iter().map(|(name, path)| Root { name, path: path.as_path() }).collect();
            store.take_before(draft, &roots, &rules, &wanted)
        });
        Ok(self.note_taken(taking.await?, false).await?.1)
    }

    fn write_note(&self, task: &TaskId, note: &Note) -> Result<(), LifecycleError> {
        let work = self.parts.folders.restoring(task);
        let written = || -> io::Result<()> {
            fs::create_dir_all(&work)?;
            // Beside its place, so that nobody ever reads half of it.
            let new = work.join("restoration.new");
            let mut file = fs::File::create(&new)?;
            io::Write::write_all(&mut file, &serde_json::to_vec(note)?)?;
            file.sync_all()?;
            fs::rename(new, work.join(NOTE))
        };
        written().map_err(|source| self.cannot_restore(task, source))
    }

    /// Ends a restoration that somebody's death, or an error, kept from its end, by whoever holds the
    /// task's lock.
    pub(crate) async fn finish_restoration(&self, task: &TaskId) -> Result<(), LifecycleError> {
        let work = self.parts.folders.restoring(task);
        if !work.exists() {
            return Ok(());
        }
        let place = work.clone();
        let is_restored = self.with_store(move |_| Store::finish(&place)).await?;
        let note = match fs::read(work.join(NOTE)) {
            // Nothing stands still before there is one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.parts.folders.discard_restoring(task)?);
            }
            note => note.and_then(|note| Ok(serde_json::from_slice::<Note>(&note)?)),
        };
        let note = note.map_err(|source| self.cannot_restore(task, source))?;
        if is_restored {
            tracing::warn!(%task, checkpoint = ?note.checkpoint, "restored, which was begun before");
            // How much that was is not known any more.
            self.note_restored(task, &note, 0).await?;
        }
        self.let_go(task, &note).await
    }

    async fn note_restored(
        &self,
        task: &TaskId,
        note: &Note,
        changed: u64,
    ) -> Result<(), LifecycleError> {
        let Note { checkpoint, safety, path, .. } = note.clone();
        // There is a journal only behind it.
        let (Some(checkpoint), Some(safety)) = (checkpoint, safety) else { return Ok(()) };
        let is_all = path.is_none();
        let path = path.map(|path| path.as_str().to_owned());
        let restored = CheckpointEvent::Restored { checkpoint, safety, changed, path };
        if !is_all {
            return self.append(task, restored).await;
        }
        self.change(task, |task| Ok(task.restored(restored.clone(), self.now()))).await?;
        Ok(())
    }

    /// Lets the sandbox go on. That it is gone, or goes on already, is no error.
    async fn let_go(&self, task: &TaskId, note: &Note) -> Result<(), LifecycleError> {
        // From now on no step is done again. That something stands still is known until it does not.
        let work = self.parts.folders.restoring(task);
        self.with_store(move |_| Store::settle(&work)).await?;
        if let Some(wanted) = &note.sandbox
            && let Some(Sandbox { id, state: SandboxState::Paused, .. }) =
                self.parts.runtime.find(task).await?
            && id == *wanted
        {
            self.parts.runtime.unpause(&id).await?;
        }
        Ok(self.parts.folders.discard_restoring(task)?)
    }

    /// Waits until no restoration of the task is at work: nothing may run meanwhile, and whoever kills
    /// a command lets the sandbox go on. Gives the task's lock, if there was something to wait for.
    pub(crate) async fn until_restored(
        &self,
        task: &TaskId,
    ) -> Result<Option<FileLock>, LifecycleError> {
        if !self.parts.folders.restoring(task).exists() {
            return Ok(None);
        }
        let lock = self.parts.folders.lock(task).await?;
        self.finish_restoration(task).await?;
        Ok(Some(lock))
    }

    /// Ends all restorations of processes that died.
    pub(crate) async fn finish_restorations(&self) -> Result<(), LifecycleError> {
        for task in self.parts.folders.restorations()? {
            // Who holds it is at it.
            let Some(_lock) = self.parts.folders.try_lock(&task)? else { continue };
            if let Err(error) = self.finish_restoration(&task).await {
                let cause = armor_core::error::chain(&error);
                tracing::error!(%task, cause, "its files are not restored yet");
            }
        }
        Ok(())
    }

    fn cannot_restore(&self, task: &TaskId, source: io::Error) -> LifecycleError {
        let path = self.parts.folders.restoring(task);
        StorageError::Io { action: "prepare the restoration in", path, source }.into()
    }
}
