//! The paths in an index of git ([its format]), which whoever works in the tree may have written: what
//! is not well-formed is no index, and nothing in it makes reading take more than its own length.
//!
//! [its format]: https://git-scm.com/docs/index-format

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::budget::Budget;

/// What is read of an index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GitIndex {
    /// Files and links.
    pub(crate) paths: Vec<Vec<u8>>,
    /// Folders of which git knows no files: submodules, and what a sparse index has only as a whole.
    pub(crate) folders: Vec<Vec<u8>>,
    /// The hash in the name of the file in which the rest of it is.
    pub(crate) shared: Option<String>,
}

/// The longest path, in bytes; no system takes a longer one.
const LONGEST: usize = 4096;
/// What a path takes in memory beside its bytes.
const A_PATH: u64 = 48;

const FOLDER: u32 = 0o040_000;
const SUBMODULE: u32 = 0o160_000;

impl GitIndex {
    /// None for what is no index, or one that this does not know, and where its paths are more than the
    /// budget has. In the fourth version paths are written by how they differ, so that a short file can mean
    /// many times its length.
    pub(crate) fn parse(bytes: &[u8], budget: &Budget) -> Option<Self> {
        // Which hash a repository uses does not stand in its index. The longer one first: where nothing
        // is hashed (`index.skipHash`), the end of its zeros looks like the shorter one's.
        let is_sha256 = is_hashed::<Sha256, 32>(bytes);
        let found = is_sha256.then(|| Self::parse_with(bytes, 32, budget)).flatten();
        found.or_else(|| {
            let is_sha1 = is_hashed::<Sha1, 20>(bytes);
            is_sha1.then(|| Self::parse_with(bytes, 20, budget)).flatten()
        })
    }

    fn parse_with(bytes: &[u8], hash: usize, budget: &Budget) -> Option<Self> {
        let (bytes, _) = bytes.split_at_checked(bytes.len().checked_sub(hash)?)?;
        let mut rest = Rest(bytes);
        if rest.take(4)? != b"DIRC" {
            return None;
        }
        let version = rest.number()?;
        if !(2..=4).contains(&version) {
            return None;
        }
        let mut index = Self::default();
        let mut last = Vec::new();
        for _ in 0..rest.number()? {
            let (mode, path) = rest.entry(version, hash, &last)?;
            if path.len() > LONGEST {
                return None;
            }
            budget.spend(path.len() as u64 + A_PATH)?;
            match mode & 0o170_000 {
                FOLDER | SUBMODULE => {
                    let folder = path.strip_suffix(b"/").unwrap_or(&path);
                    index.folders.push(folder.to_vec());
                }
                // In a split index, what takes the place of another entry has no name of its own.
                _ if path.is_empty() => {}
                _ => index.paths.push(path.clone()),
            }
            last = path;
        }
        while !rest.0.is_empty() {
            let (name, length) = (rest.take(4)?, rest.number()?);
            let data = rest.take(usize::try_from(length).ok()?)?;
            match name {
                b"link" => index.shared = shared(data.get(..hash)?),
                // A mark, and what may be skipped.
                b"sdir" | [b'A'..=b'Z', ..] => {}
                _ => return None,
            }
        }
        Some(index)
    }
}

/// The name of the index that this one is a change of. What this one takes away from it counts all the
/// same: that is on the safe side.
fn shared(hash: &[u8]) -> Option<String> {
    use std::fmt::Write;

    let mut name = String::new();
    for byte in hash {
        // Writing to a text does not fail.
        write!(name, "{byte:02x}").ok()?;
    }
    hash.iter().any(|byte| *byte != 0).then_some(name)
}

