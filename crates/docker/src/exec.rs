//! Commands through the engine's exec API: output as it comes, and how the command ended.

use std::time::Duration;

use armor_core::id::{ExecutionId, SandboxId};
use armor_core::sandbox::{CommandExit, Input, OutputChunk, RuntimeError, StreamKind, UserIds};
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::engine::{Engine, status};
use crate::feed::pass_on;
use crate::kill;

/// How the engine begins the text that it sends as output when a command could not be started.
const START_FAILED: &[u8] = b"OCI runtime exec failed";
/// How long to wait before the engine is asked again for what it does not know yet.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the engine is asked whether a container ends.
const END_TRIES: u32 = 15;
/// The exit code of what was killed by SIGKILL.
const KILLED: i32 = 137;

/// A command, in the engine's terms.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(crate) argv: Vec<String>,
    pub(crate) user: String,
    pub(crate) cwd: String,
    pub(crate) env: Vec<String>,
    pub(crate) stdin: Option<Input>,
}

/// Who a command is: in a group of its own, by which its processes are found.
pub(crate) fn user(execution: &ExecutionId, user: UserIds) -> String {
    format!("{}:{}", user.uid, kill::group(execution))
}

/// Runs a command to its end. Its output goes to `output` as it comes; without one, and when that
/// is closed, it is dropped.
pub(crate) async fn run(
    engine: &Engine,
    sandbox: &SandboxId,
    exec: Exec,
    output: Option<mpsc::Sender<OutputChunk>>,
) -> Result<CommandExit, RuntimeError> {
    let docker = engine.docker().await?;
    let cwd = exec.cwd.clone();
    let options = CreateExecOptions {
        attach_stdin: Some(exec.stdin.is_some()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        cmd: Some(exec.argv),
        user: Some(exec.user),
        working_dir: Some(exec.cwd),
        env: Some(exec.env),
        ..CreateExecOptions::default()
    };
    let created = engine
        .call("prepare a command", docker.create_exec(sandbox.as_str(), options))
        .await
        .map_err(|error| gone_if_not_there(sandbox, error))?;
    let start = StartExecOptions { detach: false, tty: false, output_capacity: Some(64 * 1024) };
    let started = engine
        .call("start a command", docker.start_exec(&created.id, Some(start)))
        .await
        .map_err(|error| gone_if_not_there(sandbox, error))?;
    let StartExecResults::Attached { output: mut stream, input } = started else {
        return Err(engine_broke("start a command", "it answered as if detached"));
    };

    // Ended when this is dropped: it may be stuck in a pipe that nobody reads any more, or wait for more.
    let mut feeding = JoinSet::new();
    if let Some(source) = exec.stdin.and_then(|stdin| stdin.source()) {
        feeding.spawn(pass_on(source, input));
    }
    let mut sink = Sink { output, withheld: None };
    let mut broken = None;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(LogOutput::StdOut { message }) => sink.take(StreamKind::Stdout, message).await,
            Ok(LogOutput::StdErr { message }) => sink.take(StreamKind::Stderr, message).await,
            Ok(LogOutput::StdIn { .. } | LogOutput::Console { .. }) => {}
            Err(error) => {
                broken = Some(engine.translate("pass on a command's output", error));
                break;
            }
        }
    }
    drop(feeding);
    if let Some(error) = broken {
        return Err(error);
    }

    let Some(end) = exit(engine, &created.id).await? else {
        return Ok(CommandExit::SandboxLost);
    };
    if let Some(text) = sink.withheld.take() {
        if end.pid.unwrap_or(0) == 0 {
            return start_failure(&String::from_utf8_lossy(&text), cwd);
        }
        sink.send(StreamKind::Stdout, text).await;
    }
    let code = code(&end)?;
    if code == KILLED && ends_now(engine, sandbox).await? {
        return Ok(CommandExit::SandboxLost);
    }
    Ok(CommandExit::Code(code))
}

/// The exit code of a command that has ended.
pub(crate) fn code(end: &ExecInspectResponse) -> Result<i32, RuntimeError> {
    let Some(code) = end.exit_code else { return Ok(KILLED) };
    code.try_into().map_err(|_| engine_broke("tell an exit code", "out of range"))
}

