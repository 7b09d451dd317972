//! Reading what is kept while more of it comes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::stream::{Piece, StreamKind, order_file, stream_file};

/// How much is read at one time, in bytes.
const PIECE: u64 = 64 * 1024;

/// Reads an execution's output as it comes. The order in which its pieces came is known a little later
/// than they are there: those that are not in it yet are given by turns, so that no stream hides the other.
#[derive(Debug)]
pub struct Tail {
    folder: PathBuf,
    stdout: Source,
    stderr: Source,
    order: Order,
    /// Whose piece was the last one that the order did not know.
    latest: StreamKind,
}

/// How far a stream has been read.
#[derive(Debug, Default)]
struct Source {
    file: Option<File>,
    /// How much of it was given.
    given: u64,
    /// How much of it is in what was read of the order.
    ordered: u64,
}

/// How far the order has been read.
#[derive(Debug, Default)]
struct Order {
    file: Option<BufReader<File>>,
    /// The beginning of a line whose end has not come yet.
    line: String,
    /// Nothing behind can be read.
    is_damaged: bool,
}

impl Tail {
    /// Of the output in this folder, from its beginning. There may be none yet.
    pub fn new(folder: PathBuf) -> Self {
        let (stdout, stderr) = (Source::default(), Source::default());
        Self { folder, stdout, stderr, order: Order::default(), latest: StreamKind::Stderr }
    }

    /// The next piece, if one is there.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn piece(&mut self) -> io::Result<Option<(StreamKind, Vec<u8>)>> {
        loop {
            for stream in [StreamKind::Stdout, StreamKind::Stderr] {
                let source = self.source(stream);
                let next = source.ordered.saturating_sub(source.given);
                let bytes = self.read(stream, next.min(PIECE))?;
                if !bytes.is_empty() {
                    return Ok(Some((stream, bytes)));
                }
            }
            let Some(Piece { stream, bytes }) = self.order.next(&self.folder)? else { break };
            let source = self.source(stream);
            source.ordered = source.ordered.saturating_add(bytes);
        }
        let by_turns = match self.latest {
            StreamKind::Stdout => [StreamKind::Stderr, StreamKind::Stdout],
            StreamKind::Stderr => [StreamKind::Stdout, StreamKind::Stderr],
        };
        for stream in by_turns {
            let bytes = self.read(stream, PIECE)?;
            if !bytes.is_empty() {
                self.latest = stream;
                return Ok(Some((stream, bytes)));
            }
        }
        Ok(None)
    }

    const fn source(&mut self, stream: StreamKind) -> &mut Source {
        match stream {
            StreamKind::Stdout => &mut self.stdout,
            StreamKind::Stderr => &mut self.stderr,
        }
    }

    fn read(&mut self, stream: StreamKind, most: u64) -> io::Result<Vec<u8>> {
        let path = stream_file(&self.folder, stream);
        let source = self.source(stream);
        let mut bytes = Vec::new();
        if most > 0
            && let Some(file) = opened(&mut source.file, &path, |file| file)?
        {
            file.take(most).read_to_end(&mut bytes)?;
            source.given += bytes.len() as u64;
        }
        Ok(bytes)
    }
}

impl Order {
    /// The next entry that is there in full.
    fn next(&mut self, folder: &Path) -> io::Result<Option<Piece>> {
        if self.is_damaged {
            return Ok(None);
        }
        let Some(file) = opened(&mut self.file, &order_file(folder), BufReader::new)? else {
            return Ok(None);
        };
        file.read_line(&mut self.line)?;
        if !self.line.ends_with('\n') {
            return Ok(None);
        }
        let piece = serde_json::from_str(&self.line).ok();
        self.line.clear();
        self.is_damaged = piece.is_none();
        Ok(piece)
    }
}

/// A file, opened when it is there.
fn opened<'a, T>(
    place: &'a mut Option<T>,
    path: &Path,
    reader: impl FnOnce(File) -> T,
) -> io::Result<Option<&'a mut T>> {
    if place.is_none() {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => *place = Some(reader(file?)),
        }
    }
    Ok(place.as_mut())
}
