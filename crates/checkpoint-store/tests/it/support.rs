//! A place with a store, and trees described down to the last bit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use armor_checkpoint_store::{Draft, Manifest, Root, Rules, Store};
use armor_core::checkpoint::CheckpointCause;
use armor_core::id::TaskId;
use armor_core::time::Timestamp;
use rustix::fs::{lgetxattr, llistxattr};

/// A folder with a home, and a tree beside it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
    taken: AtomicU32,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tree")).unwrap();
        let store = Store::open(&folder.path().join("home")).unwrap();
        Self { folder, store, taken: AtomicU32::new(0) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    pub(crate) fn task() -> TaskId {
        "a-task".parse().unwrap()
    }

    /// Takes a checkpoint of the whole tree.
    pub(crate) fn take(&self) -> Manifest {
        self.take_by(&Rules::none())
    }

    /// Takes a checkpoint of the tree without what rules leave out.
    pub(crate) fn take_by(&self, rules: &Rules) -> Manifest {
        let roots = [Root { name: "workspace", path: &self.tree() }];
        self.store.take(self.draft(), &roots, rules).unwrap()
    }

    pub(crate) fn draft(&self) -> Draft {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        Draft {
            id: format!("number-{number}").parse().unwrap(),
            task: Self::task(),
            name: None,
            cause: CheckpointCause::Asked,
            risk: None,
            at: Timestamp::from_micros(i64::from(number)),
            parent: None,
            state: serde_json::json!({ "status": "running" }),
        }
    }

    /// Makes a checkpoint's tree again, and gives where.
    pub(crate) fn restore(&self, manifest: &Manifest) -> PathBuf {
        let place = self.path(&format!("restored-{}", manifest.id));
        self.store.restore(manifest, "workspace", &place).unwrap();
        place
    }
}

/// All that a checkpoint has to keep of a tree: a line for each path.
pub(crate) fn describe(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut described = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut waiting = vec![Vec::new()];
    while let Some(below) = waiting.pop() {
        let path = root.join(OsStr::from_bytes(&below));
        let stat = fs::symlink_metadata(&path).unwrap();
        let content = if stat.is_dir() {
            let mut names: Vec<_> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            for name in names {
                let name = name.as_bytes();
                waiting.push(if below.is_empty() {
                    name.to_vec()
                } else {
                    [below.as_slice(), b"/", name].concat()
                });
            }
            String::new()
        } else if stat.is_file() {
            blake3::hash(&fs::read(&path).unwrap()).to_string()
        } else if stat.is_symlink() {
            format!("{:?}", fs::read_link(&path).unwrap().as_os_str().as_bytes())
        } else {
            String::new()
        };
        let size = if stat.is_dir() { 0 } else { stat.size() };
        let line = format!(
            "{:o} {}:{} {}.{:09} {size} {content} {:?}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.mtime_nsec(),
            xattrs(&path),
        );
        if stat.is_file() && stat.nlink() > 1 {
            first_names.entry(stat.ino()).or_insert_with(Vec::new).push(below.clone());
        }
        described.insert(below, line);
    }
    for (_, mut names) in first_names {
        names.sort();
        for name in &names {
            let line: &mut String = described.get_mut(name).unwrap();
            write!(line, " one file: {names:?}").unwrap();
        }
    }
    described
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let length = llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
    let mut found: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect();
    found.sort();
    found
}
