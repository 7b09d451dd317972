//! The maintainer's commands, as `cargo xtask <command>`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod ci;
mod images;
mod process;
mod tests;
mod tidy;
mod tools;

use std::process::ExitCode;

use crate::process::Outcome;

const HELP: &str = "\
cargo xtask <command>

  test [FILTER…]   run all tests, those against the real engine too
  images build [WHICH]
                   build the sandboxes' images: base, developer, all (the default)
  bench [AREA] [--quick] [--json]
                   measure beside the baselines: registry, events, sandbox, checkpoints, or
                   all (the default)
  load-test [--quick] [--json]
                   the load tests: 10,000 and 100,000 tasks one by one, 1,000 at once, then every
                   operation among them
  torture --kills N [--seed S] | --persistence N [--seed S] | --faults | --hammer N
                   kill a writing process again and again, or let its disk fail, and check what is
                   left; let N processes raise one counter
  escape           try what is known to get out of a sandbox, and say what kept it from that
  fuzz [SECONDS]   run each fuzz target for so long; needs a nightly toolchain
  tidy             check the house rules that no compiler knows
  ci               everything that a change has to pass
";

fn bench(what: &[&str]) -> Outcome {
    let what = if what.iter().any(|word| !word.starts_with("--")) {
        what.to_vec()
    } else {
        [&["all"], what].concat()
    };
    // One command for both, so that what both stand on is built once: the bench drives the server.
    let packages = ["--package", "armor-bench", "--package", "armor-mcp-server"];
    process::run(
        process::cargo().args(["build", "--quiet", "--release", "--locked"]).args(packages),
    )?;
    process::run(
        process::cargo()
            .args(["run", "--quiet", "--release", "--locked", "--package", "armor-bench", "--"])
            .args(what),
    )
}

fn torture(what: &[&str]) -> Outcome {
    process::run(
        process::cargo()
            .args(["run", "--quiet", "--locked", "--package", "armor-torture", "--"])
            .args(what),
    )
}

fn escape() -> Outcome {
    images::ensure()?;
    process::run(process::cargo().args(["run", "--quiet", "--locked", "--package", "armor-escape"]))
}

fn fuzz(seconds: &str) -> Outcome {
    let limit = format!("-max_total_time={seconds}");
    for target in ["paths", "runner_protocol"] {
        process::run(
            tools::cargo_fuzz()?
                .env("RUSTUP_TOOLCHAIN", "nightly")
                .args(["fuzz", "run", target, "--", &limit]),
        )?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["test", filter @ ..] => tests::run(filter),
        ["images", "build"] => images::build("all"),
        ["images", "build", which] => images::build(which),
        ["bench", what @ ..] => bench(what),
        ["load-test", how @ ..] => bench(&[&["load"], how].concat()),
        ["torture", what @ ..] => torture(what),
        ["escape"] => escape(),
        ["fuzz"] => fuzz("60"),
        ["fuzz", seconds] => fuzz(seconds),
        ["tidy"] => tidy::run(),
        ["ci"] => ci::run(),
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            Ok(())
        }
        unknown => Err(format!("`{}` is no xtask command\n\n{HELP}", unknown.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
