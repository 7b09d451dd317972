//! `cargo xtask escape`: tries all cases and says how each went.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::process::ExitCode;

use armor_escape::{Verdict, run};

#[tokio::main]
async fn main() -> ExitCode {
    let trials = run(|trial| {
        let (case, verdict) = (trial.case, trial.verdict);
        println!("{:10} {:62} {verdict:9} {}", case.area, case.name, trial.in_short());
    });
    match trials.await {
        Ok(trials) => {
            let count = |verdict| trials.iter().filter(|trial| trial.verdict == verdict).count();
            let (reached, not_tried) = (count(Verdict::Reached), count(Verdict::NotTried));
            println!("{} cases: {reached} succeeded, {not_tried} could not be tried", trials.len());
            ExitCode::from(u8::from(reached + not_tried > 0))
        }
        Err(error) => {
            eprintln!("armor-escape: {error}");
            ExitCode::FAILURE
        }
    }
}
