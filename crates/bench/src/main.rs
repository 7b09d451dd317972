//! Measures Armor beside what a user would have instead, in one run on one machine.
//!
//! Each area takes turns between ours and its baseline, after a warm-up, in several rounds; a
//! ratio never compares figures of different runs. `cargo xtask bench` is the way to call it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod arguments;
mod checkpoints;
mod events;
mod machine;
mod memory;
mod registry;
mod row;
mod sandbox;
mod table;
mod times;

use std::error::Error;
use std::process::ExitCode;

use arguments::{Area, Arguments};
use machine::Machine;
use row::Row;
use tokio_util::task::AbortOnDropHandle;

/// What a step gives, or why it failed.
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// Under a minute an area.
    Quick,
    /// Until a p99 means something.
    Full,
}

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.as_slice() {
        [read, file] if read == registry::READ => {
            return told(registry::read_everything(file.as_ref()).await);
        }
        [take, tree, home] if take == checkpoints::TAKE => {
            return told(checkpoints::take(tree.as_ref(), home.as_ref()));
        }
        _ => {}
    }
    let outcome = match arguments::parse(words.into_iter()) {
        // Dropping what runs removes what it made.
        Ok(arguments) => tokio::select! {
            outcome = run(&arguments) => outcome,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        },
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("armor-bench: {}", armor_core::error::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// What the program says as a process of its own, for its parent to look at its memory.
fn told(memory: Outcome<f64>) -> ExitCode {
    match memory {
        Ok(mebibytes) => {
            println!("{mebibytes}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", armor_core::error::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome {
    if arguments.areas.contains(&Area::Sandbox) {
        sandbox::ensure_engine().await?;
    }
    let machine = Machine::look().await?;
    let mut rows = Vec::new();
    for area in &arguments.areas {
        rows.extend(match area {
            Area::Registry => as_a_task(registry::measure(arguments.effort)).await?,
            Area::Events => as_a_task(events::measure(arguments.effort)).await?,
            Area::Load => as_a_task(registry::load::measure(arguments.effort)).await?,
            Area::Sandbox => sandbox::measure(arguments.effort).await?,
            Area::Checkpoints => {
                let effort = arguments.effort;
                // It waits for the disk and for programs.
                tokio::task::spawn_blocking(move || checkpoints::measure(effort)).await??
            }
        });
    }
    print(&machine, &rows, arguments.json)
}

/// Measures where a server's calls run: on a thread of the runtime. The program's first thread is
/// none, so all that it waits for would wake one thread more.
async fn as_a_task(
    measuring: impl Future<Output = Outcome<Vec<Row>>> + Send + 'static,
) -> Outcome<Vec<Row>> {
    AbortOnDropHandle::new(tokio::spawn(measuring)).await?
}

fn print(machine: &Machine, rows: &[Row], json: bool) -> Outcome {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
    } else {
        println!("{machine}\n\n{}", table::render(rows));
    }
    Ok(())
}
