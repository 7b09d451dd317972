//! The pool's folder: a file for each sandbox, named after the task that it will be, in one of three
//! folders. Its way through them is by renaming, so that one of those who want it gets it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use armor_core::id::TaskId;

use super::Pooled;

/// The sandboxes of a home's pool.
#[derive(Debug)]
pub struct Pool {
    folder: PathBuf,
    lock: PathBuf,
    size: usize,
}

/// How far a pooled sandbox has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is being made.
    Making,
    /// It can be claimed.
    Ready,
    /// Its task is being created.
    Claimed,
}

impl Stage {
    pub(crate) const ALL: [Self; 3] = [Self::Making, Self::Ready, Self::Claimed];

    const fn folder(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Ready => "ready",
            Self::Claimed => "claimed",
        }
    }
}

impl Pool {
    /// The pool whose files are in `folder`, with so many sandboxes for each kind that is in use. The
    /// process that fills it holds the lock on the file `lock`.
    pub const fn new(folder: PathBuf, lock: PathBuf, size: usize) -> Self {
        Self { folder, lock, size }
    }

    /// How many sandboxes of each kind are kept ready.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// The file that whoever fills the pool holds a lock on.
    pub(crate) fn lock(&self) -> &Path {
        &self.lock
    }

    /// Whether a sandbox is at any stage.
    pub(crate) fn has(&self, task: &TaskId) -> io::Result<bool> {
        // In the order in which one goes on; and it may go back to the first.
        for stage in Stage::ALL.into_iter().chain([Stage::Making]) {
            if self.path(stage, task).try_exists()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The sandboxes at a stage, the oldest first.
    pub(crate) fn at(&self, stage: Stage) -> io::Result<Vec<TaskId>> {
        let entries = match fs::read_dir(self.folder.join(stage.folder())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| TaskId::parse(name).ok()));
        }
        found.sort();
        Ok(found)
    }

    /// What a sandbox was made from; none when it has left the stage, or its file is damaged.
    pub(crate) fn read(&self, stage: Stage, task: &TaskId) -> Option<Pooled> {
        serde_json::from_slice(&fs::read(self.path(stage, task)).ok()?).ok()
    }

    /// Notes that a sandbox is about to be made.
    pub(crate) fn begin(&self, task: &TaskId, pooled: &Pooled) -> io::Result<()> {
        for stage in Stage::ALL {
            fs::create_dir_all(self.folder.join(stage.folder()))?;
        }
        fs::write(self.path(Stage::Making, task), serde_json::to_vec(pooled)?)
    }

    /// Moves a sandbox from one stage to another. False when it is not there: somebody else was first.
    pub(crate) fn advance(&self, task: &TaskId, from: Stage, to: Stage) -> io::Result<bool> {
        match fs::rename(self.path(from, task), self.path(to, task)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Forgets a sandbox. That it is not there is no error.
    pub(crate) fn forget(&self, stage: Stage, task: &TaskId) -> io::Result<()> {
        match fs::remove_file(self.path(stage, task)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, stage: Stage, task: &TaskId) -> PathBuf {
        self.folder.join(stage.folder()).join(task.as_str())
    }
}

#[cfg(test)]
mod tests {
    use armor_core::sandbox::{ImageName, Limits, NetworkMode};

    use super::*;
    use crate::pool::Ingredients;

    #[test]
    fn of_many_who_want_a_sandbox_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::new(folder.path().join("pool"), folder.path().join("lock"), 1);
        let task = TaskId::parse("t1").unwrap();
        let ingredients = Ingredients {
            image: ImageName::base(),
            network: NetworkMode::None,
            limits: Limits::default(),
            repository: None,
            objects: Some(folder.path().to_owned()),
            certificates: None,
            folder: None,
        };
        let pooled = Pooled::now(ingredients, "sha256:1".to_owned()).unwrap();
        assert_eq!(pool.at(Stage::Ready).unwrap(), []);
        pool.begin(&task, &pooled).unwrap();
        assert_eq!(pool.at(Stage::Ready).unwrap(), []);
        assert!(pool.advance(&task, Stage::Making, Stage::Ready).unwrap());
        assert_eq!(pool.read(Stage::Ready, &task), Some(pooled));
        let got = std::thread::scope(|scope| {
            let claim = || pool.advance(&task, Stage::Ready, Stage::Claimed).unwrap();
            let claimers: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
            claimers.into_iter().map(|one| one.join().unwrap()).filter(|got| *got).count()
        });
        assert_eq!(got, 1);
        assert_eq!(pool.at(Stage::Claimed).unwrap(), std::slice::from_ref(&task));
        pool.forget(Stage::Claimed, &task).unwrap();
        pool.forget(Stage::Claimed, &task).unwrap();
        assert_eq!(pool.at(Stage::Claimed).unwrap(), []);
    }
}
