//! The load tests: what R90 of the specification asks for, as it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use armor_core::config::Durability;
use armor_core::event::EventLog;
use armor_core::id::RandomIds;
use armor_core::task::TaskStatus;
use armor_core::time::SystemClock;
use armor_registry::{Registry, RegistryError, SqliteRegistry, TaskQuery};
use tokio::task::JoinSet;

use super::sample::Sample;
use crate::row::{Row, Subject, Target, Unit};
use crate::times::{Side, Times};
use crate::{Effort, Outcome};

/// How many callers create a task each at the same time.
const AT_ONCE: usize = 1_000;
const PAGE: u32 = 50;

/// Creates tasks one by one and at once, then reads, changes and deletes among them.
pub(crate) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (first, then, operations) = match effort {
        Effort::Quick => (1_000, 10_000, 200),
        Effort::Full => (10_000, 100_000, 2_000),
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("load.db");
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
    let registry = Arc::new(SqliteRegistry::open(&file, Durability::Full, clock, ids).await?);
    let mut rows = Vec::new();
    for (count, limit) in [(first, 60), (then, 60)] {
        let (total, each) = one_by_one(&registry, count).await?;
        let limit = Target::P99Below(Duration::from_secs(limit));
        rows.push(row(format!("{count} creates, total"), Unit::Seconds, Some(limit), &total));
        rows.push(row(format!("{count} creates, each"), Unit::Micros, Some(below(1)), &each));
    }
    let (total, each) = at_once(&registry).await?;
    rows.push(row(format!("{AT_ONCE} creates at once, total"), Unit::Millis, None, &total));
    rows.push(row(format!("{AT_ONCE} creates at once, each"), Unit::Millis, None, &each));
    rows.extend(among_many(&registry, operations).await?);
    registry.close().await;
    Ok(rows)
}

const fn below(millis: u64) -> Target {
    Target::P99Below(Duration::from_millis(millis))
}

fn row(name: String, unit: Unit, target: Option<Target>, times: &Times) -> Row {
    Row::new(Subject { area: "load", name, unit, baseline: "-", target }, times)
}

/// The time of all, and of each.
async fn one_by_one(registry: &SqliteRegistry, count: usize) -> Outcome<(Times, Times)> {
    let samples = (0..count).map(Sample::new).collect::<Outcome<Vec<_>>>()?;
    let (mut total, mut each) = (Times::new()?, Times::new()?);
    let start = Instant::now();
    for sample in &samples {
        each.ours(registry.create(&sample.task)).await?;
    }
    total.took(Side::Ours, start.elapsed());
    Ok((total, each))
}

/// The same, of callers that all come at the same moment: each waits for those before it.
async fn at_once(registry: &Arc<SqliteRegistry>) -> Outcome<(Times, Times)> {
    let samples = (0..AT_ONCE).map(Sample::new).collect::<Outcome<Vec<_>>>()?;
    let (mut total, mut each) = (Times::new()?, Times::new()?);
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for sample in samples {
        let registry = Arc::clone(registry);
        callers.spawn(async move {
            let start = Instant::now();
            registry.create(&sample.task).await?;
            Ok::<_, RegistryError>(start.elapsed())
        });
    }
    while let Some(took) = callers.join_next().await {
        each.took(Side::Ours, took??);
    }
    total.took(Side::Ours, start.elapsed());
    Ok((total, each))
}

async fn among_many(registry: &SqliteRegistry, operations: usize) -> Outcome<Vec<Row>> {
    let page = TaskQuery { limit: PAGE, ..TaskQuery::default() };
    let pending = TaskQuery { status: Some(TaskStatus::Pending), ..page.clone() };
    let owned = TaskQuery { owner: Some("bench".to_owned()), ..page.clone() };
    let mut all = (0..8).map(|_| Times::new()).collect::<Result<Vec<_>, _>>()?;
    let [read, list, by_status, by_owner, find, update, emit, delete] = all.as_mut_slice() else {
        return Err("there are eight operations".into());
    };
    for number in 0..operations {
        let sample = Sample::new(number)?;
        registry.create(&sample.task).await?;
        read.ours(registry.get(&sample.task.id)).await?;
        list.ours(registry.list(&page)).await?;
        by_status.ours(registry.list(&pending)).await?;
        by_owner.ours(registry.list(&owned)).await?;
        find.ours(registry.find("parser", PAGE)).await?;
        update.ours(registry.commit(&sample.change)).await?;
        emit.ours(registry.append(&sample.task.id, &sample.change.events)).await?;
        let version = sample.change.after.version;
        delete.ours(registry.delete(&sample.task.id, version, sample.deletion)).await?;
    }
    let tasks = registry.statistics().await?.total;
    let events = registry.head().await?;
    let names = [
        ("read", 1),
        ("list a page", 5),
        ("by status", 5),
        ("by owner", 5),
        ("find", 5),
        ("update", 5),
        ("emit an event", 1),
        ("delete", 5),
    ];
    let rows = names.iter().zip(&all).map(|((name, limit), times)| {
        let name = format!("{name}, {tasks} tasks, {events} events");
        row(name, Unit::Micros, Some(below(*limit)), times)
    });
    Ok(rows.collect())
}
