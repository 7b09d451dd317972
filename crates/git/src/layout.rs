//! Where the parts of a repository are, asked of git at one time: each start of a program costs
//! milliseconds.

use std::path::{Path, PathBuf};

use crate::GitError;
use crate::command::{Configuration, Git};

/// Where the parts of a repository are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Its checkout, or itself where it has none.
    pub(crate) top: PathBuf,
    /// Its git folder.
    pub(crate) git_dir: PathBuf,
    /// The one that several checkouts share.
    pub(crate) common_dir: PathBuf,
    /// Its objects.
    pub(crate) objects: PathBuf,
    /// Where it says that it is shallow, if it is.
    pub(crate) shallow: PathBuf,
    /// The kind of ids that its objects have: `sha1` or `sha256`.
    pub(crate) object_format: String,
}

const ASKED: &[&str] = &[
    "--path-format=absolute",
    "--absolute-git-dir",
    "--git-common-dir",
    "--git-path",
    "objects",
    "--git-path",
    "shallow",
    "--show-object-format",
];

impl Layout {
    /// Of the repository that `folder` is, or lies in.
    pub(crate) async fn of(git: &Git, folder: &Path) -> Result<Self, GitError> {
        let ask = async |first: &[&str]| {
            let arguments = [&["rev-parse"], first, ASKED].concat();
            git.run(folder, Configuration::OfTheUser, &arguments, &[]).await
        };
        let answer = match ask(&["--show-toplevel"]).await {
            Ok(answer) => answer,
            // A bare one has no checkout.
            Err(error) => {
                let question = ["rev-parse", "--is-bare-repository"];
                let is_bare = git.run(folder, Configuration::OfTheUser, &question, &[]).await?;
                if is_bare != "true" {
                    return Err(error);
                }
                ask(&["--absolute-git-dir"]).await?
            }
        };
        let [top, git_dir, common_dir, objects, shallow, object_format] =
            answer.lines().collect::<Vec<_>>()[..]
        else {
            return Err(GitError::Failed {
                command: "rev-parse".to_owned(),
                message: "the repository's path has a line break".to_owned(),
            });
        };
        Ok(Self {
            top: top.into(),
            git_dir: git_dir.into(),
            common_dir: common_dir.into(),
            objects: objects.into(),
            shallow: shallow.into(),
            object_format: object_format.to_owned(),
        })
    }
}
