//! The supervisor of one execution: a process that starts the command, and whose child everything
//! becomes that the command leaves behind, whatever session or parent it takes. So all that came of
//! an execution is found, and when the supervisor ends, nothing of it is left.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use armor_runner_protocol::{Decoder, NotStarted, Usage, encode, send};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, WaitOptions, WaitStatus, getpid, ioctl_tiocsctty, set_child_subreaper, setsid, wait,
};

use crate::order::{self, Order};
use crate::processes;
use crate::report::{Exited, Report};

/// How long killed processes are waited for before the tree is looked at again.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What a supervisor is given.
#[derive(Debug)]
pub(crate) struct Charge {
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: String,
    /// All variables of the command.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) given: Given,
    /// The line to the runner, which hears reports and gives orders, and shuts it down when all that
    /// came of the command is to be killed.
    pub(crate) line: UnixStream,
}

/// What the command reads and writes.
#[derive(Debug)]
pub(crate) enum Given {
    /// Standard input, output and error.
    Streams([OwnedFd; 3]),
    /// One terminal for all three.
    Terminal(OwnedFd),
}

impl Charge {
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let given = match &self.given {
            Given::Streams(streams) => streams.as_slice(),
            Given::Terminal(terminal) => std::slice::from_ref(terminal),
        };
        given.iter().map(AsFd::as_fd).chain([self.line.as_fd()]).collect()
    }
}

/// Starts the command, and stays until nothing of it is left. Like the runner, whose copy it is, it
/// is not dumpable.
pub(crate) fn run(charge: Charge) -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    setsid()?;
    // Those of a terminal are meant for the command.
    SigSet::all().thread_block()?;
    let mut heard = SigSet::empty();
    heard.add(Signal::SIGCHLD);
    let children = SignalFd::with_flags(&heard, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;

    let Charge { argv, cwd, env, given, line } = charge;
    // On a terminal it is in the group of this process.
    let has_group = matches!(given, Given::Streams(_));
    let main = match start(&argv, &cwd, env, given) {
        Ok(main) => main,
        Err(why) => return report(&line, &Report::NotStarted(why)),
    };
    report(&line, &Report::Started { pid: main.as_raw_nonzero().get().cast_unsigned() })?;
    // None once it has been waited for: another may have its number from then on.
    let mut main = Some(main);
    // It may have ended before its end could be heard of.
    if reap(&mut main, &line)? {
        return Ok(());
    }

    let mut orders = Decoder::default();
    let mut killing = false;
    loop {
        let (wakes, ordered) = {
            let mut polled =
                [PollFd::new(&children, PollFlags::IN), PollFd::new(&line, PollFlags::IN)];
            // Once killing, the runner has no more to say.
            let polled = if killing { &mut polled[..1] } else { &mut polled[..] };
            match poll(polled, killing.then_some(&AGAIN)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready = |at: usize| polled.get(at).is_some_and(|fd| !fd.revents().is_empty());
            (ready(0), ready(1))
        };
        if wakes {
            while children.read_signal()?.is_some() {}
        }
        if ordered {
            match order::take(&line, &mut orders) {
                Some(orders) => {
                    for Order::Signal(signal) in orders {
                        if let Some(main) = main {
                            order::send(signal, main, has_group);
                        }
                    }
                }
                // A runner that is gone has no use for the command either.
                None => killing = true,
            }
        }
        if reap(&mut main, &line)? {
            return Ok(());
        }
        if killing {
            // What is not found now is looked for again.
            let _found = processes::kill_descendants(&[getpid().as_raw_nonzero().get()]);
        }
    }
}

/// Takes the children that have ended. Says whether there is none left.
fn reap(main: &mut Option<Pid>, line: &UnixStream) -> io::Result<bool> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(None) => return Ok(false),
            Ok(Some((pid, status))) if *main == Some(pid) => {
                *main = None;
                report(line, &Report::Exited(exited(status)))?;
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

fn exited(status: WaitStatus) -> Exited {
    Exited { code: status.exit_status(), signal: status.terminating_signal(), usage: usage() }
}

/// What the children used that have been waited for.
fn usage() -> Usage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Usage::default() };
    let micros = |time: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds * 1_000_000 + u64::try_from(time.tv_usec()).unwrap_or(0)
    };
    Usage {
        user_micros: micros(usage.user_time()),
        system_micros: micros(usage.system_time()),
        // Linux counts it in KiB.
        max_resident_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
    }
}

/// Starts the command in a process group of its own; on a terminal, where a shell makes its groups
/// itself, in the one that the terminal speaks to.
fn start(
    argv: &[String],
    cwd: &str,
    env: Vec<(String, String)>,
    given: Given,
) -> Result<Pid, NotStarted> {
    let failed =
        |error: io::Error| NotStarted::Failed { reason: processes::why_not_started(&error) };
    let [program, arguments @ ..] = argv else { return Err(NotStarted::NotFound) };
    std::env::set_current_dir(cwd).map_err(|_| NotStarted::NoDirectory)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(env);
    let [stdin, stdout, stderr] = match given {
        Given::Streams(streams) => {
            command.process_group(0);
            streams
        }
        Given::Terminal(terminal) => {
            ioctl_tiocsctty(&terminal).map_err(|error| failed(error.into()))?;
            let copy = || terminal.try_clone().map_err(failed);
            [copy()?, copy()?, copy()?]
        }
    }
    .map(Stdio::from);
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    // A child has the same signals blocked as its parent: the command is to have none.
    let blocked = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let child = command.spawn();
    if let Ok(blocked) = blocked {
        blocked.thread_set_mask().map_err(|error| failed(error.into()))?;
    }
    // It is waited for together with all others, not by its handle.
    let child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NotStarted::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => NotStarted::NotExecutable,
        _ => failed(error),
    })?;
    Ok(Pid::from_child(&child))
}

/// A runner that is gone hears nothing: that is no error.
fn report(line: &UnixStream, report: &Report) -> io::Result<()> {
    let frame = encode(report).map_err(io::Error::other)?;
    let none: [BorrowedFd<'_>; 0] = [];
    match send(line, &frame, &none) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error),
    }
}
