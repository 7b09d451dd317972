//! A command that was begun: watched to its end, and its end noted.
//!
//! Once started, a command goes on whatever becomes of the caller: its output is kept and its end
//! is noted by a task of this process's own. Only a time limit or the caller's cancellation ends it
//! early, with all its children; and so does a failure to keep its output, since nobody would know
//! what it does.

use std::pin::Pin;
use std::time::Duration;

use armor_core::error::{Code, Report};
use armor_core::execution::{CommandLine, Execution, ExecutionEnd, ExecutionStatus};
use armor_core::id::SandboxId;
use armor_core::sandbox::{CommandExit, ExecRequest, OutputChunk, RuntimeError, StreamKind, paths};
use armor_core::task::Task;
use armor_persistence::output::{OutputWriter, Written, excerpt, stream_file};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Execute, ExecutionReport, Lifecycle, LifecycleError};

/// Pieces of output that may wait to be written.
const QUEUE: usize = 64;
/// How long a killed command may take to be gone before it is killed again. It may not even have
/// been started when it was killed for the first time.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// How long all of that may take.
const KILL_LIMIT: Duration = Duration::from_mins(1);

/// An execution that is to run.
pub(crate) struct Run {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) task: Task,
    pub(crate) execution: Execution,
    pub(crate) argv: Vec<String>,
    pub(crate) request: Execute,
    pub(crate) limit: Duration,
}

/// How a run ended, before it is noted.
struct Ended {
    status: ExecutionStatus,
    exit_code: Option<i32>,
    problem: Option<Report>,
}

/// A command in the runtime, and what came of it so far.
struct Attempt<'a> {
    exec: Pin<Box<dyn Future<Output = Result<CommandExit, RuntimeError>> + Send + 'a>>,
    output: mpsc::Receiver<OutputChunk>,
    exit: Option<Result<CommandExit, RuntimeError>>,
}

/// What comes next of an attempt.
enum Next {
    Output(OutputChunk),
    /// It has ended, and all of its output was seen.
    End,
}

impl Attempt<'_> {
    /// Waits for what comes next. May be dropped and called again.
    async fn next(&mut self) -> Next {
        loop {
            tokio::select! {
                chunk = self.output.recv() => match chunk {
                    Some(chunk) => return Next::Output(chunk),
                    // The sender goes with the command's end.
                    None if self.exit.is_some() => return Next::End,
                    None => self.exit = Some((&mut self.exec).await),
                },
                exit = &mut self.exec, if self.exit.is_none() => self.exit = Some(exit),
            }
        }
    }
}

impl Run {
    /// Begins the execution, runs it to its end and notes that, whatever happens in between.
    pub(crate) async fn until_the_end(
        self,
        sandbox: SandboxId,
        cancelled: CancellationToken,
    ) -> Result<ExecutionReport, LifecycleError> {
        let registry = &self.lifecycle.parts.registry;
        let variables: Vec<String> = self.request.env.keys().cloned().collect();
        registry.begin_execution(&self.execution, &variables).await?;

        let folder = self.lifecycle.folder(&self.task.id).execution(&self.execution.id);
        let keep = self.lifecycle.settings.execution.keep_bytes();
        let (ended, written) = match OutputWriter::create(&folder, keep) {
            Ok(mut writer) => {
                let ended = self.watch(sandbox, &cancelled, &mut writer).await;
                (ended, writer.finish().map_err(LifecycleError::from))
            }
            Err(error) => (Err(error.into()), Ok(Written::default())),
        };
        let (status, exit_code) = match &ended {
            Ok(ended) => (ended.status, ended.exit_code),
            Err(_) => (ExecutionStatus::Interrupted, None),
        };
        let bytes = written.as_ref().copied().unwrap_or_default();
        let end = ExecutionEnd {
            status,
            exit_code,
            at: self.lifecycle.now(),
            stdout_bytes: bytes.stdout,
            stderr_bytes: bytes.stderr,
        };
        registry.end_execution(&self.execution, &end).await?;
        let problem = ended?.problem;
        written?;

        let limit = self.lifecycle.settings.execution.reply_bytes();
        let inside = format!("{}/{}", paths::EXECUTIONS, self.execution.id);
        let cut = |stream, name| {
            let place = format!("{inside}/{name} in the sandbox");
            excerpt(&stream_file(&folder, stream), limit, &place)
        };
        Ok(ExecutionReport {
            stdout: cut(StreamKind::Stdout, "stdout")?,
            stderr: cut(StreamKind::Stderr, "stderr")?,
            execution: Execution { end: Some(end), ..self.execution },
            problem,
        })
    }

