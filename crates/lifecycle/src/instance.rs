//! The processes that have a home open. Each that runs commands holds a lock on a file of its own,
//! which the kernel lets go when it dies, however it dies.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use armor_core::id::InstanceId;
use tokio::sync::OnceCell;

/// The instances of a home, and ourselves among them.
#[derive(Debug)]
pub struct Instances {
    folder: PathBuf,
    own: OnceCell<Own>,
}

#[derive(Debug)]
struct Own {
    id: InstanceId,
    path: PathBuf,
    _lock: File,
}

impl Drop for Own {
    fn drop(&mut self) {
        // What stays behind is removed by whoever finds it unlocked.
        let _removed = fs::remove_file(&self.path);
    }
}

impl Instances {
    /// The instances below `home`.
    pub fn new(home: &Path) -> Self {
        Self { folder: home.join("instances"), own: OnceCell::new() }
    }

    /// Our own id, under which we hold a lock from now on. `make` gives a new one.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub async fn own(&self, make: impl FnOnce() -> InstanceId) -> io::Result<InstanceId> {
        let own = self
            .own
            .get_or_try_init(|| async {
                fs::create_dir_all(&self.folder)?;
                let id = make();
                let path = self.folder.join(id.as_str());
                let lock = File::create(&path)?;
                lock.lock()?;
                Ok::<_, io::Error>(Own { id, path, _lock: lock })
            })
            .await?;
        Ok(own.id.clone())
    }

    /// Whether an instance is alive: somebody holds its lock.
    ///
    /// # Errors
    /// When its file cannot be looked at.
    pub fn is_alive(&self, instance: &InstanceId) -> io::Result<bool> {
        let path = self.folder.join(instance.as_str());
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => {
                fs::remove_file(&path)?;
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
