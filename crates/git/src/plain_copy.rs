//! A plain copy of a folder of the user's, for a task that works on no repository.
//!
//! Everything is opened relative to folders that are held open, and no link is followed: what is
//! copied is below the folder, whoever changes it meanwhile. Files, folders and links are copied,
//! with their modes and times; sockets, pipes and devices are not.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use armor_core::sandbox::UserIds;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, fchmod,
    fstat, futimens, mkdirat, openat, openat2, readlinkat, statat, symlinkat,
};

use crate::GitError;
use crate::error::io_error;
use crate::working_copy::{begin, finish};

/// How deep folders may be nested: each takes descriptors, and place on the stack.
const DEEPEST: usize = 200;
/// What a copy lets its owner do with a file, and with a folder.
const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// Copies the folder `source` to `place`, where it belongs to `owner`. That it is there is no error.
///
/// # Errors
/// When something cannot be read or written, or its files have more than `most` bytes; nothing is at
/// `place` then.
pub fn copy_from(
    source: &Path,
    place: &Path,
    owner: UserIds,
    most: Option<u64>,
) -> Result<(), GitError> {
    if place.exists() {
        return Ok(());
    }
    let beside = begin(place)?;
    let from = openat2(CWD, source, FOLDERS, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let from = from.map_err(failed("open", source))?;
    let to = openat(CWD, &beside, FOLDERS, Mode::empty()).map_err(failed("open", &beside))?;
    let mut copying = Copying { source, most, left: most.unwrap_or(u64::MAX), depth: 0 };
    copying.folder(&from, &to, &mut PathBuf::new())?;
    finish(&beside, place, owner)
}

const FOLDERS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Copying<'a> {
    source: &'a Path,
    most: Option<u64>,
    /// How many bytes may still come.
    left: u64,
    depth: usize,
}

impl Copying<'_> {
    /// Copies what is in a folder. `at` is where that is below the source.
    fn folder(&mut self, from: &OwnedFd, to: &OwnedFd, at: &mut PathBuf) -> Result<(), GitError> {
        if self.depth > DEEPEST {
            let nested = io::Error::other("folders are nested too deeply");
            return Err(io_error("copy", self.source.join(at))(nested));
        }
        self.depth += 1;
        let listed = Dir::read_from(from).map_err(self.failed("list", at))?;
        for entry in listed {
            let entry = entry.map_err(self.failed("list", at))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            at.push(as_path(name));
            self.entry(from, to, name, at)?;
            at.pop();
        }
        self.depth -= 1;
        Ok(())
    }

    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        at: &mut PathBuf,
    ) -> Result<(), GitError> {
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(self.failed("look at", at))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = openat(from, name, FOLDERS, Mode::empty());
                let inner = inner.map_err(self.failed("open", at))?;
                mkdirat(to, name, Mode::from_raw_mode(FOLDER)).map_err(self.failed("copy", at))?;
                let copy = openat(to, name, FOLDERS, Mode::empty());
                let copy = copy.map_err(self.failed("copy", at))?;
                self.folder(&inner, &copy, at)?;
                complete(&copy, &stat, FOLDER).map_err(self.failed("copy", at))
            }
            FileType::RegularFile => self.file(from, to, name, at),
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new());
                let target = target.map_err(self.failed("read the link", at))?;
                symlinkat(target, to, name).map_err(self.failed("copy", at))
            }
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        at: &Path,
    ) -> Result<(), GitError> {
        // What is put in its place meanwhile must not keep us waiting.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let original = openat(from, name, flags, Mode::empty()).map_err(self.failed("open", at))?;
        let stat = fstat(&original).map_err(self.failed("look at", at))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let copy = openat(to, name, flags, Mode::from_raw_mode(FILE));
        let mut copy = File::from(copy.map_err(self.failed("copy", at))?);
        // It may grow meanwhile.
        let mut original = File::from(original).take(self.left.saturating_add(1));
        let copied = io::copy(&mut original, &mut copy);
        let copied = copied.map_err(io_error("copy", self.source.join(at)))?;
        match (self.left.checked_sub(copied), self.most) {
            (None, Some(most)) => {
                return Err(GitError::TooLarge { path: self.source.to_owned(), most });
            }
            (left, _) => self.left = left.unwrap_or(u64::MAX),
        }
        complete(&copy.into(), &stat, FILE).map_err(self.failed("copy", at))
    }

    fn failed(
        &self,
        action: &'static str,
        at: &Path,
    ) -> impl FnOnce(rustix::io::Errno) -> GitError + use<> {
        failed(action, &self.source.join(at))
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> GitError + use<> {
    let path = path.to_owned();
    move |error| io_error(action, path)(error.into())
}

/// Gives a copy the mode and the times of the original, and its owner what it needs.
fn complete(copy: &OwnedFd, original: &Stat, owners: u32) -> rustix::io::Result<()> {
    fchmod(copy, Mode::from_raw_mode(original.st_mode & 0o777 | owners))?;
    let time = |seconds, nanos| Timespec { tv_sec: seconds, tv_nsec: nanos };
    futimens(
        copy,
        &Timestamps {
            last_access: time(original.st_atime, original.st_atime_nsec.cast_signed()),
            last_modification: time(original.st_mtime, original.st_mtime_nsec.cast_signed()),
        },
    )
}

fn as_path(name: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(name.to_bytes()))
}
