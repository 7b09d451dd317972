//! Commands through the runner in a sandbox.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use armor_core::execution::ExecutionUsage;
use armor_core::id::{ExecutionId, SandboxId};
use armor_core::sandbox::{
    CommandEnd, CommandExit, CommandProgress, ExecRequest, Input, InputStream, RuntimeError,
    Written,
};
use armor_core::time::Timestamp;
use armor_output::{OutputFiles, end_file, make_ahead, on_disk};
use armor_runner::{
    Answer, Cause, Connection, End, Files, Io, NotStarted, Request, RunnerError, Start, input,
    input_pipe,
};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Inside, exchange, runner_broke};
use crate::exec::engine_broke;
use crate::feed::pass_on;

/// What a runner may be late with a time limit before somebody else ends the command: for a tree of
/// processes that is killed, and one who stopped the supervisor.
const GRACE: Duration = Duration::from_secs(20);
/// How long killed processes may take to be gone before the engine ends the sandbox.
const KILL_LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked whether killed processes are gone.
const AGAIN: Duration = Duration::from_millis(5);

impl Inside {
    /// Runs a command to its end; none when the sandbox has no runner.
    pub(crate) async fn run(
        &self,
        sandbox: &SandboxId,
        request: &ExecRequest,
        progress: &CommandProgress,
    ) -> Result<Option<CommandEnd>, RuntimeError> {
        let Some(mut connection) = self.connect(sandbox).await? else { return Ok(None) };
        let folder = &request.output.folder;
        let unkept = |source| RuntimeError::Output { folder: folder.clone(), source };
        let (given, feed) = Given::prepare(request).map_err(unkept)?;
        let told = async {
            let asked = connection.ask(&Request::Start(start(request)), &given.descriptors()).await;
            asked.map_err(|error| runner_broke("start a command", error))?;
            // The runner has its own now.
            drop(given);
            tokio::select! {
                answer = last_answer(&mut connection, progress) => answer,
                never = feed_once_it_runs(feed, progress.subscribe()) => match never {},
            }
        };
        let noted = || noted_end(folder);
        let heard = unless_overdue(told, request.limit, noted, || self.may_be_late(sandbox));
        let end = match heard.await? {
            Heard::Told(told) => match told? {
                Some(answer) => command_end(answer, &request.cwd)?,
                None => end_with_the_sandbox(folder),
            },
            Heard::Noted(end) => end,
        };
        make_next_ahead(folder);
        Ok(Some(end))
    }

    /// Whether a runner may be late with what it has to do: its sandbox stands still, or the engine
    /// does not say.
    async fn may_be_late(&self, sandbox: &SandboxId) -> bool {
        self.engine.is_paused(sandbox).await.unwrap_or_else(|error| {
            tracing::warn!(%sandbox, %error, "a command may have run longer than it may");
            true
        })
    }

    /// Waits for the end of a command that somebody else started; none when nothing is known of it.
    pub(crate) async fn watch(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
        folder: &Path,
        progress: &CommandProgress,
    ) -> Result<Option<CommandEnd>, RuntimeError> {
        let Some(mut connection) = self.connect(sandbox).await? else { return Ok(None) };
        let execution = execution.to_string();
        let asked = connection.ask(&Request::Watch { execution }, &[]).await;
        asked.map_err(|error| runner_broke("watch a command", error))?;
        match last_answer(&mut connection, progress).await? {
            // It has ended meanwhile, or was never started.
            Some(Answer::Unknown) => Ok(noted_end(folder)),
            Some(answer) => command_end(answer, "").map(Some),
            None => Ok(Some(end_with_the_sandbox(folder))),
        }
    }

    /// Kills all that there is of an execution, and waits until it is gone. False when the runner
    /// does not get that done; none when the sandbox has none.
    pub(crate) async fn kill(
        &self,
        sandbox: &SandboxId,
        execution: &ExecutionId,
    ) -> Result<Option<bool>, RuntimeError> {
        let Some(mut connection) = self.connect(sandbox).await? else { return Ok(None) };
        let name = execution.to_string();
        let until_gone = async {
            let kill = Request::Kill { execution: name.clone() };
            if exchange(&mut connection, &kill).await? == Answer::Unknown {
                return Ok(());
            }
            loop {
                match exchange(&mut connection, &Request::List).await? {
                    Answer::Executions { running, left_behind }
                        if running.contains(&name) || left_behind.contains(&name) => {}
                    _ => return Ok(()),
                }
                sleep(AGAIN).await;
            }
        };
        match timeout(KILL_LIMIT, until_gone).await {
            // With the sandbox, all its processes are gone.
            Ok(Ok(()) | Err(RunnerError::Lost(_))) => Ok(Some(true)),
            Ok(Err(error)) => Err(runner_broke("end a command", error)),
            Err(_) => Ok(Some(false)),
        }
    }

