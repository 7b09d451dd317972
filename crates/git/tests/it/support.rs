//! A user's repository in a folder of its own.

use std::path::{Path, PathBuf};

use armor_core::sandbox::UserIds;
use armor_git::{Git, SourceRepository};
use armor_testkit::Repository;
pub(crate) use armor_testkit::git;

pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder with the repository `source`: two commits, one of them on `main`'s tip.
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        Repository::make(place.source());
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.path().join("source")
    }

    pub(crate) async fn find(&self) -> SourceRepository {
        SourceRepository::find(Git::default(), &self.source(), &allowed(self.path())).await.unwrap()
    }
}

/// Everything of a repository that a user would notice if it changed.
pub(crate) fn snapshot(repository: &Path) -> String {
    Repository::at(repository.to_owned()).snapshot()
}

pub(crate) fn commit(repository: &Path, file: &str, text: &str) -> String {
    Repository::at(repository.to_owned()).commit(file, text)
}

/// Whoever runs the tests.
pub(crate) fn me() -> UserIds {
    UserIds { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

/// Everything below one folder.
pub(crate) fn allowed(root: &Path) -> armor_git::Allowed {
    armor_git::Allowed { roots: vec![root.to_owned()], forbidden: Vec::new() }
}
