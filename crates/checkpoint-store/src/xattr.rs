//! Extended attributes that belong to a tree: those of users, access lists, and what a program may do
//! without being root.

use std::os::fd::AsFd;

use rustix::fs::{
    XattrFlags, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fremovexattr, fsetxattr,
};
use rustix::io::Errno;

/// Those of an open file or folder, by name. A file system without any has none.
pub(crate) fn of(file: impl AsFd) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    for name in names(&file)?.split(|byte| *byte == 0).filter(|name| belongs(name)) {
        match value(&file, name) {
            // Somebody has just taken it away.
            Err(Errno::NODATA) => {}
            value => found.push((name.to_vec(), value?)),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Gives an open file or folder these and no others.
pub(crate) fn make(file: impl AsFd, wanted: &[(Vec<u8>, Vec<u8>)]) -> rustix::io::Result<()> {
    let there = of(&file)?;
    for (name, _) in there.iter().filter(|(name, _)| !wanted.iter().any(|(kept, _)| kept == name)) {
        fremovexattr(&file, name.as_slice())?;
    }
    for pair @ (name, value) in wanted {
        if !there.contains(pair) {
            fsetxattr(&file, name.as_slice(), value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

pub(crate) fn belongs(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
}

fn names(file: impl AsFd) -> rustix::io::Result<Vec<u8>> {
    // Most have none: asking for the length alone says so.
    let mut names = Vec::new();
    loop {
        let length = match flistxattr_query(&file) {
            Err(Errno::NOTSUP) => 0,
            length => length?,
        };
        names.resize(length, 0);
        if length == 0 {
            return Ok(names);
        }
        match flistxattr(&file, names.as_mut_slice()) {
            Err(Errno::RANGE) => {}
            length => {
                names.truncate(length?);
                return Ok(names);
            }
        }
    }
}

fn value(file: impl AsFd, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
    let mut value = Vec::new();
    loop {
        let length = fgetxattr_query(&file, name)?;
        value.resize(length, 0);
        match fgetxattr(&file, name, value.as_mut_slice()) {
            Err(Errno::RANGE) => {}
            length => {
                value.truncate(length?);
                return Ok(value);
            }
        }
    }
}
