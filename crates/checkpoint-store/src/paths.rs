//! Paths of a tree, which can be asked what lies within a folder.

use crate::walk::join;

/// A set of paths, from the tree's root on.
#[derive(Debug, Default)]
pub(crate) struct Paths(Vec<Vec<u8>>);

impl FromIterator<Vec<u8>> for Paths {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(paths: I) -> Self {
        let mut paths: Vec<_> = paths.into_iter().collect();
        paths.sort_unstable();
        Self(paths)
    }
}

impl Paths {
    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.0.binary_search_by(|one| one.as_slice().cmp(path)).is_ok()
    }

    /// Whether one of them lies within that folder, however deep.
    pub(crate) fn reach_into(&self, folder: &[u8]) -> bool {
        let within = join(folder, b"");
        let at = self.0.partition_point(|one| one.as_slice() < within.as_slice());
        self.0.get(at).is_some_and(|one| one.starts_with(&within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reaches_into_the_folders_above_it_and_no_others() {
        let paths: Paths =
            [b"a/b/c".to_vec(), b"a-b/c".to_vec(), b"d".to_vec()].into_iter().collect();
        for folder in [&b""[..], b"a", b"a/b", b"a-b"] {
            assert!(paths.reach_into(folder));
        }
        for folder in [&b"a/b/c"[..], b"d", b"a/bc", b"a-", b"b"] {
            assert!(!paths.reach_into(folder));
        }
        assert!(paths.contains(b"d") && !paths.contains(b"a"));
        assert!(!Paths::default().reach_into(b""));
    }
}
