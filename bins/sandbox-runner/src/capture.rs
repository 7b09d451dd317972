//! The output of one execution on its way from pipes into the host's files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use armor_output::{OutputFiles, OutputWriter, StreamKind, Written};
use armor_runner_protocol::{Answer, Files};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::supervisor::Given;

/// How much of a stream may wait to be read, where the system allows it.
const PIPE_BYTES: usize = 256 * 1024;
/// How much is read at one time.
pub(crate) const READ_BYTES: usize = PIPE_BYTES;

/// Both streams, until their ends.
#[derive(Debug)]
pub(crate) struct Capture {
    streams: [Option<File>; 2],
    /// What streams that have ended were read from.
    ended: Vec<File>,
    writer: Option<OutputWriter>,
    written: Written,
    end: File,
}

const KINDS: [StreamKind; 2] = [StreamKind::Stdout, StreamKind::Stderr];

impl Capture {
    /// Takes the host's files, and makes what the command gets. Without an input that is `nothing`.
    pub(crate) fn begin(
        files: &Files,
        descriptors: &mut VecDeque<OwnedFd>,
        nothing: &File,
    ) -> io::Result<(Self, Given)> {
        let missing =
            || io::Error::other("its program has no room for the descriptors of the command");
        let mut next = || descriptors.pop_front().map(File::from).ok_or_else(missing);
        let output = OutputFiles { stdout: next()?, stderr: next()?, order: next()? };
        let end = next()?;
        let stdin = if files.stdin { next()? } else { nothing.try_clone()? };
        let (stdout, stdout_end) = pipe()?;
        let (stderr, stderr_end) = pipe()?;
        let capture = Self {
            streams: [Some(stdout), Some(stderr)],
            ended: Vec::new(),
            writer: Some(OutputWriter::new(output, files.keep_bytes)),
            written: Written::default(),
            end,
        };
        Ok((capture, Given::Streams([stdin.into(), stdout_end, stderr_end])))
    }

    /// What a stream is read from: none behind its end.
    pub(crate) fn source(&self, stream: usize) -> Option<BorrowedFd<'_>> {
        self.streams.get(stream)?.as_ref().map(AsFd::as_fd)
    }

    /// What is read from no more, for whoever waits for it. Closing it alone may not end that: a
    /// supervisor that was just forked has it, too.
    pub(crate) fn take_ended(&mut self) -> Vec<File> {
        std::mem::take(&mut self.ended)
    }

    /// Whether both have ended.
    pub(crate) fn is_over(&self) -> bool {
        self.streams.iter().all(Option::is_none)
    }

    pub(crate) const fn written(&self) -> Written {
        self.written
    }

    /// Reads a stream once, by way of `buffer`. Says how many bytes came.
    ///
    /// # Errors
    /// When what came cannot be kept. What comes later is dropped, so that nobody waits.
    pub(crate) fn read(&mut self, stream: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some(slot), Some(kind)) = (self.streams.get_mut(stream), KINDS.get(stream)) else {
            return Ok(0);
        };
        let Some(source) = slot else { return Ok(0) };
        let came = loop {
            match source.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                // A pipe does not fail otherwise; if it did, it would be of no use any more.
                Err(_) | Ok(0) => {
                    self.ended.extend(slot.take());
                    break 0;
                }
                Ok(came) => break came,
            }
        };
        let kept = match &mut self.writer {
            Some(writer) => {
                let kept = writer.write(*kind, &buffer[..came]);
                self.written = writer.written();
                kept
            }
            None => Ok(()),
        };
        if kept.is_err() {
            self.writer = None;
        } else if self.is_over() {
            self.finish()?;
        }
        kept.map(|()| came)
    }

    /// Reads all that is there now, and not what others may write meanwhile.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        for stream in 0..KINDS.len() {
            let Some(source) = self.source(stream) else { continue };
            let mut buffer = vec![0; READ_BYTES];
            let there = usize::try_from(rustix::io::ioctl_fionread(source)?).unwrap_or(usize::MAX);
            // Once more than there is, to see an end that has come.
            let mut read = 0;
            while read <= there {
                match self.read(stream, &mut buffer)? {
                    0 => break,
                    came => read += came,
                }
            }
        }
        Ok(())
    }

    /// Takes what is there, and no more: whoever holds the other ends is none of this execution.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let drained = self.drain();
        self.ended.extend(self.streams.iter_mut().filter_map(Option::take));
        drained.and(self.finish())
    }

    /// Completes the files.
    fn finish(&mut self) -> io::Result<()> {
        self.writer.take().map_or(Ok(()), |writer| writer.finish().map(drop))
    }

    /// Notes the end where the host finds it, and sees to it that all that came can be read.
    pub(crate) fn note(&mut self, end: &Answer) -> io::Result<()> {
        // The end is noted in any case.
        let flushed = self.writer.as_mut().map_or(Ok(()), OutputWriter::flush);
        self.end.write_all(&serde_json::to_vec(end)?)?;
        flushed
    }
}

/// A pipe whose first end does not block. Neither goes along into a process that is started.
fn pipe() -> io::Result<(File, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    // What cannot be larger works as well.
    let _size = fcntl_setpipe_size(&write, PIPE_BYTES);
    Ok((read.into(), write))
}
