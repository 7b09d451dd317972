//! Many at once: sandboxes made side by side, and commands in all of them.

use std::time::Instant;

use armor_core::id::SandboxId;
use armor_core::sandbox::{Limits, Runtime, SandboxSpec};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Amount;
use super::place::Place;
use super::runtime::{create, exec};
use crate::Outcome;
use crate::times::{Side, Times, order};

/// How many commands run at a time.
const AT_ONCE: usize = 20;
/// How many commands each sandbox runs.
const EACH: usize = 20;

/// The times of all of them together.
pub(super) struct Load {
    /// Making and starting all sandboxes.
    pub(super) create: Times,
    /// Running all commands.
    pub(super) exec: Times,
}

/// Measures rounds of so many sandboxes.
pub(super) async fn measure(place: &Place, amount: Amount) -> Outcome<Load> {
    let mut load = Load { create: Times::new()?, exec: Times::new()? };
    for turn in 0..amount.load_rounds {
        for side in order(turn) {
            load.a_round(place, side, amount.at_once).await?;
        }
    }
    Ok(load)
}

impl Load {
    async fn a_round(&mut self, place: &Place, side: Side, count: usize) -> Outcome {
        let limits = Limits { memory_mib: 128, ..Limits::default() };
        let specs: Outcome<Vec<_>> = (0..count).map(|_| place.spec(limits)).collect();
        let specs = specs?;
        let began = Instant::now();
        let made = specs.iter().map(|spec| one(place, side, spec));
        let made: Vec<String> = futures_util::future::try_join_all(made).await?;
        self.create.took(side, began.elapsed());

        let began = Instant::now();
        let pairs: Vec<_> = made.iter().zip(&specs).collect();
        let commands = (0..EACH).flat_map(|_| pairs.iter().copied());
        stream::iter(commands.map(|(id, spec)| run(place, side, id, spec)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        self.exec.took(side, began.elapsed());

        for (id, spec) in pairs {
            match side {
                Side::Ours => place.runtime.remove(&spec.task).await?,
                Side::Baseline => place.bare.remove(id).await?,
            }
        }
        Ok(())
    }
}

async fn one(place: &Place, side: Side, spec: &SandboxSpec) -> Outcome<String> {
    match side {
        Side::Ours => Ok(create(place, spec).await?.to_string()),
        Side::Baseline => place.bare.create_and_start(spec).await,
    }
}

async fn run(place: &Place, side: Side, id: &str, spec: &SandboxSpec) -> Outcome {
    match side {
        Side::Ours => exec(place, &SandboxId::parse(id.to_owned())?, spec, &["true"]).await,
        Side::Baseline => place.bare.exec(id, spec.user, &[], &["true"]).await,
    }
}
