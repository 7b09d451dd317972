//! What an engine is and what it can, found out when it first answers. What sets the kinds of engines
//! apart stands here, and nowhere else (R58).

use armor_core::sandbox::{Capacity, UserIds};
use bollard::models::{ContainerInspectResponse, SystemInfo, SystemVersion};
use rustix::process::{Resource, getrlimit};
use rustix::system::uname;

use crate::Endpoint;
use crate::kernel::Confinement;

/// The kinds of engines that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Docker Engine, also rootless.
    Docker,
    /// Docker Desktop: an engine in a virtual machine that sees this machine's files.
    Desktop,
    /// Podman, through its Docker API.
    Podman,
}

/// Who the users of containers are on the engine's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    /// They have the same numbers.
    Same,
    /// They have numbers behind these: the containers have a user namespace.
    Behind(UserIds),
    /// Others, of which the engine does not tell: it runs as a user itself.
    Others,
}

impl Users {
    /// Who a user of a container is outside it; none where nobody tells.
    pub(crate) fn outside(self, user: UserIds) -> Option<UserIds> {
        match self {
            Self::Same => Some(user),
            Self::Behind(first) => Some(UserIds {
                uid: first.uid.checked_add(user.uid)?,
                gid: first.gid.checked_add(user.gid)?,
            }),
            Self::Others => None,
        }
    }

    fn of(info: &SystemInfo) -> Self {
        let has =
            |name: &str| info.security_options.iter().flatten().any(|option| option.contains(name));
        if has("name=rootless") {
            return Self::Others;
        }
        if !has("name=userns") {
            return Self::Same;
        }
        // It keeps what it has in a folder that is named so.
        let first = info.docker_root_dir.as_deref().and_then(|folder| {
            let (uid, gid) = folder.rsplit('/').next()?.split_once('.')?;
            Some(UserIds { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        });
        first.map_or(Self::Others, Self::Behind)
    }
}

/// What an engine is and can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) family: Family,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) cgroup_version: String,
    /// Its security options, such as `seccomp`.
    pub(crate) security: Vec<String>,
    pub(crate) has_seccomp: bool,
    /// How many processes of one user to ask for; none where the engine asks for nothing by itself.
    pub(crate) user_processes: Option<i64>,
    /// How many processors it has.
    pub(crate) cpus: i64,
    /// How much memory it has, in bytes, if it says so.
    pub(crate) memory: Option<i64>,
    /// What it runs on, as images call it: `linux/amd64`.
    pub(crate) platform: String,
    /// Who the users of its containers are.
    pub(crate) users: Users,
    /// Whether a program of ours in its containers is one of this machine, that this machine's files
    /// and users mean the same to.
    pub(crate) runs_here: bool,
}

impl Features {
    pub(crate) fn of(endpoint: &Endpoint, info: &SystemInfo, version: &SystemVersion) -> Self {
        let family = family(info, version);
        let options = info.security_options.as_deref().unwrap_or_default();
        let has_seccomp = options
            .iter()
            .any(|option| option.contains("name=seccomp") && !option.contains("unconfined"));
        Self {
            family,
            name: name(family, version),
            version: version.version.clone().unwrap_or_default(),
            cgroup_version: info.cgroup_version.map(|v| v.to_string()).unwrap_or_default(),
            security: options.iter().filter_map(|option| security(option)).collect(),
            has_seccomp,
            user_processes: if family == Family::Podman { user_processes() } else { None },
            cpus: info.ncpu.unwrap_or(1),
            memory: info.mem_total.filter(|memory| *memory > 0),
            platform: platform(info),
            users: Users::of(info),
            runs_here: runs_here(endpoint, family, info),
        }
    }

    /// What there is to share out.
    pub(crate) fn capacity(&self) -> Capacity {
        let counted = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Capacity {
            cpu_millis: counted(self.cpus.max(1).saturating_mul(1_000)),
            memory_mib: self.memory.map(|bytes| counted(bytes >> 20)),
        }
    }

    /// A folder that the engine makes writable for everybody under a root that is not, in memory: it
    /// needs a size.
    pub(crate) fn writable_path(&self) -> Option<String> {
        (self.family == Family::Podman).then(|| "/var/tmp".to_owned())
    }

    /// Where it mounts something of its own, beside what every engine mounts in a container.
    pub(crate) fn own_mounts(&self) -> &'static [&'static str] {
        match self.family {
            Family::Podman => {
                &["/etc/group", "/etc/passwd", "/run", "/run/.containerenv", "/run/secrets"]
            }
            Family::Docker | Family::Desktop => &[],
        }
    }

    /// Whether a profile of system calls is given as the name of a file on its machine.
    pub(crate) fn takes_profiles_as_files(&self) -> bool {
        self.family == Family::Podman
    }

