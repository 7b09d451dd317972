//! The escape suite, the proof that it could find something (R97), and what is written of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod other_user;
mod security;

use armor_escape::{Trial, Verdict, run, run_unconfined};
use armor_testkit::require_engine;

fn list(trials: &[&Trial]) -> String {
    let lines = trials.iter().map(|trial| {
        let Trial { case, verdict, said, complained } = trial;
        format!("{}: {verdict}: {said} {complained}", case.name)
    });
    lines.collect::<Vec<_>>().join("\n")
}

// One that could not be tried shows as little as one that succeeded.
#[tokio::test]
async fn engine_all_of_the_known_ways_out_of_a_sandbox_are_tried_and_none_succeeds() {
    require_engine!();
    let trials = run(|_| {}).await.unwrap();
    let others: Vec<_> = trials.iter().filter(|trial| trial.verdict != Verdict::Kept).collect();
    assert!(others.is_empty(), "{}", list(&others));
}

// A case that cannot succeed proves nothing.
#[tokio::test]
async fn engine_where_nothing_keeps_them_the_ways_out_succeed() {
    require_engine!();
    let trials = run_unconfined().await.unwrap();
    let others: Vec<_> = trials.iter().filter(|trial| trial.verdict != Verdict::Reached).collect();
    assert!(others.is_empty(), "{}", list(&others));
}
