//! What the sandboxes that run use now.

use std::time::Duration;

use armor_core::id::SandboxId;
use armor_core::sandbox::{Limits, RuntimeError, Sandbox, SandboxState, SandboxStats};
use armor_core::task::Task;
use armor_registry::RegistryError;
use futures_util::future::join_all;

use crate::{Lifecycle, LifecycleError};

/// What a sandbox uses.
#[derive(Debug, Clone)]
pub struct SandboxFigures {
    /// Whose it is.
    pub task: Task,
    /// The runtime's name for it.
    pub sandbox: SandboxId,
    /// Processor time, in thousandths of a core, over the time that was looked at.
    pub cpu_millis: u64,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// What it may use.
    pub limits: Limits,
}

impl Lifecycle {
    /// What each sandbox that runs uses, its processor time over the time `over`. Those that go away
    /// meanwhile, or about which the runtime fails to answer, are left out.
    ///
    /// # Errors
    /// When the runtime fails for all of them, or the registry does.
    pub async fn figures(&self, over: Duration) -> Result<Vec<SandboxFigures>, LifecycleError> {
        let mut running = self.parts.runtime.list().await?;
        running.retain(|sandbox| sandbox.state == SandboxState::Running);
        let before = self.measure(&running).await?;
        let began = self.now();
        tokio::time::sleep(over).await;
        let after = self.measure(&running).await?;
        let passed = self.now().since(began).max(Duration::from_millis(1));
        let mut figures = Vec::new();
        for ((sandbox, before), after) in running.iter().zip(before).zip(after) {
            let (Some(before), Some(after)) = (before, after) else { continue };
            let task = match self.parts.registry.get(&sandbox.task).await {
                // It is about to be removed.
                Err(RegistryError::NotFound { .. }) => continue,
                task => task?,
            };
            let used = u128::from(after.cpu_nanos.saturating_sub(before.cpu_nanos));
            let cpu_millis = used * 1000 / passed.as_nanos();
            let limits = self.limits_in_force(task.sandbox.limits).await?;
            figures.push(SandboxFigures {
                task,
                sandbox: sandbox.id.clone(),
                cpu_millis: u64::try_from(cpu_millis).unwrap_or(u64::MAX),
                memory_bytes: after.memory_bytes,
                pids: after.pids,
                limits,
            });
        }
        Ok(figures)
    }

    /// What each of these uses, where that can be told. An error only where it is about all of them.
    async fn measure(
        &self,
        sandboxes: &[Sandbox],
    ) -> Result<Vec<Option<SandboxStats>>, LifecycleError> {
        let runtime = &self.parts.runtime;
        let all = join_all(sandboxes.iter().map(|sandbox| runtime.stats(&sandbox.id))).await;
        let (mut measured, mut failure) = (Vec::new(), None);
        for (sandbox, stats) in sandboxes.iter().zip(all) {
            match stats {
                Ok(stats) => measured.push(Some(stats)),
                Err(RuntimeError::SandboxGone { .. }) => measured.push(None),
                Err(error) => {
                    let (task, cause) = (&sandbox.task, armor_core::error::chain(&error));
                    tracing::warn!(%task, cause, "what its sandbox uses is not known");
                    measured.push(None);
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if measured.iter().all(Option::is_none) => Err(error.into()),
            _ => Ok(measured),
        }
    }
}