    /// Whether a bridge can be made that has no address of its own, by which this machine is reached.
    pub(crate) fn has_closed_bridges(&self) -> bool {
        self.family != Family::Podman
    }

    /// Puts what an engine says of a container into the words of Docker Engine.
    pub(crate) fn translate(&self, container: &mut ContainerInspectResponse) {
        if self.family != Family::Podman {
            return;
        }
        let confinement = Confinement::of(container);
        let Some(host) = container.host_config.as_mut() else { return };
        for limit in host.ulimits.iter_mut().flatten() {
            limit.name = limit.name.take().map(|name| match name.strip_prefix("RLIMIT_") {
                Some(name) => name.to_ascii_lowercase(),
                None => name,
            });
        }
        // Others could join it, but it is the container's own.
        if host.ipc_mode.as_deref() == Some("shareable") {
            host.ipc_mode = Some("private".to_owned());
        }
        // It has the name of the network's kind in its place.
        let networks = container.network_settings.as_ref().and_then(|all| all.networks.as_ref());
        if let Some(name) = networks.and_then(|networks| networks.keys().next())
            && host.network_mode.as_deref() == Some("bridge")
        {
            host.network_mode = Some(name.clone());
        }
        if host.pid_mode.as_deref() == Some("private") {
            host.pid_mode = None;
        }
        // It lists what it dropped. Whether that is all of them, the kernel knows.
        if confinement.is_some_and(|of_it| of_it.no_capabilities) {
            host.cap_drop = Some(vec!["ALL".to_owned()]);
        }
    }
}

fn family(info: &SystemInfo, version: &SystemVersion) -> Family {
    let is_podman = version.components.iter().flatten().any(|part| part.name.starts_with("Podman"));
    if is_podman {
        Family::Podman
    } else if info.operating_system.as_deref() == Some("Docker Desktop") {
        Family::Desktop
    } else {
        Family::Docker
    }
}

fn name(family: Family, version: &SystemVersion) -> String {
    let platform = version.platform.as_ref().map(|platform| platform.name.as_str());
    match (family, platform) {
        // Its platform is that of the machine.
        (Family::Podman, _) => "Podman".to_owned(),
        (Family::Desktop, _) => "Docker Desktop".to_owned(),
        (Family::Docker, Some(platform)) if !platform.is_empty() => platform.to_owned(),
        (Family::Docker, _) => "Docker Engine".to_owned(),
    }
}

/// `name=seccomp,profile=default` becomes `seccomp`.
fn security(option: &str) -> Option<String> {
    option.split(',').find_map(|part| part.strip_prefix("name=")).map(str::to_owned)
}

/// It runs on this machine, under this kernel, sees the same files, and it is known who its users are.
fn runs_here(endpoint: &Endpoint, family: Family, info: &SystemInfo) -> bool {
    let here = uname();
    let release = here.release().to_str().ok();
    let machine = here.machine().to_str().ok();
    endpoint.is_local()
        && Users::of(info) != Users::Others
        // That runs in a virtual machine, which may have the same kernel.
        && family != Family::Desktop
        && info.os_type.as_deref() == Some("linux")
        && info.kernel_version.as_deref() == release
        && info.architecture.as_deref().map(kernels_name) == machine
}

/// As many as there can be. Podman asks for a million unless told, which not every machine grants.
fn user_processes() -> Option<i64> {
    let numbers = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok()?.trim().parse().ok()?;
    let granted = getrlimit(Resource::Nproc).maximum.unwrap_or(numbers);
    i64::try_from(granted.min(numbers)).ok()
}

/// What an engine runs on, as images call it.
fn platform(info: &SystemInfo) -> String {
    let system = info.os_type.as_deref().unwrap_or("linux");
    let architecture = match info.architecture.as_deref().unwrap_or_default() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        same => same,
    };
    format!("{system}/{architecture}")
}

