//! Making a tree again, exactly: content, modes, owners where Armor may give them, times, links, holes,
//! extended attributes. It is made beside its place, where nobody else gets in, and then renamed, so that
//! it is there whole or not at all.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chmodat, chownat, fchmod,
    fchown, ftruncate, futimens, linkat, mkdirat, mknodat, openat, symlinkat, syncfs, utimensat,
};
use rustix::io::Errno;

use crate::error::{StoreError, io_error};
use crate::index::Chunks;
use crate::manifest::RootRecord;
use crate::tree::{Entry, Kind, Meta, Piece, Tree};
use crate::walk::{self, join};
use crate::{ChunkId, write, xattr};

/// What was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files that are no folders.
    pub files: u64,
    /// Folders within the tree.
    pub folders: u64,
    /// Bytes in the files, holes included.
    pub bytes: u64,
}

/// A tree that is being made.
pub(crate) struct Making<'a> {
    chunks: &'a Chunks,
    pub(crate) root: OwnedFd,
    /// What errors say.
    place: &'a Path,
    /// Whether files are read back.
    is_checked: bool,
}

/// Everything of a tree, the folders first, each behind the one that it is in.
#[derive(Default)]
struct Plan {
    folders: Vec<(Vec<u8>, Meta)>,
    files: Vec<(Vec<u8>, Entry)>,
}

/// Makes the tree at `place`, which is not there, or an empty folder.
pub(crate) fn restore(
    chunks: &Chunks,
    record: &RootRecord,
    place: &Path,
) -> Result<Restored, StoreError> {
    let place = &resolved(place)?;
    let is_free = match fs::read_dir(place) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
        Err(error) => return Err(io_error("look into", place)(error)),
    };
    if !is_free {
        return Err(StoreError::Occupied { path: place.to_owned() });
    }
    let above = write::above(place);
    let beside = tempfile::Builder::new().prefix(write::TEMPORARY).tempdir_in(above);
    let beside = beside.map_err(io_error("write in", above))?;
    let making = Making::new(chunks, walk::open(beside.path())?, place);
    let restored = making.make(record)?;
    fs::rename(beside.path(), place).map_err(io_error("put in place", place))?;
    // It is no longer there to be removed.
    let _moved = beside.keep();
    write::sync_folder(place)?;
    Ok(restored)
}

/// A place by its own name, also where it was named by `.` or a link.
fn resolved(place: &Path) -> Result<PathBuf, StoreError> {
    if place.symlink_metadata().is_ok() {
        return match place.canonicalize() {
            // A link to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Occupied { path: place.to_owned() })
            }
            resolved => resolved.map_err(io_error("resolve", place)),
        };
    }
    let above = write::above(place);
    let above = above.canonicalize().map_err(io_error("resolve", above))?;
    Ok(above.join(place.file_name().unwrap_or_default()))
}

impl<'a> Making<'a> {
    /// Makes things in an open folder, of which errors say that it is `place`.
    const fn new(chunks: &'a Chunks, root: OwnedFd, place: &'a Path) -> Self {
        Self { chunks, root, place, is_checked: false }
    }

    /// The same, and reads back what was written.
    pub(crate) const fn checked(chunks: &'a Chunks, root: OwnedFd, place: &'a Path) -> Self {
        Self { chunks, root, place, is_checked: true }
    }

