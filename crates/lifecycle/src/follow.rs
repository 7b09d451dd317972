//! Passing on the output of a command as it comes into its files.

use std::path::PathBuf;

use armor_core::sandbox::{OutputChunk, Written};
use armor_persistence::output::Tail;
use tokio::sync::{mpsc, watch};

/// Sends what comes into an execution's folder, until its watcher is gone and all is sent, or nobody
/// listens any more. What a stream has beyond its limit is in the files only at the end, and so
/// comes then.
pub(crate) async fn follow(
    folder: PathBuf,
    mut heard: watch::Receiver<Option<Written>>,
    listener: mpsc::Sender<OutputChunk>,
) {
    let mut tail = Tail::new(folder.clone());
    loop {
        let goes_on = heard.changed().await.is_ok();
        loop {
            let (stream, bytes) = match tail.piece() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "cannot be read");
                    break;
                }
            };
            if listener.send(OutputChunk { stream, bytes: bytes.into() }).await.is_err() {
                return;
            }
        }
        if !goes_on {
            return;
        }
    }
}