/// Whether it ends with its hash, or with zeros instead.
fn is_hashed<H: Digest, const LENGTH: usize>(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<LENGTH>()
        .is_some_and(|(bytes, hash)| hash == &[0; LENGTH] || H::digest(bytes).as_slice() == hash)
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Up to a NUL, which goes, too.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().take(LONGEST + 1).position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    /// An entry's mode and path.
    fn entry(&mut self, version: u32, hash: usize, last: &[u8]) -> Option<(u32, Vec<u8>)> {
        const BEFORE_THE_MODE: usize = 24;
        const BEHIND_THE_MODE: usize = 12;
        const EXTENDED: u8 = 0x40;

        let whole = self.0.len();
        self.take(BEFORE_THE_MODE)?;
        let mode = self.number()?;
        self.take(BEHIND_THE_MODE + hash)?;
        let flags = self.take(2)?;
        if flags.first()? & EXTENDED != 0 {
            if version == 2 {
                return None;
            }
            self.take(2)?;
        }
        if version == 4 {
            let kept = last.len().checked_sub(usize::try_from(self.distance()?).ok()?)?;
            return Some((mode, [last.get(..kept)?, self.text()?].concat()));
        }
        let path = self.text()?;
        // Filled up with NULs, of which one has been read.
        let length = whole - self.0.len() - 1;
        self.take((length + 8) / 8 * 8 - length - 1)?;
        Some((mode, path.to_vec()))
    }

    /// How much of the last path goes: seven bits a byte, each further one counted from one.
    fn distance(&mut self) -> Option<u32> {
        let mut byte = self.byte()?;
        let mut distance = u32::from(byte & 0x7F);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            let above = distance.checked_add(1)?.checked_mul(1 << 7)?;
            distance = above | u32::from(byte & 0x7F);
        }
        Some(distance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Option<GitIndex> {
        GitIndex::parse(bytes, &Budget::new(1 << 20))
    }

    /// An index with its hash.
    fn hashed(mut bytes: Vec<u8>) -> Vec<u8> {
        let hash = Sha1::digest(&bytes);
        bytes.extend_from_slice(&hash);
        bytes
    }

    fn entry(path: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 24];
        bytes.extend_from_slice(&0o100_644_u32.to_be_bytes());
        bytes.extend_from_slice(&[0; 12 + 20 + 2]);
        bytes.extend_from_slice(path);
        let length = (bytes.len() + 8) / 8 * 8;
        bytes.resize(length, 0);
        bytes
    }

    fn index(entries: u32, body: &[u8]) -> Vec<u8> {
        [b"DIRC\0\0\0\x02".as_slice(), &entries.to_be_bytes(), body].concat()
    }

    #[test]
    fn what_is_not_well_formed_is_no_index() {
        let body = [entry(b"a/b"), entry(b"c\xFF")].concat();
        let whole = parse(&hashed(index(2, &body))).unwrap();
        assert_eq!(whole.paths, [b"a/b".to_vec(), b"c\xFF".to_vec()]);
        assert_eq!(parse(&hashed(index(3, &body))), None);
        assert_eq!(parse(&hashed(index(u32::MAX, &body))), None);
        assert_eq!(parse(&hashed(index(1, &body))), None);
        assert_eq!(parse(&hashed(index(1, &entry(&[b'x'; 5000])))), None);
        // An extension that has to be known.
        let unknown = [body.as_slice(), b"what\0\0\0\0"].concat();
        assert_eq!(parse(&hashed(index(2, &unknown))), None);
        let skipped = [body.as_slice(), b"WHAT\0\0\0\x01x"].concat();
        assert_eq!(parse(&hashed(index(2, &skipped))), Some(whole));
        let mut flipped = hashed(index(2, &body));
        flipped[80] ^= 1;
        assert_eq!(parse(&flipped), None);
        assert_eq!(parse(b""), None);
    }

    // A thousand bytes that mean a path of four thousand, again and again.
    #[test]
    fn paths_that_are_written_by_their_difference_do_not_grow_without_end() {
        let delta = |strip: &[u8], text: &[u8]| {
            let mut bytes = vec![0; 24 + 4 + 12 + 20 + 2];
            bytes.extend_from_slice(strip);
            bytes.extend_from_slice(text);
            bytes.push(0);
            bytes
        };
        let mut bytes = b"DIRC\0\0\0\x04\0\0\x04\0".to_vec();
        bytes.extend(delta(b"\0", &[b'x'; LONGEST]));
        for _ in 1..0x400 {
            bytes.extend(delta(b"\0", b""));
        }
        let bytes = hashed(bytes);
        assert_eq!(parse(&bytes), None);
        // What is in memory counts also where nothing is written of it.
        let needed = 0x400 * (LONGEST as u64 + A_PATH);
        assert_eq!(GitIndex::parse(&bytes, &Budget::new(needed - 1)), None);
        let whole = GitIndex::parse(&bytes, &Budget::new(needed)).unwrap();
        assert_eq!(whole.paths.len(), 0x400);
        // A step back behind the beginning.
        let mut bytes = b"DIRC\0\0\0\x04\0\0\0\x01".to_vec();
        bytes.extend(delta(b"\x01", b"a"));
        assert_eq!(parse(&hashed(bytes)), None);
    }

    proptest! {
        // R95: whoever wrote it.
        #[test]
        fn no_index_makes_it_panic(version in 2..5_u8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [&[b'D', b'I', b'R', b'C', 0, 0, 0, version][..], &bytes].concat();
            let _index = parse(&hashed(bytes));
        }

        #[test]
        fn no_damaged_index_makes_it_panic(at in 12..200_usize, byte in any::<u8>(), cut in 12..230_usize) {
            let mut bytes = index(2, &[entry(b"a/b"), entry(b"c"), b"TREE\0\0\0\x02xx".to_vec()].concat());
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            let _index = parse(&hashed(bytes));
        }
    }
}
