//! What the kernel says of a sandbox's first process, where it runs on this machine: engines only repeat
//! what they were told.

use std::fs;

/// What the kernel keeps a process from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// It has no capability, and nothing that it starts can get one.
    pub(crate) no_capabilities: bool,
    /// No program that it starts has more privileges than itself.
    pub(crate) no_new_privileges: bool,
    /// Its system calls are filtered.
    pub(crate) filtered: bool,
}

impl Confinement {
    /// Of a process; none when it is not there any more.
    pub(crate) fn of(pid: i64) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = status.lines();
            Some(lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim())
        };
        let is_empty = |name| Some(u64::from_str_radix(field(name)?, 16).ok()? == 0);
        Some(Self {
            no_capabilities: is_empty("CapPrm")?
                && is_empty("CapEff")?
                && is_empty("CapBnd")?
                && is_empty("CapAmb")?,
            no_new_privileges: field("NoNewPrivs")? == "1",
            filtered: field("Seccomp")? == "2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_may_is_read_from_its_status() {
        let closed = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                      CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let all = Confinement { no_capabilities: true, no_new_privileges: true, filtered: true };
        assert_eq!(Confinement::parse(closed), Some(all));
        let bound = closed.replace("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb");
        let bound = Confinement::parse(&bound).unwrap();
        assert_eq!(bound, Confinement { no_capabilities: false, ..all });
        let open = closed.replace("Privs:\t1", "Privs:\t0").replace("Seccomp:\t2", "Seccomp:\t0");
        let open = Confinement::parse(&open).unwrap();
        assert_eq!((open.no_new_privileges, open.filtered), (false, false));
        assert_eq!(Confinement::parse("Name:\tx\n"), None);
        assert!(Confinement::of(std::process::id().into()).is_some());
        assert_eq!(Confinement::of(i64::MAX), None);
    }
}
