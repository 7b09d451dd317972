//! What a folder holds, as it is kept: one chunk a folder, in [postcard]'s encoding, whose name stands
//! in the folder above. Two folders with the same content are the same chunk.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format

use rustix::fs::{FileType, Statx};
use serde::{Deserialize, Serialize};

use crate::ChunkId;

/// A folder's entries, in the order of their names' bytes.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub(crate) entries: Vec<Entry>,
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Any bytes but `/` and NUL.
    pub(crate) name: Vec<u8>,
    pub(crate) meta: Meta,
    pub(crate) kind: Kind,
}

/// What is kept of a file beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The bits of permission, setuid, setgid and sticky.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Moment,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A moment as file systems have it: seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    File {
        size: u64,
        pieces: Vec<Piece>,
    },
    /// The chunk with its [`Tree`].
    Folder {
        tree: ChunkId,
    },
    Link {
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
}

/// A part of a file, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Piece {
    Data {
        chunk: ChunkId,
        bytes: u32,
    },
    /// Nothing is stored there; it reads as zeros.
    Hole {
        bytes: u64,
    },
}

impl Entry {
    pub(crate) const fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder { .. })
    }
}

impl Meta {
    /// As the kernel tells it.
    pub(crate) fn of(stat: &Statx, xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self {
            mode: stat.stx_mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mtime: Moment::of(stat.stx_mtime),
            xattrs,
        }
    }
}

impl Moment {
    pub(crate) const fn of(time: rustix::fs::StatxTimestamp) -> Self {
        Self { seconds: time.tv_sec, nanos: time.tv_nsec }
    }
}

/// The type of what the kernel told of.
pub(crate) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

impl Tree {
    /// None for what is no tree, or one that could lead out of its place.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let tree: Self = postcard::from_bytes(bytes).ok()?;
        let is_name = |name: &[u8]| {
            !matches!(name, b"" | b"." | b"..")
                && name.len() <= 255
                && !name.iter().any(|byte| matches!(byte, b'/' | 0))
        };
        let rises = tree.entries.windows(2).all(|pair| pair[0].name < pair[1].name);
        (rises && tree.entries.iter().all(|entry| is_name(&entry.name))).then_some(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(tree: &Tree) -> Vec<u8> {
        crate::seal::encode(tree, std::path::Path::new("")).unwrap()
    }

    fn named(names: &[&[u8]]) -> Tree {
        let meta = Meta {
            mode: 0o644,
            uid: 1,
            gid: 2,
            mtime: Moment { seconds: -1, nanos: 5 },
            xattrs: vec![(b"user.a".to_vec(), b"\xFF".to_vec())],
        };
        let entry = |name: &&[u8]| Entry {
            name: name.to_vec(),
            meta: meta.clone(),
            kind: Kind::File { size: 3, pieces: vec![Piece::Hole { bytes: 3 }] },
        };
        Tree { entries: names.iter().map(entry).collect() }
    }

    #[test]
    fn a_tree_comes_back_as_it_was_and_a_hostile_one_does_not() {
        let tree = named(&[b"a", b"b\xFF\n"]);
        assert_eq!(Tree::decode(&encoded(&tree)), Some(tree));
        for hostile in
            [&[b"..".as_slice()][..], &[b"a/b"], &[b""], &[b"."], &[b"b", b"a"], &[b"a", b"a"]]
        {
            assert_eq!(Tree::decode(&encoded(&named(hostile))), None);
        }
        assert_eq!(Tree::decode(b"\xFF\xFF\xFF\xFF\xFF"), None);
    }
}
