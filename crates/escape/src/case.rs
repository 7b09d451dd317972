//! What a case is, and how it is run: as a command that says when it begins and when it has been tried
//! to its end, so that one that never came to its attempt is not taken for one that was kept.

use std::fmt;

/// What a case prints when it succeeds.
pub const REACHED: &str = "REACHED";
/// What every case prints when it begins.
pub(crate) const BEGUN: &str = "BEGUN";
/// What it prints when it was tried to its end.
pub(crate) const TRIED: &str = "TRIED";
/// What it prints when a program that it needs is not there.
pub(crate) const MISSING: &str = "MISSING";

/// What a case tries to get at, and from where.
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
    /// Other tasks and the host, from one with the network `internal`.
    Internal,
    /// Other tasks, from one with the network `open`.
    Open,
    /// More of the host's disk than the task may have.
    Disk,
    /// The host's own readers of the task's files, by what they find there.
    Host,
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
            Self::Internal => "internal",
            Self::Open => "open",
            Self::Disk => "disk",
            Self::Host => "host",
        })
    }
}

/// How it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// By lines for bash. Each is tried, whatever became of the one before; `exit` says that there is
    /// nothing to try it on.
    Shell(&'static str),
    /// By a program in Python, behind what makes system calls by their numbers. An exception that it
    /// does not catch says that it could not be tried.
    Python(&'static str),
}

/// How a case ends that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It comes to its end and says so.
    Told,
    /// What keeps it may end it, too: the kernel or Armor kills it, or its time is over.
    Killed,
}

/// One known way out.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What is tried to be done. No two cases have the same name.
    pub name: &'static str,
    /// What it gets at.
    pub area: Area,
    /// How.
    pub attempt: Attempt,
    /// Whether it succeeds where nothing keeps it from that.
    pub can_succeed: bool,
    /// How it ends where it is kept.
    pub ending: Ending,
}

impl Case {
    /// A case that succeeds where nothing keeps it from that.
    pub(crate) const fn new(area: Area, name: &'static str, attempt: Attempt) -> Self {
        Self { name, area, attempt, can_succeed: true, ending: Ending::Told }
    }

    /// The same for one whose success cannot be shown in a plain container on every machine: it needs
    /// what only Armor has, or what not every kernel and every engine's disk has.
    pub(crate) const fn ours(area: Area, name: &'static str, attempt: Attempt) -> Self {
        Self { name, area, attempt, can_succeed: false, ending: Ending::Told }
    }

    /// The same for one that may be killed by what keeps it.
    pub(crate) const fn or_killed(self) -> Self {
        Self { ending: Ending::Killed, ..self }
    }

    /// As a command.
    pub(crate) fn argv(&self) -> Vec<String> {
        let words = match self.attempt {
            Attempt::Shell(lines) => {
                let lines = format!("{SHELL_PRELUDE}{lines}\nprintf '\\n{TRIED}\\n' >&9\n");
                ["/bin/bash".to_owned(), "-c".to_owned(), lines]
            }
            Attempt::Python(program) => {
                let program =
                    format!("{PYTHON_PRELUDE}{program}\nprint('\\n{TRIED}', flush=True)\n");
                ["python3".to_owned(), "-c".to_owned(), program]
            }
        };
        words.into()
    }
}

/// Says on standard output, wherever a line has led it, that it begins, and which program is missing: a
/// shell goes on behind that. The shells that it starts say so, too.
const SHELL_PRELUDE: &str = r#"exec 9>&1
command_not_found_handle() { echo "MISSING $1" >&9; return 127; }
export -f command_not_found_handle
echo BEGUN >&9
"#;

/// System calls by number. One that the kernel looked into has been reached, whatever it answered:
/// what refuses it does so before.
const PYTHON_PRELUDE: &str = r#"
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
print("BEGUN", flush=True)
"#;
