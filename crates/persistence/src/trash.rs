//! Removing what an agent made: any tree, however deep, wide, locked or odd.
//!
//! The tree is flattened while it is removed: each folder is made accessible, its files are
//! unlinked, its folders are moved up beside it and dealt with in turn. So neither the length of a
//! path, nor the number of open files, nor the stack grows with the depth. No link is followed, and
//! everything happens relative to folders that are held open.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, openat, renameat, statat, unlinkat,
};

/// What a clean-up freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Files removed.
    pub files: u64,
    /// Bytes that they had.
    pub bytes: u64,
}

/// Removes everything in the folder `trash`, which is ours alone.
///
/// # Errors
/// When something in it cannot be removed; the rest may be gone.
pub(crate) fn empty(trash: &Path) -> io::Result<Freed> {
    let root = open_folder(&CWD, &CString::new(trash.as_os_str().as_bytes())?)?;
    let mut freed = Freed::default();
    // Names that cannot be those of tasks.
    let mut counter = 0_u64;
    loop {
        let names = names_in(&root)?;
        if names.is_empty() {
            return Ok(freed);
        }
        for name in names {
            remove(&root, &name, &mut counter, &mut freed)?;
        }
    }
}

/// Removes one entry of the trash; the folders in it become entries themselves.
fn remove(root: &OwnedFd, name: &CString, counter: &mut u64, freed: &mut Freed) -> io::Result<()> {
    let metadata = statat(root, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(metadata.st_mode) != FileType::Directory {
        unlinkat(root, name.as_c_str(), AtFlags::empty())?;
        freed.files += 1;
        freed.bytes += u64::try_from(metadata.st_size).unwrap_or(0);
        return Ok(());
    }
    let folder = open_folder(root, name)?;
    for inner in names_in(&folder)? {
        let metadata = statat(&folder, inner.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(metadata.st_mode) == FileType::Directory {
            // Moving a folder needs the right to write to it, which its mode may deny its owner.
            drop(open_folder(&folder, &inner)?);
            loop {
                *counter += 1;
                let moved = format!(".{}-{counter}", std::process::id());
                match renameat(&folder, inner.as_c_str(), root, moved) {
                    // Left by a process of the same number that was killed.
                    Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => {}
                    moved => break moved?,
                }
            }
        } else {
            unlinkat(&folder, inner.as_c_str(), AtFlags::empty())?;
            freed.files += 1;
            freed.bytes += u64::try_from(metadata.st_size).unwrap_or(0);
        }
    }
    Ok(unlinkat(root, name.as_c_str(), AtFlags::REMOVEDIR)?)
}

/// Opens a folder that nobody may have locked us out of. Its mode is set through a descriptor that
/// needs no right to read.
fn open_folder(parent: &impl std::os::fd::AsFd, name: &CString) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(parent, name.as_c_str(), flags | OFlags::RDONLY, Mode::empty()) {
        Ok(folder) => {
            // Not ours to change on some file systems, and not needed where it works without.
            let _changed = fchmod(&folder, Mode::RWXU);
            Ok(folder)
        }
        Err(rustix::io::Errno::ACCESS) => {
            let handle = openat(parent, name.as_c_str(), flags | OFlags::PATH, Mode::empty())?;
            // fchmod refuses such a descriptor; its name under /proc does not.
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
            rustix::fs::chmod(path, Mode::RWXU)?;
            Ok(openat(parent, name.as_c_str(), flags | OFlags::RDONLY, Mode::empty())?)
        }
        Err(error) => Err(error.into()),
    }
}

fn names_in(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Moves a folder into the trash, which is the moment it is gone from its place. That it is not
/// there is no error.
pub(crate) fn discard(folder: &Path, trash: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or(OsStr::new("unnamed"));
    let mut place = trash.join(name);
    loop {
        match std::fs::rename(folder, &place) {
            // An earlier one of this name could not be removed yet.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                place.as_mut_os_string().push("+");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
}
