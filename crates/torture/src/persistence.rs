//! Kills while checkpoints are taken, restored in place, given back, exported and imported (R23, R24,
//! R96): after each, every earlier checkpoint is whole, and the tree is the old one or the new one.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use armor_checkpoint_store::{Draft, ImportLimits, Manifest, Root, Rules, Store};
use armor_core::checkpoint::CheckpointCause;
use armor_core::id::TaskId;
use armor_core::time::Timestamp;
use fastrand::Rng;

use crate::Outcome;

/// How many checkpoints stay, so that looking at all of them stays fast.
const KEPT: usize = 8;
/// How many kills a store sees before a new one is made.
const KILLS_OF_A_STORE: u32 = 100;
/// How long the moment to give room back is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// What the child does when it is killed.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Take,
    Restore,
    Collect,
    Export,
    Import,
}

const DEEDS: [Deed; 5] = [Deed::Take, Deed::Restore, Deed::Collect, Deed::Export, Deed::Import];

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    seed: u64,
    kills: u32,
    /// Deeds that had come to their end before the kill.
    done: u32,
    /// Restorations that were ended behind the kill, and those that had not begun.
    finished: u32,
    undone: u32,
    checkpoints: u64,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kills, done, finished, undone, checkpoints, took } = self;
        write!(
            f,
            "{kills} kills in {:.1} s (seed {seed}): {done} deeds were done before, {finished} \
             restorations were ended behind it and {undone} had not begun; {checkpoints} checkpoints \
             were read back, all of them whole",
            took.as_secs_f64()
        )
    }
}

/// Kills so often, and says what came of it.
pub(crate) fn run(kills: u32, seed: u64) -> Outcome<Report> {
    let mut random = Rng::with_seed(seed);
    let took = Duration::ZERO;
    let mut report = Report { seed, kills, done: 0, finished: 0, undone: 0, checkpoints: 0, took };
    let start = Instant::now();
    let mut left = kills;
    while left > 0 {
        let of_store = left.min(KILLS_OF_A_STORE);
        left -= of_store;
        let folder = tempfile::tempdir()?;
        let mut place = Place::new(folder.path())?;
        for kill in 0..of_store {
            let kept = folder.path().display().to_string();
            place.kill_once(&mut random, &mut report).map_err(|error| {
                format!("seed {seed}, kill {kill} of a store ({kept}): {error}")
            })?;
        }
    }
    report.took = start.elapsed();
    Ok(report)
}

/// What the child does; it is killed meanwhile.
pub(crate) fn child(folder: &Path, deed: &str) -> Outcome<()> {
    let place = Place::at(folder)?;
    let deed = DEEDS.into_iter().find(|known| format!("{known:?}") == deed);
    println!("begun");
    let (now, wanted) = (place.get("now"), place.get("wanted"));
    match deed.ok_or("no such deed")? {
        Deed::Take => drop(place.take("by-the-child")?),
        Deed::Restore => {
            place.store.replace(&now?, &wanted?, &place.roots(), &place.path("work"))?;
        }
        Deed::Collect => drop(place.store.collect(WAIT)?),
        Deed::Export => drop(place.store.export(&now?, File::create(place.path("out.tar.gz"))?)?),
        Deed::Import => {
            let archive = File::open(place.path("in.tar.gz"))?;
            let draft = draft("by-the-child")?;
            drop(place.store.import(draft, None, archive, &ImportLimits::default())?);
        }
    }
    println!("done");
    Ok(())
}

/// A store with a tree.
struct Place {
    folder: PathBuf,
    tree: PathBuf,
    store: Store,
    /// What each checkpoint that has to be there looked like.
    known: BTreeMap<String, Described>,
    taken: u32,
}

/// A tree by its paths: mode, time, content.
type Described = BTreeMap<PathBuf, (u32, (i64, i64), Vec<u8>)>;

impl Place {
    fn new(folder: &Path) -> Outcome<Self> {
        fs::create_dir(folder.join("tree"))?;
        Self::at(folder)
    }

    fn at(folder: &Path) -> Outcome<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            tree: folder.join("tree"),
            store: Store::open(folder)?,
            known: BTreeMap::new(),
            taken: 0,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn roots(&self) -> [Root<'_>; 1] {
        [Root { name: "workspace", path: &self.tree }]
    }

    fn take(&self, id: &str) -> Outcome<Manifest> {
        Ok(self.store.take(draft(id)?, &self.roots(), &Rules::none())?)
    }

    /// The checkpoint whose id a file says.
    fn get(&self, name: &str) -> Outcome<Manifest> {
        let id = fs::read_to_string(self.path(name))?;
        Ok(self.store.get(&task()?, &id.parse()?)?)
    }

    /// Takes one that has to be there from now on.
    fn take_known(&mut self) -> Outcome<String> {
        self.taken += 1;
        let id = format!("number-{:06}", self.taken);
        self.take(&id)?;
        self.known.insert(id.clone(), describe(&self.tree)?);
        Ok(id)
    }