    fn make(&self, record: &RootRecord) -> Result<Restored, StoreError> {
        let plan = plan(self.chunks, record.tree)?;
        for (path, _) in &plan.folders {
            let made = mkdirat(&self.root, path.as_slice(), Mode::RWXU);
            made.map_err(|error| self.failed(path, error))?;
        }
        // All names of one file but the first are made when that is there.
        let linked: HashMap<&[u8], &[u8]> = record
            .links
            .iter()
            .filter_map(|group| group.split_first())
            .flat_map(|(first, others)| others.iter().map(|other| (&**other, &**first)))
            .collect();
        plan.files
            .par_iter()
            .filter(|(path, _)| !linked.contains_key(path.as_slice()))
            .try_for_each(|(path, entry)| self.make_one(path, entry))?;
        for (other, first) in &linked {
            let made = linkat(&self.root, *first, &self.root, *other, AtFlags::empty());
            made.map_err(|error| self.failed(other, error))?;
        }
        for (path, meta) in plan.folders.iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = openat(&self.root, path.as_slice(), flags, Mode::empty());
            let given = folder.and_then(|folder| give(folder, meta));
            given.map_err(|error| self.failed(path, error))?;
        }
        let given = give(&self.root, &record.meta).and_then(|()| syncfs(&self.root));
        given.map_err(|error| self.failed(b"", error))?;
        let bytes = plan.files.iter().map(|(_, entry)| match entry.kind {
            Kind::File { size, .. } => size,
            _ => 0,
        });
        Ok(Restored {
            files: plan.files.len() as u64,
            folders: plan.folders.len() as u64,
            bytes: bytes.sum(),
        })
    }

    /// Makes a file, pipe or link.
    pub(crate) fn make_one(&self, path: &[u8], entry: &Entry) -> Result<(), StoreError> {
        let made = match &entry.kind {
            Kind::File { size, pieces } => return self.make_file(path, *size, pieces, &entry.meta),
            Kind::Link { target } => symlinkat(target.as_slice(), &self.root, path),
            Kind::Fifo => mknodat(&self.root, path, FileType::Fifo, mode(&entry.meta), 0),
            Kind::Folder { .. } => return Ok(()),
        };
        let given = made.and_then(|()| {
            let Meta { uid, gid, .. } = entry.meta;
            if is_root() {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                chownat(&self.root, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            if matches!(entry.kind, Kind::Fifo) {
                // The process's mask was taken off it.
                chmodat(&self.root, path, mode(&entry.meta), AtFlags::empty())?;
            }
            utimensat(&self.root, path, &times(&entry.meta), AtFlags::SYMLINK_NOFOLLOW)
        });
        given.map_err(|error| self.failed(path, error))
    }

    fn make_file(
        &self,
        path: &[u8],
        size: u64,
        pieces: &[Piece],
        meta: &Meta,
    ) -> Result<(), StoreError> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.root, path, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(|error| self.failed(path, error))?);
        let mut at = 0;
        for piece in pieces {
            match piece {
                Piece::Hole { bytes } => at += bytes,
                Piece::Data { chunk, bytes } => {
                    let content = self.chunks.read(chunk)?;
                    let written = file.write_all_at(&content, at);
                    written.map_err(io_error("write", self.below(path)))?;
                    at += u64::from(*bytes);
                }
            }
        }
        let ends_in_a_hole = matches!(pieces.last(), Some(Piece::Hole { .. }));
        if ends_in_a_hole {
            ftruncate(&file, size).map_err(|error| self.failed(path, error))?;
        }
        // Before its mode is given, by which even its owner may not read it.
        if self.is_checked {
            self.check(&file, path, size, pieces)?;
        }
        give(&file, meta).map_err(|error| self.failed(path, error))
    }

    /// Reads back what was made.
    fn check(
        &self,
        file: &File,
        path: &[u8],
        size: u64,
        pieces: &[Piece],
    ) -> Result<(), StoreError> {
        let failed = || io_error("read back", self.below(path));
        let mut at = 0;
        for piece in pieces {
            match piece {
                Piece::Hole { bytes } => at += bytes,
                Piece::Data { chunk, bytes } => {
                    let mut read = vec![0; usize::try_from(*bytes).unwrap_or(usize::MAX)];
                    file.read_exact_at(&mut read, at).map_err(failed())?;
                    if ChunkId::of(&read) != *chunk {
                        return Err(StoreError::Missing { chunk: *chunk });
                    }
                    at += u64::from(*bytes);
                }
            }
        }
        let length = file.metadata().map_err(failed())?.len();
        if length == size { Ok(()) } else { Err(failed()(Errno::IO.into())) }
    }

    fn below(&self, path: &[u8]) -> PathBuf {
        self.place.join(OsStr::from_bytes(path))
    }

    fn failed(&self, path: &[u8], error: Errno) -> StoreError {
        io_error("make", self.below(path))(error)
    }
}

/// Gives an open file or folder its owner, mode, attributes and time, in this order: a new owner takes
/// bits of the mode away, and everything else changes the time.
pub(crate) fn give(file: impl AsFd, meta: &Meta) -> rustix::io::Result<()> {
    if is_root() {
        fchown(&file, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))?;
    }
    if xattr::of(&file)? != meta.xattrs {
        // The owner, too, has to be let write for that.
        fchmod(&file, mode(meta) | Mode::RUSR | Mode::WUSR)?;
        xattr::make(&file, &meta.xattrs)?;
    }
    fchmod(&file, mode(meta))?;
    futimens(&file, &times(meta))
}

/// Whether files may be given to others.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(meta: &Meta) -> Mode {
    Mode::from_raw_mode(meta.mode.into())
}

fn times(meta: &Meta) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime.seconds, tv_nsec: meta.mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Reads what a tree has, down to its files.
fn plan(chunks: &Chunks, root: ChunkId) -> Result<Plan, StoreError> {
    let mut plan = Plan::default();
    let mut waiting = vec![(Vec::new(), root)];
    while let Some((path, id)) = waiting.pop() {
        for entry in tree(chunks, &id)?.entries {
            let path = join(&path, &entry.name);
            if let Kind::Folder { tree } = entry.kind {
                plan.folders.push((path.clone(), entry.meta));
                waiting.push((path, tree));
            } else {
                plan.files.push((path, entry));
            }
        }
    }
    Ok(plan)
}

/// The paths of all that a tree has.
pub(crate) fn paths(chunks: &Chunks, root: ChunkId) -> Result<Vec<Vec<u8>>, StoreError> {
    let Plan { folders, files } = plan(chunks, root)?;
    let folders = folders.into_iter().map(|(path, _)| path);
    Ok(folders.chain(files.into_iter().map(|(path, _)| path)).collect())
}

/// What a folder has, as it was kept.
pub(crate) fn tree(chunks: &Chunks, id: &ChunkId) -> Result<Tree, StoreError> {
    Tree::decode(&chunks.read(id)?).ok_or(StoreError::Missing { chunk: *id })
}

/// Whether a tree has something at a path.
pub(crate) fn has(chunks: &Chunks, root: ChunkId, path: &[u8]) -> Result<bool, StoreError> {
    let mut folder = Some(root);
    for name in path.split(|byte| *byte == b'/') {
        let Some(id) = folder else { return Ok(false) };
        let found = tree(chunks, &id)?.entries.into_iter().find(|entry| entry.name == name);
        let Some(entry) = found else { return Ok(false) };
        folder = match entry.kind {
            Kind::Folder { tree } => Some(tree),
            _ => None,
        };
    }
    Ok(true)
}
