//! Who is at work in a store: any number of those who add and read together, one who removes alone.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{StoreError, io_error};

/// How often it is looked whether nobody else is at work.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Held as long as it lives; the kernel lets go when its process dies.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Together with others, none of whom removes anything.
    pub(crate) fn shared(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("lock");
        let file = open(&path)?;
        loop {
            match flock(&file, FlockOperation::LockShared) {
                Err(Errno::INTR) => {}
                locked => {
                    locked.map_err(io_error("lock", &path))?;
                    return Ok(Self { _file: file });
                }
            }
        }
    }

    /// Alone, in the first moment in which nobody else is at work; none when that does not come within
    /// so long.
    pub(crate) fn alone(root: &Path, wait: Duration) -> Result<Option<Self>, StoreError> {
        let began = Instant::now();
        loop {
            let lock = Self::try_alone(&root.join("lock"))?;
            if lock.is_some() || began.elapsed() >= wait {
                return Ok(lock);
            }
            // There is no lock that is waited for with a limit.
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// As the only one that finds out what may go; none when another one does.
    pub(crate) fn collecting(root: &Path) -> Result<Option<Self>, StoreError> {
        Self::try_alone(&root.join("collecting"))
    }

    fn try_alone(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(error) => Err(io_error("lock", path)(error)),
        }
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    File::create(path).map_err(io_error("open", path))
}
