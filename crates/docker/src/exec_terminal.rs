//! A command on a terminal through the engine's exec API, where a sandbox has no runner.

use std::io;
use std::sync::Arc;

use armor_core::id::{ExecutionId, SandboxId};
use armor_core::sandbox::{
    CommandEnd, CommandExit, RuntimeError, Terminal, TerminalRequest, TerminalSize, UserIds,
    Written,
};
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::ResizeExecOptionsBuilder;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::watch;
use tokio_util::io::StreamReader;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::Engine;
use crate::exec::{code, engine_broke, exit, gone_if_not_there, user};
use crate::kill;

const ACTION: &str = "give a terminal";

/// Runs a command on a terminal.
pub(crate) async fn terminal(
    engine: &Arc<Engine>,
    sandbox: &SandboxId,
    request: TerminalRequest,
) -> Result<Terminal, RuntimeError> {
    let docker = engine.docker().await?;
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(true),
        cmd: Some(request.argv),
        user: Some(user(&request.execution, request.user)),
        working_dir: Some(request.cwd),
        env: Some(request.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        ..CreateExecOptions::default()
    };
    let created = engine.call(ACTION, docker.create_exec(sandbox.as_str(), options)).await;
    let exec = created.map_err(|error| gone_if_not_there(sandbox, error))?.id;
    let options = StartExecOptions { detach: false, tty: true, output_capacity: None };
    let started = engine.call(ACTION, docker.start_exec(&exec, Some(options))).await;
    let started = started.map_err(|error| gone_if_not_there(sandbox, error))?;
    let StartExecResults::Attached { output, input } = started else {
        return Err(engine_broke(ACTION, "it answered as if detached"));
    };
    // From here on it is killed when nobody waits for it.
    let killer = Killer {
        engine: engine.clone(),
        sandbox: sandbox.clone(),
        execution: request.execution,
        user: request.user,
        exec: exec.clone(),
        has_ended: false,
    };
    let (size, sizes) = watch::channel(request.size);
    tokio::spawn(keep_size(engine.clone(), exec, sizes));
    // The command's end is asked for when nothing more can come.
    let silent = CancellationToken::new();
    let shown = until(output.map_ok(LogOutput::into_bytes), silent.clone().drop_guard());
    Ok(Terminal {
        output: Box::new(StreamReader::new(shown.map_err(io::Error::other).boxed())),
        input: Box::new(input),
        size,
        end: Box::pin(killer.end(silent)),
    })
}

/// A stream that lets go of a guard when it ends, or is dropped.
fn until<S: Stream + Unpin>(stream: S, guard: DropGuard) -> impl Stream<Item = S::Item> {
    stream::unfold((stream, guard), |(mut stream, guard)| async move {
        let piece = stream.next().await?;
        Some((piece, (stream, guard)))
    })
}

async fn keep_size(engine: Arc<Engine>, exec: String, mut sizes: watch::Receiver<TerminalSize>) {
    loop {
        let size = *sizes.borrow_and_update();
        if let Err(error) = resize(&engine, &exec, size).await {
            tracing::debug!(%error, "the terminal keeps its size");
        }
        if sizes.changed().await.is_err() {
            return;
        }
    }
}

async fn resize(engine: &Engine, exec: &str, size: TerminalSize) -> Result<(), RuntimeError> {
    let TerminalSize { columns, rows } = size;
    let size = ResizeExecOptionsBuilder::new().w(columns.into()).h(rows.into()).build();
    engine.call("resize a terminal", engine.docker().await?.resize_exec(exec, size)).await
}

/// Waits for a command's end, and kills it when nobody waits any more.
struct Killer {
    engine: Arc<Engine>,
    sandbox: SandboxId,
    execution: ExecutionId,
    user: UserIds,
    exec: String,
    has_ended: bool,
}

impl Killer {
    async fn end(mut self, silent: CancellationToken) -> Result<CommandEnd, RuntimeError> {
        silent.cancelled().await;
        let exit = match exit(&self.engine, &self.exec).await? {
            Some(end) => CommandExit::Code(code(&end)?),
            None => CommandExit::SandboxLost,
        };
        self.has_ended = true;
        Ok(CommandEnd { exit, written: Written::default(), usage: None, at: None })
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let (engine, sandbox) = (self.engine.clone(), self.sandbox.clone());
        let (execution, user) = (self.execution.clone(), self.user);
        tokio::spawn(async move {
            if let Err(error) = kill::kill(&engine, &sandbox, &execution, user).await {
                tracing::debug!(%error, "what ran on a terminal may go on");
            }
        });
    }
}
