//! Making a tree that is there another one, in its place: its root stays, since a sandbox has it
//! mounted, and what is the same is not touched.
//!
//! What is kept of all that goes is read back, and what comes new is made beside the tree, and checked.
//! Then a journal with all steps is written: from that moment on the tree becomes the other one, whoever
//! dies, because [`finish`] does the steps again from the first. Before it, nothing of the tree has
//! changed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{
    AtFlags, Mode, OFlags, StatxFlags, chmod, linkat, mkdirat, renameat, statx, syncfs, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::diff::{self, Step};
use crate::error::{StoreError, io_error};
use crate::index::Chunks;
use crate::manifest::RootRecord;
use crate::mark::Needed;
use crate::restore::Making;
use crate::tree::Entry;
use crate::walk::{self, device, look_at};
use crate::{seal, write};

/// What was done to trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Files, folders and links that came, went or changed.
    pub changed: u64,
}

/// The trees that become others, and how.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    format: u32,
    trees: Vec<(PathBuf, Vec<Step>)>,
}

const FORMAT: u32 = 1;
const JOURNAL: &str = "journal";

/// A tree that is to become another one.
pub(crate) struct Change<'a> {
    pub(crate) path: &'a Path,
    pub(crate) now: &'a RootRecord,
    pub(crate) wanted: &'a RootRecord,
    /// The one path in it that is to be as in the other, if not all are.
    pub(crate) only: Option<&'a [u8]>,
}

/// Makes all trees the others. What is made first is made in `work`, on the same file system, which is
/// not there before that.
pub(crate) fn replace(
    chunks: &Chunks,
    changes: &[Change<'_>],
    work: &Path,
) -> Result<Replaced, StoreError> {
    let mut trees = Vec::new();
    let mut changed = 0;
    for (number, change) in changes.iter().enumerate() {
        let place = work.join(number.to_string());
        make_folder(&place.join("removed"))?;
        let made = place.join("made");
        make_folder(&made)?;
        let (root, made_root) = (walk::open(change.path)?, walk::open(&made)?);
        // Between two mounts nothing can be renamed, also where they are of one file system.
        let on = |file: &OwnedFd| {
            let stat = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
            Ok::<_, Errno>((device(&stat), stat.stx_mnt_id))
        };
        if on(&root).map_err(io_error("look at", change.path))?
            != on(&made_root).map_err(io_error("look at", &made))?
        {
            return Err(StoreError::OtherFileSystem { path: change.path.to_owned() });
        }
        let plan = diff::plan(chunks, change)?;
        check_kept(chunks, plan.lost)?;
        let making = Making::checked(chunks, made_root, change.path);
        plan.made.par_iter().enumerate().try_for_each(|(number, entry)| {
            making.make_one(number.to_string().as_bytes(), entry)
        })?;
        syncfs(&making.root).map_err(io_error("sync", &made))?;
        changed += plan.changed;
        trees.push((change.path.to_owned(), plan.steps));
    }
    let journal = Journal { format: FORMAT, trees };
    let path = work.join(JOURNAL);
    write::durably(&path, &seal::seal(&journal, &path)?)?;
    write::sync_folder(work)?;
    carry_out(&journal, work)?;
    Ok(Replaced { changed })
}

/// Ends what somebody began who died: to its end, if it had come so far. Else it is as if it had not
/// begun. Says which.
pub(crate) fn finish(work: &Path) -> Result<bool, StoreError> {
    let path = work.join(JOURNAL);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        bytes => bytes.map_err(io_error("read", &path))?,
    };
    let journal = seal::open::<Journal>(&bytes).filter(|read| read.format == FORMAT);
    let damaged = || StoreError::Damaged {
        path: path.clone(),
        reason: "it is no journal that this Armor wrote".to_owned(),
    };
    carry_out(&journal.ok_or_else(damaged)?, work)?;
    Ok(true)
}

/// Takes the journal away: what was done stays done.
pub(crate) fn settle(work: &Path) -> Result<(), StoreError> {
    let path = work.join(JOURNAL);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("remove", path)(error)),
        Ok(()) => write::sync_folder(&path),
    }
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(io_error("make", path))
}

/// Reads back what is kept of all that goes: nothing else has it then.
fn check_kept(chunks: &Chunks, lost: Vec<Entry>) -> Result<(), StoreError> {
    let lost = lost.into_iter().map(|entry| entry.kind).collect();
    let kept = Needed::default().add_all(chunks, lost).and_then(|needed| {
        // All of it, so that all that is damaged is known.
        let read: Vec<_> = needed.par_iter().map(|chunk| chunks.read(chunk).map(drop)).collect();
        read.into_iter().collect()
    });
    kept.map_err(|source| StoreError::NotKept { source: Box::new(source) })
}

