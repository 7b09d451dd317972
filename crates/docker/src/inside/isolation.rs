//! Whether the isolation that was asked for is in force, as the sandbox's first process sees it from inside
//! (R45). What an engine says of a container, which `verify.rs` judges, is what it was told; this is what
//! came of it.

use std::path::Path;

use armor_core::sandbox::{Access, Limits, NetworkMode, SandboxSpec, UserIds};
use armor_runner::{Facts, GroupLimits};
use bollard::models::ContainerInspectResponse;

use super::mount_table::{self, Mounted};
use super::place::{PROGRAM, SHARED};
use crate::container::{HOST_NAME, TMP, memory_bytes};
use crate::features::Features;
use crate::kernel::{Confinement, field};

/// Ends of tunnels that the kernel puts into every new network where it can make tunnels. They are off,
/// and nobody inside can turn them on.
const TUNNELS: [&str; 9] =
    ["erspan0", "gre0", "gretap0", "ip6_vti0", "ip6gre0", "ip6tnl0", "ip_vti0", "sit0", "tunl0"];

/// What was asked for, as far as it shows inside.
#[derive(Debug)]
pub(crate) struct Isolation<'a> {
    spec: &'a SandboxSpec,
    engine: &'a Features,
    mounts: Vec<Wanted>,
}

/// Something that was asked to be mounted.
#[derive(Debug)]
struct Wanted {
    /// Where, as it was asked for. A link of the image's may be on the way.
    target: String,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Something of the host.
    Hosts(Access),
    /// Memory.
    Memory,
}

impl<'a> Isolation<'a> {
    pub(crate) fn of(
        spec: &'a SandboxSpec,
        engine: &'a Features,
        container: &ContainerInspectResponse,
    ) -> Self {
        let hosts =
            |target: &str, access| Wanted { target: target.to_owned(), what: What::Hosts(access) };
        let of_spec = spec.mounts.iter().map(|mount| hosts(&mount.target, mount.access));
        let of_runner = [hosts(PROGRAM, Access::ReadOnly), hosts(SHARED, Access::ReadWrite)];
        // Those of the image's volumes, too.
        let host = container.host_config.as_ref();
        let in_memory = host.and_then(|host| host.tmpfs.as_ref()).into_iter().flatten();
        let in_memory = in_memory.map(|(target, _)| target.clone());
        let in_memory = in_memory.chain([TMP.to_owned()]).chain(engine.writable_path());
        let in_memory = in_memory.map(|target| Wanted { target, what: What::Memory });
        let mounts = of_spec.chain(of_runner).chain(in_memory).collect();
        Self { spec, engine, mounts }
    }

    /// Of which paths the sandbox is asked what they really lead to.
    pub(crate) fn places(&self) -> Vec<String> {
        self.mounts.iter().map(|wanted| wanted.target.clone()).collect()
    }

    /// What is not in force, in words; nothing when all is.
    pub(crate) fn missing(&self, facts: &Facts) -> Vec<&'static str> {
        let Self { spec, .. } = *self;
        let status = facts.status.as_deref().unwrap_or_default();
        let confined = |is: fn(&Confinement) -> bool| {
            Confinement::parse(status).is_some_and(|found| is(&found))
        };
        let mounted = facts.mounts.as_deref().and_then(mount_table::parse).unwrap_or_default();
        let mounts = Mounts { wanted: &self.mounts, real: &facts.places, mounted: &mounted };
        let GroupLimits { pids, memory, cpu, .. } = &facts.limits;
        let open_files = u64::from(spec.limits.open_files);

