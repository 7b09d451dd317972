//! What the kernel says of a sandbox's first process, where it runs on this machine: engines only repeat
//! what they were told.

use std::fs;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use tokio::time::{Instant, sleep};

/// How long a runtime may take to set a filter, and how soon it is looked again.
const SETTLING: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(5);

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
    /// Of a container's first process; none when it is not there, or none of this machine's.
    pub(crate) fn of(container: &ContainerInspectResponse) -> Option<Self> {
        let pid = container.state.as_ref()?.pid.filter(|pid| *pid > 0)?;
        // Another machine's, or another namespace's, process may have the same number.
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let is_its_own = groups.contains(container.id.as_deref().filter(|id| !id.is_empty())?);
        is_its_own.then_some(())?;
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    /// The same once all is in force: some runtimes set the filter a moment after the start.
    pub(crate) async fn settled(container: &ContainerInspectResponse) -> Option<Self> {
        let give_up = Instant::now() + SETTLING;
        loop {
            let found = Self::of(container)?;
            if found.filtered || Instant::now() > give_up {
                return Some(found);
            }
            sleep(AGAIN).await;
        }
    }

    /// By what `/proc/<pid>/status` says.
    pub(crate) fn parse(status: &str) -> Option<Self> {
        let field = |name| field(status, name);
        let is_empty = |name| Some(u64::from_str_radix(field(name)?, 16).ok()? == 0);
        Some(Self {
            no_capabilities: is_empty("CapInh")?
                && is_empty("CapPrm")?
                && is_empty("CapEff")?
                && is_empty("CapBnd")?
                && is_empty("CapAmb")?,
            no_new_privileges: field("NoNewPrivs")? == "1",
            filtered: field("Seccomp")? == "2",
        })
    }
}

/// What `/proc/<pid>/status` says of one thing.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    Some(lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim())
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerState;

    use super::*;

    #[test]
    fn what_a_process_may_is_read_from_its_status() {
        let closed = "Name:\tx\nCapInh:\t0000000000000000\n\
                      CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
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
    }

    #[test]
    fn a_process_that_is_not_the_containers_says_nothing() {
        let state =
            ContainerState { pid: Some(std::process::id().into()), ..ContainerState::default() };
        let container = |id: Option<&str>| ContainerInspectResponse {
            id: id.map(str::to_owned),
            state: Some(state.clone()),
            ..ContainerInspectResponse::default()
        };
        assert_eq!(Confinement::of(&container(Some("0123456789abcdef"))), None);
        assert_eq!(Confinement::of(&container(Some(""))), None);
        assert_eq!(Confinement::of(&container(None)), None);
    }
}
