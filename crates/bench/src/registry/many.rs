//! Many callers at once: what a create costs when its commit is shared.

use std::sync::Arc;
use std::time::Instant;

use armor_registry::{Registry, SqliteRegistry};
use tokio::task::JoinSet;

use super::raw::Raw;
use super::sample::Sample;
use crate::row::{Subject, Target, Unit};
use crate::times::{Side, Times, order};
use crate::{Effort, Outcome};

/// How many callers there are.
const CALLERS: usize = 64;

/// Measures creates of many callers beside raw creates one by one: the time of a round by the number
/// of its creates.
pub(super) async fn measure(
    effort: Effort,
    ours: &Arc<SqliteRegistry>,
    raw: &mut Raw,
) -> Outcome<Times> {
    let (rounds, creates) = match effort {
        Effort::Quick => (5, 10),
        Effort::Full => (20, 40),
    };
    let mut times = Times::new()?;
    round(0, creates, ours, raw, &mut times).await?;
    times.forget();
    for turn in 0..rounds {
        round(turn, creates, ours, raw, &mut times).await?;
    }
    Ok(times)
}

/// What [`measure`] measures.
pub(super) fn subject() -> Subject {
    Subject {
        area: "registry",
        name: format!("create, {CALLERS} callers, each"),
        unit: Unit::Micros,
        baseline: "raw, one by one",
        // Eight times the baseline's rate.
        target: Some(Target::Ratio(1.0 / 8.0)),
    }
}

async fn round(
    turn: usize,
    creates: usize,
    ours: &Arc<SqliteRegistry>,
    raw: &mut Raw,
    times: &mut Times,
) -> Outcome {
    let count = CALLERS * creates;
    let number = u32::try_from(count)?;
    for side in order(turn) {
        let samples = (0..count).map(Sample::new).collect::<Outcome<Vec<_>>>()?;
        let start = match side {
            Side::Ours => {
                // Dealt out in turns: a task's id is made when it is created, so ids come in order.
                let tasks: Vec<_> = samples.into_iter().map(|sample| sample.task).collect();
                let share = |caller| tasks.iter().skip(caller).step_by(CALLERS).cloned().collect();
                let shares: Vec<Vec<_>> = (0..CALLERS).map(share).collect();
                let start = Instant::now();
                let mut callers = JoinSet::new();
                for share in shares {
                    let ours = Arc::clone(ours);
                    callers.spawn(async move {
                        for task in share {
                            ours.create(&task).await?;
                        }
                        Ok::<_, armor_registry::RegistryError>(())
                    });
                }
                while let Some(done) = callers.join_next().await {
                    done??;
                }
                start
            }
            Side::Baseline => {
                let start = Instant::now();
                for sample in &samples {
                    raw.create(&sample.row, &sample.created)?;
                }
                start
            }
        };
        times.took(side, start.elapsed() / number);
    }
    Ok(())
}
