//! Writing a checkpoint as an archive that every tar reads: `tar` in a gzip stream. The first file says
//! what the checkpoint is, then comes a folder a tree.
//!
//! Names and targets that are too long for a header stand in front of it, as GNU tar writes them: any
//! bytes, and read by all programs. What a header has no room for at all, nanoseconds and extended
//! attributes, stands in PAX records, which programs that do not know them skip. Holes are written as
//! zeros, of which gzip leaves next to nothing. The same checkpoint is always the same archive.

use std::collections::HashMap;
use std::io::{self, Write};
use std::vec;

use armor_core::checkpoint::{CheckpointCause, CheckpointName};
use armor_core::id::{CheckpointId, TaskId};
use armor_core::time::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use tar::{EntryType, Header};

use crate::error::{StoreError, io_error};
use crate::index::Chunks;
use crate::manifest::{LeftOut, Manifest, RootRecord, Stats};
use crate::restore::tree;
use crate::tree::{Entry, Kind, Meta, Moment, Piece};
use crate::walk::join;
use crate::{ChunkId, pax};

/// The file that says what an archive is of.
pub(crate) const ABOUT: &str = "armor-checkpoint.json";
/// How that file is written, and what comes behind it.
pub(crate) const FORMAT: u32 = 1;
/// The last second for which a header has room.
const LAST_SECOND: i64 = 0o77_777_777_777;
/// How long a name in a header can be.
const NAME: usize = 100;
const BLOCK: u64 = 512;

/// What was exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Files that are no folders.
    pub files: u64,
    /// Folders within the trees.
    pub folders: u64,
    /// Bytes in the files, holes included.
    pub bytes: u64,
}

/// What another program wants to know of a checkpoint.
#[derive(Serialize)]
struct About<'a> {
    format: u32,
    id: &'a CheckpointId,
    task: &'a TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a CheckpointName>,
    created_at: Timestamp,
    cause: CheckpointCause,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a CheckpointId>,
    roots: Vec<AboutRoot<'a>>,
    state: &'a serde_json::Value,
}

#[derive(Serialize)]
struct AboutRoot<'a> {
    name: &'a str,
    stats: Stats,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    left_out: &'a [LeftOut],
}

/// Writes a checkpoint. How much is in memory depends on the largest chunk and the depth of a tree.
pub(crate) fn export(
    chunks: &Chunks,
    manifest: &Manifest,
    out: impl Write,
) -> Result<Exported, StoreError> {
    let mut archive =
        Archive { out: GzEncoder::new(out, Compression::default()), exported: Exported::default() };
    let about = About {
        format: FORMAT,
        id: &manifest.id,
        task: &manifest.task,
        name: manifest.name.as_ref(),
        created_at: manifest.created_at,
        cause: manifest.cause,
        parent: manifest.parent.as_ref(),
        roots: manifest.roots.iter().map(AboutRoot::of).collect(),
        state: &manifest.state,
    };
    let mut text = serde_json::to_vec_pretty(&about).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    let of_about = Meta {
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: moment(manifest.created_at),
        xattrs: Vec::new(),
    };
    archive.head(ABOUT.as_bytes(), &of_about, EntryType::Regular, text.len() as u64, b"")?;
    archive.write(&text)?;
    archive.fill_up(text.len() as u64)?;
    for root in &manifest.roots {
        archive.root(chunks, root)?;
    }
    archive.finish()
}

impl<'a> AboutRoot<'a> {
    fn of(root: &'a RootRecord) -> Self {
        Self { name: &root.name, stats: root.stats, left_out: &root.left_out }
    }
}

/// A moment of the clock, as file systems have it.
pub(crate) fn moment(at: Timestamp) -> Moment {
    let micros = at.as_micros();
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or(0);
    Moment { seconds: micros.div_euclid(1_000_000), nanos }
}

/// An archive that is being written.
struct Archive<W: Write> {
    out: GzEncoder<W>,
    exported: Exported,
}

/// A folder whose entries are being written: its path, its chunk, and those that are left.
type Within = (Vec<u8>, ChunkId, vec::IntoIter<Entry>);

