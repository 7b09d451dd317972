//! Reading back what was kept, in order.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::stream::{Piece, StreamKind, order_file, stream_file};

/// Reads what was kept of an execution's output, in the order in which it came.
///
/// # Errors
/// When a file cannot be read, or `each` returns an error.
pub fn replay(
    folder: &Path,
    each: &mut dyn FnMut(StreamKind, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    // Of what had a terminal, or was never started, nothing was kept.
    let Some(mut stdout) = open(&stream_file(folder, StreamKind::Stdout))? else { return Ok(()) };
    let Some(mut stderr) = open(&stream_file(folder, StreamKind::Stderr))? else { return Ok(()) };
    let order = std::fs::read_to_string(order_file(folder))?;
    for line in order.lines() {
        // A torn last line belongs to output that follows below anyway.
        let Ok(piece) = serde_json::from_str::<Piece>(line) else {
            break;
        };
        match piece.stream {
            StreamKind::Stdout => copy(&mut stdout, piece.bytes, StreamKind::Stdout, each)?,
            StreamKind::Stderr => copy(&mut stderr, piece.bytes, StreamKind::Stderr, each)?,
        }
    }
    // What the order does not know yet: the command still runs, or its watcher was killed.
    copy(&mut stdout, u64::MAX, StreamKind::Stdout, each)?;
    copy(&mut stderr, u64::MAX, StreamKind::Stderr, each)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn copy(
    source: &mut File,
    mut bytes: u64,
    stream: StreamKind,
    each: &mut dyn FnMut(StreamKind, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while bytes > 0 {
        let wanted = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
        let read = source.read(&mut buffer[..wanted])?;
        if read == 0 {
            break;
        }
        each(stream, &buffer[..read])?;
        bytes -= read as u64;
    }
    Ok(())
}
