//! The container of a sandbox, closed by default (R51).
//!
//! Its first process is our runner, as the user that the commands are; the kernel keeps these from
//! ending it or looking into it. Where the runner cannot run, it is the engine's own init with a
//! sleeper under it, both of a user that no command ever runs as ([`GUARD`]); then commands come in
//! through the exec API.

use std::collections::HashMap;
use std::path::Path;

use armor_core::id::HomeId;
use armor_core::sandbox::{Access, Limits, NetworkMode, SandboxSpec, paths};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::inside::RunnerMounts;
use crate::labels::{PROFILE_LABEL, labels, name, profile};

/// `nobody`, who keeps the container alive.
pub(crate) const GUARD: &str = "65534:65534";
/// What a sandbox calls its machine.
pub(crate) const HOST_NAME: &str = "sandbox";
/// Where programs put what they need for a moment; it lies in memory.
pub(crate) const TMP: &str = "/tmp";
/// Shared memory that programs expect (browsers, databases); counted as the sandbox's memory.
const SHM_BYTES: i64 = 64 << 20;

/// What the engine says of the image and of itself that the container depends on.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Paths that the image declares as volumes.
    pub(crate) image_volumes: Vec<String>,
    /// How many processes of one user to ask for, if any number.
    pub(crate) user_processes: Option<i64>,
    /// The option that puts the profile of system calls in force.
    pub(crate) seccomp: String,
    /// What our runner needs; none where it cannot run.
    pub(crate) runner: Option<RunnerMounts>,
}

/// The container that `spec` asks for.
pub(crate) fn body(
    home: &HomeId,
    spec: &SandboxSpec,
    surroundings: &Surroundings,
) -> ContainerCreateBody {
    let has_runner = surroundings.runner.is_some();
    let mut labels = labels(home, &spec.task);
    labels.insert(PROFILE_LABEL.to_owned(), profile(&surroundings.seccomp));
    ContainerCreateBody {
        image: Some(spec.image.to_string()),
        // Overrides what the image would run.
        entrypoint: Some(if has_runner {
            RunnerMounts::entrypoint(spec.network)
        } else {
            vec!["sleep".to_owned(), "2147483647".to_owned()]
        }),
        cmd: Some(Vec::new()),
        user: Some(first_user(spec, has_runner)),
        hostname: Some(HOST_NAME.to_owned()),
        working_dir: Some(paths::WORKSPACE.to_owned()),
        env: Some(variables(spec)),
        labels: Some(labels),
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

/// Where programs look for the certificates that they trust: OpenSSL, curl, git, Node.js, Python's
/// requests, pip, cargo.
const CERTIFICATE_VARIABLES: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
];

/// The variables of a sandbox's programs. Those that say where the way out is are what programs agree
/// upon, in both spellings.
fn variables(spec: &SandboxSpec) -> Vec<String> {
    let mut variables = vec![format!("HOME={}", paths::MEMORY)];
    if spec.mounts.iter().any(|mount| mount.target == paths::CERTIFICATES) {
        let named = CERTIFICATE_VARIABLES.iter();
        variables.extend(named.map(|name| format!("{name}={}", paths::CERTIFICATES)));
    }
    if spec.network == NetworkMode::Egress {
        let proxy = format!("http://127.0.0.1:{}", paths::EGRESS_PORT);
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            variables.push(format!("{name}={proxy}"));
            variables.push(format!("{}={proxy}", name.to_ascii_uppercase()));
        }
        for name in ["no_proxy", "NO_PROXY"] {
            variables.push(format!("{name}=localhost,127.0.0.1,::1"));
        }
    }
    variables
}