/// An architecture as the kernel calls it. Podman has the names of Go.
fn kernels_name(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use armor_core::config::Environment;
    use std::collections::HashMap;

    use bollard::models::{
        EndpointSettings, HostConfig, NetworkSettings, ResourcesUlimits, SystemVersionComponents,
    };

    use super::*;

    fn version(component: &str) -> SystemVersion {
        let component = SystemVersionComponents {
            name: component.to_owned(),
            ..SystemVersionComponents::default()
        };
        SystemVersion { components: Some(vec![component]), ..SystemVersion::default() }
    }

    /// An engine on this machine.
    fn info() -> SystemInfo {
        let here = uname();
        SystemInfo {
            os_type: Some("linux".to_owned()),
            kernel_version: here.release().to_str().ok().map(str::to_owned),
            architecture: here.machine().to_str().ok().map(str::to_owned),
            security_options: Some(vec!["name=seccomp,profile=default".to_owned()]),
            ..SystemInfo::default()
        }
    }

    fn features(address: &str, info: &SystemInfo, component: &str) -> Features {
        let endpoint = Endpoint::discover(address, None, &Environment::default()).unwrap();
        Features::of(&endpoint, info, &version(component))
    }

    const SOCKET: &str = "unix:///run/engine.sock";

    // R58
    #[test]
    fn kinds_of_engines_are_told_apart() {
        let docker = features(SOCKET, &info(), "Engine");
        assert_eq!((docker.family, docker.name.as_str()), (Family::Docker, "Docker Engine"));
        assert!(docker.runs_here && docker.has_seccomp);
        let amd = SystemInfo { architecture: Some("x86_64".to_owned()), ..info() };
        assert_eq!(features(SOCKET, &amd, "Engine").platform, "linux/amd64");
        assert_eq!(docker.security, ["seccomp"]);
        let podman = features(SOCKET, &info(), "Podman Engine");
        assert_eq!((podman.family, podman.name.as_str()), (Family::Podman, "Podman"));
        let system = Some("Docker Desktop".to_owned());
        let desktop =
            features(SOCKET, &SystemInfo { operating_system: system, ..info() }, "Engine");
        assert_eq!((desktop.family, desktop.runs_here), (Family::Desktop, false));
    }

    #[test]
    fn our_program_runs_only_under_this_kernel_over_a_socket_with_our_users() {
        let runs = |address: &str, info: &SystemInfo| features(address, info, "Engine").runs_here;
        assert!(runs(SOCKET, &info()));
        assert!(!runs("tcp://127.0.0.1:2376", &info()));
        assert!(!runs("ssh://far", &info()));
        let kernel = Some("6.1.0-other".to_owned());
        assert!(!runs(SOCKET, &SystemInfo { kernel_version: kernel, ..info() }));
        let machine = Some("riscv64".to_owned());
        assert!(!runs(SOCKET, &SystemInfo { architecture: machine, ..info() }));
        let rootless = Some(vec!["name=seccomp".to_owned(), "name=rootless".to_owned()]);
        assert!(!runs(SOCKET, &SystemInfo { security_options: rootless, ..info() }));
    }

    #[test]
    fn users_of_containers_are_known_outside_them_or_nobody_tells() {
        let users = |options: &[&str], folder: &str| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            let folder = Some(folder.to_owned());
            Users::of(&SystemInfo {
                security_options: Some(options),
                docker_root_dir: folder,
                ..info()
            })
        };
        let user = UserIds { uid: 10, gid: 20 };
        assert_eq!(users(&["name=seccomp"], "/var/lib/docker").outside(user), Some(user));
        let behind = users(&["name=userns"], "/var/lib/docker/100000.200000").outside(user);
        assert_eq!(behind, Some(UserIds { uid: 100_010, gid: 200_020 }));
        assert_eq!(users(&["name=userns"], "/var/lib/docker").outside(user), None);
        assert_eq!(users(&["name=userns", "name=rootless"], "/d/1.2").outside(user), None);
    }

    #[test]
    fn what_podman_says_is_put_into_the_words_of_docker_but_for_what_it_only_claims() {
        let podman = features(SOCKET, &info(), "Podman Engine");
        let limit = |name: &str| ResourcesUlimits {
            name: Some(name.to_owned()),
            ..ResourcesUlimits::default()
        };
        let networks = HashMap::from([("its-own".to_owned(), EndpointSettings::default())]);
        let said = ContainerInspectResponse {
            host_config: Some(HostConfig {
                ulimits: Some(vec![limit("RLIMIT_NOFILE")]),
                ipc_mode: Some("shareable".to_owned()),
                pid_mode: Some("private".to_owned()),
                network_mode: Some("bridge".to_owned()),
                cap_drop: Some(vec!["CHOWN".to_owned()]),
                ..HostConfig::default()
            }),
            network_settings: Some(NetworkSettings {
                networks: Some(networks),
                ..NetworkSettings::default()
            }),
            ..ContainerInspectResponse::default()
        };
        let mut container = said.clone();
        podman.translate(&mut container);
        let host = container.host_config.unwrap();
        assert_eq!(host.ulimits, Some(vec![limit("nofile")]));
        assert_eq!((host.ipc_mode.as_deref(), host.pid_mode), (Some("private"), None));
        assert_eq!(host.network_mode.as_deref(), Some("its-own"));
        // The kernel knows nothing of such a container.
        assert_eq!(host.cap_drop, Some(vec!["CHOWN".to_owned()]));
        let mut same = said.clone();
        features(SOCKET, &info(), "Engine").translate(&mut same);
        assert_eq!(same, said);
    }

    #[test]
    fn an_engine_without_a_filter_is_known() {
        let options = |options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            features(SOCKET, &SystemInfo { security_options: Some(options), ..info() }, "Engine")
        };
        assert!(!options(&[]).has_seccomp);
        assert!(!options(&["name=seccomp,profile=unconfined"]).has_seccomp);
    }
}
