//! The runner's program, as it is carried along.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::RunnerError;

/// Built by this crate's build script.
static RUNNER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/runner"));

/// Goes with what is in it. Every sandbox that is made asks for it.
static NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(RUNNER);
    let number = digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    format!("runner-{number:016x}")
});

/// Everybody may execute it and nobody read it: so the kernel makes each process of it one that
/// nobody can look into or trace, from its first instruction on.
const MODE: u32 = 0o111;

/// The runner on disk, executable by everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// Puts the runner into a folder, under a name that goes with what is in it: sandboxes of older
    /// programs keep theirs. One that is there already is taken as it is, if it is whole.
    ///
    /// # Errors
    /// When this program carries none, or it cannot be written.
    pub fn install(folder: &Path) -> Result<Self, RunnerError> {
        if RUNNER.is_empty() {
            return Err(RunnerError::NoProgram);
        }
        let path = folder.join(NAME.as_str());
        let installed = write_once(&path);
        installed.map_err(|source| RunnerError::Install { path: path.clone(), source })?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write_once(path: &Path) -> io::Result<()> {
    // It came here whole, or not at all.
    let is_there = fs::symlink_metadata(path).is_ok_and(|found| {
        found.is_file()
            && found.permissions().mode() & 0o777 == MODE
            && found.len() == RUNNER.len() as u64
    });
    if is_there {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    // Beside its place, so that nobody ever starts half a program.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(RUNNER)?;
    new.as_file().set_permissions(fs::Permissions::from_mode(MODE))?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    Ok(())
}
