//! Taking in a tree, as it is while others may be at work in it: what goes away or changes meanwhile is
//! dealt with.
//!
//! First the folders are listed; then the files are read that are not known to be unchanged; then the
//! folders become chunks, the deepest first. No step calls itself, so no tree is too deep.

use std::collections::BTreeMap;
use std::fs::File;

use rayon::prelude::*;
use rustix::fs::{FileType, OFlags, Statx, readlinkat, syncfs};
use rustix::io::Errno;

use crate::cache::{Cache, Fingerprint, Known, unchanged};
use crate::error::{StoreError, io_error};
use crate::ingest::{Ingest, IngestError};
use crate::manifest::{LeftOut, Reason, RootRecord, Stats};
use crate::pack::LARGEST;
use crate::tree::{Entry, Kind, Meta, Moment, Piece, Tree, file_type};
use crate::walk::{Below, Folder, Listed, Walk, join, look_at, open_below, why_left_out};
use crate::{seal, xattr};

/// How often a file is read again that changed while it was read.
const TRIES: usize = 3;

/// A tree that is taken in.
pub(crate) struct Scan<'a> {
    pub(crate) ingest: &'a Ingest<'a>,
    pub(crate) walk: Walk<'a>,
    pub(crate) cache: &'a Cache,
    /// What changed before is told apart from what changes from now on.
    pub(crate) since: Moment,
}

/// What became of it.
pub(crate) struct Scanned {
    pub(crate) record: RootRecord,
    /// What is known of its files now.
    pub(crate) known: Vec<(Vec<u8>, Vec<Known>)>,
}

/// What reading a file gave.
enum Read {
    /// It is as this entry says, and as the kernel told of it then.
    Whole(Entry, Statx),
    /// It was being written to all the time; this is of the last look.
    Unsteady(Entry, Statx),
    Gone,
    LeftOut(Reason),
}

