//! The way of a command through the composed system, with its events and the files of its output,
//! beside the bare engine.

use std::time::Duration;

use armor::task::Task;
use armor::{Armor, CommandLine, CreateTask, Execute, Lifecycle, Silent};
use armor_core::sandbox::{SandboxSpec, UserIds};
use tokio_util::sync::CancellationToken;

use super::Amount;
use super::place::Place;
use crate::Outcome;
use crate::times::{Side, Times, order};

/// How long the consumers may take to follow.
const QUIET_LIMIT: Duration = Duration::from_secs(30);

/// The times of what goes through the lifecycle.
pub(super) struct Measured {
    /// A command in a sandbox that runs.
    pub(super) execute: Times,
    /// From nothing to the first command's result.
    pub(super) first: Times,
}

/// Measures both in the place's home.
pub(super) async fn measure(place: &Place, amount: Amount) -> Outcome<Measured> {
    let armor = Armor::builder(place.home().environment()).open().await?;
    let measured = Box::pin(measure_in(place, armor.lifecycle(), amount)).await;
    armor.close().await;
    measured
}

async fn measure_in(place: &Place, lifecycle: &Lifecycle, amount: Amount) -> Outcome<Measured> {
    let mut measured = Measured { execute: Times::new()?, first: Times::new()? };
    let spec = place.spec(lifecycle.default_limits())?;
    let (task, bare) = (attached(lifecycle).await?, place.bare.create_and_start(&spec).await?);
    let commands = amount.sandboxes * amount.commands;
    for round in 0..=amount.rounds {
        measured.commands_of_each(place, lifecycle, &task, &bare, (round, commands)).await?;
        if round == 0 {
            // That was the warm-up.
            measured.execute.forget();
        }
    }
    lifecycle.delete(task.id.as_str(), true).await?;
    place.bare.remove(&bare).await?;
    for round in 0..=amount.rounds {
        for turn in 0..amount.sandboxes {
            Box::pin(measured.first_of_each(place, lifecycle, round + turn)).await?;
        }
        if round == 0 {
            measured.first.forget();
        }
    }
    Ok(measured)
}

impl Measured {
    async fn commands_of_each(
        &mut self,
        place: &Place,
        lifecycle: &Lifecycle,
        task: &Task,
        bare: &str,
        (turn, commands): (usize, usize),
    ) -> Outcome {
        for side in order(turn) {
            for _ in 0..commands {
                match side {
                    Side::Ours => {
                        self.execute.ours(execute(lifecycle, task)).await?;
                        quiet(lifecycle).await?;
                    }
                    Side::Baseline => self.execute.baseline(bare_exec(place, bare)).await?,
                }
            }
        }
        Ok(())
    }

    async fn first_of_each(
        &mut self,
        place: &Place,
        lifecycle: &Lifecycle,
        turn: usize,
    ) -> Outcome {
        let spec = place.spec(lifecycle.default_limits())?;
        for side in order(turn) {
            match side {
                Side::Ours => {
                    let task = self.first.ours(first(lifecycle)).await?;
                    quiet(lifecycle).await?;
                    // It comes back when all is removed.
                    lifecycle.delete(task.id.as_str(), true).await?;
                }
                Side::Baseline => {
                    let bare = self.first.baseline(bare_first(place, &spec)).await?;
                    place.bare.remove(&bare).await?;
                }
            }
        }
        Ok(())
    }
}

async fn first(lifecycle: &Lifecycle) -> Outcome<Task> {
    let task = attached(lifecycle).await?;
    execute(lifecycle, &task).await?;
    Ok(task)
}

async fn attached(lifecycle: &Lifecycle) -> Outcome<Task> {
    let task = lifecycle.create(CreateTask::named("a task to measure".parse()?)).await?;
    Ok(lifecycle.attach(task.id.as_str(), "bench".parse()?, &Silent).await?)
}

async fn execute(lifecycle: &Lifecycle, task: &Task) -> Outcome {
    let request = Execute::new(CommandLine::Argv(vec!["true".to_owned()]));
    let cancelled = CancellationToken::new();
    let report = lifecycle.execute(task.id.as_str(), request, cancelled).await?;
    match report.execution.end.and_then(|end| end.exit_code) {
        Some(0) => Ok(()),
        code => Err(format!("`true` ended with {code:?}: {:?}", report.problem).into()),
    }
}

async fn bare_first(place: &Place, spec: &SandboxSpec) -> Outcome<String> {
    let bare = place.bare.create_and_start(spec).await?;
    bare_exec(place, &bare).await?;
    Ok(bare)
}

/// The same command with as many variables as the lifecycle passes.
async fn bare_exec(place: &Place, container: &str) -> Outcome {
    let env = [
        "ARMOR_TASK_ID=01jd0000000000000000000000",
        "ARMOR_EXECUTION_ID=01jd0000000000000000000001",
        "GIT_AUTHOR_NAME=bench",
        "GIT_AUTHOR_EMAIL=bench@agents.invalid",
        "GIT_COMMITTER_NAME=bench",
        "GIT_COMMITTER_EMAIL=bench@agents.invalid",
    ]
    .map(str::to_owned);
    place.bare.exec(container, UserIds::UNPRIVILEGED, &env, &["true"]).await
}

/// Waits until the consumers have followed, so that their work is not charged to the baseline.
async fn quiet(lifecycle: &Lifecycle) -> Outcome {
    let head = lifecycle.registry().head().await?;
    if lifecycle.consumers().caught_up(head, QUIET_LIMIT).await {
        Ok(())
    } else {
        Err("the consumers do not follow the log".into())
    }
}
