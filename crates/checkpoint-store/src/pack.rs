//! Packs: the files with the chunks.
//!
//! ```text
//! "armor pack 1\n"                     13 bytes
//! the chunks, as they are or compressed (zstd)
//! for each chunk:                      48 bytes
//!     its name                         32
//!     where it begins                  8, the lowest byte first, as all numbers here
//!     bytes here, bytes uncompressed   4 and 4; equal when it is not compressed
//! the hash (BLAKE3) of that list       32 bytes
//! how many chunks                      8 bytes
//! ```
//!
//! A pack is named after the hash of its list. So each chunk can be checked by its name, and what a pack
//! has by the pack's.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{StoreError, io_error};
use crate::write;
use crate::{ChunkId, chunk};

const MAGIC: &[u8] = b"armor pack 1\n";
const ENTRY: usize = 48;
const TAIL: usize = 40;
/// The longest chunk, in bytes.
pub(crate) const LARGEST: u32 = 64 << 20;
/// How long a pack grows before the next one is begun, in bytes.
pub(crate) const LARGEST_PACK: u64 = 128 << 20;

/// The name of a pack.
pub(crate) type PackId = chunk::ChunkId;

/// Where a chunk is in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) stored: u32,
    pub(crate) raw: u32,
}

/// The file of a pack below the folder of all.
pub(crate) fn file(packs: &Path, id: &PackId) -> PathBuf {
    packs.join(id.to_string())
}

/// A pack that is being written.
#[derive(Debug)]
pub(crate) struct PackWriter {
    file: BufWriter<NamedTempFile>,
    list: Vec<u8>,
    offset: u64,
}

impl PackWriter {
    pub(crate) fn begin(packs: &Path) -> Result<Self, StoreError> {
        let mut file = BufWriter::with_capacity(1 << 20, write::begin(&packs.join("pack"))?);
        file.write_all(MAGIC).map_err(io_error("write", packs))?;
        Ok(Self { file, list: Vec::new(), offset: MAGIC.len() as u64 })
    }

    /// How long it is by now, in bytes.
    pub(crate) const fn length(&self) -> u64 {
        self.offset
    }

    /// Adds a chunk of `raw` bytes, as it is to be stored.
    pub(crate) fn add(&mut self, id: &ChunkId, stored: &[u8], raw: u32) -> Result<(), StoreError> {
        let written = self.file.write_all(stored);
        written.map_err(io_error("write", self.file.get_ref().path()))?;
        let length = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        self.list.extend_from_slice(id.as_bytes());
        self.list.extend_from_slice(&self.offset.to_le_bytes());
        self.list.extend_from_slice(&length.to_le_bytes());
        self.list.extend_from_slice(&raw.to_le_bytes());
        self.offset += u64::from(length);
        Ok(())
    }

    /// Completes it and puts it in its place.
    pub(crate) fn finish(mut self, packs: &Path) -> Result<PackId, StoreError> {
        let id = PackId::of(&self.list);
        let count = (self.list.len() / ENTRY) as u64;
        let tail = [self.list.as_slice(), id.as_bytes(), &count.to_le_bytes()].concat();
        let path = file(packs, &id);
        self.file.write_all(&tail).map_err(io_error("write", &path))?;
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error);
        write::finish(file.map_err(io_error("write", &path))?, &path)?;
        Ok(id)
    }
}

/// Reads what a pack has. It is checked against its name.
///
/// # Errors
/// When the file cannot be read, or is not what was written.
pub(crate) fn list(packs: &Path, id: &PackId) -> Result<Vec<(ChunkId, Place)>, StoreError> {
    let path = file(packs, id);
    let damaged =
        |reason: &str| StoreError::Damaged { path: path.clone(), reason: reason.to_owned() };
    let file = File::open(&path).map_err(io_error("open", &path))?;
    let length = file.metadata().map_err(io_error("look at", &path))?.len();
    let mut tail = [0; TAIL];
    let shortest = (MAGIC.len() + TAIL) as u64;
    if length < shortest {
        return Err(damaged("it is too short"));
    }
    let tail_at = length - TAIL as u64;
    file.read_exact_at(&mut tail, tail_at).map_err(io_error("read", &path))?;
    let (hash, count) = tail.split_at(32);
    let count = count.try_into().map_or(0, u64::from_le_bytes);
    let bytes = count.checked_mul(ENTRY as u64).filter(|bytes| *bytes <= length - shortest);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| damaged("its end is not that of a pack"))?;
    let mut list = vec![0; bytes];
    file.read_exact_at(&mut list, tail_at - bytes as u64).map_err(io_error("read", &path))?;
    if hash != id.as_bytes() || PackId::of(&list) != *id {
        return Err(damaged("the list of its chunks is not the one that it is named after"));
    }
    Ok(entries(&list))
}

fn entries(list: &[u8]) -> Vec<(ChunkId, Place)> {
    let entry = |bytes: &[u8]| {
        let (id, rest) = bytes.split_first_chunk::<32>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (stored, rest) = rest.split_first_chunk::<4>()?;
        let raw = rest.first_chunk::<4>()?;
        let place = Place {
            offset: u64::from_le_bytes(*offset),
            stored: u32::from_le_bytes(*stored),
            raw: u32::from_le_bytes(*raw),
        };
        Some((ChunkId::from_bytes(*id), place))
    };
    list.chunks_exact(ENTRY).filter_map(entry).collect()
}

/// Reads a chunk out of an open pack and checks it; none when it is not what its name says.
pub(crate) fn read(pack: &File, id: &ChunkId, place: Place) -> Option<Vec<u8>> {
    let stored = read_stored(pack, place)?;
    let bytes = if place.stored == place.raw { stored } else { decompress(&stored, place)? };
    (ChunkId::of(&bytes) == *id).then_some(bytes)
}

/// The same, as it is stored.
pub(crate) fn stored(pack: &File, id: &ChunkId, place: Place) -> Option<Vec<u8>> {
    let stored = read_stored(pack, place)?;
    let is_it = if place.stored == place.raw {
        ChunkId::of(&stored) == *id
    } else {
        ChunkId::of(&decompress(&stored, place)?) == *id
    };
    is_it.then_some(stored)
}

fn read_stored(pack: &File, place: Place) -> Option<Vec<u8>> {
    if place.raw > LARGEST || place.stored > place.raw {
        return None;
    }
    let mut stored = vec![0; usize::try_from(place.stored).ok()?];
    pack.read_exact_at(&mut stored, place.offset).ok()?;
    Some(stored)
}

fn decompress(stored: &[u8], place: Place) -> Option<Vec<u8>> {
    let raw = usize::try_from(place.raw).ok()?;
    zstd::bulk::decompress(stored, raw).ok().filter(|bytes| bytes.len() == raw)
}
