//! The process that is killed: it writes as fast as it can, from several callers at once.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use armor_core::error::{Diagnostic, chain};
use armor_core::event::TaskEvent;
use armor_core::execution::{CommandLine, Execution, ExecutionEnd, ExecutionStatus};
use armor_core::id::{AgentId, ExecutionId, IdSource, InstanceId, RandomIds};
use armor_core::task::{Change, Metadata, Task, TaskRequest};
use armor_core::time::{Clock, SystemClock};
use armor_registry::{Registry, RegistryError};
use serde_json::json;

use crate::Outcome;
use crate::deed::{Deed, Said, What};
use crate::home::Home;

/// How many callers write at the same time.
const CALLERS: u64 = 8;

/// Writes until it is killed.
pub(crate) async fn run(home: &Path, seed: u64) -> Outcome<()> {
    let home = Home::open(home).await?;
    let shared = Arc::new(Shared {
        registry: home.registry.clone(),
        ids: RandomIds::default(),
        // Numbers of earlier children are lower: the clock is in between.
        next: AtomicU64::new(u64::try_from(SystemClock.now().as_micros())?),
    });
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..CALLERS {
        let random = fastrand::Rng::with_seed(seed.wrapping_add(number));
        let caller = Caller { shared: shared.clone(), random, tasks: Vec::new() };
        callers.spawn(caller.run());
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

struct Shared {
    registry: Arc<dyn Registry>,
    ids: RandomIds,
    next: AtomicU64,
}

/// A caller with tasks of its own, as it knows them.
struct Caller {
    shared: Arc<Shared>,
    random: fastrand::Rng,
    tasks: Vec<(Task, Option<Execution>)>,
}

impl Caller {
    async fn run(mut self) -> Outcome<()> {
        loop {
            let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
            match self.random.u8(..) {
                0..50 => self.create(number).await?,
                50..120 => self.change(number).await?,
                120..180 => self.append(number).await?,
                180..235 => self.execute(number).await?,
                235.. => self.delete(number).await?,
            }
        }
    }

    fn task(&self, number: u64) -> Outcome<Task> {
        let now = SystemClock.now();
        let mut request = TaskRequest::named(number.to_string().parse()?);
        request.metadata = Metadata::try_from(json!({ "deed": number }))?;
        Ok(Task::new(self.shared.ids.task_id(now), request, now))
    }

    async fn create(&mut self, number: u64) -> Outcome<()> {
        let count = if self.random.u8(..8) == 0 { self.random.usize(2..40) } else { 1 };
        let new = (0..count).map(|_| self.task(number)).collect::<Outcome<Vec<_>>>()?;
        let what = What::Create(new.iter().map(|task| task.id.clone()).collect());
        if attempt(number, what, self.shared.registry.bulk_insert(&new)).await? {
            self.tasks.extend(new.into_iter().map(|task| (task, None)));
        }
        Ok(())
    }

    /// A place among the tasks; none when there are none.
    fn any(&mut self) -> Option<usize> {
        (!self.tasks.is_empty()).then(|| self.random.usize(..self.tasks.len()))
    }

    async fn change(&mut self, number: u64) -> Outcome<()> {
        let Some(first) = self.any() else { return Ok(()) };
        let several = if self.random.u8(..8) == 0 { 5 } else { 1 };
        let places: Vec<_> = (first..self.tasks.len()).take(several).collect();
        let changes = places
            .iter()
            .map(|place| changed(&self.tasks[*place].0, number))
            .collect::<Outcome<Vec<_>>>()?;
        let what = What::Change(changes.iter().map(|c| c.after.id.clone()).collect());
        if !attempt(number, what, self.shared.registry.bulk_update(&changes)).await? {
            return Ok(());
        }
        for (place, change) in places.into_iter().zip(changes) {
            self.tasks[place].0 = change.after;
        }
        Ok(())
    }

    async fn append(&mut self, number: u64) -> Outcome<()> {
        let Some(place) = self.any() else { return Ok(()) };
        let id = self.tasks[place].0.id.clone();
        let count = self.random.u64(1..6);
        let facts: Vec<_> = (0..count).map(|_| fact(number).into()).collect();
        let what = What::Append(id.clone(), count);
        attempt(number, what, self.shared.registry.append(&id, &facts)).await.map(drop)
    }

    async fn execute(&mut self, number: u64) -> Outcome<()> {
        let Some(place) = self.any() else { return Ok(()) };
        let now = SystemClock.now();
        let (task, running) = &mut self.tasks[place];
        if let Some(execution) = running {
            let end = ExecutionEnd {
                status: ExecutionStatus::Exited,
                exit_code: Some(0),
                at: now,
                stdout_bytes: number,
                stderr_bytes: 0,
                usage: None,
            };
            let what = What::End(task.id.clone(), execution.id.clone());
            if attempt(number, what, self.shared.registry.end_execution(execution, &end)).await? {
                *running = None;
            }
            return Ok(());
        }
        let execution = Execution {
            id: ExecutionId::parse(format!("e{number}"))?,
            task: task.id.clone(),
            agent: AgentId::parse("torture")?,
            command: CommandLine::Shell("true".to_owned()),
            cwd: "/workspace".to_owned(),
            instance: InstanceId::parse("torture")?,
            started_at: now,
            end: None,
        };
        let what = What::Begin(task.id.clone(), execution.id.clone());
        if attempt(number, what, self.shared.registry.begin_execution(&execution, &[])).await? {
            *running = Some(execution);
        }
        Ok(())
    }

    async fn delete(&mut self, number: u64) -> Outcome<()> {
        let Some(place) = self.any() else { return Ok(()) };
        let (task, _) = &self.tasks[place];
        let event = TaskEvent::Deleted { name: number.to_string() };
        let what = What::Delete(task.id.clone());
        let deleting = self.shared.registry.delete(&task.id, task.version, event.into());
        if attempt(number, what, deleting).await? {
            self.tasks.swap_remove(place);
        }
        Ok(())
    }
}

fn fact(number: u64) -> TaskEvent {
    TaskEvent::CollectFailed { reason: number.to_string() }
}

fn changed(task: &Task, number: u64) -> Outcome<Change> {
    let mut after = task.clone();
    after.version += 1;
    after.metadata = Metadata::try_from(json!({ "deed": number }))?;
    let events = vec![fact(number).into(), fact(number).into()];
    Ok(Change { expected: task.version, after, events })
}

/// Does a deed and says so. False when it was refused, which leaves nothing of it.
async fn attempt<T>(
    number: u64,
    what: What,
    deed: impl Future<Output = Result<T, RegistryError>>,
) -> Outcome<bool> {
    say(&Said::Begun(Deed { number, what }))?;
    match deed.await {
        Ok(_) => say(&Said::Done(number)).map(|()| true),
        Err(error @ RegistryError::Unanswered) => Err(error.into()),
        Err(error) => {
            let (code, why) = (error.code().as_str().to_owned(), chain(&error));
            say(&Said::Refused { number, code, why }).map(|()| false)
        }
    }
}

/// A line at a time, which no other line is mixed with.
fn say(said: &Said) -> Outcome<()> {
    let line = serde_json::to_string(said)? + "\n";
    Ok(std::io::stdout().lock().write_all(line.as_bytes())?)
}
