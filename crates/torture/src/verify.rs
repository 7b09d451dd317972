//! What has to hold after a kill, whenever it came.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use armor_core::event::{Event, EventPayload, ExecutionEvent, Seq, TaskEvent};
use armor_core::id::TaskId;
use armor_core::task::Task;
use armor_persistence::{audit, state};
use armor_registry::{EventQuery, Order, TaskQuery};

use crate::Outcome;
use crate::deed::{Deed, Said, What};
use crate::home::Home;

/// How long the consumers may take to catch up.
const LIMIT: Duration = Duration::from_mins(2);

/// Everything that was said of a home since it was made.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) begun: BTreeMap<u64, Deed>,
    pub(crate) done: HashSet<u64>,
    /// Those that were refused, with the code.
    pub(crate) refused: HashMap<u64, String>,
}

impl History {
    pub(crate) fn add(&mut self, said: Said) {
        match said {
            Said::Begun(deed) => drop(self.begun.insert(deed.number, deed)),
            Said::Done(number) => drop(self.done.insert(number)),
            Said::Refused { number, code, .. } => drop(self.refused.insert(number, code)),
        }
    }
}

/// What a check found, when all is well.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    /// Deeds that were not acknowledged and are there all the same, as a whole.
    pub(crate) unacknowledged: u64,
    /// Events in the log.
    pub(crate) events: u64,
}

/// Opens the home again and checks it against its history.
pub(crate) async fn verify(path: &Path, history: &History) -> Outcome<Found> {
    let home = Home::open(path).await?;
    let damage = home.registry.check().await?;
    if !damage.is_empty() {
        return Err(format!("the database is damaged: {}", damage.join("; ")).into());
    }
    let log = whole_log(&home).await?;
    let found = deeds_are_whole(&log, history)?;
    rows_agree(&home, &log, history).await?;
    files_agree(&home, &log).await?;
    home.consumers.stop(LIMIT).await;
    home.registry.close().await;
    Ok(found)
}

async fn whole_log(home: &Home) -> Outcome<Vec<Event>> {
    let mut log = Vec::new();
    let mut places: HashMap<TaskId, u64> = HashMap::new();
    loop {
        let batch = home.registry.read_after(Seq(log.len() as u64), 1000, None).await?;
        if batch.is_empty() {
            return Ok(log);
        }
        for stored in batch {
            let event = stored?;
            if event.seq.0 != log.len() as u64 + 1 {
                return Err(format!("the log has a gap before {}", event.seq).into());
            }
            let task = event.task().ok_or("an event without a task")?;
            let place = places.entry(task.clone()).or_default();
            *place += 1;
            if event.task_seq() != *place {
                return Err(format!("task {task} has a gap before its event {place}").into());
            }
            log.push(event);
        }
    }
}

/// The deed that left an event.
fn cause(event: &Event, history: &History) -> Outcome<u64> {
    let number = match &event.payload {
        EventPayload::Task(TaskEvent::Created { name, .. } | TaskEvent::Deleted { name }) => name,
        EventPayload::Task(TaskEvent::CollectFailed { reason }) => reason,
        EventPayload::Execution(ExecutionEvent::Started { execution, .. }) => {
            return Ok(execution.as_str().trim_start_matches('e').parse()?);
        }
        EventPayload::Execution(ExecutionEvent::Finished { stdout_bytes, .. }) => {
            return Ok(*stdout_bytes);
        }
        other => return Err(format!("nobody did this: {other:?}").into()),
    };
    let number = number.parse()?;
    if history.begun.contains_key(&number) {
        Ok(number)
    } else {
        Err(format!("deed {number} was never begun").into())
    }
}

