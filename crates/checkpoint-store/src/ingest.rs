//! Bringing content into the store: cut, hashed, and what is new compressed into packs. Any number of
//! threads at one time; how much is in memory depends on their number alone.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use fastcdc::v2020::StreamCDC;
use rustix::fs::SeekFrom;

use crate::ChunkId;
use crate::damage;
use crate::error::StoreError;
use crate::index::{Index, packs};
use crate::pack::{LARGEST_PACK, PackId, PackWriter};
use crate::tree::Piece;

/// A file that is shorter is one chunk, and no chunk is longer than the last of these.
const SMALLEST: usize = 128 << 10;
const USUAL: usize = 512 << 10;
const LARGEST: usize = 2 << 20;
/// How much chunks are compressed: the level at which zstd still is as fast as most disks.
const LEVEL: i32 = 3;

/// Why a file's content did not come in.
#[derive(Debug)]
pub(crate) enum IngestError {
    /// The file could not be read.
    Read(io::Error),
    /// The store could not take it.
    Keep(StoreError),
}

impl From<io::Error> for IngestError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<rustix::io::Errno> for IngestError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Read(error.into())
    }
}

impl From<StoreError> for IngestError {
    fn from(error: StoreError) -> Self {
        Self::Keep(error)
    }
}

/// Takes content in.
#[derive(Debug)]
pub(crate) struct Ingest<'a> {
    root: &'a Path,
    index: &'a Index,
    new: Mutex<New>,
    added: AtomicU64,
}

/// What is being written. Threads that have compressed a chunk meet here.
#[derive(Debug, Default)]
struct New {
    chunks: HashSet<ChunkId>,
    pack: Option<PackWriter>,
    written: Vec<PackId>,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

impl<'a> Ingest<'a> {
    pub(crate) fn new(root: &'a Path, index: &'a Index) -> Self {
        Self { root, index, new: Mutex::default(), added: AtomicU64::new(0) }
    }

    pub(crate) fn has(&self, chunk: &ChunkId) -> bool {
        self.index.contains(chunk)
    }

    /// Keeps a chunk, unless it is kept already.
    pub(crate) fn chunk(&self, bytes: &[u8]) -> Result<ChunkId, StoreError> {
        let id = ChunkId::of(bytes);
        if self.index.contains(&id) || !self.lock().chunks.insert(id) {
            return Ok(id);
        }
        let compressed = compress(bytes).filter(|compressed| compressed.len() < bytes.len());
        let stored = compressed.as_deref().unwrap_or(bytes);
        let raw = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut new = self.lock();
        let packs = packs(self.root);
        let mut pack = match new.pack.take() {
            Some(pack) => pack,
            None => PackWriter::begin(&packs)?,
        };
        pack.add(&id, stored, raw)?;
        if pack.length() < LARGEST_PACK {
            new.pack = Some(pack);
        } else {
            let written = pack.finish(&packs)?;
            new.written.push(written);
        }
        self.added.fetch_add(stored.len() as u64, Ordering::Relaxed);
        Ok(id)
    }

    /// Takes in a file of `size` bytes, of which `blocks` (of 512 bytes) are stored, and says how long
    /// it turned out to be.
    pub(crate) fn file(
        &self,
        file: &File,
        size: u64,
        blocks: u64,
    ) -> Result<(Vec<Piece>, u64), IngestError> {
        let mut pieces = Vec::new();
        if blocks.saturating_mul(512) >= size {
            // What comes behind that shows in what the kernel says of the file.
            let read = self.part(file, 0, size, &mut pieces)?;
            return Ok((pieces, read));
        }
        let mut at = 0;
        while let Some((from, to)) = next_data(file, at, size)? {
            hole(&mut pieces, from - at);
            at = from + self.part(file, from, to - from, &mut pieces)?;
            if at < to {
                // It was made shorter meanwhile.
                return Ok((pieces, at));
            }
        }
        hole(&mut pieces, size - at);
        Ok((pieces, size))
    }

    /// Takes in a part of a file, and says how many bytes it had.
    fn part(
        &self,
        file: &File,
        from: u64,
        length: u64,
        pieces: &mut Vec<Piece>,
    ) -> Result<u64, IngestError> {
        let mut read = 0;
        cut(At { file, offset: from }.take(length), |bytes| {
            let chunk = self.chunk(bytes)?;
            let bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            pieces.push(Piece::Data { chunk, bytes });
            read += u64::from(bytes);
            Ok(())
        })?;
        Ok(read)
    }

    /// Takes in what a reader gives, and says how many bytes that was. It is cut as a file would be, and
    /// what is nothing but zeros becomes a hole, since an archive does not tell one from the other.
    pub(crate) fn content(
        &self,
        from: impl Read,
        pieces: &mut Vec<Piece>,
    ) -> Result<u64, IngestError> {
        let mut read = 0;
        cut(from, |bytes| {
            read += bytes.len() as u64;
            if bytes.len() >= SMALLEST && bytes.iter().all(|byte| *byte == 0) {
                hole(pieces, bytes.len() as u64);
                return Ok(());
            }
            let chunk = self.chunk(bytes)?;
            let bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            pieces.push(Piece::Data { chunk, bytes });
            Ok(())
        })?;
        Ok(read)
    }

    /// Bytes that came into the store so far, compressed.
    pub(crate) fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }

    /// Puts all that is new in its place. From then on it survives the loss of power.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        let mut new = self.new.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(pack) = new.pack {
            new.written.push(pack.finish(&packs(self.root))?);
        }
        if self.index.knows_of_damage() {
            // What has the same chunks has the same name.
            damage::clear(self.root, |pack| new.written.contains(pack));
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, New> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts what a reader gives, and gives the pieces on.
fn cut(
    mut from: impl Read,
    mut keep: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), IngestError> {
    // Most files are short: one chunk, and no buffer of the largest one.
    let mut first = Vec::new();
    (&mut from).take(SMALLEST as u64).read_to_end(&mut first)?;
    if first.len() < SMALLEST {
        if !first.is_empty() {
            keep(&first)?;
        }
        return Ok(());
    }
    let whole = io::Cursor::new(first).chain(from);
    for cut in StreamCDC::new(whole, SMALLEST, USUAL, LARGEST) {
        keep(&cut.map_err(io::Error::from)?.data)?;
    }
    Ok(())
}

fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        if compressor.is_none() {
            *compressor = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        compressor.as_mut()?.compress(bytes).ok()
    })
}

/// The next part of a file at or behind `at` that is stored.
fn next_data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    let from = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Err(rustix::io::Errno::NXIO) => return Ok(None),
        from => from?,
    };
    if from >= size {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Hole(from)) {
        // It was made shorter meanwhile.
        Err(rustix::io::Errno::NXIO) => Ok(None),
        to => Ok(Some((from, to?.min(size)))),
    }
}

/// Lets a file go on with a hole.
pub(crate) fn hole(pieces: &mut Vec<Piece>, bytes: u64) {
    match pieces.last_mut() {
        _ if bytes == 0 => {}
        Some(Piece::Hole { bytes: before }) => *before += bytes,
        _ => pieces.push(Piece::Hole { bytes }),
    }
}

/// Reads a file from a place on, without moving where others read.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let came = self.file.read_at(buffer, self.offset)?;
        self.offset += came as u64;
        Ok(came)
    }
}
