//! Checkpoints of a tree, beside what a user would keep or look at one with: `tar` with `zstd`, restic,
//! `find`. One tree is made, another one is real: the sources of the crates that Armor is built from.

mod program;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use armor_checkpoint_store::{Draft, Manifest, Root, Rules, Store};
use armor_core::checkpoint::CheckpointCause;
use armor_core::id::{IdSource, RandomIds, TaskId};
use armor_core::time::{Clock, SystemClock};

use crate::memory::{most_resident, of_own_process};
use crate::row::{Row, Subject, Target, Unit};
use crate::times::{Side, Times, order};
use crate::{Effort, Outcome};
use program::Program;
use tree::Tree;

/// What our checkpoints have beside the tree that is measured.
const WORKSPACE: &str = "workspace";
/// How many checkpoints are in a list that is asked for.
const LISTED: usize = 1000;
/// How many incremental ones are stored.
const STORED: usize = 20;

/// The most memory that a checkpoint may take, in MiB.
const MEMORY: f64 = 300.0;

/// What the program is called with to take one checkpoint.
pub(crate) const TAKE: &str = "take-a-checkpoint";

/// Takes one checkpoint, and says how much memory that took.
pub(crate) fn take(tree: &Path, home: &Path) -> Outcome<f64> {
    take_of(&Store::open(home)?, tree, &RandomIds::default())?;
    most_resident()
}

/// Where it is measured.
struct Place {
    /// What rows of it begin with.
    label: &'static str,
    folder: tempfile::TempDir,
    tree: Tree,
    ids: RandomIds,
}

/// Measures the area.
pub(crate) fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    program::check()?;
    let (rounds, files) = match effort {
        Effort::Quick => (3, 6_000),
        Effort::Full => (5, 30_000),
    };
    let folder = tempfile::tempdir()?;
    let tree = Tree::make(folder.path().join("tree"), files)?;
    let mut place = Place { label: "", folder, tree, ids: RandomIds::default() };
    let mut rows = place.taken(rounds)?;
    rows.extend(place.restore(rounds)?);
    rows.push(place.stored()?);
    rows.push(place.list(rounds)?);
    rows.push(place.memory()?);
    if matches!(effort, Effort::Full) {
        let folder = tempfile::tempdir()?;
        let tree = Tree::copy(&sources()?, folder.path().join("tree"))?;
        let mut real = Place { label: "sources: ", folder, tree, ids: RandomIds::default() };
        rows.extend(real.taken(rounds)?);
    }
    Ok(rows)
}

/// The sources that cargo has unpacked.
#[allow(clippy::disallowed_methods, reason = "where they are is cargo's setting, not Armor's")]
fn sources() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    let sources = cargo.or_else(home).ok_or("nobody says where cargo's files are")?;
    Ok(sources.join("registry/src"))
}

