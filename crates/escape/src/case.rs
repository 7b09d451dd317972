//! What a case is.

use std::fmt;

/// What a case prints when it succeeds.
pub const REACHED: &str = "REACHED";

/// What a case tries to get at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The kernel, by calls that ordinary programs do not need.
    Kernel,
    /// Files that are not the sandbox's.
    Files,
    /// The runner, and the processes of others.
    Processes,
    /// More than the sandbox's share.
    Resources,
    /// The host, other networks, names: from a sandbox without a network.
    Network,
    /// The same from one with the network `egress`, which may reach every name and public address.
    Egress,
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kernel => "kernel",
            Self::Files => "files",
            Self::Processes => "processes",
            Self::Resources => "resources",
            Self::Network => "network",
            Self::Egress => "egress",
        })
    }
}

/// How it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// By a line for bash.
    Shell(&'static str),
    /// By a program in Python, behind what makes system calls by their numbers.
    Python(&'static str),
}

/// One known way out.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What is tried to be done.
    pub name: &'static str,
    /// What it gets at.
    pub area: Area,
    /// How.
    pub attempt: Attempt,
    /// Whether it succeeds where nothing keeps it from that.
    pub can_succeed: bool,
}

impl Case {
    /// A case that succeeds where nothing keeps it from that.
    pub(crate) const fn new(area: Area, name: &'static str, attempt: Attempt) -> Self {
        Self { name, area, attempt, can_succeed: true }
    }

    /// The same for one whose success cannot be shown in a plain container on every machine: it needs
    /// what only Armor has, or what not every kernel and every engine's disk has.
    pub(crate) const fn ours(area: Area, name: &'static str, attempt: Attempt) -> Self {
        Self { name, area, attempt, can_succeed: false }
    }

    /// As a command.
    pub(crate) fn argv(&self) -> Vec<String> {
        let words = match self.attempt {
            Attempt::Shell(line) => ["/bin/bash".to_owned(), "-c".to_owned(), line.to_owned()],
            Attempt::Python(program) => {
                let program = format!("{PRELUDE}\n{program}");
                ["python3".to_owned(), "-c".to_owned(), program]
            }
        };
        words.into()
    }
}

/// System calls by number. One that the kernel looked into has been reached, whatever it answered:
/// what refuses it does so before.
const PRELUDE: &str = r#"
import ctypes, errno, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
KEPT = (errno.EPERM, errno.ENOSYS, errno.EACCES)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return result, ctypes.get_errno()
def attempt(number, *arguments):
    result, error = call(number, *arguments)
    if result < 0 and error in KEPT:
        print("kept by", errno.errorcode[error])
    else:
        print("REACHED", result, errno.errorcode.get(error, error))
def buffer(size):
    return ctypes.create_string_buffer(size)
"#;

/// How a case went.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Which.
    pub case: Case,
    /// What it wrote to standard output.
    pub said: String,
    /// What it wrote to standard error. That may show a case's own text.
    pub complained: String,
}

impl Verdict {
    /// Whether it succeeded.
    pub fn has_reached(&self) -> bool {
        self.said.contains(REACHED)
    }

    /// What it said, in one line.
    pub fn in_short(&self) -> String {
        let mut lines = self.complained.lines().chain(self.said.lines());
        let line = lines.rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
        line.chars().filter(|c| !c.is_control()).take(70).collect()
    }
}
