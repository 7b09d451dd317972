//! Carrying: for each task with the network `egress` that runs, a proxy at the other end of its
//! sandbox's way out, and the record of what it let through.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use armor_core::event::EventPayload;
use armor_core::file_lock::FileLock;
use armor_core::id::TaskId;
use armor_core::network::NetworkPolicy;
use armor_core::sandbox::{Egress, NetworkMode, SandboxState};
use armor_core::task::{Task, TaskStatus};
use armor_egress::{Ledger, Proxy, SystemResolver};
use armor_events::{Pattern, Subscription};
use armor_registry::{RegistryError, TaskQuery};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Lifecycle, LifecycleError};

/// How often is looked for tasks when no event says that there is something new.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a carrier stays that nobody needs: a task may be about to start.
const LINGER: Duration = Duration::from_secs(30);
/// How often what was let through is written down.
const WRITE_DOWN: Duration = Duration::from_secs(1);
/// How often the carrier's place is tried to be had.
const TRIES: u32 = 20;
/// How soon a sandbox that is not there is looked for again, at first and later.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A task that is carried.
#[derive(Debug)]
struct Carried {
    policy: watch::Sender<NetworkPolicy>,
    /// Says that its sandbox may be a new one.
    changed: Arc<Notify>,
    stop: CancellationToken,
}

impl Lifecycle {
    /// Carries the connections of the home's tasks with the network `egress`, until nobody has needed
    /// it for a while, or it is told to stop. False when another process does so already.
    ///
    /// # Errors
    /// When the registry fails.
    pub async fn carry(&self, stop: CancellationToken) -> Result<bool, LifecycleError> {
        let mut place = self.wait_for_place().await?;
        let has_carried = place.is_some();
        while let Some(held) = place {
            let is_to_stay = self.carry_from(held, &stop).await;
            // Whoever saw the place taken until now counts on us.
            let is_needed = is_to_stay && !self.tasks_to_carry().await?.is_empty();
            place = if is_needed { self.wait_for_place().await? } else { None };
        }
        Ok(has_carried)
    }

    /// Carries from the carrier's place, and gives it up. False when nobody is to carry here any more,
    /// whoever needs it.
    async fn carry_from(&self, place: FileLock, stop: &CancellationToken) -> bool {
        let carrier = &self.parts.carrier;
        allow_as_many_files_as_possible();
        let mut events = self.bus().subscribe(Pattern::ALL);
        let (mut carried, mut tasks) = (HashMap::new(), JoinSet::new());
        let mut needed = Instant::now();
        while needed.elapsed() < LINGER && carrier.is_at_home(&place) {
            if let Err(error) = self.bring_up_to_date(&mut carried, &mut tasks).await {
                // What is carried goes on by the rules that were there.
                let cause = armor_core::error::chain(&error);
                tracing::warn!(cause, "rules and tasks are not looked at");
            }
            if !carried.is_empty() {
                needed = Instant::now();
            }
            tokio::select! {
                () = news(&mut events, &carried) => {}
                () = sleep(LOOK_AGAIN) => {}
                () = stop.cancelled() => break,
            }
        }
        let is_to_stay = !stop.is_cancelled() && carrier.is_at_home(&place);
        for task in carried.values() {
            task.stop.cancel();
        }
        // Whoever needs a carrier from now on starts another one.
        drop(place);
        // Each writes down what it let through.
        while tasks.join_next().await.is_some() {}
        is_to_stay
    }

    /// The carrier's place; none when somebody keeps it. Whoever only looks whether somebody has it
    /// has it for a moment, too.
    async fn wait_for_place(&self) -> Result<Option<FileLock>, LifecycleError> {
        for _ in 0..TRIES {
            if let Some(place) = self.parts.carrier.take_place()? {
                return Ok(Some(place));
            }
            sleep(FIRST_PAUSE).await;
        }
        Ok(None)
    }

