//! How often the kernel killed a process of the sandbox because memory ran out.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where control groups say so: version 2, version 1.
const PLACES: [&str; 2] =
    ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// The kernel's count, open to be read again and again; none where it is not told.
#[derive(Debug)]
pub(crate) struct MemoryKills(Option<File>);

impl MemoryKills {
    pub(crate) fn open() -> Self {
        Self(PLACES.iter().find_map(|place| File::open(place).ok()))
    }

    /// The count so far.
    pub(crate) fn so_far(&self) -> u64 {
        let mut text = [0; 1024];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let text = str::from_utf8(&text[..read]).unwrap_or_default();
        text.lines().find_map(count).unwrap_or(0)
    }
}

fn count(line: &str) -> Option<u64> {
    line.strip_prefix("oom_kill ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_and_nothing_else() {
        let lines = ["oom_kill_disable 0", "under_oom 0", "oom_kill 3", "oom 9"];
        assert_eq!(lines.iter().filter_map(|line| count(line)).collect::<Vec<_>>(), [3]);
    }
}