        let checks = [
            ("a user without privileges", is_user(status, spec.user)),
            ("all capabilities dropped", confined(|found| found.no_capabilities)),
            ("no-new-privileges", confined(|found| found.no_new_privileges)),
            ("the seccomp profile", confined(|found| found.filtered)),
            ("namespaces of its own", has_namespaces(facts)),
            ("a read-only root file system", mounts.root_is_read_only()),
            ("only the mounts that were asked for", mounts.are_no_others(self.engine)),
            ("read-only mounts where they were asked for", mounts.are_read_only()),
            ("paths of the kernel's closed", mounts.kernels_are_closed()),
            ("the limit on /tmp", mounts.tmp_is_at_most(spec.limits)),
            (
                "the network that was asked for",
                facts.interfaces.as_deref().is_some_and(|found| is_network(found, spec.network)),
            ),
            ("the limit on processes", is_at_most(pids.as_deref(), spec.limits.pids.into())),
            ("the limit on memory", is_at_most(memory.as_deref(), memory_limit(spec.limits))),
            ("the limit on swap", has_no_swap(&facts.limits, spec.limits)),
            (
                "the limit on processor time",
                cpu.as_deref().is_none_or(|cpu| is_cpu_limited(cpu, spec.limits)),
            ),
            ("the limit on open files", facts.open_files.is_some_and(|limit| limit <= open_files)),
        ];
        checks.into_iter().filter(|(_, in_force)| !in_force).map(|(what, _)| what).collect()
    }
}

/// What was asked to be mounted, and what is.
struct Mounts<'a> {
    wanted: &'a [Wanted],
    /// What their targets really lead to, where that was told.
    real: &'a [Option<String>],
    mounted: &'a [Mounted<'a>],
}

impl<'a> Mounts<'a> {
    /// Each that was asked for, with where it really is.
    fn wanted(&self) -> impl Iterator<Item = (&'a str, What)> {
        let (wanted, real) = (self.wanted, self.real);
        wanted.iter().enumerate().map(move |(number, wanted)| {
            let real = real.get(number).and_then(Option::as_deref);
            // Everything is below the root: nothing was asked to be there.
            let real = real.filter(|real| *real != "/");
            (real.unwrap_or(wanted.target.trim_end_matches('/')), wanted.what)
        })
    }

    /// What was asked for at a place or, for something of the host, around it: what is mounted in a
    /// folder on the host comes along.
    fn wanted_at(&self, mount: &Mounted<'_>) -> Option<What> {
        let around = self.wanted().filter(|(place, what)| match what {
            What::Hosts(_) => mount.is_below(place),
            What::Memory => mount.place == *place && mount.kind == "tmpfs",
        });
        around.max_by_key(|(place, _)| Path::new(place).components().count()).map(|(_, what)| what)
    }

    fn root_is_read_only(&self) -> bool {
        let mut root = self.mounted.iter().filter(|mount| mount.place == "/").peekable();
        root.peek().is_some() && root.all(Mounted::is_read_only)
    }

    fn are_no_others(&self, engine: &Features) -> bool {
        self.mounted.iter().all(|mount| {
            mount.place == "/"
                || self.wanted_at(mount).is_some()
                || mount.is_engines()
                || engine.own_mounts().contains(&mount.place.as_str())
        })
    }

    /// Whether those that nobody may write to are there, and closed.
    fn are_read_only(&self) -> bool {
        let closed = What::Hosts(Access::ReadOnly);
        let mut wanted = self.wanted().filter(|(_, what)| *what == closed);
        let are_there =
            wanted.all(|(place, _)| self.mounted.iter().any(|mount| mount.place == place));
        let mut there = self.mounted.iter().filter(|mount| self.wanted_at(mount) == Some(closed));
        are_there && there.all(Mounted::is_read_only)
    }

    fn kernels_are_closed(&self) -> bool {
        let mut kernels = self.mounted.iter().filter(|mount| mount.is_kernels());
        self.mounted.iter().any(|mount| mount.place == "/proc/sys")
            && kernels.all(Mounted::is_read_only)
    }

    fn tmp_is_at_most(&self, limits: Limits) -> bool {
        let numbered = self.wanted.iter().position(|wanted| wanted.target == TMP);
        let place = numbered.and_then(|number| self.wanted().nth(number)).map(|(place, _)| place);
        let mut there = self.mounted.iter().filter(|mount| Some(mount.place.as_str()) == place);
        let most = u64::from(limits.tmp_mib) << 10;
        there.next().is_some_and(|mount| {
            mount.kind == "tmpfs" && mount.most_kib().is_some_and(|kib| kib <= most)
        })
    }
}

