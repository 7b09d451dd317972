//! Our program inside a sandbox, its first process: where it and its socket are, how it is reached,
//! and commands through it. A sandbox on an engine that it does not suit has none; then commands go
//! through the engine's exec API.

mod command;
mod egress;
mod entrance;
mod isolation;
mod look;
mod mount_table;
mod place;
mod signal;
mod terminal;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use armor_core::id::{SandboxId, TaskId};
use armor_core::sandbox::{RuntimeError, SandboxSpec};
use armor_runner::{Answer, Connection, Facts, Request, RunnerError};
use bollard::models::ContainerInspectResponse;
use tokio::time::{Instant, sleep, timeout};

use crate::engine::Engine;
use crate::seccomp;

pub(crate) use command::noted_end;
use entrance::{Entrances, whose};
pub(crate) use isolation::Isolation;
pub use place::RunnerFolders;
pub(crate) use place::{RunnerMounts, RunnerPlace, is_ours};

/// How long a runner may be silent before the engine is asked whether its sandbox stands still.
const SILENCE: Duration = Duration::from_secs(2);
/// How long the engine may take to notice that a runner, and so its sandbox, has ended.
const ENDING: Duration = Duration::from_secs(2);
/// How soon it is tried again whether a runner that was just started listens, at first and later.
const AGAIN: Duration = Duration::from_millis(1);
const LATER: Duration = Duration::from_millis(100);

/// What came of waiting for the runner of a sandbox.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// It listens, and told what it sees, if it can; or the sandbox has none.
    There(Option<Box<Facts>>),
    /// It cannot be spoken to: nobody answers, or somebody else, or one of another version.
    Not(RunnerError),
}

/// The runners in the sandboxes of a home.
#[derive(Debug)]
pub(crate) struct Inside {
    engine: Arc<Engine>,
    place: Option<RunnerPlace>,
    entrances: Entrances,
}

impl Inside {
    /// Runners whose files are in these folders; none at all without them.
    pub(crate) fn new(engine: Arc<Engine>, folders: Option<RunnerFolders>) -> Self {
        let place = folders.map(RunnerPlace::new);
        Self { engine, place, entrances: Entrances::default() }
    }

