//! Giving the branch of a working copy another name, without git: what an agent made of the working copy
//! would say to git what to run.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, fchown, fstat, mkdirat, openat, openat2, renameat,
    unlinkat,
};
use rustix::fs::{CWD, Gid, Uid};
use rustix::io::Errno;

use crate::error::io_error;
use crate::{GitError, is_object_id};

/// The most that is read of a file of the repository, in bytes.
const MOST: u64 = 64 << 20;

/// Gives the branch `from`, `task/<id>`, the name `to`, and checks that out where the other one was.
/// Nobody may be at work in the working copy. One without a repository, or without the branch, stays as
/// it is.
///
/// # Errors
/// When the file system fails.
pub fn rename_branch(working_copy: &Path, from: &str, to: &str) -> Result<(), GitError> {
    let failed = |error: io::Error| io_error("rename the branch in", working_copy)(error);
    let Some(repository) = Folder::open(working_copy).map_err(failed)? else { return Ok(()) };
    repository.rename(from, to).map_err(failed)
}

/// The folder `.git`. No link in it is followed.
struct Folder(OwnedFd);

impl Folder {
    fn open(working_copy: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = openat(CWD, working_copy, flags, Mode::empty())?;
        match below(&place, ".git", OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => Ok(Some(Self(folder))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (old, new) = (format!("refs/heads/{from}"), format!("refs/heads/{to}"));
        let loose = self.read(&old)?;
        let stands = match &loose {
            Some(text) => Some(text.trim().to_owned()),
            None => self.packed(&old)?,
        };
        if let Some(commit) = stands.filter(|commit| is_object_id(commit)) {
            for folder in ["refs", "refs/heads", "refs/heads/task"] {
                self.make_folder(folder)?;
            }
            self.write(&new, &format!("{commit}\n"))?;
        }
        if self.read("HEAD")?.is_some_and(|head| head.trim() == format!("ref: {old}")) {
            self.write("HEAD", &format!("ref: {new}\n"))?;
        }
        if loose.is_some() {
            let (folder, name) = old.rsplit_once('/').unwrap_or(("", &old));
            let folder = below(&self.0, folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
            unlinkat(&folder, name, AtFlags::empty())?;
        }
        Ok(())
    }

    /// The text of a file; none for what is not there, or is none.
    fn read(&self, path: &str) -> io::Result<Option<String>> {
        // Not to be held up by a pipe.
        let file = match below(&self.0, path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
            file => File::from(file?),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8(bytes).ok())
    }

    fn packed(&self, reference: &str) -> io::Result<Option<String>> {
        let text = self.read("packed-refs")?.unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.find(|(_, name)| *name == reference).map(|(commit, _)| commit.to_owned()))
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        let above = below(&self.0, above, OFlags::RDONLY | OFlags::DIRECTORY)?;
        match mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => Ok(()),
            made => {
                made?;
                self.give(&below(&above, name, OFlags::RDONLY | OFlags::DIRECTORY)?)
            }
        }
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let folder = below(&self.0, folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let new = format!("{name}.lock");
        // What an agent may have put there, such as a pipe that nobody reads.
        match unlinkat(&folder, &new, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            removed => removed?,
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = openat(&folder, &new, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))?;
        self.give(&file)?;
        File::from(file).write_all(text.as_bytes())?;
        Ok(renameat(&folder, &new, &folder, name)?)
    }

    /// Gives what was made to whom the repository belongs to, where Armor may do that.
    fn give(&self, made: &OwnedFd) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let owner = fstat(&self.0)?;
        let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        Ok(fchown(made, Some(uid), Some(gid))?)
    }
}

fn below(folder: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(folder, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}
