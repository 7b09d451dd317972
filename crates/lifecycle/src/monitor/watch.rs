//! Watching, in the background.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use armor_core::id::TaskId;
use armor_core::sandbox::{MonitorAction, Resource, RuntimeError, SandboxState, Use};
use armor_core::task::Task;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::disk;
use super::judge::{History, Step};
use crate::{Lifecycle, LifecycleError, SandboxFigures};

/// How often it is looked, and over how long; so it is every ten seconds.
const LOOK: Duration = Duration::from_secs(5);
/// How much longer than measuring a disk takes nobody measures it again, and how long at most.
const REST: u32 = 20;
const LONGEST_REST: Duration = Duration::from_mins(1);
/// How long a look waits for disks to be measured. What takes longer is for the next one.
const DISK_LIMIT: Duration = Duration::from_secs(2);
/// How many disks are measured at a time, so that one with very many files does not hold up the others.
const WALKERS: usize = 4;
/// How long a sandbox that is stopped has to end its commands and note how.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// What is known of the sandboxes.
#[derive(Debug)]
struct Watch {
    sandboxes: HashMap<TaskId, Watched>,
    walkers: Arc<Semaphore>,
}

/// What is known of a sandbox.
#[derive(Debug)]
struct Watched {
    history: History,
    disk: Disk,
}

/// How far it is with measuring what a task takes of the disk.
#[derive(Debug)]
enum Disk {
    /// It may be measured from then on.
    Due(Instant),
    /// It is being measured.
    Walking(JoinHandle<Measured>),
}

#[derive(Debug)]
struct Measured {
    /// None where that failed.
    bytes: Option<u64>,
    took: Duration,
}

impl Default for Watched {
    fn default() -> Self {
        Self { history: History::default(), disk: Disk::Due(Instant::now()) }
    }
}

