//! Running git, with nothing of the surroundings that could change what it does.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::GitError;

/// Long enough for a checkout of a very large repository.
const LIMIT: Duration = Duration::from_mins(10);
/// Variables that tie git to one repository; `git rev-parse --local-env-vars` lists them.
const LOCAL_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_TEMPLATE_DIR",
];

/// The git program.
#[derive(Debug, Clone, Default)]
pub struct Git(());

/// The version of the git program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitVersion(pub String);

/// How a git command is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Configuration {
    /// With the user's own: for the user's own repository.
    OfTheUser,
    /// With none: for a repository that is being made.
    None,
}

impl Git {
    /// What version is installed.
    ///
    /// # Errors
    /// [`GitError::Missing`] when none is.
    pub async fn version(&self) -> Result<GitVersion, GitError> {
        let text = self.run(Path::new("/"), Configuration::None, &["version"], &[]).await?;
        Ok(GitVersion(text.trim_start_matches("git version ").to_owned()))
    }

    /// Runs git in a folder and gives what it wrote to its standard output, without the last
    /// newline.
    pub(crate) async fn run<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        configuration: Configuration,
        arguments: &[S],
        variables: &[(&str, &OsStr)],
    ) -> Result<String, GitError> {
        self.spawn(folder, configuration, arguments, variables, Stdio::null()).await
    }

    /// The same for a command that reads `input`.
    pub(crate) async fn run_reading<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        configuration: Configuration,
        arguments: &[S],
        input: Stdio,
    ) -> Result<String, GitError> {
        self.spawn(folder, configuration, arguments, &[], input).await
    }

    async fn spawn<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        configuration: Configuration,
        arguments: &[S],
        variables: &[(&str, &OsStr)],
        input: Stdio,
    ) -> Result<String, GitError> {
        let mut command = Command::new("git");
        for name in LOCAL_VARIABLES {
            command.env_remove(name);
        }
        if configuration == Configuration::None {
            command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .envs(variables.iter().copied())
            // Nothing is cleaned up behind the user's back, and no program runs that a repository
            // names: hooks, file system monitors.
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-C"])
            .arg(folder)
            .args(arguments)
            .stdin(input)
            .kill_on_drop(true);
        let shown = || shown(arguments);
        let output = tokio::time::timeout(LIMIT, command.output())
            .await
            .map_err(|_| GitError::TimedOut { command: shown(), seconds: LIMIT.as_secs() })?
            .map_err(|source| GitError::Missing { source })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
        } else {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(GitError::Failed { command: shown(), message })
        }
    }
}

/// The words of a command, without options and paths.
fn shown<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let words = arguments.iter().map(|argument| argument.as_ref().to_string_lossy());
    words.filter(|word| !word.starts_with(['-', '/'])).collect::<Vec<_>>().join(" ")
}
