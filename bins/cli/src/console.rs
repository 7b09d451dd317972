//! The terminal as a command's console.

#![allow(clippy::print_stderr, reason = "progress goes to standard error")]

use std::io::{self, IsTerminal, Read, Write};

use armor::Progress;
use armor::commands::Console;
use armor::sandbox::{OutputChunk, StreamKind};
use serde_json::Value;

/// Shows progress on standard error, and the output of commands where they wrote it.
#[derive(Debug)]
pub(crate) struct Terminal {
    json: bool,
}

impl Terminal {
    /// With `json`, standard output is left to the outcome.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }
}

impl Progress for Terminal {
    fn step(&self, line: &str) {
        eprintln!("{line}");
    }
}

impl Console for Terminal {
    fn output(&self, chunk: &OutputChunk) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        match chunk.stream {
            StreamKind::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&chunk.bytes)?;
                out.flush()
            }
            StreamKind::Stderr => io::stderr().lock().write_all(&chunk.bytes),
        }
    }

    fn entry(&self, json: &Value, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{text}")?;
        }
        out.flush()
    }

    fn confirm(&self, question: &str) -> bool {
        if !io::stdin().is_terminal() {
            return false;
        }
        eprint!("{question} [y/N] ");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok()
            && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    fn stdin(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