    /// What a new sandbox is to have of the host for a runner; none where it cannot run.
    pub(crate) async fn mounts(&self, task: &TaskId) -> Result<Option<RunnerMounts>, RuntimeError> {
        match &self.place {
            Some(place) if self.is_possible().await? => place.mounts(task).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether new sandboxes get a runner.
    pub(crate) async fn is_possible(&self) -> Result<bool, RuntimeError> {
        Ok(self.place.is_some() && self.engine.features().await?.runs_here)
    }

    /// The option of the engine's API that puts the profile of system calls in force.
    pub(crate) async fn seccomp(&self) -> Result<String, RuntimeError> {
        if !self.engine.features().await?.takes_profiles_as_files() {
            return Ok(format!("seccomp={}", *seccomp::PROFILE));
        }
        // That takes the name of a file on its machine.
        match &self.place {
            Some(place) if self.engine.endpoint().is_local() => {
                let written = place.profile().map_err(|source| RuntimeError::Engine {
                    action: "put the profile of system calls in place",
                    source: Box::new(source),
                });
                Ok(format!("seccomp={}", written?.display()))
            }
            _ => Err(RuntimeError::Unsupported {
                feature: "a profile of system calls, which Podman takes from a file of its own machine",
                next_step: "Use a Podman of this machine, or Docker Engine.",
            }),
        }
    }

    /// Where the files of runners are.
    pub(crate) const fn place(&self) -> Option<&RunnerPlace> {
        self.place.as_ref()
    }

    /// Makes ready for the runner of a sandbox to start, unless it runs.
    pub(crate) async fn before_start(
        &self,
        sandbox: &SandboxId,
        spec: &SandboxSpec,
    ) -> Result<(), RuntimeError> {
        let Some(place) = &self.place else { return Ok(()) };
        if !self.is_possible().await? {
            return Ok(());
        }
        // It is not even there when a process was killed while it made it anew.
        if place.was_used(&spec.task) {
            let container = self.engine.inspect(sandbox).await?;
            if container.state.and_then(|state| state.running) == Some(true) {
                return Ok(());
            }
        }
        place.renew(&spec.task, self.engine.user_outside(spec.user).await?)
    }

    /// Makes ready for the runner of a sandbox to start again, in which nothing runs.
    pub(crate) async fn before_restart(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let Some(place) = &self.place else { return Ok(()) };
        self.entrances.forget(sandbox);
        let container = self.engine.inspect(sandbox).await?;
        match whose(&container) {
            Some((task, user)) if is_ours(&container) => {
                place.renew(&task, self.engine.user_outside(user).await?)
            }
            _ => Ok(()),
        }
    }

    /// Waits so long for the runner of a sandbox that was started, if it has one, to listen and to tell
    /// what it sees, and what these places really are.
    pub(crate) async fn after_start(
        &self,
        sandbox: &SandboxId,
        container: &ContainerInspectResponse,
        patience: Duration,
        places: &[String],
    ) -> Result<Arrival, RuntimeError> {
        const ACTION: &str = "start its program in the sandbox";
        let Some(place) = &self.place else { return Ok(Arrival::There(None)) };
        self.entrances.forget(sandbox);
        let entrance = self.entrances.note(place, sandbox, container)?;
        let Some(entrance) = entrance else { return Ok(Arrival::There(None)) };
        let give_up = Instant::now() + patience;
        let mut again = AGAIN;
        let arrival = loop {
            let looking = async { look::inside(entrance.connect().await?, places).await };
            match timeout(self.engine.timeout(), looking).await {
                Ok(Ok(seen)) => break Arrival::There(seen),
                Ok(Err(error @ RunnerError::OtherVersion { .. })) => break Arrival::Not(error),
                Ok(Err(RunnerError::Unreachable { .. })) if Instant::now() < give_up => {
                    // It listens a moment after its start, unless it has ended.
                    sleep(again).await;
                    again = (again * 2).min(LATER);
                    self.entrances.forget(sandbox);
                    self.entrances.of(&self.engine, place, sandbox).await?;
                }
                Ok(Err(
                    error @ (RunnerError::Unreachable { .. }
                    | RunnerError::Replaced
                    | RunnerError::Lost(_)),
                )) => return Ok(Arrival::Not(error)),
                Err(_) => {
                    let error = RunnerError::Lost(io::ErrorKind::TimedOut.into());
                    return Ok(Arrival::Not(error));
                }
                Ok(Err(error)) => return Err(runner_broke(ACTION, error)),
            }
        };
        place.lock(&entrance.task)?;
        Ok(arrival)
    }

    /// Forgets all there is of a task's runner.
    pub(crate) fn forget(
        &self,
        task: &TaskId,
        sandboxes: &[SandboxId],
    ) -> Result<(), RuntimeError> {
        for sandbox in sandboxes {
            self.entrances.forget(sandbox);
        }
        let forgotten = self.place.as_ref().map_or(Ok(()), |place| place.forget(task));
        forgotten.map_err(|source| RuntimeError::Engine {
            action: "remove the folder of its program",
            source: Box::new(source),
        })
    }

    /// The tasks for whose runner there is a folder.
    pub(crate) fn tasks(&self) -> Result<Vec<TaskId>, RuntimeError> {
        let found = self.place.as_ref().map_or_else(|| Ok(Vec::new()), RunnerPlace::tasks);
        found.map_err(|source| RuntimeError::Engine {
            action: "list the folders of its program",
            source: Box::new(source),
        })
    }

    /// Asks a runner for something, and waits for its answer as long as for one of the engine's.
    async fn ask(
        &self,
        connection: &mut Connection,
        request: &Request,
        action: &'static str,
    ) -> Result<Answer, RuntimeError> {
        let limit = self.engine.timeout();
        let answer = timeout(limit, exchange(connection, request)).await;
        let answer = answer.map_err(|_| RuntimeError::Timeout { action, limit })?;
        answer.map_err(|error| runner_broke(action, error))
    }

    /// A connection to a sandbox's runner; none when it has none.
    async fn connect(&self, sandbox: &SandboxId) -> Result<Option<Connection>, RuntimeError> {
        const ACTION: &str = "reach its program in the sandbox";
        let Some(place) = &self.place else { return Ok(None) };
        let (mut is_silent, give_up) = (false, Instant::now() + ENDING);
        loop {
            let patience = if is_silent { self.engine.timeout() } else { SILENCE };
            let entrance = self.entrances.of(&self.engine, place, sandbox).await?;
            let Some(entrance) = entrance else { return Ok(None) };
            match timeout(patience, entrance.connect()).await {
                Ok(Ok(connection)) => return Ok(Some(connection)),
                // It is there, and what it has to do only others can ask of it.
                Ok(Err(error @ RunnerError::OtherVersion { .. })) => {
                    return Err(unreachable(sandbox, error));
                }
                Ok(Err(
                    error @ (RunnerError::Unreachable { .. }
                    | RunnerError::Replaced
                    | RunnerError::Lost { .. }),
                )) => {
                    if Instant::now() >= give_up {
                        return Err(unreachable(sandbox, error));
                    }
                    // It has ended, perhaps, and the engine is about to notice; or it was started anew.
                    sleep(LATER).await;
                }
                Ok(Err(error)) => return Err(runner_broke(ACTION, error)),
                // It stands still, perhaps, which the engine knows.
                Err(_) if is_silent => {
                    return Err(RuntimeError::Timeout { action: ACTION, limit: patience });
                }
                Err(_) => is_silent = true,
            }
            self.entrances.forget(sandbox);
        }
    }
}

async fn exchange(connection: &mut Connection, request: &Request) -> Result<Answer, RunnerError> {
    connection.ask(request, &[]).await?;
    connection.answer().await
}

/// A sandbox that runs, and whose runner cannot be spoken to.
pub(crate) fn unreachable(sandbox: &SandboxId, error: RunnerError) -> RuntimeError {
    RuntimeError::Unreachable { sandbox: sandbox.to_string(), source: Box::new(error) }
}

fn runner_broke(action: &'static str, error: RunnerError) -> RuntimeError {
    RuntimeError::Engine { action, source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use armor_core::id::ExecutionId;
    use armor_core::sandbox::NetworkMode;
    use armor_runner::SOCKET;
    use bollard::models::{ContainerConfig, ContainerState};
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;
    use tokio::sync::watch;

    use super::*;
    use crate::Endpoint;
    use crate::labels::TASK_LABEL;

    /// Greets whoever comes as a runner that speaks another version.
    async fn speak_otherwise(listener: UnixListener) {
        let hello = br#"{"protocol":4711,"runner":"9.9.9"}"#;
        let length = u32::try_from(hello.len()).unwrap().to_le_bytes();
        let mut hosts = Vec::new();
        loop {
            let (mut host, _) = listener.accept().await.unwrap();
            host.write_all(&[&length[..], &hello[..]].concat()).await.unwrap();
            hosts.push(host);
        }
    }

    /// A container whose runner is this process.
    fn container(task: &TaskId) -> ContainerInspectResponse {
        ContainerInspectResponse {
            path: RunnerMounts::entrypoint(NetworkMode::None).into_iter().next(),
            state: Some(ContainerState {
                running: Some(true),
                pid: Some(std::process::id().into()),
                ..ContainerState::default()
            }),
            config: Some(ContainerConfig {
                user: Some("10001:10001".to_owned()),
                labels: Some(HashMap::from([(TASK_LABEL.to_owned(), task.to_string())])),
                ..ContainerConfig::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    // Not for none: then its commands would be taken for ended, and killing them for done.
    #[tokio::test]
    async fn a_runner_of_another_version_is_taken_for_one_that_is_out_of_reach() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let nowhere = Endpoint::Unix(path("engine.sock"));
        let engine = Arc::new(Engine::new(nowhere, Duration::from_secs(10)));
        let folders = RunnerFolders { files: path("files"), trash: path("trash") };
        let inside = Inside::new(engine, Some(folders));
        let (task, sandbox) = (TaskId::parse("t1").unwrap(), SandboxId::parse("s1").unwrap());
        let shared = inside.place().unwrap().shared(&task);
        std::fs::create_dir_all(&shared).unwrap();
        let listener = UnixListener::bind(shared.join(SOCKET)).unwrap();
        let speaking = tokio::spawn(speak_otherwise(listener));

        let silent = inside.after_start(&sandbox, &container(&task), ENDING, &[]).await.unwrap();
        assert!(matches!(silent, Arrival::Not(RunnerError::OtherVersion { .. })), "{silent:?}");
        let execution = ExecutionId::parse("e1").unwrap();
        let (progress, _) = watch::channel(None);
        let out = path("execution");
        let watched = inside.watch(&sandbox, &execution, &out, &progress).await.unwrap_err();
        let killed = inside.kill(&sandbox, &execution).await.unwrap_err();
        for error in [watched, killed] {
            assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");
        }
        speaking.abort();
    }
}
