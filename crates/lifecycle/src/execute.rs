//! Executing a command in a task's sandbox: what is asked for, checked, and handed on.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use armor_core::error::Report;
use armor_core::execution::{CommandLine, Execution};
use armor_core::id::{AgentId, SandboxId};
use armor_core::path::RelativePath;
use armor_core::sandbox::{CommandProgress, Input, OutputChunk, paths};
use armor_core::task::Task;
use armor_persistence::StorageError;
use armor_persistence::output::Excerpt;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::run::Run;
use crate::{Lifecycle, LifecycleError};

/// The longest time limit.
const LONGEST: Duration = Duration::from_hours(24);

/// A command to execute.
#[derive(Debug, Clone)]
pub struct Execute {
    /// What to run.
    pub command: CommandLine,
    /// Who runs it, if not the agent that is attached.
    pub agent: Option<AgentId>,
    /// Where: absolute in the sandbox, or relative to the workspace.
    pub cwd: Option<String>,
    /// Variables to add.
    pub env: BTreeMap<String, String>,
    /// What the command reads.
    pub stdin: Option<Input>,
    /// Its time limit.
    pub timeout: Option<Duration>,
    /// Where its output goes besides the disk, as it comes.
    pub live: Option<mpsc::Sender<OutputChunk>>,
}

impl Execute {
    /// A command with nothing else said: in the workspace, with the configured time limit.
    pub fn new(command: CommandLine) -> Self {
        Self {
            command,
            agent: None,
            cwd: None,
            env: BTreeMap::new(),
            stdin: None,
            timeout: None,
            live: None,
        }
    }
}

/// What became of a command that was begun in the background.
#[derive(Debug, Clone)]
pub enum Begun {
    /// It runs.
    Running(Execution),
    /// It could not be started, or has ended already.
    Ended(ExecutionReport),
}

/// How a command went.
#[derive(Debug, Clone)]
pub struct ExecutionReport {
    /// The execution, ended.
    pub execution: Execution,
    /// What it wrote to standard output, cut in the middle if it is long.
    pub stdout: Excerpt,
    /// The same for standard error.
    pub stderr: Excerpt,
    /// What kept it from running to its own end, with what to do about it.
    pub problem: Option<Report>,
}

impl Lifecycle {
    /// Runs a command in the task's sandbox and waits for its end. A sandbox that is gone is made
    /// again first. `cancelled` ends the command early.
    ///
    /// # Errors
    /// When the request is wrong, the task is not running with an agent attached, or the sandbox
    /// cannot be had. A command that fails is no error.
    pub async fn execute(
        &self,
        reference: &str,
        request: Execute,
        cancelled: CancellationToken,
    ) -> Result<ExecutionReport, LifecycleError> {
        let (run, sandbox) = self.prepared(reference, request).await?;
        let (progress, _) = watch::channel(None);
        let running = tokio::spawn(watched(run, sandbox, cancelled, progress));
        running.await.map_err(|_| LifecycleError::Broken("the watcher of a command"))?
    }

    /// Begins a command in the task's sandbox, and comes back when it runs. It goes on when this
    /// process ends.
    ///
    /// # Errors
    /// As [`Self::execute`]; and when commands in the sandbox need a process of Armor.
    pub async fn begin(&self, reference: &str, request: Execute) -> Result<Begun, LifecycleError> {
        let (run, mut sandbox) = self.prepared(reference, request).await?;
        let outlives_us = match self.parts.runtime.outlives_us(&sandbox).await {
            Err(error) if error.lacks_sandbox() => {
                sandbox = self.sandbox_made_again(&run.task).await?;
                self.parts.runtime.outlives_us(&sandbox).await?
            }
            outlives_us => outlives_us?,
        };
        if !outlives_us {
            return Err(LifecycleError::NoBackground);
        }
        let execution = run.execution.clone();
        let (progress, mut heard) = watch::channel(None);
        let never = CancellationToken::new();
        let mut running = tokio::spawn(watched(run, sandbox, never, progress));
        tokio::select! {
            ended = &mut running => {
                let ended = ended.map_err(|_| LifecycleError::Broken("the watcher of a command"))?;
                Ok(Begun::Ended(ended?))
            }
            Ok(()) = heard.changed() => Ok(Begun::Running(execution)),
        }
    }

