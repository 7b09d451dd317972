//! The registry beside raw SQLite: one caller, each operation a durable commit of its own; many
//! callers at once; many tasks.
//!
//! Both files lie in one folder and have one schema and the same pragmas. The baseline gets its
//! rows ready made, so that only its statements are timed; ours also makes ids, serialises and
//! parses, as a caller of it would see.

mod disk;
pub(crate) mod load;
mod many;
mod memory;
mod raw;
mod sample;
mod scale;

pub(crate) use disk::Disk;
pub(crate) use memory::{READ, read_everything};

use std::sync::Arc;
use std::time::Duration;

use armor_core::config::Durability;
use armor_core::id::RandomIds;
use armor_core::time::SystemClock;
use armor_registry::{Registry, SqliteRegistry};
use tempfile::TempDir;

use crate::row::{Row, Subject, Target, Unit};
use crate::times::{Side, Times, order};
use crate::{Effort, Outcome};
use raw::Raw;
use sample::Sample;

/// The times of everything that is measured here.
struct All {
    create: Times,
    read: Times,
    update: Times,
    delete: Times,
    commit: Times,
    fsync: Times,
}

/// What is measured: ours, and what it stands beside.
struct Bench {
    // The connections below go first.
    ours: Arc<SqliteRegistry>,
    raw: Raw,
    disk: Disk,
    _folder: TempDir,
}

/// Measures the area.
pub(crate) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (rounds, tasks) = match effort {
        Effort::Quick => (5, 200),
        Effort::Full => (10, 1000),
    };
    let mut bench = Bench::open().await?;
    let mut all = All::new()?;
    bench.round(tasks, &mut all).await?;
    all.forget();
    for _ in 0..rounds {
        bench.round(tasks, &mut all).await?;
    }
    let mut rows = all.rows();
    let many = many::measure(effort, &bench.ours, &mut bench.raw).await?;
    rows.push(Row::new(many::subject(), &many));
    bench.ours.close().await;
    rows.extend(scale::measure(effort).await?);
    Ok(rows)
}

impl Bench {
    async fn open() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("ours.db");
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::default()));
        let ours = SqliteRegistry::open(&file, Durability::Full, clock, ids).await?;
        let ours = Arc::new(ours);
        let raw = Raw::open(&folder.path().join("raw.db"), &file)?;
        let disk = Disk::open(folder.path())?;
        Ok(Self { ours, raw, disk, _folder: folder })
    }

    /// Creates so many tasks, reads them, changes them, deletes them.
    async fn round(&mut self, tasks: usize, all: &mut All) -> Outcome {
        let samples = (0..tasks).map(Sample::new).collect::<Outcome<Vec<_>>>()?;
        for (turn, sample) in samples.iter().enumerate() {
            for side in order(turn) {
                match side {
                    Side::Ours => all.create.ours(self.ours.create(&sample.task)).await?,
                    Side::Baseline => {
                        let work = async { self.raw.create(&sample.row, &sample.created) };
                        all.create.baseline(work).await?;
                    }
                }
            }
        }
        for (turn, sample) in samples.iter().enumerate() {
            for side in order(turn) {
                let same = match side {
                    Side::Ours => {
                        all.read.ours(self.ours.get(&sample.task.id)).await? == sample.task
                    }
                    Side::Baseline => {
                        let work = async { self.raw.get(&sample.row.id) };
                        all.read.baseline(work).await? == sample.row
                    }
                };
                if !same {
                    return Err(format!("{side:?} read another task than was created").into());
                }
            }
        }
        for (turn, sample) in samples.iter().enumerate() {
            for side in order(turn) {
                match side {
                    Side::Ours => all.update.ours(self.ours.commit(&sample.change)).await?,
                    Side::Baseline => {
                        let work = async { self.raw.update(&sample.changed, &sample.updated) };
                        all.update.baseline(work).await?;
                    }
                }
            }
        }
        for (turn, sample) in samples.iter().enumerate() {
            for side in order(turn) {
                match side {
                    Side::Ours => {
                        let (id, version) = (&sample.task.id, sample.change.after.version);
                        let work = self.ours.delete(id, version, sample.deletion.clone());
                        all.delete.ours(work).await?;
                    }
                    Side::Baseline => {
                        let work = async { self.raw.delete(&sample.changed, &sample.deleted) };
                        all.delete.baseline(work).await?;
                    }
                }
            }
        }
        for _ in 0..tasks {
            all.commit.baseline(async { self.disk.commit() }).await?;
            all.fsync.baseline(async { self.disk.append_and_sync() }).await?;
        }
        Ok(())
    }
}

impl All {
    fn new() -> Outcome<Self> {
        Ok(Self {
            create: Times::new()?,
            read: Times::new()?,
            update: Times::new()?,
            delete: Times::new()?,
            commit: Times::new()?,
            fsync: Times::new()?,
        })
    }

    fn forget(&mut self) {
        let Self { create, read, update, delete, commit, fsync } = self;
        for times in [create, read, update, delete, commit, fsync] {
            times.forget();
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |name: &str, times, baseline, target: Option<Target>| {
            let (name, unit) = (name.to_owned(), Unit::Micros);
            Row::new(Subject { area: "registry", name, unit, baseline, target }, times)
        };
        let millis = |number| Some(Target::P99Below(Duration::from_millis(number)));
        vec![
            row("create", &self.create, "raw rusqlite", Some(Target::Ratio(2.0))),
            row("read", &self.read, "raw rusqlite", millis(1)),
            row("update", &self.update, "raw rusqlite", millis(5)),
            row("delete", &self.delete, "raw rusqlite", millis(5)),
            row("bare commit", &self.commit, "one-row INSERT", None),
            row("bare fsync", &self.fsync, "4 KiB append", None),
        ]
    }
}
