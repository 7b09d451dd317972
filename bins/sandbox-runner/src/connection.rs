//! One connection of a host.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use armor_output::Written;
use armor_runner_protocol::{Answer, Decoder, FrameError, Hello, Request, VERSION, encode};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::event::epoll::EventFlags;
use serde::Serialize;

/// How much may wait to be sent before a host is given up that does not read.
const MOST_WAITING: usize = 1 << 20;

/// A host that is connected.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    descriptors: VecDeque<OwnedFd>,
    waiting: Vec<u8>,
    /// Goes with the next bytes.
    along: Option<OwnedFd>,
    /// The execution it hears of.
    pub(crate) watching: Option<u64>,
    /// The execution whose terminal it has.
    pub(crate) terminal_of: Option<u64>,
    /// The host's end of it, until its command runs.
    pub(crate) terminal: Option<OwnedFd>,
    /// What it was told; nothing before it was told at all.
    told: Option<Written>,
    /// Whether it is waited for until it reads.
    is_waited_for: bool,
}

impl Connection {
    /// Greets a host. None for a process of the sandbox, which has nothing to say here.
    pub(crate) fn greet(stream: UnixStream) -> io::Result<Option<Self>> {
        // The kernel shows a process of another process namespace as number 0.
        let peer = getsockopt(&stream, PeerCredentials)?;
        if peer.pid() != 0 {
            return Ok(None);
        }
        stream.set_nonblocking(true)?;
        let mut connection = Self {
            stream,
            decoder: Decoder::default(),
            descriptors: VecDeque::new(),
            waiting: Vec::new(),
            along: None,
            watching: None,
            terminal_of: None,
            terminal: None,
            told: None,
            is_waited_for: false,
        };
        let runner = env!("CARGO_PKG_VERSION").to_owned();
        connection.say(&Hello { protocol: VERSION, runner })?;
        Ok(Some(connection))
    }

    pub(crate) fn source(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether something waits for the host to read.
    fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What the kernel is to wake us for, if that has changed.
    pub(crate) fn new_interest(&mut self) -> Option<EventFlags> {
        if self.is_waited_for == self.is_full() {
            return None;
        }
        self.is_waited_for = self.is_full();
        let mut interest = EventFlags::IN;
        interest.set(EventFlags::OUT, self.is_waited_for);
        Some(interest)
    }

    /// Takes what has come. False when the host is gone.
    pub(crate) fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match armor_runner_protocol::receive(&self.stream, &mut buffer, &mut self.descriptors) {
                Ok(0) => return Ok(false),
                Ok(came) => self.decoder.push(&buffer[..came]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next descriptors that came, as many as there are of so many.
    pub(crate) fn take(&mut self, count: usize) -> VecDeque<OwnedFd> {
        self.descriptors.drain(..count.min(self.descriptors.len())).collect()
    }

    /// Closes all descriptors that came.
    pub(crate) fn forget_along(&mut self) {
        self.descriptors.clear();
    }

    /// The next request, unless an answer is still owed.
    pub(crate) fn request(&mut self) -> Result<Option<Request>, FrameError> {
        if self.watching.is_some() { Ok(None) } else { self.decoder.message() }
    }

    /// Begins to tell of an execution, of which the host knows so much.
    pub(crate) fn watch(&mut self, execution: u64, known: Option<Written>) {
        self.watching = Some(execution);
        self.told = known;
    }

    /// Tells how far the execution has come, if there is news and the host reads.
    pub(crate) fn tell(&mut self, written: Written) -> io::Result<()> {
        if self.told == Some(written) || self.is_full() {
            return Ok(());
        }
        self.told = Some(written);
        self.answer(&Answer::Progress {
            stdout_bytes: written.stdout,
            stderr_bytes: written.stderr,
        })
    }

    pub(crate) fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        match answer {
            Answer::Started { .. } => self.along = self.terminal.take(),
            Answer::NotStarted(_) => self.terminal = None,
            _ => {}
        }
        self.say(answer)
    }

    /// Answers, with a descriptor.
    pub(crate) fn answer_with(&mut self, answer: &Answer, along: OwnedFd) -> io::Result<()> {
        self.along = Some(along);
        self.say(answer)
    }

    fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.waiting.extend(encode(message).map_err(io::Error::other)?);
        self.flush()
    }

    /// Sends what waits, as far as the host reads it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let along: Vec<_> = self.along.iter().map(AsFd::as_fd).collect();
            match armor_runner_protocol::send(&self.stream, &self.waiting, &along) {
                Ok(sent) => {
                    self.waiting.drain(..sent);
                    self.along = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.waiting.len() > MOST_WAITING {
            return Err(io::Error::other("the host does not read"));
        }
        Ok(())
    }
}
