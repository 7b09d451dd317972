//! What a command wrote: kept on disk up to a limit, and cut in the middle for the caller.
//!
//! An execution's folder holds `stdout` and `stderr` as they were written, and `order.jsonl`, which
//! says in what order their pieces came. When a stream grows past the limit, its beginning and its
//! end are kept, with a line between them that says how much is missing.
//!
//! [`excerpt`] is the place where output is cut for the caller.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use armor_core::sandbox::{OutputChunk, StreamKind};
use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::error::io_error;

/// How much of the end of a stream is kept when it grows past the limit, in bytes.
const TAIL: usize = 64 * 1024;

/// How many entries `order.jsonl` has at most. What comes later is replayed stream by stream.
const MOST_PIECES: u32 = 100_000;

/// One entry of `order.jsonl`: so many bytes of that stream came next.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Piece {
    stream: StreamKind,
    bytes: u64,
}

/// The file of a stream, below an execution's folder.
pub fn stream_file(folder: &Path, stream: StreamKind) -> PathBuf {
    folder.join(match stream {
        StreamKind::Stdout => "stdout",
        StreamKind::Stderr => "stderr",
    })
}

/// Takes a command's output as it comes.
#[derive(Debug)]
pub struct OutputWriter {
    stdout: StreamWriter,
    stderr: StreamWriter,
    order: BufWriter<File>,
    order_path: PathBuf,
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
    /// Makes the execution's folder. Of each stream, `keep` bytes and the end are kept.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be made.
    pub fn create(folder: &Path, keep: u64) -> Result<Self, StorageError> {
        std::fs::create_dir_all(folder).map_err(io_error("make the folder", folder))?;
        let order_path = folder.join("order.jsonl");
        let order = File::create(&order_path).map_err(io_error("make", &order_path))?;
        Ok(Self {
            stdout: StreamWriter::create(stream_file(folder, StreamKind::Stdout), keep)?,
            stderr: StreamWriter::create(stream_file(folder, StreamKind::Stderr), keep)?,
            order: BufWriter::new(order),
            order_path,
            pending: None,
            pieces: 0,
        })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, chunk: &OutputChunk) -> Result<(), StorageError> {
        let writer = match chunk.stream {
            StreamKind::Stdout => &mut self.stdout,
            StreamKind::Stderr => &mut self.stderr,
        };
        let kept = writer.write(&chunk.bytes)?;
        self.note(chunk.stream, kept)
    }

