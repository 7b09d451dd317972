//! Backups of a registry: where they are, what they are called, and how many are kept (R14).

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use armor_core::event::SystemEvent;
use armor_core::file_lock::FileLock;
use armor_core::id::IdSource;
use armor_core::time::{Clock, Timestamp};

use crate::{Registry, RegistryError, Restored};

const PREFIX: &str = "armor-";
const SUFFIX: &str = ".db";
/// What stands in place of the suffix until a backup is whole.
const HALF_MADE: &str = "new";

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its file.
    pub path: PathBuf,
    /// The moment at which it was taken.
    pub at: Timestamp,
    /// Its size.
    pub bytes: u64,
}

/// The backups of a home.
#[derive(Debug, Clone)]
pub struct Backups {
    folder: PathBuf,
    keep: usize,
}

impl Backups {
    /// Those in `folder`, of which the newest `keep` are kept.
    pub const fn new(folder: PathBuf, keep: usize) -> Self {
        Self { folder, keep }
    }

    /// Takes a backup, while the registry is written to, and removes those that are too many.
    ///
    /// # Errors
    /// When it cannot be written: then nothing of it is left. When it was, and the log cannot take
    /// the fact: then it stays.
    pub async fn create(
        &self,
        registry: &dyn Registry,
        now: Timestamp,
    ) -> Result<Backup, RegistryError> {
        let io = |error| RegistryError::of_io("back up the database", error);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(io)?;
        let lock = FileLock::hold(&self.folder.join(".lock")).await.map_err(io)?;
        self.remove_half_made()?;
        let path = self.folder.join(name(now));
        let half_made = path.with_extension(HALF_MADE);
        let copied = registry.copy_to(&half_made).await;
        let finished = copied.and_then(|()| settle(&half_made, &path).map_err(io));
        if let Err(error) = finished {
            // It may not be there; what counts is the failure before.
            let _removed = fs::remove_file(&half_made);
            return Err(error);
        }
        let bytes = path.metadata().map_err(io)?.len();
        if let Err(error) = self.prune(&path) {
            let cause = armor_core::error::chain(&error);
            tracing::warn!(cause, "backups that are too many stay for now");
        }
        drop(lock);
        registry.announce(SystemEvent::BackupCreated { path: path.clone(), bytes }).await?;
        Ok(Backup { path, at: now, bytes })
    }

    /// Puts a backup in the place of the database, as a whole or not at all. What was committed
    /// after the backup is not in it: the database that is replaced is kept beside it. `backup` is
    /// a path, or the name of a file in the folder of the backups.
    ///
    /// # Errors
    /// [`RegistryError::InUse`] when somebody has the database open; [`RegistryError::Corrupt`] and
    /// [`RegistryError::TooNew`] when the backup is no good; [`RegistryError::OtherHome`] when it is
    /// that of another home. Then nothing has changed.
    pub async fn restore(
        &self,
        backup: &Path,
        database: &Path,
        clock: &dyn Clock,
        ids: &dyn IdSource,
    ) -> Result<Restored, RegistryError> {
        let path = if backup.exists() { backup.to_owned() } else { self.folder.join(backup) };
        crate::sqlite::restore::restore(database, &path, clock, ids).await
    }

    /// The backups that are there, the newest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Backup>, RegistryError> {
        let io = |error| RegistryError::of_io("list the backups", error);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io)?;
            let Some(at) = entry.file_name().to_str().and_then(taken_at) else { continue };
            match entry.metadata() {
                Ok(file) => found.push(Backup { path: entry.path(), at, bytes: file.len() }),
                // It was removed just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io(error)),
            }
        }
        found.sort_by_key(|backup| std::cmp::Reverse(backup.at));
        Ok(found)
    }

    /// Removes what a killed process was about to back up. Called by who holds the lock.
    fn remove_half_made(&self) -> Result<(), RegistryError> {
        let io = |error| RegistryError::of_io("remove a backup that was half made", error);
        for entry in fs::read_dir(&self.folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let finished = path.with_extension("db");
            let is_ours =
                finished.file_name().and_then(|n| n.to_str()).and_then(taken_at).is_some();
            if is_ours && path.extension().is_some_and(|extension| extension == HALF_MADE) {
                fs::remove_file(&path).map_err(io)?;
            }
        }
        Ok(())
    }

    /// Removes what is too many, but never the one just taken: the clock may have gone back.
    fn prune(&self, taken: &Path) -> Result<(), RegistryError> {
        for surplus in self.list()?.into_iter().skip(self.keep) {
            if surplus.path == taken {
                continue;
            }
            let removed = fs::remove_file(&surplus.path);
            removed.map_err(|error| RegistryError::of_io("remove an old backup", error))?;
            tracing::info!(path = %surplus.path.display(), "removed an old backup");
        }
        Ok(())
    }
}

/// Makes a file durable and gives it its name.
fn settle(half_made: &Path, path: &Path) -> io::Result<()> {
    File::open(half_made)?.sync_all()?;
    fs::rename(half_made, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// `armor-2026-11-21T10-15-30.123456Z.db`, without the colons that some file systems refuse.
fn name(at: Timestamp) -> String {
    format!("{PREFIX}{}{SUFFIX}", at.to_string().replace(':', "-"))
}

fn taken_at(name: &str) -> Option<Timestamp> {
    let (day, time) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('T')?;
    Timestamp::parse(&format!("{day}T{}", time.replace('-', ":"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_backup_says_when_it_was_taken() {
        let at = Timestamp::from_micros(1_800_000_000_123_456);
        assert_eq!(name(at), "armor-2027-01-15T08-00-00.123456Z.db");
        assert_eq!(taken_at(&name(at)), Some(at));
        for other in ["armor.db", "armor-x.db", "armor-2027-01-15T08-00-00.123456Z.new"] {
            assert_eq!(taken_at(other), None, "{other}");
        }
    }
}
