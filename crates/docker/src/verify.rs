//! Whether the container that runs is the one that was asked for. An engine leaves out what its
//! kernel lacks and only warns: here that is an error.

use std::path::Path;

use armor_core::id::HomeId;
use armor_core::sandbox::{Access, SandboxSpec};
use bollard::models::{ContainerInspectResponse, HostConfig};

use crate::container::{first_user, memory_bytes, nano_cpus, network_mode};
use crate::features::Features;
use crate::inside::{RunnerPlace, is_ours};
use crate::kernel::Confinement;
use crate::labels::{PROFILE_LABEL, profile};

/// What is missing where another profile of system calls is in force.
const PROFILE: &str = "the seccomp profile";

/// What was asked for, and of whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) home: &'a HomeId,
    pub(crate) spec: &'a SandboxSpec,
    pub(crate) engine: &'a Features,
    /// What the kernel says, where it can be asked.
    pub(crate) kernel: Option<Confinement>,
    /// The option that puts the profile of system calls in force.
    pub(crate) seccomp: &'a str,
    pub(crate) runners: Option<&'a RunnerPlace>,
}

/// What is not in force, in words; nothing when all is.
pub(crate) fn missing(asked: &Asked, container: &ContainerInspectResponse) -> Vec<&'static str> {
    let Asked { home, spec, engine, kernel, seccomp, runners } = *asked;
    let default = HostConfig::default();
    let host = container.host_config.as_ref().unwrap_or(&default);
    let user = container.config.as_ref().and_then(|config| config.user.as_deref());
    let has = |list: &Option<Vec<String>>, wanted: &str| {
        list.iter().flatten().any(|entry| entry == wanted)
    };
    let is_empty = |list: &Option<Vec<String>>| list.iter().flatten().next().is_none();
    let has_runner = is_ours(container);
    let open_files = i64::from(spec.limits.open_files);

    let checks = [
        ("a user without privileges", user == Some(first_user(spec, has_runner).as_str())),
        ("privileged mode being off", host.privileged == Some(false)),
        ("all capabilities dropped", has(&host.cap_drop, "ALL") && is_empty(&host.cap_add)),
        (
            "what the kernel keeps it from",
            kernel.is_none_or(|kernel| {
                kernel.no_capabilities && kernel.no_new_privileges && kernel.filtered
            }),
        ),
        ("no-new-privileges", has(&host.security_opt, "no-new-privileges")),
        (PROFILE, engine.has_seccomp && has(&host.security_opt, seccomp)),
        ("a read-only root file system", host.readonly_rootfs == Some(true)),
        ("an init process", has_runner || host.init == Some(true)),
        ("a private IPC namespace", host.ipc_mode.as_deref() == Some("private")),
        ("a process namespace of its own", host.pid_mode.as_deref().unwrap_or("").is_empty()),
        (
            "the network that was asked for",
            host.network_mode.as_deref() == Some(network_mode(home, spec).as_str()),
        ),
        ("the limit on processes", host.pids_limit == Some(spec.limits.pids.into())),
        ("the limit on memory", host.memory == Some(memory_bytes(spec.limits))),
        ("the limit on swap", host.memory_swap == Some(memory_bytes(spec.limits))),
        ("the limit on processor time", host.nano_cpus == Some(nano_cpus(spec.limits))),
        (
            "the limit on open files",
            host.ulimits.iter().flatten().any(|limit| {
                limit.name.as_deref() == Some("nofile") && limit.hard == Some(open_files)
            }),
        ),
        (
            "namespaces of its own",
            [&host.uts_mode, &host.userns_mode].iter().all(|mode| mode.as_deref() != Some("host")),
        ),
        // Engines that say nothing of these have them.
        (
            "paths of the kernel's closed",
            [&host.masked_paths, &host.readonly_paths]
                .iter()
                .all(|paths| paths.as_ref().is_none_or(|paths| !paths.is_empty())),
        ),
        ("no devices", host.devices.iter().flatten().next().is_none()),
        ("only the mounts that were asked for", mounts_are_those_of(spec, container, runners)),
    ];
    checks.into_iter().filter(|(_, in_force)| !in_force).map(|(what, _)| what).collect()
}

/// Whether all is in force, but with the profile of system calls of another version of Armor: the one that
/// the container was made with.
pub(crate) fn is_of_another_version(
    missing: &[&str],
    engine: &Features,
    container: &ContainerInspectResponse,
) -> bool {
    let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
    let made_with = labels.and_then(|labels| labels.get(PROFILE_LABEL));
    let host = container.host_config.as_ref();
    let mut options = host.iter().flat_map(|host| host.security_opt.iter().flatten());
    missing == [PROFILE]
        && engine.has_seccomp
        && options.any(|option| made_with == Some(&profile(option)))
}