    fn kill_once(&mut self, random: &mut Rng, report: &mut Report) -> Outcome<()> {
        change(&self.tree, random)?;
        let wanted = self.take_known()?;
        change(&self.tree, random)?;
        let now = self.take_known()?;
        fs::write(self.path("wanted"), &wanted)?;
        fs::write(self.path("now"), &now)?;
        while self.known.len() > KEPT {
            let Some((oldest, _)) = self.known.pop_first() else { break };
            self.store.forget_one(&task()?, &oldest.parse()?)?;
        }
        let deed = DEEDS[random.usize(..DEEDS.len())];
        if matches!(deed, Deed::Import) {
            let archive = File::create(self.path("in.tar.gz"))?;
            self.store.export(&self.get("wanted")?, archive)?;
        }
        if self.live_and_die(deed, random)? {
            report.done += 1;
        }
        self.check(deed, (&wanted, &now), random, report)
    }

    /// Says whether the child had come to its end.
    fn live_and_die(&self, deed: Deed, random: &mut Rng) -> Outcome<bool> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("persistence-child")
            .arg(&self.folder)
            .arg(format!("{deed:?}"))
            .stdout(Stdio::piped())
            .spawn()?;
        // The moment is what is tried, not something that is waited for.
        // Most deeds take a few milliseconds, some many.
        let longest = 40_000_u64 >> random.u8(..6);
        std::thread::sleep(Duration::from_micros(random.u64(..longest)));
        child.kill()?;
        let ended = child.wait_with_output()?;
        if !ended.status.success() && ended.status.code().is_some() {
            return Err(format!("{deed:?} failed").into());
        }
        Ok(ended.stdout.ends_with(b"done\n"))
    }

    fn check(
        &self,
        deed: Deed,
        (wanted, now): (&str, &str),
        random: &mut Rng,
        report: &mut Report,
    ) -> Outcome<()> {
        let work = self.path("work");
        let is_new = Store::finish(&work)?;
        let there = describe(&self.tree)?;
        let expected = if is_new { wanted } else { now };
        if Some(&there) != self.known.get(expected) {
            return Err(format!("after {deed:?} the tree is neither {now} nor {wanted}").into());
        }
        if matches!(deed, Deed::Restore) {
            report.finished += u32::from(is_new);
            report.undone += u32::from(!is_new);
        }
        if work.exists() {
            fs::remove_dir_all(work)?;
        }
        let verified = self.store.verify(None)?;
        if let Some(finding) = verified.findings.first() {
            return Err(format!("after {deed:?}: {finding:?}").into());
        }
        report.checkpoints += verified.whole.len() as u64;
        if let Some(lost) = self
            .known
            .keys()
            .find(|id| !verified.whole.iter().any(|whole| whole.as_str() == id.as_str()))
        {
            return Err(format!("after {deed:?} checkpoint {lost} is not there").into());
        }
        // What the child took is whole as well, and goes.
        self.store.forget_one(&task()?, &"by-the-child".parse()?)?;
        let place = self.path("again");
        let id = self.known.keys().nth(random.usize(..self.known.len())).ok_or("none is known")?;
        let manifest = self.store.get(&task()?, &id.parse()?)?;
        self.store.restore(&manifest, "workspace", &place)?;
        if Some(&describe(&place)?) != self.known.get(id) {
            return Err(format!("checkpoint {id} comes back as another tree").into());
        }
        fs::remove_dir_all(place)?;
        Ok(())
    }
}

fn task() -> Outcome<TaskId> {
    Ok("a-task".parse()?)
}

fn draft(id: &str) -> Outcome<Draft> {
    Ok(Draft {
        id: id.parse()?,
        task: task()?,
        name: None,
        cause: CheckpointCause::Asked,
        risk: None,
        at: Timestamp::from_micros(0),
        parent: None,
        state: serde_json::Value::Null,
    })
}

/// Changes a tree here and there.
fn change(tree: &Path, random: &mut Rng) -> Outcome<()> {
    for _ in 0..random.usize(5..40) {
        let folder = tree.join(format!("folder-{}", random.u8(..6)));
        let file = folder.join(format!("file-{}", random.u8(..12)));
        match random.u8(..8) {
            0 if folder.is_dir() => fs::remove_dir_all(&folder)?,
            1 if file.exists() => fs::remove_file(&file)?,
            _ => {
                fs::create_dir_all(&folder)?;
                // Few contents, so that some come again; some are long.
                let (byte, length) = (random.u8(..5), random.usize(1..4));
                let length = if random.u8(..10) == 0 { length * 200_000 } else { length * 50 };
                let content: Vec<u8> =
                    (0..length).map(|at| byte.wrapping_mul(at.to_le_bytes()[1] | 1)).collect();
                fs::write(&file, content)?;
            }
        }
    }
    Ok(())
}

fn describe(tree: &Path) -> Outcome<Described> {
    let mut described = Described::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let path = tree.join(&below);
        let stat = fs::symlink_metadata(&path)?;
        let mut content = Vec::new();
        if stat.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(below.join(entry?.file_name()));
            }
        } else {
            content = fs::read(&path)?;
        }
        let time = (stat.mtime(), stat.mtime_nsec());
        described.insert(below, (stat.mode(), time, content));
    }
    Ok(described)
}
