//! How the runner of a sandbox is reached: by its socket, if the process behind it is the sandbox's
//! first.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use armor_core::id::{SandboxId, TaskId};
use armor_core::sandbox::{RuntimeError, UserIds};
use armor_runner::{Connection, RunnerError};
use bollard::models::ContainerInspectResponse;

use super::place::{RunnerPlace, is_ours};
use crate::engine::Engine;
use crate::exec::engine_broke;
use crate::labels::TASK_LABEL;

/// A runner that was there.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    /// The folder of its socket.
    pub(crate) shared: PathBuf,
    /// Its process, as the host numbers it.
    pub(crate) first: i32,
    /// Whose it is.
    pub(crate) task: TaskId,
}

impl Entrance {
    pub(crate) async fn connect(&self) -> Result<Connection, RunnerError> {
        Connection::open(&self.shared, self.first).await
    }
}

/// The runners that were seen, so that the engine is not asked for each command. Every call of the
/// runtime may see another one.
#[derive(Debug, Default)]
pub(crate) struct Entrances {
    seen: Mutex<HashMap<SandboxId, Option<Entrance>>>,
}

impl Entrances {
    /// How to reach a sandbox's runner; none when it has none.
    pub(crate) async fn of(
        &self,
        engine: &Engine,
        place: &RunnerPlace,
        sandbox: &SandboxId,
    ) -> Result<Option<Entrance>, RuntimeError> {
        let seen = self.lock().get(sandbox).cloned();
        if let Some(seen) = seen {
            return Ok(seen);
        }
        let container = engine.inspect(sandbox).await?;
        self.note(place, sandbox, &container)
    }

    /// Notes what the engine says of a sandbox.
    pub(crate) fn note(
        &self,
        place: &RunnerPlace,
        sandbox: &SandboxId,
        container: &ContainerInspectResponse,
    ) -> Result<Option<Entrance>, RuntimeError> {
        let found =
            if is_ours(container) { Some(entrance(place, sandbox, container)?) } else { None };
        self.lock().insert(sandbox.clone(), found.clone());
        Ok(found)
    }

    /// Forgets what was seen: the engine is asked again.
    pub(crate) fn forget(&self, sandbox: &SandboxId) {
        self.lock().remove(sandbox);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SandboxId, Option<Entrance>>> {
        // Each use leaves it whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entrance(
    place: &RunnerPlace,
    sandbox: &SandboxId,
    container: &ContainerInspectResponse,
) -> Result<Entrance, RuntimeError> {
    let state = container.state.as_ref();
    // One that stands still answers nobody.
    let state = state.filter(|state| state.running == Some(true) && state.paused != Some(true));
    let first = state.and_then(|state| i32::try_from(state.pid?).ok()).filter(|pid| *pid > 0);
    let first = first.ok_or_else(|| RuntimeError::SandboxGone { sandbox: sandbox.to_string() })?;
    let (task, _) = whose(container)
        .ok_or_else(|| engine_broke("look at a container", "it is none of ours"))?;
    Ok(Entrance { shared: place.shared(&task), first, task })
}

/// Whose a container is, and who runs in it.
pub(crate) fn whose(container: &ContainerInspectResponse) -> Option<(TaskId, UserIds)> {
    let config = container.config.as_ref()?;
    let task = TaskId::parse(config.labels.as_ref()?.get(TASK_LABEL)?.clone()).ok()?;
    let (uid, gid) = config.user.as_ref()?.split_once(':')?;
    Some((task, UserIds { uid: uid.parse().ok()?, gid: gid.parse().ok()? }))
}