fn mounts_are_those_of(
    spec: &SandboxSpec,
    container: &ContainerInspectResponse,
    runners: Option<&RunnerPlace>,
) -> bool {
    let mut found: Vec<_> = container
        .mounts
        .iter()
        .flatten()
        .filter(|mount| mount.typ.as_deref() != Some("tmpfs"))
        .map(|mount| {
            let source = mount.source.clone().unwrap_or_default();
            (mount.destination.clone().unwrap_or_default(), source, mount.rw == Some(true))
        })
        .filter(|(target, source, writable)| {
            !runners.is_some_and(|runners| {
                runners.is_mount(&spec.task, target, Path::new(source), *writable)
            })
        })
        .collect();
    let mut wanted: Vec<_> = spec
        .mounts
        .iter()
        .map(|mount| {
            let source = mount.source.to_string_lossy().into_owned();
            (mount.target.clone(), source, mount.access == Access::ReadWrite)
        })
        .collect();
    found.sort();
    wanted.sort();
    found == wanted
}

#[cfg(test)]
mod tests {
    use armor_core::id::TaskId;
    use armor_core::sandbox::{ImageName, Limits, Mount, NetworkMode, UserIds};
    use bollard::models::{ContainerConfig, MountPoint};

    use super::*;
    use crate::container::{self, Surroundings};
    use crate::features::{Family, Users};
    use crate::inside::{RunnerFolders, RunnerMounts};

    const SECCOMP: &str = "seccomp={}";

    fn engine(has_seccomp: bool) -> Features {
        Features {
            family: Family::Docker,
            name: String::new(),
            version: String::new(),
            cgroup_version: String::new(),
            security: Vec::new(),
            has_seccomp,
            user_processes: None,
            cpus: 4,
            memory: None,
            platform: String::new(),
            users: Users::Same,
            runs_here: true,
        }
    }

    fn spec() -> SandboxSpec {
        SandboxSpec {
            task: TaskId::parse("t1").unwrap(),
            image: ImageName::base(),
            user: UserIds::UNPRIVILEGED,
            mounts: vec![Mount {
                source: "/somewhere".into(),
                target: "/workspace".to_owned(),
                access: Access::ReadWrite,
            }],
            network: NetworkMode::None,
            limits: Limits::default(),
        }
    }

    /// What an engine that does as it is told says of the container.
    fn obedient(
        home: &HomeId,
        spec: &SandboxSpec,
        runner: Option<RunnerMounts>,
    ) -> ContainerInspectResponse {
        let seccomp = SECCOMP.to_owned();
        let surroundings = Surroundings { seccomp, runner, ..Surroundings::default() };
        let body = container::body(home, spec, &surroundings);
        let mounts = body.host_config.iter().flat_map(|host| host.mounts.iter().flatten());
        let mounts = mounts.map(|mount| MountPoint {
            destination: mount.target.clone(),
            source: mount.source.clone(),
            rw: Some(mount.read_only != Some(true)),
            ..MountPoint::default()
        });
        ContainerInspectResponse {
            path: body.entrypoint.iter().flatten().next().cloned(),
            mounts: Some(mounts.collect()),
            config: Some(ContainerConfig {
                user: body.user,
                labels: body.labels,
                ..ContainerConfig::default()
            }),
            host_config: body.host_config,
            ..ContainerInspectResponse::default()
        }
    }

