//! Who is at work in a store: any number of those who add and read together, one who removes alone.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::{StoreError, io_error};

/// Held as long as it lives; the kernel lets go when its process dies.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Together with others, none of whom removes anything.
    pub(crate) fn shared(root: &Path) -> Result<Self, StoreError> {
        Self::take(root, FlockOperation::LockShared)
    }

    fn take(root: &Path, operation: FlockOperation) -> Result<Self, StoreError> {
        let path = root.join("lock");
        let file = File::create(&path).map_err(io_error("open", &path))?;
        loop {
            match flock(&file, operation) {
                Err(rustix::io::Errno::INTR) => {}
                locked => {
                    locked.map_err(io_error("lock", &path))?;
                    return Ok(Self { _file: file });
                }
            }
        }
    }
}
