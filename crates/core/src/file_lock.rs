//! A lock between processes: held on a file, let go by the kernel when its holder dies.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How long a waiter sleeps between two tries, at first and at most. Waiting does not block a
/// thread, so any number of tasks may wait for what another one of them holds.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Held as long as it lives.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Waits until nobody else holds the lock on the file at `path`, which is made if need be. Its
    /// holder may remove the file; who waits then takes the lock on the next one.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub async fn hold(path: &Path) -> io::Result<Self> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(lock) = Self::try_hold(path)? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until nobody holds the lock alone, and holds it together with others who share it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub async fn share(path: &Path) -> io::Result<Self> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(lock) = Self::try_with(path, File::try_lock_shared)? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn try_hold(path: &Path) -> io::Result<Option<Self>> {
        Self::try_with(path, File::try_lock)
    }

    /// Whether the file that is locked is still the one at `path`.
    pub fn is_at(&self, path: &Path) -> bool {
        is_at(&self.file, path)
    }

    fn try_with(
        path: &Path,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> io::Result<Option<Self>> {
        let file = File::options().create(true).append(true).open(path)?;
        match lock(&file) {
            // Whoever held it before may have removed the file: then ours is nobody's.
            Ok(()) if is_at(&file, path) => Ok(Some(Self { file })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_held_by_one_and_passes_on_also_when_its_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = FileLock::hold(&path).await.unwrap();
        assert!(FileLock::try_hold(&path).unwrap().is_none());
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { FileLock::hold(&path).await.unwrap() }
        });
        tokio::task::yield_now().await;
        std::fs::remove_file(&path).unwrap();
        drop(held);
        let next = waiting.await.unwrap();
        assert!(FileLock::try_hold(&path).unwrap().is_none(), "it is held on the file at the path");
        drop(next);
        assert!(FileLock::try_hold(&path).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_lock_that_is_shared_is_held_by_nobody_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let (one, two) = (FileLock::share(&path).await.unwrap(), FileLock::share(&path).await);
        drop(one);
        assert!(FileLock::try_hold(&path).unwrap().is_none());
        drop(two);
        assert!(FileLock::try_hold(&path).unwrap().is_some());
    }
}
