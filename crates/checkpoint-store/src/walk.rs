//! Listing a tree, as it is while others may be at work in it: every path is resolved below the tree's
//! root without following a link. A level at a time, so that no tree is too deep.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat2, statx,
};
use rustix::io::Errno;

use crate::error::{StoreError, io_error};
use crate::manifest::{LeftOut, Reason};
use crate::rules::{Judge, Scope, Verdict};
use crate::tree::{Entry, file_type};
use crate::xattr;

/// A tree that is listed.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) root: &'a OwnedFd,
    pub(crate) path: &'a Path,
    pub(crate) device: u64,
    pub(crate) judge: Judge<'a>,
}

/// A folder that was listed.
#[derive(Debug)]
pub(crate) struct Folder {
    /// From the root on; empty for the root.
    pub(crate) path: Vec<u8>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) files: Vec<Listed>,
    /// Folders in it.
    pub(crate) folders: Vec<Below>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// A file, link or pipe.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: Vec<u8>,
    pub(crate) stat: Statx,
    /// None while it has to be read.
    pub(crate) entry: Option<Entry>,
}

/// A folder in a folder.
#[derive(Debug)]
pub(crate) struct Below {
    pub(crate) name: Vec<u8>,
    pub(crate) stat: Statx,
    /// What counts in it, until it is listed.
    scope: Scope,
}

/// Opens the folder that is the root of a tree.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(io_error("open", path))
}

/// All that is asked of the kernel about an open file or folder.
pub(crate) fn look_at(file: impl AsFd) -> rustix::io::Result<Statx> {
    statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

/// The number of a device.
pub(crate) fn device(stat: &Statx) -> u64 {
    u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor)
}

impl Walk<'_> {
    /// Lists all folders, each behind the one that it is in.
    pub(crate) fn list(&self) -> Result<Vec<Folder>, StoreError> {
        let mut all = Vec::new();
        self.each_level(Vec::new(), |mut level| all.append(&mut level))?;
        Ok(all)
    }

    /// The bytes in a folder's files.
    pub(crate) fn measure(&self, folder: Vec<u8>) -> Result<u64, StoreError> {
        let mut bytes = 0;
        self.each_level(folder, |level| {
            let files = level.iter().flat_map(|folder| &folder.files);
            bytes += files.map(|file| length(&file.stat)).sum::<u64>();
        })?;
        Ok(bytes)
    }

    fn each_level(
        &self,
        from: Vec<u8>,
        mut take: impl FnMut(Vec<Folder>),
    ) -> Result<(), StoreError> {
        let mut level = vec![(from, self.judge.at_the_root())];
        while !level.is_empty() {
            let listed: Vec<Option<Folder>> = level
                .into_par_iter()
                .map(|(path, scope)| self.list_one(path, scope))
                .collect::<Result<_, _>>()?;
            let mut listed: Vec<Folder> = listed.into_iter().flatten().collect();
            let below = listed.iter_mut().flat_map(|Folder { path, folders, .. }| {
                let path = &*path;
                folders
                    .iter_mut()
                    .map(move |Below { name, scope, .. }| (join(path, name), std::mem::take(scope)))
            });
            level = below.collect();
            take(listed);
        }
        Ok(())
    }

    /// None for one that is gone.
    fn list_one(&self, path: Vec<u8>, mut scope: Scope) -> Result<Option<Folder>, StoreError> {
        let mut folder = Folder {
            path,
            xattrs: Vec::new(),
            files: Vec::new(),
            folders: Vec::new(),
            left_out: Vec::new(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = match open_below(self.root, &folder.path, flags) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => {
                let reason = why_left_out(error).ok_or_else(|| self.failed(&folder.path, error))?;
                folder.left_out.push(LeftOut::new(&folder.path, reason));
                return Ok(Some(folder));
            }
        };
        let failed = |error: Errno| self.failed(&folder.path, error);
        folder.xattrs = match xattr::of(&opened) {
            Ok(xattrs) => xattrs,
            Err(error) => {
                let reason = why_left_out(error).ok_or_else(|| failed(error))?;
                folder.left_out.push(LeftOut::new(&folder.path, reason));
                return Ok(Some(folder));
            }
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        self.judge.enter(&mut scope, &folder.path, &names);
        for name in names {
            self.list_entry(&opened, name, &scope, &mut folder)?;
        }
        Ok(Some(folder))
    }

    fn list_entry(
        &self,
        opened: &OwnedFd,
        name: Vec<u8>,
        scope: &Scope,
        folder: &mut Folder,
    ) -> Result<(), StoreError> {
        let path = join(&folder.path, &name);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = match statx(opened, name.as_slice(), flags, StatxFlags::BASIC_STATS) {
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => {
                let reason = why_left_out(error).ok_or_else(|| self.failed(&path, error))?;
                folder.left_out.push(LeftOut::new(&path, reason));
                return Ok(());
            }
            Ok(stat) => stat,
        };
        let reason = match file_type(&stat) {
            _ if self::device(&stat) != self.device => Some(Reason::OtherFileSystem),
            FileType::Socket => Some(Reason::Socket),
            FileType::BlockDevice | FileType::CharacterDevice => Some(Reason::Device),
            _ => None,
        };
        if let Some(reason) = reason {
            folder.left_out.push(LeftOut::new(&path, reason));
            return Ok(());
        }
        let is_folder = file_type(&stat) == FileType::Directory;
        match self.judge.judge(scope, &path, &name, &stat) {
            Verdict::LeaveOut(reason) => {
                let bytes = (!is_folder).then(|| length(&stat));
                folder.left_out.push(LeftOut { bytes, ..LeftOut::new(&path, reason) });
            }
            Verdict::TakeIn(scope) if is_folder => folder.folders.push(Below { name, stat, scope }),
            Verdict::TakeIn(_) => folder.files.push(Listed { name, stat, entry: None }),
        }
        Ok(())
    }

    pub(crate) fn below(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    pub(crate) fn failed(&self, path: &[u8], error: Errno) -> StoreError {
        io_error("read", self.below(path))(io::Error::from(error))
    }
}

/// Opens something of a tree, by no link and on no other file system.
pub(crate) fn open_below(
    root: &OwnedFd,
    path: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            opened => return opened,
        }
    }
}

