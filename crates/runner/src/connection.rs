//! A connection to a runner.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use armor_runner_protocol::{Answer, Decoder, Hello, Request, VERSION, encode};
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::RunnerError;

/// The name of the runner's socket in the folder that it shares with the host.
pub const SOCKET: &str = "runner.sock";

/// A connection to the runner of one sandbox.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    descriptors: VecDeque<OwnedFd>,
    /// What came last; beside the future that waits for it, which so stays small.
    buffer: Box<[u8]>,
}

impl Connection {
    /// Connects to the runner that listens in `folder`, if it is the process `first`: the first of
    /// its sandbox, as the host numbers it.
    ///
    /// # Errors
    /// When nobody answers, it is somebody else, or it speaks another version.
    pub async fn open(folder: &Path, first: i32) -> Result<Self, RunnerError> {
        let unreachable =
            |source: io::Error| RunnerError::Unreachable { folder: folder.to_owned(), source };
        // By the folder's descriptor: the name of a socket is short, that of a home may be long.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, flags, Mode::empty());
        let opened = opened.map_err(|error| unreachable(error.into()))?;
        let socket = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
        let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
        let peer = stream.peer_cred().map_err(unreachable)?;
        match peer.pid() {
            Some(pid) if pid == first && first > 0 => {}
            // Number 0 is whoever this process cannot see.
            Some(0) => return Err(RunnerError::Unseen),
            _ => return Err(RunnerError::Replaced),
        }
        let mut connection = Self {
            stream,
            decoder: Decoder::default(),
            descriptors: VecDeque::new(),
            buffer: vec![0; 4096].into(),
        };
        let hello: Hello = connection.receive().await?;
        if hello.protocol != VERSION {
            return Err(RunnerError::OtherVersion { theirs: hello.protocol, ours: VERSION });
        }
        Ok(connection)
    }

    /// Asks for something, with the descriptors that it needs.
    ///
    /// # Errors
    /// When the runner is gone, or the request is too long.
    pub async fn ask(
        &mut self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), RunnerError> {
        let frame = encode(request)?;
        let (mut rest, mut along) = (frame.as_slice(), descriptors);
        while !rest.is_empty() {
            let stream = &self.stream;
            let sending = stream.async_io(Interest::WRITABLE, || {
                armor_runner_protocol::send(stream.as_fd(), rest, along)
            });
            let sent = sending.await.map_err(RunnerError::Lost)?;
            (rest, along) = (&rest[sent..], &[]);
        }
        Ok(())
    }

    /// Waits for the next answer. May be dropped and called again.
    ///
    /// # Errors
    /// When the runner is gone, or what it says is not understood.
    pub async fn answer(&mut self) -> Result<Answer, RunnerError> {
        self.receive().await
    }

    /// A descriptor that came with an answer: the host's end of a terminal.
    pub fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    async fn receive<M: DeserializeOwned>(&mut self) -> Result<M, RunnerError> {
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(message);
            }
            let (stream, descriptors) = (&self.stream, &mut self.descriptors);
            let buffer = &mut self.buffer;
            let receiving = stream.async_io(Interest::READABLE, || {
                armor_runner_protocol::receive(stream.as_fd(), buffer, descriptors)
            });
            match receiving.await.map_err(RunnerError::Lost)? {
                0 => return Err(RunnerError::Lost(io::ErrorKind::UnexpectedEof.into())),
                came => self.decoder.push(&self.buffer[..came]),
            }
        }
    }
}
