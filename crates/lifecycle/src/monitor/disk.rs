//! How much of the disk a tree takes that an agent made: links are not followed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A block, as `stat` counts them, in bytes.
const BLOCK: u64 = 512;

/// The bytes that trees take. What vanishes meanwhile, or cannot be looked into, takes none; a file of
/// several names counts once for all of them.
pub(super) fn usage(mut folders: Vec<PathBuf>) -> u64 {
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let size = metadata.blocks() * BLOCK;
            if metadata.is_dir() {
                folders.push(entry.path());
                bytes += size;
            } else {
                bytes += size / metadata.nlink().max(1);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_the_disk_has_to_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("inner")).unwrap();
        fs::write(path("inner/file"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(path("inner/file"), path("again")).unwrap();
        std::os::unix::fs::symlink("/", path("out")).unwrap();
        let sparse = fs::File::create(path("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let bytes = usage(vec![folder.path().to_owned()]);
        assert!((1 << 20..(1 << 20) + 65_536).contains(&bytes), "{bytes}");
        assert_eq!(usage(vec![path("nothing")]), 0);
    }
}
