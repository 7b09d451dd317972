//! `cargo xtask escape`: tries all cases and says how each went.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::process::ExitCode;

use armor_escape::run;

#[tokio::main]
async fn main() -> ExitCode {
    let verdicts = run(|verdict| {
        let outcome = if verdict.has_reached() { "REACHED" } else { "kept" };
        let case = verdict.case;
        println!("{:10} {:52} {outcome:8} {}", case.area, case.name, verdict.in_short());
    });
    match verdicts.await {
        Ok(verdicts) => {
            let reached = verdicts.iter().filter(|verdict| verdict.has_reached()).count();
            println!("{} cases, {reached} of them succeeded", verdicts.len());
            ExitCode::from(u8::from(reached > 0))
        }
        Err(error) => {
            eprintln!("armor-escape: {error}");
            ExitCode::FAILURE
        }
    }
}
