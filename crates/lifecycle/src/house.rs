//! What one process of a home does for all of it, in the background: it watches what sandboxes take, and
//! removes what nobody needs. While it does, no other one does so.

use std::path::Path;
use std::time::Duration;

use armor_core::file_lock::FileLock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Lifecycle;

/// How often it is looked whether the place is free.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Lifecycle {
    /// Watches sandboxes' shares and sweeps orphans, as the settings say, until it is told to stop.
    /// Waits while another process of the home does so.
    pub async fn keep_house(&self, stop: CancellationToken) {
        let Some(_place) = wait_for_place(&self.parts.house_lock, &stop).await else { return };
        tokio::join!(self.keep_watching_shares(&stop), self.keep_sweeping(&stop));
    }
}

/// Waits until no other process of the home holds a place, or it is told to stop.
pub(crate) async fn wait_for_place(lock: &Path, stop: &CancellationToken) -> Option<FileLock> {
    loop {
        match FileLock::try_hold(lock) {
            Ok(Some(place)) => return Some(place),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, lock = %lock.display(), "work in the background waits");
            }
        }
        stop.run_until_cancelled(sleep(LOOK_AGAIN)).await?;
    }
}
