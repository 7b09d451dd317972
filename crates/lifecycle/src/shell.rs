//! A shell on a terminal in a task's sandbox.

use std::fmt;

use armor_core::execution::{CommandLine, Execution};
use armor_core::id::{AgentId, SandboxId};
use armor_core::sandbox::{CommandEnd, Pending, Terminal, TerminalRequest, TerminalSize, paths};
use armor_core::task::Task;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::{Lifecycle, LifecycleError};

/// The best shell that the image has.
const SHELL: &str = "command -v bash >/dev/null && exec bash -i; exec /bin/sh -i";

/// A shell that runs. It ends when this is dropped. What is typed and shown is not kept.
pub struct Shell {
    /// What is shown.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// What is typed.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Takes a new size.
    pub size: watch::Sender<TerminalSize>,
    /// Which execution it is.
    pub execution: Execution,
    /// The execution, once it has ended, and that is noted.
    pub end: Pending<Result<Execution, LifecycleError>>,
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// Starts a shell in the task's sandbox, on a terminal of the kind `term`.
    ///
    /// # Errors
    /// When the task is not running with an agent attached, or the sandbox cannot be had.
    pub async fn shell(
        &self,
        reference: &str,
        agent: &AgentId,
        term: &str,
        size: TerminalSize,
    ) -> Result<Shell, LifecycleError> {
        let task = self.resolve(reference).await?;
        task.check_executable()?;
        let argv = ["/bin/sh", "-c", SHELL].map(str::to_owned).to_vec();
        let command = CommandLine::Argv(argv.clone());
        let cwd = paths::WORKSPACE.to_owned();
        let execution = self.new_execution(&task, agent.clone(), command, cwd.clone()).await?;
        let mut env = Self::own_variables(&execution);
        env.push(("TERM".to_owned(), term.to_owned()));
        let request = TerminalRequest {
            execution: execution.id.clone(),
            argv,
            cwd,
            env,
            user: self.user_of(&task.sandbox),
            size,
        };
        let sandbox = self.sandbox_for_command(&task).await?;
        let mut unended =
            Unended { lifecycle: self.clone(), execution, end: None, is_noted: false };
        if let Err(error) = self.parts.registry.begin_execution(&unended.execution, &[]).await {
            unended.is_noted = true;
            return Err(error.into());
        }
        match self.terminal(&task, &sandbox, request).await {
            Ok(terminal) => Ok(shell_of(task, unended, terminal)),
            Err(error) => {
                unended.end(None).await?;
                Err(error)
            }
        }
    }

    /// A terminal, in a sandbox that is seen to again if it turns out to be gone or out of reach.
    async fn terminal(
        &self,
        task: &Task,
        sandbox: &SandboxId,
        request: TerminalRequest,
    ) -> Result<Terminal, LifecycleError> {
        let runtime = &self.parts.runtime;
        match runtime.terminal(sandbox, request.clone()).await {
            Err(error) if error.lacks_sandbox() => {
                let sandbox = self.sandbox_made_again(task).await?;
                Ok(runtime.terminal(&sandbox, request).await?)
            }
            terminal => Ok(terminal?),
        }
    }
}

fn shell_of(task: Task, mut unended: Unended, terminal: Terminal) -> Shell {
    let Terminal { output, input, size, mut end } = terminal;
    let execution = unended.execution.clone();
    let end = Box::pin(async move {
        let end = tokio::select! {
            end = &mut end => end,
            () = unended.lifecycle.keep_carried(&task) => end.await,
        };
        let ended = unended.end(end.as_ref().ok()).await?;
        end?;
        Ok(ended.unwrap_or_else(|| unended.execution.clone()))
    });
    Shell { output, input, size, execution, end }
}

/// An execution that was begun, and whose end is noted when nobody waits for it any more.
struct Unended {
    lifecycle: Lifecycle,
    execution: Execution,
    /// How, if it is known.
    end: Option<CommandEnd>,
    is_noted: bool,
}

impl Unended {
    async fn end(&mut self, end: Option<&CommandEnd>) -> Result<Option<Execution>, LifecycleError> {
        self.end = end.copied();
        let noted = self.lifecycle.note_end(&self.execution, end).await?;
        self.is_noted = true;
        Ok(noted)
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        // Where nothing runs any more, this process ends, and another one notes that.
        let Ok(runtime) = Handle::try_current() else { return };
        if self.is_noted {
            return;
        }
        let (lifecycle, execution) = (self.lifecycle.clone(), self.execution.clone());
        let end = self.end;
        runtime.spawn(async move {
            if let Err(error) = lifecycle.note_end(&execution, end.as_ref()).await {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(execution = %execution.id, cause, "its end is not noted");
            }
        });
    }
}
