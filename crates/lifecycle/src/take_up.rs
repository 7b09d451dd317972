//! Executions whose watcher died: their ends noted, or, where the command still runs, watched by this
//! process from now on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use armor_core::execution::Execution;
use armor_core::id::ExecutionId;
use armor_core::sandbox::{CommandEnd, CommandProgress, SandboxState};
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::{Lifecycle, LifecycleError};

/// How long is waited to know whether the commands still run; it is found out later otherwise.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How often a process that lasts looks for executions whose watcher died.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long a watcher may take to note an end that the sandbox has noted.
const LONG_AGO: Duration = Duration::from_secs(30);

/// What others than its watcher can see of an execution.
pub(crate) enum Observed {
    /// Its end.
    Ended(CommandEnd),
    /// It does not run, and left no note. It may not run yet.
    Nothing,
    /// Its sandbox stands still, and perhaps it with it.
    StandsStill,
}

/// The executions that this process took up, so that none is watched twice. Written by whoever looks
/// for them, and by each watcher when it is done.
pub(crate) type TakenUp = Arc<Mutex<BTreeSet<ExecutionId>>>;

impl Lifecycle {
    /// Looks after every execution whose watcher died: notes its end, or watches the command if it
    /// still runs. Says how many there were. First ends the restorations of processes that died.
    ///
    /// # Errors
    /// When the registry fails.
    pub async fn take_up(&self) -> Result<usize, LifecycleError> {
        self.finish_restorations().await?;
        let mut left = Vec::new();
        for execution in self.parts.registry.running_executions().await? {
            match self.parts.instances.is_alive(&execution.instance) {
                // Its watcher lives, and could not note its end: the disk was full, perhaps.
                Ok(true) if self.has_ended_long_ago(&execution) => left.push(execution),
                Ok(true) => {}
                Ok(false) => left.push(execution),
                Err(error) => {
                    tracing::warn!(%error, instance = %execution.instance, "cannot be looked at");
                }
            }
        }
        let count = left.len();
        let looks = left.into_iter().filter(|execution| self.is_first(&execution.id));
        let looks = join_all(looks.map(|execution| self.clone().until_known(execution)));
        if tokio::time::timeout(LOOK_LIMIT, looks).await.is_err() {
            tracing::warn!("the engine does not say whether commands of a dead process still run");
        }
        Ok(count)
    }

    /// Does so again and again, for as long as this is not dropped, and sees to it that tasks'
    /// connections are carried.
    pub async fn keep_taking_up(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Err(error) = self.take_up().await {
                tracing::warn!(
                    cause = armor_core::error::chain(&error),
                    "executions not looked at"
                );
            }
            if let Err(error) = self.see_to_all_carried().await {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(cause, "the sandboxes' connections may not be carried");
            }
        }
    }

    fn has_ended_long_ago(&self, execution: &Execution) -> bool {
        let folder = self.folder(&execution.task).execution(&execution.id);
        let end = self.parts.runtime.noted_end(&folder).and_then(|end| end.at);
        end.is_some_and(|at| self.now().since(at) > LONG_AGO)
    }

    fn is_first(&self, execution: &ExecutionId) -> bool {
        self.taken_up.lock().unwrap_or_else(PoisonError::into_inner).insert(execution.clone())
    }

    /// Watches an execution on a task of its own; comes back when its end is noted, or it is known to
    /// run.
    async fn until_known(self, execution: Execution) {
        let (progress, mut heard) = watch::channel(None);
        tokio::spawn(async move {
            if let Err(error) = self.until_noted(&execution, &progress).await {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(execution = %execution.id, cause, "its end is not known yet");
            }
            let mut taken = self.taken_up.lock().unwrap_or_else(PoisonError::into_inner);
            taken.remove(&execution.id);
        });
        // An error says that it is over.
        let _known = heard.changed().await;
    }

    async fn until_noted(
        &self,
        execution: &Execution,
        progress: &CommandProgress,
    ) -> Result<(), LifecycleError> {
        match self.observe(execution, progress).await? {
            Observed::Ended(end) => drop(self.note_end(execution, Some(&end)).await?),
            Observed::Nothing => drop(self.note_end(execution, None).await?),
            // It goes on one day, or is ended.
            Observed::StandsStill => {}
        }
        Ok(())
    }

    /// Waits for the end of an execution, as far as others than its watcher can see it: by its note,
    /// or while it runs.
    pub(crate) async fn observe(
        &self,
        execution: &Execution,
        progress: &CommandProgress,
    ) -> Result<Observed, LifecycleError> {
        let runtime = &self.parts.runtime;
        let folder = self.folder(&execution.task).execution(&execution.id);
        let mut end = runtime.noted_end(&folder);
        if end.is_none()
            && let Some(sandbox) = runtime.find(&execution.task).await?
        {
            match sandbox.state {
                SandboxState::Running => {
                    end = runtime.watch(&sandbox.id, &execution.id, &folder, progress).await?;
                }
                SandboxState::Paused => return Ok(Observed::StandsStill),
                SandboxState::Stopped => {}
            }
        }
        // The sandbox may have noted it on its way out.
        let end = end.or_else(|| runtime.noted_end(&folder));
        Ok(end.map_or(Observed::Nothing, Observed::Ended))
    }
}
