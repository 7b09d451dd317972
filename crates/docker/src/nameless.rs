//! Files of a sandbox that have no name any more: no walk over a tree meets them, and they take the disk's
//! room as long as a process has them open.
//!
//! The kernel tells of them where processes are this machine's and may be looked into. What it does not
//! tell of counts for nothing.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use armor_core::id::SandboxId;
use rustix::fs::statfs;

/// A block, as `stat` counts them, in bytes.
const BLOCK: u64 = 512;

/// What was found so far.
#[derive(Debug)]
struct Found {
    bytes: u64,
    /// Device and number of each file: many processes may have the same one open.
    seen: HashSet<(u64, u64)>,
    /// The device that counts, whatever it is.
    device: Option<u64>,
}

/// The bytes that a sandbox's processes keep of the disk in this way. `beside` is a folder on that disk.
pub(crate) fn bytes(sandbox: &SandboxId, beside: &Path) -> u64 {
    let device = fs::metadata(beside).ok().map(|folder| folder.dev());
    let mut found = Found { bytes: 0, seen: HashSet::new(), device };
    for process in entries(Path::new("/proc")) {
        // The engine names a group of processes after each container, and nothing inside leaves it.
        let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        if groups.contains(sandbox.as_str()) {
            found.look_into(&process);
        }
    }
    found.bytes
}

impl Found {
    fn look_into(&mut self, process: &Path) {
        // Threads may have files of their own, and a file may be mapped that is not open any more.
        let tables = entries(&process.join("task")).into_iter().map(|thread| thread.join("fd"));
        for table in tables.chain([process.join("map_files")]) {
            for file in entries(&table) {
                self.look_at(&file);
            }
        }
    }

    /// A link of the kernel's that leads to the file itself, without opening it.
    fn look_at(&mut self, link: &Path) {
        let Ok(file) = fs::metadata(link) else { return };
        let counts = file.is_file()
            && file.nlink() == 0
            && (self.device == Some(file.dev()) || is_on_a_disk(link));
        if counts && self.seen.insert((file.dev(), file.ino())) {
            self.bytes = self.bytes.saturating_add(file.blocks().saturating_mul(BLOCK));
        }
    }
}

/// Whether a file is not in memory, as on a tmpfs, by `memfd_create`, or in large pages; that has a limit of
/// its own. A disk may have several devices, such as one for each subvolume.
fn is_on_a_disk(file: &Path) -> bool {
    statfs(file).is_ok_and(|system| !matches!(system.f_type, 0x0102_1994 | 0x9584_58f6))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_open_without_a_name_is_found_once_and_what_has_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let device = Some(folder.path().metadata().unwrap().dev());
        let look = || {
            let mut found = Found { bytes: 0, seen: HashSet::new(), device };
            found.look_into(Path::new("/proc/self"));
            found
        };
        let inode = |file: &fs::File| {
            let metadata = file.metadata().unwrap();
            (metadata.dev(), metadata.ino())
        };
        let mut named = fs::File::create(folder.path().join("named")).unwrap();
        named.write_all(&vec![1; 65_536]).unwrap();
        let mut nameless = tempfile::tempfile_in(folder.path()).unwrap();
        nameless.write_all(&vec![1; 65_536]).unwrap();
        let again = nameless.try_clone().unwrap();
        let found = look();
        assert!(found.seen.contains(&inode(&nameless)) && !found.seen.contains(&inode(&named)));
        assert!(found.bytes >= 65_536, "{found:?}");
        let gone = inode(&nameless);
        drop((nameless, again));
        assert!(!look().seen.contains(&gone));
    }

    #[test]
    fn processes_that_are_no_sandboxs_are_not_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let mut nameless = tempfile::tempfile_in(folder.path()).unwrap();
        nameless.write_all(&vec![1; 65_536]).unwrap();
        let nobodys = SandboxId::parse("0123456789abcdef".repeat(4)).unwrap();
        assert_eq!(bytes(&nobodys, folder.path()), 0);
    }
}