    async fn bring_up_to_date(
        &self,
        carried: &mut HashMap<TaskId, Carried>,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), LifecycleError> {
        let there = self.tasks_to_carry().await?;
        carried.retain(|id, task| {
            let stays = there.iter().any(|task| task.id == *id);
            if !stays {
                task.stop.cancel();
            }
            stays
        });
        while tasks.try_join_next().is_some() {}
        for task in there {
            let policy = task.sandbox.rules.clone();
            if let Some(known) = carried.get(&task.id) {
                known.policy.send_if_modified(|old| {
                    let is_new = *old != policy;
                    *old = policy;
                    is_new
                });
                continue;
            }
            let (sender, receiver) = watch::channel(policy);
            let (changed, stop) = (Arc::new(Notify::new()), CancellationToken::new());
            let id = task.id.clone();
            tasks.spawn(self.clone().carry_task(id, receiver, changed.clone(), stop.clone()));
            carried.insert(task.id, Carried { policy: sender, changed, stop });
        }
        Ok(())
    }

    pub(super) async fn tasks_to_carry(&self) -> Result<Vec<Task>, LifecycleError> {
        let mut query =
            TaskQuery { status: Some(TaskStatus::Running), limit: 1000, ..TaskQuery::default() };
        let mut found = Vec::new();
        loop {
            let page = self.parts.registry.list(&query).await?;
            let egress = page.items.into_iter();
            found.extend(egress.filter(|task| task.sandbox.network == NetworkMode::Egress));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn carry_task(
        self,
        task: TaskId,
        policy: watch::Receiver<NetworkPolicy>,
        changed: Arc<Notify>,
        stop: CancellationToken,
    ) {
        let ledger = Arc::new(Ledger::default());
        let proxy = Proxy::new(policy, ledger.clone(), Arc::new(SystemResolver::default()));
        let serving = async {
            let mut pause = FIRST_PAUSE;
            while !stop.is_cancelled() {
                if let Some(Egress { listener, gone }) = self.egress(&task).await {
                    let end = async {
                        tokio::select! {
                            () = gone => {}
                            () = stop.cancelled() => {}
                        }
                    };
                    if let Err(error) = proxy.serve(listener, end).await {
                        tracing::warn!(%task, %error, "its connections are not carried");
                    }
                    pause = FIRST_PAUSE;
                }
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = changed.notified() => pause = FIRST_PAUSE,
                    () = stop.cancelled() => {}
                }
            }
        };
        let writing = async {
            while stop.run_until_cancelled(sleep(WRITE_DOWN)).await.is_some() {
                self.write_down(&task, &ledger).await;
            }
        };
        tokio::join!(serving, writing);
        self.write_down(&task, &ledger).await;
    }

    /// The way out of the task's sandbox, if it runs.
    async fn egress(&self, task: &TaskId) -> Option<Egress> {
        let runtime = &self.parts.runtime;
        let found = async {
            match runtime.find(task).await? {
                Some(sandbox) if sandbox.state == SandboxState::Running => {
                    runtime.egress(&sandbox.id).await.map(Some)
                }
                _ => Ok(None),
            }
        };
        found.await.unwrap_or_else(|error| {
            // It may be about to start, or to end.
            let cause = armor_core::error::chain(&error);
            tracing::debug!(%task, cause, "the way out of its sandbox is not there");
            None
        })
    }

    async fn write_down(&self, task: &TaskId, ledger: &Ledger) {
        let events = ledger.take();
        if events.is_empty() {
            return;
        }
        let payloads: Vec<EventPayload> = events.iter().cloned().map(Into::into).collect();
        let written = async {
            // Behind the end of a task that is deleted nothing is written any more.
            self.parts.registry.get(task).await?;
            self.parts.registry.append(task, &payloads).await
        };
        match written.await {
            Ok(()) | Err(RegistryError::NotFound { .. }) => {}
            Err(error) => {
                let cause = armor_core::error::chain(&error);
                tracing::warn!(%task, cause, "what it reached is not written down yet");
                ledger.put_back(events);
            }
        }
    }
}

/// Two for each connection: the usual limit is soon reached by a few tasks.
fn allow_as_many_files_as_possible() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "few connections at one time are carried");
    }
}

/// Waits for an event that may change what is carried.
async fn news(events: &mut Subscription, carried: &HashMap<TaskId, Carried>) {
    loop {
        let event = match events.next().await {
            Ok(Some(event)) => event,
            // Some were missed, or no more come: then time tells.
            Err(_) => return,
            Ok(None) => return std::future::pending().await,
        };
        match event.name().split_once(':') {
            Some(("task", _) | ("network", "ruled")) => return,
            Some(("sandbox", _)) => {
                let task = event.task().and_then(|task| carried.get(task));
                if let Some(task) = task {
                    task.changed.notify_one();
                }
            }
            _ => {}
        }
    }
}