impl Scan<'_> {
    pub(crate) fn run(&self, name: &str) -> Result<Scanned, StoreError> {
        let Walk { root, path, .. } = &self.walk;
        let failed = |error: Errno| io_error("read", *path)(error);
        // What is written through a mapping shows in no time as long as its page is not clean.
        syncfs(root).map_err(failed)?;
        let stat = look_at(root).map_err(failed)?;
        let meta = Meta::of(&stat, xattr::of(root).map_err(failed)?);
        let mut folders = self.walk.list()?;
        self.recall(&mut folders);
        let read = self.read(&mut folders)?;
        let record = self.plant(name, meta, &mut folders, read)?;
        let known =
            folders.into_iter().map(|folder| (folder.path, known(folder.files, self.since)));
        Ok(Scanned { record, known: known.filter(|(_, files)| !files.is_empty()).collect() })
    }

    /// Finds the files that are as they were when they were read before.
    fn recall(&self, folders: &mut [Folder]) {
        folders.par_iter_mut().for_each(|Folder { path, files, .. }| {
            let known = self.cache.folder(path);
            for file in files {
                let entry = unchanged(known, &file.name, &Fingerprint::of(&file.stat));
                file.entry = entry.filter(|entry| self.is_kept(entry)).cloned();
            }
        });
    }

    /// Whether all that a file was made of is still in the store.
    fn is_kept(&self, entry: &Entry) -> bool {
        let Kind::File { pieces, .. } = &entry.kind else { return true };
        pieces.iter().all(|piece| match piece {
            Piece::Data { chunk, .. } => self.ingest.has(chunk),
            Piece::Hole { .. } => true,
        })
    }

    /// Reads the files that are not known, and says how many those were and which were unsteady.
    fn read(&self, folders: &mut [Folder]) -> Result<(u64, Vec<LeftOut>), StoreError> {
        let pending = folders.iter_mut().flat_map(|Folder { path, files, .. }| {
            let path = &*path;
            files.iter_mut().filter(|file| file.entry.is_none()).map(move |file| (path, file))
        });
        let pending: Vec<_> = pending.collect();
        let count = pending.len() as u64;
        let told = pending.into_par_iter().map(|(path, file)| {
            let path = join(path, &file.name);
            Ok(match self.read_one(&path, file)? {
                Read::Whole(entry, stat) => {
                    file.entry = Some(entry);
                    // It may be another one than was listed.
                    file.stat = stat;
                    None
                }
                Read::Unsteady(entry, stat) => {
                    file.entry = Some(entry);
                    file.stat = stat;
                    unsettle(&mut file.stat);
                    Some(LeftOut::new(&path, Reason::ChangedWhileRead))
                }
                Read::Gone => None,
                Read::LeftOut(reason) => Some(LeftOut::new(&path, reason)),
            })
        });
        let told: Vec<Option<LeftOut>> = told.collect::<Result<_, StoreError>>()?;
        for folder in folders {
            // Those that are gone or left out.
            folder.files.retain(|file| file.entry.is_some());
        }
        Ok((count, told.into_iter().flatten().collect()))
    }

    fn read_one(&self, path: &[u8], file: &Listed) -> Result<Read, StoreError> {
        let name = file.name.clone();
        let gone = |error| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO => Ok(Read::Gone),
            error => {
                why_left_out(error).map(Read::LeftOut).ok_or_else(|| self.walk.failed(path, error))
            }
        };
        let kind = match file_type(&file.stat) {
            // By the link itself: no folder above it may be one.
            FileType::Symlink => match open_below(self.walk.root, path, OFlags::PATH)
                .and_then(|link| readlinkat(link, "", Vec::new()))
            {
                Ok(target) => Kind::Link { target: target.into_bytes() },
                // It is none any more.
                Err(Errno::INVAL) => return Ok(Read::Gone),
                Err(error) => return gone(error),
            },
            FileType::Fifo => Kind::Fifo,
            _ => return self.read_content(path, &name),
        };
        let entry = Entry { name, meta: Meta::of(&file.stat, Vec::new()), kind };
        Ok(Read::Whole(entry, file.stat))
    }

    fn read_content(&self, path: &[u8], name: &[u8]) -> Result<Read, StoreError> {
        let mut last = None;
        for _ in 0..TRIES {
            // Not to be held up by a pipe that has taken its place.
            let opened = match open_below(self.walk.root, path, OFlags::RDONLY | OFlags::NONBLOCK) {
                Ok(opened) => File::from(opened),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {
                    return Ok(Read::Gone);
                }
                Err(error) => {
                    let reason =
                        why_left_out(error).ok_or_else(|| self.walk.failed(path, error))?;
                    return Ok(Read::LeftOut(reason));
                }
            };
            let failed = |error: Errno| self.walk.failed(path, error);
            let before = look_at(&opened).map_err(failed)?;
            if file_type(&before) != FileType::RegularFile {
                return Ok(Read::Gone);
            }
            let xattrs = match xattr::of(&opened) {
                Ok(xattrs) => xattrs,
                Err(error) => {
                    let reason = why_left_out(error).ok_or_else(|| failed(error))?;
                    return Ok(Read::LeftOut(reason));
                }
            };
            let came = self.ingest.file(&opened, before.stx_size, before.stx_blocks);
            let (pieces, size) = match came {
                Ok(came) => came,
                Err(IngestError::Keep(error)) => return Err(error),
                Err(IngestError::Read(error))
                    if error.raw_os_error() == Some(Errno::IO.raw_os_error()) =>
                {
                    return Ok(Read::LeftOut(Reason::Unreadable));
                }
                Err(IngestError::Read(error)) => {
                    return Err(io_error("read", self.walk.below(path))(error));
                }
            };
            let after = look_at(&opened).map_err(failed)?;
            let entry = Entry {
                name: name.to_vec(),
                meta: Meta::of(&after, xattrs),
                kind: Kind::File { size, pieces },
            };
            if Fingerprint::of(&after) == Fingerprint::of(&before) && size == after.stx_size {
                return Ok(Read::Whole(entry, after));
            }
            last = Some((entry, after));
        }
        Ok(last.map_or(Read::Gone, |(entry, stat)| Read::Unsteady(entry, stat)))
    }

    /// Makes chunks of the folders, the deepest first.
    fn plant(
        &self,
        name: &str,
        meta: Meta,
        folders: &mut [Folder],
        (files_read, unsteady): (u64, Vec<LeftOut>),
    ) -> Result<RootRecord, StoreError> {
        let mut trees = BTreeMap::new();
        let mut stats = Stats { files_read, ..Stats::default() };
        let mut left_out = unsteady;
        for folder in folders.iter_mut().rev() {
            left_out.append(&mut folder.left_out);
            let mut entries: Vec<Entry> =
                folder.files.iter().filter_map(|file| file.entry.clone()).collect();
            for Below { name, stat, .. } in std::mem::take(&mut folder.folders) {
                // One that is gone has none.
                if let Some((tree, xattrs)) = trees.remove(&join(&folder.path, &name)) {
                    stats.folders += 1;
                    let meta = Meta::of(&stat, xattrs);
                    entries.push(Entry { name, meta, kind: Kind::Folder { tree } });
                }
            }
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            stats.files += folder.files.len() as u64;
            stats.bytes += entries.iter().map(size).sum::<u64>();
            let encoded = seal::encode(&Tree { entries }, self.walk.path)?;
            if encoded.len() > LARGEST as usize {
                return Err(StoreError::FolderTooLarge { path: self.walk.below(&folder.path) });
            }
            let tree = self.ingest.chunk(&encoded)?;
            trees.insert(folder.path.clone(), (tree, std::mem::take(&mut folder.xattrs)));
        }
        left_out.sort_by(|a, b| a.path.cmp(&b.path));
        // The root was open: it is there.
        let tree = trees.remove([].as_slice());
        let (tree, _) = tree.ok_or_else(|| self.walk.failed(b"", Errno::NOENT))?;
        Ok(RootRecord { name: name.to_owned(), tree, meta, stats, links: links(folders), left_out })
    }
}

