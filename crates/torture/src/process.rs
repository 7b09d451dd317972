//! A child that writes, as its parent sees it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{self, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::Outcome;
use crate::deed::Said;

/// How long a parent waits for a word of its child.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running child. Dropping it kills it.
pub(crate) struct Child {
    process: process::Child,
    said: Receiver<Outcome<Said>>,
}

impl Child {
    /// Starts a child on a home. It is not killed by writing past its limit on the size of files,
    /// but given the error.
    pub(crate) fn start(home: &Path, seed: u64) -> Outcome<Self> {
        let mut process = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
            .arg(std::env::current_exe()?)
            .arg("child")
            .arg(home)
            .arg(seed.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("the child has no output")?;
        let (tell, said) = channel();
        std::thread::spawn(move || read(BufReader::new(stdout), &tell));
        Ok(Self { process, said })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next thing that it says.
    pub(crate) fn next(&self) -> Outcome<Said> {
        self.said.recv_timeout(PATIENCE).map_err(|_| "the child says nothing any more")?
    }

    /// Kills the child, which must not have ended by itself, and gives what it had left to say.
    pub(crate) fn kill(mut self) -> Outcome<Vec<Said>> {
        if let Some(status) = self.process.try_wait()? {
            return Err(format!("the child ended by itself: {status}").into());
        }
        self.process.kill()?;
        self.process.wait()?;
        self.said.iter().collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// Reads to the end of the pipe. The last line may be torn.
fn read(mut stdout: BufReader<ChildStdout>, tell: &Sender<Outcome<Said>>) {
    let mut line = String::new();
    loop {
        let said = match stdout.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => serde_json::from_str(&line).map_err(Into::into),
            Ok(_) => return,
            Err(error) => Err(error.into()),
        };
        line.clear();
        // An error says that nobody listens any more.
        if tell.send(said).is_err() {
            return;
        }
    }
}
