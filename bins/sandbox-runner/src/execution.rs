//! One execution: its supervisor, its output or terminal, and what has become of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use armor_output::Written;
use armor_runner_protocol::{
    Answer, Cause, Decoder, End, Io, NotStarted, Signal, Size, Start, Usage, encode, receive, send,
};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::capture::Capture;
use crate::fork::start_supervisor;
use crate::memory::MemoryKills;
use crate::order::Order;
use crate::processes;
use crate::report::{Exited, Report};
use crate::supervisor::{Charge, Given};

/// How long a supervisor may take to kill all that is left of a command. Somebody may have stopped
/// it.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// How long one may take to start the command. The same may have happened to it.
const START_LIMIT: Duration = Duration::from_mins(1);

/// An execution, from the order to start it until nothing of it is left.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) name: String,
    supervisor: Supervisor,
    line: UnixStream,
    decoder: Decoder,
    /// None when it has a terminal.
    pub(crate) capture: Option<Capture>,
    pub(crate) deadline: Option<Instant>,
    /// Why it is being ended, if it is.
    ending: Option<Cause>,
    /// When the supervisor is killed itself, if it has not done its work by then.
    pub(crate) patience: Option<Instant>,
    progress: Progress,
    memory_kills: u64,
}

/// The process that watches over a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supervisor {
    /// This process.
    There(i32),
    /// It has been waited for. What it left is ours.
    Gone {
        /// Since when.
        since: Instant,
    },
}

/// How far it has come.
#[derive(Debug)]
enum Progress {
    /// The supervisor has not said whether the command runs.
    Starting,
    Running,
    /// The command has ended; perhaps not everything that came of it.
    Exited(Exited),
    /// Its end has been told.
    Told,
}

impl Execution {
    /// Starts a supervisor, which starts the command, when so many processes have been killed because
    /// memory ran out. What has no input reads `nothing`. Gives the host's end of a terminal, too.
    ///
    /// # Errors
    /// When descriptors are missing, or a limit of the system is reached.
    pub(crate) fn start(
        start: Start,
        descriptors: &mut VecDeque<OwnedFd>,
        nothing: &File,
        memory_kills: u64,
    ) -> io::Result<(Self, Option<OwnedFd>)> {
        let (capture, given, host_end) = match &start.io {
            Io::Files(files) => {
                let (capture, given) = Capture::begin(files, descriptors, nothing)?;
                (Some(capture), given, None)
            }
            Io::Terminal(size) => {
                let (host_end, given) = terminal(*size)?;
                (None, given, Some(host_end))
            }
        };
        let (line, theirs) = UnixStream::pair()?;
        line.set_nonblocking(true)?;
        let supervisor = start_supervisor(Charge {
            argv: start.argv,
            cwd: start.cwd,
            // What comes later counts. A variable of the image that is not UTF-8 is left out.
            env: image_variables().chain(start.env).collect(),
            given,
            line: theirs,
        })?;
        let execution = Self {
            name: start.execution,
            supervisor: Supervisor::There(supervisor),
            line,
            decoder: Decoder::default(),
            capture,
            deadline: start.limit_ms.map(|limit| Instant::now() + Duration::from_millis(limit)),
            ending: None,
            patience: Some(Instant::now() + START_LIMIT),
            progress: Progress::Starting,
            memory_kills,
        };
        Ok((execution, host_end))
    }

    /// What the supervisor's reports come from.
    pub(crate) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    pub(crate) const fn supervisor(&self) -> Supervisor {
        self.supervisor
    }

    /// Whether its command has not ended yet, or its end has not been told.
    pub(crate) const fn is_running(&self) -> bool {
        !matches!(self.progress, Progress::Told)
    }

    /// Whether its command runs, or ran.
    pub(crate) const fn has_started(&self) -> bool {
        !matches!(self.progress, Progress::Starting)
    }

    pub(crate) fn written(&self) -> Written {
        self.capture.as_ref().map_or_else(Written::default, Capture::written)
    }

    /// Has the supervisor send a signal to the command, if that has not ended and is not being ended. One
    /// that is about to start gets it then.
    pub(crate) fn signal(&self, signal: Signal) -> Answer {
        let has_ended = matches!(self.progress, Progress::Exited(_) | Progress::Told);
        if has_ended || self.ending.is_some() {
            return Answer::Unknown;
        }
        let none: [BorrowedFd<'_>; 0] = [];
        let order = encode(&Order::Signal(signal)).map_err(io::Error::other);
        // So short a frame goes as a whole or not at all.
        match order.and_then(|order| send(&self.line, &order, &none)) {
            Ok(_) => Answer::Signalled,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let reason = "what watches over the command stands still".to_owned();
                Answer::Refused { reason }
            }
            // The supervisor is gone, and the command goes with it.
            Err(_) => Answer::Unknown,
        }
    }

