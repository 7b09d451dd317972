//! The terminal as a command's console.

#![allow(clippy::print_stderr, reason = "progress goes to standard error")]

use std::io::{self, IsTerminal, Write};

use armor::commands::{Console, PersonsTerminal, TerminalKind};
use armor::sandbox::{InputSource, OutputChunk, StreamKind, TerminalSize};
use armor::{Environment, Progress};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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

    fn terminal(&self) -> Option<TerminalKind> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        // One whose size cannot be told is taken for none.
        let size = size_of(&stdin).ok()?;
        let name = Environment::of_process().get("TERM").unwrap_or("xterm").to_owned();
        Some(TerminalKind { size, name })
    }

    fn take_terminal(&self) -> io::Result<PersonsTerminal> {
        raw_terminal()
    }

    fn stdin(&self) -> InputSource {
        Box::new(tokio::io::stdin())
    }
}

/// Standard input and output as one terminal that passes on each key.
fn raw_terminal() -> io::Result<PersonsTerminal> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut raw = before.clone();
    raw.make_raw();
    // First, so that no change is missed.
    let mut changes = signal(SignalKind::window_change())?;
    let (sender, size) = watch::channel(size_of(&stdin)?);
    tokio::spawn(async move {
        while changes.recv().await.is_some() {
            let Ok(size) = size_of(&io::stdin()) else { return };
            if sender.send(size).is_err() {
                return;
            }
        }
    });
    tcsetattr(&stdin, OptionalActions::Now, &raw)?;
    Ok(PersonsTerminal {
        input: Box::new(tokio::io::stdin()),
        output: Box::new(tokio::io::stdout()),
        size,
        restore: Box::new(Restore(before)),
    })
}

fn size_of(terminal: &io::Stdin) -> io::Result<TerminalSize> {
    let size = tcgetwinsize(terminal)?;
    Ok(TerminalSize { columns: size.ws_col, rows: size.ws_row })
}

/// Gives the terminal back as it was.
struct Restore(Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        // Nobody could do anything about it.
        let _restored = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