impl Lifecycle {
    /// Looks again and again what the home's sandboxes take of their shares, warns, and acts as the
    /// settings say, until it is told to stop.
    pub(crate) async fn keep_watching_shares(&self, stop: &CancellationToken) {
        let walkers = Arc::new(Semaphore::new(WALKERS));
        let mut watch = Watch { sandboxes: HashMap::new(), walkers };
        while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
            if let Err(error) = self.look_at_shares(&mut watch).await {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(cause, "what sandboxes take is not looked at");
            }
        }
    }

    async fn look_at_shares(&self, watch: &mut Watch) -> Result<(), LifecycleError> {
        let figures = self.figures(LOOK).await?;
        let Watch { sandboxes, walkers } = watch;
        let there = self.parts.runtime.list().await?;
        sandboxes.retain(|id, known| {
            let is_measured = figures.iter().any(|one| one.task.id == *id);
            let sandbox = there.iter().find(|sandbox| sandbox.task == *id);
            // One that runs and gave no figures did not answer.
            let runs = sandbox.is_some_and(|sandbox| sandbox.state == SandboxState::Running);
            if !is_measured && !runs {
                known.history.note_standstill();
            }
            is_measured || sandbox.is_some()
        });
        for one in &figures {
            let known = sandboxes.entry(one.task.id.clone()).or_default();
            self.begin_to_measure(one, known, walkers);
        }
        let until = Instant::now() + DISK_LIMIT;
        for one in figures {
            let known = sandboxes.entry(one.task.id.clone()).or_default();
            if let Err(error) = self.judge_shares(&one, known, until).await {
                let (task, cause) = (&one.task.id, armor_core::error::chain(&error));
                tracing::warn!(%task, cause, "what its sandbox takes is for the next look");
            }
        }
        Ok(())
    }

    /// Tells and does what follows from what a sandbox takes. What fails is for the next look.
    async fn judge_shares(
        &self,
        figures: &SandboxFigures,
        known: &mut Watched,
        until: Instant,
    ) -> Result<(), LifecycleError> {
        let mut shares = shares(figures);
        shares.extend(self.disk_share(known, until).await);
        let mut judged = Ok(());
        for share in shares {
            // One that cannot be acted upon does not hide the others.
            judged = judged.and(self.judge_share(figures, known, share).await);
        }
        judged
    }

    async fn judge_share(
        &self,
        figures: &SandboxFigures,
        known: &mut Watched,
        share: Use,
    ) -> Result<(), LifecycleError> {
        for step in known.history.judge(share, &self.settings.monitor, self.now()) {
            self.take_step(&figures.task, &step).await?;
            let mut noted = share;
            if share.resource == Resource::Disk && matches!(step, Step::Act(_)) {
                // More may have been written before it stood still; that is not more than it is now.
                let again = timeout(DISK_LIMIT, self.disk_in_use(figures)).await.ok().flatten();
                noted.used = again.map_or(share.used, |used| used.max(share.used));
            }
            known.history.note(noted, &step);
        }
        Ok(())
    }

    /// Begins to measure what a task takes of the disk, unless somebody does or it is too early, or there
    /// is no limit.
    fn begin_to_measure(
        &self,
        figures: &SandboxFigures,
        known: &mut Watched,
        walkers: &Arc<Semaphore>,
    ) {
        let is_due = matches!(known.disk, Disk::Due(due) if due <= Instant::now());
        if !is_due || self.settings.monitor.disk_bytes().is_none() {
            return;
        }
        let (lifecycle, walkers, figures) = (self.clone(), walkers.clone(), figures.clone());
        known.disk = Disk::Walking(tokio::spawn(async move {
            // Nobody ever closes it.
            let _place = walkers.acquire_owned().await;
            let began = Instant::now();
            let bytes = lifecycle.disk_in_use(&figures).await;
            Measured { bytes, took: began.elapsed() }
        }));
    }

    /// What a task takes of the disk now, in bytes; none where that cannot be told.
    async fn disk_in_use(&self, figures: &SandboxFigures) -> Option<u64> {
        let folder = self.folder(&figures.task.id);
        let folders = vec![folder.workspace(), folder.memory(), folder.executions()];
        let named = usage(folders).await?;
        let runtime = &self.parts.runtime;
        match runtime.nameless_bytes(&figures.sandbox, folder.path()).await {
            Ok(nameless) => Some(named.saturating_add(nameless)),
            // It has nothing open.
            Err(RuntimeError::SandboxGone { .. }) => Some(named),
            Err(_) => None,
        }
    }

    /// What a task takes of the disk, if that has been measured by then.
    async fn disk_share(&self, known: &mut Watched, until: Instant) -> Option<Use> {
        let limit = self.settings.monitor.disk_bytes()?;
        let Disk::Walking(walk) = &mut known.disk else { return None };
        let measured = timeout_at(until, walk).await.ok()?;
        let took = measured.as_ref().map_or(LONGEST_REST, |measured| measured.took);
        known.disk = Disk::Due(Instant::now() + took.saturating_mul(REST).min(LONGEST_REST));
        let used = measured.ok()?.bytes?;
        Some(Use { resource: Resource::Disk, used, limit })
    }

    /// What a task's files take of the disk, in bytes.
    pub async fn disk_usage(&self, task: &TaskId) -> u64 {
        usage(vec![self.folder(task).path().to_owned()]).await.unwrap_or(0)
    }

    /// Events come first: whoever sees what was done can see why.
    async fn take_step(&self, task: &Task, step: &Step) -> Result<(), LifecycleError> {
        let runtime = &self.parts.runtime;
        let action = match step {
            Step::Tell(event) => return self.append(&task.id, event.clone()).await,
            Step::Act(MonitorAction::Warn) => return Ok(()),
            Step::Act(action) => action,
        };
        let Some(sandbox) = runtime.find(&task.id).await? else { return Ok(()) };
        match action {
            MonitorAction::Warn => {}
            MonitorAction::Pause => runtime.pause(&sandbox.id).await?,
            MonitorAction::Stop => runtime.stop(&sandbox.id, STOP_GRACE).await?,
            MonitorAction::Kill => runtime.stop(&sandbox.id, Duration::ZERO).await?,
        }
        Ok(())
    }
}

async fn usage(folders: Vec<PathBuf>) -> Option<u64> {
    let (tell, told) = oneshot::channel();
    // A thread of its own: a process that ends does not wait for it.
    let walker = thread::Builder::new().spawn(move || tell.send(disk::usage(&folders)));
    drop(walker.ok()?);
    told.await.ok()
}

fn shares(figures: &SandboxFigures) -> Vec<Use> {
    let limits = figures.limits;
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
