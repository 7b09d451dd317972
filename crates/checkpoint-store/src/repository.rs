//! What git tracks in a folder of a tree, read from the files that it keeps there. Git itself is never
//! run: it would do what the repository's configuration says, which may be an agent's.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::budget::Budget;
use crate::git_index::GitIndex;
use crate::paths::Paths;
use crate::walk::{below, join, open_below, read_below};

/// What a repository tracks, by paths from its own folder on.
#[derive(Debug)]
pub(crate) struct Repository {
    folder: Vec<u8>,
    paths: Paths,
    /// Within these, everything counts as tracked.
    folders: Paths,
}

impl Repository {
    /// The one of which `.git` is in that folder. What is read, and what is kept of it, is taken off the
    /// bytes that may be.
    pub(crate) fn read(root: &OwnedFd, folder: &[u8], budget: &Budget) -> io::Result<Self> {
        let place = join(folder, b".git");
        // In a worktree it is a file, and the index is somewhere else.
        open_below(root, &place, OFlags::PATH | OFlags::DIRECTORY)?;
        let parse = |name: &[u8]| {
            let bytes = read_below(root, &join(&place, name), |size| budget.spend(size))?;
            let index = GitIndex::parse(&bytes, budget);
            index.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no index of git"))
        };
        let mut index = match parse(b"index") {
            // Nothing was ever added.
            Err(error) if is(&error, Errno::NOENT) => GitIndex::default(),
            index => index?,
        };
        if let Some(shared) = index.shared.take() {
            let GitIndex { paths, folders, .. } =
                parse(format!("sharedindex.{shared}").as_bytes())?;
            index.paths.extend(paths);
            index.folders.extend(folders);
        }
        let (paths, folders) = (index.paths.into_iter(), index.folders.into_iter());
        Ok(Self { folder: folder.to_vec(), paths: paths.collect(), folders: folders.collect() })
    }

    /// Whether it tracks that, or something in it.
    pub(crate) fn tracks(&self, path: &[u8], is_folder: bool) -> bool {
        let Some(path) = below(&self.folder, path) else { return false };
        if is_folder {
            let is_whole = self.folders.contains(path);
            is_whole || self.paths.reach_into(path) || self.folders.reach_into(path)
        } else {
            self.paths.contains(path)
        }
    }

    /// Whether all in that folder counts as tracked.
    pub(crate) fn has_whole(&self, folder: &[u8]) -> bool {
        below(&self.folder, folder).is_some_and(|folder| self.folders.contains(folder))
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
