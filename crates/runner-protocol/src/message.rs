//! The messages.

use serde::{Deserialize, Serialize};

/// The version of the protocol. To a host that speaks another one the sandbox is out of reach: it makes it
/// anew before it starts a command.
pub const VERSION: u32 = 1;

/// What the runner says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol that it speaks.
    pub protocol: u32,
    /// Its own version, for people.
    pub runner: String,
}

/// What a host asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Starts a command. Answered by [`Answer::Started`] or [`Answer::NotStarted`]; then as
    /// [`Request::Watch`].
    Start(Start),
    /// Tells of an execution's output until it ends: [`Answer::Progress`] any number of times, then
    /// [`Answer::Ended`]; or at once [`Answer::Unknown`].
    Watch {
        /// Which.
        execution: String,
    },
    /// Kills all processes of an execution, also what an ended one has left behind. Answered by [`Answer::Killing`] or
    /// [`Answer::Unknown`].
    Kill {
        /// Which.
        execution: String,
    },
    /// Sends a signal to a command that runs: to its process group, or on a terminal to the command
    /// alone, since its jobs are its own matter. Answered by [`Answer::Signalled`] or
    /// [`Answer::Unknown`].
    Signal {
        /// Which.
        execution: String,
        /// What.
        signal: Signal,
    },
    /// Asks for [`Answer::Executions`].
    List,
    /// Asks for the socket at which the sandbox's programs ask for a way out. Answered by
    /// [`Answer::Egress`], or by [`Answer::Refused`] where there is none.
    Egress,
    /// Asks what the runner sees of its sandbox. Answered by [`Answer::Facts`]. Runners from before this
    /// request hang up.
    Inspect {
        /// Paths of which is told what they really lead to.
        places: Vec<String>,
    },
    /// Whatever a later host asks for. Answered by [`Answer::Refused`].
    #[serde(other)]
    Other,
}

/// A signal that a command can be sent, by its name without `SIG`. None of them ends a command for
/// sure: that is [`Request::Kill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Its terminal or its master is gone; many programs read their settings again.
    Hup,
    /// As `Ctrl-C`.
    Int,
    /// As `Ctrl-\`; many programs say what they are at.
    Quit,
    /// What the program makes of it.
    Usr1,
    /// What the program makes of it.
    Usr2,
    /// It is to end.
    Term,
    /// It stands still. Its time limit does not.
    Stop,
    /// It goes on.
    Cont,
}

/// A command to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its name; no other execution of the runner has it.
    pub execution: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it starts; absolute.
    pub cwd: String,
    /// Variables beside those of the image.
    pub env: Vec<(String, String)>,
    /// After how long it is killed with all its children, in milliseconds.
    pub limit_ms: Option<u64>,
    /// What it reads and writes.
    pub io: Io,
}

/// What a command reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Io {
    /// Files that the host opened.
    Files(Files),
    /// A terminal, whose host's end goes back with [`Answer::Started`].
    Terminal(Size),
}

impl Io {
    /// How many descriptors go along.
    pub const fn descriptors(&self) -> usize {
        match self {
            Self::Files(files) => 4 + files.stdin as usize,
            Self::Terminal(_) => 0,
        }
    }
}

/// Files that go along as descriptors, in this order: standard output, standard error, the order of
/// their pieces, the end ([`Answer::Ended`] or [`Answer::NotStarted`]); and standard input, if there
/// is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Whether there is a standard input; else it is empty.
    pub stdin: bool,
    /// How many bytes of each stream are kept from its beginning.
    pub keep_bytes: u64,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// In characters.
    pub columns: u16,
    /// In lines.
    pub rows: u16,
}

