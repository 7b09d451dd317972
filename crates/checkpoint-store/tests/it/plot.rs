//! Random trees with all that a file system may have in it, and random changes to them.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

/// Something done to a tree.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    File {
        at: Vec<u8>,
        seed: u8,
        bytes: u32,
        mode: u32,
    },
    /// The same length and the same time, with other content.
    Rewrite {
        at: Vec<u8>,
        seed: u8,
    },
    Append {
        at: Vec<u8>,
        seed: u8,
    },
    Sparse {
        at: Vec<u8>,
        hole: u32,
        bytes: u32,
    },
    Folder {
        at: Vec<u8>,
        mode: u32,
    },
    Link {
        at: Vec<u8>,
        target: Vec<u8>,
    },
    HardLink {
        at: Vec<u8>,
        to: Vec<u8>,
    },
    Fifo {
        at: Vec<u8>,
    },
    Attribute {
        at: Vec<u8>,
        name: u8,
        value: Vec<u8>,
    },
    Time {
        at: Vec<u8>,
        seconds: u32,
        nanos: u32,
    },
    Rename {
        at: Vec<u8>,
        to: Vec<u8>,
    },
    Remove {
        at: Vec<u8>,
    },
}

/// Few names, so that deeds meet.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        b"a".to_vec(),
        b"b".to_vec(),
        b"\xFF\xFE".to_vec(),
        b"with space\nand line".to_vec(),
        "ü".as_bytes().to_vec(),
        vec![b'n'; 255],
    ])
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(name(), 1..4).prop_map(|names| names.join(&b'/'))
}

pub(crate) fn deed() -> impl Strategy<Value = Deed> {
    let mode = prop::sample::select(vec![0o644, 0o755, 0o600, 0o4755, 0o400]);
    let bytes = prop_oneof![0..200_u32, Just(0), 100_000..400_000_u32];
    prop_oneof![
        4 => (path(), any::<u8>(), bytes, mode)
            .prop_map(|(at, seed, bytes, mode)| Deed::File { at, seed, bytes, mode }),
        3 => (path(), any::<u8>()).prop_map(|(at, seed)| Deed::Rewrite { at, seed }),
        2 => (path(), any::<u8>()).prop_map(|(at, seed)| Deed::Append { at, seed }),
        1 => (path(), 4096..9_000_000_u32, 0..5000_u32)
            .prop_map(|(at, hole, bytes)| Deed::Sparse { at, hole, bytes }),
        2 => (path(), prop::sample::select(vec![0o755, 0o700, 0o2775]))
            .prop_map(|(at, mode)| Deed::Folder { at, mode }),
        1 => (path(), path()).prop_map(|(at, target)| Deed::Link { at, target }),
        2 => (path(), path()).prop_map(|(at, to)| Deed::HardLink { at, to }),
        1 => path().prop_map(|at| Deed::Fifo { at }),
        1 => (path(), 0..3_u8, vec(any::<u8>(), 0..20))
            .prop_map(|(at, name, value)| Deed::Attribute { at, name, value }),
        1 => (path(), any::<u32>(), 0..1_000_000_000_u32)
            .prop_map(|(at, seconds, nanos)| Deed::Time { at, seconds, nanos }),
        1 => (path(), path()).prop_map(|(at, to)| Deed::Rename { at, to }),
        1 => path().prop_map(|at| Deed::Remove { at }),
    ]
}

/// Does them, one after the other.
pub(crate) fn act_all(root: &Path, deeds: &[Deed]) {
    for deed in deeds {
        act(root, deed);
    }
}

/// Does it, where it can be done.
pub(crate) fn act(root: &Path, deed: &Deed) {
    let place = |at: &[u8]| root.join(OsStr::from_bytes(at));
    // What cannot be done in this tree is no deed.
    let _done = try_to(deed, &place);
}

fn try_to(deed: &Deed, place: &dyn Fn(&[u8]) -> PathBuf) -> std::io::Result<()> {
    let above = |path: &Path| fs::create_dir_all(path.parent().unwrap());
    match deed {
        Deed::File { at, seed, bytes, mode } => {
            above(&place(at))?;
            let mut file = File::create_new(place(at))?;
            file.write_all(&content(*seed, *bytes))?;
            file.set_permissions(Permissions::from_mode(*mode))
        }
        Deed::Rewrite { at, seed } => {
            let file = OpenOptions::new().write(true).open(regular(place(at))?)?;
            let before = file.metadata()?;
            let bytes = u32::try_from(before.len()).unwrap().min(500_000);
            file.write_all_at(&content(*seed, bytes), 0)?;
            file.set_modified(before.modified()?)
        }
        Deed::Append { at, seed } => {
            let mut file = OpenOptions::new().append(true).open(regular(place(at))?)?;
            file.write_all(&content(*seed, 10))
        }
        Deed::Sparse { at, hole, bytes } => {
            above(&place(at))?;
            let file = File::create_new(place(at))?;
            file.set_len(u64::from(*hole) + u64::from(*bytes))?;
            file.write_all_at(&content(1, *bytes), u64::from(*hole) / 2)
        }
        Deed::Folder { at, mode } => {
            fs::create_dir_all(place(at))?;
            fs::set_permissions(place(at), Permissions::from_mode(*mode))
        }
        Deed::Link { at, target } => {
            above(&place(at))?;
            symlink(OsStr::from_bytes(target), place(at))
        }
        Deed::HardLink { at, to } => {
            above(&place(at))?;
            fs::hard_link(regular(place(to))?, place(at))
        }
        Deed::Fifo { at } => {
            above(&place(at))?;
            Ok(mknodat(CWD, place(at), FileType::Fifo, Mode::from_raw_mode(0o640), 0)?)
        }
        Deed::Attribute { at, name, value } => {
            let name = format!("user.test{name}");
            Ok(setxattr(place(at), name, value, XattrFlags::empty())?)
        }
        Deed::Time { at, seconds, nanos } => {
            let time = UNIX_EPOCH + Duration::new((*seconds).into(), *nanos);
            let opened = File::open(existing(place(at))?)?;
            opened.set_times(FileTimes::new().set_modified(time))
        }
        Deed::Rename { at, to } => {
            above(&place(to))?;
            fs::rename(place(at), place(to))
        }
        Deed::Remove { at } => {
            let path = place(at);
            if fs::symlink_metadata(&path)?.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            }
        }
    }
}

/// Not through a link, and not a pipe, which would wait.
fn regular(path: PathBuf) -> std::io::Result<PathBuf> {
    if fs::symlink_metadata(&path)?.is_file() {
        Ok(path)
    } else {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn existing(path: PathBuf) -> std::io::Result<PathBuf> {
    let kind = fs::symlink_metadata(&path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        Ok(path)
    } else {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn content(seed: u8, bytes: u32) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        })
        .collect()
}
