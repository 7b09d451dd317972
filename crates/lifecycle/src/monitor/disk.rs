//! How much of the disk trees take that an agent made, and may change, also to mislead whoever looks.
//!
//! The way goes from folder to folder by descriptors, of which a few are open whatever the depth: so no
//! path is too long. No link is followed and no mount is entered, and the way up is taken only if it leads
//! to the folder that it came from: so nothing but the trees is looked at. What has several names is
//! counted once, and in full.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat, openat2,
    statx,
};
use rustix::io::Errno;
use rustix::path::Arg;

/// A block, as `stat` counts them, in bytes.
const BLOCK: u64 = 512;
/// How long is walked at most: a tree that grows as fast as that has no end. What was met until then
/// counts.
const LONGEST: Duration = Duration::from_mins(10);

/// What a file is, whatever its names: its device, and its number there.
type Inode = (u64, u64);

/// The bytes that trees take, together. What vanishes meanwhile, or cannot be looked into, takes none; what
/// is moved meanwhile may be missed.
pub(super) fn usage(roots: &[PathBuf]) -> u64 {
    let mut walk = Walk { bytes: 0, seen: HashSet::new(), give_up: Instant::now() + LONGEST };
    for root in roots {
        walk.tree(root);
    }
    walk.bytes
}

#[derive(Debug)]
struct Walk {
    bytes: u64,
    /// What could be met again: folders, which may be moved ahead of us, and files of several names.
    seen: HashSet<Inode>,
    give_up: Instant,
}

/// A folder on the way from the root to where we are.
#[derive(Debug)]
struct Level {
    /// What it is called in the one above.
    name: CString,
    inode: Inode,
    /// The folders in it that are not walked yet.
    below: Vec<CString>,
}

impl Walk {
    fn tree(&mut self, root: &Path) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(root) = openat(CWD, root, flags, Mode::empty()) else { return };
        let Ok(mut here) = open(&root, ".") else { return };
        let mut levels = Vec::new();
        levels.extend(self.enter(&root, CString::default()));
        while let Some(level) = levels.last_mut() {
            if Instant::now() > self.give_up {
                return;
            }
            if let Some(name) = level.below.pop() {
                let Ok(folder) = open(&here, name.as_c_str()) else { continue };
                if let Some(level) = self.enter(&folder, name) {
                    levels.push(level);
                    here = folder;
                }
                continue;
            }
            levels.pop();
            let Some(above) = levels.last() else { return };
            let way_up = climb(&here, above.inode).or_else(|| descend(&root, &mut levels));
            let Some(folder) = way_up else { return };
            here = folder;
        }
    }

    /// Counts a folder and what is in it but for folders; none if it was counted before.
    fn enter(&mut self, folder: &OwnedFd, name: CString) -> Option<Level> {
        let stat = look_at(folder, "").ok()?;
        if !self.count(&stat) {
            return None;
        }
        let mut below = Vec::new();
        for entry in Dir::read_from(folder).ok()?.flatten() {
            if Instant::now() > self.give_up {
                break;
            }
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = look_at(folder, name) else { continue };
            if is_folder(&stat) {
                below.push(name.to_owned());
            } else {
                self.count(&stat);
            }
        }
        Some(Level { name, inode: inode(&stat), below })
    }

    /// False for what was counted before.
    fn count(&mut self, stat: &Statx) -> bool {
        let may_be_met_again = is_folder(stat) || stat.stx_nlink > 1;
        if may_be_met_again && !self.seen.insert(inode(stat)) {
            return false;
        }
        self.bytes = self.bytes.saturating_add(stat.stx_blocks.saturating_mul(BLOCK));
        true
    }
}

/// Opens a folder in a folder.
fn open(folder: &OwnedFd, name: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match openat2(folder, name, flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            opened => return opened,
        }
    }
}

/// The folder above, if it is the one that is expected there.
fn climb(folder: &OwnedFd, expected: Inode) -> Option<OwnedFd> {
    open(folder, "..").ok().filter(|above| is(above, expected))
}

/// The way down to the last level again, where the way up has changed: to the last that is where it was.
/// Those behind it were moved, and what was not walked of them is left out this time.
fn descend(root: &OwnedFd, levels: &mut Vec<Level>) -> Option<OwnedFd> {
    let mut here = open(root, ".").ok()?;
    let mut reached = 1;
    while let Some(level) = levels.get(reached) {
        let folder = open(&here, level.name.as_c_str()).ok();
        let Some(folder) = folder.filter(|folder| is(folder, level.inode)) else { break };
        here = folder;
        reached += 1;
    }
    levels.truncate(reached);
    Some(here)
}

fn look_at(folder: &OwnedFd, name: impl Arg) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    statx(folder, name, flags, StatxFlags::BASIC_STATS)
}

fn is(folder: &OwnedFd, expected: Inode) -> bool {
    look_at(folder, "").is_ok_and(|stat| inode(&stat) == expected)
}

fn inode(stat: &Statx) -> Inode {
    (u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor), stat.stx_ino)
}

