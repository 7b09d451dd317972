//! Filling the pool: one process of a home does, in the background.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use armor_core::file_lock::FileLock;
use armor_core::id::{SandboxId, TaskId};
use armor_core::sandbox::{SandboxState, Silent};
use armor_events::{Pattern, Subscription};
use armor_registry::RegistryError;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::shelf::Stage;
use super::{Ingredients, Pooled};
use crate::house::wait_for_place;
use crate::{Lifecycle, LifecycleError};

/// How often the pool is looked at when no task is created.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long nobody has created a task, or attached to one, before the pool is filled again; and how
/// long that is waited for.
const QUIET: Duration = Duration::from_millis(300);
const LONGEST_BUSY: Duration = Duration::from_secs(5);
/// For how many of the latest tasks' kinds of sandboxes there is a pool, at most.
const KINDS: usize = 2;
/// How many of the latest tasks are looked at for that.
const LATEST: u32 = 10;
/// A kind that no task had for so long is not kept any more.
const IN_USE: Duration = Duration::from_hours(1);
/// How long one may take to answer before another one takes its place.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long nothing is tried after a failure: longer after each.
#[derive(Debug, Default)]
struct Patience {
    pause: Duration,
    until: Option<Instant>,
}

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

impl Patience {
    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| until <= Instant::now())
    }

    fn grow(&mut self) {
        self.pause = (self.pause * 2).clamp(LOOK_AGAIN, LONGEST_PAUSE);
        self.until = Some(Instant::now() + self.pause);
    }
}

/// Waits until tasks may have been created, and nobody waits for one to be ready to be worked in: the
/// pool is filled for the next ones, not at the cost of these.
async fn until_it_is_quiet(events: &mut Subscription) {
    until_created(events).await;
    let busy = Instant::now() + LONGEST_BUSY;
    while Instant::now() < busy && timeout(QUIET, until_created(events)).await.is_ok() {}
}

/// Waits until a task may have been created, or attached to.
async fn until_created(events: &mut Subscription) {
    loop {
        match events.next().await {
            Ok(Some(event)) if !matches!(event.name(), "task:created" | "task:attached") => {}
            // One was, or some events were missed.
            Ok(Some(_)) | Err(_) => return,
            // No more come: then time tells.
            Ok(None) => return std::future::pending().await,
        }
    }
}

fn tell(error: &LifecycleError) {
    let cause = armor_core::error::chain(error);
    tracing::warn!(cause, "sandboxes of the pool stay until it is filled again");
}

impl Lifecycle {
    /// Keeps sandboxes ready for the kinds of tasks that were created last, until it is told to stop;
    /// then it removes them. Waits while another process of the home does so.
    pub async fn keep_pool(&self, stop: CancellationToken) {
        if self.parts.pool.size() == 0 {
            if let Err(error) = self.empty_pool().await {
                tell(&error);
            }
            return;
        }
        let Some(_place) = wait_for_place(self.parts.pool.lock(), &stop).await else { return };
        let mut events = self.bus().subscribe(Pattern::ALL);
        let mut patience = Patience::default();
        loop {
            if patience.is_over() {
                match self.fill_pool(&stop).await {
                    Ok(()) => patience = Patience::default(),
                    Err(error) => {
                        patience.grow();
                        let cause = armor_core::error::chain(&error);
                        tracing::warn!(cause, "the pool of sandboxes is not filled");
                    }
                }
            }
            tokio::select! {
                () = until_it_is_quiet(&mut events) => {}
                () = sleep(LOOK_AGAIN) => {}
                () = stop.cancelled() => break,
            }
        }
        if let Err(error) = self.drain_pool(&[]).await {
            tell(&error);
        }
    }

    /// Removes what is in the pool, unless somebody fills it. Says how many sandboxes went.
    ///
    /// # Errors
    /// When one cannot be removed, or the pool's files cannot be used.
    pub async fn empty_pool(&self) -> Result<usize, LifecycleError> {
        let place = FileLock::try_hold(self.parts.pool.lock()).map_err(LifecycleError::Pool)?;
        if place.is_none() {
            return Ok(0);
        }
        let before = self.all_pooled()?.len();
        self.drain_pool(&[]).await?;
        Ok(before.saturating_sub(self.all_pooled()?.len()))
    }

    /// The sandboxes of a pool that nobody fills; none while somebody does.
    ///
    /// # Errors
    /// When the pool's files cannot be read.
    pub fn idle_pool(&self) -> Result<Vec<TaskId>, LifecycleError> {
        let place = FileLock::try_hold(self.parts.pool.lock()).map_err(LifecycleError::Pool)?;
        if place.is_none() { Ok(Vec::new()) } else { self.all_pooled() }
    }

    fn all_pooled(&self) -> Result<Vec<TaskId>, LifecycleError> {
        let pool = &self.parts.pool;
        let all: io::Result<Vec<_>> = Stage::ALL.iter().map(|stage| pool.at(*stage)).collect();
        Ok(all.map_err(LifecycleError::Pool)?.concat())
    }

    async fn fill_pool(&self, stop: &CancellationToken) -> Result<(), LifecycleError> {
        let wanted = self.wanted_in_pool().await?;
        let ready = self.drain_pool(&wanted).await?;
        let mut first = Ok(());
        for kind in wanted {
            let there = ready.iter().filter(|pooled| **pooled == kind).count();
            for _ in there..self.parts.pool.size() {
                if stop.is_cancelled() {
                    return first;
                }
                let added = self.add_to_pool(&kind).await;
                if added.is_err() {
                    // The other kind may do better.
                    first = first.and(added);
                    break;
                }
            }
        }
        first
    }