    // A sandbox that is weaker than asked for is an error, not a warning.
    #[test]
    fn each_part_that_is_not_in_force_is_missed() {
        let home = HomeId::parse("h1").unwrap();
        let spec = spec();
        let good = obedient(&home, &spec, None);
        let by_kernel = |container: &_, has_seccomp, kernel| {
            let engine = engine(has_seccomp);
            let asked = Asked {
                home: &home,
                spec: &spec,
                engine: &engine,
                kernel,
                seccomp: SECCOMP,
                runners: None,
            };
            super::missing(&asked, container)
        };
        let missing = |container: &_, has_seccomp| by_kernel(container, has_seccomp, None);
        let all = Confinement { no_capabilities: true, no_new_privileges: true, filtered: true };
        assert_eq!(missing(&good, true), Vec::<&str>::new());
        assert_eq!(by_kernel(&good, true, Some(all)), Vec::<&str>::new());
        for less in [
            Confinement { no_capabilities: false, ..all },
            Confinement { no_new_privileges: false, ..all },
            Confinement { filtered: false, ..all },
        ] {
            let found = by_kernel(&good, true, Some(less));
            assert_eq!(found, ["what the kernel keeps it from"]);
        }
        assert_eq!(missing(&good, false), ["the seccomp profile"]);

        let weakenings: &[fn(&mut HostConfig)] = &[
            |host| host.privileged = Some(true),
            |host| host.cap_drop = None,
            |host| host.cap_add = Some(vec!["SYS_ADMIN".to_owned()]),
            |host| drop(host.security_opt.as_mut().unwrap().remove(0)),
            |host| drop(host.security_opt.as_mut().unwrap().remove(1)),
            |host| host.security_opt.as_mut().unwrap()[1] = "seccomp=unconfined".to_owned(),
            |host| host.readonly_rootfs = Some(false),
            |host| host.init = None,
            |host| host.ipc_mode = Some("host".to_owned()),
            |host| host.pid_mode = Some("host".to_owned()),
            |host| host.network_mode = Some("bridge".to_owned()),
            |host| host.uts_mode = Some("host".to_owned()),
            |host| host.userns_mode = Some("host".to_owned()),
            |host| host.masked_paths = Some(Vec::new()),
            |host| host.readonly_paths = Some(Vec::new()),
            |host| host.pids_limit = Some(0),
            |host| host.memory = Some(0),
            |host| host.memory_swap = Some(-1),
            |host| host.nano_cpus = Some(0),
            |host| host.ulimits = None,
            |host| host.devices = Some(vec![bollard::models::DeviceMapping::default()]),
        ];
        for (number, weaken) in weakenings.iter().enumerate() {
            let mut weaker = good.clone();
            weaken(weaker.host_config.as_mut().unwrap());
            assert_eq!(missing(&weaker, true).len(), 1, "weakening {number}");
        }
        let mut more = good.clone();
        let socket = MountPoint {
            destination: Some("/var/run/docker.sock".to_owned()),
            source: Some("/var/run/docker.sock".to_owned()),
            ..MountPoint::default()
        };
        more.mounts.as_mut().unwrap().push(socket);
        assert_eq!(missing(&more, true), ["only the mounts that were asked for"]);
        let mut other = good.clone();
        other.mounts.as_mut().unwrap()[0].source = Some("/another/home".to_owned());
        assert_eq!(missing(&other, true), ["only the mounts that were asked for"]);
        let mut root = good;
        root.config.as_mut().unwrap().user = Some(String::new());
        assert_eq!(missing(&root, true), ["a user without privileges"]);
    }

    #[test]
    fn a_profile_of_another_version_is_told_from_one_that_nobody_asked_for() {
        const OTHER: &str = "seccomp={\"another\":\"version\"}";
        let home = HomeId::parse("h1").unwrap();
        let spec = spec();
        let has = |container: &_, has_seccomp| {
            let engine = engine(has_seccomp);
            let asked = Asked {
                home: &home,
                spec: &spec,
                engine: &engine,
                kernel: None,
                seccomp: SECCOMP,
                runners: None,
            };
            is_of_another_version(&missing(&asked, container), &engine, container)
        };
        let ours = obedient(&home, &spec, None);
        let mut unasked = ours.clone();
        unasked.host_config.as_mut().unwrap().security_opt.as_mut().unwrap()[1] = OTHER.to_owned();
        let mut other = unasked.clone();
        let labels = other.config.as_mut().unwrap().labels.as_mut().unwrap();
        labels.insert(PROFILE_LABEL.to_owned(), profile(OTHER));
        let mut weaker = other.clone();
        weaker.host_config.as_mut().unwrap().readonly_rootfs = Some(false);
        assert!(has(&other, true));
        assert!(!has(&other, false));
        for container in [ours, unasked, weaker] {
            assert!(!has(&container, true));
        }
    }

    #[test]
    fn a_runner_needs_its_own_mounts_and_no_others() {
        let home = HomeId::parse("h1").unwrap();
        let spec = spec();
        let engine = engine(true);
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (folder.path().join("ours"), folder.path().join("other"));
        let place = |files: std::path::PathBuf| {
            RunnerPlace::new(RunnerFolders { trash: files.join("trash"), files })
        };
        let (ours, other) = (place(ours), place(other));
        let container = obedient(&home, &spec, Some(ours.mounts(&spec.task).unwrap()));
        let found = |runners| {
            let asked = Asked {
                home: &home,
                spec: &spec,
                engine: &engine,
                kernel: None,
                seccomp: SECCOMP,
                runners,
            };
            missing(&asked, &container)
        };
        assert_eq!(found(Some(&ours)), Vec::<&str>::new());
        assert_eq!(found(Some(&other)), ["only the mounts that were asked for"]);
        assert_eq!(found(None), ["only the mounts that were asked for"]);
    }
}
