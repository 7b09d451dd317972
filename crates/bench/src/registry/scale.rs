//! Many tasks: making them, and what one operation takes when they are there.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use armor_core::config::Durability;
use armor_core::id::{RandomIds, TaskId};
use armor_core::task::{Task, TaskStatus};
use armor_core::time::SystemClock;
use armor_registry::{Order, Registry, SqliteRegistry, TaskQuery};
use rusqlite::{Connection, OpenFlags};

use super::memory;
use super::raw::{self, Raw};
use super::sample::Sample;
use crate::row::{Row, Subject, Target, Unit};
use crate::times::{Side, Times, order};
use crate::{Effort, Outcome};

/// How many tasks there are.
struct Numbers {
    /// When memory is looked at first.
    few: usize,
    /// Made one by one.
    one_by_one: usize,
    /// Made in bulk, in turns of this many with the baseline.
    bulk: usize,
    /// In the end.
    all: usize,
    /// Single operations, then.
    operations: usize,
}

/// A page as a user asks for it.
const PAGE: u32 = 50;
/// How many turns the bulk takes.
const TURNS: usize = 10;

struct Scale {
    ours: SqliteRegistry,
    raw: Raw,
    file: std::path::PathBuf,
    _folder: tempfile::TempDir,
    made: usize,
    /// Some of those that are there.
    known: Vec<TaskId>,
}

/// Measures all of it.
pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let numbers = match effort {
        Effort::Quick => {
            Numbers { few: 1_000, one_by_one: 2_000, bulk: 5_000, all: 20_000, operations: 200 }
        }
        Effort::Full => Numbers {
            few: 10_000,
            one_by_one: 100_000,
            bulk: 100_000,
            all: 1_000_000,
            operations: 2_000,
        },
    };
    let mut scale = Scale::open().await?;
    let mut rows = Vec::new();
    scale.fill(numbers.few).await?;
    let memory_of_few = memory::of_reading(&scale.file)?;
    rows.push(scale.one_by_one(numbers.one_by_one).await?);
    rows.push(scale.bulk(numbers.bulk).await?);
    scale.fill(numbers.all).await?;
    rows.extend(scale.operations(&numbers).await?);
    scale.ours.close().await;
    let subject = Subject {
        area: "registry",
        name: format!("memory, reading {}", told(numbers.all)),
        unit: Unit::Mebibytes,
        baseline: "with few tasks",
        target: Some(Target::MoreByAtMost(10.0)),
    };
    rows.push(Row::plain(subject, memory::of_reading(&scale.file)?, memory_of_few));
    Ok(rows)
}

/// 20,000 as `20k`, a million as `1M`.
fn told(number: usize) -> String {
    match number {
        number if number.is_multiple_of(1_000_000) => format!("{}M", number / 1_000_000),
        number if number.is_multiple_of(1_000) => format!("{}k", number / 1_000),
        number => number.to_string(),
    }
}

fn subject(name: String, unit: Unit, baseline: &'static str, target: Option<Target>) -> Subject {
    Subject { area: "registry", name, unit, baseline, target }
}