    /// Runs the command, in a sandbox that is made again if it turns out to be gone.
    async fn watch(
        &self,
        sandbox: SandboxId,
        cancelled: &CancellationToken,
        writer: &mut OutputWriter,
    ) -> Result<Ended, LifecycleError> {
        match self.attempt(&sandbox, cancelled, writer).await {
            Err(LifecycleError::Runtime(error @ RuntimeError::SandboxGone { .. })) => {
                let sandbox = self.lifecycle.sandbox_made_again(&self.task, error).await?;
                self.attempt(&sandbox, cancelled, writer).await
            }
            ended => ended,
        }
    }

    async fn attempt(
        &self,
        sandbox: &SandboxId,
        cancelled: &CancellationToken,
        writer: &mut OutputWriter,
    ) -> Result<Ended, LifecycleError> {
        let (sender, output) = mpsc::channel(QUEUE);
        let exec = self.lifecycle.parts.runtime.exec(sandbox, self.exec_request(), sender);
        let mut attempt = Attempt { exec, output, exit: None };
        let deadline = Instant::now() + self.limit;
        let mut live = self.request.live.clone();
        let stopped = loop {
            let next = tokio::select! {
                next = attempt.next() => next,
                () = tokio::time::sleep_until(deadline) => break ExecutionStatus::TimedOut,
                () = cancelled.cancelled() => break ExecutionStatus::Killed,
            };
            let Next::Output(chunk) = next else {
                let exit = attempt.exit.take().unwrap_or(Ok(CommandExit::SandboxLost));
                if let Err(error) = &exit
                    && !matches!(error, RuntimeError::SandboxGone { .. })
                {
                    self.kill_unwatched(sandbox).await;
                }
                return Ok(self.ended_by_itself(exit?));
            };
            if let Err(error) = writer.write(&chunk) {
                self.end_now(sandbox, attempt, None).await?;
                return Err(error.into());
            }
            let Some(listener) = &live else { continue };
            // Who listens may be slow, but not so slow that the time limit is lost.
            tokio::select! {
                sent = listener.send(chunk) => if sent.is_err() { live = None },
                () = tokio::time::sleep_until(deadline) => {}
                () = cancelled.cancelled() => {}
            }
        };
        self.end_now(sandbox, attempt, Some(writer)).await?;
        Ok(self.ended_by_us(stopped))
    }

    /// Kills a command that can't be watched any more, if the engine still takes orders: nobody
    /// would know what it does. The failure that led here is the one to report.
    async fn kill_unwatched(&self, sandbox: &SandboxId) {
        let user = self.lifecycle.settings.user;
        let killing = self.lifecycle.parts.runtime.kill(sandbox, &self.execution.id, user);
        if let Err(error) = killing.await {
            tracing::warn!(execution = %self.execution.id, %error, "the command may run on");
        }
    }

