//! Torture for a home: a child process writes to it at full speed and says over a pipe what it
//! begins, what was acknowledged and what was refused. Then the home is opened again and checked:
//! every acknowledged deed is there, none that was refused, every other one as a whole or not at
//! all, and all that follows the log agrees with it.
//!
//! - `--kills N [--seed S]`: the child is killed (SIGKILL) at random moments.
//! - `--faults`: its disk runs full, fails to write, may not be written to; then it is well again.
//! - `--persistence N [--seed S]`: a child that takes, restores, gives back, exports and imports
//!   checkpoints is killed so often.
//! - `--hammer N`: so many processes raise one counter.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod child;
mod deed;
mod faults;
mod hammer;
mod home;
mod parent;
mod persistence;
mod process;
mod verify;

use std::path::Path;
use std::process::ExitCode;

/// What went wrong, in words.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["child", home, seed] => match seed.parse() {
            Ok(seed) => child::run(Path::new(home), seed).await,
            Err(_) => Err("the seed is no number".into()),
        },
        ["--faults"] => faults::run(),
        ["faults-in-namespace"] => faults::run_in_namespace().await,
        ["--hammer", processes] => hammer(processes).await,
        ["count", home, task] => hammer::count(Path::new(home), task).await,
        ["persistence-child", folder, deed] => persistence::child(Path::new(folder), deed),
        ["--persistence", kills] => persistence(kills, None),
        ["--persistence", kills, "--seed", seed] => persistence(kills, Some(seed)),
        ["--kills", kills] => parent(kills, None).await,
        ["--kills", kills, "--seed", seed] => parent(kills, Some(seed)).await,
        _ => Err("usage: armor-torture --kills N [--seed S] | --persistence N [--seed S] | --faults | --hammer N".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("armor-torture: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn hammer(processes: &str) -> Outcome<()> {
    println!("{}", hammer::run(processes.parse()?).await?);
    Ok(())
}

async fn parent(kills: &str, seed: Option<&str>) -> Outcome<()> {
    println!("{}", parent::run(kills.parse()?, seed_or_any(seed)?).await?);
    Ok(())
}

fn persistence(kills: &str, seed: Option<&str>) -> Outcome<()> {
    println!("{}", persistence::run(kills.parse()?, seed_or_any(seed)?)?);
    Ok(())
}

fn seed_or_any(seed: Option<&str>) -> Outcome<u64> {
    Ok(match seed {
        Some(seed) => seed.parse()?,
        None => fastrand::u64(..),
    })
}
