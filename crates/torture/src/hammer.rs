//! Several processes that raise one counter: no error reaches a caller, no update is lost (R13).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use armor_core::event::TaskEvent;
use armor_core::id::{IdSource, RandomIds, TaskId};
use armor_core::task::{Change, Metadata, Task, TaskError, TaskRequest};
use armor_core::time::{Clock, SystemClock};
use armor_registry::{EventQuery, Registry};
use serde_json::{Value, json};

use crate::Outcome;
use crate::home::Home;

/// How many callers a process has, and how often each raises the counter.
const CALLERS: u64 = 8;
const TIMES: u64 = 25;

/// Starts so many processes, waits for their end and counts.
pub(crate) async fn run(processes: u64) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let home = Home::open(folder.path()).await?;
    let now = SystemClock.now();
    let request = TaskRequest::named("counter".parse()?);
    let task = Task::new(RandomIds::default().task_id(now), request, now);
    home.registry.create(&task).await?;
    let start = Instant::now();
    let running = (0..processes).map(|_| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("count").arg(folder.path()).arg(task.id.as_str()).spawn()
    });
    for process in running.collect::<Result<Vec<_>, _>>()? {
        let output = process.wait_with_output()?;
        if !output.status.success() {
            return Err("an error reached a caller".into());
        }
    }
    let raised = processes * CALLERS * TIMES;
    let counted = count_of(&home.registry.get(&task.id).await?);
    let events = home.registry.events(&task.id, EventQuery::default()).await?;
    let damage = home.registry.check().await?;
    if counted != raised || events.len() as u64 != 1 + raised || !damage.is_empty() {
        let events = events.len();
        return Err(format!("{raised} times raised, {counted}, {events} events; {damage:?}").into());
    }
    let took = start.elapsed().as_secs_f64();
    Ok(format!("{processes} processes raised a counter {raised} times in {took:.1} s, none lost"))
}

/// What one of the processes does.
pub(crate) async fn count(home: &Path, task: &str) -> Outcome<()> {
    let home = Home::open(home).await?;
    let task = TaskId::parse(task)?;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (registry, task): (Arc<dyn Registry>, _) = (home.registry.clone(), task.clone());
        callers.spawn(async move {
            for _ in 0..TIMES {
                registry.change(&task, &raised).await??;
            }
            Outcome::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    home.registry.close().await;
    Ok(())
}

fn count_of(task: &Task) -> u64 {
    task.metadata.as_map().get("count").and_then(Value::as_u64).unwrap_or(0)
}

#[allow(clippy::unnecessary_wraps, reason = "a change may be refused; this one is not")]
fn raised(task: &Task) -> Result<Change, TaskError> {
    let mut after = task.clone();
    after.version += 1;
    let count = count_of(task) + 1;
    after.metadata = Metadata::try_from(json!({ "count": count })).unwrap_or_default();
    let events = vec![TaskEvent::CollectFailed { reason: count.to_string() }.into()];
    Ok(Change { expected: task.version, after, events })
}