fn host_config(home: &HomeId, spec: &SandboxSpec, surroundings: &Surroundings) -> HostConfig {
    let memory = memory_bytes(spec.limits);
    HostConfig {
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned(), surroundings.seccomp.clone()]),
        readonly_rootfs: Some(true),
        init: Some(surroundings.runner.is_none()),
        ipc_mode: Some("private".to_owned()),
        network_mode: Some(network_mode(home, spec)),
        dns: resolver(spec.network),
        tmpfs: Some(tmpfs(spec.limits, &surroundings.image_volumes, &spec.mounts)),
        shm_size: Some(SHM_BYTES),
        pids_limit: Some(spec.limits.pids.into()),
        memory: Some(memory),
        // Memory and swap together: none beyond the memory.
        memory_swap: Some(memory),
        nano_cpus: Some(nano_cpus(spec.limits)),
        ulimits: Some(ulimits(spec.limits, surroundings.user_processes)),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        mounts: Some(mounts(spec, surroundings)),
        // Executions have groups of their own; this is the group of the files.
        group_add: Some(vec![spec.user.gid.to_string()]),
        ..HostConfig::default()
    }
}

fn ulimits(limits: Limits, user_processes: Option<i64>) -> Vec<ResourcesUlimits> {
    let ulimit = |name: &str, limit| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(limit),
        hard: Some(limit),
    };
    let files = ulimit("nofile", limits.open_files.into());
    [files].into_iter().chain(user_processes.map(|limit| ulimit("nproc", limit))).collect()
}

/// Who the first process is.
pub(crate) fn first_user(spec: &SandboxSpec, has_runner: bool) -> String {
    if has_runner { format!("{}:{}", spec.user.uid, spec.user.gid) } else { GUARD.to_owned() }
}

/// Memory in bytes.
pub(crate) fn memory_bytes(limits: Limits) -> i64 {
    i64::from(limits.memory_mib) << 20
}

/// Processor time in billionths of a core.
pub(crate) fn nano_cpus(limits: Limits) -> i64 {
    i64::from(limits.cpu_millis) * 1_000_000
}

/// The host's resolver is of no use inside, and none of its business, unless the network is open.
fn resolver(network: NetworkMode) -> Option<Vec<String>> {
    (network != NetworkMode::Open).then(|| vec!["127.0.0.1".to_owned()])
}

/// The engine's name for the network of a sandbox.
pub(crate) fn network_mode(home: &HomeId, spec: &SandboxSpec) -> String {
    match spec.network {
        // The way out is by the runner's socket, not by a network.
        NetworkMode::None | NetworkMode::Egress => "none".to_owned(),
        NetworkMode::Internal | NetworkMode::Open => name(home, &spec.task),
    }
}

/// Whether covering a path would hide something of ours. An image's volume there is no volume, or
/// the sandbox is refused for having a mount that nobody asked for.
fn is_mounted(path: &str, mounts: &[armor_core::sandbox::Mount]) -> bool {
    let path = Path::new(path);
    let others = [Path::new(TMP), Path::new("/run/armor")];
    let ours = mounts.iter().map(|mount| Path::new(&mount.target)).chain(others);
    ours.into_iter().any(|target| target.starts_with(path) || path.starts_with(target))
}

fn tmpfs(
    limits: Limits,
    image_volumes: &[String],
    mounts: &[armor_core::sandbox::Mount],
) -> HashMap<String, String> {
    let size = limits.tmp_mib;
    let mut tmpfs = HashMap::from([(
        TMP.to_owned(),
        // Builds run what they make there.
        format!("rw,nosuid,nodev,exec,size={size}m,mode=1777"),
    )]);
    for path in image_volumes.iter().filter(|path| !is_mounted(path, mounts)) {
        // An image's volume would be a writable place on the engine's disk, without a limit.
        tmpfs.insert(path.clone(), format!("rw,nosuid,nodev,noexec,size={size}m,mode=1777"));
    }
    tmpfs
}

fn mounts(spec: &SandboxSpec, surroundings: &Surroundings) -> Vec<Mount> {
    let asked = spec
        .mounts
        .iter()
        .map(|asked| mount(&asked.source, &asked.target, asked.access == Access::ReadWrite));
    let ours = surroundings.runner.iter().flat_map(RunnerMounts::all);
    asked.chain(ours.map(|(source, target, writable)| mount(source, target, writable))).collect()
}

fn mount(source: &Path, target: &str, writable: bool) -> Mount {
    Mount {
        // Unlike `Binds`, a source that does not exist is an error.
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(!writable),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}
