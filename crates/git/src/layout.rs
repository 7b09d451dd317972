//! Where the parts of a repository are, and what is checked out of it, asked of git at one time: each
//! start of a program costs milliseconds.

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

/// What is checked out of a repository.
#[derive(Debug, Clone)]
pub(crate) struct CheckedOut {
    pub(crate) commit: String,
    /// None when the head is detached.
    pub(crate) branch: Option<String>,
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

/// Asks for the commit, then for the name of its branch.
const HEAD: &[&str] = &["HEAD^{commit}", "--symbolic-full-name", "HEAD"];

impl CheckedOut {
    /// Of the repository that `folder` is, or lies in.
    pub(crate) async fn of(git: &Git, folder: &Path) -> Result<Self, GitError> {
        let arguments = [&["rev-parse", "--quiet"], HEAD].concat();
        let answer = git.run(folder, Configuration::OfTheUser, &arguments, &[]).await?;
        let (commit, name) = answer.split_once('\n').unwrap_or((&answer, ""));
        Ok(Self::told(commit, name))
    }

    fn told(commit: &str, name: &str) -> Self {
        let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
        Self { commit: commit.to_owned(), branch }
    }
}

impl Layout {
    /// Of the repository that `folder` is, or lies in, and what is checked out of it, where that can
    /// be told with the rest: when it has a checkout with a commit.
    pub(crate) async fn with_head(
        git: &Git,
        folder: &Path,
    ) -> Result<(Self, Option<CheckedOut>), GitError> {
        let arguments = [&["rev-parse", "--show-toplevel"], ASKED, HEAD].concat();
        let answer = git.run(folder, Configuration::OfTheUser, &arguments, &[]).await;
        // Whatever there is to say against it is said by the one question without the other.
        let Ok(answer) = answer else { return Ok((Self::of(git, folder).await?, None)) };
        let lines: Vec<_> = answer.lines().collect();
        let [parts @ .., commit, name] = lines.as_slice() else { return Err(unreadable()) };
        Ok((Self::told(parts)?, Some(CheckedOut::told(commit, name))))
    }

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
        Self::told(&answer.lines().collect::<Vec<_>>())
    }

    /// What git answers to the first question and [`ASKED`], a line each.
    fn told(lines: &[&str]) -> Result<Self, GitError> {
        let &[top, git_dir, common_dir, objects, shallow, object_format] = lines else {
            return Err(unreadable());
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

fn unreadable() -> GitError {
    GitError::Failed {
        command: "rev-parse".to_owned(),
        message: "the repository's path has a line break".to_owned(),
    }
}