fn is_user(status: &str, user: UserIds) -> bool {
    let are_all = |name, wanted: u32| {
        let found = field(status, name);
        found.is_some_and(|found| {
            found.split_whitespace().all(|one| one.parse::<u32>() == Ok(wanted))
        })
    };
    are_all("Uid", user.uid) && are_all("Gid", user.gid) && are_all("Groups", user.gid)
}

fn has_namespaces(facts: &Facts) -> bool {
    let name = facts.host_name.as_deref();
    facts.pid == 1 && name.is_none_or(|name| name.trim() == HOST_NAME)
}

/// The table has two lines of headings, without a colon, and one for each interface.
fn is_network(table: &str, asked: NetworkMode) -> bool {
    let names = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
    let others = names.filter(|name| *name != "lo" && !TUNNELS.contains(name)).count();
    match asked {
        NetworkMode::None | NetworkMode::Egress => others == 0,
        NetworkMode::Internal | NetworkMode::Open => others <= 1,
    }
}

/// Where nobody tells, the engine's word counts. `max`, or a number below zero, is no limit.
fn is_at_most(said: Option<&str>, asked: u64) -> bool {
    said.is_none_or(|said| said.trim().parse::<u64>().is_ok_and(|limit| limit <= asked))
}

fn memory_limit(limits: Limits) -> u64 {
    u64::try_from(memory_bytes(limits)).unwrap_or(0)
}

/// Control groups of version 1 count it together with the memory.
fn has_no_swap(said: &GroupLimits, asked: Limits) -> bool {
    is_at_most(said.swap.as_deref(), 0)
        && is_at_most(said.memory_and_swap.as_deref(), memory_limit(asked))
}

