//! How often the kernel killed a process of the sandbox because memory ran out.

use std::fs;

/// Where control groups say so: version 2, version 1.
const PLACES: [&str; 2] =
    ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// The count so far; none where it is not told.
pub(crate) fn kills() -> u64 {
    PLACES
        .iter()
        .filter_map(|place| fs::read_to_string(place).ok())
        .flat_map(|text| text.lines().filter_map(count).collect::<Vec<_>>())
        .sum()
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