fn is_folder(stat: &Statx) -> bool {
    FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use rustix::fs::{mkdirat, renameat, unlinkat};

    use super::*;

    const MIB: usize = 1 << 20;
    /// What folders and the like take beside the files of these tests.
    const BESIDE: u64 = 65_536;

    fn measure(root: &Path) -> u64 {
        usage(&[root.to_owned()])
    }

    fn is_about(bytes: u64, mib: u64) -> bool {
        (mib << 20..(mib << 20) + BESIDE).contains(&bytes)
    }

    #[test]
    fn what_is_counted_is_what_the_disk_has_to_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("inner")).unwrap();
        fs::write(path("inner/file"), vec![1; MIB]).unwrap();
        std::os::unix::fs::symlink("/", path("out")).unwrap();
        let sparse = fs::File::create(path("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let bytes = measure(folder.path());
        assert!(is_about(bytes, 1), "{bytes}");
        assert_eq!(measure(&path("nothing")), 0);
        assert_eq!(measure(&path("out")), 0);
        assert_eq!(measure(&path("inner/file")), 0);
    }

    #[test]
    fn a_file_of_several_names_counts_once_and_in_full_wherever_the_others_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two", "outside"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("outside/file"), vec![1; 4 * MIB]).unwrap();
        for name in ["one/a", "one/b", "two/c", "outside/d", "outside/e"] {
            fs::hard_link(path("outside/file"), path(name)).unwrap();
        }
        let bytes = usage(&[path("one"), path("two")]);
        assert!(is_about(bytes, 4), "{bytes}");
        let bytes = usage(&[path("two"), path("two")]);
        assert!(is_about(bytes, 4), "{bytes}");
    }

    const NAME: &str = "aaaaaaaaaa";

    /// Makes a folder in a folder, again and again, and opens the last one.
    fn dig(root: &Path, depth: usize) -> OwnedFd {
        let mut here = openat(CWD, root, OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..depth {
            mkdirat(&here, NAME, Mode::RWXU).unwrap();
            here = open(&here, NAME).unwrap();
        }
        here
    }

    /// Removes that, the uppermost first, since what has so long a path cannot be named.
    fn fill_in(root: &Path) {
        let root = openat(CWD, root, OFlags::DIRECTORY, Mode::empty()).unwrap();
        loop {
            let folder = open(&root, NAME).unwrap();
            let is_last = renameat(&folder, NAME, &root, "next").is_err();
            unlinkat(&root, NAME, AtFlags::REMOVEDIR).unwrap();
            if is_last {
                return;
            }
            renameat(&root, "next", &root, NAME).unwrap();
        }
    }

    #[test]
    fn no_tree_is_too_deep() {
        let folder = tempfile::tempdir().unwrap();
        let last = dig(folder.path(), 5_000);
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::EXCL;
        let file = openat(&last, "file", flags, Mode::RUSR | Mode::WUSR).unwrap();
        let empty = measure(folder.path());
        rustix::io::write(&file, &vec![1; MIB]).unwrap();
        let bytes = measure(folder.path()) - empty;
        unlinkat(&last, "file", AtFlags::empty()).unwrap();
        fill_in(folder.path());
        assert!(is_about(bytes, 1), "{bytes}");
    }

    #[test]
    fn a_tree_that_changes_is_walked_to_an_end_and_nothing_outside_it_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["tree/a/b/c/d", "tree/other", "outside/away"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        for name in ["tree/file", "tree/a/b/file", "tree/a/b/c/d/file"] {
            fs::write(path(name), vec![1; MIB]).unwrap();
        }
        for name in ["outside/file", "outside/away/file"] {
            fs::write(path(name), vec![1; 16 * MIB]).unwrap();
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let moving = scope.spawn(|| {
                let places = ["tree/a/b", "outside/b", "tree/other/b", "outside/away/b"];
                let next = places.into_iter().cycle().skip(1);
                let mut moves = places.into_iter().zip(next).cycle();
                // It ends where it began.
                while !stop.load(Ordering::Relaxed) {
                    for (from, to) in moves.by_ref().take(places.len()) {
                        fs::rename(path(from), path(to)).unwrap();
                    }
                }
            });
            let measured: Vec<u64> = (0..500).map(|_| measure(&path("tree"))).collect();
            stop.store(true, Ordering::Relaxed);
            moving.join().unwrap();
            for bytes in measured {
                assert!((1 << 20..(3 << 20) + BESIDE).contains(&bytes), "{bytes}");
            }
        });
        let bytes = measure(&path("tree"));
        assert!(is_about(bytes, 3), "{bytes}");
    }

    #[test]
    fn the_way_down_is_taken_as_far_as_it_is_still_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b/c")).unwrap();
        let level = |name: &str, place: &str| {
            let opened = openat(CWD, path(place), OFlags::DIRECTORY, Mode::empty()).unwrap();
            let inode = inode(&look_at(&opened, "").unwrap());
            Level { name: CString::new(name).unwrap(), inode, below: Vec::new() }
        };
        let root = openat(CWD, folder.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        let mut all = vec![level("", "."), level("a", "a"), level("b", "a/b"), level("c", "a/b/c")];
        let (b, c) = (all[2].inode, all[3].inode);
        assert!(is(&descend(&root, &mut all).unwrap(), c));
        assert_eq!(all.len(), 4);
        // Another one is in its place.
        fs::rename(path("a/b/c"), path("c")).unwrap();
        fs::create_dir(path("a/b/c")).unwrap();
        assert!(is(&descend(&root, &mut all).unwrap(), b));
        assert_eq!(all.len(), 3);
        let moved = open(&root, "c").unwrap();
        assert!(climb(&moved, b).is_none());
    }
}
