//! One execution: its supervisor, its output or terminal, and what has become of it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use armor_output::Written;
use armor_runner_protocol::{
    Answer, Cause, Decoder, End, Io, NotStarted, Size, Start, Usage, encode, receive, send,
};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::capture::{Capture, Given};
use crate::memory;
use crate::orders::{Exited, Order, Report, Run, SUPERVISE};

/// An execution, from the order to start it until nothing of it is left.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) name: String,
    supervisor: Child,
    line: UnixStream,
    decoder: Decoder,
    /// Whether the supervisor is there.
    supervised: bool,
    /// None when it has a terminal.
    pub(crate) capture: Option<Capture>,
    pub(crate) deadline: Option<Instant>,
    /// Why it is being ended, if it is.
    ending: Option<Cause>,
    progress: Progress,
    memory_kills: u64,
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
    /// Starts a supervisor and orders the command. Gives the host's end of a terminal, too.
    ///
    /// # Errors
    /// When descriptors are missing, or a limit of the system is reached.
    pub(crate) fn start(
        start: Start,
        descriptors: &mut VecDeque<OwnedFd>,
    ) -> io::Result<(Self, Option<OwnedFd>)> {
        let (capture, given, host_end) = match &start.io {
            Io::Files(files) => {
                let (capture, given) = Capture::begin(files, descriptors)?;
                (Some(capture), given, None)
            }
            Io::Terminal(size) => {
                let (host_end, given) = terminal(*size)?;
                (None, given, Some(host_end))
            }
        };
        let (line, theirs) = UnixStream::pair()?;
        let supervisor = Command::new("/proc/self/exe")
            .arg(SUPERVISE)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let order = Order::Run(Run {
            argv: start.argv,
            cwd: start.cwd,
            // What comes later counts. A variable of the image that is not UTF-8 is left out.
            env: image_variables().chain(start.env).collect(),
            terminal: host_end.is_some(),
        });
        let execution = Self {
            name: start.execution,
            supervisor,
            line,
            decoder: Decoder::default(),
            supervised: true,
            capture,
            deadline: start.limit_ms.map(|limit| Instant::now() + Duration::from_millis(limit)),
            ending: None,
            progress: Progress::Starting,
            memory_kills: memory::kills(),
        };
        let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
        execution.order(&order, &given)?;
        execution.line.set_nonblocking(true)?;
        Ok((execution, host_end))
    }

    /// What the supervisor's reports come from.
    pub(crate) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    /// The supervisor's process.
    pub(crate) fn supervisor(&self) -> i32 {
        self.supervisor.id().cast_signed()
    }

    /// Whether the supervisor is there.
    pub(crate) const fn is_supervised(&self) -> bool {
        self.supervised
    }

    /// Whether its command has not ended yet, or its end has not been told.
    pub(crate) const fn is_running(&self) -> bool {
        !matches!(self.progress, Progress::Told)
    }

    /// Whether nothing of it is left.
    pub(crate) fn is_over(&self) -> bool {
        !self.supervised && !self.is_running() && self.capture.as_ref().is_none_or(Capture::is_over)
    }

    pub(crate) fn written(&self) -> Written {
        self.capture.as_ref().map_or_else(Written::default, Capture::written)
    }

    /// Ends it, with everything that came of it. Who comes first says why.
    pub(crate) fn end(&mut self, cause: Cause) {
        if self.ending.is_none() {
            self.ending = Some(cause);
            self.deadline = None;
            // A supervisor that is gone has nothing left to kill.
            let _ordered = self.order(&Order::Kill, &[]);
        }
    }

    fn order(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let frame = encode(order).map_err(io::Error::other)?;
        let sent = send(&self.line, &frame, descriptors)?;
        (&self.line).write_all(&frame[sent..])
    }

    /// Hears what the supervisor reports. Gives what who asked for the start is to be told.
    pub(crate) fn hear(&mut self) -> Option<Answer> {
        self.receive();
        let mut answer = None;
        while let Ok(Some(report)) = self.decoder.message() {
            match report {
                Report::Started { pid } => {
                    self.progress = Progress::Running;
                    answer = Some(Answer::Started { pid });
                }
                Report::NotStarted(why) => {
                    self.progress = Progress::Told;
                    answer = Some(Answer::NotStarted(why));
                }
                Report::Exited(exited) => self.progress = Progress::Exited(exited),
            }
        }
        if !self.supervised && matches!(self.progress, Progress::Starting) {
            self.progress = Progress::Told;
            let reason = "what was to start it was killed".to_owned();
            answer = Some(Answer::NotStarted(NotStarted::Failed { reason }));
        }
        answer
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match receive(&self.line, &mut buffer, &mut Vec::new()) {
                Ok(came) if came > 0 => self.decoder.push(&buffer[..came]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.supervised = false;
                    return;
                }
            }
        }
    }

    /// The end, once it is known and has not been told: when the command has exited, or, where all
    /// is being ended, when nothing is left.
    pub(crate) fn settle(&mut self) -> Option<End> {
        let exited = match (&self.progress, self.ending, self.supervised) {
            (Progress::Exited(exited), None, _) | (Progress::Exited(exited), Some(_), false) => {
                Some(*exited)
            }
            (Progress::Running, _, false) => None,
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
            out_of_memory: memory::kills() > self.memory_kills,
            usage: exited.map_or_else(Usage::default, |exited| exited.usage),
            stdout_bytes: written.stdout,
            stderr_bytes: written.stderr,
        };
        self.progress = Progress::Told;
        // What it leaves behind has all the time of the sandbox.
        self.deadline = None;
        if let Some(capture) = &mut self.capture {
            // A host that watches hears of it all the same.
            let _noted = capture.note(&end);
        }
        Some(end)
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
    Ok((host_end, vec![command_end]))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the environment of the container is what it gives on"
)]
fn image_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
