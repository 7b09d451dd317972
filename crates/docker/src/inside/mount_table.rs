//! What is mounted in a sandbox, as `/proc/<pid>/mountinfo` of its first process tells it, and what of that
//! engines mount by themselves.

use std::path::Path;

/// The files of a container that engines keep themselves, belonging to root.
const FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
/// Devices that take or give nothing of the machine's. With user namespaces each is mounted.
const DEVICES: [&str; 6] =
    ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted<'a> {
    /// Where it is.
    pub(super) place: String,
    /// The kind of file system.
    pub(super) kind: &'a str,
    /// The options of this mount, and those of the file system.
    options: [&'a str; 2],
}

/// The whole table; none when a line is not understood.
pub(super) fn parse(text: &str) -> Option<Vec<Mounted<'_>>> {
    text.lines().map(Mounted::parse).collect()
}

impl<'a> Mounted<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        // Between them are fields of which there may be any number. No field has a space in it.
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(4);
        let mut file_system = file_system.split(' ');
        Some(Self {
            place: unescaped(mount.next()?),
            kind: file_system.next()?,
            options: [mount.next()?, file_system.nth(1)?],
        })
    }

    fn all_options(&self) -> impl Iterator<Item = &'a str> {
        self.options.into_iter().flat_map(|options| options.split(','))
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.all_options().any(|option| option == "ro")
    }

    /// How large a file system in memory may grow, in KiB; none where it says nothing, or has no limit.
    pub(super) fn most_kib(&self) -> Option<u64> {
        let size = self.all_options().find_map(|option| option.strip_prefix("size="))?;
        size.strip_suffix('k')?.parse().ok().filter(|kib| *kib > 0)
    }

    pub(super) fn is_below(&self, folder: &str) -> bool {
        Path::new(&self.place).starts_with(folder)
    }

    fn is_in_the_kernels(&self) -> bool {
        self.is_below("/proc") || self.is_below("/sys")
    }

    /// Whether engines mount it by themselves, in every container.
    pub(super) fn is_engines(&self) -> bool {
        let place = self.place.as_str();
        match self.kind {
            "proc" => self.is_below("/proc"),
            "sysfs" => self.is_below("/sys"),
            // They belong to root, whether or not an engine makes them read-only.
            "cgroup" | "cgroup2" => self.is_below("/sys/fs/cgroup"),
            "devpts" => place == "/dev/pts",
            "mqueue" => place == "/dev/mqueue",
            // What covers a path of the kernel's: an empty folder, or the device that has nothing in it.
            "tmpfs" | "devtmpfs" if self.is_in_the_kernels() => true,
            // The same from wherever the engine has its empty folder.
            _ if self.is_in_the_kernels() => self.is_read_only(),
            "tmpfs" if ["/dev", "/dev/shm"].contains(&place) => true,
            "tmpfs" | "devtmpfs" if DEVICES.contains(&place) => true,
            _ => FILES.contains(&place),
        }
    }

    /// Whether it shows what the kernel lets be set, and has to be closed.
    pub(super) fn is_kernels(&self) -> bool {
        self.kind == "sysfs" || (self.kind == "proc" && self.place != "/proc")
    }
}

/// A field as it was before the kernel wrote white space and backslashes as numbers.
fn unescaped(field: &str) -> String {
    let mut pieces = field.split('\\');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let character = piece.get(..3).and_then(|code| u8::from_str_radix(code, 8).ok());
        if let Some(character) = character.filter(u8::is_ascii) {
            text.push(char::from(character));
            text.push_str(&piece[3..]);
        } else {
            text.push('\\');
            text.push_str(piece);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_is_in_it() {
        let line = "84 76 0:36 / /with\\040a\\134\\011space ro,nosuid shared:1 master:2 - cgroup - rw,pids";
        let found = Mounted::parse(line).unwrap();
        assert_eq!((found.place.as_str(), found.kind), ("/with a\\\tspace", "cgroup"));
        assert!(found.is_read_only());
        let without = Mounted::parse("1 2 0:3 / / rw - ext4 /dev/vda ro").unwrap();
        assert!(without.is_read_only(), "the whole file system is");
        let memory = Mounted::parse("1 2 0:3 / /tmp rw - tmpfs tmpfs rw,size=8192k").unwrap();
        assert_eq!((memory.most_kib(), memory.is_read_only()), (Some(8192), false));
        let endless = Mounted::parse("1 2 0:3 / /tmp rw - tmpfs tmpfs rw,size=0k").unwrap();
        assert_eq!(endless.most_kib(), None);
        assert_eq!(parse("1 2 0:3 / / rw - ext4 /dev/vda ro\nhalf a li"), None);
    }

    #[test]
    fn what_engines_mount_is_known_by_its_place_and_kind() {
        let is_engines = |place: &str, kind: &str| {
            let line = format!("1 2 0:3 / {place} rw - {kind} source rw");
            Mounted::parse(&line).unwrap().is_engines()
        };
        for (place, kind) in [
            ("/proc", "proc"),
            ("/proc/sys", "proc"),
            ("/proc/keys", "tmpfs"),
            ("/sys/fs/cgroup", "cgroup2"),
            ("/sys/firmware", "tmpfs"),
            ("/dev", "tmpfs"),
            ("/dev/null", "devtmpfs"),
            ("/etc/hosts", "ext4"),
        ] {
            assert!(is_engines(place, kind), "{place} {kind}");
        }
        for (place, kind) in [
            ("/dev", "devtmpfs"),
            ("/dev/sda", "devtmpfs"),
            ("/run", "tmpfs"),
            ("/processes", "proc"),
            ("/host/proc", "proc"),
            ("/proc/1/root", "ext4"),
            ("/sys/kernel/debug", "debugfs"),
            ("/etc", "ext4"),
            ("/etc/shadow", "ext4"),
            ("/var/run/docker.sock", "tmpfs"),
        ] {
            assert!(!is_engines(place, kind), "{place} {kind}");
        }
    }
}
