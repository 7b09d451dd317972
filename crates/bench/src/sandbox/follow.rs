//! From the moment in which a command writes something to the moment in which who follows it has it.
//!
//! The command reads a line from a pipe in its workspace and writes it: what is measured begins when the
//! line goes into the pipe, so a shell's `read` and `echo` are part of it on both sides.

use std::path::Path;
use std::process::Command;

use armor::task::Task;
use armor::{Armor, CommandLine, CreateTask, Execute, Lifecycle, LifecycleError, Silent};
use armor_core::sandbox::{OutputChunk, UserIds};
use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Amount;
use super::bare::Output;
use super::place::Place;
use crate::Outcome;
use crate::times::{Side, Times, order};

/// Says that it is there, then repeats what comes, until nothing more can.
const REPEAT: &str = "echo ready; exec 3<$0; while read line <&3; do echo $line; done";

/// One side: where lines go in, and where they come out.
struct Repeater {
    input: File,
    output: Output,
}

impl Repeater {
    /// Of a command that runs, and whose pipe this is.
    async fn of(pipe: &Path, mut output: Output) -> Outcome<Self> {
        output.next().await.ok_or("the command did not begin")??;
        // It waits for somebody to open the other end.
        let input = File::options().write(true).open(pipe).await?;
        Ok(Self { input, output })
    }

    async fn a_line(&mut self) -> Outcome {
        self.input.write_all(b"a line\n").await?;
        self.input.flush().await?;
        let back = self.output.next().await.ok_or("the command has ended")??;
        if back == "a line\n" { Ok(()) } else { Err(format!("{back:?} came back").into()) }
    }
}

/// Measures it, line by line, on one command of each side.
pub(super) async fn measure(place: &Place, amount: Amount) -> Outcome<Times> {
    let armor = Armor::builder(place.home().environment()).open().await?;
    let measured = Box::pin(measure_in(place, armor.lifecycle(), amount)).await;
    armor.close().await;
    measured
}

async fn measure_in(place: &Place, lifecycle: &Lifecycle, amount: Amount) -> Outcome<Times> {
    let task = lifecycle.create(CreateTask::named("a task to follow".parse()?)).await?;
    let task = lifecycle.attach(task.id.as_str(), "bench".parse()?, &Silent).await?;
    let spec = place.spec(lifecycle.default_limits())?;
    let bare = place.bare.create_and_start(&spec).await?;

    let (pipe, pipe_bare) = (
        lifecycle.folder(&task.id).workspace().join("pipe"),
        place.home().user().join("workspace/pipe"),
    );
    for path in [&pipe, &pipe_bare] {
        make_pipe(path)?;
    }
    let (output, done) = follow(lifecycle, &task);
    let mut ours = Repeater::of(&pipe, output).await?;
    let argv = ["/bin/sh", "-c", REPEAT, "/workspace/pipe"];
    let output = place.bare.begin(&bare, UserIds::UNPRIVILEGED, &argv).await?;
    let mut baseline = Repeater::of(&pipe_bare, output).await?;

    let mut times = Times::new()?;
    let lines = amount.rounds * amount.commands;
    for turn in 0..lines + 10 {
        for side in order(turn) {
            match side {
                Side::Ours => times.ours(ours.a_line()).await?,
                Side::Baseline => times.baseline(baseline.a_line()).await?,
            }
        }
        if turn == 10 {
            // That was the warm-up.
            times.forget();
        }
    }
    // With the pipe's end the command ends.
    drop((ours, baseline));
    done.await??;
    lifecycle.delete(task.id.as_str(), true).await?;
    place.bare.remove(&bare).await?;
    std::fs::remove_file(pipe_bare)?;
    Ok(times)
}

/// Runs the command in a task and gives what it writes, as it comes.
fn follow(lifecycle: &Lifecycle, task: &Task) -> (Output, JoinHandle<Result<(), LifecycleError>>) {
    let (live, pieces) = mpsc::channel::<OutputChunk>(64);
    let argv = ["/bin/sh", "-c", REPEAT, "/workspace/pipe"].map(str::to_owned).to_vec();
    let request = Execute { live: Some(live), ..Execute::new(CommandLine::Argv(argv)) };
    let (lifecycle, id) = (lifecycle.clone(), task.id.clone());
    let done = tokio::spawn(async move {
        lifecycle.execute(id.as_str(), request, CancellationToken::new()).await.map(drop)
    });
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((Ok(piece.bytes), pieces))
    });
    (Box::pin(pieces), done)
}

/// A pipe that the commands may read.
fn make_pipe(path: &Path) -> Outcome {
    let made = Command::new("mkfifo").args(["-m", "666"]).arg(path).status()?;
    if made.success() { Ok(()) } else { Err("mkfifo failed".into()) }
}
