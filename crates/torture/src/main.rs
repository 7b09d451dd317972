//! `armor-torture --kills N [--seed S]`: a child process writes to a home at full speed and says
//! over a pipe what it begins and what was acknowledged. It is killed (SIGKILL) at a random moment.
//! Then the home is opened again and checked: every acknowledged deed is there, every other one is
//! there as a whole or not at all, and all that follows the log agrees with it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod child;
mod deed;
mod home;
mod parent;
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
        ["--kills", kills] => parent(kills, None).await,
        ["--kills", kills, "--seed", seed] => parent(kills, Some(seed)).await,
        _ => Err("usage: armor-torture --kills N [--seed S]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("armor-torture: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn parent(kills: &str, seed: Option<&str>) -> Outcome<()> {
    let seed = match seed {
        Some(seed) => seed.parse()?,
        None => fastrand::u64(..),
    };
    println!("{}", parent::run(kills.parse()?, seed).await?);
    Ok(())
}