fn take_of(store: &Store, tree: &Path, ids: &RandomIds) -> Outcome<Manifest> {
    let now = SystemClock.now();
    let draft = Draft {
        id: ids.checkpoint_id(now),
        task: Place::task()?,
        name: None,
        cause: CheckpointCause::Asked,
        risk: None,
        at: now,
        parent: None,
        state: serde_json::Value::Null,
    };
    let roots = [Root { name: WORKSPACE, path: tree }];
    Ok(store.take(draft, &roots, &Rules::none())?)
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn task() -> Outcome<TaskId> {
        Ok("bench".parse()?)
    }

    fn take(&self, store: &Store) -> Outcome<Manifest> {
        take_of(store, self.tree.path(), &self.ids)
    }

    /// All first ones, and those of what has changed a little, or not.
    fn taken(&mut self, rounds: usize) -> Outcome<Vec<Row>> {
        let mut rows = vec![
            self.first(rounds, "tar | zstd -3 -T2", Target::Ratio(1.3), Self::tar)?,
            self.first(rounds, "restic", Target::Ratio(1.0), Self::restic_anew)?,
        ];
        rows.extend(self.incremental(rounds)?);
        Ok(rows)
    }

    /// The first checkpoint of all, into an empty store.
    fn first(
        &self,
        rounds: usize,
        baseline: &'static str,
        target: Target,
        other: impl Fn(&Self) -> Program,
    ) -> Outcome<Row> {
        let mut times = Times::new()?;
        for turn in 0..=rounds {
            for side in order(turn) {
                let home = self.path("home");
                match side {
                    Side::Ours => {
                        let store = Store::open(&home)?;
                        times.run(side, || self.take(&store))?;
                    }
                    Side::Baseline => other(self).run(side, &mut times)?,
                }
                remove(&home)?;
            }
            if turn == 0 {
                times.forget();
            }
        }
        Ok(self.row(&format!("first, beside {baseline}"), &times, baseline, Some(target)))
    }

    /// One in a hundred files changed, and nothing at all.
    fn incremental(&mut self, rounds: usize) -> Outcome<Vec<Row>> {
        let store = Store::open(&self.path("home"))?;
        self.take(&store)?;
        let mut unmeasured = Times::new()?;
        self.restic_anew().run(Side::Baseline, &mut unmeasured)?;
        let (mut changed, mut same, mut key) = (Times::new()?, Times::new()?, Times::new()?);
        for turn in 0..=rounds {
            for side in order(turn) {
                self.tree.change()?;
                match side {
                    Side::Ours => drop(changed.run(side, || self.take(&store))?),
                    Side::Baseline => self.restic().run(side, &mut changed)?,
                }
            }
            // The other one's change is new to both.
            self.take(&store)?;
            for side in order(turn) {
                match side {
                    Side::Ours => drop(same.run(side, || self.take(&store))?),
                    Side::Baseline => self.find().run(side, &mut same)?,
                }
            }
            self.restic_key().run(Side::Baseline, &mut key)?;
            if turn == 0 {
                for times in [&mut changed, &mut same, &mut key] {
                    times.forget();
                }
            }
        }
        let below = |millis| Some(Target::P50Below(Duration::from_millis(millis)));
        Ok(vec![
            self.row("1 % changed", &changed, "restic", Some(Target::Ratio(0.3))),
            self.row("the same", &changed, "restic", below(350)),
            self.row("restic's key alone", &key, "restic cat config", None),
            self.row("unchanged", &same, "find -printf", Some(Target::Ratio(2.0))),
            self.row("the same", &same, "find -printf", below(200)),
        ])
    }

    /// Back to a checkpoint in place, and the whole of one elsewhere.
    fn restore(&mut self, rounds: usize) -> Outcome<Vec<Row>> {
        let store = Store::open(&self.path("home"))?;
        let mut unmeasured = Times::new()?;
        self.tar().run(Side::Baseline, &mut unmeasured)?;
        let (mut in_place, mut whole) = (Times::new()?, Times::new()?);
        let work = self.path("work");
        for turn in 0..=rounds {
            let before = self.take(&store)?;
            self.tree.change()?;
            in_place.run(Side::Ours, || {
                // With the checkpoint that is taken first.
                let safety = self.take(&store)?;
                let roots = [Root { name: WORKSPACE, path: self.tree.path() }];
                Outcome::Ok(store.replace(&safety, &before, &roots, &work)?)
            })?;
            remove(&work)?;
            for side in order(turn) {
                let target = self.path("restored");
                match side {
                    Side::Ours => {
                        whole.run(side, || store.restore(&before, WORKSPACE, &target))?;
                    }
                    Side::Baseline => self.untar(&target).run(side, &mut whole)?,
                }
                remove(&target)?;
            }
            if turn == 0 {
                in_place.forget();
                whole.forget();
            }
        }
        let half_a_second = Target::P50Below(Duration::from_millis(500));
        Ok(vec![
            self.row("1 % restored in place", &in_place, "-", Some(half_a_second)),
            self.row("whole, restored", &whole, "zstd -d | tar, synced", Some(Target::Ratio(1.3))),
        ])
    }

    /// What twenty incremental checkpoints take on disk.
    fn stored(&mut self) -> Outcome<Row> {
        let home = self.path("home");
        remove(&home)?;
        let store = Store::open(&home)?;
        let mut unmeasured = Times::new()?;
        self.take(&store)?;
        self.restic_anew().run(Side::Baseline, &mut unmeasured)?;
        for _ in 0..STORED {
            self.tree.change()?;
            self.take(&store)?;
            self.restic().run(Side::Baseline, &mut unmeasured)?;
        }
        let (ours, restic) = (size(&home.join("checkpoints"))?, size(&self.path("restic"))?);
        let subject =
            subject("stored, 20 more", Unit::Mebibytes, "restic", Some(Target::Ratio(1.1)));
        Ok(Row::plain(subject, ours, restic))
    }

    /// A list of many.
    fn list(&self, rounds: usize) -> Outcome<Row> {
        let folder = self.path("listed");
        fs::create_dir(&folder)?;
        fs::write(folder.join("file"), "text")?;
        let small = Self {
            label: "",
            folder: tempfile::tempdir()?,
            tree: Tree::there(folder),
            ids: RandomIds::default(),
        };
        let store = Store::open(&small.path("home"))?;
        for _ in 0..LISTED {
            small.take(&store)?;
        }
        let (mut times, task) = (Times::new()?, Self::task()?);
        for _ in 0..rounds * 3 {
            let listed = times.run(Side::Ours, || store.list(&task))?;
            if listed.len() != LISTED {
                return Err("not all are listed".into());
            }
        }
        let limit = Target::P50Below(Duration::from_millis(50));
        Ok(self.row("1,000 listed", &times, "-", Some(limit)))
    }

    /// What the first checkpoint has in memory at most, beside that of a single file.
    fn memory(&self) -> Outcome<Row> {
        let of = |tree: &Path| {
            let home = self.path("measured");
            let most = of_own_process(&[TAKE.as_ref(), tree.as_os_str(), home.as_os_str()]);
            remove(&home)?;
            most
        };
        let (all, one) = (of(self.tree.path())?, of(&self.path("listed"))?);
        let target = Some(Target::AtMost(MEMORY));
        Ok(Row::plain(subject("memory, first", Unit::Mebibytes, "of one file", target), all, one))
    }

    fn row(
        &self,
        name: &str,
        times: &Times,
        baseline: &'static str,
        target: Option<Target>,
    ) -> Row {
        let name = format!("{}{name}", self.label);
        Row::new(subject(&name, Unit::Millis, baseline, target), times)
    }
}

fn subject(name: &str, unit: Unit, baseline: &'static str, target: Option<Target>) -> Subject {
    Subject { area: "checkpoints", name: name.to_owned(), unit, baseline, target }
}

fn remove(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// What the files of a folder take, in MiB.
fn size(folder: &Path) -> Outcome<f64> {
    let mut bytes: u64 = 0;
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(f64::from(u32::try_from(bytes >> 10)?) / 1024.0)
}
