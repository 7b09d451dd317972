//! A command through the engine's exec API, attended by this process to its end: its output is
//! written here, and its time limit is kept here. So it is for sandboxes without a runner: when this
//! process dies, nobody writes its output any more.

use std::pin::Pin;
use std::time::Duration;

use armor_core::id::SandboxId;
use armor_core::sandbox::{
    CommandEnd, CommandExit, CommandProgress, ExecRequest, OutputChunk, RuntimeError,
};
use armor_output::{OutputFiles, OutputWriter};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::exec::{self, Exec};
use crate::kill;

/// Pieces of output that may wait to be written.
const QUEUE: usize = 64;
/// How long a killed command may take to be gone before it is killed again. It may not even have
/// been started when it was killed for the first time.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// How long all of that may take.
const KILL_LIMIT: Duration = Duration::from_mins(1);

/// A command in the engine, and what came of it so far.
struct Attended<'a> {
    engine: &'a Engine,
    sandbox: &'a SandboxId,
    request: &'a ExecRequest,
    running: Pin<Box<dyn Future<Output = Result<CommandExit, RuntimeError>> + Send + 'a>>,
    output: mpsc::Receiver<OutputChunk>,
    exit: Option<Result<CommandExit, RuntimeError>>,
    /// None once something could not be written.
    writer: Option<OutputWriter>,
    progress: &'a CommandProgress,
}

/// Runs a command to its end.
pub(crate) async fn run(
    engine: &Engine,
    sandbox: &SandboxId,
    request: &ExecRequest,
    progress: &CommandProgress,
) -> Result<CommandEnd, RuntimeError> {
    let folder = &request.output.folder;
    let unkept = |source| RuntimeError::Output { folder: folder.clone(), source };
    let files = OutputFiles::create(folder).map_err(unkept)?;
    let (sender, output) = mpsc::channel(QUEUE);
    let mut attended = Attended {
        engine,
        sandbox,
        request,
        running: Box::pin(exec::run(engine, sandbox, exec(request), Some(sender))),
        output,
        exit: None,
        writer: Some(OutputWriter::new(files, request.output.keep_bytes)),
        progress,
    };
    let mut exit = attended.until_the_end().await;
    let written = *progress.borrow();
    if let Some(Err(error)) = attended.writer.take().map(OutputWriter::finish) {
        tracing::warn!(%error, folder = %folder.display(), "the end of an output is not kept");
        exit = exit.map(|_| CommandExit::Unkept);
    }
    Ok(CommandEnd { exit: exit?, written: written.unwrap_or_default(), usage: None, at: None })
}

fn exec(request: &ExecRequest) -> Exec {
    Exec {
        argv: request.argv.clone(),
        user: exec::user(&request.execution, request.user),
        cwd: request.cwd.clone(),
        env: request.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        stdin: request.stdin.clone(),
    }
}

impl Attended<'_> {
    async fn until_the_end(&mut self) -> Result<CommandExit, RuntimeError> {
        let deadline = Instant::now() + self.request.limit;
        loop {
            let goes_on = tokio::select! {
                goes_on = self.next() => goes_on,
                () = tokio::time::sleep_until(deadline) => {
                    return self.end_now().await.map(|()| CommandExit::TimedOut);
                }
            };
            if self.writer.is_none() {
                return self.end_now().await.map(|()| CommandExit::Unkept);
            }
            if !goes_on {
                break;
            }
        }
        let exit = self.exit.take().unwrap_or(Ok(CommandExit::SandboxLost));
        if let Err(error) = &exit
            && !matches!(error, RuntimeError::SandboxGone { .. })
        {
            self.kill_unwatched().await;
        }
        exit
    }

    /// Takes what comes next; false behind the end. May be dropped and called again.
    async fn next(&mut self) -> bool {
        loop {
            tokio::select! {
                chunk = self.output.recv() => match chunk {
                    Some(chunk) => {
                        self.keep(&chunk);
                        return true;
                    }
                    // The sender goes with the command's end.
                    None if self.exit.is_some() => return false,
                    None => self.exit = Some((&mut self.running).await),
                },
                exit = &mut self.running, if self.exit.is_none() => self.exit = Some(exit),
            }
        }
    }

    fn keep(&mut self, chunk: &OutputChunk) {
        let Some(writer) = &mut self.writer else { return };
        if writer.write(chunk.stream, &chunk.bytes).is_err() {
            self.writer = None;
        } else {
            let written = writer.written();
            self.progress.send_replace(Some(written));
        }
    }

    /// Kills a command that can't be watched any more, if the engine still takes orders: nobody
    /// would know what it does. The failure that led here is the one to report.
    async fn kill_unwatched(&mut self) {
        let ExecRequest { execution, user, .. } = self.request;
        if let Err(error) = kill::kill(self.engine, self.sandbox, execution, *user).await {
            tracing::warn!(%execution, %error, "the command may run on");
        }
    }

    /// Kills the command until it is gone; what it still writes is kept.
    async fn end_now(&mut self) -> Result<(), RuntimeError> {
        let ExecRequest { execution, user, .. } = self.request;
        let (engine, sandbox) = (self.engine, self.sandbox);
        let give_up = Instant::now() + KILL_LIMIT;
        while Instant::now() < give_up {
            let mut killing = std::pin::pin!(kill::kill(engine, sandbox, execution, *user));
            let mut killed = None;
            let again = tokio::time::sleep(KILL_AGAIN);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    goes_on = self.next() => if !goes_on { return Ok(()) },
                    outcome = &mut killing, if killed.is_none() => match outcome {
                        // As such, it would say that the command was not started.
                        Err(RuntimeError::SandboxGone { .. }) => killed = Some(true),
                        outcome => killed = Some(outcome?),
                    },
                    () = &mut again, if killed.is_some() => break,
                }
            }
        }
        Err(RuntimeError::Overdue)
    }
}
