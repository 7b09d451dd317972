//! Watching, in the background.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use armor_core::event::SandboxEvent;
use armor_core::id::TaskId;
use armor_core::sandbox::{MonitorAction, Resource, Use};
use armor_core::task::Task;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::disk;
use super::judge::History;
use crate::{Lifecycle, LifecycleError, SandboxFigures};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// How much longer than measuring a disk takes nobody measures it again.
const REST: u32 = 20;

/// What is known of a sandbox.
#[derive(Debug)]
struct Watched {
    history: History,
    /// When its disk may be measured again.
    disk_due: Instant,
}

impl Default for Watched {
    fn default() -> Self {
        Self { history: History::default(), disk_due: Instant::now() }
    }
}

impl Lifecycle {
    /// Looks again and again what the home's sandboxes take of their shares, warns, and acts as the
    /// settings say, until it is told to stop.
    pub(crate) async fn keep_watching_shares(&self, stop: &CancellationToken) {
        let mut watched = HashMap::new();
        while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
            if let Err(error) = self.look_at_shares(&mut watched).await {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(cause, "what sandboxes take is not looked at");
            }
        }
    }

    async fn look_at_shares(
        &self,
        watched: &mut HashMap<TaskId, Watched>,
    ) -> Result<(), LifecycleError> {
        let figures = self.figures(LOOK).await?;
        watched.retain(|id, _| figures.iter().any(|one| one.task.id == *id));
        for one in figures {
            let known = watched.entry(one.task.id.clone()).or_default();
            let mut shares = shares(&one);
            shares.extend(self.disk_share(&one.task, known).await);
            for share in shares {
                let events = known.history.judge(share, &self.settings.monitor, self.now());
                for event in events {
                    self.act_on_share(&one.task, event).await?;
                }
            }
        }
        Ok(())
    }

    async fn disk_share(&self, task: &Task, known: &mut Watched) -> Option<Use> {
        let limit = self.settings.monitor.disk_bytes()?;
        if known.disk_due > Instant::now() {
            return None;
        }
        let folder = self.folder(&task.id);
        let began = Instant::now();
        let used = usage(vec![folder.workspace(), folder.memory()]).await?;
        known.disk_due = Instant::now() + began.elapsed() * REST;
        Some(Use { resource: Resource::Disk, used, limit })
    }

    /// What a task's files take of the disk, in bytes.
    pub async fn disk_usage(&self, task: &TaskId) -> u64 {
        usage(vec![self.folder(task).path().to_owned()]).await.unwrap_or(0)
    }

    /// The event first: whoever sees what was done can see why.
    async fn act_on_share(&self, task: &Task, event: SandboxEvent) -> Result<(), LifecycleError> {
        let action = match &event {
            SandboxEvent::ShareExceeded { action, .. } => *action,
            _ => MonitorAction::Warn,
        };
        self.append(&task.id, event).await?;
        let runtime = &self.parts.runtime;
        let Some(sandbox) = runtime.find(&task.id).await? else { return Ok(()) };
        match action {
            MonitorAction::Warn => {}
            MonitorAction::Pause => runtime.pause(&sandbox.id).await?,
            MonitorAction::Stop => runtime.stop(&sandbox.id, Duration::ZERO).await?,
        }
        Ok(())
    }
}

async fn usage(folders: Vec<PathBuf>) -> Option<u64> {
    tokio::task::spawn_blocking(move || disk::usage(&folders)).await.ok()
}

fn shares(figures: &SandboxFigures) -> Vec<Use> {
    let limits = figures.task.sandbox.limits;
    vec![
        Use {
            resource: Resource::Memory,
            used: figures.memory_bytes,
            limit: u64::from(limits.memory_mib) << 20,
        },
        Use { resource: Resource::Cpu, used: figures.cpu_millis, limit: limits.cpu_millis.into() },
        Use { resource: Resource::Pids, used: figures.pids, limit: limits.pids.into() },
    ]
}
