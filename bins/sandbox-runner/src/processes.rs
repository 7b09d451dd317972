//! The processes of the sandbox, by their parents, and how to end a whole tree of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// How often the tree is looked at before it is killed as it is: each look finds fewer that are
/// new, since whoever was seen stands still.
const LOOKS: usize = 64;

/// Kills all descendants of the given processes, not these themselves. They are stopped first, so
/// that none has another child meanwhile.
///
/// # Errors
/// When it could not be looked for all of them. Those that were found are killed.
pub(crate) fn kill_descendants(of: &[i32]) -> io::Result<()> {
    let mut stopped = BTreeSet::new();
    let mut looked = Ok(());
    for _ in 0..LOOKS {
        let found = match descendants(of) {
            Ok(found) => found,
            Err(error) => {
                looked = Err(error);
                break;
            }
        };
        let fresh: Vec<i32> = found.difference(&stopped).copied().collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            send(pid, Signal::STOP);
            stopped.insert(pid);
        }
    }
    for pid in stopped {
        send(pid, Signal::KILL);
    }
    looked
}

/// The children of a process that are none of `but`.
///
/// # Errors
/// When it cannot be looked for them.
pub(crate) fn children(of: i32, but: &[i32]) -> io::Result<Vec<i32>> {
    let parents = parents()?;
    let children = parents.iter().filter(|(pid, parent)| **parent == of && !but.contains(pid));
    Ok(children.map(|(pid, _)| *pid).collect())
}

/// Kills one process. One that is gone already is fine.
pub(crate) fn kill(pid: i32) {
    send(pid, Signal::KILL);
}

/// Why a process could not be started, in words for who has to do something about it.
pub(crate) fn why_not_started(error: &io::Error) -> String {
    // `fork` says so where the limit on processes is reached.
    if error.kind() == io::ErrorKind::WouldBlock {
        "the sandbox has as many processes as it may have; end what commands have left behind"
            .to_owned()
    } else {
        error.to_string()
    }
}

fn send(pid: i32, signal: Signal) {
    // The only other errors are that it is gone, and that it is another user's: there is none.
    if let Some(pid) = Pid::from_raw(pid) {
        let _sent = kill_process(pid, signal);
    }
}

fn descendants(of: &[i32]) -> io::Result<BTreeSet<i32>> {
    let parents = parents()?;
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for (pid, parent) in &parents {
            if of.contains(parent) || found.contains(parent) {
                found.insert(*pid);
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// Every process, and its parent. Zombies too: one whose first thread has ended while others run looks
/// like one. Takes one descriptor at a time, since there may be no more.
fn parents() -> io::Result<BTreeMap<i32, i32>> {
    let mut pids: Vec<i32> = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    let mut parents = BTreeMap::new();
    for pid in pids {
        match fs::read(format!("/proc/{pid}/stat")) {
            Ok(stat) => parents.extend(parent(&stat).map(|parent| (pid, parent))),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(parents)
}

/// Whether a process has ended before or while it was looked at.
fn is_gone(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::SRCH))
}

/// The parent as `/proc/<pid>/stat` tells it: `pid (name) state parent …`. A name may have anything
/// in it, brackets too.
fn parent(stat: &[u8]) -> Option<i32> {
    let behind_the_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(behind_the_name..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_read_whatever_the_name_of_the_process() {
        assert_eq!(parent(b"7 (sh) S 1 7 7 0"), Some(1));
        assert_eq!(parent(b"7 (a) R 9 (b) S 1 7 7 0"), Some(1));
        assert_eq!(parent(b"7 (\xFF\xFE) S 12 7"), Some(12));
        assert_eq!(parent(b"7 (sh) Z 1 7 7 0"), Some(1));
        assert_eq!(parent(b"7 (sh"), None);
        assert_eq!(parent(b"7 (sh) S"), None);
    }
}