    /// A command that is allowed, and the sandbox for it.
    async fn prepared(
        &self,
        reference: &str,
        request: Execute,
    ) -> Result<(Run, SandboxId), LifecycleError> {
        let command = request.command.clone();
        let argv = command.to_argv()?;
        let cwd = working_directory(request.cwd.as_deref())?;
        check_variables(&request.env)?;
        let limit = time_limit(request.timeout, self.settings.execution.timeout())?;

        let task = self.resolve(reference).await?;
        let attached = task.check_executable()?;
        let agent = request.agent.clone().unwrap_or_else(|| attached.clone());
        let sandbox = self.sandbox_for_command(&task).await?;
        self.checkpoint_before(&task, &command).await;
        let execution = self.new_execution(&task, agent, command, cwd).await?;
        let run = Run { lifecycle: self.clone(), task, execution, argv, request, limit };
        Ok((run, sandbox))
    }
}

/// Runs a command to its end, and sees to it meanwhile that its connections are carried.
async fn watched(
    run: Run,
    sandbox: SandboxId,
    cancelled: CancellationToken,
    progress: CommandProgress,
) -> Result<ExecutionReport, LifecycleError> {
    let (lifecycle, task) = (run.lifecycle.clone(), run.task.clone());
    let mut running = pin!(run.until_the_end(sandbox, cancelled, progress));
    tokio::select! {
        ended = &mut running => ended,
        () = lifecycle.keep_carried(&task) => running.await,
    }
}

impl Lifecycle {
    /// An execution that begins now, watched by this process.
    pub(crate) async fn new_execution(
        &self,
        task: &Task,
        agent: AgentId,
        command: CommandLine,
        cwd: String,
    ) -> Result<Execution, LifecycleError> {
        let now = self.now();
        let instance = self.parts.instances.own(|| self.parts.ids.instance_id(now)).await;
        Ok(Execution {
            id: self.parts.ids.execution_id(now),
            task: task.id.clone(),
            agent,
            command,
            cwd,
            instance: instance.map_err(|source| StorageError::Io {
                action: "lock an instance below",
                path: self.folder(&task.id).path().to_owned(),
                source,
            })?,
            started_at: now,
            end: None,
        })
    }

    /// The variables that say to a command whose it is.
    pub(crate) fn own_variables(execution: &Execution) -> Vec<(String, String)> {
        let agent = execution.agent.as_str();
        let email = format!("{agent}@agents.invalid");
        let own = [
            ("ARMOR_TASK_ID", execution.task.as_str()),
            ("ARMOR_EXECUTION_ID", execution.id.as_str()),
            ("GIT_AUTHOR_NAME", agent),
            ("GIT_AUTHOR_EMAIL", &email),
            ("GIT_COMMITTER_NAME", agent),
            ("GIT_COMMITTER_EMAIL", &email),
        ];
        own.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

/// The working directory as the sandbox sees it.
fn working_directory(asked: Option<&str>) -> Result<String, LifecycleError> {
    let asked = asked.unwrap_or(".");
    // An absolute one leads anywhere in the sandbox, as the command itself could go.
    let (root, below) = match asked.strip_prefix('/') {
        Some("") => return Ok("/".to_owned()),
        Some(below) => ("", below),
        None => (paths::WORKSPACE, asked),
    };
    match below.parse::<RelativePath>()?.as_str() {
        "." if root.is_empty() => Ok("/".to_owned()),
        "." => Ok(root.to_owned()),
        below => Ok(format!("{root}/{below}")),
    }
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), LifecycleError> {
    for (name, value) in variables {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err(LifecycleError::VariableName(name.clone()));
        }
        if value.contains('\0') {
            return Err(LifecycleError::VariableValue(name.clone()));
        }
    }
    Ok(())
}

fn time_limit(asked: Option<Duration>, default: Duration) -> Result<Duration, LifecycleError> {
    match asked {
        None => Ok(default),
        Some(limit) if !limit.is_zero() && limit <= LONGEST => Ok(limit),
        Some(limit) => Err(LifecycleError::TimeLimit {
            millis: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_directories_are_taken_from_the_workspace_or_the_root() {
        let resolved = |asked| working_directory(asked).map_err(|error| error.to_string());
        assert_eq!(resolved(None).unwrap(), "/workspace");
        assert_eq!(resolved(Some(".")).unwrap(), "/workspace");
        assert_eq!(resolved(Some("src/bin")).unwrap(), "/workspace/src/bin");
        assert_eq!(resolved(Some("/")).unwrap(), "/");
        assert_eq!(resolved(Some("/.")).unwrap(), "/");
        assert_eq!(resolved(Some("/.config/x")).unwrap(), "/.config/x");
        for refused in ["..", "a/../../b", "/a/../b", "a\nb", ""] {
            assert!(resolved(Some(refused)).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn variables_need_names_that_a_shell_takes() {
        let check = |name: &str, value: &str| {
            check_variables(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert!(check("PATH_2", "x=y\n").is_ok());
        for name in ["", "A=B", "1A", "A B", "Ä"] {
            assert!(check(name, "").is_err(), "{name:?}");
        }
        assert!(check("A", "\0").is_err());
    }
}