/// Each deed left all of its events or none; each that was acknowledged left them all.
fn deeds_are_whole(log: &[Event], history: &History) -> Outcome<Found> {
    let mut left: HashMap<u64, u64> = HashMap::new();
    for event in log {
        *left.entry(cause(event, history)?).or_default() += 1;
    }
    let mut found = Found { events: log.len() as u64, ..Found::default() };
    for (number, deed) in &history.begun {
        let (left, whole) = (left.get(number).copied().unwrap_or(0), deed.events());
        let is_done = history.done.contains(number);
        if left > 0 && history.refused.contains_key(number) {
            return Err(format!("{deed:?} was refused and left {left} events").into());
        }
        if left != whole && (is_done || left > 0) {
            return Err(format!("{deed:?} (acknowledged: {is_done}) left {left} events").into());
        }
        found.unacknowledged += u64::from(!is_done && left == whole);
    }
    Ok(found)
}

/// What the log says of a task's row.
#[derive(Debug, Default)]
struct Expected {
    version: u64,
    deed: u64,
    running: HashSet<String>,
    ended: HashSet<String>,
}

/// The rows are what the log says.
async fn rows_agree(home: &Home, log: &[Event], history: &History) -> Outcome<()> {
    let mut expected: HashMap<TaskId, Expected> = HashMap::new();
    let mut seen = HashSet::new();
    for event in log {
        let number = cause(event, history)?;
        let deed = &history.begun[&number];
        let task = event.task().ok_or("an event without a task")?;
        if matches!(deed.what, What::Delete(_)) {
            expected.remove(task);
            continue;
        }
        // A change counts once a task, whatever number of events it leaves.
        let is_first = seen.insert((number, task.clone()));
        let row = expected.entry(task.clone()).or_default();
        match &deed.what {
            What::Create(_) | What::Change(_) if is_first => {
                row.version += 1;
                row.deed = number;
            }
            What::Begin(_, execution) => {
                row.running.insert(execution.to_string());
            }
            What::End(_, execution) => {
                row.running.remove(execution.as_str());
                row.ended.insert(execution.to_string());
            }
            _ => {}
        }
    }
    let rows = all_tasks(home).await?;
    if rows.len() != expected.len() {
        return Err(format!("{} tasks are there, not {}", rows.len(), expected.len()).into());
    }
    for task in rows {
        let row = expected.get(&task.id).ok_or_else(|| format!("{} was deleted", task.id))?;
        let executions = home.registry.executions(&task.id, u32::MAX).await?;
        let (ended, running): (HashSet<_>, HashSet<_>) = (
            executions.iter().filter(|e| e.end.is_some()).map(|e| e.id.to_string()).collect(),
            executions.iter().filter(|e| e.end.is_none()).map(|e| e.id.to_string()).collect(),
        );
        if task.version != row.version
            || task.metadata.as_map()["deed"] != row.deed
            || (ended, running) != (row.ended.clone(), row.running.clone())
        {
            return Err(format!("{task:?} with {executions:?} is not {row:?}").into());
        }
    }
    Ok(())
}

async fn all_tasks(home: &Home) -> Outcome<Vec<Task>> {
    let mut query = TaskQuery { limit: 500, order: Order::OldestFirst, ..TaskQuery::default() };
    let mut tasks = Vec::new();
    loop {
        let page = home.registry.list(&query).await?;
        tasks.extend(page.items);
        query.after = page.next;
        if query.after.is_none() {
            return Ok(tasks);
        }
    }
}

/// The consumers come to the end of the log, and their files say what it says.
async fn files_agree(home: &Home, log: &[Event]) -> Outcome<()> {
    let end = Seq(log.len() as u64);
    if !home.consumers.caught_up(end, LIMIT).await {
        return Err("the consumers did not catch up".into());
    }
    let letters = home.registry.dead_letters(10).await?;
    if !letters.is_empty() {
        return Err(format!("consumers gave up: {letters:?}").into());
    }
    for task in all_tasks(home).await? {
        let folder = home.folders.of(&task.id);
        if state::load(&folder)? != task {
            return Err(format!("state.json of {} is not its row", task.id).into());
        }
        let lines = audit::verify(&folder)?.events;
        let events = home.registry.events(&task.id, EventQuery::default()).await?.len() as u64;
        if lines != events {
            return Err(format!("{lines} lines of {} are not {events} events", task.id).into());
        }
    }
    Ok(())
}
