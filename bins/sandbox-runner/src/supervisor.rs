//! The supervisor of one execution: a process that starts the command, and whose child everything
//! becomes that the command leaves behind, whatever session or parent it takes. So all that came of
//! an execution is found, and when the supervisor ends, nothing of it is left.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use armor_runner_protocol::{Decoder, NotStarted, Usage, encode, receive, send};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, WaitOptions, WaitStatus, getpid, ioctl_tiocsctty, set_child_subreaper,
    set_dumpable_behavior, setsid, wait,
};

use crate::orders::{Exited, Order, Report, Run};
use crate::processes;

/// How long killed processes are waited for before the tree is looked at again.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Carries out what the runner orders over standard input, until nothing of the command is left.
pub(crate) fn run() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_child_subreaper(Some(getpid()))?;
    setsid()?;
    // Those of a terminal are meant for the command.
    SigSet::all().thread_block()?;
    let mut heard = SigSet::empty();
    heard.add(Signal::SIGCHLD);
    let children = SignalFd::with_flags(&heard, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;

    let mut line = Line::new(io::stdin().as_fd().try_clone_to_owned()?);
    let Some(Order::Run) = line.order()? else { return Ok(()) };
    let run = line.descriptors.pop_front().ok_or_else(|| io::Error::other("nothing to run"))?;
    let run: Run = serde_json::from_reader(BufReader::new(File::from(run)))?;
    let main = match start(&run, &mut line.descriptors) {
        Ok(main) => main,
        Err(why) => return line.report(&Report::NotStarted(why)),
    };
    line.descriptors.clear();
    line.report(&Report::Started { pid: main.as_raw_nonzero().get().cast_unsigned() })?;
    // It may have ended before its end could be heard of.
    if reap(main, &mut line)? {
        return Ok(());
    }

    let mut killing = false;
    loop {
        // It may have come together with the order to start.
        killing |= matches!(line.waiting()?, Some(Order::Kill));
        let (wakes, ordered) = {
            let mut polled = [
                PollFd::new(&children, PollFlags::IN),
                PollFd::from_borrowed_fd(line.socket.as_fd(), PollFlags::IN),
            ];
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
            // A runner that is gone has no use for the command either.
            killing = matches!(line.order()?, None | Some(Order::Kill));
        }
        if reap(main, &mut line)? {
            return Ok(());
        }
        if killing {
            processes::kill_descendants(&[getpid().as_raw_nonzero().get()]);
        }
    }
}

/// Takes the children that have ended. Says whether there is none left.
fn reap(main: Pid, line: &mut Line) -> io::Result<bool> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(None) => return Ok(false),
            Ok(Some((pid, status))) if pid == main => {
                line.report(&Report::Exited(exited(status)))?;
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
fn start(run: &Run, descriptors: &mut VecDeque<OwnedFd>) -> Result<Pid, NotStarted> {
    let failed =
        |error: io::Error| NotStarted::Failed { reason: processes::why_not_started(&error) };
    let [program, arguments @ ..] = run.argv.as_slice() else {
        return Err(NotStarted::NotFound);
    };
    std::env::set_current_dir(&run.cwd).map_err(|_| NotStarted::NoDirectory)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(run.env.iter().map(|(name, value)| (name, value)));
    let streams = if run.terminal {
        let terminal = descriptors.pop_front().ok_or_else(missing)?;
        ioctl_tiocsctty(&terminal).map_err(|error| failed(error.into()))?;
        let copy = || terminal.try_clone().map_err(failed);
        [copy()?, copy()?, terminal.try_clone().map_err(failed)?]
    } else {
        command.process_group(0);
        let mut next = || descriptors.pop_front().ok_or_else(missing);
        [next()?, next()?, next()?]
    };
    let [stdin, stdout, stderr] = streams.map(Stdio::from);
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

fn missing() -> NotStarted {
    NotStarted::Failed { reason: "a descriptor is missing".to_owned() }
}

/// The line to the runner.
struct Line {
    socket: OwnedFd,
    decoder: Decoder,
    descriptors: VecDeque<OwnedFd>,
}

impl Line {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, decoder: Decoder::default(), descriptors: VecDeque::new() }
    }

    /// The next order, if it has come already.
    fn waiting(&mut self) -> io::Result<Option<Order>> {
        self.decoder.message().map_err(io::Error::other)
    }

    /// Waits for the next order; none when the runner is gone.
    fn order(&mut self) -> io::Result<Option<Order>> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(order) = self.waiting()? {
                return Ok(Some(order));
            }
            match receive(&self.socket, &mut buffer, &mut self.descriptors)? {
                0 => return Ok(None),
                came => self.decoder.push(&buffer[..came]),
            }
        }
    }

    /// A runner that is gone hears nothing: that is no error.
    fn report(&self, report: &Report) -> io::Result<()> {
        let frame = encode(report).map_err(io::Error::other)?;
        let none: [BorrowedFd<'_>; 0] = [];
        match send(&self.socket, &frame, &none) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(error),
        }
    }
}
