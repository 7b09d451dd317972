//! What a user would write instead: the engine's API, called directly, with as few calls as do.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::time::Duration;

use armor_core::id::HomeId;
use armor_core::sandbox::{Access, Limits, Mount, SandboxSpec, UserIds};
use armor_docker::{HOME_LABEL, TASK_LABEL};
use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount as BareMount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

use crate::Outcome;

/// The engine's client, speaking a version that the engine understands.
pub(super) async fn connect() -> Outcome<Docker> {
    Ok(Docker::connect_with_defaults()?.negotiate_version().await?)
}

/// What ours has instead of the engine's defaults, at its own cost: its first process, a profile of
/// its own for system calls.
const OURS_ALONE: [&str; 5] = ["SecurityOpt", "Init", "Mounts", "config.Entrypoint", "config.User"];

/// What a command writes, as it comes.
pub(super) type Output = Pin<Box<dyn Stream<Item = Outcome<Bytes>> + Send>>;

/// The bare engine.
pub(super) struct Bare {
    docker: Docker,
    label: HomeId,
    cpus: i64,
}

impl Bare {
    pub(super) async fn new(label: HomeId) -> Outcome<Self> {
        let docker = connect().await?;
        let cpus = docker.info().await?.ncpu.unwrap_or(1);
        Ok(Self { docker, label, cpus })
    }

    pub(super) async fn create_and_start(&self, spec: &SandboxSpec) -> Outcome<String> {
        let made = self.docker.create_container(None, self.body(spec)).await?;
        self.docker.start_container(&made.id, None).await?;
        Ok(made.id)
    }

