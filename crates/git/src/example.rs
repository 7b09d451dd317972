//! A small repository to show things on, and the difference that a task made.

use std::fs;
use std::path::Path;

use crate::GitError;
use crate::command::{Configuration, Git};
use crate::error::io_error;

/// Makes a repository with one file and one commit, and says which commit that is.
///
/// # Errors
/// When git or the file system fails.
pub async fn make_example(git: &Git, place: &Path) -> Result<String, GitError> {
    fs::create_dir_all(place).map_err(io_error("make", place))?;
    let readme = place.join("README.md");
    fs::write(&readme, "# Example\n").map_err(io_error("write", &readme))?;
    let run = async |arguments: &[&str]| git.run(place, Configuration::None, arguments, &[]).await;
    run(&["init", "--quiet", "--template=", "--initial-branch=main"]).await?;
    run(&["add", "README.md"]).await?;
    run(&[
        "-c",
        "user.name=Armor",
        "-c",
        "user.email=armor@agents.invalid",
        "commit",
        "--quiet",
        "--message=Start",
    ])
    .await?;
    run(&["rev-parse", "HEAD"]).await
}

/// What changed between two commits of a user's repository, as a patch.
///
/// # Errors
/// When git fails.
pub async fn diff(git: &Git, repository: &Path, from: &str, to: &str) -> Result<String, GitError> {
    let arguments = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", from, to, "--"];
    git.run(repository, Configuration::OfTheUser, &arguments, &[]).await
}
