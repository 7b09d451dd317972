//! A line of the audit log, and how one is bound to the one before.

use std::io::{self, BufRead, Read};

use armor_core::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::hash::sha256;

/// What stands for the hash before the first line.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The longest line that is read. What is longer was not written by us, and is not worth the memory.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) event: Box<RawValue>,
    pub(super) prev: String,
    pub(super) sha256: String,
}

/// What a line says of its event, as far as the chain needs it.
#[derive(Deserialize)]
struct Place {
    task_seq: u64,
}

/// How far a log goes: the place of its last event, and the hash that the next line binds to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) task_seq: u64,
    pub(super) sha256: String,
}

impl End {
    pub(super) fn start() -> Self {
        Self { task_seq: 0, sha256: GENESIS.to_owned() }
    }

    /// Adds the line of an event to `text`, and goes on behind it.
    pub(super) fn chain(&mut self, event: &Event, text: &mut Vec<u8>) -> io::Result<()> {
        let line = Line::bind(event, self)?;
        serde_json::to_writer(&mut *text, &line)?;
        text.push(b'\n');
        *self = Self { task_seq: event.task_seq(), sha256: line.sha256 };
        Ok(())
    }
}

impl Line {
    fn bind(event: &Event, end: &End) -> serde_json::Result<Self> {
        let event = to_raw_value(event)?;
        let sha256 = sha256(&[end.sha256.as_bytes(), event.get().as_bytes()]);
        Ok(Self { event, prev: end.sha256.clone(), sha256 })
    }

    /// Reads a line and checks it against its own hash.
    pub(super) fn parse(text: &[u8]) -> Result<(Self, u64), String> {
        let line: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let place: Place =
            serde_json::from_str(line.event.get()).map_err(|error| error.to_string())?;
        if sha256(&[line.prev.as_bytes(), line.event.get().as_bytes()]) != line.sha256 {
            return Err("its hash does not fit its content".to_owned());
        }
        Ok((line, place.task_seq))
    }
}

/// The lines of a file, one after the other.
pub(super) struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    /// The number of the line that was read last; the first is 1.
    pub(super) number: u64,
}

/// What was read where a line is to be.
pub(super) enum LineText {
    /// A line, without its newline.
    Line(Vec<u8>),
    /// Something that is no line, and why.
    NoLine(&'static str),
}

impl<'a> Lines<'a> {
    pub(super) fn of(reader: &'a mut dyn BufRead) -> Self {
        Self { reader, number: 0 }
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<LineText>> {
        let mut text = Vec::new();
        self.number += 1;
        (&mut *self.reader).take(MAX_BYTES).read_until(b'\n', &mut text)?;
        Ok(match text.pop() {
            None => None,
            Some(b'\n') => Some(LineText::Line(text)),
            Some(_) if text.len() as u64 + 1 == MAX_BYTES => {
                self.reader.skip_until(b'\n')?;
                Some(LineText::NoLine("it is longer than any line of ours"))
            }
            Some(_) => Some(LineText::NoLine("it is torn: it does not end")),
        })
    }
}