    /// Runs a command to its end, which has to be a good one.
    pub(super) async fn exec(
        &self,
        container: &str,
        user: UserIds,
        env: &[String],
        argv: &[&str],
    ) -> Outcome {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.iter().map(ToString::to_string).collect()),
            user: Some(format!("{}:{}", user.uid, user.gid)),
            working_dir: Some("/workspace".to_owned()),
            env: Some(env.to_vec()),
            ..CreateExecOptions::default()
        };
        let exec = self.docker.create_exec(container, options).await?.id;
        let started = self.docker.start_exec(&exec, None::<StartExecOptions>).await?;
        let StartExecResults::Attached { mut output, .. } = started else {
            return Err("the engine answered as if detached".into());
        };
        while let Some(piece) = output.next().await {
            piece?;
        }
        match self.docker.inspect_exec(&exec).await?.exit_code {
            Some(0) => Ok(()),
            code => Err(format!("{argv:?} ended with {code:?}").into()),
        }
    }

    /// Begins a command and gives what it writes, as it comes.
    pub(super) async fn begin(
        &self,
        container: &str,
        user: UserIds,
        argv: &[&str],
    ) -> Outcome<Output> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            cmd: Some(argv.iter().map(ToString::to_string).collect()),
            user: Some(format!("{}:{}", user.uid, user.gid)),
            ..CreateExecOptions::default()
        };
        let exec = self.docker.create_exec(container, options).await?.id;
        let started = self.docker.start_exec(&exec, None::<StartExecOptions>).await?;
        let StartExecResults::Attached { output, .. } = started else {
            return Err("the engine answered as if detached".into());
        };
        Ok(Box::pin(output.map(|piece| Ok(piece?.into_bytes()))))
    }

    pub(super) async fn remove(&self, container: &str) -> Outcome {
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        Ok(self.docker.remove_container(container, Some(force)).await?)
    }

    /// The resident memory of all processes of a container, in MiB.
    pub(super) async fn resident(&self, container: &str) -> Outcome<f64> {
        let kib = self.processes(container).await?.into_iter().map(|pid| -> Outcome<f64> {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.unwrap_or("0").parse::<f64>()?)
        });
        Ok(kib.sum::<Outcome<f64>>()? / 1024.0)
    }

    /// The processor time that all processes of a container have had.
    pub(super) async fn busy(&self, container: &str) -> Outcome<Duration> {
        let nanos = self.processes(container).await?.into_iter().map(|pid| -> Outcome<u64> {
            let statistics = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
            Ok(statistics.split_whitespace().next().unwrap_or("0").parse()?)
        });
        Ok(Duration::from_nanos(nanos.sum::<Outcome<u64>>()?))
    }

    /// The processes of a container, as this machine numbers them.
    async fn processes(&self, container: &str) -> Outcome<Vec<String>> {
        let listed = self.docker.top_processes(container, None).await?.processes;
        let numbers = listed.into_iter().flatten().map(|process| process.into_iter().nth(1));
        numbers.map(|pid| pid.ok_or_else(|| "the engine lists no process numbers".into())).collect()
    }

    /// What two containers do not have in common; nothing when only their names and what ours has
    /// alone tell them apart.
    pub(super) async fn difference(&self, one: &str, other: &str) -> Outcome<Option<String>> {
        let [one, other] = [self.essence(one).await?, self.essence(other).await?];
        let maps = [&one, &other].into_iter().filter_map(Value::as_object);
        let keys: BTreeSet<_> = maps.flat_map(|map| map.keys()).collect();
        let comparable = keys.into_iter().filter(|key| !OURS_ALONE.contains(&key.as_str()));
        let differing = comparable.filter(|key| one[*key] != other[*key]);
        let told: Vec<_> = differing
            .map(|key| format!("{key} is {} there and {} here", one[key], other[key]))
            .collect();
        Ok(if told.is_empty() { None } else { Some(told.join("; ")) })
    }

    /// What the engine says of a container, without what names it.
    async fn essence(&self, container: &str) -> Outcome<Value> {
        let told = self.docker.inspect_container(container, None).await?;
        let config = told.config.unwrap_or_default();
        let mut essence = serde_json::to_value(told.host_config)?;
        for (key, value) in [
            ("config.Image", json!(config.image)),
            ("config.Entrypoint", json!(config.entrypoint)),
            ("config.Cmd", json!(config.cmd)),
            ("config.User", json!(config.user)),
            ("config.Env", json!(config.env)),
            ("config.WorkingDir", json!(config.working_dir)),
            ("config.Hostname", json!(config.hostname)),
            ("config.Healthcheck", json!(config.healthcheck)),
            ("config.StopTimeout", json!(config.stop_timeout)),
        ] {
            essence[key] = value;
        }
        Ok(essence)
    }

    fn body(&self, spec: &SandboxSpec) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(spec.image.to_string()),
            entrypoint: Some(vec!["sleep".to_owned(), "2147483647".to_owned()]),
            cmd: Some(Vec::new()),
            user: Some("65534:65534".to_owned()),
            hostname: Some("sandbox".to_owned()),
            working_dir: Some("/workspace".to_owned()),
            env: Some(vec!["HOME=/home/agent".to_owned()]),
            // By the home's the container is found and removed, whatever becomes of us; with the
            // task's own, the runtime would take it for one of its containers.
            labels: Some(HashMap::from([
                (HOME_LABEL.to_owned(), self.label.to_string()),
                (TASK_LABEL.to_owned(), format!("bare-{}", spec.task)),
            ])),
            stop_timeout: Some(1),
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            host_config: Some(self.host_config(spec)),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, spec: &SandboxSpec) -> HostConfig {
        let Limits { memory_mib, cpu_millis, pids, open_files, tmp_mib } = spec.limits;
        let memory = i64::from(memory_mib) << 20;
        let tmp = format!("rw,nosuid,nodev,exec,size={tmp_mib}m,mode=1777");
        HostConfig {
            privileged: Some(false),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            init: Some(true),
            ipc_mode: Some("private".to_owned()),
            network_mode: Some("none".to_owned()),
            dns: Some(vec!["127.0.0.1".to_owned()]),
            tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmp)])),
            shm_size: Some(64 << 20),
            pids_limit: Some(pids.into()),
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some((i64::from(cpu_millis) * 1_000_000).min(self.cpus * 1_000_000_000)),
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
            group_add: Some(vec![spec.user.gid.to_string()]),
            ..HostConfig::default()
        }
    }
}

fn mount(mount: &Mount) -> BareMount {
    BareMount {
        source: Some(mount.source.display().to_string()),
        target: Some(mount.target.clone()),
        typ: Some(MountType::BIND),
        read_only: Some(mount.access == Access::ReadOnly),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..BareMount::default()
    }
}