impl Scale {
    async fn open() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("ours.db");
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
        let ours = SqliteRegistry::open(&file, Durability::Full, clock, ids).await?;
        let raw = Raw::open(&folder.path().join("raw.db"), &file)?;
        Ok(Self { ours, raw, file, _folder: folder, made: 0, known: Vec::new() })
    }

    fn samples(&mut self, count: usize) -> Outcome<Vec<Sample>> {
        let samples =
            (self.made..self.made + count).map(Sample::new).collect::<Outcome<Vec<_>>>()?;
        self.made += count;
        let some = samples.iter().step_by(97);
        self.known.extend(some.map(|sample| sample.task.id.clone()));
        Ok(samples)
    }

    /// Makes tasks, until there are so many. One in a hundred runs.
    async fn fill(&mut self, all: usize) -> Outcome {
        while self.made < all {
            let samples = self.samples((all - self.made).min(5_000))?;
            let mut tasks: Vec<Task> = samples.into_iter().map(|sample| sample.task).collect();
            for task in tasks.iter_mut().step_by(100) {
                task.status = TaskStatus::Running;
            }
            self.ours.bulk_insert(&tasks).await?;
        }
        Ok(())
    }

    async fn one_by_one(&mut self, count: usize) -> Outcome<Row> {
        let samples = self.samples(count)?;
        let mut times = Times::new()?;
        let start = Instant::now();
        for sample in &samples {
            self.ours.create(&sample.task).await?;
        }
        times.took(Side::Ours, start.elapsed());
        let start = Instant::now();
        for sample in &samples {
            self.raw.create(&sample.row, &sample.created)?;
        }
        times.took(Side::Baseline, start.elapsed());
        let target = Target::P99Below(Duration::from_secs(30));
        let name = format!("{} creates one by one", told(count));
        Ok(Row::new(subject(name, Unit::Seconds, "raw rusqlite", Some(target)), &times))
    }

    async fn bulk(&mut self, count: usize) -> Outcome<Row> {
        let mut times = Times::new()?;
        let share = count / TURNS;
        for turn in 0..=TURNS {
            let samples = self.samples(share)?;
            let tasks: Vec<Task> = samples.iter().map(|sample| sample.task.clone()).collect();
            for side in order(turn) {
                let start = Instant::now();
                match side {
                    Side::Ours => self.ours.bulk_insert(&tasks).await?,
                    Side::Baseline => self.raw.bulk(&samples)?,
                }
                times.took(side, start.elapsed() / u32::try_from(share)?);
            }
            if turn == 0 {
                times.forget();
            }
        }
        // 0.6 times the baseline's speed.
        let target = Target::Ratio(1.0 / 0.6);
        let name = format!("{} in bulk, each", told(count));
        Ok(Row::new(subject(name, Unit::Micros, "raw, one transaction", Some(target)), &times))
    }

    /// Single operations, with all the tasks there.
    async fn operations(&mut self, numbers: &Numbers) -> Outcome<Vec<Row>> {
        let mut beside = Beside::open(&self.file)?;
        let new = self.made..self.made + numbers.operations;
        let fresh = new.map(Sample::new).collect::<Outcome<Vec<_>>>()?;
        let all = told(numbers.all);
        let below = |micros| Some(Target::P99Below(Duration::from_micros(micros)));
        let mut rows = Vec::new();

        let mut get = Times::new()?;
        let step = (self.known.len() / numbers.operations).max(1);
        for (turn, id) in self.known.iter().step_by(step).enumerate() {
            for side in order(turn) {
                match side {
                    Side::Ours => drop(get.ours(self.ours.get(id)).await?),
                    Side::Baseline => {
                        get.baseline(async { beside.task.get(id.as_str()) }).await?;
                    }
                }
            }
        }
        rows.push((format!("get of {all}"), get, below(200)));

        let page = TaskQuery { limit: PAGE, ..TaskQuery::default() };
        let running = TaskQuery { status: Some(TaskStatus::Running), ..page.clone() };
        let mut first = Times::new()?;
        let mut by_status = Times::new()?;
        let mut deep = Times::new()?;
        let mut after = None;
        for turn in 0..numbers.operations {
            for side in order(turn) {
                match side {
                    Side::Ours => {
                        first.ours(self.ours.list(&page)).await?;
                        by_status.ours(self.ours.list(&running)).await?;
                        let next = TaskQuery { after, order: Order::OldestFirst, ..page.clone() };
                        after = deep.ours(self.ours.list(&next)).await?.next;
                    }
                    Side::Baseline => {
                        first.baseline(async { beside.page("TRUE") }).await?;
                        by_status.baseline(async { beside.page("status = 'running'") }).await?;
                    }
                }
            }
        }
        rows.push((format!("list page of {all}"), first, below(5_000)));
        rows.push((format!("next pages of {all}"), deep, below(5_000)));
        rows.push((format!("by status of {all}"), by_status, below(5_000)));

        let mut rare = Times::new()?;
        let mut common = Times::new()?;
        for turn in 0..numbers.operations {
            // A word of one task's name, and words that every task has.
            let number = (turn * 7919) % numbers.all;
            if rare.ours(self.ours.find(&format!("part {number}"), PAGE)).await?.is_empty() {
                return Err(format!("task {number} was not found").into());
            }
            common.ours(self.ours.find("parser last", PAGE)).await?;
        }
        rows.push((format!("find one of {all}"), rare, below(5_000)));
        rows.push((format!("find in all of {all}"), common, below(5_000)));

        let (mut update, mut delete) = (Times::new()?, Times::new()?);
        for (turn, sample) in fresh.iter().enumerate() {
            self.ours.create(&sample.task).await?;
            self.raw.create(&sample.row, &sample.created)?;
            for side in order(turn) {
                match side {
                    Side::Ours => {
                        update.ours(self.ours.commit(&sample.change)).await?;
                        let (id, version) = (&sample.task.id, sample.change.after.version);
                        let deletion = self.ours.delete(id, version, sample.deletion.clone());
                        delete.ours(deletion).await?;
                    }
                    Side::Baseline => {
                        let work = async { self.raw.update(&sample.changed, &sample.updated) };
                        update.baseline(work).await?;
                        let work = async { self.raw.delete(&sample.changed, &sample.deleted) };
                        delete.baseline(work).await?;
                    }
                }
            }
        }
        rows.push((format!("update with {all}"), update, below(1_000)));
        rows.push((format!("delete with {all}"), delete, below(1_000)));
        Ok(rows
            .into_iter()
            .map(|(name, times, target)| {
                Row::new(subject(name, Unit::Micros, "raw rusqlite", target), &times)
            })
            .collect())
    }
}

/// Raw reads of our own file.
struct Beside {
    task: Raw,
    connection: Connection,
}

impl Beside {
    fn open(file: &Path) -> Outcome<Self> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self { task: Raw::of(raw::open(file)?), connection })
    }

    fn page(&mut self, filter: &str) -> rusqlite::Result<Vec<String>> {
        let sql = format!(
            "SELECT {}, request, number FROM tasks WHERE {filter}
             ORDER BY created_at DESC, number DESC LIMIT {}",
            raw::TASK_COLUMNS,
            PAGE + 1
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([], |row| raw::task_row(row).map(|task| task.id))?;
        rows.collect()
    }
}
