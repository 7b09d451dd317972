//! Writing the streams, each up to a limit.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use crate::stream::{OutputFiles, Piece, StreamKind};

/// How much of the end of a stream is kept when it grows past the limit, in bytes.
const TAIL: usize = 64 * 1024;
/// How many entries `order.jsonl` has at most. What comes later is replayed stream by stream.
const MOST_PIECES: u32 = 100_000;

/// Takes a command's output as it comes.
#[derive(Debug)]
pub struct OutputWriter {
    stdout: StreamWriter,
    stderr: StreamWriter,
    order: BufWriter<File>,
    pending: Option<Piece>,
    pieces: u32,
}

/// How much a command wrote, whether or not all of it was kept, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// To standard output.
    pub stdout: u64,
    /// To standard error.
    pub stderr: u64,
}

impl OutputWriter {
    /// Writes to these files. Of each stream, `keep` bytes and the end are kept.
    pub fn new(files: OutputFiles, keep: u64) -> Self {
        Self {
            stdout: StreamWriter::new(files.stdout, keep),
            stderr: StreamWriter::new(files.stderr, keep),
            order: BufWriter::new(files.order),
            pending: None,
            pieces: 0,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, stream: StreamKind, bytes: &[u8]) -> io::Result<()> {
        let writer = match stream {
            StreamKind::Stdout => &mut self.stdout,
            StreamKind::Stderr => &mut self.stderr,
        };
        let kept = writer.write(bytes)?;
        self.note(stream, kept)
    }

    /// Sees to it that all that has come can be read, in its order, and of a stream that is too long
    /// its end as it is now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.write_end()?;
        self.stderr.write_end()?;
        self.flush_pending()?;
        self.order.flush()
    }

    /// How much has come so far.
    pub const fn written(&self) -> Written {
        Written { stdout: self.stdout.total, stderr: self.stderr.total }
    }

    /// Completes the files and says how much was written.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(mut self) -> io::Result<Written> {
        let written = self.written();
        let stdout_end = self.stdout.write_end()?;
        self.note(StreamKind::Stdout, stdout_end)?;
        let stderr_end = self.stderr.write_end()?;
        self.note(StreamKind::Stderr, stderr_end)?;
        self.flush_pending()?;
        self.order.flush()?;
        Ok(written)
    }

    /// Pieces of one stream that follow each other become one entry.
    fn note(&mut self, stream: StreamKind, bytes: u64) -> io::Result<()> {
        if bytes == 0 || self.pieces >= MOST_PIECES {
            return Ok(());
        }
        match &mut self.pending {
            Some(pending) if pending.stream == stream => pending.bytes += bytes,
            _ => {
                self.flush_pending()?;
                self.pieces += 1;
                self.pending = Some(Piece { stream, bytes });
            }
        }
        Ok(())
    }

    fn flush_pending(&mut self) -> io::Result<()> {
        let Some(piece) = self.pending.take() else {
            return Ok(());
        };
        serde_json::to_writer(&mut self.order, &piece)?;
        self.order.write_all(b"\n")
    }
}

#[derive(Debug)]
struct StreamWriter {
    file: File,
    keep: u64,
    total: u64,
    /// The last bytes beyond `keep`, at most twice [`TAIL`] of them.
    tail: Vec<u8>,
}

impl StreamWriter {
    const fn new(file: File, keep: u64) -> Self {
        Self { file, keep, total: 0, tail: Vec::new() }
    }

    /// Takes bytes and says how many of them went to the file now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let room = self.keep.saturating_sub(self.total);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let (now, later) = bytes.split_at(room);
        self.file.write_all(now)?;
        self.total += bytes.len() as u64;
        self.tail.extend_from_slice(&later[later.len().saturating_sub(TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        Ok(now.len() as u64)
    }

    /// Writes the end of a stream that is too long, in place of the one that was written before,
    /// which was not longer. Says how many bytes that were.
    fn write_end(&self) -> io::Result<u64> {
        let tail = &self.tail[self.tail.len().saturating_sub(TAIL)..];
        let missing = self.total.saturating_sub(self.keep).saturating_sub(tail.len() as u64);
        let mut end = Vec::new();
        if missing > 0 {
            end.extend_from_slice(
                format!("\n[armor: {missing} bytes are missing here: more than the limit of {} was written]\n", self.keep).as_bytes(),
            );
        }
        end.extend_from_slice(tail);
        self.file.write_all_at(&end, self.keep)?;
        Ok(end.len() as u64)
    }
}
