//! Giving the branch of a working copy another name, without git: what an agent made of the working copy
//! would say to git what to run.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, fchown, fstat, mkdirat, openat, openat2, renameat, syncfs,
    unlinkat,
};
use rustix::fs::{CWD, Gid, Uid};
use rustix::io::Errno;

use crate::error::io_error;
use crate::{GitError, is_object_id};

/// The longest file of the repository that is read, in bytes.
const MOST: u64 = 64 << 20;

/// Gives the branch `from`, `task/<id>`, the name `to`, and checks that out where the other one was.
/// Nobody may be at work in the working copy. One without a repository, or without the branch, stays as
/// it is. False where an agent has made something of the repository that has no place for such a branch;
/// then the branch, and what is checked out, stays or has its new name.
///
/// # Errors
/// When the file system fails.
pub fn rename_branch(working_copy: &Path, from: &str, to: &str) -> Result<bool, GitError> {
    let renamed = Folder::open(working_copy)
        .and_then(|repository| repository.map_or(Ok(()), |repository| repository.rename(from, to)));
    match renamed {
        Ok(()) => Ok(true),
        Err(error) if is_of_the_repository(&error) => Ok(false),
        Err(error) => Err(io_error("rename the branch in", working_copy)(error)),
    }
}

/// Whether it is what is in the repository that is in the way, and will be the next time.
fn is_of_the_repository(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::PermissionDenied
    ) || Errno::from_io_error(error) == Some(Errno::LOOP)
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
        if stands.as_ref().is_some_and(|commit| !is_object_id(commit)) {
            // It is another name of something, which is left as it is.
            return Err(Errno::EXIST.into());
        }
        if let Some(commit) = stands {
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
        self.unpack(&old)?;
        Ok(syncfs(&self.0)?)
    }

    /// Takes a branch out of the list of those that have no file of their own.
    fn unpack(&self, reference: &str) -> io::Result<()> {
        const PACKED: &str = "packed-refs";
        let Some(text) = self.read(PACKED)? else { return Ok(()) };
        let is_it = |line: &&str| line.split_once(' ').is_some_and(|(_, name)| name == reference);
        if !text.lines().any(|line| is_it(&line)) {
            return Ok(());
        }
        let others = text.lines().filter(|line| !is_it(line)).flat_map(|line| [line, "\n"]);
        self.write(PACKED, &others.collect::<String>())
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
        if file.metadata()?.len() > MOST {
            // Nobody knows what is in it.
            return Err(Errno::EXIST.into());
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
        let (new, file) = new_file(&folder)?;
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

/// A file of a name that nobody has used, whatever is there.
fn new_file(folder: &OwnedFd) -> io::Result<(String, OwnedFd)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for number in 0..1000 {
        let name = format!("armor-new-{number}");
        match openat(folder, &name, flags, Mode::from_raw_mode(0o644)) {
            Err(Errno::EXIST) => {}
            file => return Ok((name, file?)),
        }
    }
    Err(Errno::EXIST.into())
}

fn below(folder: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(folder, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}
