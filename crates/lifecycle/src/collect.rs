//! Bringing an agent's commits from the working copy onto the task's branch (R43).
//!
//! Git runs in the sandbox to say where the branch stands and to make a bundle; the bundle is
//! taken in on the host, checked. Nothing that the agent could configure runs on the host.

use std::path::PathBuf;
use std::time::Duration;

use armor_core::execution::CommandLine;
use armor_core::id::SandboxId;
use armor_core::sandbox::{
    CommandExit, ExecRequest, OutputPlace, RuntimeError, Silent, StreamKind, paths,
};
use armor_core::task::{Repository, Task, TaskStatus, WorkState};
use armor_git::{GitError, SourceRepository, is_object_id};
use armor_persistence::output::stream_file;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{Lifecycle, LifecycleError};

/// Says where the branch `$1` stands, how many files have changes on no commit, and how many commits
/// are on no branch of the task's, stashes among them. A file system monitor would be a program of
/// the agent's choice.
const LOOK: &str = r#"
git -c core.fsmonitor=false rev-parse --verify --quiet "refs/heads/$1^{commit}" || exit
changed=$(git -c core.fsmonitor=false status --porcelain --untracked-files=all) || exit
printf '%s' "$changed" | grep -c ''
git rev-list --count HEAD --all --not "refs/heads/$1" "$2""#;
/// How long git may look, and how long it may pack.
const LOOK_LIMIT: Duration = Duration::from_mins(2);
const PACK_LIMIT: Duration = Duration::from_mins(10);
/// The most that is taken of what git says, and the largest bundle, in bytes.
const LOOK_BYTES: u64 = 4 * 1024;
const BUNDLE_BYTES: u64 = 1 << 30;

/// Where git's output is meanwhile, in the task's folder.
const OUTPUT: &str = "collecting";
/// What is in it of the command that was run last.
const RAN: &str = "ran";

/// What becomes of commands that still run when the work is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commands {
    /// They go on: the task does.
    GoOn,
    /// They are killed first: the task ends.
    End,
}

/// What git said of the working copy.
struct Found {
    head: String,
    work: WorkState,
}

impl Lifecycle {
    /// Brings the task's commits onto its branch. Called by whoever holds the task's lock.
    pub(crate) async fn collect(
        &self,
        task: &Task,
        commands: Commands,
    ) -> Result<(), LifecycleError> {
        let Some(repository) =
            task.repository.as_ref().filter(|_| task.status == TaskStatus::Running)
        else {
            return Ok(());
        };
        let sandbox = self.ensure_sandbox(task, &Silent).await?;
        if commands == Commands::End {
            self.end_executions(task, &sandbox).await?;
        }
        let mut found = self.look(task, &sandbox, repository).await?;
        if commands == Commands::GoOn && self.has_running_executions(task).await? {
            let reason = "a command still ran when it was looked at".to_owned();
            found.work = WorkState::Unknown { reason };
        }
        if found.head == repository.head && found.work == repository.work {
            return Ok(());
        }
        let (head, commits) = if found.head == repository.head {
            (found.head, 0)
        } else {
            self.bring_home(task, &sandbox, repository, &found.head).await?
        };
        self.change(&task.id, |task| {
            Ok(task.collected(head.clone(), commits, found.work.clone(), self.now()))
        })
        .await?;
        Ok(())
    }

    async fn has_running_executions(&self, task: &Task) -> Result<bool, LifecycleError> {
        let running = self.parts.registry.running_executions().await?;
        Ok(running.iter().any(|execution| execution.task == task.id))
    }

    /// Ends every command that still runs in the task's sandbox, whoever watches it.
    async fn end_executions(&self, task: &Task, sandbox: &SandboxId) -> Result<(), LifecycleError> {
        for execution in self.parts.registry.running_executions().await? {
            if execution.task == task.id {
                self.kill_locked(task, sandbox, &execution.id).await?;
                // Who watches it notes the same.
                let folder = self.folder(&task.id).execution(&execution.id);
                if let Some(end) = self.parts.runtime.noted_end(&folder) {
                    self.note_end(&execution, Some(&end)).await?;
                }
            }
        }
        Ok(())
    }