impl<W: Write> Archive<W> {
    /// A tree, each folder in front of what is in it and behind what is in the one before: GNU tar gives
    /// a folder its time when it comes to something that is not in it.
    fn root(&mut self, chunks: &Chunks, root: &RootRecord) -> Result<(), StoreError> {
        let name = root.name.as_bytes();
        self.head(&join(name, b""), &root.meta, EntryType::Directory, 0, b"")?;
        let groups = root.links.iter().enumerate();
        let group_of: HashMap<&[u8], usize> =
            groups.flat_map(|(at, group)| group.iter().map(move |path| (&**path, at))).collect();
        // Under which name each file of several names has been written.
        let mut written: Vec<Option<Vec<u8>>> = vec![None; root.links.len()];
        let within = |path: Vec<u8>, id: ChunkId| -> Result<Within, StoreError> {
            Ok((path, id, tree(chunks, &id)?.entries.into_iter()))
        };
        let mut stack = vec![within(Vec::new(), root.tree)?];
        while let Some((folder, of, entries)) = stack.last_mut() {
            let (Some(entry), of) = (entries.next(), *of) else {
                stack.pop();
                continue;
            };
            let below = join(folder, &entry.name);
            let path = join(name, &below);
            if let Kind::Folder { tree } = entry.kind {
                self.exported.folders += 1;
                self.head(&join(&path, b""), &entry.meta, EntryType::Directory, 0, b"")?;
                stack.push(within(below, tree)?);
                continue;
            }
            self.exported.files += 1;
            if let Kind::File { size, .. } = entry.kind {
                self.exported.bytes += size;
            }
            if let Some(group) = group_of.get(below.as_slice()) {
                if let Some(first) = &written[*group] {
                    self.head(&path, &entry.meta, EntryType::Link, 0, first)?;
                    continue;
                }
                written[*group] = Some(path.clone());
            }
            match &entry.kind {
                Kind::File { size, pieces } => {
                    self.head(&path, &entry.meta, EntryType::Regular, *size, b"")?;
                    self.content(chunks, of, *size, pieces)?;
                }
                Kind::Link { target } => {
                    self.head(&path, &entry.meta, EntryType::Symlink, 0, target)?;
                }
                Kind::Fifo => self.head(&path, &entry.meta, EntryType::Fifo, 0, b"")?,
                Kind::Folder { .. } => {}
            }
        }
        Ok(())
    }

    /// The content of a file in a folder whose chunk is `of`.
    fn content(
        &mut self,
        chunks: &Chunks,
        of: ChunkId,
        size: u64,
        pieces: &[Piece],
    ) -> Result<(), StoreError> {
        let mut at = 0;
        for piece in pieces {
            at += match piece {
                Piece::Hole { bytes } => {
                    self.zeros(*bytes)?;
                    *bytes
                }
                Piece::Data { chunk, .. } => {
                    let content = chunks.read(chunk)?;
                    self.write(&content)?;
                    content.len() as u64
                }
            };
        }
        // All behind it would be read as something else.
        if at != size {
            return Err(StoreError::Missing { chunk: of });
        }
        self.fill_up(size)
    }

    /// All that comes in front of the content of an entry.
    fn head(
        &mut self,
        path: &[u8],
        meta: &Meta,
        kind: EntryType,
        size: u64,
        target: &[u8],
    ) -> Result<(), StoreError> {
        let mut records = Vec::new();
        let Moment { seconds, nanos } = meta.mtime;
        let in_header = seconds.clamp(0, LAST_SECOND);
        if nanos > 0 || in_header != seconds {
            pax::add(&mut records, b"mtime", pax::time(seconds, nanos).as_bytes());
        }
        for (name, value) in &meta.xattrs {
            pax::add(&mut records, &pax::attribute_key(name), value);
        }
        if !records.is_empty() {
            self.describe(b"././@PaxHeader", EntryType::XHeader, &records)?;
        }
        for (text, kind) in [(target, EntryType::GNULongLink), (path, EntryType::GNULongName)] {
            if text.len() > NAME {
                self.describe(b"././@LongLink", kind, &[text, b"\0"].concat())?;
            }
        }
        let mut header = header(path, kind, size);
        header.set_mode(meta.mode.into());
        header.set_uid(meta.uid.into());
        header.set_gid(meta.gid.into());
        header.set_mtime(in_header.unsigned_abs());
        fit(&mut header.as_old_mut().linkname, target);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    /// An entry that says something of the next one.
    fn describe(&mut self, name: &[u8], kind: EntryType, text: &[u8]) -> Result<(), StoreError> {
        let mut header = header(name, kind, text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(text)?;
        self.fill_up(text.len() as u64)
    }

    /// Content goes on to the next whole block.
    fn fill_up(&mut self, size: u64) -> Result<(), StoreError> {
        self.zeros((BLOCK - size % BLOCK) % BLOCK)
    }

    fn zeros(&mut self, bytes: u64) -> Result<(), StoreError> {
        let written = io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut self.out);
        written.map(|_| ()).map_err(failed)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out.write_all(bytes).map_err(failed)
    }

    /// The end: two empty blocks.
    fn finish(mut self) -> Result<Exported, StoreError> {
        self.zeros(2 * BLOCK)?;
        let mut out = self.out.finish().map_err(failed)?;
        out.flush().map_err(failed)?;
        Ok(self.exported)
    }
}

fn failed(error: io::Error) -> StoreError {
    io_error("write", "the archive")(error)
}

fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    fit(&mut header.as_old_mut().name, name);
    header.set_entry_type(kind);
    header.set_size(size);
    header
}

/// As much of a text as there is room for.
fn fit(room: &mut [u8], text: &[u8]) {
    let length = text.len().min(room.len());
    room[..length].copy_from_slice(&text[..length]);
}