/// Whether a path is that of a folder, or below it.
pub(crate) fn is_in(path: &[u8], folder: &[u8]) -> bool {
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| rest.is_empty() || folder.is_empty() || rest.starts_with(b"/"))
}

/// What a path is called from a folder on that it lies below.
pub(crate) fn below<'a>(folder: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix(b"/")
}

/// Reads a regular file of a tree, if it may have that many bytes.
pub(crate) fn read_below(
    root: &OwnedFd,
    path: &[u8],
    may_have: impl FnOnce(u64) -> Option<()>,
) -> io::Result<Vec<u8>> {
    // Not to be held up by a pipe.
    let file = open_below(root, path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let stat = look_at(&file)?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    // A hole costs whoever makes it nothing.
    may_have(stat.stx_size).ok_or(io::ErrorKind::FileTooLarge)?;
    let mut bytes = Vec::new();
    // One that grows meanwhile is as it was looked at.
    File::from(file).take(stat.stx_size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a tree can be a checkpoint without what the kernel says that of.
pub(crate) fn why_left_out(error: Errno) -> Option<Reason> {
    match error {
        Errno::ACCESS | Errno::PERM => Some(Reason::Denied),
        Errno::NAMETOOLONG => Some(Reason::PathTooLong),
        Errno::XDEV => Some(Reason::OtherFileSystem),
        // A process holds a lease on it, the disk fails there, or its attributes are more than can be
        // asked for.
        Errno::AGAIN | Errno::IO | Errno::TOOBIG => Some(Reason::Unreadable),
        _ => None,
    }
}

/// The path of something in a folder.
pub(crate) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// The bytes in a file; what is none has none.
pub(crate) fn length(stat: &Statx) -> u64 {
    if file_type(stat) == FileType::RegularFile { stat.stx_size } else { 0 }
}