    /// Whether commands run in a sandbox, or what they have left behind, as far as its runner says so.
    pub(crate) async fn is_busy(&self, sandbox: &SandboxId) -> Result<bool, RuntimeError> {
        const ACTION: &str = "tell which commands run";
        let Some(mut connection) = self.connect(sandbox).await? else { return Ok(false) };
        Ok(match self.ask(&mut connection, &Request::List, ACTION).await? {
            Answer::Executions { running, left_behind } => {
                !running.is_empty() || !left_behind.is_empty()
            }
            _ => false,
        })
    }

    /// Whether a sandbox has a runner.
    pub(crate) async fn is_in(&self, sandbox: &SandboxId) -> Result<bool, RuntimeError> {
        Ok(self.connect(sandbox).await?.is_some())
    }
}

/// How it became known that a command has ended.
#[derive(Debug)]
enum Heard<T> {
    /// By what the runner told.
    Told(T),
    /// By what it has noted.
    Noted(CommandEnd),
}

/// Waits for what a runner tells of a command with this time limit. It may have noted the end while
/// this process stood still, with much to hear before that is told. One that may be late gets more
/// time, again and again.
///
/// # Errors
/// [`RuntimeError::Overdue`] when none of that is so.
async fn unless_overdue<T, L: Future<Output = bool>>(
    told: impl Future<Output = T>,
    limit: Duration,
    noted: impl Fn() -> Option<CommandEnd>,
    may_be_late: impl Fn() -> L,
) -> Result<Heard<T>, RuntimeError> {
    tokio::pin!(told);
    let mut patience = limit + GRACE;
    loop {
        if let Ok(told) = timeout(patience, &mut told).await {
            return Ok(Heard::Told(told));
        }
        if let Some(end) = noted() {
            return Ok(Heard::Noted(end));
        }
        if !may_be_late().await {
            return Err(RuntimeError::Overdue);
        }
        patience = GRACE;
    }
}

/// What the runner is given for a command.
struct Given {
    output: OutputFiles,
    end: File,
    stdin: Option<OwnedFd>,
}

/// Input that comes while a command runs, and our end of the pipe that the command reads.
struct Feed {
    stream: InputStream,
    pipe: pipe::Sender,
}

impl Given {
    fn prepare(request: &ExecRequest) -> io::Result<(Self, Option<Feed>)> {
        let folder = &request.output.folder;
        let output = OutputFiles::create(folder)?;
        let end = File::create(end_file(folder))?;
        let (stdin, feed) = match &request.stdin {
            None => (None, None),
            Some(Input::Bytes(bytes)) => (Some(OwnedFd::from(input(bytes)?)), None),
            Some(Input::Stream(stream)) => {
                let (theirs, ours) = input_pipe()?;
                let pipe = pipe::Sender::from_owned_fd(ours)?;
                (Some(theirs), Some(Feed { stream: stream.clone(), pipe }))
            }
        };
        Ok((Self { output, end, stdin }, feed))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let OutputFiles { stdout, stderr, order } = &self.output;
        let files = [stdout, stderr, order, &self.end];
        let stdin = self.stdin.iter().map(AsFd::as_fd);
        files.into_iter().map(AsFd::as_fd).chain(stdin).collect()
    }
}

/// Passes on what a command reads, from when it runs: a command that was not started may be tried
/// again, and nothing of it is to be lost. Goes on until it is dropped, though the pipe ends with what
/// there is to read.
async fn feed_once_it_runs(
    feed: Option<Feed>,
    mut heard: watch::Receiver<Option<Written>>,
) -> Infallible {
    if let Some(Feed { stream, pipe }) = feed {
        let runs = heard.wait_for(Option::is_some).await.is_ok();
        if runs && let Some(source) = stream.take() {
            pass_on(source, pipe).await;
        }
    }
    std::future::pending().await
}

/// Now that a command has ended, nobody waits for the disk.
fn make_next_ahead(folder: &Path) {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = make_ahead(&folder) {
            tracing::debug!(%error, "no folder for the next execution");
        }
    });
}

fn start(request: &ExecRequest) -> Start {
    Start {
        execution: request.execution.to_string(),
        argv: request.argv.clone(),
        cwd: request.cwd.clone(),
        env: request.env.clone(),
        limit_ms: u64::try_from(request.limit.as_millis()).ok(),
        io: Io::Files(Files {
            stdin: request.stdin.is_some(),
            keep_bytes: request.output.keep_bytes,
        }),
    }
}

