//! Passing on the output of a command as it comes into its files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use armor_core::sandbox::{OutputChunk, StreamKind, Written};
use armor_persistence::output::stream_file;
use tokio::sync::{mpsc, watch};

/// How much is read at one time.
const PIECE: usize = 64 * 1024;

/// Sends what comes into an execution's folder, until its watcher is gone and all is sent, or nobody
/// listens any more. What a stream has beyond its limit is in the files only at the end, and so
/// comes then.
pub(crate) async fn follow(
    folder: PathBuf,
    mut heard: watch::Receiver<Option<Written>>,
    listener: mpsc::Sender<OutputChunk>,
) {
    let mut tail = Tail::default();
    loop {
        let goes_on = heard.changed().await.is_ok();
        while let Some(piece) = tail.next(&folder) {
            if listener.send(piece).await.is_err() {
                return;
            }
        }
        if !goes_on {
            return;
        }
    }
}

/// How far both streams have been read.
#[derive(Default)]
struct Tail {
    stdout: Option<File>,
    stderr: Option<File>,
}

impl Tail {
    /// The next piece that is there. A file that cannot be read has none.
    fn next(&mut self, folder: &Path) -> Option<OutputChunk> {
        let streams =
            [(StreamKind::Stdout, &mut self.stdout), (StreamKind::Stderr, &mut self.stderr)];
        for (stream, file) in streams {
            match more(folder, stream, file) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Some(OutputChunk { stream, bytes: bytes.into() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, folder = %folder.display(), "cannot be read"),
            }
        }
        None
    }
}

fn more(folder: &Path, stream: StreamKind, file: &mut Option<File>) -> io::Result<Vec<u8>> {
    if file.is_none() {
        *file = Some(File::open(stream_file(folder, stream))?);
    }
    let mut bytes = Vec::new();
    if let Some(file) = file {
        file.take(PIECE as u64).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