    /// Asks git in the sandbox. An image without git has no commits to bring, and nobody knows
    /// what else there is.
    async fn look(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        repository: &Repository,
    ) -> Result<Found, LifecycleError> {
        let argv = ["/bin/sh", "-c", LOOK, "look", &repository.branch, &repository.base];
        let argv = argv.map(str::to_owned).to_vec();
        let looked = self.run_quietly(task, sandbox, argv, LOOK_LIMIT, LOOK_BYTES).await?;
        match looked.exit {
            CommandExit::Code(0) => {}
            CommandExit::Code(127) | CommandExit::NotFound => {
                let reason = "the image has no git to look with".to_owned();
                let work = WorkState::Unknown { reason };
                return Ok(Found { head: repository.head.clone(), work });
            }
            exit => {
                return Err(git_in_sandbox(format!(
                    "it could not look at {} ({exit:?})",
                    repository.branch
                )));
            }
        }
        let said = looked.stdout();
        let text = std::fs::read(&said).map_err(|source| GitError::Io {
            action: "read what git said in",
            path: said,
            source,
        })?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default().to_owned();
        let mut count = || lines.next().and_then(|line| line.trim().parse::<u32>().ok());
        let (Some(files), Some(commits), true) = (count(), count(), is_object_id(&head)) else {
            return Err(git_in_sandbox("what it said makes no sense".to_owned()));
        };
        let work = match (files, commits) {
            (0, 0) => WorkState::Saved,
            (files, commits) => WorkState::Unsaved { files, commits },
        };
        Ok(Found { head, work })
    }

    async fn bring_home(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        repository: &Repository,
        head: &str,
    ) -> Result<(String, u32), LifecycleError> {
        let source = SourceRepository::known(self.parts.git.clone(), repository.path.clone());
        let branch = &repository.branch;
        let head = if source.has_commit(head).await? {
            head.to_owned()
        } else {
            self.take_in_bundle(task, sandbox, repository, &source).await?
        };
        let imported = source.move_branch(branch, &repository.head, &head).await?;
        Ok((imported.head, imported.commits))
    }

    async fn take_in_bundle(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        repository: &Repository,
        source: &SourceRepository,
    ) -> Result<String, LifecycleError> {
        let mut argv = ["git", "bundle", "create", "--quiet", "-"].map(str::to_owned).to_vec();
        argv.push(format!("refs/heads/{}", repository.branch));
        argv.push(format!("^{}", repository.base));
        let packed = self.run_quietly(task, sandbox, argv, PACK_LIMIT, BUNDLE_BYTES).await?;
        if packed.exit != CommandExit::Code(0) {
            let exit = packed.exit;
            return Err(git_in_sandbox(format!("it could not make a bundle ({exit:?})")));
        }
        Ok(source.take_in(&packed.stdout(), &repository.branch).await?)
    }

    /// Runs a command that is no execution of the agent's. Its output is gone when what this gives is
    /// dropped.
    async fn run_quietly(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        argv: Vec<String>,
        limit: Duration,
        most_bytes: u64,
    ) -> Result<Quiet, LifecycleError> {
        let path = self.folder(&task.id).path().to_owned();
        let left = path.join(OUTPUT);
        if left.exists() {
            // Whoever collected before was killed.
            self.parts.folders.throw_away(&left)?;
            self.empty_trash().await;
        }
        // One of a name that is known: nobody else collects meanwhile.
        let output = tempfile::Builder::new().prefix(OUTPUT).rand_bytes(0).tempdir_in(&path);
        let output =
            output.map_err(|source| GitError::Io { action: "make a folder in", path, source })?;
        let shown = CommandLine::Argv(argv.clone()).to_string();
        let request = ExecRequest {
            execution: self.parts.ids.execution_id(self.now()),
            argv,
            user: self.user_of(&task.sandbox),
            cwd: paths::WORKSPACE.to_owned(),
            env: vec![("GIT_OPTIONAL_LOCKS".to_owned(), "0".to_owned())],
            stdin: None,
            limit,
            output: OutputPlace { folder: output.path().join(RAN), keep_bytes: most_bytes },
        };
        let (progress, _) = watch::channel(None);
        let execution = request.execution.clone();
        let timed_out = GitError::TimedOut { command: shown, seconds: limit.as_secs() };
        let end = match self.parts.runtime.exec(sandbox, request, &progress).await {
            Err(RuntimeError::Overdue) => {
                self.kill_locked(task, sandbox, &execution).await?;
                return Err(timed_out.into());
            }
            end => end?,
        };
        if end.exit == CommandExit::TimedOut {
            return Err(timed_out.into());
        }
        if end.written.stdout > most_bytes {
            return Err(git_in_sandbox(format!("it wrote more than {most_bytes} bytes")));
        }
        Ok(Quiet { exit: end.exit, output })
    }
}

/// How a command went that is no execution of the agent's.
struct Quiet {
    exit: CommandExit,
    output: TempDir,
}

impl Quiet {
    fn stdout(&self) -> PathBuf {
        stream_file(&self.output.path().join(RAN), StreamKind::Stdout)
    }
}

fn git_in_sandbox(message: String) -> LifecycleError {
    GitError::Failed { command: "in the sandbox".to_owned(), message }.into()
}