/// Hears how far a command comes, until there is no more to hear; none when the sandbox has ended.
pub(super) async fn last_answer(
    connection: &mut Connection,
    progress: &CommandProgress,
) -> Result<Option<Answer>, RuntimeError> {
    loop {
        match connection.answer().await {
            Ok(Answer::Started { .. }) => drop(progress.send_replace(Some(Written::default()))),
            Ok(Answer::Progress { stdout_bytes, stderr_bytes }) => {
                let written = Written { stdout: stdout_bytes, stderr: stderr_bytes };
                progress.send_replace(Some(written));
            }
            Ok(answer) => return Ok(Some(answer)),
            Err(RunnerError::Lost(_)) => return Ok(None),
            Err(error) => return Err(runner_broke("watch a command", error)),
        }
    }
}

/// The end of a command as the sandbox noted it.
pub(crate) fn noted_end(folder: &Path) -> Option<CommandEnd> {
    let mut noted = File::open(end_file(folder)).ok()?;
    let answer = serde_json::from_reader(&mut noted).ok()?;
    let at = noted.metadata().and_then(|metadata| metadata.modified()).ok()?;
    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    let at = Some(Timestamp::from_micros(0).plus(at));
    command_end(answer, "").map(|end| CommandEnd { at, ..end }).ok()
}

/// A sandbox that is stopped notes the ends of its commands, unless it is killed.
fn end_with_the_sandbox(folder: &Path) -> CommandEnd {
    noted_end(folder).unwrap_or_else(|| CommandEnd {
        exit: CommandExit::SandboxLost,
        written: on_disk(folder),
        usage: None,
        at: None,
    })
}

pub(super) fn command_end(answer: Answer, cwd: &str) -> Result<CommandEnd, RuntimeError> {
    const ACTION: &str = "start a command";
    let not_started =
        |exit| CommandEnd { exit, written: Written::default(), usage: None, at: None };
    match answer {
        Answer::Ended(end) => Ok(ended(&end)),
        Answer::NotStarted(NotStarted::NotFound) => Ok(not_started(CommandExit::NotFound)),
        Answer::NotStarted(NotStarted::NotExecutable) => {
            Ok(not_started(CommandExit::NotExecutable))
        }
        Answer::NotStarted(NotStarted::NoDirectory) => {
            Err(RuntimeError::NoSuchDirectory { cwd: cwd.to_owned() })
        }
        Answer::NotStarted(NotStarted::Failed { reason }) | Answer::Refused { reason } => {
            Err(engine_broke(ACTION, &reason))
        }
        answer => Err(engine_broke(ACTION, &format!("its program answered {answer:?}"))),
    }
}

fn ended(end: &End) -> CommandEnd {
    let exit = match end.cause {
        Cause::Exited => {
            CommandExit::Code(end.code.or_else(|| Some(128 + end.signal?)).unwrap_or(128))
        }
        Cause::TimedOut => CommandExit::TimedOut,
        Cause::Killed => CommandExit::Killed,
        Cause::Stopped => CommandExit::SandboxLost,
        Cause::Lost => CommandExit::Lost,
        Cause::Unkept => CommandExit::Unkept,
    };
    let micros = end.usage.user_micros.saturating_add(end.usage.system_micros);
    CommandEnd {
        exit,
        written: Written { stdout: end.stdout_bytes, stderr: end.stderr_bytes },
        usage: Some(ExecutionUsage {
            cpu_micros: micros,
            max_memory_bytes: end.usage.max_resident_bytes,
            out_of_memory: end.out_of_memory,
        }),
        at: None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    const END: CommandEnd = CommandEnd {
        exit: CommandExit::Code(0),
        written: Written { stdout: 0, stderr: 0 },
        usage: None,
        at: None,
    };

    #[tokio::test(start_paused = true)]
    async fn a_command_is_overdue_when_it_neither_ended_nor_stood_still() {
        let began = tokio::time::Instant::now();
        let never = || pending::<()>();
        let overdue = unless_overdue(never(), LIMIT, || None, || ready(false)).await;
        assert!(matches!(overdue, Err(RuntimeError::Overdue)), "{overdue:?}");
        assert!(began.elapsed() >= LIMIT + GRACE);

        let noted = unless_overdue(never(), LIMIT, || Some(END), || ready(false)).await;
        assert!(matches!(noted, Ok(Heard::Noted(end)) if end == END), "{noted:?}");

        // It stands still for a while, and is late even then.
        let looks = Cell::new(0);
        let stands_still = || {
            looks.set(looks.get() + 1);
            ready(looks.get() < 4)
        };
        let overdue = unless_overdue(never(), LIMIT, || None, stands_still).await;
        assert!(matches!(overdue, Err(RuntimeError::Overdue)), "{overdue:?}");
        assert_eq!(looks.get(), 4);
        // Or its end is told after all.
        let told = sleep(LIMIT + GRACE * 2);
        let told = unless_overdue(told, LIMIT, || None, || ready(true)).await;
        assert!(matches!(told, Ok(Heard::Told(()))), "{told:?}");
        let told = unless_overdue(ready(7), LIMIT, || None, || ready(false)).await;
        assert!(matches!(told, Ok(Heard::Told(7))), "{told:?}");
    }
}
