//! What a command is given to read.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, memfd_create};

/// A file to read these bytes from, which has no place and which nobody can change, whoever gets it.
///
/// # Errors
/// When memory runs out.
pub fn input(bytes: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("stdin", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// A pipe: its end to read from, for a command, and the one to write to, which nobody gets at who has
/// only the other.
///
/// # Errors
/// When there is no descriptor left.
pub fn input_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    // A command may open its standard input once more by its name, though it is another user's.
    fchmod(&read, Mode::RUSR | Mode::RGRP | Mode::ROTH)?;
    Ok((read.into(), write.into()))
}
