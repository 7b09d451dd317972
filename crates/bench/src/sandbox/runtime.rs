//! The runtime's own calls beside the engine's: make and start, run a command, remove.

use std::time::{Duration, Instant};

use armor_core::id::{IdSource, SandboxId};
use armor_core::sandbox::{
    CommandExit, ExecRequest, Limits, OutputPlace, Runtime, SandboxSpec, paths,
};
use armor_core::time::{Clock, SystemClock};
use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::Amount;
use super::place::Place;
use crate::Outcome;
use crate::times::{Side, Times, order};

/// The times of each call.
pub(super) struct Measured {
    pub(super) create: Times,
    pub(super) exec: Times,
    /// One command after the other, beside a shell that starts the same program itself.
    pub(super) row: Times,
    pub(super) remove: Times,
    pub(super) output: Times,
    /// What one of several at once takes of the time.
    pub(super) together: Times,
    pub(super) idle: Idle,
}

/// What a sandbox's processes take when no command runs, ours and the baseline's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Idle {
    /// Resident memory, in MiB.
    pub(super) resident: [f64; 2],
    /// Processor time, in hundredths of a processor.
    pub(super) busy: [f64; 2],
}

/// How long they are watched.
const IDLE: Duration = Duration::from_secs(2);

/// How many commands run at once in one sandbox.
const TOGETHER: u32 = 8;

/// How many commands run one after the other, and what starts as many inside: nothing can be faster.
const IN_A_ROW: u32 = 50;
const LOOP: [&str; 3] = ["sh", "-c", "i=0; while [ $i -lt 50 ]; do i=$((i + 1)); /bin/true; done"];

/// Writes 100 MB as fast as it can.
const WRITE: [&str; 4] = ["dd", "if=/dev/zero", "bs=1000000", "count=100"];

/// Measures them, one sandbox of each side at a time.
pub(super) async fn measure(place: &Place, amount: Amount) -> Outcome<Measured> {
    let mut measured = Measured {
        create: Times::new()?,
        exec: Times::new()?,
        row: Times::new()?,
        remove: Times::new()?,
        output: Times::new()?,
        together: Times::new()?,
        idle: Idle::default(),
    };
    for turn in 0..2 {
        measured.a_sandbox_of_each(place, turn, amount.commands).await?;
    }
    measured.create.forget();
    measured.exec.forget();
    measured.row.forget();
    measured.remove.forget();
    measured.output.forget();
    measured.together.forget();
    for turn in 0..amount.rounds * amount.sandboxes {
        measured.a_sandbox_of_each(place, turn, amount.commands).await?;
    }
    Ok(measured)
}

impl Measured {
    async fn a_sandbox_of_each(&mut self, place: &Place, turn: usize, commands: usize) -> Outcome {
        let spec = place.spec(Limits::default())?;
        let (mut ours, mut bare) = (None, None);
        for side in order(turn) {
            match side {
                Side::Ours => ours = Some(self.create.ours(create(place, &spec)).await?),
                Side::Baseline => {
                    let work = place.bare.create_and_start(&spec);
                    bare = Some(self.create.baseline(work).await?);
                }
            }
        }
        let (Some(ours), Some(bare)) = (ours, bare) else {
            return Err("a side had no turn".into());
        };
        for side in order(turn) {
            for _ in 0..commands {
                match side {
                    Side::Ours => self.exec.ours(exec(place, &ours, &spec, &["true"])).await?,
                    Side::Baseline => {
                        let work = place.bare.exec(&bare, spec.user, &[], &["true"]);
                        self.exec.baseline(work).await?;
                    }
                }
            }
        }
        for side in order(turn) {
            match side {
                Side::Ours => {
                    for _ in 0..IN_A_ROW {
                        self.row.ours(exec(place, &ours, &spec, &["true"])).await?;
                    }
                }
                Side::Baseline => {
                    let began = Instant::now();
                    exec(place, &ours, &spec, &LOOP).await?;
                    self.row.took(side, began.elapsed() / IN_A_ROW);
                }
            }
        }
        for side in order(turn) {
            let began = Instant::now();
            match side {
                Side::Ours => {
                    let all = (0..TOGETHER).map(|_| exec(place, &ours, &spec, &["true"]));
                    try_join_all(all).await?;
                }
                Side::Baseline => {
                    let one = |_| place.bare.exec(&bare, spec.user, &[], &["true"]);
                    try_join_all((0..TOGETHER).map(one)).await?;
                }
            }
            self.together.took(side, began.elapsed() / TOGETHER);
        }
        if turn == 0 {
            let resident =
                [place.bare.resident(ours.as_str()).await?, place.bare.resident(&bare).await?];
            let before = [place.bare.busy(ours.as_str()).await?, place.bare.busy(&bare).await?];
            tokio::time::sleep(IDLE).await;
            let after = [place.bare.busy(ours.as_str()).await?, place.bare.busy(&bare).await?];
            let share = |side: usize| {
                100.0 * (after[side].saturating_sub(before[side])).div_duration_f64(IDLE)
            };
            self.idle = Idle { resident, busy: [share(0), share(1)] };
        }
        for side in order(turn) {
            match side {
                Side::Ours => self.output.ours(exec(place, &ours, &spec, &WRITE)).await?,
                Side::Baseline => {
                    let work = place.bare.exec(&bare, spec.user, &[], &WRITE);
                    self.output.baseline(work).await?;
                }
            }
        }
        for side in order(turn) {
            match side {
                Side::Ours => self.remove.ours(place.runtime.remove(&spec.task)).await?,
                Side::Baseline => self.remove.baseline(place.bare.remove(&bare)).await?,
            }
        }
        Ok(())
    }
}

pub(super) async fn create(place: &Place, spec: &SandboxSpec) -> Outcome<SandboxId> {
    let sandbox = place.runtime.create(spec).await?.id;
    place.runtime.start(&sandbox, spec).await?;
    Ok(sandbox)
}

pub(super) async fn exec(
    place: &Place,
    sandbox: &SandboxId,
    spec: &SandboxSpec,
    argv: &[&str],
) -> Outcome {
    let execution = place.ids.execution_id(SystemClock.now());
    // Into one folder what is large: removing files makes the file system slow to make new ones for
    // a while, and with that whatever is measured next.
    let kept = if argv == WRITE { "large" } else { execution.as_str() };
    let folder = place.home().user().join("output").join(kept);
    let request = ExecRequest {
        execution,
        argv: argv.iter().map(ToString::to_string).collect(),
        user: spec.user,
        cwd: paths::WORKSPACE.to_owned(),
        env: Vec::new(),
        stdin: None,
        limit: Duration::from_mins(1),
        output: OutputPlace { folder, keep_bytes: 1 << 30 },
    };
    let (progress, _) = watch::channel(None);
    let end = place.runtime.exec(sandbox, request, &progress).await?;
    match end.exit {
        CommandExit::Code(0) => Ok(()),
        exit => Err(format!("{argv:?} ended with {exit:?}").into()),
    }
}
