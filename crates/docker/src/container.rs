//! The container of a sandbox, closed by default (R51).
//!
//! Its first process is the engine's own init with a sleeper under it, both of a user that no
//! command ever runs as ([`GUARD`]): so a command can neither end the container nor look at what
//! keeps it alive. Commands come in through the exec API as the user of the specification.

use std::collections::HashMap;
use std::path::Path;

use armor_core::id::HomeId;
use armor_core::sandbox::{Access, Limits, NetworkMode, SandboxSpec, paths};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::labels::{labels, name};

/// `nobody`, who keeps the container alive.
pub(crate) const GUARD: &str = "65534:65534";
/// Shared memory that programs expect (browsers, databases); counted as the sandbox's memory.
const SHM_BYTES: i64 = 64 << 20;

/// What the engine says of the image and of itself that the container depends on.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Paths that the image declares as volumes.
    pub(crate) image_volumes: Vec<String>,
    /// Processors that the engine has.
    pub(crate) cpus: i64,
}

/// The container that `spec` asks for.
pub(crate) fn body(
    home: &HomeId,
    spec: &SandboxSpec,
    surroundings: &Surroundings,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(spec.image.to_string()),
        // Overrides what the image would run.
        entrypoint: Some(vec!["sleep".to_owned(), "2147483647".to_owned()]),
        cmd: Some(Vec::new()),
        user: Some(GUARD.to_owned()),
        hostname: Some("sandbox".to_owned()),
        working_dir: Some(paths::WORKSPACE.to_owned()),
        env: Some(vec![format!("HOME={}", paths::MEMORY)]),
        labels: Some(labels(home, &spec.task)),
        stop_timeout: Some(1),
        // An image's own health check would run inside, as the guard.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(host_config(home, spec, surroundings)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(home: &HomeId, spec: &SandboxSpec, surroundings: &Surroundings) -> HostConfig {
    let Limits { open_files, .. } = spec.limits;
    let memory = memory_bytes(spec.limits);
    HostConfig {
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        init: Some(true),
        ipc_mode: Some("private".to_owned()),
        network_mode: Some(network_mode(home, spec)),
        // The host's resolver is of no use inside, and none of its business.
        dns: Some(vec!["127.0.0.1".to_owned()]),
        tmpfs: Some(tmpfs(spec.limits, &surroundings.image_volumes, &spec.mounts)),
        shm_size: Some(SHM_BYTES),
        pids_limit: Some(spec.limits.pids.into()),
        memory: Some(memory),
        // Memory and swap together: none beyond the memory.
        memory_swap: Some(memory),
        nano_cpus: Some(nano_cpus(spec.limits, surroundings.cpus)),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: Some(open_files.into()),
            hard: Some(open_files.into()),
        }]),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        // Executions have groups of their own; this is the group of the files.
        group_add: Some(vec![spec.user.gid.to_string()]),
        ..HostConfig::default()
    }
}

/// Memory in bytes.
pub(crate) fn memory_bytes(limits: Limits) -> i64 {
    i64::from(limits.memory_mib) << 20
}

/// Processor time in billionths of a core; the engine refuses more than it has.
pub(crate) fn nano_cpus(limits: Limits, cpus: i64) -> i64 {
    (i64::from(limits.cpu_millis) * 1_000_000).min(cpus.max(1) * 1_000_000_000)
}

/// The engine's name for the network of a sandbox.
pub(crate) fn network_mode(home: &HomeId, spec: &SandboxSpec) -> String {
    match spec.network {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Internal => name(home, &spec.task),
    }
}

/// Whether covering a path would hide something of ours. An image's volume there is no volume, or
/// the sandbox is refused for having a mount that nobody asked for.
fn is_mounted(path: &str, mounts: &[armor_core::sandbox::Mount]) -> bool {
    let path = Path::new(path);
    let ours = mounts.iter().map(|mount| Path::new(&mount.target)).chain([Path::new("/tmp")]);
    ours.into_iter().any(|target| target.starts_with(path) || path.starts_with(target))
}

fn tmpfs(
    limits: Limits,
    image_volumes: &[String],
    mounts: &[armor_core::sandbox::Mount],
) -> HashMap<String, String> {
    let size = limits.tmp_mib;
    let mut tmpfs = HashMap::from([(
        "/tmp".to_owned(),
        // Builds run what they make there.
        format!("rw,nosuid,nodev,exec,size={size}m,mode=1777"),
    )]);
    for path in image_volumes.iter().filter(|path| !is_mounted(path, mounts)) {
        // An image's volume would be a writable place on the engine's disk, without a limit.
        tmpfs.insert(path.clone(), format!("rw,nosuid,nodev,noexec,size={size}m,mode=1777"));
    }
    tmpfs
}

fn mount(mount: &armor_core::sandbox::Mount) -> Mount {
    Mount {
        // Unlike `Binds`, a source that does not exist is an error.
        source: Some(mount.source.to_string_lossy().into_owned()),
        target: Some(mount.target.clone()),
        typ: Some(MountType::BIND),
        read_only: Some(mount.access == Access::ReadOnly),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}