const fn size(entry: &Entry) -> u64 {
    match &entry.kind {
        Kind::File { size, .. } => *size,
        _ => 0,
    }
}

/// Lets a file be read again the next time.
fn unsettle(stat: &mut Statx) {
    stat.stx_ctime.tv_sec = i64::MAX;
}

/// The files whose next change would show.
fn known(files: Vec<Listed>, since: Moment) -> Vec<Known> {
    let known = files.into_iter().filter_map(|file| {
        let fingerprint = Fingerprint::of(&file.stat);
        let entry = file.entry.filter(|_| fingerprint.is_settled(since))?;
        Some(Known { fingerprint, entry })
    });
    known.collect()
}

/// Paths that are one file, in groups, each in order.
fn links(folders: &[Folder]) -> Vec<Vec<Vec<u8>>> {
    let mut groups: BTreeMap<u64, (&Entry, Vec<Vec<u8>>)> = BTreeMap::new();
    for folder in folders {
        for file in folder.files.iter().filter(|file| file.stat.stx_nlink > 1) {
            let Some(entry) = &file.entry else { continue };
            let (first, names) =
                groups.entry(file.stat.stx_ino).or_insert_with(|| (entry, Vec::new()));
            // A number may have been given again while the tree was read.
            if first.meta == entry.meta && first.kind == entry.kind {
                names.push(join(&folder.path, &file.name));
            }
        }
    }
    let mut groups: Vec<_> =
        groups.into_values().map(|(_, names)| names).filter(|names| names.len() > 1).collect();
    for group in &mut groups {
        group.sort_unstable();
    }
    groups.sort_unstable();
    groups
}
