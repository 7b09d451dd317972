//! Sandboxes and commands in them, beside the bare engine.
//!
//! The baseline talks to the same engine through the same client library, and its container has
//! the same hardening, which [`bare`] writes out by hand and is checked before anything is timed:
//! what differs is our overhead. Whatever is made is removed, also when a measurement fails.

mod bare;
mod follow;
mod lifecycle;
mod load;
mod place;
mod ready;
mod runtime;
mod stdio;

use std::time::Duration;

use crate::row::{Row, Subject, Target, Unit};
use crate::times::Times;
use crate::{Effort, Outcome};
use place::Place;

/// How much of everything is done.
#[derive(Debug, Clone, Copy)]
struct Amount {
    rounds: usize,
    /// Sandboxes made in a round, on each side.
    sandboxes: usize,
    /// Commands run in each of them.
    commands: usize,
    /// Rounds with many sandboxes at once, and how many.
    load_rounds: usize,
    at_once: usize,
}

/// Fails when there is no engine; makes the tests' image where there is one.
pub(crate) async fn ensure_engine() -> Outcome {
    bare::connect().await.map_err(|error| {
        let cause = armor_core::error::chain(error.as_ref());
        format!("the sandbox area needs a container engine, and none answers: {cause}")
    })?;
    armor_testkit::engine::is_there().await;
    Ok(())
}

/// The engine's name and version, or that there is none.
pub(crate) async fn engine_version() -> String {
    let version = async {
        let docker = bare::connect().await?;
        let version = docker.version().await?.version.unwrap_or_default();
        Outcome::Ok(format!("{version}, API {}", docker.client_version()))
    };
    version.await.unwrap_or_else(|_| "none answers".to_owned())
}

/// Measures the area.
pub(crate) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let amount = match effort {
        Effort::Quick => {
            Amount { rounds: 5, sandboxes: 2, commands: 15, load_rounds: 2, at_once: 10 }
        }
        Effort::Full => {
            Amount { rounds: 10, sandboxes: 5, commands: 20, load_rounds: 5, at_once: 50 }
        }
    };
    let place = Place::new().await?;
    place.check_same_hardening().await?;
    let runtime = runtime::measure(&place, amount).await?;
    // Before what removes files by the thousand, behind which some file systems are slow to make new ones.
    let stdio = stdio::measure(&place, amount).await?;
    let followed = follow::measure(&place, amount).await?;
    let lifecycle = lifecycle::measure(&place, amount).await?;
    let ready = ready::measure(&place, amount).await?;
    let load = load::measure(&place, amount).await?;
    Ok(vec![
        row("create + start", &runtime.create, "bare Docker API", None),
        row(
            "exec `true`",
            &runtime.exec,
            "bare exec",
            Some(Target::P50Below(Duration::from_micros(1_500))),
        ),
        row("the same, beside bare", &runtime.exec, "bare exec", Some(Target::Ratio(0.05))),
        row("the same, in a row", &runtime.row, "a shell inside", None),
        row(
            "100 MB of output",
            &runtime.output,
            "bare exec",
            Some(Target::P50Below(Duration::from_millis(333))),
        ),
        idle_row("resident, idle", Unit::Mebibytes, runtime.idle.resident, 3.0),
        idle_row("processor, idle", Unit::Percent, runtime.idle.busy, 0.05),
        row("remove", &runtime.remove, "bare remove", None),
        row(
            "execute `true`, full path",
            &lifecycle.execute,
            "bare exec",
            Some(Target::Ratio(0.05)),
        ),
        row(
            "create + attach + first command",
            &lifecycle.first,
            "bare create + start + exec",
            Some(Target::Ratio(1.15)),
        ),
        row(
            "ready, cold (100 files)",
            &ready.cold,
            "bare create + start",
            Some(Target::Ratio(1.15)),
        ),
        row(
            "ready, from the pool",
            &ready.warm,
            "bare create + start",
            Some(Target::P50Below(Duration::from_millis(50))),
        ),
        row(
            "the same, beside cold",
            &ready.warm,
            "bare create + start",
            Some(Target::Ratio(0.125)),
        ),
        row(
            "execute_in_task `true`, stdio",
            &stdio,
            "bare exec",
            Some(Target::P50Below(Duration::from_millis(4))),
        ),
        row(
            "a line, followed",
            &followed,
            "bare attached exec",
            Some(Target::P50Below(Duration::from_millis(5))),
        ),
        row(
            if amount.at_once == 50 { "50 sandboxes at once" } else { "10 sandboxes at once" },
            &load.create,
            "bare create + start",
            Some(Target::Ratio(1.15)),
        ),
        row(
            if amount.at_once == 50 { "1,000 commands in them" } else { "200 commands in them" },
            &load.exec,
            "bare exec",
            Some(Target::Ratio(1.0)),
        ),
        row(
            "exec `true`, 8 at once, each",
            &runtime.together,
            "bare exec",
            Some(Target::P50Below(Duration::from_micros(1_250))),
        ),
    ])
}

/// What a sandbox in which nothing runs takes: its first process.
fn idle_row(name: &str, unit: Unit, [ours, baseline]: [f64; 2], most: f64) -> Row {
    let subject = Subject {
        area: "sandbox",
        name: name.to_owned(),
        unit,
        baseline: "init and sleep",
        target: Some(Target::AtMost(most)),
    };
    Row::plain(subject, ours, baseline)
}

fn row(name: &'static str, times: &Times, baseline: &'static str, target: Option<Target>) -> Row {
    let (name, unit) = (name.to_owned(), Unit::Millis);
    Row::new(Subject { area: "sandbox", name, unit, baseline, target }, times)
}
