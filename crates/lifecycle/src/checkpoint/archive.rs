//! Checkpoints as archives that any tar reads, out and in.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use armor_checkpoint_store::{Exported, ImportLimits, Manifest, StoreError};
use armor_core::checkpoint::{Checkpoint, CheckpointCause};

use super::take::TakeCheckpoint;
use crate::{Lifecycle, LifecycleError};

impl Lifecycle {
    /// Writes a checkpoint to a new file, which is there whole or not at all.
    ///
    /// # Errors
    /// When there is no such checkpoint, something of it is missing, or something is at `file` already.
    pub async fn export_checkpoint(
        &self,
        reference: &str,
        checkpoint: &str,
        file: &Path,
    ) -> Result<(Checkpoint, Exported), LifecycleError> {
        let (found, manifest) = self.find_checkpoint(reference, checkpoint).await?;
        let file = file.to_owned();
        let exporting = self.with_store(move |store| {
            let failed = |action: &'static str| {
                let path = file.clone();
                move |source| StoreError::Io { action, path, source }
            };
            if file.symlink_metadata().is_ok() {
                return Err(StoreError::Occupied { path: file });
            }
            let above = file.parent().filter(|above| !above.as_os_str().is_empty());
            let beside = tempfile::NamedTempFile::new_in(above.unwrap_or(Path::new(".")));
            let mut writer = BufWriter::new(beside.map_err(failed("write beside"))?);
            let exported = store.export(&manifest, &mut writer)?;
            writer.flush().map_err(failed("write"))?;
            let beside = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
            let beside = beside.map_err(failed("write"))?;
            beside.as_file().sync_all().map_err(failed("write"))?;
            match beside.persist_noclobber(&file) {
                Ok(_) => Ok(exported),
                Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                    Err(StoreError::Occupied { path: file })
                }
                Err(error) => Err(failed("put in place")(error.error)),
            }
        });
        Ok((found, exporting.await?))
    }

    /// Takes in an archive as a checkpoint of a task: one that was exported, or any `.tar.gz`, which
    /// becomes the workspace. Its files are those of the task's commands then.
    ///
    /// # Errors
    /// When the archive cannot be read, is damaged or would lead out of its place; when the name is taken.
    pub async fn import_checkpoint(
        &self,
        reference: &str,
        take: TakeCheckpoint,
        archive: PathBuf,
    ) -> Result<(Checkpoint, Manifest), LifecycleError> {
        let (lifecycle, task) = (self.clone(), self.resolve(reference).await?);
        // The lock has to be held as long as the work lasts.
        let importing = tokio::spawn(async move {
            let _lock = lifecycle.parts.folders.lock(&task.id).await?;
            let task = lifecycle.parts.registry.get(&task.id).await?;
            let draft = lifecycle.draft(&task, take.name, CheckpointCause::Imported.into()).await?;
            let owner = lifecycle.user_of(&task.sandbox);
            let taking = lifecycle.with_store(move |store| {
                let file = File::open(&archive).map_err(|source| StoreError::Io {
                    action: "open",
                    path: archive,
                    source,
                })?;
                let limits = ImportLimits::default();
                store.import(draft, Some(owner), BufReader::new(file), &limits)
            });
            lifecycle.note_taken(taking.await?, take.pinned).await
        });
        importing.await.map_err(|_| LifecycleError::Broken("importing a checkpoint"))?
    }
}
