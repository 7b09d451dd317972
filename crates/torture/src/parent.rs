//! Who kills: starts a child, kills it at a random moment, checks the home, and again.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::deed::Said;
use crate::process::Child;
use crate::verify::{Found, History, verify};

/// How many kills a home sees before a new one is made: enough for things to pile up, few enough
/// for checking all of it each time.
const KILLS_OF_A_HOME: u32 = 25;
/// The longest that a child is left alone behind its first word, in microseconds.
const LONGEST_LIFE: u64 = 80_000;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    seed: u64,
    kills: u32,
    begun: usize,
    done: usize,
    unacknowledged: u64,
    events: u64,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kills, begun, done, unacknowledged, events, took } = self;
        write!(
            f,
            "{kills} kills in {:.1} s (seed {seed}): {begun} deeds begun, {done} acknowledged, \
             none of them lost; {unacknowledged} more were whole; {events} events",
            took.as_secs_f64()
        )
    }
}

/// Kills so often, and says what came of it.
pub(crate) async fn run(kills: u32, seed: u64) -> Outcome<Report> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut report = Report {
        seed,
        kills,
        begun: 0,
        done: 0,
        unacknowledged: 0,
        events: 0,
        took: Duration::ZERO,
    };
    let start = Instant::now();
    let mut left = kills;
    while left > 0 {
        let round = left.min(KILLS_OF_A_HOME);
        left -= round;
        let folder = tempfile::tempdir()?;
        let mut history = History::default();
        let mut found = Found::default();
        for kill in 0..round {
            let life = Duration::from_micros(random.u64(..LONGEST_LIFE));
            live_and_die(folder.path(), random.u64(..), life, &mut history)?;
            found = verify(folder.path(), &history).await.map_err(|error| {
                let kept = folder.path().display();
                format!("seed {seed}, kill {kill} of a home ({kept}): {error}")
            })?;
        }
        report.begun += history.begun.len();
        report.done += history.done.len();
        report.unacknowledged += found.unacknowledged;
        report.events += found.events;
    }
    report.took = start.elapsed();
    Ok(report)
}

/// Lets a child write for so long behind its first word, and kills it.
fn live_and_die(home: &Path, seed: u64, life: Duration, history: &mut History) -> Outcome<()> {
    let child = Child::start(home, seed)?;
    history.add(child.next()?);
    std::thread::sleep(life);
    for said in child.kill()? {
        if let Said::Refused { why, .. } = said {
            return Err(format!("an error reached a caller: {why}").into());
        }
        history.add(said);
    }
    Ok(())
}