    /// The kinds of sandboxes that the latest tasks have, the latest first.
    async fn wanted_in_pool(&self) -> Result<Vec<Pooled>, LifecycleError> {
        let mut wanted: Vec<Pooled> = Vec::new();
        for task in self.parts.registry.recent(LATEST).await? {
            if wanted.len() == KINDS || self.now().since(task.created_at) > IN_USE {
                break;
            }
            let ingredients = Ingredients::of_task(&task);
            if ingredients.folder.is_some()
                || wanted.iter().any(|known| known.ingredients == ingredients)
            {
                continue;
            }
            // One that is not there yet is built when a task needs it.
            if let Some(image_id) = self.parts.images.id(&ingredients.image).await? {
                wanted.push(Pooled::now(ingredients, image_id).map_err(LifecycleError::Pool)?);
            }
        }
        Ok(wanted)
    }

    /// Removes what is not wanted any more, does not run or answer, or was left by somebody who died.
    /// Says what stays.
    async fn drain_pool(&self, wanted: &[Pooled]) -> Result<Vec<Pooled>, LifecycleError> {
        let pool = &self.parts.pool;
        let there = self.parts.runtime.list().await?.into_iter();
        let running: HashMap<TaskId, SandboxId> = there
            .filter(|sandbox| sandbox.state == SandboxState::Running)
            .map(|sandbox| (sandbox.task, sandbox.id))
            .collect();
        let (mut stays, mut removed) = (Vec::new(), false);
        for stage in Stage::ALL {
            for task in pool.at(stage).map_err(LifecycleError::Pool)? {
                let pooled = pool.read(stage, &task).filter(|pooled| wanted.contains(pooled));
                let enough = pooled.as_ref().is_some_and(|pooled| {
                    stays.iter().filter(|other| *other == pooled).count() >= pool.size()
                });
                let is_good = stage == Stage::Ready && pooled.is_some() && !enough;
                let sandbox = running.get(&task).filter(|_| is_good);
                let answers = match sandbox {
                    Some(sandbox) => self.answers(sandbox).await,
                    None => false,
                };
                match pooled {
                    Some(pooled) if answers => stays.push(pooled),
                    _ => {
                        self.remove_from_pool(stage, &task).await?;
                        removed = true;
                    }
                }
            }
        }
        if removed {
            self.parts.folders.empty_trash().await?;
        }
        Ok(stays)
    }

    /// Whether commands can be run in a sandbox, as far as that can be told without one.
    async fn answers(&self, sandbox: &SandboxId) -> bool {
        match timeout(ANSWER_LIMIT, self.parts.runtime.outlives_us(sandbox)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(%sandbox, cause, "a sandbox of the pool does not answer");
                false
            }
            Err(_) => {
                tracing::warn!(%sandbox, "a sandbox of the pool is silent");
                false
            }
        }
    }

    /// Removes a pooled sandbox, unless somebody works on it, or its task exists.
    async fn remove_from_pool(&self, stage: Stage, task: &TaskId) -> Result<(), LifecycleError> {
        let Some(lock) = self.parts.folders.try_lock(task)? else { return Ok(()) };
        let exists = match self.parts.registry.get(task).await {
            Ok(_) => true,
            Err(RegistryError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        // Nobody claims it from now on; nor did anybody just before.
        let pool = &self.parts.pool;
        let from_here = pool.advance(task, stage, Stage::Making).map_err(LifecycleError::Pool)?;
        if from_here && !exists {
            self.parts.runtime.remove(task).await?;
            self.parts.folders.discard(task, lock)?;
        } else {
            self.forget_lock(task, lock)?;
        }
        pool.forget(Stage::Making, task).map_err(LifecycleError::Pool)
    }

    async fn add_to_pool(&self, kind: &Pooled) -> Result<(), LifecycleError> {
        let task = self.parts.ids.task_id(self.now());
        let lock = self.parts.folders.lock(&task).await?;
        if let Err(error) = self.parts.pool.begin(&task, kind) {
            self.forget_lock(&task, lock)?;
            return Err(LifecycleError::Pool(error));
        }
        let made = self.make_pooled(&task, &kind.ingredients).await;
        if made.is_ok() {
            let pool = &self.parts.pool;
            pool.advance(&task, Stage::Making, Stage::Ready).map_err(LifecycleError::Pool)?;
            return Ok(());
        }
        drop(lock);
        // The first error counts; what is not removed now is the next time.
        if let Err(error) = self.remove_from_pool(Stage::Making, &task).await {
            let cause = armor_core::error::chain(&error);
            tracing::debug!(%task, cause, "a sandbox for the pool stays for now");
        }
        made
    }

    async fn make_pooled(&self, task: &TaskId, kind: &Ingredients) -> Result<(), LifecycleError> {
        self.check_shared(kind)?;
        self.parts.images.ensure(&kind.image, &Silent).await?;
        self.prepare_ahead(task, kind).await?;
        let spec = self.spec(task, kind).await?;
        self.hand_over(&spec, kind).await?;
        let sandbox = self.parts.runtime.create(&spec).await?;
        Ok(self.parts.runtime.start(&sandbox.id, &spec).await?)
    }
}
