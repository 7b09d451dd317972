//! How processes with the same database hear of each other's commits.
//!
//! Who has committed writes to a file beside the database, a bell; the others are told by the
//! kernel that the file was written to, and look. What a bell says is only "look": a ring that is
//! lost costs time, never an event. There is one for the log, and one for the queue of jobs.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// How long rings are gathered before somebody looks.
const GATHER: Duration = Duration::from_millis(5);
/// How long a ring may be lost: who was killed between its commit and its ring cannot ring.
const AT_LATEST: Duration = Duration::from_secs(10);

/// The bell's end to ring.
#[derive(Debug, Clone)]
pub(super) struct Bell {
    file: Arc<File>,
}

/// The bell's end to listen at.
#[derive(Debug)]
pub(super) struct Listener {
    rung: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

/// What a bell tells of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// The event log.
    Log,
    /// The queue of jobs.
    Jobs,
}

impl Of {
    /// Where the bell of a database is.
    fn path_beside(self, database: &Path) -> PathBuf {
        database.with_extension(match self {
            Self::Log => "bell",
            Self::Jobs => "jobs-bell",
        })
    }
}

impl Bell {
    pub(super) fn beside(database: &Path, of: Of) -> std::io::Result<Self> {
        let path = of.path_beside(database);
        let file =
            File::options().create(true).write(true).truncate(false).mode(0o600).open(path)?;
        Ok(Self { file: Arc::new(file) })
    }

    pub(super) fn ring(&self) {
        if let Err(error) = self.file.write_at(b"!", 0) {
            tracing::debug!(%error, "the others look by themselves in a while");
        }
    }
}

impl Listener {
    /// Listens at the bell. Where files cannot be watched, only time rings it.
    pub(super) fn beside(database: &Path, of: Of) -> Self {
        let rung = Arc::new(Notify::new());
        let ringing = Arc::clone(&rung);
        let watch = || {
            let mut watcher =
                notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                    if event.is_ok_and(|event| event.kind.is_modify()) {
                        ringing.notify_one();
                    }
                })?;
            watcher.watch(&of.path_beside(database), RecursiveMode::NonRecursive)?;
            Ok::<_, notify::Error>(watcher)
        };
        let watcher = watch().inspect_err(|error| {
            tracing::warn!(%error, "other processes' commits are seen only after some seconds");
        });
        Self { rung, _watcher: watcher.ok() }
    }

    /// Waits until it is time to look.
    pub(super) async fn wait(&self) {
        if tokio::time::timeout(AT_LATEST, self.rung.notified()).await.is_ok() {
            tokio::time::sleep(GATHER).await;
        }
    }
}