/// What the runner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The command runs.
    Started {
        /// Its process, as the sandbox numbers it.
        pid: u32,
    },
    /// It could not be started.
    NotStarted(NotStarted),
    /// So many bytes have come of each stream.
    Progress {
        /// Of standard output.
        stdout_bytes: u64,
        /// Of standard error.
        stderr_bytes: u64,
    },
    /// It has ended.
    Ended(End),
    /// Its processes are being killed; of one that runs, [`Request::Watch`] tells when they are gone.
    Killing,
    /// The signal is on its way.
    Signalled,
    /// The executions that are there.
    Executions {
        /// The names of those whose command runs.
        running: Vec<String>,
        /// Of those that have ended, and left processes behind.
        left_behind: Vec<String>,
    },
    /// The socket, which listens, goes along as a descriptor.
    Egress,
    /// What the runner sees of its sandbox.
    Facts(Box<Facts>),
    /// No such execution runs. What became of one that did stands in its file of the end.
    Unknown,
    /// The request cannot be carried out.
    Refused {
        /// Why not.
        reason: String,
    },
}

/// What the runner sees of its sandbox, as the kernel says it. It judges nothing of that. What it could not
/// read, or what is longer than it tells, is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The runner's number in its process namespace.
    pub pid: u32,
    /// What it is and may: `/proc/self/status`.
    pub status: Option<String>,
    /// What is mounted, where and how: `/proc/self/mountinfo`.
    pub mounts: Option<String>,
    /// The network's interfaces: `/proc/self/net/dev`.
    pub interfaces: Option<String>,
    /// The name of the machine: `/proc/sys/kernel/hostname`.
    pub host_name: Option<String>,
    /// How many files may be opened at most; none is without a limit.
    pub open_files: Option<u64>,
    /// What the sandbox's control group limits.
    pub limits: GroupLimits,
    /// What the paths of the request really lead to, in their order.
    pub places: Vec<Option<String>>,
}

/// The limits of a control group, as the kernel says them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLimits {
    /// Processes and threads.
    pub pids: Option<String>,
    /// Memory, in bytes.
    pub memory: Option<String>,
    /// Memory on the disk, in bytes, in control groups of version 2.
    pub swap: Option<String>,
    /// Memory and what of it is on the disk, in bytes, in those of version 1.
    pub memory_and_swap: Option<String>,
    /// Processor time in a period, and the period, in microseconds.
    pub cpu: Option<String>,
}

/// Why a command was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum NotStarted {
    /// The program does not exist.
    NotFound,
    /// The program exists and may not be executed.
    NotExecutable,
    /// Its working directory cannot be entered.
    NoDirectory,
    /// Something else, such as a limit that is reached.
    Failed {
        /// What the system said.
        reason: String,
    },
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// What ended it.
    pub cause: Cause,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the sandbox ran out of memory meanwhile, and the kernel killed a process.
    pub out_of_memory: bool,
    /// What it used.
    pub usage: Usage,
    /// What it wrote to standard output, whether or not all of it was kept.
    pub stdout_bytes: u64,
    /// What it wrote to standard error.
    pub stderr_bytes: u64,
}

/// What ended an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It ended by itself.
    Exited,
    /// Its time was over.
    TimedOut,
    /// A host asked for it.
    Killed,
    /// The sandbox was stopped.
    Stopped,
    /// What watches over it was killed, by another command of the sandbox.
    Lost,
    /// Its output could not be kept.
    Unkept,
}

/// What a command and the children that it waited for used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of its own, in microseconds.
    pub user_micros: u64,
    /// Processor time of the kernel for it, in microseconds.
    pub system_micros: u64,
    /// The most memory that a process of it had, in bytes.
    pub max_resident_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_goes_by_its_name() {
        let request = Request::Signal { execution: "e1".to_owned(), signal: Signal::Usr1 };
        let text = r#"{"request":"signal","execution":"e1","signal":"USR1"}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        assert!(serde_json::from_str::<Request>(&text.replace("USR1", "KILL")).is_err());
    }

    #[test]
    fn what_a_later_host_asks_for_is_a_message_too() {
        let later = r#"{"request":"freeze","execution":"e1","for":[1,{"a":null}]}"#;
        assert_eq!(serde_json::from_str::<Request>(later).unwrap(), Request::Other);
    }
}
