//! What the figures were taken on: without it they say nothing.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread;

use crate::{Outcome, sandbox};

/// The machine, in words.
#[derive(Debug)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory: String,
    kernel: String,
    file_system: String,
    engine: String,
}

impl Machine {
    /// Looks at this machine. What it does not tell is `unknown`.
    pub(crate) async fn look() -> Outcome<Self> {
        let told = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
            value.map_or_else(unknown, |(_, value)| value.trim().to_owned())
        };
        let kernel = told("/proc/sys/kernel/osrelease");
        Ok(Self {
            cpu: field(&told("/proc/cpuinfo"), "model name"),
            cores: thread::available_parallelism()?.get(),
            memory: field(&told("/proc/meminfo"), "MemTotal"),
            kernel: if kernel.is_empty() { unknown() } else { kernel.trim().to_owned() },
            file_system: file_system(&std::env::temp_dir(), &told("/proc/self/mountinfo")),
            engine: sandbox::engine_version().await,
        })
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The kind of file system that a folder lies on, and where that is mounted.
fn file_system(folder: &Path, mounts: &str) -> String {
    let place = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let deepest = mounts
        .lines()
        .filter_map(|line| {
            // proc(5): … mount-point options … - type source options
            let (mount, device) = line.split_once(" - ")?;
            let point = mount.split(' ').nth(4)?;
            place.starts_with(point).then_some((point, device.split(' ').next()?))
        })
        // Of those at one place, the last covers the others.
        .max_by_key(|(point, _)| point.len());
    let kind = deepest.map_or_else(unknown, |(point, kind)| format!("{kind} mounted at {point}"));
    format!("{} on {kind}", folder.display())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "machine      {}, {} cores, {}", self.cpu, self.cores, self.memory)?;
        writeln!(f, "kernel       {}", self.kernel)?;
        writeln!(f, "file system  {}", self.file_system)?;
        writeln!(f, "engine       {}", self.engine)?;
        write!(f, "durability   SQLite with journal_mode=WAL, synchronous=FULL, both sides")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_tells_the_file_system() {
        let mounts = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /nowhere rw shared:1 - tmpfs tmpfs rw
31 22 0:26 / /nowhere/deep rw - btrfs /dev/vdb rw";
        let of = |folder: &str| file_system(Path::new(folder), mounts);
        assert_eq!(of("/nowhere/deep/er"), "/nowhere/deep/er on btrfs mounted at /nowhere/deep");
        assert_eq!(of("/nowhere/deeper"), "/nowhere/deeper on tmpfs mounted at /nowhere");
    }
}
