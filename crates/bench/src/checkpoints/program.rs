//! The programs that are measured beside ours, each run to its end.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Place;
use crate::Outcome;
use crate::times::{Side, Times};

/// A command, ready to be run.
pub(super) struct Program(Command);

/// Whether all programs are there.
pub(super) fn check() -> Outcome {
    for program in ["find", "restic", "tar", "zstd"] {
        let found = Command::new(program)
            .arg(if program == "restic" { "version" } else { "--version" })
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(format!(
                "the checkpoints are measured beside `{program}`, which is not there; on Debian: \
                 `apt-get install findutils restic tar zstd`"
            )
            .into());
        }
    }
    Ok(())
}

impl Program {
    fn shell(line: &str, arguments: &[&Path]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", line, "sh"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command)
    }

    /// Runs it, and takes its time.
    pub(super) fn run(mut self, side: Side, times: &mut Times) -> Outcome {
        let status = times.run(side, || self.0.status())?;
        if status.success() { Ok(()) } else { Err(format!("{:?} failed", self.0).into()) }
    }
}

impl Place {
    /// One archive of the tree, compressed.
    pub(super) fn tar(&self) -> Program {
        let line = r#"tar --create --file - --directory "$1" . | zstd -q -f -3 -T2 -o "$2""#;
        Program::shell(line, &[self.tree.path(), &self.path("tar.zst")])
    }

    /// As durable as a restored checkpoint.
    pub(super) fn untar(&self, target: &Path) -> Program {
        let line = r#"mkdir "$2" && zstd -q -d -c "$1" | tar --extract --directory "$2" && sync --file-system "$2""#;
        Program::shell(line, &[&self.path("tar.zst"), target])
    }

    pub(super) fn find(&self) -> Program {
        Program::shell(r#"find "$1" -printf '%p %i %s %T@ %C@\n'"#, &[self.tree.path()])
    }

    /// A repository of restic's with the tree, both new.
    pub(super) fn restic_anew(&self) -> Program {
        let line = r#"rm -rf "$1" && restic -q -r "$1" init && restic -q -r "$1" backup "$2""#;
        self.restic_with(line)
    }

    pub(super) fn restic(&self) -> Program {
        self.restic_with(r#"restic -q -r "$1" backup "$2""#)
    }

    /// What it does before it does anything.
    pub(super) fn restic_key(&self) -> Program {
        self.restic_with(r#"restic -q -r "$1" cat config"#)
    }

    fn restic_with(&self, line: &str) -> Program {
        let mut program = Program::shell(line, &[&self.path("restic"), self.tree.path()]);
        program.0.env("RESTIC_PASSWORD", "bench").env("RESTIC_CACHE_DIR", self.path("cache"));
        program
    }
}