/// Does all steps, from the first, whoever has done some of them before.
fn carry_out(journal: &Journal, work: &Path) -> Result<(), StoreError> {
    for (number, (path, steps)) in journal.trees.iter().enumerate() {
        let place = work.join(number.to_string());
        let tree = InPlace {
            root: walk::open(path)?,
            made: walk::open(&place.join("made"))?,
            removed: walk::open(&place.join("removed"))?,
        };
        for (number, step) in steps.iter().enumerate() {
            let done = tree.carry_out(step, number);
            done.map_err(|error| {
                io_error("restore", path.join(OsStr::from_bytes(step.path())))(error)
            })?;
        }
        syncfs(&tree.root).map_err(io_error("sync", path))?;
    }
    Ok(())
}

impl Step {
    fn path(&self) -> &[u8] {
        match self {
            Self::Open { path }
            | Self::Remove { path, .. }
            | Self::MakeFolder { path }
            | Self::Place { path, .. }
            | Self::Link { path, .. }
            | Self::Give { path, .. } => path,
        }
    }
}

/// A tree and what is beside it.
struct InPlace {
    root: OwnedFd,
    made: OwnedFd,
    removed: OwnedFd,
}

/// The name under which a link is made before it is put in its place.
const LINK: &str = "link";

impl InPlace {
    /// Does a step, of which this is the number.
    fn carry_out(&self, step: &Step, of: usize) -> rustix::io::Result<()> {
        match step {
            Step::Open { path } => {
                match self.let_in(path) {
                    // A step behind this one has been done already.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
                    opened => opened,
                }
            }
            Step::Remove { path, number } => {
                let number = number.to_string();
                // What is at the path now has come behind it.
                if exists(&self.removed, number.as_bytes())? {
                    return Ok(());
                }
                let (above, name) = self.above(path)?;
                match renameat(above, name, &self.removed, number) {
                    Err(Errno::NOENT) => Ok(()),
                    removed => removed,
                }
            }
            Step::MakeFolder { path } => {
                let (above, name) = self.above(path)?;
                match mkdirat(&above, name, Mode::RWXU) {
                    Err(Errno::EXIST) => {}
                    made => return made,
                }
                match self.let_in(path) {
                    // Something is there that no checkpoint has, such as a socket.
                    Err(Errno::NOTDIR | Errno::LOOP) => {
                        self.move_away(&above, name, of)?;
                        mkdirat(&above, name, Mode::RWXU)
                    }
                    made => made,
                }
            }
            Step::Place { path, number } => {
                let number = number.to_string();
                if !exists(&self.made, number.as_bytes())? {
                    return Ok(());
                }
                self.put(&number, path, of)
            }
            Step::Link { path, to } => {
                match unlinkat(&self.made, LINK, AtFlags::empty()) {
                    Err(Errno::NOENT) => {}
                    unlinked => unlinked?,
                }
                let (above_first, first) = self.above(to)?;
                linkat(above_first, first, &self.made, LINK, AtFlags::empty())?;
                self.put(LINK, path, of)
            }
            Step::Give { path, meta } => {
                crate::restore::give(self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)?, meta)
            }
        }
    }

    /// Puts what was made in its place.
    fn put(&self, made: &str, path: &[u8], of: usize) -> rustix::io::Result<()> {
        let (above, name) = self.above(path)?;
        match renameat(&self.made, made, &above, name) {
            // A folder that no checkpoint has.
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.move_away(&above, name, of)?;
                renameat(&self.made, made, &above, name)
            }
            put => put,
        }
    }

    /// Moves what is in the way of a step out of the tree.
    fn move_away(&self, above: &OwnedFd, name: &[u8], of: usize) -> rustix::io::Result<()> {
        let mut place = format!("in-the-way-of-{of}");
        while exists(&self.removed, place.as_bytes())? {
            place.push('+');
        }
        renameat(above, name, &self.removed, place)
    }

    /// Lets its owner into a folder, who may not even be able to read it.
    fn let_in(&self, path: &[u8]) -> rustix::io::Result<()> {
        let folder = self.open(path, OFlags::PATH | OFlags::DIRECTORY)?;
        let mode = Mode::from_raw_mode((look_at(&folder)?.stx_mode & 0o7777).into());
        chmod(format!("/proc/self/fd/{}", folder.as_raw_fd()), mode | Mode::RWXU)
    }

    /// The folder that a path is in, and its last name.
    fn above<'a>(&self, path: &'a [u8]) -> rustix::io::Result<(OwnedFd, &'a [u8])> {
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        Ok((self.open(above, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }

    fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        walk::open_below(&self.root, path, flags)
    }
}

fn exists(folder: impl AsFd, name: &[u8]) -> rustix::io::Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    match statx(folder, name, flags, StatxFlags::TYPE) {
        Err(Errno::NOENT) => Ok(false),
        stat => stat.map(|_| true),
    }
}
