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
use crate::tree::{Entry, Kind, Meta, Moment, Piece, Tree, file_type};
use crate::walk::{Below, Folder, Listed, Walk, is_in, join, look_at, open_below, why_left_out};
use crate::{ChunkId, seal, xattr};

/// How often a file is read again that changed while it was read.
const TRIES: usize = 3;

/// A tree that is taken in.
pub(crate) struct Scan<'a> {
    pub(crate) ingest: &'a Ingest<'a>,
    pub(crate) walk: Walk<'a>,
    pub(crate) cache: &'a Cache,
    /// What changed before is told apart from what changes from now on.
    pub(crate) since: Moment,
    /// The most bytes that a folder's list may have.
    pub(crate) largest_folder: usize,
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
        let mut planted = BTreeMap::new();
        let (mut left_out, mut too_large) = (unsteady, Vec::new());
        for folder in folders.iter_mut().rev() {
            left_out.append(&mut folder.left_out);
            let mut entries: Vec<Entry> =
                folder.files.iter().filter_map(|file| file.entry.clone()).collect();
            let mut stats = Stats { files: folder.files.len() as u64, ..Stats::default() };
            for Below { name, stat, .. } in std::mem::take(&mut folder.folders) {
                // One that is gone has none.
                if let Some(below) = planted.remove(&join(&folder.path, &name)) {
                    let Planted { tree, xattrs, stats: of_it } = below;
                    stats = Stats { folders: stats.folders + 1, ..stats }.and(of_it);
                    let meta = Meta::of(&stat, xattrs);
                    entries.push(Entry { name, meta, kind: Kind::Folder { tree } });
                }
            }
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            stats.bytes += entries.iter().map(size).sum::<u64>();
            let encoded = seal::encode(&Tree { entries }, self.walk.path)?;
            if encoded.len() > self.largest_folder {
                if folder.path.is_empty() {
                    return Err(StoreError::FolderTooLarge { path: self.walk.below(b"") });
                }
                left_out.retain(|out| !is_in(out.exact_path(), &folder.path));
                left_out.push(LeftOut::new(&folder.path, Reason::FolderTooLarge));
                too_large.push(folder.path.clone());
                continue;
            }
            let tree = self.ingest.chunk(&encoded)?;
            let xattrs = std::mem::take(&mut folder.xattrs);
            planted.insert(folder.path.clone(), Planted { tree, xattrs, stats });
        }
        left_out.sort_by(|a, b| a.path.cmp(&b.path));
        // The root was open: it is there.
        let root = planted.remove([].as_slice());
        let Planted { tree, stats, .. } =
            root.ok_or_else(|| self.walk.failed(b"", Errno::NOENT))?;
        let links = links(folders, |path| too_large.iter().any(|folder| is_in(path, folder)));
        let stats = Stats { files_read, ..stats };
        Ok(RootRecord { name: name.to_owned(), tree, meta, stats, links, left_out })
    }
}

/// A folder that has become a chunk.
struct Planted {
    tree: ChunkId,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of all that is in it.
    stats: Stats,
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

/// Paths that are one file, in groups, each in order, but for those that are left out with their folders.
fn links(folders: &[Folder], is_left_out: impl Fn(&[u8]) -> bool) -> Vec<Vec<Vec<u8>>> {
    let mut groups: BTreeMap<u64, (&Entry, Vec<Vec<u8>>)> = BTreeMap::new();
    for folder in folders {
        for file in folder.files.iter().filter(|file| file.stat.stx_nlink > 1) {
            let Some(entry) = &file.entry else { continue };
            let (first, names) =
                groups.entry(file.stat.stx_ino).or_insert_with(|| (entry, Vec::new()));
            // A number may have been given again while the tree was read.
            let path = join(&folder.path, &file.name);
            if first.meta == entry.meta && first.kind == entry.kind && !is_left_out(&path) {
                names.push(path);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::index::{Chunks, Index};
    use crate::rules::{Judge, Rules};
    use crate::{restore, walk};

    #[test]
    fn a_folder_with_too_much_in_it_is_left_out_and_the_rest_is_there() {
        let place = tempfile::tempdir().unwrap();
        let (store, tree) = (place.path().join("store"), place.path().join("tree"));
        for folder in ["folder/below", "large/below"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        fs::write(tree.join("folder/file"), "text").unwrap();
        fs::write(tree.join("large/below/file"), "text").unwrap();
        for number in 0..100 {
            fs::write(tree.join(format!("large/{number}")), "text").unwrap();
        }
        // Of three names of one file, one goes.
        for name in ["folder/linked", "large/linked", "z"] {
            fs::hard_link(tree.join("folder/file"), tree.join(name)).unwrap();
        }
        fs::hard_link(tree.join("large/0"), tree.join("large/other")).unwrap();

        let (root, index) = (walk::open(&tree).unwrap(), Index::default());
        let ingest = Ingest::new(&store, &index);
        let device = walk::device(&look_at(&root).unwrap());
        let rules = Rules::none();
        let judge = Judge::new(&root, &rules, None).unwrap();
        let walk = Walk { root: &root, path: &tree, device, judge };
        let scan = Scan {
            ingest: &ingest,
            walk,
            cache: &Cache::load(&place.path().join("none"), device),
            since: Moment { seconds: 0, nanos: 0 },
            largest_folder: 2_000,
        };
        let RootRecord { tree, stats, links, left_out, .. } = scan.run("workspace").unwrap().record;
        assert_eq!(left_out, [LeftOut::new(b"large", Reason::FolderTooLarge)]);
        assert_eq!((stats.files, stats.folders), (3, 2));
        let names = [b"folder/file".to_vec(), b"folder/linked".to_vec(), b"z".to_vec()];
        assert_eq!(links, [names.to_vec()]);
        ingest.finish().unwrap();
        let chunks = Chunks::new(Index::load(&store).unwrap().0, &store);
        let mut paths = restore::paths(&chunks, tree).unwrap();
        paths.sort();
        let expected = ["folder", "folder/below", "folder/file", "folder/linked", "z"];
        assert_eq!(paths, expected.map(|path| path.as_bytes().to_vec()));
    }
}
