//! Our program inside a sandbox, its first process: where it and its socket are, how it is reached,
//! and commands through it. A sandbox on an engine that it does not suit has none; then commands go
//! through the engine's exec API.

mod command;
mod entrance;
mod place;
mod terminal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use armor_core::id::{SandboxId, TaskId};
use armor_core::sandbox::{RuntimeError, SandboxSpec};
use armor_runner::{Connection, RunnerError};
use bollard::models::ContainerInspectResponse;
use tokio::time::{Instant, sleep, timeout};

use crate::engine::Engine;
use crate::exec::engine_broke;

pub(crate) use command::{Outcome, noted_end};
use entrance::Entrances;
pub(crate) use place::{RunnerMounts, RunnerPlace, is_ours};

/// How long a runner may be silent before the engine is asked whether its sandbox stands still.
const SILENCE: Duration = Duration::from_secs(2);
/// How often it is tried whether a runner that was just started listens.
const AGAIN: Duration = Duration::from_millis(1);

/// The runners in the sandboxes of a home.
#[derive(Debug)]
pub(crate) struct Inside {
    engine: Arc<Engine>,
    place: Option<RunnerPlace>,
    entrances: Entrances,
}

impl Inside {
    /// Runners whose files are in `folder`; none at all without one.
    pub(crate) fn new(engine: Arc<Engine>, folder: Option<PathBuf>) -> Self {
        let place = folder.map(RunnerPlace::new);
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
        let suits = place::suits(self.engine.endpoint(), self.engine.info().await?);
        Ok(self.place.is_some() && suits)
    }

    /// Where the files of runners are.
    pub(crate) const fn place(&self) -> Option<&RunnerPlace> {
        self.place.as_ref()
    }

    /// Makes ready for a runner to start.
    pub(crate) fn before_start(&self, spec: &SandboxSpec) -> Result<(), RuntimeError> {
        match &self.place {
            Some(place) if place.shared(&spec.task).exists() => place.unlock(&spec.task, spec.user),
            _ => Ok(()),
        }
    }

    /// Makes ready for a runner to be started again.
    pub(crate) async fn before_restart(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let Some(place) = &self.place else { return Ok(()) };
        match self.entrances.of(&self.engine, place, sandbox).await? {
            Some(entrance) => place.unlock(&entrance.task, entrance.user),
            None => Ok(()),
        }
    }

    /// Waits for the runner of a sandbox that was started, if it has one, to listen.
    pub(crate) async fn after_start(
        &self,
        sandbox: &SandboxId,
        container: &ContainerInspectResponse,
    ) -> Result<(), RuntimeError> {
        const ACTION: &str = "start its program in the sandbox";
        let Some(place) = &self.place else { return Ok(()) };
        self.entrances.forget(sandbox);
        let Some(entrance) = self.entrances.note(place, sandbox, container)? else { return Ok(()) };
        let give_up = Instant::now() + self.engine.timeout();
        loop {
            match timeout(self.engine.timeout(), entrance.connect()).await {
                Ok(Ok(_) | Err(RunnerError::OtherVersion { .. })) => break,
                Ok(Err(RunnerError::Unreachable { .. })) if Instant::now() < give_up => {
                    // It listens a moment after its start, unless it has ended.
                    self.entrances.forget(sandbox);
                    if self.entrances.of(&self.engine, place, sandbox).await?.is_none() {
                        return Err(engine_broke(ACTION, "it is not there"));
                    }
                    sleep(AGAIN).await;
                }
                Ok(Err(error)) => return Err(unreachable(ACTION, error)),
                Err(_) => {
                    let limit = self.engine.timeout();
                    return Err(RuntimeError::Timeout { action: ACTION, limit });
                }
            }
        }
        place.lock(&entrance.task)
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

    /// A connection to a sandbox's runner; none when it has none that speaks as we do.
    async fn connect(&self, sandbox: &SandboxId) -> Result<Option<Connection>, RuntimeError> {
        const ACTION: &str = "reach its program in the sandbox";
        let Some(place) = &self.place else { return Ok(None) };
        let mut last = None;
        for patience in [SILENCE, self.engine.timeout()] {
            let entrance = self.entrances.of(&self.engine, place, sandbox).await?;
            let Some(entrance) = entrance else { return Ok(None) };
            match timeout(patience, entrance.connect()).await {
                Ok(Ok(connection)) => return Ok(Some(connection)),
                Ok(Err(RunnerError::OtherVersion { .. })) => return Ok(None),
                Ok(Err(error)) => last = Some(error),
                Err(_) => {}
            }
            // The sandbox may have been started anew, or stand still.
            self.entrances.forget(sandbox);
        }
        match last {
            Some(error) => Err(unreachable(ACTION, error)),
            None => Err(RuntimeError::Timeout { action: ACTION, limit: self.engine.timeout() }),
        }
    }
}

fn unreachable(action: &'static str, error: RunnerError) -> RuntimeError {
    RuntimeError::Engine { action, source: Box::new(error) }
}
