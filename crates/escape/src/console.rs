//! A console where nobody sits.

use std::io;

use armor::Progress;
use armor::commands::{Console, PersonsTerminal, TerminalKind};
use armor::sandbox::{InputSource, OutputChunk};
use serde_json::Value;

/// Hears nothing, says nothing and agrees to nothing.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Progress for Nobody {
    fn step(&self, _line: &str) {}
}

impl Console for Nobody {
    fn output(&self, _chunk: &OutputChunk) -> io::Result<()> {
        Ok(())
    }

    fn entry(&self, _json: &Value, _text: &str) -> io::Result<()> {
        Ok(())
    }

    fn confirm(&self, _question: &str) -> bool {
        false
    }

    fn stdin(&self) -> InputSource {
        Box::new(tokio::io::empty())
    }

    fn terminal(&self) -> Option<TerminalKind> {
        None
    }

    fn take_terminal(&self) -> io::Result<PersonsTerminal> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
