//! Events: to subscribers in the process, into the log, out of it again, and to another process.

mod memory_log;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use armor_core::config::Durability;
use armor_core::event::{Event, EventLog, EventPayload, Seq, TaskEvent};
use armor_core::id::{IdSource, RandomIds, TaskId};
use armor_core::time::{Clock, SystemClock};
use armor_events::{Bus, Pattern, Selection, Start};
use armor_registry::{Registry, SqliteRegistry};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{broadcast, mpsc};

use crate::row::{Row, Subject, Target, Unit};
use crate::times::{Side, Times, order};
use crate::{Effort, Outcome};
use memory_log::MemoryLog;

/// How many events come in one commit, where throughput is measured.
const GROUP: usize = 64;

/// Measures the area.
pub(crate) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (rounds, events) = match effort {
        Effort::Quick => (5, 2_000),
        Effort::Full => (10, 20_000),
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.db");
    let registry = open(&file).await?;
    let below = |time| Some(Target::P99Below(time));
    Ok(vec![
        row(
            "emit to a subscriber",
            "bare broadcast",
            Some(Target::P50Below(Duration::from_micros(10))),
            &emit(rounds * events / 10).await?,
        ),
        row(
            "one subscriber, each",
            "bare broadcast",
            // 500,000 a second.
            Some(Target::P50Below(Duration::from_micros(2))),
            &throughput(rounds, events).await?,
        ),
        row(
            "emit into the log",
            "one-row INSERT",
            below(Duration::from_millis(1)),
            &persisted(&registry, folder.path(), rounds * events / 20).await?,
        ),
        row(
            "to another process",
            "-",
            below(Duration::from_millis(100)),
            &across(&registry, &file, rounds * 20).await?,
        ),
        row(
            "replay, each",
            "raw rusqlite",
            // 200,000 a second.
            Some(Target::P50Below(Duration::from_micros(5))),
            &replay(&registry, &file, rounds, events * 5).await?,
        ),
    ])
}

fn row(name: &str, baseline: &'static str, target: Option<Target>, times: &Times) -> Row {
    let (name, unit) = (name.to_owned(), Unit::Micros);
    Row::new(Subject { area: "events", name, unit, baseline, target }, times)
}

async fn open(file: &Path) -> Outcome<Arc<SqliteRegistry>> {
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
    Ok(Arc::new(SqliteRegistry::open(file, Durability::Full, clock, ids).await?))
}

fn task() -> TaskId {
    RandomIds::default().task_id(SystemClock.now())
}

fn fact() -> EventPayload {
    TaskEvent::CollectFailed { reason: "no engine answers".to_owned() }.into()
}

/// From the commit being told of to a task that subscribes having the event. Both are tasks of the
/// runtime, as the writer and a program's subscribers are.
async fn emit(events: usize) -> Outcome<Times> {
    let emitting = tokio::spawn(async move {
        let (log, other) = (Arc::new(MemoryLog::new()), MemoryLog::new());
        let bus = Bus::start(log.clone()).await?;
        let mut subscription = bus.subscribe(Pattern::ALL);
        let (tell, mut received) = mpsc::unbounded_channel();
        let tell_too = tell.clone();
        tokio::spawn(async move {
            while let Ok(Some(_)) = subscription.next().await {
                // An error says that the measuring is over.
                let _told = tell.send(Instant::now());
            }
        });
        let (bare, mut receiver) = broadcast::channel::<Arc<Event>>(1024);
        tokio::spawn(async move {
            while receiver.recv().await.is_ok() {
                let _told = tell_too.send(Instant::now());
            }
        });
        let mut times = Times::new()?;
        for turn in 0..events + 100 {
            for side in order(turn) {
                let start = match side {
                    Side::Ours => {
                        let group = log.next(1);
                        let start = Instant::now();
                        log.tell(group);
                        start
                    }
                    Side::Baseline => {
                        let event = other.next(1)[0].clone();
                        let start = Instant::now();
                        bare.send(event)?;
                        start
                    }
                };
                let end = received.recv().await.ok_or("the subscriber is gone")?;
                times.took(side, end - start);
            }
            if turn == 100 {
                times.forget();
            }
        }
        Outcome::Ok(times)
    });
    emitting.await?
}