    /// Kills the command until it is gone; what it still writes goes to `writer`.
    async fn end_now(
        &self,
        sandbox: &SandboxId,
        mut attempt: Attempt<'_>,
        mut writer: Option<&mut OutputWriter>,
    ) -> Result<(), LifecycleError> {
        let runtime = &self.lifecycle.parts.runtime;
        let user = self.lifecycle.settings.user;
        let mut failed = None;
        let give_up = Instant::now() + KILL_LIMIT;
        while Instant::now() < give_up {
            let mut killing = runtime.kill(sandbox, &self.execution.id, user);
            let mut killed = None;
            let again = tokio::time::sleep(KILL_AGAIN);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    next = attempt.next() => match next {
                        // What cannot be kept must not keep the command alive.
                        Next::Output(chunk) => if let Some(out) = writer.as_deref_mut()
                            && let Err(error) = out.write(&chunk)
                        {
                            failed = Some(error);
                            writer = None;
                        },
                        Next::End => return failed.map_or(Ok(()), |error| Err(error.into())),
                    },
                    outcome = &mut killing, if killed.is_none() => killed = Some(outcome?),
                    () = &mut again, if killed.is_some() => break,
                }
            }
        }
        Err(RuntimeError::Timeout { action: "end a command that was killed", limit: KILL_LIMIT }
            .into())
    }

    fn exec_request(&self) -> ExecRequest {
        let agent = self.execution.agent.as_str();
        let email = format!("{agent}@agents.invalid");
        let own = [
            ("ARMOR_TASK_ID", self.task.id.as_str()),
            ("ARMOR_EXECUTION_ID", self.execution.id.as_str()),
            ("GIT_AUTHOR_NAME", agent),
            ("GIT_AUTHOR_EMAIL", &email),
            ("GIT_COMMITTER_NAME", agent),
            ("GIT_COMMITTER_EMAIL", &email),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let asked = self.request.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        ExecRequest {
            execution: self.execution.id.clone(),
            argv: self.argv.clone(),
            user: self.lifecycle.settings.user,
            cwd: self.execution.cwd.clone(),
            env: own.into_iter().chain(asked).collect(),
            stdin: self.request.stdin.clone(),
        }
    }

    fn ended_by_itself(&self, exit: CommandExit) -> Ended {
        let program = self.argv.first().map_or("", String::as_str);
        let not_started = |code, exit_code, message: String, next_step: &str| Ended {
            status: ExecutionStatus::NotStarted,
            exit_code: Some(exit_code),
            problem: Some(Report { code, message, next_step: Some(next_step.to_owned()) }),
        };
        match exit {
            CommandExit::Code(code) => {
                // A shell says by these codes that it could not start a command.
                let through_shell = matches!(self.execution.command, CommandLine::Shell(_));
                let problem = match code {
                    127 if through_shell => Some(Code::ExecutionCommandNotFound),
                    126 if through_shell => Some(Code::ExecutionNotExecutable),
                    _ => None,
                };
                let problem = problem.map(|code| Report {
                    code,
                    message: "the shell could not start a command; standard error names it"
                        .to_owned(),
                    next_step: Some(
                        "Check the command's spelling and whether the image has it.".to_owned(),
                    ),
                });
                Ended { status: ExecutionStatus::Exited, exit_code: Some(code), problem }
            }
            CommandExit::NotFound => not_started(
                Code::ExecutionCommandNotFound,
                127,
                format!("`{}` does not exist in the sandbox", program.escape_debug()),
                "Check the spelling and whether the image has it; a string instead of an array is run by a shell.",
            ),
            CommandExit::NotExecutable => not_started(
                Code::ExecutionNotExecutable,
                126,
                format!("`{}` may not be executed", program.escape_debug()),
                "Make it executable (chmod +x), or run it by its interpreter.",
            ),
            CommandExit::SandboxLost => Ended {
                status: ExecutionStatus::Interrupted,
                exit_code: None,
                problem: Some(Report {
                    code: Code::ExecutionInterrupted,
                    message: "the sandbox went away while the command ran".to_owned(),
                    next_step: Some(
                        "Run the command again: the sandbox is made anew, and the files are kept."
                            .to_owned(),
                    ),
                }),
            },
        }
    }

    fn ended_by_us(&self, status: ExecutionStatus) -> Ended {
        if status == ExecutionStatus::Killed {
            let problem = Report {
                code: Code::ExecutionInterrupted,
                message: "the command was cancelled and killed with all its children".to_owned(),
                next_step: None,
            };
            return Ended { status, exit_code: Some(137), problem: Some(problem) };
        }
        let seconds = self.limit.as_secs_f64();
        let problem = Report {
            code: Code::ExecutionTimedOut,
            message: format!(
                "the command ran longer than {seconds} s and was killed with all its children"
            ),
            next_step: Some("Give it a higher timeout_ms, or split it up.".to_owned()),
        };
        Ended { status, exit_code: Some(124), problem: Some(problem) }
    }
}