    /// Completes the files and says how much was written.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(mut self) -> Result<Written, StorageError> {
        let written = Written { stdout: self.stdout.total, stderr: self.stderr.total };
        let stdout_end = self.stdout.finish()?;
        self.note(StreamKind::Stdout, stdout_end)?;
        let stderr_end = self.stderr.finish()?;
        self.note(StreamKind::Stderr, stderr_end)?;
        self.flush_pending()?;
        self.order.flush().map_err(io_error("write", &self.order_path))?;
        Ok(written)
    }

    /// Pieces of one stream that follow each other become one entry.
    fn note(&mut self, stream: StreamKind, bytes: u64) -> Result<(), StorageError> {
        if bytes == 0 {
            return Ok(());
        }
        if self.pieces >= MOST_PIECES {
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

    fn flush_pending(&mut self) -> Result<(), StorageError> {
        let Some(piece) = self.pending.take() else {
            return Ok(());
        };
        let mut write = || -> io::Result<()> {
            serde_json::to_writer(&mut self.order, &piece)?;
            self.order.write_all(b"\n")
        };
        write().map_err(io_error("write", &self.order_path))
    }
}

#[derive(Debug)]
struct StreamWriter {
    file: File,
    path: PathBuf,
    keep: u64,
    total: u64,
    /// The last bytes beyond `keep`, at most twice [`TAIL`] of them.
    tail: Vec<u8>,
}

impl StreamWriter {
    fn create(path: PathBuf, keep: u64) -> Result<Self, StorageError> {
        let file = File::create(&path).map_err(io_error("make", &path))?;
        Ok(Self { file, path, keep, total: 0, tail: Vec::new() })
    }

    /// Takes bytes and says how many of them went to the file now.
    fn write(&mut self, bytes: &[u8]) -> Result<u64, StorageError> {
        let room = self.keep.saturating_sub(self.total);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let (now, later) = bytes.split_at(room);
        self.file.write_all(now).map_err(io_error("write", &self.path))?;
        self.total += bytes.len() as u64;
        self.tail.extend_from_slice(&later[later.len().saturating_sub(TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        Ok(now.len() as u64)
    }

    /// Writes the end of a stream that was too long, and says how many bytes that were.
    fn finish(&mut self) -> Result<u64, StorageError> {
        let tail = &self.tail[self.tail.len().saturating_sub(TAIL)..];
        let missing = self.total.saturating_sub(self.keep).saturating_sub(tail.len() as u64);
        let mut end = Vec::new();
        if missing > 0 {
            end.extend_from_slice(
                format!("\n[armor: {missing} bytes are missing here: more than the limit of {} was written]\n", self.keep).as_bytes(),
            );
        }
        end.extend_from_slice(tail);
        self.file.write_all(&end).map_err(io_error("write", &self.path))?;
        Ok(end.len() as u64)
    }
}

/// A stream as it goes back to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether the middle is left out.
    pub truncated: bool,
}

/// Reads a stream for a caller who gets at most `limit` bytes: the whole of it, or its beginning
/// and its end with a line between them that says how much is left out and where it can be read.
///
/// # Errors
/// When the file cannot be read.
pub fn excerpt(file: &Path, limit: u64, where_to_read: &str) -> Result<Excerpt, StorageError> {
    let read = || -> io::Result<Excerpt> {
        let mut source = File::open(file)?;
        let length = source.metadata()?.len();
        if length <= limit {
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Ok(Excerpt { text, truncated: false });
        }
        let half = limit / 2;
        let mut head = Vec::new();
        (&source).take(half).read_to_end(&mut head)?;
        source.seek(SeekFrom::Start(length - half))?;
        let mut tail = Vec::new();
        source.take(half).read_to_end(&mut tail)?;

        let head = whole_lines_at_the_start(&head);
        let tail = whole_lines_at_the_end(&tail);
        let left_out = length - (head.len() + tail.len()) as u64;
        let text = format!(
            "{}\n[… {left_out} of {length} bytes left out here; the whole output is in {where_to_read} …]\n{}",
            String::from_utf8_lossy(head).trim_end_matches('\n'),
            String::from_utf8_lossy(tail),
        );
        Ok(Excerpt { text, truncated: true })
    };
    read().map_err(io_error("read", file))
}

/// Drops a line that was cut, unless it is all there is; and never cuts within a character.
fn whole_lines_at_the_start(bytes: &[u8]) -> &[u8] {
    if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
        return &bytes[..=end];
    }
    let start_of_last = bytes.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
    let is_whole = std::str::from_utf8(&bytes[start_of_last..]).is_ok();
    if is_whole { bytes } else { &bytes[..start_of_last] }
}

/// The same at the other end.
fn whole_lines_at_the_end(bytes: &[u8]) -> &[u8] {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(start) if start + 1 < bytes.len() => &bytes[start + 1..],
        _ => {
            let start = bytes.iter().position(|byte| byte & 0xC0 != 0x80).unwrap_or(bytes.len());
            &bytes[start..]
        }
    }
}

/// Reads what was kept of an execution's output, in the order in which it came.
///
/// # Errors
/// When a file cannot be read, or `each` returns an error.
pub fn replay(
    folder: &Path,
    each: &mut dyn FnMut(StreamKind, &[u8]) -> io::Result<()>,
) -> Result<(), StorageError> {
    let order_path = folder.join("order.jsonl");
    let mut read = || -> io::Result<()> {
        let mut stdout = File::open(stream_file(folder, StreamKind::Stdout))?;
        let mut stderr = File::open(stream_file(folder, StreamKind::Stderr))?;
        let order = std::fs::read_to_string(&order_path)?;
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
    };
    read().map_err(io_error("read the output in", folder))
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
