//! The escape suite, and the proof that it could find something (R97).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use armor_escape::{Verdict, run, run_unconfined};
use armor_testkit::require_engine;

fn list(verdicts: &[&Verdict]) -> String {
    let lines = verdicts
        .iter()
        .map(|verdict| format!("{}: {} {}", verdict.case.name, verdict.said, verdict.complained));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn engine_none_of_the_known_ways_out_of_a_sandbox_succeeds() {
    require_engine!();
    let verdicts = run(|_| {}).await.unwrap();
    let reached: Vec<_> = verdicts.iter().filter(|verdict| verdict.has_reached()).collect();
    assert!(reached.is_empty(), "{}", list(&reached));
}

// A case that cannot succeed proves nothing.
#[tokio::test]
async fn engine_where_nothing_keeps_them_the_ways_out_succeed() {
    require_engine!();
    let verdicts = run_unconfined().await.unwrap();
    let kept: Vec<_> = verdicts.iter().filter(|verdict| !verdict.has_reached()).collect();
    assert!(kept.is_empty(), "{}", list(&kept));
}