/// As many events as go through, in groups as the writer commits them.
async fn throughput(rounds: usize, events: usize) -> Outcome<Times> {
    let mut times = Times::new()?;
    let number = u32::try_from(events)?;
    for turn in 0..=rounds {
        let log = Arc::new(MemoryLog::new());
        let groups: Vec<_> = (0..events.div_ceil(GROUP)).map(|_| log.next(GROUP)).collect();
        for side in order(turn) {
            let start = match side {
                Side::Ours => {
                    let bus = Bus::start(log.clone()).await?;
                    let mut subscription = bus.subscribe(Pattern::ALL);
                    let start = Instant::now();
                    for group in &groups {
                        log.tell(group.clone());
                        for _ in 0..GROUP {
                            subscription.next().await?.ok_or("the bus is gone")?;
                        }
                    }
                    start
                }
                Side::Baseline => {
                    let (bare, mut receiver) = broadcast::channel::<Arc<Event>>(1024);
                    let start = Instant::now();
                    for group in &groups {
                        for event in group.iter() {
                            bare.send(event.clone())?;
                        }
                        for _ in 0..GROUP {
                            receiver.recv().await?;
                        }
                    }
                    start
                }
            };
            times.took(side, start.elapsed() / number);
        }
        if turn == 0 {
            times.forget();
        }
    }
    Ok(times)
}

/// One event, durably.
async fn persisted(registry: &SqliteRegistry, folder: &Path, events: usize) -> Outcome<Times> {
    let mut times = Times::new()?;
    let mut disk = crate::registry::Disk::open(folder)?;
    let (task, fact) = (task(), [fact()]);
    for turn in 0..events + 50 {
        for side in order(turn) {
            match side {
                Side::Ours => times.ours(registry.append(&task, &fact)).await?,
                Side::Baseline => drop(times.baseline(async { disk.commit() }).await?),
            }
        }
        if turn == 50 {
            times.forget();
        }
    }
    Ok(times)
}

/// From before the commit here to a subscriber of another opening of the same file having it.
async fn across(ours: &SqliteRegistry, file: &Path, events: usize) -> Outcome<Times> {
    let mut times = Times::new()?;
    let theirs = open(file).await?;
    let bus = Bus::start(theirs.clone()).await?;
    let mut subscription = bus.subscribe(Pattern::ALL);
    let (task, fact) = (task(), [fact()]);
    for _ in 0..events {
        let start = Instant::now();
        ours.append(&task, &fact).await?;
        subscription.next().await?.ok_or("the bus is gone")?;
        times.took(Side::Ours, start.elapsed());
    }
    drop(bus);
    theirs.close().await;
    Ok(times)
}

/// The whole log through a follower, beside its rows read by rusqlite.
async fn replay(
    registry: &Arc<SqliteRegistry>,
    file: &Path,
    rounds: usize,
    events: usize,
) -> Outcome<Times> {
    let mut times = Times::new()?;
    let facts = vec![fact(); 200];
    while registry.head().await?.0 < events as u64 {
        registry.append(&task(), &facts).await?;
    }
    let head = registry.head().await?;
    let number = u32::try_from(head.0)?;
    let bus = Bus::start(registry.clone()).await?;
    let raw = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    for turn in 0..=rounds {
        for side in order(turn) {
            let start = Instant::now();
            match side {
                Side::Ours => {
                    let from = Start::After(Seq::START);
                    let mut follower = bus.follow(from, Selection::ALL).await?;
                    while follower.next().await?.ok_or("the bus is gone")?.seq < head {}
                }
                Side::Baseline => {
                    let mut statement = raw.prepare_cached(
                        "SELECT seq, id, task_id, task_seq, at, name, payload_version, payload
                         FROM events ORDER BY seq",
                    )?;
                    let rows = statement.query_map([], |row| {
                        let (seq, id, task): (i64, String, String) =
                            (row.get(0)?, row.get(1)?, row.get(2)?);
                        let (name, payload): (String, String) = (row.get(5)?, row.get(7)?);
                        Ok((seq, id, task, name, payload))
                    })?;
                    for row in rows {
                        std::hint::black_box(row?);
                    }
                }
            }
            times.took(side, start.elapsed() / number);
        }
        if turn == 0 {
            times.forget();
        }
    }
    Ok(times)
}