/// Passes output on, and keeps back what may be the engine's word on a failed start.
struct Sink {
    output: Option<mpsc::Sender<OutputChunk>>,
    withheld: Option<Bytes>,
}

impl Sink {
    async fn take(&mut self, stream: StreamKind, bytes: Bytes) {
        if stream == StreamKind::Stdout
            && bytes.starts_with(START_FAILED)
            && self.withheld.is_none()
        {
            self.withheld = Some(bytes);
        } else {
            if let Some(text) = self.withheld.take() {
                self.send(StreamKind::Stdout, text).await;
            }
            self.send(stream, bytes).await;
        }
    }

    async fn send(&mut self, stream: StreamKind, bytes: Bytes) {
        if let Some(output) = &self.output
            && output.send(OutputChunk { stream, bytes }).await.is_err()
        {
            self.output = None;
        }
    }
}

/// Waits for the engine to know how the command ended; the output's end usually comes after that,
/// but an engine under load may take as long as for any other answer. None when the engine has forgotten the command, which it does with the container.
pub(crate) async fn exit(
    engine: &Engine,
    exec: &str,
) -> Result<Option<ExecInspectResponse>, RuntimeError> {
    const ACTION: &str = "tell how a command ended";
    let docker = engine.docker().await?;
    let known = async {
        loop {
            match engine.call(ACTION, docker.inspect_exec(exec)).await {
                Ok(end) if end.running != Some(true) => return Ok(Some(end)),
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(error) if status(&error) == Some(404) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    };
    engine.within_limit(ACTION, Box::pin(known)).await
}

/// Reads the engine's (that is, runc's) words. They differ between versions in the beginning.
fn start_failure(text: &str, cwd: String) -> Result<CommandExit, RuntimeError> {
    if text.contains("chdir to cwd") {
        Err(RuntimeError::NoSuchDirectory { cwd })
    } else if text.contains("not found in $PATH") || text.contains("no such file or directory") {
        Ok(CommandExit::NotFound)
    } else if text.contains("permission denied") || text.contains("is a directory") {
        Ok(CommandExit::NotExecutable)
    } else {
        Err(engine_broke("start a command", text.trim_end()))
    }
}

/// Whether the container is ending or gone. The output of a command in it ends a little before the
/// engine says so.
async fn ends_now(engine: &Engine, sandbox: &SandboxId) -> Result<bool, RuntimeError> {
    for _ in 0..END_TRIES {
        if !engine.is_running(sandbox).await? {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// 404: there is no such container. 409: it is there and does not run.
pub(crate) fn gone_if_not_there(sandbox: &SandboxId, error: RuntimeError) -> RuntimeError {
    match status(&error) {
        Some(404 | 409) => RuntimeError::SandboxGone { sandbox: sandbox.to_string() },
        _ => error,
    }
}

pub(crate) fn engine_broke(action: &'static str, what: &str) -> RuntimeError {
    RuntimeError::Engine { action, source: what.to_owned().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_on_a_failed_start_are_understood() {
        let prefix = "OCI runtime exec failed: exec failed: unable to start container process: ";
        let told = |text: &str| start_failure(&format!("{prefix}{text}"), "/no/dir".to_owned());
        assert!(matches!(
            told("exec: \"nope\": executable file not found in $PATH: unknown"),
            Ok(CommandExit::NotFound)
        ));
        assert!(matches!(
            told("exec: \"/nope/cmd\": stat /nope/cmd: no such file or directory: unknown"),
            Ok(CommandExit::NotFound)
        ));
        assert!(matches!(
            told("exec: \"/bin/noexec\": permission denied: unknown"),
            Ok(CommandExit::NotExecutable)
        ));
        assert!(matches!(
            told(
                "chdir to cwd (\"/no/dir\") set in config.json failed: no such file or directory: unknown"
            ),
            Err(RuntimeError::NoSuchDirectory { .. })
        ));
        assert!(matches!(told("something new"), Err(RuntimeError::Engine { .. })));
    }
}
