//! Who kills: starts a child, kills it at a random moment, checks the home, and again.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::deed::Said;
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
    let mut child = Command::new(std::env::current_exe()?)
        .arg("child")
        .arg(home)
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().ok_or("the child has no output")?;
    let (first_word, heard) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || read(BufReader::new(stdout), &first_word));
    // The error of an end without a word shows below.
    let spoke = heard.recv().is_ok();
    if spoke {
        std::thread::sleep(life);
    }
    end(&mut child)?;
    let said = reading.join().map_err(|_| "the reader panicked")??;
    if !spoke {
        return Err("the child ended by itself before it wrote anything".into());
    }
    for said in said {
        match said {
            Said::Begun(deed) => drop(history.begun.insert(deed.number, deed)),
            Said::Done(number) => drop(history.done.insert(number)),
        }
    }
    Ok(())
}

/// Kills the child, which must not have ended by itself.
fn end(child: &mut Child) -> Outcome<()> {
    if let Some(status) = child.try_wait()? {
        return Err(format!("the child ended by itself: {status}").into());
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Reads to the end of the pipe. The last line may be torn.
fn read(mut stdout: impl BufRead, first_word: &std::sync::mpsc::Sender<()>) -> Outcome<Vec<Said>> {
    let mut said = Vec::new();
    let mut line = String::new();
    while stdout.read_line(&mut line)? > 0 && line.ends_with('\n') {
        said.push(serde_json::from_str(&line)?);
        line.clear();
        // An error says that nobody waits for the first word any more.
        let _told = first_word.send(());
    }
    Ok(said)
}