fn is_cpu_limited(said: &str, asked: Limits) -> bool {
    let mut numbers = said.split_whitespace().map(|number| number.parse::<u64>().ok());
    let (Some(Some(quota)), Some(Some(period))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    // systemd, where it keeps the groups, rounds up to hundredths of a processor.
    let millis = u64::from(asked.cpu_millis).next_multiple_of(10);
    quota.saturating_mul(1_000) <= millis.saturating_mul(period)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use armor_core::config::Environment;
    use armor_core::id::TaskId;
    use armor_core::sandbox::{ImageName, Mount};
    use bollard::models::{HostConfig, SystemInfo, SystemVersion, SystemVersionComponents};

    use super::*;
    use crate::Endpoint;

    /// What a sandbox on Docker Engine sees, with control groups of version 1.
    const MOUNTS: &str = "\
71 45 0:39 / / ro,noatime master:2 - fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0
72 71 0:41 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
73 71 0:42 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
74 73 0:43 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
75 71 0:44 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
76 75 0:45 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
77 76 0:29 /docker/63b4 /sys/fs/cgroup/cpu ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu
86 73 0:40 / /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue rw
87 73 0:46 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
88 71 254:0 /tasks/t1/workspace /workspace rw,relatime - ext4 /dev/vda rw,discard
89 88 254:0 /tasks/t1/workspace/.git /workspace/.git ro,relatime - ext4 /dev/vda rw,discard
90 71 0:47 / /tmp rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=524288k
91 71 0:48 / /var/cache rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=524288k
92 71 254:0 /containers/63b4/resolv.conf /etc/resolv.conf ro,relatime - ext4 /dev/vda rw,discard
93 71 254:0 /containers/63b4/hosts /etc/hosts ro,relatime - ext4 /dev/vda rw,discard
94 71 254:0 /runners/runner-0ef2 /run/armor/runner ro,relatime - ext4 /dev/vda rw,discard
95 71 254:0 /runners/sockets/t1 /run/armor/host rw,relatime - ext4 /dev/vda rw,discard
50 72 0:41 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw
51 72 0:49 / /proc/acpi ro,relatime - tmpfs tmpfs ro
52 72 0:42 /null /proc/keys rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
54 75 0:50 / /sys/firmware ro,relatime - tmpfs tmpfs ro
";
    const STATUS: &str = "Name:\tarmor\nUid:\t10001\t10001\t10001\t10001\n\
        Gid:\t10001\t10001\t10001\t10001\nGroups:\t10001 \nCapInh:\t0000000000000000\n\
        CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n\
        CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
    const INTERFACES: &str = "Inter-|   Receive          |  Transmit\n face |bytes    packets|bytes\n\
        \x20   lo:     932      12\n tunl0:       0       0\n";

    fn spec() -> SandboxSpec {
        let mount = |target: &str, access| Mount {
            source: "/somewhere".into(),
            target: target.to_owned(),
            access,
        };
        SandboxSpec {
            task: TaskId::parse("t1").unwrap(),
            image: ImageName::base(),
            user: UserIds::UNPRIVILEGED,
            mounts: vec![
                mount("/workspace", Access::ReadWrite),
                mount("/workspace/.git", Access::ReadOnly),
            ],
            network: NetworkMode::None,
            limits: Limits::default(),
        }
    }

    fn container() -> ContainerInspectResponse {
        let tmpfs = ["/tmp", "/var/cache"].map(|path| (path.to_owned(), String::new()));
        let host = HostConfig { tmpfs: Some(HashMap::from(tmpfs)), ..HostConfig::default() };
        ContainerInspectResponse { host_config: Some(host), ..ContainerInspectResponse::default() }
    }

    fn engine(component: &str) -> Features {
        let socket = "unix:///run/engine.sock";
        let endpoint = Endpoint::discover(socket, None, &Environment::default()).unwrap();
        let component = SystemVersionComponents {
            name: component.to_owned(),
            ..SystemVersionComponents::default()
        };
        let version =
            SystemVersion { components: Some(vec![component]), ..SystemVersion::default() };
        Features::of(&endpoint, &SystemInfo::default(), &version)
    }

    fn facts() -> Facts {
        let told = |text: &str| Some(text.to_owned());
        Facts {
            pid: 1,
            status: told(STATUS),
            mounts: told(MOUNTS),
            interfaces: told(INTERFACES),
            host_name: told("sandbox\n"),
            open_files: Some(8192),
            limits: GroupLimits {
                pids: told("512\n"),
                memory: told("2147483648\n"),
                swap: None,
                memory_and_swap: told("2147483648\n"),
                cpu: told("200000 100000"),
            },
            places: Vec::new(),
        }
    }

    /// What is found to be missing of what was asked for.
    fn missing(spec: &SandboxSpec, facts: &Facts) -> Vec<&'static str> {
        Isolation::of(spec, &engine("Engine"), &container()).missing(facts)
    }

    fn with(mounts: &str) -> Facts {
        Facts { mounts: Some(format!("{MOUNTS}{mounts}\n")), ..facts() }
    }

    fn replaced(text: &mut Option<String>, from: &str, to: &str) {
        let old = text.take().unwrap();
        assert!(old.contains(from), "{from}");
        *text = Some(old.replace(from, to));
    }

    // R45
    #[test]
    fn what_is_in_force_is_found_to_be() {
        assert_eq!(missing(&spec(), &facts()), Vec::<&str>::new());
        let second = GroupLimits {
            swap: Some("0\n".to_owned()),
            memory_and_swap: None,
            cpu: Some("200000 100000\n".to_owned()),
            ..facts().limits
        };
        let second = Facts { limits: second, ..facts() };
        assert_eq!(missing(&spec(), &second), Vec::<&str>::new());
        let untold = Facts { limits: GroupLimits::default(), host_name: None, ..facts() };
        assert_eq!(missing(&spec(), &untold), Vec::<&str>::new());
    }

    #[test]
    fn each_weakening_is_found_by_its_name() {
        type Weaken = fn(&mut Facts);
        const USER: &str = "a user without privileges";
        const CAPABILITIES: &str = "all capabilities dropped";
        const NETWORK: &str = "the network that was asked for";
        const PATHS: &str = "paths of the kernel's closed";
        const CPU: &str = "the limit on processor time";
        let weakenings: &[(&str, Weaken)] = &[
            (USER, |facts| replaced(&mut facts.status, "Uid:\t10001\t10001", "Uid:\t10001\t0")),
            (USER, |facts| replaced(&mut facts.status, "Gid:\t10001", "Gid:\t0")),
            (USER, |facts| replaced(&mut facts.status, "Groups:\t10001", "Groups:\t10001 27")),
            (CAPABILITIES, |facts| replaced(&mut facts.status, "Inh:\t0", "Inh:\t8")),
            (CAPABILITIES, |facts| replaced(&mut facts.status, "Prm:\t0", "Prm:\t8")),
            (CAPABILITIES, |facts| replaced(&mut facts.status, "Eff:\t0", "Eff:\t8")),
            (CAPABILITIES, |facts| replaced(&mut facts.status, "Bnd:\t0", "Bnd:\t8")),
            (CAPABILITIES, |facts| replaced(&mut facts.status, "Amb:\t0", "Amb:\t8")),
            ("no-new-privileges", |facts| replaced(&mut facts.status, "Privs:\t1", "Privs:\t0")),
            ("the seccomp profile", |facts| replaced(&mut facts.status, "comp:\t2", "comp:\t0")),
            ("namespaces of its own", |facts| facts.pid = 4711),
            ("namespaces of its own", |facts| facts.host_name = Some("the-host\n".to_owned())),
            ("a read-only root file system", |facts| {
                replaced(&mut facts.mounts, "/ / ro", "/ / rw");
            }),
            ("read-only mounts where they were asked for", |facts| {
                replaced(&mut facts.mounts, "/workspace/.git ro", "/workspace/.git rw");
            }),
            ("read-only mounts where they were asked for", |facts| {
                replaced(&mut facts.mounts, "/run/armor/runner ro", "/run/armor/runner rw");
            }),
            (PATHS, |facts| replaced(&mut facts.mounts, "/proc/sys ro", "/proc/sys rw")),
            (PATHS, |facts| replaced(&mut facts.mounts, " /proc/sys ", " /proc/bus ")),
            (PATHS, |facts| {
                replaced(
                    &mut facts.mounts,
                    "/sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro",
                    "/sys rw,nosuid,nodev,noexec,relatime - sysfs sysfs rw",
                );
            }),
            ("the limit on /tmp", |facts| {
                replaced(
                    &mut facts.mounts,
                    "/tmp rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=524288k",
                    "/tmp rw,nosuid,nodev,relatime - tmpfs tmpfs rw",
                );
            }),
            (NETWORK, |facts| replaced(&mut facts.interfaces, "tunl0", "eth0")),
            (NETWORK, |facts| facts.interfaces = None),
            ("the limit on processes", |facts| facts.limits.pids = Some("max\n".to_owned())),
            ("the limit on memory", |facts| {
                facts.limits.memory = Some("9223372036854771712\n".to_owned());
            }),
            ("the limit on swap", |facts| facts.limits.swap = Some("4096\n".to_owned())),
            ("the limit on swap", |facts| {
                facts.limits.memory_and_swap = Some("4294967296\n".to_owned());
            }),
            (CPU, |facts| facts.limits.cpu = Some("max 100000\n".to_owned())),
            (CPU, |facts| facts.limits.cpu = Some("-1 100000".to_owned())),
            (CPU, |facts| facts.limits.cpu = Some("400000 100000".to_owned())),
            ("the limit on open files", |facts| facts.open_files = Some(1 << 20)),
            ("the limit on open files", |facts| facts.open_files = None),
        ];
        for (number, (name, weaken)) in weakenings.iter().enumerate() {
            let mut weaker = facts();
            weaken(&mut weaker);
            assert_eq!(missing(&spec(), &weaker), [*name], "weakening {number}");
        }
        let mut half = facts();
        replaced(&mut half.mounts, " - ext4", "");
        assert!(missing(&spec(), &half).contains(&"a read-only root file system"));
    }

    #[test]
    fn a_mount_that_nobody_asked_for_is_found_and_what_comes_with_a_folder_is_not() {
        for other in [
            "96 71 0:25 /docker.sock /run/docker.sock rw - tmpfs tmpfs rw",
            "96 71 254:0 / /host rw - ext4 /dev/vda rw",
            "96 71 254:0 /etc /etc ro - ext4 /dev/vda rw",
            "96 73 0:6 / /dev rw - devtmpfs devtmpfs rw",
            "96 73 0:6 /sda /dev/sda rw - devtmpfs devtmpfs rw",
            "96 71 0:99 / /run rw - tmpfs tmpfs rw",
            "96 71 254:0 / /tmp/host rw - ext4 /dev/vda rw",
            "96 75 0:7 / /sys/kernel/debug rw - debugfs debugfs rw",
        ] {
            let found = missing(&spec(), &with(other));
            assert_eq!(found, ["only the mounts that were asked for"], "{other}");
        }
        let along = with("96 88 254:1 / /workspace/disk rw - ext4 /dev/vdb rw");
        assert_eq!(missing(&spec(), &along), Vec::<&str>::new());
        let under = with("96 89 254:1 / /workspace/.git/disk rw - ext4 /dev/vdb rw");
        assert_eq!(missing(&spec(), &under), ["read-only mounts where they were asked for"]);
        let gone = MOUNTS.lines().filter(|line| !line.contains(" /workspace/.git "));
        let gone = gone.collect::<Vec<_>>().join("\n");
        let gone = Facts { mounts: Some(gone), ..facts() };
        assert_eq!(missing(&spec(), &gone), ["read-only mounts where they were asked for"]);
    }

    #[test]
    fn a_mount_is_looked_for_where_the_links_of_the_image_lead() {
        let (spec, engine, container) = (spec(), engine("Engine"), container());
        let isolation = Isolation::of(&spec, &engine, &container);
        let mut facts = facts();
        replaced(&mut facts.mounts, " /run/armor/", " /var/run/armor/");
        replaced(&mut facts.mounts, " /tmp ", " /var/tmp ");
        let unasked = "only the mounts that were asked for";
        assert!(isolation.missing(&facts).contains(&unasked));
        let places = isolation.places();
        let real = places.iter().map(|place| match place.as_str() {
            TMP => "/var/tmp".to_owned(),
            place => place.replace("/run/armor/", "/var/run/armor/"),
        });
        facts.places = real.map(Some).collect();
        assert_eq!(isolation.missing(&facts), Vec::<&str>::new());
        // A link to the root makes nothing one that was asked for.
        facts.places = vec![Some("/".to_owned()); places.len()];
        assert!(isolation.missing(&facts).contains(&unasked));
    }

    #[test]
    fn a_task_with_a_network_has_one_interface_of_it() {
        let open = SandboxSpec { network: NetworkMode::Open, ..spec() };
        let mut one = facts();
        replaced(&mut one.interfaces, "tunl0", " eth0");
        assert_eq!(missing(&open, &one), Vec::<&str>::new());
        let egress = SandboxSpec { network: NetworkMode::Egress, ..spec() };
        assert_eq!(missing(&egress, &one), ["the network that was asked for"]);
        let mut two = one;
        two.interfaces.as_mut().unwrap().push_str("  eth1:       0       0\n");
        assert_eq!(missing(&open, &two), ["the network that was asked for"]);
    }

    #[test]
    fn processor_time_may_be_rounded_up_as_systemd_does() {
        let limits = Limits { cpu_millis: 505, ..Limits::default() };
        for (said, is_limited) in
            [("50500 100000", true), ("51000 100000\n", true), ("51100 100000", false), ("", false)]
        {
            assert_eq!(is_cpu_limited(said, limits), is_limited, "{said}");
        }
    }

    #[test]
    fn what_podman_mounts_of_its_own_is_its_own() {
        let (spec, container, podman) = (spec(), container(), engine("Podman Engine"));
        let isolation = Isolation::of(&spec, &podman, &container);
        let own = with(
            "96 71 0:60 / /run rw,nosuid,nodev - tmpfs tmpfs rw\n\
             97 96 0:61 /.containerenv /run/.containerenv rw - tmpfs tmpfs rw\n\
             98 71 0:62 / /var/tmp rw,nosuid,nodev - tmpfs tmpfs rw,size=524288k\n\
             99 71 0:61 /passwd /etc/passwd ro - tmpfs tmpfs rw",
        );
        assert_eq!(isolation.missing(&own), Vec::<&str>::new());
    }
}