    /// Ends it, with everything that came of it. Who comes first says why. A second time does not
    /// wait for the supervisor any more.
    pub(crate) fn end(&mut self, cause: Cause) {
        self.deadline = None;
        if self.ending.is_some() {
            self.end_supervisor();
            return;
        }
        self.ending = Some(cause);
        self.patience = Some(Instant::now() + KILL_LIMIT);
        if self.line.shutdown(Shutdown::Write).is_err() {
            self.end_supervisor();
        }
    }

    /// Kills the supervisor, and all that it watches over as far as it is seen now. The rest becomes
    /// ours.
    pub(crate) fn end_supervisor(&mut self) {
        self.patience = None;
        if let Supervisor::There(pid) = self.supervisor {
            // What is not found now becomes ours, too.
            let _found = processes::kill_descendants(&[pid]);
            processes::kill(pid);
        }
    }

    /// Notes that the supervisor has been waited for.
    pub(crate) fn lose_supervisor(&mut self) {
        self.supervisor = Supervisor::Gone { since: Instant::now() };
        self.patience = None;
    }

    /// Hears what the supervisor reports. Gives what who asked for the start is to be told, and
    /// whether there may be more to hear.
    pub(crate) fn hear(&mut self) -> (Option<Answer>, bool) {
        let goes_on = self.receive();
        let mut answer = None;
        loop {
            let report = match self.decoder.message() {
                Ok(Some(report)) => report,
                Ok(None) => break,
                // It is no supervisor of ours any more.
                Err(_) => {
                    self.end(Cause::Lost);
                    self.end_supervisor();
                    return (answer, false);
                }
            };
            match (report, &self.progress) {
                (Report::Started { pid }, Progress::Starting) => {
                    self.progress = Progress::Running;
                    if self.ending.is_none() {
                        self.patience = None;
                    }
                    answer = Some(Answer::Started { pid });
                }
                (Report::NotStarted(why), Progress::Starting) => {
                    answer = Some(self.tell(Answer::NotStarted(why)));
                }
                (Report::Exited(exited), Progress::Running) => {
                    self.progress = Progress::Exited(exited);
                }
                // A command may have taken the supervisor over: nothing is told twice.
                _ => {}
            }
        }
        (answer, goes_on)
    }

    /// Takes what has come. Says whether there may be more.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match receive(&self.line, &mut buffer, &mut Vec::new()) {
            Ok(0) => false,
            Ok(came) => {
                self.decoder.push(&buffer[..came]);
                true
            }
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
            }
        }
    }

    /// The end, once it is known and has not been told: when the command has exited, or, where all
    /// is being ended, when `nothing_is_left`.
    pub(crate) fn settle(
        &mut self,
        nothing_is_left: bool,
        memory_kills: &MemoryKills,
    ) -> Option<Answer> {
        let exited = match (&self.progress, self.ending, nothing_is_left) {
            (Progress::Exited(exited), None, _) | (Progress::Exited(exited), Some(_), true) => {
                Some(*exited)
            }
            (Progress::Running, _, true) => None,
            (Progress::Starting, _, true) => {
                let reason = "what was to start it was killed".to_owned();
                return Some(self.tell(Answer::NotStarted(NotStarted::Failed { reason })));
            }
            _ => return None,
        };
        let mut cause = self.ending.unwrap_or(match exited {
            Some(_) => Cause::Exited,
            None => Cause::Lost,
        });
        if let Some(capture) = &mut self.capture
            && capture.drain().is_err()
        {
            cause = Cause::Unkept;
        }
        let written = self.written();
        let end = End {
            cause,
            code: exited.and_then(|exited| exited.code),
            signal: exited.and_then(|exited| exited.signal),
            out_of_memory: memory_kills.so_far() > self.memory_kills,
            usage: exited.map_or_else(Usage::default, |exited| exited.usage),
            stdout_bytes: written.stdout,
            stderr_bytes: written.stderr,
        };
        Some(self.tell(Answer::Ended(end)))
    }

    /// Notes what is told of its end.
    fn tell(&mut self, answer: Answer) -> Answer {
        self.progress = Progress::Told;
        // What it leaves behind has all the time of the sandbox.
        self.deadline = None;
        if let Some(capture) = &mut self.capture {
            // A host that watches hears of it all the same.
            let _noted = capture.note(&answer);
        }
        answer
    }
}

/// A terminal: the host's end, and the one for the command.
fn terminal(size: Size) -> io::Result<(OwnedFd, Given)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let host_end = openpt(flags)?;
    grantpt(&host_end)?;
    unlockpt(&host_end)?;
    tcsetwinsize(
        &host_end,
        Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 },
    )?;
    let command_end = ioctl_tiocgptpeer(&host_end, flags)?;
    Ok((host_end, Given::Terminal(command_end)))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the environment of the container is what it gives on"
)]
fn image_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
