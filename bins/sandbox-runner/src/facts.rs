//! What the runner sees of its sandbox, for a host to judge.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use armor_runner_protocol::{Facts, GroupLimits};
use rustix::process::{Resource, getpid, getrlimit};

/// The most that is told of one file. Of a longer one nothing is told: nobody is to judge a part of it.
const MOST_BYTES: u64 = 64 << 10;
/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";

/// Looks at everything once, which takes less than a millisecond.
pub(crate) fn gather(places: &[String]) -> Facts {
    Facts {
        pid: getpid().as_raw_nonzero().get().unsigned_abs(),
        status: read("/proc/self/status"),
        mounts: read("/proc/self/mountinfo"),
        interfaces: read("/proc/self/net/dev"),
        host_name: read("/proc/sys/kernel/hostname"),
        open_files: getrlimit(Resource::Nofile).maximum,
        limits: limits(),
        places: places.iter().map(|place| real(place)).collect(),
    }
}

/// By the files of control groups of version 2, or else of version 1.
fn limits() -> GroupLimits {
    let group = own_group(&read("/proc/self/cgroup").unwrap_or_default());
    let second = |name: &str| read(group.join(name));
    let first = |path: &str| read(Path::new(GROUPS).join(path));
    let first_cpu = || {
        let (quota, period) = (first("cpu/cpu.cfs_quota_us")?, first("cpu/cpu.cfs_period_us")?);
        Some(format!("{} {}", quota.trim(), period.trim()))
    };
    GroupLimits {
        pids: second("pids.max").or_else(|| first("pids/pids.max")),
        memory: second("memory.max").or_else(|| first("memory/memory.limit_in_bytes")),
        swap: second("memory.swap.max"),
        memory_and_swap: first("memory/memory.memsw.limit_in_bytes"),
        cpu: second("cpu.max").or_else(first_cpu),
    }
}

/// The folder of our group of version 2: that of all groups, unless the sandbox sees those of others, too.
fn own_group(groups: &str) -> PathBuf {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    Path::new(GROUPS).join(own.unwrap_or_default())
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(MOST_BYTES + 1).read_to_end(&mut text).ok()?;
    let is_whole = u64::try_from(text.len()).is_ok_and(|bytes| bytes <= MOST_BYTES);
    is_whole.then(|| String::from_utf8_lossy(&text).into_owned())
}

/// What a path leads to once all links are followed.
fn real(place: &str) -> Option<String> {
    fs::canonicalize(place).ok()?.into_os_string().into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_this_process_is_told() {
        let facts = gather(&["/proc/..".to_owned(), "/nowhere at all".to_owned()]);
        assert_eq!(facts.pid, std::process::id());
        assert!(facts.status.unwrap().contains("\nNoNewPrivs:"));
        assert!(facts.mounts.unwrap().contains(" / "));
        assert!(facts.interfaces.unwrap().contains("lo:"));
        assert_eq!(facts.places, [Some("/".to_owned()), None]);
    }

    #[test]
    fn of_a_file_that_is_too_long_or_not_there_nothing_is_told() {
        assert_eq!(read("/dev/zero"), None);
        assert_eq!(read("/nowhere at all"), None);
        assert_eq!(read("/dev/null").as_deref(), Some(""));
    }

    #[test]
    fn the_group_is_where_the_kernel_says_it_is() {
        assert_eq!(own_group("0::/\n"), Path::new("/sys/fs/cgroup"));
        let seen = "2:pids:/docker/1\n0::/docker/1\n";
        assert_eq!(own_group(seen), Path::new("/sys/fs/cgroup/docker/1"));
        assert_eq!(own_group("2:pids:/docker/1\n"), Path::new("/sys/fs/cgroup"));
    }
}
